package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"rekey/internal/ident"
)

// Claims is what a verified token says. It is shared between requests: do not
// change Networks.
type Claims struct {
	Account   string         // of the key that signed it
	Subject   string         // the login name
	Role      ident.ID       // the role that Subject names in Account
	IssuedAt  time.Time      // zero if the token does not say
	ExpiresAt time.Time      // the token is dead from here on
	Networks  []netip.Prefix // where it may be used from; nil is anywhere, empty is nowhere
}

const (
	defaultLife = 480 * time.Second // of a token that has iat and no exp
	clockSkew   = 60 * time.Second  // how far in the future iat may be
	lastSecond  = 253402300799      // the end of the year 9999
)

// Why a token is refused, for the log. None has any of the token.
var (
	errMembers      = errors.New("it is not an object with the members protected, payload and signature as base64url")
	errHeader       = errors.New("its header is not that of a token of this server")
	errKey          = errors.New("it is signed with a key that is not known, or not any more")
	errSignature    = errors.New("its signature is wrong")
	errClaims       = errors.New("its claims are malformed")
	errExpired      = errors.New("it has expired")
	errFuture       = errors.New("it was issued in the future: compare the clocks")
	errUnrecognized = errors.New("it has claims that this server does not know")
)

// verified is a token that was found good, and what it must be checked for again.
type verified struct {
	claims Claims
	kid    string
}

// verify checks signature and claims of a token: an object with three members, or
// a string with the three parts joined by dots.
func verify(document []byte, keys *Keys, now time.Time) (*verified, error) {
	protected, payload, signature, err := parts(document)
	if err != nil {
		return nil, err
	}
	var header struct{ alg, kid string }
	members, err := object(protected)
	if err != nil || text(members["alg"], &header.alg) != nil || text(members["kid"], &header.kid) != nil {
		return nil, errHeader
	}
	key, known := keys.find(header.kid, now)
	if !known {
		return nil, errKey
	}
	if header.alg != algorithm {
		return nil, errHeader
	}
	input := signingInput(base64.URLEncoding.EncodeToString(protected), base64.URLEncoding.EncodeToString(payload))
	if !ed25519.Verify(key.Public, input, signature) {
		return nil, errSignature
	}
	claims, err := readClaims(payload, now)
	if err != nil {
		return nil, err
	}
	claims.Account = key.Account
	claims.Role = ident.FromSubject(key.Account, claims.Subject)
	return &verified{claims, header.kid}, nil
}

func parts(document []byte) (protected, payload, signature []byte, err error) {
	var encoded [3]string
	var compact string
	if text(document, &compact) == nil {
		split := strings.Split(compact, ".")
		if len(split) != len(encoded) {
			return nil, nil, nil, errMembers
		}
		copy(encoded[:], split)
	} else {
		members, err := object(document)
		if err != nil {
			return nil, nil, nil, errMembers
		}
		for i, name := range [...]string{"protected", "payload", "signature"} {
			if text(members[name], &encoded[i]) != nil {
				return nil, nil, nil, errMembers
			}
		}
	}
	var decoded [3][]byte
	for i, member := range encoded {
		// With or without padding: what is signed is the padded form in any case.
		if decoded[i], err = base64.RawURLEncoding.DecodeString(strings.TrimRight(member, "=")); err != nil {
			return nil, nil, nil, errMembers
		}
	}
	return decoded[0], decoded[1], decoded[2], nil
}

func readClaims(payload []byte, now time.Time) (Claims, error) {
	members, err := object(payload)
	if err != nil {
		return Claims{}, errClaims
	}
	for name, value := range members {
		switch name {
		case "iat", "exp", "cidr", "sub", "iss", "aud", "jti":
		default:
			return Claims{}, errUnrecognized
		}
		if name != "cidr" && string(value) == "null" {
			delete(members, name)
		}
	}
	var claims Claims
	if text(members["sub"], &claims.Subject) != nil || claims.Subject == "" {
		return Claims{}, errClaims
	}
	if claims.IssuedAt, err = instant(members["iat"]); err != nil {
		return Claims{}, err
	}
	if claims.ExpiresAt, err = instant(members["exp"]); err != nil {
		return Claims{}, err
	}
	if claims.ExpiresAt.IsZero() {
		if claims.IssuedAt.IsZero() {
			return Claims{}, errClaims
		}
		claims.ExpiresAt = claims.IssuedAt.Add(defaultLife)
	}
	if !now.Before(claims.ExpiresAt) {
		return Claims{}, errExpired
	}
	if claims.IssuedAt.After(now.Add(clockSkew)) {
		return Claims{}, errFuture
	}
	if cidr, limited := members["cidr"]; limited {
		claims.Networks, err = networks(cidr)
	}
	return claims, err
}

// instant reads whole seconds since 1970; absent is the zero time.
func instant(value json.RawMessage) (time.Time, error) {
	if value == nil {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || seconds < 0 || seconds > lastSecond {
		return time.Time{}, errClaims
	}
	return time.Unix(seconds, 0), nil
}

// networks reads a list of CIDR blocks or single addresses.
func networks(value json.RawMessage) ([]netip.Prefix, error) {
	var list []string
	if err := json.Unmarshal(value, &list); err != nil || list == nil {
		return nil, errClaims
	}
	prefixes := make([]netip.Prefix, 0, len(list))
	for _, entry := range list {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			address, err := netip.ParseAddr(entry)
			if err != nil || address.Zone() != "" {
				return nil, errClaims
			}
			prefix = netip.PrefixFrom(address, address.BitLen())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// object reads a JSON object by the exact names of its members.
func object(document []byte) (map[string]json.RawMessage, error) {
	var members map[string]json.RawMessage
	err := json.Unmarshal(document, &members)
	if err == nil && members == nil {
		err = errClaims // null
	}
	return members, err
}

// text reads a JSON string, and nothing else.
func text(value json.RawMessage, into *string) error {
	if len(value) == 0 || string(value) == "null" {
		return errClaims
	}
	return json.Unmarshal(value, into)
}
