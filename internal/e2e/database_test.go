package e2e

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// local runs a command of the program that works on a database itself.
func local(dir, url string, args ...string) (stdout, stderr string, err error) {
	cmd := exec.Command(binary, append(args, "--data-dir", dir)...)
	cmd.Env = append(cmd.Environ(), "REKEY_DATABASE_URL="+url)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return strings.TrimSpace(out.String()), errs.String(), err
}

// Local commands work on the database beside the servers, which see at once what they do;
// nobody gets in with another root key, and no message shows the password.
func TestLocalCommandsOnADatabase(t *testing.T) {
	url := newDatabase(t)
	k := newClusterOn(t, url, 2)
	admin := k.admin(t)
	elsewhere := newDir(t)
	copyKey(t, k.nodes[0].dir, elsewhere)
	if out, errs, err := local(elsewhere, url, "account", "list"); err != nil || out != account {
		t.Fatalf("%q, %v\n%s", out, err, errs)
	}
	if _, errs, err := local(elsewhere, url, "account", "create", "second"); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	if _, errs, err := local(elsewhere, url, "signing-key", "rotate", account); err != nil {
		t.Fatalf("%v\n%s", err, errs)
	}
	for _, s := range k.nodes {
		c := newClient(s.url).as(t, "admin", k.key)
		for _, other := range k.nodes {
			c.url = other.url
			c.must(t, 200, "GET", "/whoami", "")
		}
		if out, err := s.command("account", "list"); err != nil || !strings.Contains(out, "second") {
			t.Errorf("%q, %v", out, err)
		}
	}
	admin[0].must(t, 200, "GET", "/whoami", "")

	stranger := newDir(t)
	_, errs, err := local(stranger, url, "account", "list")
	if err == nil || !strings.Contains(errs, "root key") {
		t.Errorf("another root key: %v\n%s", err, errs)
	}
	wrong := strings.Replace(url, "boss-Password-1", "not-the-Password", 1)
	_, errs, err = local(elsewhere, wrong, "account", "list")
	if err == nil || !strings.Contains(errs, "does not let this server in") {
		t.Errorf("another password: %v\n%s", err, errs)
	}
	for _, text := range []string{errs, k.nodes[0].stderr.String(), k.nodes[1].stderr.String()} {
		if strings.Contains(text, "not-the-Password") || strings.Contains(text, "boss-Password-1") {
			t.Errorf("a password is shown:\n%s", text)
		}
	}
}
