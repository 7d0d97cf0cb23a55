package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// Each thing that the nodes keep is a register: the value of a variable, the API key of a
// host, whether a group holds a member. What all clients see together must be what they
// would see if there were one register and one request after the other, each at some
// moment between its beginning and its end.

type operation struct {
	register string
	write    bool
	value    string // written, or asked about
}

// result is what a client has seen. A key cannot be read, only tried: Holds.
type result struct {
	value string
	tried bool
	holds bool
}

var registers = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byRegister := map[string][]porcupine.Operation{}
		for _, op := range history {
			name := op.Input.(operation).register
			byRegister[name] = append(byRegister[name], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byRegister {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		op, seen := input.(operation), output.(result)
		switch {
		case op.write:
			return true, op.value
		case seen.tried:
			return seen.holds == (state == op.value), state
		}
		return seen.value == state, state
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v -> %+v", input, output) },
}

// recorder writes a history down.
type recorder struct {
	mu      sync.Mutex
	start   time.Time
	history []porcupine.Operation
}

const never = int64(1) << 62

// fate is what a client knows of its request.
type fate int

const (
	unknown fate = iota // the answer was lost, or says that it failed
	done                // as the answer says
	unsent              // it has reached nobody
)

// fateOf is done if the answer has one of the statuses.
func fateOf(got answer, err error, statuses ...int) fate {
	var network *net.OpError
	switch {
	case errors.As(err, &network) && network.Op == "dial":
		return unsent
	case err == nil && slices.Contains(statuses, got.status):
		return done
	}
	return unknown
}

// do records an operation. Nothing is known of one whose outcome is unknown if it reads;
// if it writes, it may take effect at any time.
func (r *recorder) do(who int, op operation, ask func() (result, fate)) {
	call := time.Since(r.start).Nanoseconds()
	seen, what := ask()
	end := time.Since(r.start).Nanoseconds()
	switch {
	case what == done:
	case what == unknown && op.write:
		end = never
	default:
		time.Sleep(10 * time.Millisecond) // it may fail at once, again and again
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.write && seen.value != "" {
		op.value = seen.value // which the server has chosen
	}
	r.history = append(r.history, porcupine.Operation{ClientId: who, Input: op, Call: call, Output: seen, Return: end})
}

// settled is the history without writes of unknown outcome to variables whose value
// nobody has read: each is written once, so they may as well have happened last of all.
func (r *recorder) settled() (history []porcupine.Operation, dropped int) {
	read := map[string]bool{}
	for _, op := range r.history {
		read[op.Output.(result).value] = true
	}
	for _, op := range r.history {
		in := op.Input.(operation)
		if op.Return == never && strings.HasPrefix(in.register, "v") && !read[in.value] {
			dropped++
			continue
		}
		history = append(history, op)
	}
	return history, dropped
}

const linearizableSetup = `
- !host reader
- !group readers
- !permit {role: !group readers, privileges: [read, execute], resource: !variable granted}
- !variable granted
- !variable v0
- !variable v1
- !variable v2
- !host h0
- !host h1
- !permit {role: !host reader, privileges: [read, execute, update], resources: [!variable v0, !variable v1, !variable v2]}
`

// history is what clients do on nodes that are disturbed, and what they see.
type history struct {
	*recorder
	tokens map[string]string // of admin and reader
	keys   []string          // of the two hosts, at first

	addresses sync.RWMutex
	urls      []string
	stop      chan struct{}
	clients   sync.WaitGroup
}

func newHistory(t *testing.T, k *cluster) *history {
	t.Helper()
	admin := k.admin(t)[0]
	admin.load(t, "POST", "root", strings.TrimSpace(linearizableSetup))
	admin.load(t, "PATCH", "root", "- !revoke {role: !group readers, member: !host reader}\n")
	key := func(host string) string {
		return admin.must(t, 200, "PUT", "/authn/demo/api_key?role=demo:host:"+host, "").body
	}
	reader := newClient(k.nodes[0].url).as(t, "host/reader", key("reader"))
	h := &history{recorder: &recorder{start: time.Now()}, tokens: map[string]string{"admin": admin.token, "reader": reader.token},
		keys: []string{key("h0"), key("h1")}, stop: make(chan struct{})}
	admin.must(t, 201, "POST", "/secrets/demo/variable/granted", "it")
	setup := []operation{{"host/h0", true, h.keys[0]}, {"host/h1", true, h.keys[1]}, {"grant", true, "no"}}
	for i := range 3 {
		name := fmt.Sprint("v", i)
		admin.must(t, 201, "POST", "/secrets/demo/variable/"+name, "first")
		setup = append(setup, operation{name, true, "first"})
	}
	for _, op := range setup {
		h.do(0, op, func() (result, fate) { return result{}, done })
	}
	for _, s := range k.nodes {
		h.urls = append(h.urls, s.url)
	}
	return h
}

// moved says where a node is to be found now.
func (h *history) moved(node int, url string) {
	h.addresses.Lock()
	defer h.addresses.Unlock()
	h.urls[node] = url
}

// asked is a client of any node, on a connection of its own.
func (h *history) asked(random *rand.Rand, role string) *client {
	h.addresses.RLock()
	defer h.addresses.RUnlock()
	return &client{url: h.urls[random.IntN(len(h.urls))], token: h.tokens[role],
		http: &http.Client{Timeout: 1500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}}
}

// begin lets clients do what they do, until end.
func (h *history) begin(clients int, seed uint64) {
	for who := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(who)))
		h.clients.Go(func() {
			known := slices.Clone(h.keys) // the newest that this client has heard of
			for n := 0; ; n++ {
				select {
				case <-h.stop:
					return
				default:
					h.act(who+1, n, random, known)
				}
			}
		})
	}
}

func (h *history) end() {
	close(h.stop)
	h.clients.Wait()
}

func (h *history) act(who, n int, random *rand.Rand, known []string) {
	switch name := fmt.Sprint("v", random.IntN(3)); random.IntN(8) {
	case 0, 1:
		value := fmt.Sprintf("%d-%d", who, n)
		h.do(who, operation{name, true, value}, func() (result, fate) {
			got, err := h.asked(random, "reader").send("POST", "/secrets/demo/variable/"+name, []byte(value))
			return result{}, fateOf(got, err, 201)
		})
	case 2, 3, 4:
		h.do(who, operation{register: name}, func() (result, fate) {
			got, err := h.asked(random, "reader").send("GET", "/secrets/demo/variable/"+name, nil)
			return result{value: got.body}, fateOf(got, err, 200)
		})
	case 5:
		verb := map[bool]string{true: "grant", false: "revoke"}[random.IntN(2) == 0]
		held := map[string]string{"grant": "yes", "revoke": "no"}[verb]
		h.do(who, operation{"grant", true, held}, func() (result, fate) {
			text := "- !" + verb + " {role: !group readers, member: !host reader}\n"
			got, err := h.asked(random, "admin").send("PATCH", "/policies/demo/policy/root", []byte(text))
			return result{}, fateOf(got, err, 201)
		})
	case 6:
		h.do(who, operation{register: "grant"}, func() (result, fate) {
			got, err := h.asked(random, "reader").send("GET", "/secrets/demo/variable/granted", nil)
			return result{value: map[int]string{200: "yes", 404: "no"}[got.status]}, fateOf(got, err, 200, 404)
		})
	case 7:
		host := random.IntN(2)
		login := fmt.Sprint("host/h", host)
		if random.IntN(4) == 0 {
			h.do(who, operation{login, true, fmt.Sprintf("unknown %d-%d", who, n)}, func() (result, fate) {
				got, err := h.asked(random, "admin").send("PUT", fmt.Sprintf("/authn/demo/api_key?role=demo:host:h%d", host), nil)
				what := fateOf(got, err, 200)
				if what != done {
					return result{}, what
				}
				known[host] = got.body
				return result{value: got.body}, done
			})
			return
		}
		h.do(who, operation{register: login, value: known[host]}, func() (result, fate) {
			got, err := h.asked(random, "").authenticate(login, known[host])
			return result{tried: true, holds: got.status == 200}, fateOf(got, err, 200, 401)
		})
	}
}

// check wants the history to be linearizable.
func (h *history) check(t *testing.T) {
	t.Helper()
	checked, dropped := h.settled()
	lost, perRegister := dropped, map[string]int{}
	for _, op := range checked {
		perRegister[op.Input.(operation).register]++
		if op.Return == never {
			lost++
		}
	}
	if len(checked) < 150 {
		t.Error("that was too tame")
	}
	t.Logf("%d operations (%v), %d writes of unknown outcome, of which %d were never seen", len(checked), perRegister, lost, dropped)
	got, info := porcupine.CheckOperationsVerbose(registers, checked, 60*time.Second)
	if got == porcupine.Ok {
		return
	}
	t.Errorf("the history is %s", got)
	partial := info.PartialLinearizationsOperations()
	for i := range partial {
		longest := slices.MaxFunc(partial[i], func(a, b []porcupine.Operation) int { return len(a) - len(b) })
		if n := len(longest); n > 0 {
			t.Logf("the longest linearization of part %d has %d operations, and ends with %+v", i, n, longest[n-1])
		}
	}
}
