package policy

import (
	"fmt"
	"slices"
	"strings"
)

// order sorts the records so that each comes after what it depends on, and keeps
// them as written apart from that: a depth-first walk in the order of the text
// that emits a record after its dependencies. It keeps its own stack because a
// chain of owners can be as long as the document.
func (r *resolver) order() error {
	const (
		unseen = iota
		active
		done
	)
	records := r.out.Records
	state := make([]uint8, len(records))
	sorted := make([]Record, 0, len(records))
	type frame struct{ record, next int }
	var stack []frame
	for first := range records {
		if state[first] != unseen {
			continue
		}
		stack = append(stack, frame{record: first})
		state[first] = active
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if top.next == r.dependencies(top.record) {
				state[top.record] = done
				sorted = append(sorted, records[top.record])
				stack = stack[:len(stack)-1]
				continue
			}
			needed := r.dependency(top.record, top.next)
			top.next++
			if needed < 0 || needed == top.record || state[needed] == done {
				continue
			}
			if state[needed] == active {
				begin := slices.IndexFunc(stack, func(f frame) bool { return f.record == needed })
				var cycle []int
				for _, f := range stack[begin:] {
					cycle = append(cycle, f.record)
				}
				return r.cycleError(cycle)
			}
			state[needed] = active
			stack = append(stack, frame{record: needed})
		}
	}
	r.out.Records = sorted
	return nil
}

// dependencies counts what a record depends on: the policy around it, its owner,
// its layers. dependency is the number of the record that the k-th of them is, -1
// if that is not declared in this document.
func (r *resolver) dependencies(record int) int { return 2 + len(r.out.Records[record].Layers) }

func (r *resolver) dependency(record, k int) int {
	if k == 0 {
		return r.parents[record]
	}
	id := r.out.Records[record].Owner.ID
	if k > 1 {
		id = r.out.Records[record].Layers[k-2].ID
	}
	if d, ok := r.declared[id]; ok && d.role {
		return d.record
	}
	return -1
}

func (r *resolver) cycleError(cycle []int) error {
	name := func(i int) string { return describe(r.entities[i], r.out.Records[i].ID) }
	advice := ""
	if len(cycle) > 2 {
		const shown = 10
		var names []string
		for _, i := range cycle[:min(shown, len(cycle))] {
			names = append(names, name(i))
		}
		advice = fmt.Sprintf("The cycle has %d records: %s.", len(cycle), strings.Join(names, ", "))
	}
	return r.refuse(r.entities[cycle[0]], advice,
		"Dependency cycle encountered between %s and %s", name(cycle[0]), name(cycle[1]))
}
