package policy

import (
	"fmt"
	"strings"
	"testing"
)

// What the graph finds by going through a list is bounded in length: a load holds
// everybody else up while it is planned and applied.
func TestListsOfOneRecordAreBounded(t *testing.T) {
	annotations := func(from, to int) string {
		var text strings.Builder
		text.WriteString("- !group\n  id: g\n  annotations:\n")
		for i := from; i < to; i++ {
			fmt.Fprintf(&text, "    a%d: x\n", i)
		}
		return text.String()
	}
	privileges := func(from, to int) string {
		var words []string
		for i := from; i < to; i++ {
			words = append(words, fmt.Sprint("p", i))
		}
		return "- !group g\n- !variable v\n- !permit {role: !group g, resource: !variable v, privileges: [" + strings.Join(words, ", ") + "]}"
	}
	for _, c := range []struct{ name, given, when, fails string }{
		{"as many annotations as allowed", annotations(0, MaxAnnotations), annotations(0, MaxAnnotations), ""},
		{"more annotations at once", "[]", annotations(0, MaxAnnotations+1), "'acct:group:g' would have more than 1000 annotations"},
		{"more annotations one after the other", annotations(0, MaxAnnotations), annotations(MaxAnnotations, MaxAnnotations+1), "'acct:group:g' would have more than 1000 annotations"},
		{"as many privileges as allowed", privileges(0, MaxPrivileges), privileges(0, MaxPrivileges), ""},
		{"more privileges at once", "[]", privileges(0, MaxPrivileges+1), "'acct:group:g' would have more than 100 privileges on 'acct:variable:v'"},
		{"more privileges one after the other", privileges(0, MaxPrivileges), privileges(MaxPrivileges, MaxPrivileges+1), "'acct:group:g' would have more than 100 privileges on 'acct:variable:v'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newPlanWorld(t, 1)
			if err := w.into(into{text: c.given}); err != nil {
				t.Fatal(err)
			}
			err := w.into(into{text: c.when})
			if c.fails == "" && err != nil || c.fails != "" && (err == nil || err.Error() != c.fails) {
				t.Errorf("got %v, want %s", err, c.fails)
			}
		})
	}
}
