package conjur_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"rekey/internal/rotation/target"
)

func TestWhatAServerSaysHasAClass(t *testing.T) {
	key := strings.Repeat("k", 52)
	for _, test := range []struct {
		at     string
		admin  bool
		status int
		body   string
		class  target.Class
	}{
		{"/authenticate", true, 401, "", target.Refused},
		{"/authenticate", true, 500, "", target.Unreachable},
		{"/authenticate", true, 200, "<html>", target.Refused},
		{"/authenticate", true, 302, "", target.Refused},
		{"/api_key", false, 401, "", target.AuthFailed},
		{"/api_key", true, 401, "", target.Unreachable},
		{"/api_key", true, 403, "", target.Refused},
		{"/api_key", true, 404, "", target.Refused},
		{"/api_key", false, 405, "", target.Refused},
		{"/api_key", false, 429, "", target.Unreachable},
		{"/api_key", false, 503, "", target.Uncertain},
		{"/api_key", false, 200, "<html>it works</html> and more", target.Uncertain},
		{"/api_key", false, 200, strings.Repeat(key, 1<<16), target.Uncertain},
		{"/api_key", false, 200, "", target.Uncertain},
	} {
		p := open(t, mode{admin: test.admin})
		server.Answer(func(r *http.Request) (int, string) {
			if strings.HasSuffix(r.URL.Path, test.at) {
				return test.status, test.body
			}
			return 0, ""
		})
		_, err := p.target(nil).Apply(p.context(), p.current(), p.intent())
		p.class(fmt.Sprintf("%s answers %d %.10s", test.at, test.status, test.body), err, test.class)
		server.Answer(nil)
	}
}
