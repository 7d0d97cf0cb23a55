package e2e

import (
	"bufio"
	"context"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// news opens the stream of events after an id, and returns what comes until it has as many
// events as are wanted, and then the id to go on with.
func (c *client) news(t *testing.T, after string, want int) (events []string, id string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, "GET", c.url+"/events/demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", c.token)
	request.Header.Set("Last-Event-ID", after)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines, kind, fresh := bufio.NewScanner(response.Body), "", false
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			kind = value
		case "data":
			events = append(events, kind+" "+value)
			fresh = false
		case "id":
			id, fresh = value, true
		case "":
			if fresh && kind == "" && len(events) >= want {
				return events, id
			}
			kind = ""
		}
	}
	t.Fatalf("the stream of %s ends with %v: %v", c.url, events, lines.Err())
	return nil, ""
}

// Given two nodes: who comes back to the other one hears what has happened meanwhile,
// nothing twice and nothing less; and where that is not known it hears that.
func TestEventsGoOnAtAnotherNode(t *testing.T) {
	t.Parallel()
	k := newClusterOn(t, newDatabase(t), 2)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !variable v\n- !variable w\n")
	_, id := admin[0].news(t, "", 0)
	values := 0
	write := func(node int, variable string) {
		t.Helper()
		values++
		admin[node].must(t, 201, "POST", "/secrets/demo/variable/"+variable, strconv.Itoa(values))
	}
	told := func(node int, want ...string) {
		t.Helper()
		var events []string
		events, id = admin[node].news(t, id, len(want))
		if len(events) != len(want) {
			t.Fatalf("node %d tells %v, want %v", node, events, want)
		}
		for i, event := range events {
			if kind, rest, _ := strings.Cut(want[i], " "); !strings.HasPrefix(event, kind+" ") || !strings.Contains(event, rest) {
				t.Errorf("node %d tells %v, want %v", node, events, want)
			}
		}
	}
	write(0, "v")
	write(1, "w")
	told(1, "version demo:variable:v", "version demo:variable:w")
	write(1, "v")
	told(0, "version demo:variable:v")
	told(1)
	write(0, "w")
	if err := k.restart(t, 1); err != nil {
		t.Fatal(err)
	}
	again := newClient(k.nodes[1].url)
	again.token = admin[0].token
	admin[1] = again
	told(1, "resync")
	write(1, "v")
	told(0, "version demo:variable:v")
	id = "dx4k2-7" // of a process that had the store for itself
	told(0, "resync")
}
