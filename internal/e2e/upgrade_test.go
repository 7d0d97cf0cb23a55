package e2e

import (
	"strings"
	"testing"
	"time"
)

// Given two nodes that run: when a newer program says in the database that they could not
// live with what it has made of the schema, they answer 503 and say why, and do not start
// again.
func TestNodesThatAreTooOldStopAnswering(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	k := newClusterOn(t, url, 2)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !variable v\n")
	admin[1].must(t, 201, "POST", "/secrets/demo/variable/v", "one")

	database.Lock()
	s := database.server
	database.Unlock()
	// What a migration does that raises minCompatible to 99: the text of the log's entry is
	// a 2 and the number.
	if err := s.RunIn(s.Name(url), `BEGIN; SELECT number FROM rekey.log_head WHERE id = 1 FOR UPDATE;
		UPDATE rekey.schema_version SET version = 99, min_compatible = 99;
		UPDATE rekey.log_head SET number = number + 1;
		INSERT INTO rekey.log (number, mark, at, body) SELECT number, '\x00112233445566778899aabbccddeeff', 1, '\x0263' FROM rekey.log_head; COMMIT`); err != nil {
		t.Fatal(err)
	}
	for _, c := range admin {
		c.must(t, 503, "GET", "/secrets/demo/variable/v", "")
		c.must(t, 503, "POST", "/secrets/demo/variable/v", "two")
		c.must(t, 503, "GET", "/whoami", "", "Authorization", "")
	}
	for _, node := range k.nodes {
		eventually(t, 10*time.Second, func() bool { return strings.Contains(node.stderr.String(), "too old for the database") })
	}
	k.nodes[0].kill()
	again, err := spawn(k.nodes[0].dir, k.flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.kill)
	select {
	case err := <-again.exited:
		if err == nil || !strings.Contains(again.stderr.String(), "start the newer program") {
			t.Errorf("%v, %s", err, again.stderr.String())
		}
	case <-time.After(40 * time.Second):
		t.Error("it goes on")
	}
}
