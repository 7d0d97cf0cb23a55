package ssh

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
)

// The vectors with 5000 rounds of "Unix crypt using SHA-256 and SHA-512".
func TestSHA512CryptMeetsItsVectors(t *testing.T) {
	for _, v := range []struct{ password, salt, want string }{
		{"Hello world!", "saltstring", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"},
		{"This is just a test", "toolongsaltstrin", "$6$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0"},
	} {
		if got := sha512Crypt([]byte(v.password), []byte(v.salt)); got != v.want {
			t.Errorf("%q: %s, want %s", v.password, got, v.want)
		}
	}
}

// The operating system's crypt(3), as Perl shows it, is asked for passwords of all lengths
// around those of the blocks.
func TestSHA512CryptAgreesWithTheSystem(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300, 511} {
		password := make([]byte, length)
		for i := range password {
			password[i] = byte(1 + source.IntN(255))
			if password[i] == '\n' {
				password[i] = ' '
			}
		}
		c := exec.Command("perl", "-e", `binmode STDIN; my $p = <STDIN>; $p = "" unless defined $p; print crypt($p, '$6$0123456789./abcd$')`)
		c.Stdin = strings.NewReader(string(password))
		want, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		if got := sha512Crypt(password, []byte("0123456789./abcd")); got != string(want) {
			t.Errorf("length %d: %s, want %s", length, got, want)
		}
	}
}
