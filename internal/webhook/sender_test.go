package webhook

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"rekey/internal/row"
	"rekey/internal/secret"
	"rekey/internal/store"
)

// The example of the Standard Webhooks specification's reference implementations.
func TestSignature(t *testing.T) {
	key := secret.New([]byte{0x31, 0xf2, 0x90, 0xf6, 0xbf, 0x06, 0x29, 0x8a, 0xab, 0x4f, 0x08, 0xd4, 0x3c, 0x3f, 0x08, 0x2c, 0xf6, 0x48, 0xa3, 0x62, 0xda, 0x2d, 0xa4, 0xb0})
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	if got := sign([]secret.Bytes{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, `{"test": 2432232314}`); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Given a hook, when an API key is replaced, then it is told once, and can check who says so.
func TestAHookIsToldOnceAndCanCheckIt(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, hook(t, "deploy", r.URL+"/here?token=x"), hook(t, "other", r.URL, "rotated"))
	w.happens()
	worker := w.sender().worker(w.hooks[0])
	for range 2 {
		if next, err := worker.pass(ctx); err != nil || !next.IsZero() {
			t.Fatal(next, err)
		}
	}
	if r.count() != 1 {
		t.Fatalf("%d requests", r.count())
	}
	got, body := r.got[0], r.bodies[0]
	id, at := got.Header.Get("webhook-id"), got.Header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	must(t, err)
	secrets, failed := readSecrets(w.hooks[0].SecretFile)
	if failed != nil || got.Header.Get("webhook-signature") != sign(secrets, id, seconds, body) || seconds != w.now.Unix() {
		t.Errorf("%v", got.Header)
	}
	var told map[string]any
	must(t, json.Unmarshal([]byte(body), &told))
	if len(told) != 5 || told["id"] != id || told["event"] != "key-rotated" || told["account"] != "acme" || told["role"] != "acme:user:admin" || told["at"] != "2026-05-01T12:00:00Z" {
		t.Errorf("%s", body)
	}
	if d := w.newest("deploy"); d.State != row.Delivered || d.Attempts != 1 || d.Status != 204 || d.Problem != "" || !d.NextAt.IsZero() {
		t.Errorf("%+v", d)
	}
	if list, err := w.WaitingDeliveries(ctx, "other"); err != nil || len(list) > 0 {
		t.Errorf("the hook for other events: %v %v", list, err)
	}
}

// Given a receiver that fails, then it is tried again after pauses that double, until
// three days are over.
func TestRetries(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, hook(t, "deploy", r.URL))
	worker := w.sender().worker(w.hooks[0])
	r.answers(503)
	w.happens()
	began := w.now
	var pauses []time.Duration
	for w.newest("deploy").State == row.Waiting {
		before := w.now
		next, err := worker.pass(ctx)
		must(t, err)
		if next.IsZero() {
			break
		}
		pauses = append(pauses, next.Sub(before))
		w.pass(next.Sub(before) - time.Millisecond)
		asked := r.count()
		if again, err := worker.pass(ctx); err != nil || r.count() != asked || !again.Equal(next) {
			t.Fatalf("before its time: %v %v", again, err)
		}
		w.pass(time.Millisecond)
	}
	const base = 3750 * time.Millisecond // three quarters of five seconds: between half and all
	for i, want := range []time.Duration{base, 2 * base, 4 * base, 8 * base} {
		if pauses[i] != want {
			t.Errorf("pause %d is %v, want %v", i, pauses[i], want)
		}
	}
	if last := pauses[len(pauses)-1]; last != 45*time.Minute {
		t.Errorf("the last pause is %v", last)
	}
	d := w.newest("deploy")
	if took := w.now.Sub(began); d.State != row.Dropped || took < 71*time.Hour || took > 72*time.Hour || d.Problem != "it answered 503" || d.Status != 503 {
		t.Errorf("after %v: %+v", took, d)
	}
}

func TestWhatIsNoSuccess(t *testing.T) {
	r := newReceiver(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	private := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(private.Close)
	private.Config.ErrorLog = nil
	for name, c := range map[string]struct {
		url     string
		status  int
		problem string
	}{
		"a redirect":               {r.URL + "/?token=hidden", 302, "redirects are not followed"},
		"a refusal":                {r.URL + "/?token=hidden", 410, "it answered 410"},
		"nobody there":             {gone.URL + "/?token=hidden", 0, "connection refused"},
		"a certificate of nowhere": {private.URL + "/?token=hidden", 0, "certificate signed by unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, hook(t, "deploy", c.url))
			r.answers(c.status)
			w.happens()
			asked := r.count()
			next, err := w.sender().worker(w.hooks[0]).pass(ctx)
			must(t, err)
			d := w.newest("deploy")
			if d.State != row.Waiting || next.IsZero() || !strings.Contains(d.Problem, c.problem) || strings.Contains(d.Problem, "hidden") || r.count() > asked+1 {
				t.Errorf("%+v", d)
			}
		})
	}
}

// Given a receiver that never answers, then another one is told all the same, and so is
// the one that is slow when the server stops and starts again.
func TestASlowReceiverHoldsUpNobody(t *testing.T) {
	began, end := make(chan struct{}, 10), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { began <- struct{}{}; <-end }))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(end) })
	quick := newReceiver(t)
	w := newWorld(t, hook(t, "slow", slow.URL), hook(t, "quick", quick.URL))
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { w.sender().Run(running); close(done) }()
	w.happens()
	<-began
	for i := range 3 {
		w.happens()
		for deadline := time.Now().Add(20 * time.Second); quick.count() < i+2; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the quick receiver is not told")
			}
		}
	}
	stop()
	<-done
	list, err := w.WaitingDeliveries(ctx, "slow")
	if err != nil || len(list) != 4 || list[0].NextAt.After(w.clock()) {
		t.Errorf("%+v %v", list, err)
	}
}

// Given that the process dies after what happened was stored, or while it tells of it,
// then it is told after the next start.
func TestNothingIsLostInACrash(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, hook(t, "deploy", r.URL))
	w.happens()
	w.close()
	w.open() // it died before anything was sent
	list, err := w.WaitingDeliveries(ctx, "deploy")
	must(t, err)
	if len(list) != 1 {
		t.Fatalf("%+v", list)
	}
	_, err = w.ClaimDelivery(ctx, list[0], w.now.Add(claimTime))
	must(t, err)
	w.close()
	w.open() // it died while it sent
	worker := w.sender().worker(w.hooks[0])
	next, err := worker.pass(ctx)
	if err != nil || r.count() != 0 || !next.Equal(w.now.Add(claimTime)) {
		t.Fatalf("%v %v: another process may still be sending", next, err)
	}
	if _, err := w.ClaimDelivery(ctx, list[0], w.now); err == nil {
		t.Error("it is claimed twice")
	}
	w.pass(claimTime)
	if _, err := worker.pass(ctx); err != nil || r.count() != 1 {
		t.Errorf("%d requests, %v", r.count(), err)
	}
	if d := w.newest("deploy"); d.State != row.Delivered || d.Attempts != 2 {
		t.Errorf("%+v", d)
	}
}

// Given an egress that is not allowed, or a secret that is gone, then nothing is sent.
func TestNothingIsSentWhereItMayNot(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, hook(t, "deploy", r.URL))
	w.happens()
	s := w.sender()
	s.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.AddrError{Err: "not allowed"}
	}
	_, err := s.worker(w.hooks[0]).pass(ctx)
	must(t, err)
	if d := w.newest("deploy"); d.Problem == "" || r.count() > 0 {
		t.Errorf("%+v", d)
	}
	must(t, os.Remove(w.hooks[0].SecretFile))
	w.pass(time.Hour)
	_, err = w.sender().worker(w.hooks[0]).pass(ctx)
	must(t, err)
	if d := w.newest("deploy"); !strings.Contains(d.Problem, "its secret cannot be read") || r.count() > 0 {
		t.Errorf("%+v", d)
	}
}

// Given more than is kept, then the oldest that are over are forgotten, and the oldest
// that wait are dropped.
func TestWhatIsKeptIsBounded(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, hook(t, "deploy", r.URL))
	fill := func(state row.DeliveryState, n int) {
		set := &row.Set{}
		for i := range n {
			at := w.now.Add(time.Duration(i) * time.Millisecond)
			set.Add(row.Insert, row.Delivery{ID: string(state) + strconv.Itoa(i), Hook: "deploy", Subject: "acme:user:admin", Body: "{}", CreatedAt: at, State: state, NextAt: at.Add(time.Hour)})
		}
		refused, err := w.store.Commit(ctx, []*row.Set{set})
		must(t, err)
		must(t, refused[0])
	}
	count := func(state row.DeliveryState) int {
		list, err := w.store.Deliveries(ctx, store.DeliveryFilter{Hook: "deploy", State: state, Limit: 100_000})
		must(t, err)
		return len(list)
	}
	fill(row.Delivered, 1100)
	fill(row.Waiting, 10_003)
	next, err := w.sender().worker(w.hooks[0]).pass(ctx)
	if err != nil || !next.Equal(w.now.Add(time.Hour+3*time.Millisecond)) {
		t.Errorf("%v %v", next, err)
	}
	if d, waiting, dropped := count(row.Delivered), count(row.Waiting), count(row.Dropped); d != 1000 || waiting != 10_000 || dropped != 3 {
		t.Errorf("%d delivered, %d waiting, %d dropped", d, waiting, dropped)
	}
}
