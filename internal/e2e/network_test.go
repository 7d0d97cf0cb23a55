package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/cyberark/conjur-api-go/conjurapi"
	"github.com/cyberark/conjur-api-go/conjurapi/authn"
)

// A role with restricted_to authenticates from its networks only. Who the client is
// says X-Forwarded-For, if a trusted proxy has sent it.
func TestRestrictedTo(t *testing.T) {
	t.Parallel()
	const policy = `
- !host {id: free}
- !host {id: office, restricted_to: [10.1.2.0/24, "2001:db8::/32"]}
- !host {id: local, restricted_to: [127.0.0.1]}
`
	cases := []struct {
		name      string
		trusted   string // networks of proxies, besides loopback
		forwarded string
		login     string
		want      int
		clientIP  string // as whoami tells it
	}{
		{"no restriction", "", "", "free", 200, "127.0.0.1"},
		{"from elsewhere", "", "", "office", 401, ""},
		{"from its network", "", "10.1.2.3", "office", 200, "10.1.2.3"},
		{"from its other network", "", "2001:db8::7", "office", 200, "2001:db8::7"},
		{"from beside its network", "", "10.1.3.3", "office", 401, ""},
		{"an address put in front by the client does not count", "", "10.1.2.3, 192.0.2.9", "office", 401, ""},
		{"behind a proxy that is trusted", "192.0.2.0/24", "10.1.2.3, 192.0.2.9", "office", 200, "10.1.2.3"},
		{"behind two proxies of which one is trusted", "192.0.2.0/24", "10.1.2.3, 198.51.100.1, 192.0.2.9", "office", 401, ""},
		{"all are proxies", "10.0.0.0/8", "10.1.2.3, 10.9.9.9", "office", 200, "10.1.2.3"},
		{"with a port", "", "10.1.2.3:4711", "office", 200, "10.1.2.3"},
		{"on this machine", "", "", "local", 200, "127.0.0.1"},
		{"a proxy on this machine", "", "198.51.100.1", "local", 401, ""},
		{"no address", "", "unknown", "free", 400, ""},
	}
	for _, trusted := range []string{"", "192.0.2.0/24", "10.0.0.0/8"} {
		s, key := start(t, "--trusted-proxies", trusted)
		admin := newClient(s.url).as(t, "admin", key)
		keys := admin.load(t, "POST", "root", policy)
		for _, c := range cases {
			if c.trusted != trusted {
				continue
			}
			t.Run(c.name, func(t *testing.T) {
				var headers []string
				if c.forwarded != "" {
					headers = []string{"X-Forwarded-For", c.forwarded}
				}
				who := newClient(s.url)
				got := who.must(t, c.want, "POST", "/authn/demo/host%2F"+c.login+"/authenticate", keys["host/"+c.login], headers...)
				if c.want != http.StatusOK {
					return
				}
				who.token = tokenHeader(got.body)
				if got := who.must(t, 200, "GET", "/whoami", "", headers...); !strings.Contains(got.body, `"client_ip":"`+c.clientIP+`"`) {
					t.Errorf("whoami: %s, want %s", got.body, c.clientIP)
				}
			})
		}
	}
}

func TestSelfSignedTLS(t *testing.T) {
	t.Parallel()
	s, key := start(t, "--tls-self-signed")
	if !strings.HasPrefix(s.url, "https://") {
		t.Fatalf("the server listens on %s", s.url)
	}
	printed := regexp.MustCompile(`certificate_sha256="?([0-9A-Fa-f:]+)`).FindStringSubmatch(s.stderr.String())
	pinned, err := os.ReadFile(filepath.Join(s.dir, "tls.crt"))
	if err != nil || printed == nil {
		t.Fatalf("%v; %s", err, s.stderr.String())
	}
	block, _ := pem.Decode(pinned)
	sum := sha256.Sum256(block.Bytes)
	if got := strings.ToLower(strings.ReplaceAll(printed[1], ":", "")); got != hex.EncodeToString(sum[:]) {
		t.Errorf("the log has the fingerprint %s, the certificate %x", got, sum)
	}
	connect := func(certificate string) error {
		c, err := conjurapi.NewClientFromKey(
			conjurapi.Config{ApplianceURL: s.url, Account: account, Environment: "oss", SSLCert: certificate, CredentialStorage: "none"},
			authn.LoginPair{Login: "admin", APIKey: key})
		if err != nil {
			return err
		}
		_, err = c.WhoAmI()
		return err
	}
	if err := connect(string(pinned)); err != nil {
		t.Errorf("a client that pins the certificate: %v", err)
	}
	if err := connect(""); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that trusts the system only: %v", err)
	}
	stranger, _ := start(t, "--tls-self-signed")
	foreign, err := os.ReadFile(filepath.Join(stranger.dir, "tls.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := connect(string(foreign)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a client that pins another certificate: %v", err)
	}
	// A restart keeps the certificate, or all clients would have to be told.
	s.terminate(t)
	again := serve(t, s.dir, "--tls-self-signed")
	s.url = again.url
	if err := connect(string(pinned)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// A server that is told to stop takes the rest of an upload that it has begun to read,
// and answers it; it takes nothing new.
func TestDrainWithAnUploadUnderWay(t *testing.T) {
	t.Parallel()
	s, key := start(t)
	admin := newClient(s.url).as(t, "admin", key)
	admin.load(t, "POST", "root", "- !variable big\n")
	value := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB

	address := strings.TrimPrefix(s.url, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /secrets/demo/variable/big HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", admin.token, len(value))
	reader := bufio.NewReader(conn)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatalf("%q, %v", line, err) // the server reads the body now
	}
	if _, err := reader.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn.Write(value[:1000])
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := s.await(&s.stderr, regexp.MustCompile("stopping")); err != nil {
		t.Fatal(err)
	}
	if other, err := net.Dial("tcp", address); err == nil {
		other.Close()
		t.Error("a new connection was taken")
	}
	for rest := value[1000:]; len(rest) > 0; {
		n, err := conn.Write(rest[:min(len(rest), 100_000)])
		if err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusCreated {
		t.Errorf("%s %s, %v", response.Status, body, err)
	}
	if err := <-s.exited; err != nil {
		t.Errorf("exit: %v\n%s", err, s.stderr.String())
	}
	again := serve(t, s.dir)
	admin = newClient(again.url).as(t, "admin", key)
	if got := admin.must(t, 200, "GET", "/secrets/demo/variable/big", ""); got.body != string(value) {
		t.Errorf("%d bytes were kept of %d", len(got.body), len(value))
	}
}
