package schema

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// Encode is the table of a row and its values in the order of the columns. It
// refuses what Row could not read back.
func Encode(r row.Row) (*Table, []Value, error) {
	switch r := r.(type) {
	case row.DataKey:
		return DataKeys, []Value{int64(r.ID), blob(r.Wrapped), r.Active, millis(r.CreatedAt)}, nil
	case row.Account:
		return Accounts, []Value{r.Name, millis(r.CreatedAt)}, nil
	case row.SigningKey:
		return SigningKeys, []Value{r.Account, r.KeyID, blob(r.Sealed), millis(r.CreatedAt), millis(r.RetiredAt)}, nil
	case row.Role:
		return Roles, []Value{string(r.ID), millis(r.CreatedAt), string(r.Policy)}, nil
	case row.Resource:
		return Resources, []Value{string(r.ID), string(r.Owner), millis(r.CreatedAt), string(r.Policy)}, nil
	case row.Membership:
		return Memberships, []Value{string(r.Role), string(r.Member), r.Ownership, r.Admin, string(r.Policy)}, nil
	case row.Permission:
		return Permissions, []Value{string(r.Resource), string(r.Role), r.Privilege, string(r.Policy)}, nil
	case row.Annotation:
		return Annotations, []Value{string(r.Resource), r.Name, r.Value, string(r.Policy)}, nil
	case row.APIKey:
		return APIKeys, []Value{string(r.Role), r.Digest[:], millis(r.RotatedAt), int64(r.Form), r.Request[:], blob(r.Sealed)}, nil
	case row.StagedKey:
		return StagedKeys, []Value{string(r.Role), r.Digest[:], blob(r.Sealed), millis(r.StagedAt), millis(r.LapsesAt),
			r.Grace.Milliseconds(), r.Request[:]}, nil
	case row.OldKey:
		return OldKeys, []Value{string(r.Role), r.Digest[:], millis(r.ValidUntil)}, nil
	case row.KeyUse:
		return KeyUses, []Value{string(r.Role), millis(r.UsedAt)}, nil
	case row.Password:
		return Passwords, []Value{string(r.Role), blob(r.Sealed), millis(r.ChangedAt)}, nil
	case row.Restriction:
		list, err := cidrs(r.Networks)
		return Restrictions, []Value{string(r.Role), list}, err
	case row.Secret:
		return Secrets, []Value{string(r.Resource), int64(r.Version), millis(r.CreatedAt), millis(r.ExpiresAt), blob(r.Sealed)}, nil
	case row.PolicyVersion:
		return PolicyVersions, []Value{string(r.Policy), int64(r.Version), string(r.Role),
			millis(r.CreatedAt), millis(r.FinishedAt), r.ClientIP, r.SHA256, r.Text}, nil
	case row.HostFactoryToken:
		list, err := cidrs(r.Networks)
		return HostFactoryTokens, []Value{r.Digest[:], string(r.Factory), blob(r.Sealed), list, millis(r.ExpiresAt)}, err
	case row.Authenticator:
		return Authenticators, []Value{string(r.Resource), r.Enabled}, nil
	case row.Rotation:
		return Rotations, encodeRotation(r), nil
	case row.Credential:
		return Credentials, []Value{string(r.Variable), string(r.Slot), blob(r.Sealed)}, nil
	case row.RotationEvent:
		return RotationEvents, encodeRotationEvent(r), nil
	case row.Delivery:
		return Deliveries, []Value{r.ID, r.Hook, r.Event, string(r.Subject), r.Body, millis(r.CreatedAt),
			string(r.State), int64(r.Attempts), millis(r.NextAt), millis(r.LastAt), int64(r.Status), r.Problem}, nil
	}
	return nil, nil, fault.New(fault.Internal, "rows of type %T cannot be stored", r)
}

// blob keeps a nil slice from becoming NULL.
func blob(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func cidrs(networks []netip.Prefix) (string, error) {
	texts := make([]string, len(networks))
	for i, network := range networks {
		if !network.IsValid() {
			return "", fault.New(fault.Internal, "a network of the row is not valid")
		}
		texts[i] = network.String()
	}
	return strings.Join(texts, ","), nil
}

func moment(v Value) time.Time {
	if ms := v.(int64); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

func networks(v Value) ([]netip.Prefix, error) {
	if v.(string) == "" {
		return nil, nil
	}
	var networks []netip.Prefix
	for text := range strings.SplitSeq(v.(string), ",") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func digest(v Value) (digest [32]byte, err error) {
	if copy(digest[:], bytes(v)) != len(digest) || len(bytes(v)) != len(digest) {
		err = fmt.Errorf("a digest of %d bytes instead of %d", len(bytes(v)), len(digest))
	}
	return digest, err
}

// The columns have types and no NULLs, so these assertions hold. Some engines give nil
// for empty bytes, and a number for a truth.
func id(v Value) ident.ID  { return ident.ID(v.(string)) }
func text(v Value) string  { return v.(string) }
func integer(v Value) int  { return int(v.(int64)) }
func bytes(v Value) []byte { b, _ := v.([]byte); return b } // nil stays nil

func boolean(v Value) bool {
	if n, ok := v.(int64); ok {
		return n != 0
	}
	return v.(bool)
}

func encodeRotation(r row.Rotation) []Value {
	return []Value{string(r.Variable), r.Revision, r.State, r.ID, r.Identity, int64(r.Version),
		r.Candidate, r.Sent, r.Unsure, r.Acked, r.Previous, r.Discarded,
		int64(r.Attempts), int64(r.AuthFailures), int64(r.BadValues),
		millis(r.StartedAt), millis(r.LastSuccess), millis(r.RetryAt), millis(r.RetireAt),
		millis(r.RequestedAt), string(r.RequestedBy), r.Reconcile, millis(r.PausedAt), string(r.PausedBy), r.PauseReason,
		r.ErrorClass, r.ErrorMessage, millis(r.ErrorAt), r.Holder, millis(r.LeaseUntil), r.Events, millis(r.CheckedAt),
		r.Awaited, millis(r.RetireBy)}
}

func encodeRotationEvent(r row.RotationEvent) []Value {
	return []Value{string(r.Variable), r.Revision, millis(r.At), r.ID, r.State, r.Actor, r.Event, r.Class, r.Message, r.Took.Milliseconds()}
}
