package e2e

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// Everybody who writes the same value on several nodes at once gets through.
func TestWritersOfOneValueOnAllNodes(t *testing.T) {
	const writers, each = 9, 40
	k := newCluster(t, 3)
	admin := k.admin(t)
	admin[0].load(t, "POST", "root", "- !variable v\n")
	var refused atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		c := newClient(k.nodes[w%3].url)
		c.token = admin[0].token
		wg.Go(func() {
			for n := range each {
				got, err := c.send("POST", "/secrets/demo/variable/v", []byte(fmt.Sprintf("%d-%d", w, n)))
				if err != nil || got.status != 201 {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if n := refused.Load(); n > 0 {
		t.Errorf("%d of %d writes were refused", n, writers*each)
	}
	last := map[string]bool{}
	for _, c := range admin {
		last[c.must(t, 200, "GET", "/secrets/demo/variable/v", "").body] = true
	}
	if len(last) != 1 {
		t.Errorf("the nodes have %v", last)
	}
}
