package policy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestOrder(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"as written", "- !user b\n- !user a", "user user:b\nuser user:a"},
		{"a chain from behind", "- !group {id: a, owner: !group b}\n- !group {id: b, owner: !group c}\n- !user u\n- !group c", "group group:c\ngroup group:b of group:c\ngroup group:a of group:b\nuser user:u"},
		{"an owner in a later policy", "- !variable {id: v, owner: !group p/g}\n- !policy {id: p, body: [!group g]}", "policy policy:p\ngroup group:p/g of policy:p\nvariable variable:v of group:p/g"},
		{"a layer declared later", "- !host-factory {id: f, layer: l}\n- !layer l", "layer layer:l\nhost-factory host_factory:f for layer:l"},
		{"grants come after all records", "- !grant {role: !group g, member: !user u}\n- !group g", "group group:g\ngrant group:g to user:u"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := resolve(c.text, rootScope)
			if err != nil || show(r, rootScope) != c.want {
				t.Errorf("got:\n%s\n%v\nwant:\n%s", show(r, rootScope), err, c.want)
			}
		})
	}
}

func TestLongCycleNamesItsRecords(t *testing.T) {
	_, err := resolve("- !group {id: a, owner: !group b}\n- !group {id: b, owner: !group c}\n- !group {id: c, owner: !group a}\n", rootScope)
	if err == nil || err.Error() != "Dependency cycle encountered between group 'a' and group 'b'" {
		t.Fatal(err)
	}
}

// Any document of groups that own each other either has a cycle and is refused for
// it, or is ordered owners first with nothing lost.
func TestOrderIsTopological(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		n := 1 + random.IntN(12)
		owners := make([]int, n)
		var text strings.Builder
		for i := range owners {
			owners[i] = random.IntN(n+1) - 1
			if owners[i] < 0 {
				fmt.Fprintf(&text, "- !group g%d\n", i)
			} else {
				fmt.Fprintf(&text, "- !group {id: g%d, owner: !group g%d}\n", i, owners[i])
			}
		}
		cyclic := false
		for i := range owners {
			at := i
			for range n {
				if at >= 0 && owners[at] != at {
					at = owners[at]
				} else {
					at = -1
				}
			}
			cyclic = cyclic || at >= 0
		}
		r, err := resolve(text.String(), rootScope)
		if cyclic {
			if err == nil || !strings.HasPrefix(err.Error(), "Dependency cycle encountered between") {
				t.Fatalf("seed %d: %s\ngot %v", seed, text.String(), err)
			}
			continue
		}
		if err != nil || len(r.Records) != n {
			t.Fatalf("%s\ngot %v", text.String(), err)
		}
		at := map[string]int{}
		for i, record := range r.Records {
			at[record.ID.Identifier()] = i
		}
		for i, owner := range owners {
			if owner >= 0 && at[fmt.Sprint("g", owner)] > at[fmt.Sprint("g", i)] {
				t.Fatalf("%s\ng%d comes before its owner g%d", text.String(), i, owner)
			}
		}
	}
}
