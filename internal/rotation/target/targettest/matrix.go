package targettest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
)

// Case is a way in which each kind is put to the test, unless its suite says why not.
type Case string

// The cases that a suite can be without. The others are there for each kind.
const (
	RefusedValue     Case = "a value that a rule of the target's refuses"
	AdminPrivilege   Case = "an administrator without the privilege"
	OwnPrivilege     Case = "a user without the privilege"
	NetworkFaults    Case = "a target that is not there, is silent, or is cut off at any message"
	UntrustedServer  Case = "a server that is somebody else"
	HostileUsers     Case = "hostile names"
	HostilePasswords Case = "hostile values"
	StatementLog     Case = "the target's own log"
)

var cases = []Case{RefusedValue, AdminPrivilege, OwnPrivilege, NetworkFaults, UntrustedServer, HostileUsers, HostilePasswords, StatementLog}

// Without are the cases that a suite leaves out, and why: there is no such thing there, or
// another test has it.
type Without map[Case]string

// has tells whether a case is to be run. One that has neither what it needs nor a reason is
// a failure, and so is one that has both.
func (w Without) has(t *testing.T, c Case, given bool) bool {
	t.Helper()
	reason, without := w[c]
	switch {
	case without && given:
		t.Errorf("%s: the suite has it, and a reason to be without: %s", c, reason)
	case !without && !given:
		t.Errorf("%s: the suite does not have it, and no reason why", c)
	case without && reason == "":
		t.Errorf("%s: the suite is without, and does not say why", c)
	}
	return given && !without
}

// Documented checks that docs/rotation.md says what a kind is tested against, and what is
// left out there. Subject is the kind, if it is tested against one thing only.
func Documented(t *testing.T, kind target.Kind, subject, server string, without Without) {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/rotation.md")
	if err != nil {
		t.Fatal(err)
	}
	if subject == "" {
		subject = "`" + kind.Name() + "`"
	}
	var left []string
	for _, c := range cases {
		if reason, ok := without[c]; ok {
			left = append(left, string(c)+": "+reason)
		}
	}
	for c := range without {
		if !slices.Contains(cases, c) {
			t.Errorf("there is no case %q", c)
		}
	}
	row := "| " + subject + " | " + server + " | " + strings.Join(left, "; ") + " |"
	if !strings.Contains(string(page), "\n"+row+"\n") {
		t.Errorf("docs/rotation.md, section \"How the kinds are tested\", does not have the row\n%s", row)
	}
}
