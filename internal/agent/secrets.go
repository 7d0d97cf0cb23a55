package agent

import (
	"context"
	"time"

	"rekey/internal/cli/client"
	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/secret"
)

// values are those of variables, by their ids as they are written in the plan.
type values map[string]secret.Bytes

// source reads values with the agent's token.
type source struct {
	session *client.Session
	who     *login
	watched *watched
	taken   *taken
}

// read reads variables, all of them as of one moment.
func (s *source) read(names []string) (values, error) {
	read := values{}
	if len(names) == 0 {
		return read, nil
	}
	ids := make([]ident.ID, len(names))
	for n, name := range names {
		id, err := s.session.ID(name, "variable")
		if err != nil {
			return nil, err
		}
		ids[n] = id
	}
	got, err := s.session.Values(ids, 0)
	if fault.Is(err, fault.Unauthenticated) { // it may be the token only: its key is another one now
		s.who.refuse()
		got, err = s.session.Values(ids, 0)
	}
	if err != nil {
		return nil, err
	}
	s.watched.want(ids)
	for n, name := range names {
		read[name] = secret.New(got[ids[n]])
	}
	return read, nil
}

// secretsDuty keeps files and the command's environment as the values say. A command
// that is to find a token in a file is not started before it is there.
func (a *Agent) secretsDuty(from *source, plan Plan, token *duty) (*duty, error) {
	files, err := newFiles(plan.Files)
	if err != nil {
		return nil, err
	}
	untold := false // files have changed, and the command has not been told
	return newDuty("secrets", func(ctx context.Context) (time.Duration, error) {
		names := files.names()
		if plan.Command != nil {
			names = append(names, plan.Command.names()...)
		}
		from.session.Asked() // of an attempt that came to nothing
		now, err := from.readAll(unique(names), files)
		if err != nil {
			return 0, err
		}
		written, err := files.write(now)
		a.counts.renders.Add(int64(written))
		untold = untold || written > 0
		if err != nil {
			return 0, err
		}
		if a.child != nil {
			if token != nil && token.state().LastSuccess.IsZero() {
				return shortest, nil
			}
			if err := a.child.use(ctx, now, untold); err != nil {
				return 0, err
			}
		}
		untold = false
		from.taken.add(from.session.Asked())
		return from.watched.poll(plan), nil
	}), nil
}

// readAll reads what is known to be wanted, and then what templates turn out to want
// when they have that.
func (s *source) readAll(names []string, files files) (values, error) {
	for {
		read, err := s.read(names)
		if err != nil {
			return nil, err
		}
		more, err := files.missing(read)
		if err != nil {
			return nil, err
		}
		if len(more) == 0 {
			return read, nil
		}
		names = unique(append(names, more...))
	}
}

func unique(names []string) []string {
	seen := map[string]bool{}
	var once []string
	for _, name := range names {
		if !seen[name] {
			seen[name] = true
			once = append(once, name)
		}
	}
	return once
}
