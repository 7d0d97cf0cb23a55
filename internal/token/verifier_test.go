package token_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/fault"
	"rekey/internal/token"
)

var client = netip.MustParseAddr("10.1.2.3")

const (
	malformed    = "Malformed authorization token"
	invalid      = "Unauthorized: Invalid token"
	unrecognized = "token contains unrecognized claims"
	missing      = "Authorization missing"
)

// header is the Authorization header of a token's JSON.
func header(document []byte) string {
	return `Token token="` + base64.StdEncoding.EncodeToString(document) + `"`
}

// newVerifier knows one key, of account acme.
func newVerifier(t testing.TB) (*token.Verifier, *token.Keys, *token.Key) {
	t.Helper()
	key, keys := newKey(t), &token.Keys{}
	if err := keys.Replace([]token.VerificationKey{{Account: "acme", Public: key.Public()}}); err != nil {
		t.Fatal(err)
	}
	return token.NewVerifier(keys), keys, key
}

// expect verifies twice, since the second time may be from memory, and wants the
// public message, or success if it is empty.
func expect(t *testing.T, v *token.Verifier, authorization string, now time.Time, want string) {
	t.Helper()
	for range 2 {
		_, err := v.Verify(authorization, now, client)
		if want == "" {
			if err != nil {
				t.Errorf("refused: %v", err)
			}
			continue
		}
		var known *fault.Error
		if !errors.As(err, &known) || known.Message != want || known.Kind != fault.Unauthenticated || !known.Public {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestAGoodTokenGivesItsClaims(t *testing.T) {
	v, _, key := newVerifier(t)
	for subject, role := range map[string]string{"alice": "acme:user:alice", "host/web/01": "acme:host:web/01", "group/ops": "acme:group:ops"} {
		authorization := header(issue(t, key, subject))
		for range 2 {
			claims, err := v.Verify(authorization, noon.Add(479*time.Second), client)
			if err != nil {
				t.Fatal(err)
			}
			if claims.Account != "acme" || claims.Subject != subject || string(claims.Role) != role || claims.Networks != nil ||
				!claims.IssuedAt.Equal(noon) || !claims.ExpiresAt.Equal(noon.Add(480*time.Second)) {
				t.Errorf("claims are %+v", claims)
			}
		}
	}
}

func TestTheHeaderIsReadByTheLetterAndTheValueLeniently(t *testing.T) {
	v, _, key := newVerifier(t)
	document := issue(t, key, "alice")
	encoded := base64.StdEncoding.EncodeToString(document)
	cases := []struct{ name, authorization, want string }{
		{"as it should be", `Token token="` + encoded + `"`, ""},
		{"text after the last quote", `Token token="` + encoded + `", realm=x`, ""},
		{"padding missing", `Token token="` + strings.TrimRight(encoded, "=") + `"`, ""},
		{"too much padding", `Token token="` + encoded + `===="`, ""},
		{"line breaks", `Token token="` + encoded[:60] + "\n" + encoded[60:] + "\r\n\"", ""},
		{"stray characters", `Token token=" ` + encoded[:7] + `-_!"` + encoded[7:] + `"`, ""},
		{"absent", "", missing},
		{"Bearer", "Bearer " + encoded, missing},
		{"Basic", "Basic YTpi", missing},
		{"lower case", `token token="` + encoded + `"`, missing},
		{"unquoted", "Token token=" + encoded, missing},
		{"two blanks", `Token  token="` + encoded + `"`, missing},
		{"never closed", `Token token="` + encoded, missing},
		{"null", header([]byte("null")), missing},
		{"empty", `Token token=""`, malformed},
		{"only blanks", `Token token="  "`, malformed},
		{"not JSON", header([]byte("hello")), malformed},
		{"JSON and more", header(append(document[:len(document):len(document)], "{}"...)), malformed},
		{"cut short", `Token token="` + encoded[:100] + `"`, malformed},
		{"number", header([]byte("42")), malformed},
		{"list", header([]byte("[]")), malformed},
		{"true", header([]byte("true")), malformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, v, c.authorization, noon, c.want) })
	}
	if _, err := v.Verify("", noon, client); !errors.Is(err, token.ErrMissing) {
		t.Errorf("no header is %v", err)
	}
}

func TestMembersInOtherForms(t *testing.T) {
	v, _, key := newVerifier(t)
	var m map[string]string
	if err := json.Unmarshal(issue(t, key, "alice"), &m); err != nil {
		t.Fatal(err)
	}
	bare := func(name string) string { return strings.TrimRight(m[name], "=") }
	compact := bare("protected") + "." + bare("payload") + "." + bare("signature")
	cases := []struct{ name, document, want string }{
		{"without padding", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, bare("protected"), bare("payload"), bare("signature")), ""},
		{"other order and spacing", fmt.Sprintf("\n{ \"signature\" : \"%s\",\t\"payload\":\"%s\", \"protected\":\"%s\" } ", m["signature"], m["payload"], m["protected"]), ""},
		{"more members", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s","more":[1]}`, m["protected"], m["payload"], m["signature"]), ""},
		{"compact", `"` + compact + `"`, ""},
		{"compact, padded", `"` + m["protected"] + "." + m["payload"] + "." + m["signature"] + `"`, ""},
		{"compact, four parts", `"` + compact + `.x"`, invalid},
		{"a string", `"hello"`, invalid},
		{"an empty object", `{}`, invalid},
		{"names in another case", fmt.Sprintf(`{"Protected":"%s","payload":"%s","signature":"%s"}`, m["protected"], m["payload"], m["signature"]), invalid},
		{"payload missing", fmt.Sprintf(`{"protected":"%s","signature":"%s"}`, m["protected"], m["signature"]), invalid},
		{"signature a number", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":7}`, m["protected"], m["payload"]), invalid},
		{"signature null", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":null}`, m["protected"], m["payload"]), invalid},
		{"signature cut", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, m["protected"], m["payload"], m["signature"][:40]), invalid},
		{"signature not base64", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"!"}`, m["protected"], m["payload"]), invalid},
		{"header not JSON", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, m["payload"][:8], m["payload"], m["signature"]), invalid},
		{"header a number", fmt.Sprintf(`{"protected":"NDI=","payload":"%s","signature":"%s"}`, m["payload"], m["signature"]), invalid},
		{"legacy", `{"data":"alice","timestamp":"2026-03-01 12:00:00 UTC","signature":"x","key":"` + key.ID() + `"}`, invalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, v, header([]byte(c.document)), noon, c.want) })
	}
}

func TestOnlyKnownKeysSign(t *testing.T) {
	v, _, key := newVerifier(t)
	t.Run("unknown key", func(t *testing.T) { expect(t, v, header(issue(t, newKey(t), "alice")), noon, invalid) })
	var ours, theirs map[string]string
	if json.Unmarshal(issue(t, key, "alice"), &ours) != nil || json.Unmarshal(issue(t, newKey(t), "alice"), &theirs) != nil {
		t.Fatal("tokens are not objects of strings")
	}
	forge := func(protected, payload, signature string) string {
		document, err := json.Marshal(map[string]string{"protected": protected, "payload": payload, "signature": signature})
		if err != nil {
			t.Fatal(err)
		}
		return header(document)
	}
	encode := func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) }
	t.Run("signature of another key", func(t *testing.T) {
		expect(t, v, forge(ours["protected"], ours["payload"], theirs["signature"]), noon, invalid)
	})
	t.Run("payload changed", func(t *testing.T) {
		expect(t, v, forge(ours["protected"], encode(fmt.Sprintf(`{"iat":%d,"sub":"admin"}`, noon.Unix())), ours["signature"]), noon, invalid)
	})
	for _, alg := range []string{`"none"`, `"HS256"`, `"conjur.org/slosilo/v2"`, `1`, `null`} {
		t.Run("alg "+alg, func(t *testing.T) {
			expect(t, v, forge(encode(`{"alg":`+alg+`,"kid":"`+key.ID()+`"}`), ours["payload"], ours["signature"]), noon, invalid)
		})
	}
	t.Run("no kid", func(t *testing.T) {
		expect(t, v, forge(encode(`{"alg":"EdDSA"}`), ours["payload"], ours["signature"]), noon, invalid)
	})
}

func TestClaims(t *testing.T) {
	v, _, key := newVerifier(t)
	at := func(offset int64) int64 { return noon.Unix() + offset }
	cases := []struct{ name, payload, want string }{
		{"no exp, 479 s old", fmt.Sprintf(`{"iat":%d,"sub":"a"}`, at(-479)), ""},
		{"no exp, 480 s old", fmt.Sprintf(`{"iat":%d,"sub":"a"}`, at(-480)), invalid},
		{"no iat", fmt.Sprintf(`{"exp":%d,"sub":"a"}`, at(1)), ""},
		{"exp now", fmt.Sprintf(`{"iat":%d,"exp":%d,"sub":"a"}`, at(-9), at(0)), invalid},
		{"neither", `{"sub":"a"}`, invalid},
		{"both null", `{"iat":null,"exp":null,"sub":"a"}`, invalid},
		{"iat 60 s in the future", fmt.Sprintf(`{"iat":%d,"sub":"a"}`, at(60)), ""},
		{"iat 61 s in the future", fmt.Sprintf(`{"iat":%d,"sub":"a"}`, at(61)), invalid},
		{"iat a string", fmt.Sprintf(`{"iat":"%d","sub":"a"}`, at(0)), invalid},
		{"exp beyond all time", fmt.Sprintf(`{"iat":%d,"exp":9223372036854775807,"sub":"a"}`, at(0)), invalid},
		{"exp beyond 64 bits", fmt.Sprintf(`{"iat":%d,"exp":99999999999999999999,"sub":"a"}`, at(0)), invalid},
		{"exp negative", fmt.Sprintf(`{"iat":%d,"exp":-1,"sub":"a"}`, at(0)), invalid},
		{"no sub", fmt.Sprintf(`{"iat":%d}`, at(0)), invalid},
		{"sub empty", fmt.Sprintf(`{"iat":%d,"sub":""}`, at(0)), invalid},
		{"sub null", fmt.Sprintf(`{"iat":%d,"sub":null}`, at(0)), invalid},
		{"sub a list", fmt.Sprintf(`{"iat":%d,"sub":["a"]}`, at(0)), invalid},
		{"known others", fmt.Sprintf(`{"iat":%d,"sub":"a","iss":"x","aud":["y"],"jti":1}`, at(0)), ""},
		{"unknown claim", fmt.Sprintf(`{"iat":%d,"sub":"a","role":"x"}`, at(0)), unrecognized},
		{"known claim in another case", fmt.Sprintf(`{"iat":%d,"Sub":"a"}`, at(0)), unrecognized},
		{"cidr null", fmt.Sprintf(`{"iat":%d,"sub":"a","cidr":null}`, at(0)), invalid},
		{"cidr a string", fmt.Sprintf(`{"iat":%d,"sub":"a","cidr":"10.0.0.0/8"}`, at(0)), invalid},
		{"cidr garbage", fmt.Sprintf(`{"iat":%d,"sub":"a","cidr":["10.0.0.0/99"]}`, at(0)), invalid},
		{"cidr a number", fmt.Sprintf(`{"iat":%d,"sub":"a","cidr":[1]}`, at(0)), invalid},
		{"a list", `[]`, invalid},
		{"not JSON", `hello`, invalid},
		{"null", `null`, invalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { expect(t, v, header(key.Sign(c.payload)), noon, c.want) })
	}
}

func TestATokenForSomeNetworksIsRefusedElsewhere(t *testing.T) {
	v, _, key := newVerifier(t)
	cases := []struct {
		cidr, client string
		allowed      bool
	}{
		{`["10.0.0.0/8"]`, "10.1.2.3", true},
		{`["192.168.0.0/16","10.0.0.0/8"]`, "10.1.2.3", true},
		{`["10.0.0.0/8"]`, "::ffff:10.1.2.3", true},
		{`["10.1.2.3"]`, "10.1.2.3", true},
		{`["2001:db8::/32"]`, "2001:db8::1", true},
		{`["10.0.0.0/8"]`, "11.1.2.3", false},
		{`[]`, "10.1.2.3", false},
	}
	for _, c := range cases {
		authorization := header(key.Sign(fmt.Sprintf(`{"iat":%d,"sub":"host/a","cidr":%s}`, noon.Unix(), c.cidr)))
		for range 2 { // the first time and from memory
			_, err := v.Verify(authorization, noon, netip.MustParseAddr(c.client))
			var known *fault.Error
			switch {
			case c.allowed && err != nil:
				t.Errorf("%s from %s: %v", c.cidr, c.client, err)
			case !c.allowed && (!errors.As(err, &known) || known.Kind != fault.Forbidden || known.Message != "IP address rejected"):
				t.Errorf("%s from %s: %v", c.cidr, c.client, err)
			}
		}
	}
}

func TestARememberedTokenDiesWithItsKeyAndOnTime(t *testing.T) {
	key, next := newKey(t), newKey(t)
	active := []token.VerificationKey{{Account: "acme", Public: key.Public()}}
	both := []token.VerificationKey{{Account: "acme", Public: key.Public(), NotAfter: noon.Add(time.Minute)}, {Account: "acme", Public: next.Public()}}
	cases := []struct {
		name string
		then []token.VerificationKey
		now  time.Time
		want string
	}{
		{"nothing changes", active, noon.Add(479 * time.Second), ""},
		{"it expires", active, noon.Add(480 * time.Second), invalid},
		{"its key is removed", nil, noon, invalid},
		{"its key is replaced", both[1:], noon, invalid},
		{"its key is retired", both, noon.Add(59 * time.Second), ""},
		{"its retired key ends", both, noon.Add(60 * time.Second), invalid},
		{"its key is another account's", []token.VerificationKey{{Account: "other", Public: key.Public()}}, noon, invalid},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			keys := &token.Keys{}
			if err := keys.Replace(active); err != nil {
				t.Fatal(err)
			}
			v, authorization := token.NewVerifier(keys), header(issue(t, key, "alice"))
			expect(t, v, authorization, noon, "")
			if v.Remembered() != 1 {
				t.Fatal("the token was not remembered")
			}
			if err := keys.Replace(c.then); err != nil {
				t.Fatal(err)
			}
			_, err := v.Verify(authorization, c.now, client)
			if (c.want == "") != (err == nil) || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && v.Remembered() != 0 {
				t.Error("a dead token is still remembered")
			}
		})
	}
}

func TestMemoryIsBounded(t *testing.T) {
	v, _, key := newVerifier(t)
	authorization := header(issue(t, key, "alice"))
	expect(t, v, authorization, noon, "")
	for i := range token.MaxRemembered + 20_000 {
		if !v.Remember(fmt.Sprintf("%s %d", authorization, i), authorization) { // displaced meanwhile
			expect(t, v, authorization, noon, "")
		}
	}
	if n := v.Remembered(); n > token.MaxRemembered || n < token.MaxRemembered*9/10 {
		t.Errorf("%d tokens are remembered, at most %d should be", n, token.MaxRemembered)
	}
	// And when they have expired, newer ones sweep them out.
	for i := range 2000 {
		expect(t, v, header(key.Sign(fmt.Sprintf(`{"iat":%d,"sub":"user%d"}`, noon.Unix()+3600, i))), noon.Add(time.Hour), "")
	}
	if n := v.Remembered(); n != 2000 {
		t.Errorf("%d tokens are remembered, 2000 are valid", n)
	}
}

func TestALongHeaderIsVerifiedButNotRemembered(t *testing.T) {
	v, _, key := newVerifier(t)
	expect(t, v, header(issue(t, key, "alice"))+strings.Repeat(" ", 4096), noon, "")
	if v.Remembered() != 0 {
		t.Error("remembered")
	}
}

func TestFaultsHaveNothingOfTheToken(t *testing.T) {
	v, keys, key := newVerifier(t)
	limited := header(key.Sign(fmt.Sprintf(`{"iat":%d,"sub":"a","cidr":[]}`, noon.Unix())))
	good := header(issue(t, key, "alice"))
	expect(t, v, good, noon, "")
	if err := keys.Replace([]token.VerificationKey{{Account: "acme", Public: key.Public()}}); err != nil {
		t.Fatal(err)
	}
	for _, authorization := range []string{limited, good, good[:90] + `"`, header(key.Sign("{}")), header([]byte(`"abc.def.ghi"`))} {
		_, err := v.Verify(authorization, noon.Add(time.Hour), client)
		if err == nil {
			t.Fatal("accepted")
		}
		value, _ := token.Parse(authorization)
		for _, text := range []string{authorization[13:], string(value)} {
			for i := 0; i+12 <= len(text); i += 12 {
				if strings.Contains(err.Error(), text[i:i+12]) {
					t.Errorf("%v has a part of the token", err)
				}
			}
		}
	}
}

func TestVerifyingWhileKeysChange(t *testing.T) {
	v, keys, key := newVerifier(t)
	authorization := header(issue(t, key, "alice"))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 300 {
				if _, err := v.Verify(authorization, noon, client); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 100 {
		if err := keys.Replace([]token.VerificationKey{{Account: "acme", Public: key.Public()}, {Account: "x", Public: newKey(t).Public()}}); err != nil {
			t.Error(err)
		}
	}
	readers.Wait()
}
