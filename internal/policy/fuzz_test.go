package policy

import (
	"errors"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

// FuzzParse reads anything: it ends, does not panic, and answers with a fault of
// kind PolicyInvalid or with records whose ids are well formed, of this account,
// declared once, and after their owners.
func FuzzParse(f *testing.F) {
	for _, c := range corpus {
		f.Add([]byte(c.text), c.branch)
	}
	for _, c := range syntaxCases {
		f.Add([]byte(c.text), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, branch bool) {
		scope := rootScope
		if branch {
			scope = branchScope
		}
		r, err := resolve(string(text), scope)
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) || e.Kind != fault.PolicyInvalid || e.Message == "" {
				t.Fatalf("not a fault of a policy: %v", err)
			}
			if !errors.Is(err, ErrSyntax) && !errors.Is(err, ErrStatement) && !errors.Is(err, ErrMeaning) {
				t.Fatalf("no cause: %v", err)
			}
			return
		}
		checkOrder(t, r)
		for _, record := range r.Records {
			if _, err := ident.Parse(string(record.ID)); err != nil || record.ID.Account() != "acct" {
				t.Fatalf("record %q: %v", record.ID, err)
			}
			if record.Resource && record.Owner.ID == "" {
				t.Fatalf("%s has no owner", record.ID)
			}
		}
	})
}

// checkOrder fails unless each record comes after the records that it depends on.
func checkOrder(t *testing.T, r *Resolved) {
	t.Helper()
	at := map[ident.ID]int{}
	for i, record := range r.Records {
		if record.Role {
			if _, twice := at[record.ID]; twice {
				t.Fatalf("role %s is declared twice", record.ID)
			}
			at[record.ID] = i
		}
	}
	for i, record := range r.Records {
		for _, needed := range append([]Reference{record.Owner}, record.Layers...) {
			if j, ok := at[needed.ID]; ok && j > i {
				t.Fatalf("%s comes before %s, on which it depends", record.ID, needed.ID)
			}
		}
	}
}
