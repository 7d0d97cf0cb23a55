package password

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"rekey/internal/fault"
	"rekey/internal/secret"
)

// cheap makes hashes that cost next to nothing.
var cheap = Hasher{Cost: bcrypt.MinCost}

func hash(t testing.TB, pw string) string {
	t.Helper()
	h, err := cheap.Hash(secret.FromString(pw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// legacy is a hash of plain bcrypt, which looks at 72 bytes only.
func legacy(t *testing.T, pw string, cost int) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(pw[:min(len(pw), 72)]), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func TestTheRuleOfComplexity(t *testing.T) {
	cases := []struct {
		name, pw string
		good     bool
	}{
		{"just enough", "ABcdefghij1!", true},
		{"the longest", "ABcd1!" + strings.Repeat("x", 122), true},
		{"a blank is special", "ABcdefghij1 ", true},
		{"letters beyond ASCII", "ABcdef1!üüü", true},
		{"a carriage return", "ABcdefghij1!\r", true},
		{"empty", "", false},
		{"11 characters", "ABcdefghi1!", false},
		{"129 characters", "ABcd1!" + strings.Repeat("x", 123), false},
		{"one upper-case letter", "Abcdefghij1!", false},
		{"one lower-case letter", "ABCDEFGHIj1!", false},
		{"upper-case letters beyond ASCII only", "ÄÖcdefghij1!", false},
		{"no digit", "ABcdefghijk!", false},
		{"no special character", "ABcdefghij12", false},
		{"a line break", "ABcdefghij1!\n", false},
		{"a tab is not special", "ABcdefghij1\t", false},
	}
	for _, c := range special {
		cases = append(cases, struct {
			name, pw string
			good     bool
		}{fmt.Sprintf("special %q", c), "ABcdefghij1" + string(c), true})
	}
	for _, c := range cases {
		err := Check(secret.FromString(c.pw))
		if c.good {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var known *fault.Error
		if !errors.As(err, &known) || known.Kind != fault.Validation || known.Target != "password" ||
			known.Message != "CONJ00046E The password you have chosen does not meet the complexity requirements. Choose a password that includes: 12-128 characters, 2 uppercase letters, 2 lowercase letters, 1 digit and 1 special character" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Check(secret.FromString("ABcdefghij1!\x00")); !fault.Is(err, fault.Argument) {
		t.Errorf("a NUL byte: %v", err)
	}
}

func TestOnlyTheSamePasswordVerifies(t *testing.T) {
	long := strings.Repeat("x", 127)
	for _, pw := range []string{"MySecretP@SS1", "", "with\x00NUL", long + "a"} {
		h := hash(t, pw)
		if !strings.HasPrefix(h, "sha256:$2a$04$") || pw != "" && strings.Contains(h, pw) {
			t.Errorf("hashed as %s", h)
		}
		if ok, rehash := cheap.Verify(h, secret.FromString(pw)); !ok || rehash {
			t.Errorf("%q: ok %v, rehash %v", pw, ok, rehash)
		}
		for _, other := range []string{pw + "x", pw + "\n", long + "b", "with\x00nul"} {
			if ok, rehash := cheap.Verify(h, secret.FromString(other)); ok || rehash {
				t.Errorf("%q verifies as %q", other, pw)
			}
		}
		if hash(t, pw) == h {
			t.Error("two hashes of one password are the same")
		}
	}
}

func TestHashesOfOtherKindsAreReplaced(t *testing.T) {
	short, long := "MySecretP@SS1", "MySecretP@SS1"+strings.Repeat("x", 80)
	ours := hash(t, short)
	dearer := Hasher{Cost: 5}
	cases := []struct {
		name, hash, pw string
		ok, rehash     bool
	}{
		{"another cost", ours, short, true, true},
		{"another cost, wrong password", ours, "wrong", false, false},
		{"plain bcrypt of the same cost", legacy(t, short, 5), short, true, true},
		{"plain bcrypt of another cost", legacy(t, short, 4), short, true, true},
		{"plain bcrypt, wrong password", legacy(t, short, 5), "wrong", false, false},
		{"plain bcrypt, as written elsewhere", strings.Replace(legacy(t, short, 5), "$2a$", "$2b$", 1), short, true, true},
		{"plain bcrypt of a long password", legacy(t, long, 5), long, true, false},
		{"the same, mistyped after 72 bytes", legacy(t, long, 5), long[:92] + "y", true, false},
		{"none", "", short, false, false},
		{"damaged", "sha256:$2a$04$abc", short, false, false},
		{"of a kind that is not known", "argon2:" + ours, short, false, false},
		{"our hash without its prefix", strings.TrimPrefix(ours, prehashed), short, false, false},
	}
	for _, c := range cases {
		if ok, rehash := dearer.Verify(c.hash, secret.FromString(c.pw)); ok != c.ok || rehash != c.rehash {
			t.Errorf("%s: ok %v, rehash %v", c.name, ok, rehash)
		}
	}
}

func TestAVectorOfPlainBcrypt(t *testing.T) {
	// From the test vectors of the original C implementation.
	const h = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
	if ok, rehash := cheap.Verify(h, secret.FromString("U*U")); !ok || !rehash {
		t.Errorf("ok %v, rehash %v", ok, rehash)
	}
}

func TestBurningCostsWhatVerifyingCosts(t *testing.T) {
	for cost := 4; cost <= 12; cost++ {
		if got, err := bcrypt.Cost(Hasher{cost}.unmatched()); err != nil || got != cost {
			t.Errorf("burns at cost %d, %v, while hashes cost %d", got, err, cost)
		}
	}
	if err := bcrypt.CompareHashAndPassword(cheap.unmatched(), prehash(secret.FromString("x"))); !errors.Is(err, bcrypt.ErrMismatchedHashAndPassword) {
		t.Errorf("burning ends in %v before the work is done", err)
	}
	cheap.Burn(secret.FromString("x"))
}

func BenchmarkVerify(b *testing.B) {
	usual := Hasher{Cost}
	h, err := usual.Hash(secret.FromString("MySecretP@SS1"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if ok, _ := usual.Verify(h, secret.FromString("MySecretP@SS1")); !ok {
			b.Fatal("refused")
		}
	}
}

func BenchmarkBurn(b *testing.B) {
	for b.Loop() {
		Hasher{Cost}.Burn(secret.FromString("MySecretP@SS1"))
	}
}
