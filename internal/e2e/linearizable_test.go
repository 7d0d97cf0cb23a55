package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// do records an operation. Nothing is known of one whose outcome is unknown if it reads;
// if it writes, it may take effect at any time.
func (r *recorder) do(who int, op operation, ask func() (seen result, known bool)) {
	call := time.Since(r.start).Nanoseconds()
	seen, known := ask()
	end := time.Since(r.start).Nanoseconds()
	if !known && !op.write {
		return
	}
	if !known {
		end = never
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if op.write && seen.value != "" {
		op.value = seen.value // which the server has chosen
	}
	r.history = append(r.history, porcupine.Operation{ClientId: who, Input: op, Call: call, Output: seen, Return: end})
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

// Given three nodes of which one after the other is killed, stopped and woken up, and
// clients that write and read on all of them: the history is linearizable.
func TestHistoriesAreLinearizable(t *testing.T) {
	const clients, length = 8, 14 * time.Second
	k := newCluster(t, 3)
	admin := k.admin(t)
	keys := admin[0].load(t, "POST", "root", strings.TrimSpace(linearizableSetup))
	reader := newClient(k.nodes[0].url).as(t, "host/reader", keys["host/reader"])
	admin[0].must(t, 201, "POST", "/secrets/demo/variable/granted", "it")
	r := &recorder{start: time.Now()}
	setup := []operation{{"host/h0", true, keys["host/h0"]}, {"host/h1", true, keys["host/h1"]}, {"grant", true, "no"}}
	for i := range 3 {
		name := fmt.Sprint("v", i)
		admin[0].must(t, 201, "POST", "/secrets/demo/variable/"+name, "first")
		setup = append(setup, operation{name, true, "first"})
	}
	for _, op := range setup {
		r.do(0, op, func() (result, bool) { return result{}, true })
	}
	var mu sync.RWMutex // guards the addresses
	urls := make([]string, len(k.nodes))
	for i, s := range k.nodes {
		urls[i] = s.url
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for who := range clients {
		random := rand.New(rand.NewPCG(11, uint64(who)))
		wg.Go(func() {
			known := []string{keys["host/h0"], keys["host/h1"]} // the newest keys that this client has heard of
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				mu.RLock()
				base := urls[random.IntN(len(urls))]
				mu.RUnlock()
				as := func(token string) *client {
					return &client{url: base, token: token, http: &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}}
				}
				clientID := who + 1
				switch name := fmt.Sprint("v", random.IntN(3)); random.IntN(8) {
				case 0, 1:
					value := fmt.Sprintf("%d-%d", who, n)
					r.do(clientID, operation{name, true, value}, func() (result, bool) {
						got, err := as(reader.token).send("POST", "/secrets/demo/variable/"+name, []byte(value))
						return result{}, err == nil && got.status == 201
					})
				case 2, 3, 4:
					r.do(clientID, operation{register: name}, func() (result, bool) {
						got, err := as(reader.token).send("GET", "/secrets/demo/variable/"+name, nil)
						return result{value: got.body}, err == nil && got.status == 200
					})
				case 5:
					verb := map[bool]string{true: "grant", false: "revoke"}[random.IntN(2) == 0]
					held := map[string]string{"grant": "yes", "revoke": "no"}[verb]
					r.do(clientID, operation{"grant", true, held}, func() (result, bool) {
						text := "- !" + verb + " {role: !group readers, member: !host reader}\n"
						got, err := as(admin[0].token).send("PATCH", "/policies/demo/policy/root", []byte(text))
						return result{}, err == nil && got.status == 201
					})
				case 6:
					r.do(clientID, operation{register: "grant"}, func() (result, bool) {
						got, err := as(reader.token).send("GET", "/secrets/demo/variable/granted", nil)
						return result{value: map[int]string{200: "yes", 404: "no"}[got.status]}, err == nil && (got.status == 200 || got.status == 404)
					})
				case 7:
					host := random.IntN(2)
					login := fmt.Sprint("host/h", host)
					if random.IntN(4) == 0 {
						r.do(clientID, operation{login, true, fmt.Sprintf("unknown %d-%d", who, n)}, func() (result, bool) {
							got, err := as(admin[0].token).send("PUT", fmt.Sprintf("/authn/demo/api_key?role=demo:host:h%d", host), nil)
							if err != nil || got.status != 200 {
								return result{}, false
							}
							known[host] = got.body
							return result{value: got.body}, true
						})
						continue
					}
					r.do(clientID, operation{register: login, value: known[host]}, func() (result, bool) {
						got, err := as("").authenticate(login, known[host])
						return result{tried: true, holds: got.status == 200}, err == nil && (got.status == 200 || got.status == 401)
					})
				}
			}
		})
	}
	random := rand.New(rand.NewPCG(12, 12))
	kills, stops := 0, 0
	for i := 0; time.Since(r.start) < length; i++ {
		time.Sleep(time.Duration(200+random.IntN(400)) * time.Millisecond)
		at := i % len(k.nodes)
		if random.IntN(2) == 0 {
			kills++
			if err := k.restart(t, at); err != nil {
				t.Error(err)
				break
			}
			mu.Lock()
			urls[at] = k.nodes[at].url
			mu.Unlock()
			continue
		}
		stops++
		k.nodes[at].signal(t, syscall.SIGSTOP)
		time.Sleep(time.Duration(300+random.IntN(1200)) * time.Millisecond)
		k.nodes[at].signal(t, syscall.SIGCONT)
	}
	close(stop)
	wg.Wait()

	unknown, perRegister := 0, map[string]int{}
	for _, op := range r.history {
		perRegister[op.Input.(operation).register]++
		if op.Return == never {
			unknown++
		}
	}
	t.Logf("%d kills, %d stops, %d operations (%v), %d writes of unknown outcome", kills, stops, len(r.history), perRegister, unknown)
	if kills < 3 || stops < 3 || len(r.history) < 500 {
		t.Error("that was too tame")
	}
	if got, info := porcupine.CheckOperationsVerbose(registers, r.history, 60*time.Second); got != porcupine.Ok {
		t.Errorf("the history is %s", got)
		partial := info.PartialLinearizationsOperations()
		for i := range partial {
			longest := slices.MaxFunc(partial[i], func(a, b []porcupine.Operation) int { return len(a) - len(b) })
			if n := len(longest); n > 0 {
				t.Logf("the longest linearization of part %d has %d operations, and ends with %+v", i, n, longest[n-1])
			}
		}
	}
}
