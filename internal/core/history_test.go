package core

import (
	"testing"

	"rekey/internal/store"
)

func at(number int64, mark byte) store.Position {
	return store.Position{Number: number, Mark: [16]byte{mark, byte(number)}}
}

// come brings a history to a transaction, with so many changes in it.
func (h *history) come(to int64, mark byte, changes int) {
	for n := h.now.transaction + 1; n <= to; n++ {
		h.reach(at(n, mark))
	}
	for range changes {
		h.next()
	}
}

func TestIDsMeanTheSameInAllProcessesOfOneHistory(t *testing.T) {
	var one, other, restored, fresh, alone, older history
	one.begin(at(3, 7))
	other.begin(at(8, 7)) // started later
	restored.begin(at(3, 7))
	alone.epoch = "x"
	one.come(10, 7, 2)
	other.come(10, 7, 2)
	restored.come(9, 7, 0)
	restored.come(11, 8, 5) // a failover has lost transaction 10
	fresh.begin(at(10, 7))
	older.begin(at(10+changesKept*3, 7))
	for _, c := range []struct {
		name string
		of   *history
		id   string
		want bool
	}{
		{"its own", &one, one.id(one.now), true},
		{"another process's", &other, one.id(one.now), true},
		{"of an earlier transaction", &other, one.id(place{9, 0}), true},
		{"of the one at which it began", &other, one.id(place{8, 0}), true},
		{"of all of a transaction, by one that began with it", &one, fresh.id(fresh.now), true},
		{"of one before it began", &other, one.id(place{7, 0}), false},
		{"of one that has not come yet", &other, "1.070b0000.11-0", false},
		{"of a change that has not come yet", &other, one.id(place{10, 3}), false},
		{"of a history that was lost", &restored, one.id(one.now), false},
		{"of before it was lost", &restored, one.id(place{9, 0}), true},
		{"far behind", &older, one.id(one.now), false},
		{"of a program that counts in another way", &other, "2" + one.id(one.now)[1:], false},
		{"of a process alone", &one, alone.id(alone.now), false},
		{"for a process alone", &alone, one.id(one.now), false},
		{"nothing", &one, "", false},
		{"no number", &one, "1.0708.8-x", false},
	} {
		if _, ok := c.of.parse(c.id); ok != c.want {
			t.Errorf("%s: %q is known: %t", c.name, c.id, ok)
		}
	}
	for range 5 * changesKept {
		one.reach(at(one.now.transaction+1, 7))
	}
	if id := one.id(place{one.now.transaction - changesKept + 1, 0}); len(one.marks) > 2*changesKept {
		t.Errorf("%d marks are kept", len(one.marks))
	} else if _, ok := one.parse(id); !ok {
		t.Errorf("%s is not known", id)
	}
}
