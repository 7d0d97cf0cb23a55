package client

import (
	"cmp"
	"slices"

	"github.com/cyberark/conjur-api-go/conjurapi"

	"rekey/internal/ident"
)

const (
	mostCompared = 1000 // ids that are compared with one that is not there
	longestWord  = 200  // beyond which a comparison would take long
)

// nearest finds ids of the same kind that differ from one by a typing error or two. As
// with search, what goes wrong means no hint.
func (s *Session) nearest(id ident.ID) []string {
	if len(id.Identifier()) > longestWord {
		return nil
	}
	ids, err := s.API.ResourceIDs(&conjurapi.ResourceFilter{Kind: id.Kind(), Limit: mostCompared})
	if err != nil {
		return nil
	}
	const most = 2
	distances := map[string]int{}
	for _, other := range ids {
		if name := ident.ID(other).Identifier(); len(name) <= longestWord {
			distances[other] = distance(id.Identifier(), name)
		}
	}
	near := slices.DeleteFunc(ids, func(other string) bool {
		d, compared := distances[other]
		return !compared || d == 0 || d > min(most, len(id.Identifier())/3)
	})
	slices.SortStableFunc(near, func(a, b string) int { return cmp.Compare(distances[a], distances[b]) })
	return near
}

// distance is the number of characters to insert, remove or replace that make a of b
// (Levenshtein).
func distance(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, y := range to {
			cost := 1
			if x == y {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(to)]
}
