package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

const secretPolicy = `
- !user alice
- !user bob
- !variable db
- !variable empty
- !variable hidden
- !variable { id: text, mime_type: text/plain }
- !variable { id: odd, mime_type: junk }
- !permit { role: !user alice, privileges: [ execute, update ], resource: !variable db }
- !permit { role: !user alice, privileges: [ execute ], resource: !variable empty }
- !permit { role: !user bob, privileges: [ read ], resource: !variable db }
- !permit { role: !user alice, privileges: [ execute ], resource: !variable text }
`

func emptyVariable(id string) string {
	return `{"error":{"code":"not_found","message":"CONJ00076E Variable acme:variable:` + id + ` is empty or not found."}}`
}

func TestSecretRead(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(secretPolicy)
	alice, bob := s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
	binary := "\x00\xff\n<&>"
	s.set("db", "one")
	s.set("db", binary)
	s.set("hidden", "x")
	s.set("text", "t")
	s.set("odd", "o")
	read := func(s *testServer, as, target string) *call {
		return s.call("GET", "/secrets/acme/variable/"+target).as(as)
	}

	s.run("newest value, byte for byte", func(s *testServer) {
		read(s, alice, "db").is(200, binary).has("Content-Type", "application/octet-stream").
			has("Content-Disposition", "attachment").has("Content-Transfer-Encoding", "binary").has("Cache-Control", "no-store")
	})
	s.run("type of the annotation, to the letter", func(s *testServer) {
		read(s, alice, "text").is(200, "t").has("Content-Type", "text/plain")
		read(s, s.admin, "odd").is(200, "o").has("Content-Type", "junk")
	})
	s.run("base64 and ranges are ignored", func(s *testServer) {
		read(s, alice, "db").with("Accept-Encoding", "base64").is(200, binary).has("Content-Encoding", "")
		read(s, alice, "db").with("Range", "bytes=0-0").is(200, binary)
	})
	s.run("HEAD", func(s *testServer) {
		s.call("HEAD", "/secrets/acme/variable/db").as(alice).is(200, "").has("Content-Length", "6")
	})
	s.run("version", func(s *testServer) {
		for _, v := range []string{"1", "+1+", "0x1", "0b1", "0o1"} {
			read(s, alice, "db?version="+v).is(200, "one")
		}
		read(s, alice, "db?version=2").is(200, binary)
		for _, v := range []string{"3", "0", "-1", "99999999999999999999999"} {
			read(s, alice, "db?version="+v).is(404, emptyVariable("db"))
		}
		for _, v := range []string{"", "two", "1.0"} {
			read(s, alice, "db?version="+v).is(422, argumentError("invalid type for parameter 'version'"))
		}
	})
	s.run("missing, invisible and empty are the same 404", func(s *testServer) {
		read(s, alice, "none").is(404, emptyVariable("none"))
		read(s, alice, "hidden").is(404, emptyVariable("hidden"))
		read(s, alice, "empty").is(404, emptyVariable("empty"))
		s.call("GET", "/secrets/none/variable/db").as(alice).
			is(404, `{"error":{"code":"not_found","message":"CONJ00076E Variable none:variable:db is empty or not found."}}`)
	})
	s.run("visible without execute is 403", func(s *testServer) {
		read(s, bob, "db").is(403, "").has("Content-Type", "text/html")
		read(s, bob, "db?version=9").is(403, "")
	})
	s.run("without a token is 401", func(s *testServer) {
		s.call("GET", "/secrets/acme/variable/db").is(401, "Authorization missing")
	})
	s.run("what the client holds is not sent again", func(s *testServer) {
		held := read(s, alice, "db").send().status(200).has("Rekey-Secret-Version", "2").has("Rekey-Rotating", "")
		tag := held.Header.Get("ETag")
		read(s, s.admin, "db").with("If-None-Match", `"other", W/`+tag).is(304, "").has("ETag", tag).
			has("Rekey-Secret-Version", "2").has("Cache-Control", "no-store").has("Content-Type", "")
		read(s, alice, "db?version=1").with("If-None-Match", tag).is(200, "one").has("Rekey-Secret-Version", "1")
		read(s, alice, "empty").with("If-None-Match", "*").is(404, emptyVariable("empty"))
		read(s, bob, "db").with("If-None-Match", tag).is(403, "")
	})
	s.run("a tag tells nothing of the value, and never comes back", func(s *testServer) {
		var tags []string
		for range 2 {
			s.load("- !variable again")
			s.set("again", "the same")
			tags = append(tags, read(s, s.admin, "again").is(200, "the same").Header.Get("ETag"))
			s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete { record: !variable again }").send().status(201)
		}
		if tags[0] == tags[1] || !strings.HasPrefix(tags[0], `"1-`) {
			s.Error(tags)
		}
	})
	s.run("revoked at once", func(s *testServer) {
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).
			data("- !deny { role: !user alice, privileges: [ execute, update ], resource: !variable db }").send().status(201)
		read(s, alice, "db").is(404, emptyVariable("db"))
	})
}

func TestSecretWrite(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(secretPolicy)
	alice, bob := s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
	write := func(s *testServer, as, id, value string) *call {
		return s.call("POST", "/secrets/acme/variable/"+id).as(as).data(value)
	}
	versions := func(s *testServer) int {
		s.Helper()
		var got struct{ Secrets []any }
		s.call("GET", "/resources/acme/variable/db").as(s.admin).send().decode(&got)
		return len(got.Secrets)
	}
	s.run("stores the bytes of the body, whatever its type", func(s *testServer) {
		for i, contentType := range []string{"application/x-www-form-urlencoded", "application/json", "text/plain", "nonsense"} {
			value := fmt.Sprintf("a=b&c=%%20+%d", i)
			write(s, alice, "db", value).with("Content-Type", contentType).is(201, "").has("Content-Type", "text/html").has("Etag", "")
			s.call("GET", "/secrets/acme/variable/db").as(alice).is(200, value)
		}
	})
	s.run("the same value makes no version", func(s *testServer) {
		write(s, alice, "db", "same").is(201, "")
		before := versions(s)
		write(s, alice, "db", "same").is(201, "")
		if after := versions(s); after != before {
			s.Errorf("%d versions after %d", after, before)
		}
	})
	s.run("20 versions are kept", func(s *testServer) {
		for i := range 25 {
			write(s, alice, "db", fmt.Sprint("v", i)).is(201, "")
		}
		if n := versions(s); n != 20 {
			s.Errorf("%d versions", n)
		}
	})
	s.run("blank is 422", func(s *testServer) {
		for _, blank := range []string{"", " ", "\n\t "} {
			write(s, alice, "db", blank).is(422, argumentError("'value' may not be empty"))
		}
	})
	s.run("missing or invisible is 404", func(s *testServer) {
		write(s, alice, "none", "v").is(404, notFound("variable", "none"))
		write(s, alice, "hidden", "v").is(404, notFound("variable", "hidden"))
	})
	s.run("visible without update is 403", func(s *testServer) {
		write(s, bob, "db", "v").is(403, "")
		write(s, alice, "empty", "v").is(403, "")
	})
}

func TestExpireSecret(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(secretPolicy)
	expire := func(as, path string) *call { return s.call("POST", "/secrets/acme/"+path).as(as) }
	expire(s.admin, "variable/db?expirations").data("ignored").is(201, "")
	s.set("db", "v")
	expire(s.admin, "variable/db?expirations=").is(201, "")
	s.call("GET", "/secrets/acme/variable/db").as(s.admin).is(200, "v")
	expire(s.admin, "user/alice?expirations").is(422, argumentError("Invalid secret kind: user"))
	expire(s.admin, "variable/none?expirations").is(404, notFound("variable", "none"))
	bob := s.token("bob", keys["acme:user:bob"])
	expire(bob, "variable/db?expirations").is(403, "")
	expire(bob, "variable/hidden?expirations").is(404, notFound("variable", "hidden"))
}

func TestBatchRead(t *testing.T) {
	s := newTestServer(t)
	keys := s.load(secretPolicy)
	alice, bob := s.token("alice", keys["acme:user:alice"]), s.token("bob", keys["acme:user:bob"])
	s.set("db", "<v1>")
	s.set("text", strings.Repeat("long ", 20))
	s.set("hidden", "x")
	batch := func(s *testServer, as, ids string) *call { return s.call("GET", "/secrets?variable_ids="+ids).as(as) }
	const db, text = "acme:variable:db", "acme:variable:text"

	s.run("values by id", func(s *testServer) {
		for _, target := range []string{
			"/secrets?variable_ids=" + db + "," + text, "/secrets/?variable_ids=" + db + "," + text + ",",
			"/secrets?variable_ids=acme%3Avariable%3Adb%2Cacme%3Avariable%3Atext",
		} {
			var got map[string]string
			s.call("GET", target).as(alice).send().status(200).has("Content-Type", "application/json; charset=utf-8").has("Cache-Control", "no-store").decode(&got)
			if len(got) != 2 || got[db] != "<v1>" || got[text] != strings.Repeat("long ", 20) {
				s.Errorf("%s: %v", target, got)
			}
		}
	})
	s.run("base64", func(s *testServer) {
		r := batch(s, alice, db+","+text).with("Accept-Encoding", "Base64").send().status(200).
			has("Content-Encoding", "base64").has("Content-Type", "application/json; charset=utf-8").has("Cache-Control", "no-store")
		var got map[string]string
		r.decode(&got)
		if got[db] != "PHYxPg==\n" {
			s.Errorf("%q", got[db])
		}
		lines := strings.SplitAfter(got[text], "\n")
		if len(lines) != 4 || len(lines[0]) != 61 || lines[3] != "" {
			s.Errorf("%q", lines)
		}
		value, err := base64.StdEncoding.DecodeString(got[text])
		if err != nil || string(value) != strings.Repeat("long ", 20) {
			s.Errorf("%v %q", err, value)
		}
	})
	s.run("base64 in a list does not count", func(s *testServer) {
		batch(s, alice, db).with("Accept-Encoding", "base64, gzip").is(200, `{"acme:variable:db":"\u003cv1\u003e"}`).has("Content-Encoding", "")
	})
	s.run("the same id twice", func(s *testServer) {
		batch(s, alice, db+","+db).is(200, `{"acme:variable:db":"\u003cv1\u003e"}`)
	})
	s.run("binary is 406 but for base64", func(s *testServer) {
		s.set("odd", "\xff")
		batch(s, s.admin, db+",acme:variable:odd").is(406, `{"error":{"code":"not_acceptable","message":"CONJ00074E Issue encoding secret into JSON format, `+
			`try including 'Accept-Encoding: base64' header in request."}}`).has("Content-Encoding", "")
		var got map[string]string
		batch(s, s.admin, "acme:variable:odd").with("Accept-Encoding", "base64").send().status(200).decode(&got)
		if got["acme:variable:odd"] != "/w==\n" {
			s.Errorf("%q", got)
		}
	})
	s.run("without ids is 422", func(s *testServer) {
		for _, target := range []string{"/secrets", "/secrets?variable_ids=", "/secrets?variable_ids=,", "/secrets?variable_ids=" + db + ",," + text, "/secrets?variable_ids=," + db} {
			s.call("GET", target).as(alice).is(422, argumentError("variable_ids"))
		}
	})
	s.run("missing, empty and invisible are the same 404", func(s *testServer) {
		for _, id := range []string{"none", "empty", "hidden"} {
			batch(s, alice, db+",acme:variable:"+id).is(404, emptyVariable(id))
		}
		batch(s, alice, "nonsense").is(404, `{"error":{"code":"not_found","message":"CONJ00076E Variable nonsense is empty or not found."}}`)
	})
	s.run("visible without execute is 403", func(s *testServer) {
		batch(s, bob, db).is(403, "")
		batch(s, bob, "acme:variable:none,"+db).is(403, "")
	})
	s.run("hundreds of ids", func(s *testServer) {
		var policy, ids strings.Builder
		for i := range 300 {
			fmt.Fprintf(&policy, "- !variable some/longer/path/of/a/variable-%03d\n", i)
			fmt.Fprintf(&ids, "acme:variable:some/longer/path/of/a/variable-%03d,", i)
		}
		s.load(policy.String())
		for i := range 300 {
			s.set(fmt.Sprintf("some/longer/path/of/a/variable-%03d", i), fmt.Sprint("value", i))
		}
		var got map[string]string
		must(s.T, json.Unmarshal([]byte(batch(s, s.admin, ids.String()).send().status(200).body), &got))
		if len(got) != 300 || got["acme:variable:some/longer/path/of/a/variable-299"] != "value299" {
			s.Errorf("%d values", len(got))
		}
	})
}
