package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
)

const keptVersions = 20

// reader reads what never changes.
type reader struct{ key string }

func (r *reader) act(s *session) {
	for r.read(s) {
	}
}

func (r *reader) read(s *session) bool {
	got, ok := s.change(http.StatusOK, "GET", "/secrets/demo/variable/still", "")
	if ok && got.body != "never changed" {
		s.failf("what never changes is %q", got.body)
	}
	return ok
}

func (r *reader) verify(s *session) {
	r.read(s)
	if !s.works("host/still", r.key) {
		s.failf("a key that was never rotated does not work")
	}
}

func (r *reader) owns() []string { return nil }

// variable is written by one client. Each value is another one, so that version n is
// the nth of them.
type variable struct {
	id     string
	values []string // acknowledged
	tried  string   // under way, "" for none
}

func (v *variable) act(s *session) {
	for {
		v.tried = fmt.Sprintf("%s %d %s", v.id, len(v.values)+1, strings.Repeat("x", s.rng.IntN(9000)))
		if _, ok := s.change(http.StatusCreated, "POST", "/secrets/demo/variable/"+v.id, v.tried); !ok {
			return
		}
		v.values, v.tried = append(v.values, v.tried), ""
	}
}

func (v *variable) verify(s *session) {
	versions := s.versions(v.id)
	if v.tried != "" {
		kept := len(versions) > 0 && versions[len(versions)-1] == len(v.values)+1
		s.settled(kept)
		if kept {
			v.values = append(v.values, v.tried)
		}
		v.tried = ""
	}
	var want []int
	for n := max(1, len(v.values)-keptVersions+1); n <= len(v.values); n++ {
		want = append(want, n)
	}
	if !slices.Equal(versions, want) {
		s.failf("%s has the versions %v, want %v", v.id, versions, want)
		return
	}
	for _, n := range want {
		if got := s.ask("GET", fmt.Sprintf("/secrets/demo/variable/%s?version=%d", v.id, n)); got.body != v.values[n-1] {
			s.failf("%s has version %d: %v, want %s", v.id, n, got, v.values[n-1])
		}
	}
}

func (v *variable) owns() []string { return []string{account + ":variable:" + v.id} }

// crowd is several clients that write one variable at the same time.
type crowd struct {
	id      string
	writers int
	values  []string // in the order of the versions
	count   int
	mutex   sync.Mutex
	acked   []string // in this round
	tried   map[string]bool
}

func (c *crowd) act(s *session) {
	c.tried = map[string]bool{}
	var group sync.WaitGroup
	for range c.writers {
		group.Go(func() {
			for range keptVersions/c.writers - 1 { // no version of this round is to be outdated
				c.mutex.Lock()
				c.count++
				value := fmt.Sprintf("%s %d", c.id, c.count)
				c.tried[value] = true
				c.mutex.Unlock()
				if _, ok := s.change(http.StatusCreated, "POST", "/secrets/demo/variable/"+c.id, value); !ok {
					return
				}
				c.mutex.Lock()
				c.acked = append(c.acked, value)
				delete(c.tried, value)
				c.mutex.Unlock()
			}
		})
	}
	group.Wait()
}

func (c *crowd) verify(s *session) {
	versions := s.versions(c.id)
	for _, n := range versions {
		got := s.ask("GET", fmt.Sprintf("/secrets/demo/variable/%s?version=%d", c.id, n)).body
		switch {
		case n <= len(c.values):
			if got != c.values[n-1] {
				s.failf("%s has version %d: %s, want %s", c.id, n, got, c.values[n-1])
			}
			continue
		case n != len(c.values)+1:
			s.failf("%s has the versions %v after %d", c.id, versions, len(c.values))
		case c.tried[got]:
			s.settled(true)
			delete(c.tried, got)
		case slices.Contains(c.acked, got):
			c.acked = slices.DeleteFunc(c.acked, func(v string) bool { return v == got })
		default:
			s.failf("%s has version %d: %s, which nobody wrote now", c.id, n, got)
		}
		c.values = append(c.values, got)
	}
	if len(c.acked) > 0 {
		s.failf("%s has lost %v", c.id, c.acked)
	}
	for range c.tried {
		s.settled(false)
	}
	c.acked, c.tried = nil, nil
}

func (c *crowd) owns() []string { return []string{account + ":variable:" + c.id} }

// role is a host whose key is rotated.
type role struct {
	name  string
	key   string   // acknowledged
	old   []string // dead ones
	tried bool     // a rotation is under way
}

func (r *role) rotate(s *session, query string, headers ...string) {
	for {
		r.tried = true
		got, ok := s.change(http.StatusOK, "PUT", "/authn/demo/api_key"+query, "", headers...)
		if !ok {
			return
		}
		r.replace(got.body)
		if headers != nil {
			headers[1] = basic("host/"+r.name, r.key)
		}
	}
}

func (r *role) replace(key string) { r.old, r.key, r.tried = append(r.old, r.key), key, false }

// verify: if the answer was lost, the client can tell by its key what has happened.
// If it was replaced, the operator has the new one.
func (r *role) verify(s *session) {
	login := "host/" + r.name
	works := s.works(login, r.key)
	if r.tried {
		s.settled(!works)
	}
	if !works && r.tried {
		key, err := s.world.server.command("role", "retrieve-key", account+":host:"+r.name)
		if err != nil {
			s.failf("%v", err)
		}
		r.replace(key)
		works = s.works(login, r.key)
	}
	if !works {
		s.failf("%s has lost its key", login)
	}
	r.tried = false
	for _, dead := range r.old[max(0, len(r.old)-3):] {
		if s.works(login, dead) {
			s.failf("%s can use a key that was replaced", login)
		}
	}
}

func (r *role) owns() []string { return []string{account + ":host:" + r.name} }

// ownKey is a host that rotates its own key.
type ownKey struct{ role }

func (k *ownKey) act(s *session) {
	k.rotate(s, "", "Authorization", basic("host/"+k.name, k.key))
}

// othersKey is a host whose key an administrator rotates.
type othersKey struct{ role }

func (k *othersKey) act(s *session) { k.rotate(s, "?role="+account+":host:"+k.name) }

// passwords is a user who changes its password.
type passwords struct {
	login, key      string
	password, tried string
	count           int
}

func (p *passwords) act(s *session) {
	for {
		p.count++
		p.tried = fmt.Sprintf("Good-PassWord-%d", p.count)
		if _, ok := s.change(http.StatusNoContent, "PUT", "/authn/demo/password", p.tried, "Authorization", basic(p.login, p.key)); !ok {
			return
		}
		p.password, p.tried = p.tried, ""
	}
}

func (p *passwords) verify(s *session) {
	if p.tried == "" {
		if s.world.rounds%10 == 0 && p.password != "" && !p.opens(s, p.password) {
			s.failf("the password of %s is lost", p.login)
		}
		return
	}
	kept := p.opens(s, p.tried)
	s.settled(kept)
	if p.password != "" && p.opens(s, p.password) == kept {
		s.failf("of the old and the new password of %s, not exactly one works", p.login)
	}
	if kept {
		p.password = p.tried
	}
	p.tried = ""
}

func (p *passwords) opens(s *session, password string) bool {
	got := s.ask("GET", "/authn/demo/login", "Authorization", basic(p.login, password))
	if got.status == http.StatusOK && got.body != p.key {
		s.failf("%s logs in to another key", p.login)
	}
	return got.status == http.StatusOK
}

func (p *passwords) owns() []string { return []string{account + ":user:" + p.login} }

// versions lists the versions of a variable.
func (s *session) versions(id string) []int {
	var shown struct {
		Secrets []struct{ Version int }
	}
	got := s.ask("GET", "/resources/demo/variable/"+id)
	if err := json.Unmarshal([]byte(got.body), &shown); err != nil {
		s.failf("%v in %v", err, got)
	}
	var versions []int
	for _, v := range shown.Secrets {
		versions = append(versions, v.Version)
	}
	slices.Sort(versions)
	return versions
}
