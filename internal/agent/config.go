package agent

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/period"
	"rekey/internal/secretsyml"
)

// ReadPlan reads a YAML file into a plan. Paths in it are relative to its directory.
// Errors are Invalid, with a position.
func ReadPlan(path string, into *Plan) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return mistake("the configuration cannot be read: "+err.Error(), "mend the path in --config")
	}
	var document yaml.Node
	if err := yaml.Unmarshal(content, &document); err != nil {
		return mistake(path+" is not YAML: "+err.Error(), "mend the line")
	}
	if len(document.Content) == 0 {
		return nil
	}
	r := reader{path: path, dir: filepath.Dir(path)}
	return r.mapping(document.Content[0], map[string]field{
		"identity":     r.place(&into.Identity),
		"rotate_every": r.time(&into.RotateEvery),
		"old_key":      r.text(&into.OldKey),
		"token_file":   r.place(&into.TokenFile),
		"poll":         r.time(&into.Poll),
		"timeout":      r.time(&into.Timeout),
		"health":       r.text(&into.Health),
		"files":        r.list(func(n *yaml.Node) error { return r.file(n, into) }),
		"exec":         func(n *yaml.Node) error { return r.command(n, into) },
	})
}

// field takes the value of a key.
type field func(*yaml.Node) error

// reader reads the nodes of one file.
type reader struct{ path, dir string }

func (r *reader) mapping(node *yaml.Node, fields map[string]field) error {
	if node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return nil
	}
	if node.Kind != yaml.MappingNode {
		return r.wrong(node, "here goes a mapping", "write one `key: value` on each line")
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		set, known := fields[key.Value]
		switch {
		case !known:
			var names []string
			for name := range fields {
				names = append(names, name)
			}
			slices.Sort(names)
			return r.wrong(key, "'"+key.Value+"' is not known here", "write one of "+strings.Join(names, ", "))
		case seen[key.Value]:
			return r.wrong(key, "'"+key.Value+"' is there twice", "remove one of the two")
		}
		seen[key.Value] = true
		if err := set(value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) list(item field) field {
	return func(node *yaml.Node) error {
		if node.Kind != yaml.SequenceNode {
			return r.wrong(node, "here goes a list", "begin each item with `- `")
		}
		for _, n := range node.Content {
			if err := item(n); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *reader) text(to *string) field {
	return func(node *yaml.Node) error {
		if node.Kind != yaml.ScalarNode || node.Value == "" {
			return r.wrong(node, "here goes a text", "write one value")
		}
		*to = node.Value
		return nil
	}
}

func (r *reader) place(to *string) field {
	return func(node *yaml.Node) error {
		err := r.text(to)(node)
		*to = placeOf(r.dir, *to)
		return err
	}
}

func (r *reader) time(to *time.Duration) field {
	return func(node *yaml.Node) error {
		d, err := period.ParseOrSeconds(node.Value)
		if node.Kind != yaml.ScalarNode || err != nil || d <= 0 {
			return r.wrong(node, "'"+node.Value+"' is no length of time", "write an ISO 8601 duration such as PT1H, or a number of seconds")
		}
		*to = d
		return nil
	}
}

func (r *reader) file(node *yaml.Node, into *Plan) error {
	var f File
	var mode, owner, group string
	err := r.mapping(node, map[string]field{
		"to": r.place(&f.To), "secret": r.text(&f.Secret), "template": r.place(&f.Template), "text": r.text(&f.Text),
		"mode": r.text(&mode), "owner": r.text(&owner), "group": r.text(&group),
	})
	if err == nil {
		if f.Look, err = lookOf(mode, owner, group); err != nil {
			err = r.wrong(node, err.Error(), "mend it")
		}
	}
	into.Files = append(into.Files, f)
	return err
}

// lookOf is who may see a file; nil if nothing is said.
func lookOf(mode, owner, group string) (*client.Look, error) {
	if mode == "" && owner == "" && group == "" {
		return nil, nil
	}
	look := &client.Look{Mode: 0o600, UID: -1, GID: -1}
	if mode != "" {
		bits, err := strconv.ParseUint(mode, 8, 32)
		if err != nil || bits > 0o777 {
			return nil, fmt.Errorf("the mode '%s' is no octal number up to 0777", mode)
		}
		look.Mode = fs.FileMode(bits)
	}
	if owner != "" {
		id := owner
		if found, err := user.Lookup(owner); err == nil {
			id = found.Uid
		}
		uid, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("there is no user '%s'", owner)
		}
		look.UID = int(uid)
	}
	if group != "" {
		id := group
		if found, err := user.LookupGroup(group); err == nil {
			id = found.Gid
		}
		gid, err := strconv.ParseUint(id, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("there is no group '%s'", group)
		}
		look.GID = int(gid)
	}
	return look, nil
}

func (r *reader) command(node *yaml.Node, into *Plan) error {
	c := &Command{StopAfter: UsualStop}
	var arg, change, list string
	how := secretsyml.Subst{Values: map[string]string{}}
	err := r.mapping(node, map[string]field{
		"command":    r.list(func(n *yaml.Node) error { defer func() { c.Args = append(c.Args, arg) }(); return r.text(&arg)(n) }),
		"secrets":    r.place(&list),
		"section":    r.text(&how.Section),
		"on_change":  r.text(&change),
		"stop_after": r.time(&c.StopAfter),
		"values": func(n *yaml.Node) error {
			for i := 0; i+1 < len(n.Content); i += 2 {
				how.Values[n.Content[i].Value] = n.Content[i+1].Value
			}
			return nil
		},
	})
	if err == nil && list != "" {
		c.Entries, err = ReadEntries(list, how)
	}
	if err == nil {
		if c.Signal, err = ParseChange(change); err != nil {
			err = r.wrong(node, err.Error(), "write restart, or the name of a signal such as HUP")
		}
	}
	into.Command = c
	return err
}

// ReadEntries reads a secrets.yml.
func ReadEntries(path string, how secretsyml.Subst) ([]secretsyml.Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, mistake("the list of secrets cannot be read: "+err.Error(), "mend the path")
	}
	entries, err := secretsyml.Parse(file, how)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return entries, fault.Wrap(err, "%s", path)
}

// wrong is a mistake at a node.
func (r *reader) wrong(node *yaml.Node, what, advice string) error {
	e := fault.New(fault.Invalid, "%s, line %d, column %d: %s", r.path, node.Line, node.Column, what)
	e.Line, e.Column, e.Advice = node.Line, node.Column, advice
	return e
}
