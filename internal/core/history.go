package core

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"rekey/internal/store"
)

// place is one among the changes that are told: the nth of a transaction. Where processes
// share a store the number of the transaction is that of their log, and all of them come to
// the same places; otherwise it stays 0, and the places are this process's own.
type place struct {
	transaction int64
	nth         uint64
}

func (p place) before(q place) bool {
	return p.transaction < q.transaction || p.transaction == q.transaction && p.nth < q.nth
}

// order is the version of what makes the places: which changes are told of a transaction,
// and in which order. It changes with that, so that an id of a program of another version
// is not taken for something else.
const order = 1

// history is where one is among the changes, and writes it down in ids. An id of another
// history means nothing: of another process or, where processes share a store, of one that
// a failover has put an end to. Its mark tells which it is.
type history struct {
	epoch  string // of a process that shares nothing
	shared bool
	now    place
	marks  []mark // of the newest transactions, the last one's at the end
}

// mark is the first bytes of what a store.Position has.
type mark [4]byte

// whole stands for all changes of a transaction, by who has not counted them.
const whole = 1 << 32

// begin forgets all transactions up to a position.
func (h *history) begin(at store.Position) {
	h.shared, h.marks = true, nil
	h.reach(at)
	h.now.nth = whole
}

// reach goes on to the next transaction.
func (h *history) reach(at store.Position) {
	if len(h.marks) >= 2*changesKept {
		h.marks = append(h.marks[:0], h.marks[len(h.marks)-changesKept:]...)
	}
	h.now, h.marks = place{transaction: at.Number}, append(h.marks, mark(at.Mark[:4]))
}

// next is the place of the next change.
func (h *history) next() place {
	h.now.nth++
	return h.now
}

// markOf is that of a transaction, if it is one of the newest.
func (h *history) markOf(transaction int64) (m mark, ok bool) {
	i := int64(len(h.marks)) - 1 - (h.now.transaction - transaction)
	if i < 0 || i >= int64(len(h.marks)) {
		return m, false
	}
	return h.marks[i], true
}

// id is how a place goes out.
func (h *history) id(p place) string {
	if !h.shared {
		return h.epoch + "-" + strconv.FormatUint(p.nth, 10)
	}
	m, _ := h.markOf(p.transaction) // if it is too old, nobody knows the id any more
	return fmt.Sprintf("%d.%x.%d-%d", order, m, p.transaction, p.nth)
}

// parse reads an id; ok is false if it is none of this history.
func (h *history) parse(id string) (p place, ok bool) {
	which, nth, _ := strings.Cut(id, "-")
	var err error
	if p.nth, err = strconv.ParseUint(nth, 10, 64); err != nil {
		return p, false
	}
	if !h.shared {
		return p, which == h.epoch && !h.now.before(p)
	}
	parts := strings.Split(which, ".")
	if len(parts) != 3 || parts[0] != strconv.Itoa(order) {
		return p, false
	}
	if p.transaction, err = strconv.ParseInt(parts[2], 10, 64); err != nil || h.now.before(p) && p != (place{h.now.transaction, whole}) {
		return p, false
	}
	m, ok := h.markOf(p.transaction)
	return p, ok && parts[1] == hex.EncodeToString(m[:])
}
