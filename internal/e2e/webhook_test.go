package e2e

import (
	"bufio"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Given a webhook, when the server is killed at any moment while API keys are replaced,
// then each replacement that was answered is told of in the end.
func TestWebhooksAreToldAfterKills(t *testing.T) {
	t.Parallel()
	const lives = 5
	var mutex sync.Mutex
	told := map[string]bool{} // by webhook-id
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		if rand.IntN(4) == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		told[r.Header.Get("webhook-id")] = true
	}))
	t.Cleanup(receiver.Close)
	dir, here := newDir(t), t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(here, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	write("hooks.yml", "- { name: deploy, url: '"+receiver.URL+"', secret_file: secret, events: [key-rotated], about: ['demo:host:*'] }\n")
	flags := []string{"--webhooks", filepath.Join(here, "hooks.yml"), "--webhook-targets", "127.0.0.1", "--audit", "file:" + here + "/audit"}

	acknowledged, key := 0, ""
	for life := range lives {
		s := serve(t, dir, flags...)
		if life == 0 {
			key = s.adminKey(t)
			newClient(s.url).as(t, "admin", key).load(t, "POST", "root", "- !host web")
		}
		admin := newClient(s.url).as(t, "admin", key)
		if life == lives-1 {
			break
		}
		time.AfterFunc(time.Duration(20+rand.IntN(100))*time.Millisecond, s.kill)
		for {
			got, err := admin.send("PUT", "/authn/demo/api_key?role=host:web", nil)
			if err != nil {
				break
			}
			if got.status != http.StatusOK {
				t.Fatal(got)
			}
			acknowledged++
		}
		s.kill()
	}
	if acknowledged == 0 {
		t.Fatal("no key was replaced")
	}
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		mutex.Lock()
		n := len(told)
		mutex.Unlock()
		if n >= acknowledged {
			t.Logf("%d acknowledged, %d told", acknowledged, n)
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d acknowledged, %d told", acknowledged, n)
		}
	}
}

// Given an open stream of events, when the server is asked to stop, then the stream ends
// and the server does not wait for it.
func TestStreamsEndWhenTheServerStops(t *testing.T) {
	t.Parallel()
	s, key := start(t, "--audit", "file:"+t.TempDir()+"/audit")
	admin := newClient(s.url).as(t, "admin", key)
	admin.load(t, "POST", "root", "- !variable v")
	request, err := http.NewRequest("GET", s.url+"/events/demo", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", admin.token)
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	lines := bufio.NewScanner(stream.Body)
	lines.Scan() // it has begun
	admin.must(t, 201, "POST", "/secrets/demo/variable/v", "value")
	for lines.Scan() && lines.Text() != "event: version" {
	}
	before := time.Now()
	s.terminate(t)
	if took := time.Since(before); took > 10*time.Second {
		t.Errorf("stopping took %v", took)
	}
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "event") {
			t.Error(lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut off: %v", err)
	}
}
