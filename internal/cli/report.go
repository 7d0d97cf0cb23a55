package cli

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/fatih/color"

	"rekey/internal/cli/client"
)

// printReport shows what a policy load would change: + what is new, ~ what changes,
// - what goes.
func printReport(w io.Writer, r *client.Report) {
	paint := painter(w)
	line := func(c color.Attribute, sign, text string) { fmt.Fprintln(w, paint(c, sign+" "+client.Visible(text))) }
	for _, item := range r.Created.Items {
		line(color.FgGreen, "+", item.Identifier+"  owner "+item.Owner)
	}
	owners := ownerships(r)
	before := map[string]client.Item{}
	for _, item := range r.Updated.Before.Items {
		before[item.Identifier] = item
	}
	changed := 0
	for _, item := range r.Updated.After.Items {
		gone, come := facts(before[item.Identifier]), facts(item)
		for _, owned := range owners[item.Identifier] {
			delete(gone, "member of "+owned)
			delete(come, "member of "+owned)
		}
		if maps.Equal(gone, come) {
			continue
		}
		changed++
		line(color.FgYellow, "~", item.Identifier)
		for _, fact := range slices.Sorted(maps.Keys(gone)) {
			if !come[fact] {
				line(color.FgRed, "    -", fact)
			}
		}
		for _, fact := range slices.Sorted(maps.Keys(come)) {
			if !gone[fact] {
				line(color.FgGreen, "    +", fact)
			}
		}
	}
	lost := map[string]bool{}
	for _, id := range r.Values.Variables {
		lost[id] = true
	}
	for _, item := range r.Deleted.Items {
		text := item.Identifier
		if lost[text] {
			text += "  and its values"
		}
		line(color.FgRed, "-", text)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintln(w, "warning: "+client.VisibleLines(warning))
	}
	fmt.Fprintf(w, "%d new, %d changed, %d removed\n", len(r.Created.Items), changed, len(r.Deleted.Items))
}

// ownerships are, by owner, the roles that come or go with their owner's membership in
// them. The line of the role tells of it; the owner's would say nothing new.
func ownerships(r *client.Report) map[string][]string {
	owned := map[string][]string{}
	for _, items := range [...][]client.Item{r.Created.Items, r.Deleted.Items} {
		for _, item := range items {
			owned[item.Owner] = append(owned[item.Owner], item.Identifier)
		}
	}
	return owned
}

// facts are what is said about an item, each in a line.
func facts(item client.Item) map[string]bool {
	all := map[string]bool{"owner " + item.Owner: true}
	for name, value := range item.Annotations {
		all[fmt.Sprintf("annotation %s: %s", name, value)] = true
	}
	for _, list := range []struct {
		name string
		of   []string
	}{{"member", item.Members}, {"member of", item.Memberships}, {"restricted to", item.RestrictedTo}} {
		for _, text := range list.of {
			all[list.name+" "+text] = true
		}
	}
	for privilege, ids := range item.Permissions {
		for _, id := range ids {
			all["may "+privilege+" "+id] = true
		}
	}
	for privilege, ids := range item.Permitted {
		for _, id := range ids {
			all[id+" may "+privilege+" it"] = true
		}
	}
	return all
}

// painter colours text on terminals, unless NO_COLOR is set.
func painter(w io.Writer) func(color.Attribute, string) string {
	if _, never := os.LookupEnv("NO_COLOR"); never || !isTerminal(w) {
		return func(_ color.Attribute, text string) string { return text }
	}
	return func(a color.Attribute, text string) string {
		c := color.New(a)
		c.EnableColor()
		return c.Sprint(text)
	}
}
