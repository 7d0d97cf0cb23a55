package httpapi

import "testing"

func TestPublicKeys(t *testing.T) {
	s := newTestServer(t)
	s.load(`
- !user
  id: alice
  public_keys:
  - ssh-rsa AAAAB3NzaC1yc2E alice@laptop
  - ssh-ed25519 AAAAC3NzaC1lZDI alice@desk
- !user al_ce
- !user bob
`)
	s.run("in the order of their names, for anybody", func(s *testServer) {
		s.call("GET", "/public_keys/acme/user/alice").
			is(200, "ssh-ed25519 AAAAC3NzaC1lZDI alice@desk\nssh-rsa AAAAB3NzaC1yc2E alice@laptop\n").has("Content-Type", "text/plain; charset=utf-8")
		s.call("GET", "/public_keys/acme/user/alice").as(s.admin).send().status(200)
		s.call("GET", "/public_keys/acme/user/alice").as(basic("x", "y")).send().status(200)
	})
	s.run("none is a line break", func(s *testServer) {
		for _, target := range []string{"/public_keys/acme/user/bob", "/public_keys/acme/user/none", "/public_keys/none/user/x", "/public_keys/acme/public_key/x"} {
			s.call("GET", target).is(200, "\n")
		}
	})
	s.run("no wildcards", func(s *testServer) {
		s.call("GET", "/public_keys/acme/user/al_ce").is(200, "\n")
		s.call("GET", "/public_keys/acme/user/%25").is(200, "\n")
	})
	s.run("no other resources, whatever the account is called", func(s *testServer) {
		s.load("- !variable public_key:user/alice/x")
		s.call("POST", "/secrets/acme/variable/public_key%3Auser%2Falice%2Fx").as(s.admin).data("s3cret").is(201, "")
		s.call("GET", "/public_keys/acme%3Avariable/user/alice").is(404, "")
	})
	s.run("other kinds are unknown paths", func(s *testServer) {
		s.call("GET", "/public_keys/acme/host/x").is(404, "")
	})
	s.run("written like a secret", func(s *testServer) {
		write := func(value string) *call {
			return s.call("POST", "/secrets/acme/public_key/user/alice/alice@desk").as(s.admin).data(value)
		}
		write("ecdsa-sha2-nistp256 AAAAE2VjZHNh alice@desk").is(201, "")
		for _, bad := range []string{"", "rsa x", "ssh-rsa", "ssh-rsa AAAA\n"} {
			write(bad).is(422, argumentError("Invalid public key format"))
		}
		s.call("GET", "/public_keys/acme/user/alice").is(200, "ecdsa-sha2-nistp256 AAAAE2VjZHNh alice@desk\nssh-rsa AAAAB3NzaC1yc2E alice@laptop\n")
	})
}
