package agent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"text/template"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/secret"
)

// files are the files of a plan.
type files []*rendered

// rendered is one file and how its text is made.
type rendered struct {
	File
	template *template.Template // nil if the text is a value
	wanted   []string           // by the template, when it was last executed
}

func newFiles(plan []File) (files, error) {
	var made files
	for _, f := range plan {
		r := &rendered{File: f}
		name, text := f.To, f.Text
		if f.Template != "" {
			content, err := os.ReadFile(f.Template)
			if err != nil {
				return nil, mistake("a template cannot be read: "+err.Error(), "mend its path")
			}
			name, text = f.Template, string(content)
		}
		if f.Secret == "" {
			parsed, err := template.New(name).Option("missingkey=error").Funcs(functions(nil)).Parse(text)
			if err != nil {
				return nil, mistake(err.Error(), "mend the template")
			}
			r.template = parsed
		}
		made = append(made, r)
	}
	return made, nil
}

// functions are what templates may call. get gives the value of a variable.
func functions(get func(id string) string) template.FuncMap {
	return template.FuncMap{
		"secret": func(id string) string { return get(id) },
		"base64": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
		"json": func(text string) (string, error) {
			quoted, err := json.Marshal(text)
			return string(quoted), err
		},
		"env": os.Getenv,
	}
}

// text is what the file is to have, if all that its template wants is there.
func (r *rendered) text(from values) (secret.Bytes, error) {
	if r.template == nil {
		r.wanted = []string{r.Secret}
		return from[r.Secret], nil
	}
	r.wanted = nil
	var out bytes.Buffer
	err := r.template.Funcs(functions(func(id string) string {
		r.wanted = append(r.wanted, id)
		return from[id].RevealString()
	})).Execute(&out, nil)
	if err != nil {
		// What went wrong may have a value in it; where it did has not.
		e := fault.New(fault.Invalid, "the template %s failed", r.template.Name())
		var at template.ExecError
		if errors.As(err, &at) {
			e.Message += " in " + at.Name
		}
		e.Advice = "try it with `rekey agent --once`, and look at how it uses its values"
		return secret.Bytes{}, e
	}
	return secret.New(out.Bytes()), nil
}

// names are the variables that files are known to want.
func (fs files) names() []string {
	var names []string
	for _, f := range fs {
		if f.template == nil {
			names = append(names, f.Secret)
		} else {
			names = append(names, f.wanted...)
		}
	}
	return names
}

// missing are those that templates want and that are not there.
func (fs files) missing(from values) ([]string, error) {
	var missing []string
	for _, f := range fs {
		_, err := f.text(from)
		for _, id := range f.wanted {
			if _, ok := from[id]; !ok {
				missing = append(missing, id)
			}
		}
		if err != nil && len(missing) == 0 {
			return nil, err
		}
	}
	return missing, nil
}

// write brings the files to what the values say, and counts those that were not so.
func (fs files) write(from values) (written int, err error) {
	var errs []error
	for _, f := range fs {
		changed, err := f.write(from)
		if changed {
			written++
		}
		errs = append(errs, err)
	}
	return written, errors.Join(errs...)
}

func (r *rendered) write(from values) (changed bool, err error) {
	text, err := r.text(from)
	if err != nil {
		return false, err
	}
	if has, err := os.ReadFile(r.To); err == nil && text.Equal(secret.New(has)) && r.looks() {
		return false, nil
	}
	return true, client.WriteFileAs(r.To, text.Reveal(), r.Look)
}

// looks tells whether the file may be seen by whom it is to be.
func (r *rendered) looks() bool {
	info, err := os.Stat(r.To)
	return err == nil && (r.Look == nil || r.Look.Fits(info))
}
