package webhook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"one", "- {name: a, url: 'https://x.example.com/y', secret_file: good, events: [rotated], about: ['acme:variable:shop/*']}", ""},
		{"on this machine", "- {name: a, url: 'http://localhost:1/y', secret_file: good}", ""},
		{"with two secrets", "- {name: a, url: 'https://x/y', secret_file: two}", ""},
		{"in the clear", "- {name: a, url: 'http://x/y', secret_file: good}", "webhook 1 'a': its url is not https"},
		{"without a url", "- {name: a, secret_file: good}", "its url is none"},
		{"with a password", "- {name: a, url: 'https://u:p@x/', secret_file: good}", "has a password"},
		{"without a name", "- {url: 'https://x/y', secret_file: good}", "it has no name"},
		{"twice", "- &a {name: a, url: 'https://x/y', secret_file: good}\n- *a", "webhook 2 'a': there is another one of this name"},
		{"without a secret", "- {name: a, url: 'https://x/y'}", "it has no secret_file"},
		{"with a secret that is not there", "- {name: a, url: 'https://x/y', secret_file: none}", "cannot be read"},
		{"with a weak secret", "- {name: a, url: 'https://x/y', secret_file: weak}", "is not whsec_ and base64 of 24 to 64 bytes"},
		{"with an empty secret", "- {name: a, url: 'https://x/y', secret_file: empty}", "is empty"},
		{"with an unknown event", "- {name: a, url: 'https://x/y', secret_file: good, events: [exploded]}", "there is no event 'exploded'"},
		{"with an authority that is none", "- {name: a, url: 'https://x/y', secret_file: good, ca_file: good}", "its ca_file has no certificate"},
		{"with a word too many", "- {name: a, uri: x}", "uri"},
		{"no list", "name: a", "cannot be understood"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"hooks.yml": c.text, "good": secretLine, "two": secretLine + "\n\n" + secretLine + "\n", "weak": "whsec_c2hvcnQ=", "empty": "\n"} {
				must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			hooks, err := Read(filepath.Join(dir, "hooks.yml"))
			if c.want == "" && (err != nil || len(hooks) != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "whsec_c2h")) {
				t.Errorf("%v %v, want %q", hooks, err, c.want)
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there")
	}
}
