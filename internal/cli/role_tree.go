package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"rekey/internal/cli/client"
)

func roleTreeCommand() *cobra.Command {
	var up, down bool
	cmd := newRemote(&cobra.Command{
		Use: "tree ID", Short: "Draw what a role is a member of, and what its members are",
		Long: "Draws the memberships around a role, direct or not: first what it is a member of, then its members. As\n" +
			"JSON or a table, each membership is a pair of a role (parent) and its member (child).",
		Example: "  rekey role tree layer:shop/web\n  rekey role tree host/shop/web-1 --up", Args: exactly(1),
	}, func(cmd *cobra.Command, s *client.Session, args []string) error {
		id, err := s.RoleID(args[0])
		if err != nil {
			return err
		}
		edges, err := s.Graph(id)
		if err != nil {
			return err
		}
		parents, members := map[string][]string{}, map[string][]string{}
		var rows [][]string
		for _, e := range edges {
			if e.Child != e.Parent { // as the owner of itself
				parents[e.Child] = append(parents[e.Child], e.Parent)
				members[e.Parent] = append(members[e.Parent], e.Child)
			}
			rows = append(rows, []string{e.Parent, e.Child})
		}
		if form := formOf(cmd); form != formatText {
			return form.print(cmd, edges, []string{"ROLE", "MEMBER"}, rows)
		}
		out := cmd.OutOrStdout()
		for _, side := range []struct {
			title string
			shown bool
			next  map[string][]string
		}{{"is a member of", up || !down, parents}, {"has the members", down || !up, members}} {
			switch {
			case side.shown && len(side.next[string(id)]) == 0:
				fmt.Fprintln(out, client.Visible(string(id))+" "+side.title+": none")
			case side.shown:
				fmt.Fprintln(out, client.Visible(string(id))+" "+side.title+":")
				draw(out, side.next, string(id), "", nil)
			}
		}
		return nil
	})
	cmd.Flags().BoolVar(&up, "up", false, "only what it is a member of")
	cmd.Flags().BoolVar(&down, "down", false, "only its members")
	outcomeFlag(cmd.Flags())
	return cmd
}

// draw draws the tree below a role. A role that the way down has passed is not gone
// into again.
func draw(w io.Writer, next map[string][]string, role, margin string, way []string) {
	way = append(slices.Clone(way), role)
	below := slices.Sorted(slices.Values(next[role]))
	for i, child := range below {
		branch, deeper := "├── ", "│   "
		if i == len(below)-1 {
			branch, deeper = "└── ", "    "
		}
		if slices.Contains(way, child) {
			fmt.Fprintln(w, margin+branch+client.Visible(child)+" (see above)")
			continue
		}
		fmt.Fprintln(w, margin+branch+client.Visible(child))
		draw(w, next, child, margin+deeper, way)
	}
}
