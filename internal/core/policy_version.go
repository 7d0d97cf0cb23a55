package core

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// PolicyVersion returns one load of a policy: who, when, from where and the text. The
// caller must see the policy, whose description has the same.
func (c *Core) PolicyVersion(ctx context.Context, caller Caller, id ident.ID, number string) (row.PolicyVersion, error) {
	versions, err := c.policyVersions(ctx, caller, id, "version", number)
	if err != nil {
		return row.PolicyVersion{}, err
	}
	return versions[0], nil
}

// PolicyDiff compares the texts of two loads of a policy, given as FROM..TO, as a
// unified diff; it is empty if they are equal. The caller must see the policy.
func (c *Core) PolicyDiff(ctx context.Context, caller Caller, id ident.ID, span string) (string, error) {
	from, to, ok := strings.Cut(span, "..")
	if !ok {
		return "", fault.New(fault.Argument, "Invalid value for parameter 'diff': '%s'. Write two versions, such as 3..4", span)
	}
	versions, err := c.policyVersions(ctx, caller, id, "diff", from, to)
	if err != nil {
		return "", err
	}
	return udiff.Unified(label(versions[0]), label(versions[1]), versions[0].Text, versions[1].Text), nil
}

// label is a version as the head of a diff has it: name, tab, time.
func label(v row.PolicyVersion) string {
	return fmt.Sprintf("%s version %d by %s\t%s", quoteLine(v.Policy), v.Version, quoteLine(v.Role), v.CreatedAt.Format(time.RFC3339))
}

// quoteLine keeps an id on its line.
func quoteLine(id ident.ID) string {
	quoted := strconv.Quote(string(id))
	if quoted == `"`+string(id)+`"` {
		return string(id)
	}
	return quoted
}

func (c *Core) policyVersions(ctx context.Context, caller Caller, id ident.ID, parameter string, numbers ...string) ([]row.PolicyVersion, error) {
	found, err := c.findPolicyVersions(ctx, caller, id, parameter, numbers)
	return found, c.decided(err, c.by(caller).Resource(id, err))
}

func (c *Core) findPolicyVersions(ctx context.Context, caller Caller, id ident.ID, parameter string, numbers []string) ([]row.PolicyVersion, error) {
	c.mu.RLock()
	_, _, err := c.visible(caller, id)
	c.mu.RUnlock()
	if err != nil {
		return nil, err
	}
	kept, err := c.store.PolicyVersions(ctx, id)
	if err != nil {
		return nil, unavailable(err, "policy versions of "+string(id))
	}
	var found []row.PolicyVersion
	for _, text := range numbers {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return nil, fault.New(fault.Argument, "Invalid value for parameter '%s': '%s' is not the number of a version", parameter, text)
		}
		at := slices.IndexFunc(kept, func(v row.PolicyVersion) bool { return v.Version == number })
		if at < 0 {
			return nil, fault.New(fault.NotFound, "Version %d of policy '%s' is not kept: %s", number, id.Identifier(), span(kept))
		}
		found = append(found, kept[at])
	}
	return found, nil
}

// span tells which versions there are.
func span(kept []row.PolicyVersion) string {
	if len(kept) == 0 {
		return "it has never been loaded itself"
	}
	return fmt.Sprintf("there are %d to %d", kept[0].Version, kept[len(kept)-1].Version)
}
