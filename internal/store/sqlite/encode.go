package sqlite

import (
	"database/sql/driver"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/ident"
	"rekey/internal/row"
)

// encode is the table of a row and its values in the order of the columns. It
// refuses what decode could not read back.
func encode(r row.Row) (*table, []driver.Value, error) {
	switch r := r.(type) {
	case row.DataKey:
		return dataKeys, []driver.Value{int64(r.ID), blob(r.Wrapped), r.Active, millis(r.CreatedAt)}, nil
	case row.Account:
		return accounts, []driver.Value{r.Name, millis(r.CreatedAt)}, nil
	case row.SigningKey:
		return signingKeys, []driver.Value{r.Account, r.KeyID, blob(r.Sealed), millis(r.CreatedAt), millis(r.RetiredAt)}, nil
	case row.Role:
		return roles, []driver.Value{string(r.ID), millis(r.CreatedAt), string(r.Policy)}, nil
	case row.Resource:
		return resources, []driver.Value{string(r.ID), string(r.Owner), millis(r.CreatedAt), string(r.Policy)}, nil
	case row.Membership:
		return memberships, []driver.Value{string(r.Role), string(r.Member), r.Ownership, r.Admin, string(r.Policy)}, nil
	case row.Permission:
		return permissions, []driver.Value{string(r.Resource), string(r.Role), r.Privilege, string(r.Policy)}, nil
	case row.Annotation:
		return annotations, []driver.Value{string(r.Resource), r.Name, r.Value, string(r.Policy)}, nil
	case row.APIKey:
		return apiKeys, []driver.Value{string(r.Role), r.Digest[:], millis(r.RotatedAt), int64(r.Form), r.Request[:], blob(r.Sealed)}, nil
	case row.StagedKey:
		return stagedKeys, []driver.Value{string(r.Role), r.Digest[:], blob(r.Sealed), millis(r.StagedAt), millis(r.LapsesAt),
			r.Grace.Milliseconds(), r.Request[:]}, nil
	case row.OldKey:
		return oldKeys, []driver.Value{string(r.Role), r.Digest[:], millis(r.ValidUntil)}, nil
	case row.KeyUse:
		return keyUses, []driver.Value{string(r.Role), millis(r.UsedAt)}, nil
	case row.Password:
		return passwords, []driver.Value{string(r.Role), blob(r.Sealed), millis(r.ChangedAt)}, nil
	case row.Restriction:
		list, err := cidrs(r.Networks)
		return restrictions, []driver.Value{string(r.Role), list}, err
	case row.Secret:
		return secrets, []driver.Value{string(r.Resource), int64(r.Version), millis(r.CreatedAt), millis(r.ExpiresAt), blob(r.Sealed)}, nil
	case row.PolicyVersion:
		return policyVersions, []driver.Value{string(r.Policy), int64(r.Version), string(r.Role),
			millis(r.CreatedAt), millis(r.FinishedAt), r.ClientIP, r.SHA256, r.Text}, nil
	case row.HostFactoryToken:
		list, err := cidrs(r.Networks)
		return hostFactoryTokens, []driver.Value{r.Digest[:], string(r.Factory), blob(r.Sealed), list, millis(r.ExpiresAt)}, err
	case row.Authenticator:
		return authenticators, []driver.Value{string(r.Resource), r.Enabled}, nil
	case row.Rotation:
		return rotations, encodeRotation(r), nil
	case row.Credential:
		return credentials, []driver.Value{string(r.Variable), string(r.Slot), blob(r.Sealed)}, nil
	case row.RotationEvent:
		return rotationEvents, encodeRotationEvent(r), nil
	case row.Delivery:
		return deliveries, encodeDelivery(r), nil
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

func moment(v driver.Value) time.Time {
	if ms := v.(int64); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

func networks(v driver.Value) ([]netip.Prefix, error) {
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

func digest(v driver.Value) (digest [32]byte, err error) {
	if copy(digest[:], bytes(v)) != len(digest) || len(bytes(v)) != len(digest) {
		err = fmt.Errorf("a digest of %d bytes instead of %d", len(bytes(v)), len(digest))
	}
	return digest, err
}

// The columns are STRICT and NOT NULL, so these assertions hold. The driver gives
// nil for an empty blob.
func id(v driver.Value) ident.ID  { return ident.ID(v.(string)) }
func text(v driver.Value) string  { return v.(string) }
func integer(v driver.Value) int  { return int(v.(int64)) }
func boolean(v driver.Value) bool { return v.(int64) != 0 }
func bytes(v driver.Value) []byte { b, _ := v.([]byte); return b } // nil stays nil
