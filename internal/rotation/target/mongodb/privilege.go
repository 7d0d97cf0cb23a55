package mongodb

import (
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"rekey/internal/rotation/target/password"
	"rekey/internal/rotation/target/transport"
)

// Foresee is part of password.Foreseer: a server tells whoever is logged in what that one
// may do (MongoDB Manual, "connectionStatus"). The privilege is on the database of the user.
func (s *session) Foresee(ctx context.Context, c password.Change) (bool, error) {
	if ctx.Err() != nil {
		return false, transport.Failure(s.host, ctx.Err())
	}
	var status struct {
		Info struct {
			Privileges []privilege `bson:"authenticatedUserPrivileges"`
		} `bson:"authInfo"`
	}
	err := s.wire.command("admin", bson.D{{Key: "connectionStatus", Value: 1}, {Key: "showPrivileges", Value: true}}, &status)
	var refused *commandError
	switch {
	case errors.As(err, &refused):
		return false, nil
	case err != nil:
		return false, transport.Failure(s.host, err)
	}
	for _, p := range status.Info.Privileges {
		if p.allows("changePassword", s.source) || c.Old.Len() > 0 && p.allows("changeOwnPassword", s.source) {
			return true, nil
		}
	}
	return true, changeFailure(s.host, c.User, s.source, &commandError{code: unauthorized})
}

// privilege is what may be done with a resource: a database if collection is empty, each
// but the server's own if both are, or whatever there is.
type privilege struct {
	Resource struct {
		Database   *string `bson:"db"`
		Collection *string `bson:"collection"`
		Any        bool    `bson:"anyResource"`
	} `bson:"resource"`
	Actions []string `bson:"actions"`
}

func (p privilege) allows(action, database string) bool {
	r := p.Resource
	whole := r.Database != nil && r.Collection != nil && *r.Collection == "" && (*r.Database == database || *r.Database == "")
	return (r.Any || whole) && slices.Contains(p.Actions, action)
}
