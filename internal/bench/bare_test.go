package bench

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestBareServerAnswersWithItsBody(t *testing.T) {
	page := []byte(strings.Repeat("x", 40_000)) // longer than what net/http measures by itself
	cases := []struct {
		name string
		kind bare
	}{
		{"plain", bare{barePlain, 200, page}},
		{"no content", bare{kind: barePlain, status: 204}},
		{"durable", bare{bareDurable, 201, []byte("key")}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			e := testEnv(t)
			conn := dialBare(t, e, c.kind)
			for range 3 { // on one connection
				status, body, err := conn.exchange(render("PUT", "/any/path?x=y", "Basic eA==", "value"))
				if err != nil || status != c.kind.status || !bytes.Equal(body, c.kind.body) {
					t.Fatalf("got %d, %d bytes, %v; want %d, %d bytes", status, len(body), err, c.kind.status, len(c.kind.body))
				}
			}
		})
	}
}

func TestBareSignerPutsAnotherSignatureOfTheSameSize(t *testing.T) {
	sample := bytes.Repeat([]byte("."), 400)
	conn := dialBare(t, testEnv(t), bare{bareSign, 200, sample})
	_, body, err := conn.exchange(render("POST", "/", "", "key"))
	if err != nil || len(body) != len(sample) {
		t.Fatalf("got %d bytes, %v; want %d", len(body), err, len(sample))
	}
	if prefix := bytes.Repeat([]byte("."), 400-88); !bytes.HasPrefix(body, prefix) || bytes.Contains(body[400-88:], []byte(".")) {
		t.Fatalf("the last 88 bytes must be a signature: %q", body)
	}
}

func TestJournalHoldsFourKiBForEachThatReturned(t *testing.T) {
	file := filepath.Join(t.TempDir(), "journal")
	act, err := journal(file)
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 8, 5
	var work sync.WaitGroup
	for range writers {
		work.Go(func() {
			for range each {
				if err := act(nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	info, err := os.Stat(file)
	if err != nil || info.Size() != writers*each*4096 {
		t.Fatalf("journal %v, %v; want %d bytes", info.Size(), err, writers*each*4096)
	}
}

func TestJournalReportsAFailingDisk(t *testing.T) {
	act, err := journal("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	if err := act(nil); err == nil {
		t.Fatal("a write that failed was acknowledged")
	}
}

func TestServeBareRefusesAnUnknownKind(t *testing.T) {
	if err := ServeBare([]string{"-kind", "golden"}, strings.NewReader("")); err == nil || !strings.Contains(err.Error(), "golden") {
		t.Fatalf("error %v, want one that names the kind", err)
	}
}

func dialBare(t *testing.T, e *Env, kind bare) *connection {
	t.Helper()
	server, err := e.startBare(t.Context(), kind)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := dial(server.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
