package schema

import (
	"fmt"

	"rekey/internal/row"
)

// Describe names a row for people; it shows nothing sealed.
func Describe(r row.Row) string {
	switch r := r.(type) {
	case row.DataKey:
		return fmt.Sprintf("data key %d", r.ID)
	case row.Account:
		return "account " + r.Name
	case row.SigningKey:
		return fmt.Sprintf("signing key %s of %s", r.KeyID, r.Account)
	case row.Role:
		return "role " + string(r.ID)
	case row.Resource:
		return "resource " + string(r.ID)
	case row.Membership:
		return fmt.Sprintf("membership of %s in %s", r.Member, r.Role)
	case row.Permission:
		return fmt.Sprintf("permission of %s to %s %s", r.Role, r.Privilege, r.Resource)
	case row.Annotation:
		return fmt.Sprintf("annotation %s of %s", r.Name, r.Resource)
	case row.APIKey:
		return "API key of " + string(r.Role)
	case row.StagedKey:
		return "staged API key of " + string(r.Role)
	case row.OldKey:
		return "old API key of " + string(r.Role)
	case row.KeyUse:
		return "use of the API key of " + string(r.Role)
	case row.Password:
		return "password of " + string(r.Role)
	case row.Restriction:
		return "restriction of " + string(r.Role)
	case row.Secret:
		return fmt.Sprintf("version %d of %s", r.Version, r.Resource)
	case row.PolicyVersion:
		return fmt.Sprintf("version %d of %s", r.Version, r.Policy)
	case row.HostFactoryToken:
		return fmt.Sprintf("token %x of %s", r.Digest[:4], r.Factory)
	case row.Authenticator:
		return "authenticator " + string(r.Resource)
	case row.Rotation:
		return "rotation of " + string(r.Variable)
	case row.Credential:
		return fmt.Sprintf("%s credential of %s", r.Slot, r.Variable)
	case row.RotationEvent:
		return fmt.Sprintf("event %d of the rotation of %s", r.Revision, r.Variable)
	case row.Delivery:
		return "delivery " + r.ID
	}
	return fmt.Sprintf("row of type %T", r)
}
