package httpapi

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestTokenFilter(t *testing.T) {
	s := newTestServer(t)
	s.load("- !variable x")

	s.run("unknown path without a token is 401", func(s *testServer) {
		for _, target := range []string{"/nothing", "/info", "/api/whoami", "/heartbeats", "/secrets/acme/values", "/WhoAmI"} {
			s.call("GET", target).is(401, "Authorization missing").
				has("Content-Type", "text/plain").has("Cache-Control", "no-cache").has("Www-Authenticate", "").has("X-Frame-Options", "")
		}
	})
	s.run("unknown path with a token is 404", func(s *testServer) {
		for _, target := range []string{"/nothing", "/info", "/api/whoami", "/secrets/acme/values", "/accounts/a/b"} {
			s.call("GET", target).as(s.admin).is(404, "").has("Content-Type", "text/html; charset=utf-8").has("Cache-Control", "")
		}
	})
	s.run("known path with another method is 404, never 405", func(s *testServer) {
		s.call("POST", "/whoami").is(401, "Authorization missing")
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS"} {
			s.call(method, "/whoami").as(s.admin).is(404, "")
		}
		s.call("GET", "/authn/acme/admin/authenticate").is(404, "")
		s.call("POST", "/").is(404, "")
		s.call("PUT", "/secrets/acme/variable/x").as(s.admin).is(404, "")
	})
	s.run("kind that does not exist is 404", func(s *testServer) {
		s.call("GET", "/resources/acme/nothing").as(s.admin).is(404, "")
		s.call("GET", "/roles/acme/variable/x").as(s.admin).is(404, "")
		s.call("GET", "/secrets/acme/user/x").as(s.admin).is(404, "")
		s.call("POST", "/secrets/acme/user/x").as(s.admin).data("v").is(404, "")
		s.call("POST", "/policies/acme/group/x").as(s.admin).data("- !user x").is(404, "")
	})
	s.run("other schemes are no token", func(s *testServer) {
		for _, authorization := range []string{"Bearer x", basic("admin", s.adminKey), strings.Replace(s.admin, "Token", "token", 1), "Token token=abc", "Token"} {
			s.call("GET", "/whoami").as(authorization).is(401, "Authorization missing")
		}
	})
	s.run("malformed token is 401", func(s *testServer) {
		for _, authorization := range []string{`Token token="!!!"`, `Token token=""`, `Token token="bm90IGpzb24="`} {
			s.call("GET", "/whoami").as(authorization).is(401, "Malformed authorization token").has("Content-Type", "text/plain")
		}
	})
	s.run("forged token is 401", func(s *testServer) {
		s.call("GET", "/whoami").as(`Token token="e30="`).is(401, "Unauthorized: Invalid token")
	})
	s.run("invalid token is 401 where none is needed", func(s *testServer) {
		s.call("GET", "/public_keys/acme/user/x").as(`Token token="e30="`).is(401, "Unauthorized: Invalid token")
		s.call("GET", "/authn/acme/login").as(`Token token=""`).is(401, "Malformed authorization token")
	})
	s.run("Authorization is not read where nothing is needed", func(s *testServer) {
		s.call("GET", "/").as(`Token token=""`).send().status(200)
		s.call("POST", "/authn/acme/admin/authenticate").as(`Token token=""`).data(s.adminKey).send().status(200)
		s.call("POST", "/authn/acme/admin/authenticate").as(basic("x", "y")).data(s.adminKey).send().status(200)
	})
	s.run("second version of the protocol", func(s *testServer) {
		s.call("GET", "/whoami").with("Accept", v2Type).is(401, "")
		s.call("GET", "/resources/acme/group/x").as(s.admin).with("Accept", v2Type).
			is(404, `{"code":"404","message":"Group 'x' not found in account 'acme'"}`).has("Content-Type", v2Type)
	})
	s.run("base64 of the token may be broken into lines and unpadded", func(s *testServer) {
		value := strings.TrimSuffix(strings.TrimPrefix(s.admin, `Token token="`), `"`)
		s.call("GET", "/whoami").as(`Token token=" ` + value[:60] + ` ` + strings.TrimRight(value[60:], "=") + `" and more`).send().status(200)
	})
	s.run("no method by header", func(s *testServer) {
		s.call("POST", "/secrets/acme/variable/x").as(s.admin).with("X-HTTP-Method-Override", "DELETE").data("v").is(201, "")
	})
}

func TestPaths(t *testing.T) {
	s := newTestServer(t)
	s.load("- !variable app/x\n- !variable a//b\n- !variable x.json\n- !variable a+b\n- !variable 'a b'\n- !variable a:b")
	for _, id := range []string{"app/x", "a//b", "x.json", "a+b", "a b", "a:b"} {
		s.call("POST", "/secrets/acme/variable/"+strings.ReplaceAll(strings.ReplaceAll(id, "/", "%2F"), " ", "%20")).as(s.admin).data(id).is(201, "")
	}
	for target, want := range map[string]string{
		"/secrets/acme/variable/app/x":        "app/x",
		"/secrets/acme/variable/app%2Fx":      "app/x",
		"/secrets/acme/variable/app%2fx":      "app/x",
		"//secrets//acme/variable///app//x//": "app/x",
		"/secrets/acme/variable/app/x/?a=/b/": "app/x",
		"/secrets/acme/variable/a%2F%2Fb":     "a//b",
		"/secrets/acme/variable/x.json":       "x.json",
		"/secrets/acme/variable/a+b":          "a+b",
		"/secrets/acme/variable/a%2Bb":        "a+b",
		"/secrets/acme/variable/a%20b":        "a b",
		"/secrets/acme/variable/a:b":          "a:b",
		"/secrets/acme/variable/a%3Ab":        "a:b",
		"/secrets/ac%6De/variable/x%2Ejson":   "x.json",
	} {
		s.call("GET", target).as(s.admin).is(200, want)
	}
	s.run("account with a slash is an unknown path", func(s *testServer) {
		s.call("GET", "/secrets/ri%2Fg/variable/x").as(s.admin).is(404, "")
	})
	s.run("not UTF-8 is 400 and says so", func(s *testServer) {
		path := `{"error":{"code":"bad_request","message":"The path cannot be read: it is not UTF-8"}}`
		query := `{"error":{"code":"bad_request","message":"The query cannot be read: a percent escape is malformed or the text is not UTF-8"}}`
		s.call("GET", "/secrets/acme/variable/%ff").as(s.admin).is(400, path)
		s.call("GET", "/secrets/acme/variable/x?version=%ff").as(s.admin).is(400, query)
		s.call("GET", "/secrets/acme/variable/x?version=%zz").as(s.admin).is(400, query)
		s.call("GET", "/secrets/acme/variable/%ff").is(401, "Authorization missing")
	})
	s.run("malformed escape in the path is 400", func(s *testServer) {
		s.call("GET", "/secrets/acme/variable/%zz").as(s.admin).send().status(400)
	})
	s.run("NUL is 422", func(s *testServer) {
		s.call("GET", "/secrets/acme/variable/a%00b").as(s.admin).is(422, argumentError("string contains null byte"))
		s.call("GET", "/resources/acme?search=a%00b").as(s.admin).is(422, argumentError("string contains null byte"))
		s.call("GET", "/authn/acme/login").as(basic("a\x00", "b")).is(422, argumentError("string contains null byte"))
	})
	s.run("NUL in a login is 401", func(s *testServer) {
		s.call("POST", "/authn/acme/ad%00min/authenticate").data(s.adminKey).is(401, "")
	})
	s.run("URLs of tens of kilobytes work", func(s *testServer) {
		s.call("GET", "/secrets/acme/variable/x.json?a="+strings.Repeat("x", 100_000)).as(s.admin).is(200, "x.json")
	})
}

func TestAcceptOnTheWire(t *testing.T) {
	s := newTestServer(t)
	s.load("- !variable x")
	s.run("malformed is 406 and nothing happens", func(s *testServer) {
		for _, header := range []string{"foo", `text\plain`, "application/json, foo"} {
			s.call("POST", "/secrets/acme/variable/x").as(s.admin).with("Accept", header).data("v").
				is(406, "").has("Content-Type", "text/html; charset=utf-8")
		}
		s.call("GET", "/secrets/acme/variable/x").as(s.admin).send().status(404)
	})
	s.run("never selects a representation", func(s *testServer) {
		s.set("x", "v")
		for _, header := range []string{"text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", "application/foo", "application/json", "image/png"} {
			s.call("GET", "/secrets/acme/variable/x").as(s.admin).with("Accept", header).is(200, "v").has("Content-Type", "application/octet-stream")
		}
	})
	s.run("colours empty answers", func(s *testServer) {
		for header, want := range map[string]string{
			"": "text/html", "*/*": "text/html", "application/json": "application/json", "text/plain": "text/plain",
			"application/foo": "text/html", "text/html, */*": "text/html", "application/xml": "application/xml",
			"application/x-yaml, text/plain": "application/x-yaml",
		} {
			c := s.call("GET", "/authn/acme/login")
			if header != "" {
				c.with("Accept", header)
			}
			c.is(401, "").has("Content-Type", want)
		}
	})
	s.run("shapes answers to unknown paths", func(s *testServer) {
		s.call("GET", "/nothing").as(s.admin).with("Accept", "application/json").
			is(404, `{"status":404,"error":"Not Found"}`).has("Content-Type", "application/json; charset=utf-8")
		s.call("GET", "/nothing").as(s.admin).with("Accept", "application/xml").
			is(404, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<hash>\n  <status type=\"integer\">404</status>\n  <error>Not Found</error>\n</hash>\n").
			has("Content-Type", "application/xml; charset=utf-8")
		s.call("GET", "/nothing").as(s.admin).with("Accept", "text/plain").is(404, "").has("Content-Type", "text/html; charset=utf-8")
	})
	s.run("Vary", func(s *testServer) {
		s.call("GET", "/secrets/acme/variable/x").as(s.admin).send().has("Vary", "")
		s.call("GET", "/secrets/acme/variable/x").as(s.admin).with("Accept", "*/*").send().has("Vary", "Accept")
		s.call("GET", "/secrets/acme/variable/x").as(s.admin).with("Accept", "text/html, */*").send().has("Vary", "")
	})
}

func TestHeaders(t *testing.T) {
	s := newTestServer(t)
	s.run("of an action", func(s *testServer) {
		s.call("GET", "/resources/acme").as(s.admin).send().status(200).
			has("X-Frame-Options", "SAMEORIGIN").has("X-Content-Type-Options", "nosniff").
			has("Referrer-Policy", "").has("Content-Type", "application/json; charset=utf-8").
			has("Server", "").has("Set-Cookie", "").has("Strict-Transport-Security", "").has("Access-Control-Allow-Origin", "")
	})
	s.run("request id", func(s *testServer) {
		s.call("GET", "/resources/acme").as(s.admin).with("X-Request-Id", "a1-_@ <b>/2").send().has("X-Request-Id", "a1-_@b2")
		s.call("GET", "/nothing").with("X-Request-Id", "abc").send().has("X-Request-Id", "abc")
		if id := s.call("GET", "/nothing").send().Header.Get("X-Request-Id"); len(id) != 36 {
			s.Errorf("%q is no UUID", id)
		}
	})
	s.run("entity tag", func(s *testServer) {
		first := s.call("GET", "/resources/acme").as(s.admin).send().has("Cache-Control", "max-age=0, private, must-revalidate")
		tag := first.Header.Get("ETag")
		if !strings.HasPrefix(tag, `W/"`) || len(tag) != 36 {
			s.Fatalf("tag %q", tag)
		}
		s.call("GET", "/resources/acme").as(s.admin).with("If-None-Match", `"x", `+tag).is(304, "").has("Etag", tag)
		s.call("GET", "/resources/acme").as(s.admin).with("If-None-Match", `"x"`).send().status(200)
		s.load("- !variable fresh")
		s.call("GET", "/resources/acme").as(s.admin).with("If-None-Match", tag).send().status(200)
	})
	s.run("HEAD", func(s *testServer) {
		for _, target := range []string{"/resources/acme/policy/root", "/resources/acme", "/roles/acme/user/admin", "/"} {
			length := s.call("GET", target).as(s.admin).send().status(200).Header.Get("Content-Length")
			s.call("HEAD", target).as(s.admin).is(200, "").has("Content-Length", length)
		}
		s.call("HEAD", "/resources/acme/group/none").as(s.admin).is(404, "")
	})
	s.run("204 has neither type nor length", func(s *testServer) {
		s.call("GET", "/resources/acme/policy/root?check&privilege=read").as(s.admin).is(204, "").has("Content-Type", "").has("Content-Length", "")
	})
	s.run("length is always stated", func(s *testServer) {
		s.load("- !variable " + strings.Repeat("x", 500) + "\n" + strings.Repeat("# long\n", 2000))
		r := s.call("GET", "/resources/acme").as(s.admin).send()
		if r.ContentLength != int64(len(r.body)) || len(r.body) < 8000 {
			s.Errorf("length %d of %d", r.ContentLength, len(r.body))
		}
	})
}

func TestMethods(t *testing.T) {
	s := newTestServer(t)
	s.call("FOO", "/whoami").is(501, "FOO method is not supported\n")
	s.call("OPTIONS", "/").is(200, "OK").has("Allow", "HEAD,GET,PUT,DELETE,OPTIONS").has("Content-Type", "text/plain").has("Content-Length", "2")
	s.call("OPTIONS", "/whoami").is(401, "Authorization missing")
	s.call("OPTIONS", "/whoami").as(s.admin).is(404, "")
}

func TestStatusPage(t *testing.T) {
	s := newTestServer(t)
	html := s.call("GET", "/").send().status(200).has("Content-Type", "text/html; charset=utf-8")
	if !strings.Contains(html.body, "<dd>Version 1.24.0</dd>") || strings.Contains(html.body, "{{") {
		t.Error(html.body)
	}
	for header, want := range map[string]string{
		"application/json":            "application/json; charset=utf-8",
		"application/json, text/html": "application/json; charset=utf-8",
		"text/html, application/json": "text/html; charset=utf-8",
		"text/html, */*":              "text/html; charset=utf-8",
		"*/*":                         "text/html; charset=utf-8",
		"application/foo":             "text/html; charset=utf-8",
	} {
		r := s.call("GET", "/").with("Accept", header).send().status(200).has("Content-Type", want)
		if strings.HasPrefix(want, "application/json") {
			r.is(200, `{"version":"1.24.0"}`)
		}
	}
	s.call("GET", "/").with("Accept", "text/plain").is(406, "")
	s.call("GET", "/heartbeat").is(200, "OK")
	s.call("GET", "/css/status-page.css").send().status(200).has("Content-Type", "text/css; charset=utf-8")
}

func TestWhoAmI(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !host app/web\n- !user eve")
	host := s.token("host/app/web", keys["acme:host:app/web"])
	type answer struct {
		ClientIP  string  `json:"client_ip"`
		UserAgent *string `json:"user_agent"`
		Account   string
		Username  string
		IssuedAt  string `json:"token_issued_at"`
	}
	s.run("host", func(s *testServer) {
		var got answer
		s.call("GET", "/whoami").as(host).with("User-Agent", `curl/8.0 "x"`).send().status(200).decode(&got)
		if got.ClientIP != "127.0.0.1" || *got.UserAgent != `curl/8.0 "x"` || got.Account != "acme" || got.Username != "host/app/web" ||
			!strings.HasSuffix(got.IssuedAt, ".000+00:00") {
			s.Errorf("%+v", got)
		}
	})
	s.run("behind a proxy", func(s *testServer) {
		var got answer
		s.call("GET", "/whoami").as(host).with("X-Forwarded-For", "6.6.6.6, 1.2.3.4, 10.0.0.7").send().status(200).decode(&got)
		if got.ClientIP != "1.2.3.4" {
			s.Errorf("%+v", got)
		}
	})
	s.run("garbage from a proxy is 400", func(s *testServer) {
		r := s.call("GET", "/whoami").as(host).with("X-Forwarded-For", "nowhere").send().status(400)
		if !strings.Contains(r.body, `"code":"bad_request"`) || !strings.Contains(r.body, "nowhere") {
			s.Error(r.body)
		}
	})
	s.run("of a role that is gone is 401", func(s *testServer) {
		eve := s.token("eve", keys["acme:user:eve"])
		s.call("PATCH", "/policies/acme/policy/root").as(s.admin).data("- !delete\n  record: !user eve").send().status(201)
		s.call("GET", "/whoami").as(eve).is(401, "")
		s.call("GET", "/resources/acme").as(eve).is(401, "")
	})
}

func TestBodyLimits(t *testing.T) {
	s := newTestServer(t)
	s.load("- !variable x")
	large := strings.Repeat("x", 20<<20)
	s.run("a value of 20 MB is stored", func(s *testServer) {
		s.call("POST", "/secrets/acme/variable/x").as(s.admin).data(large).is(201, "")
		if r := s.call("GET", "/secrets/acme/variable/x").as(s.admin).send().status(200); r.body != large {
			s.Errorf("%d bytes", len(r.body))
		}
	})
	s.run("a larger one is 413", func(s *testServer) {
		r := s.call("POST", "/secrets/acme/variable/x").as(s.admin).data(large + "xy").send().status(413)
		if !strings.Contains(r.body, "20971521 bytes") {
			s.Error(r.body)
		}
	})
	s.run("a key of 10 kB is 413", func(s *testServer) {
		s.call("POST", "/authn/acme/admin/authenticate").data(large[:10<<10]).send().status(413)
	})
	s.run("a body without a stated length is bounded too", func(s *testServer) {
		r, err := http.NewRequest("POST", s.url.String()+"/authn/acme/admin/authenticate", io.MultiReader(strings.NewReader(large)))
		must(s.T, err)
		got, err := s.http.Do(r)
		if err != nil {
			return // cut while sending: bounded as well
		}
		defer got.Body.Close()
		if got.StatusCode != 413 {
			s.Errorf("status %d", got.StatusCode)
		}
	})
}

// A defect is answered with 500 and nothing else, and is logged once.
func TestDefects(t *testing.T) {
	var log bytes.Buffer
	broken := New(nil, Options{Log: slog.New(slog.NewTextHandler(&log, nil))}) // there is no core to call
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/authn/acme/admin/authenticate", strings.NewReader("the-key"))
	r.Header.Set("X-Request-Id", "r1")
	broken.ServeHTTP(w, r)
	if w.Code != 500 || w.Body.Len() != 0 || w.Header().Get("X-Request-Id") != "r1" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if line := log.String(); strings.Count(line, "level=ERROR") != 1 || !strings.Contains(line, "request_id=r1") || strings.Contains(line, "the-key") {
		t.Error(line)
	}
}
