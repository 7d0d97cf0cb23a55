package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
)

// branch is a policy into which one client loads and from which it deletes. It has a
// few slots: each is a variable and a host who may read it, made by one load.
type branch struct {
	id    string
	state branchState
	tried *branchState // under way, nil for none
}

// branchState is all that there is to know of a branch.
type branchState struct {
	version int // of the policy, which is the number of loads
	slots   map[int]slot
}

type slot struct {
	value string // of the variable, "" for none
	key   string // of the host; unknown if the answer to the load was lost
}

func (b branchState) clone() *branchState {
	return &branchState{b.version, maps.Clone(b.slots)}
}

func (b *branch) act(s *session) {
	if b.state.slots == nil {
		b.state.slots = map[int]slot{}
	}
	for {
		next := b.state.clone()
		n := s.rng.IntN(4)
		current, exists := next.slots[n]
		var ok bool
		var got answer
		switch {
		case !exists:
			next.version++
			next.slots[n] = slot{}
			b.tried = next
			got, ok = s.change(http.StatusCreated, "POST", "/policies/demo/policy/"+b.id, fmt.Sprintf(
				"- !variable v%d\n- !host h%[1]d\n- !permit {role: !host h%[1]d, privileges: [read, execute], resource: !variable v%[1]d}\n", n))
			if ok {
				keys, err := createdKeys(got.body)
				if err != nil {
					s.failf("%v in %v", err, got)
				}
				next.slots[n] = slot{key: keys[fmt.Sprintf("host/%s/h%d", b.id, n)]}
			}
		case s.rng.IntN(3) == 0:
			next.version++
			delete(next.slots, n)
			b.tried = next
			_, ok = s.change(http.StatusCreated, "PATCH", "/policies/demo/policy/"+b.id, fmt.Sprintf(
				"- !delete {record: !variable v%d}\n- !delete {record: !host h%[1]d}\n", n))
		default:
			current.value = fmt.Sprintf("%s %d %d", b.id, n, s.rng.Uint64())
			next.slots[n] = current
			b.tried = next
			_, ok = s.change(http.StatusCreated, "POST", fmt.Sprintf("/secrets/demo/variable/%s/v%d", b.id, n), current.value)
		}
		if !ok {
			return
		}
		b.state, b.tried = *next, nil
	}
}

func (b *branch) verify(s *session) {
	seen := b.look(s)
	matches := func(want *branchState) bool {
		return seen.version == want.version && maps.EqualFunc(seen.slots, want.slots, func(x, y slot) bool { return x.value == y.value })
	}
	switch {
	case matches(&b.state):
		if b.tried != nil {
			s.settled(false)
		}
	case b.tried != nil && matches(b.tried):
		s.settled(true)
		b.state = *b.tried
	default:
		s.failf("%s is %+v, want %+v or %+v", b.id, seen, b.state, b.tried)
	}
	b.tried = nil
	for n, slot := range b.state.slots {
		login := fmt.Sprintf("host/%s/h%d", b.id, n)
		if slot.key == "" {
			key, err := s.world.server.command("role", "retrieve-key", fmt.Sprintf("%s:host:%s/h%d", account, b.id, n))
			if err != nil {
				s.failf("%v", err)
			}
			slot.key = key
			b.state.slots[n] = slot
		}
		got, err := s.authenticate(login, slot.key)
		if err != nil || got.status != http.StatusOK {
			s.failf("%s cannot authenticate: %v, %v", login, got, err)
			continue
		}
		// The permission is of the same load.
		status := http.StatusOK
		if slot.value == "" {
			status = http.StatusNotFound
		}
		host := newClient(s.url)
		host.token = tokenHeader(got.body)
		if got, err := host.send("GET", fmt.Sprintf("/secrets/demo/variable/%s/v%d", b.id, n), nil); err != nil || got.status != status {
			s.failf("%s reads its variable: %v, %v", login, got, err)
		}
	}
}

// look asks the server for the state of the branch.
func (b *branch) look(s *session) branchState {
	seen := branchState{slots: map[int]slot{}}
	var policy struct {
		Versions []struct{ Version int } `json:"policy_versions"`
	}
	got := s.ask("GET", "/resources/demo/policy/"+b.id)
	if err := json.Unmarshal([]byte(got.body), &policy); err != nil {
		s.failf("%v in %v", err, got)
	}
	for _, v := range policy.Versions {
		seen.version = max(seen.version, v.Version)
	}
	for n := range 4 {
		variable := s.ask("GET", fmt.Sprintf("/resources/demo/variable/%s/v%d", b.id, n))
		host := s.ask("GET", fmt.Sprintf("/resources/demo/host/%s/h%d", b.id, n))
		if variable.status != host.status {
			s.failf("%s has half of slot %d: %d, %d", b.id, n, variable.status, host.status)
		}
		if variable.status != http.StatusOK {
			continue
		}
		value := s.ask("GET", fmt.Sprintf("/secrets/demo/variable/%s/v%d", b.id, n))
		if value.status != http.StatusOK {
			value.body = ""
		}
		seen.slots[n] = slot{value: value.body}
	}
	return seen
}

func (b *branch) owns() []string {
	ids := []string{account + ":policy:" + b.id}
	for _, n := range slices.Sorted(maps.Keys(b.state.slots)) {
		ids = append(ids, fmt.Sprintf("%s:variable:%s/v%d", account, b.id, n), fmt.Sprintf("%s:host:%s/h%d", account, b.id, n))
	}
	return ids
}
