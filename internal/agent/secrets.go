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

func (v values) equal(other values) bool {
	if len(v) != len(other) {
		return false
	}
	for id, value := range v {
		if was, ok := other[id]; !ok || !was.Equal(value) {
			return false
		}
	}
	return true
}

// source reads values with the agent's token.
type source struct {
	session *client.Session
	who     *login
	watched *watched
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
	s.watched.ids.Store(&ids)
	for n, name := range names {
		read[name] = secret.New(got[ids[n]])
	}
	return read, nil
}

// secretsDuty keeps files and the command's environment as the values say.
func (a *Agent) secretsDuty(from *source, plan Plan) (*duty, error) {
	files, err := newFiles(plan.Files)
	if err != nil {
		return nil, err
	}
	if a.child != nil {
		a.child.follow(plan.Command)
	}
	var known values
	return newDuty("secrets", func(ctx context.Context) (time.Duration, error) {
		names := files.names()
		if a.child != nil {
			names = append(names, a.child.names()...)
		}
		now, err := from.readAll(unique(names), files)
		if err != nil {
			return 0, err
		}
		changed := !now.equal(known)
		written, err := files.write(now)
		a.counts.renders.Add(int64(written))
		if err != nil {
			return 0, err
		}
		if a.child != nil {
			if err := a.child.use(ctx, now, changed || written > 0); err != nil {
				return 0, err
			}
		}
		known = now
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
