package agent

import (
	"errors"
	"maps"
	"testing"

	"rekey/internal/fault"
	"rekey/internal/ident"
)

func TestWhatIsTakenIsAcknowledgedUntilItIsSettled(t *testing.T) {
	roused := 0
	tk := &taken{versions: map[ident.ID]int{}, rouse: func() { roused++ }}
	tk.add(nil)
	tk.add(map[ident.ID]int{"a": 1, "b": 1})
	tk.add(map[ident.ID]int{"a": 2})
	tk.settled("a", 1) // was told before there was another one
	tk.settled("b", 1)
	if left := tk.all(); roused != 2 || !maps.Equal(left, map[ident.ID]int{"a": 2}) {
		t.Errorf("%v, roused %d times", left, roused)
	}
}

func TestWhichRefusalsAreFinal(t *testing.T) {
	for kind, want := range map[fault.Kind]bool{fault.Forbidden: true, fault.NotFound: true, fault.Conflict: true, fault.Invalid: true, fault.Unavailable: false, fault.Unauthenticated: false, fault.Busy: false} {
		if got := final(fault.New(kind, "no")); got != want {
			t.Errorf("%v: %v", kind, got)
		}
	}
	if final(errors.New("broken")) {
		t.Error("what is not known is final")
	}
}
