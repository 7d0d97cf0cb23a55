package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
)

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, http.ErrBodyNotAllowed
}

func (u unread) Close() error { return nil }

func TestALargeBodyOfSomebodyWithoutThePrivilegeIsNotRead(t *testing.T) {
	s := newTestServer(t)
	keys := s.load("- !host poor\n- !variable db\n- !permit {role: !host poor, privilege: read, resource: !variable db}\n- !permit {role: !host poor, privilege: read, resource: !policy root}")
	token := s.token("host/poor", keys["acme:host:poor"])
	for target, method := range map[string]string{"/policies/acme/policy/root": "POST", "/secrets/acme/variable/db": "POST"} {
		r, err := http.NewRequest(method, s.url.String()+target, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr, r.RequestURI = "127.0.0.1:1", target
		r.Header.Set("Authorization", token)
		r.Body, r.ContentLength = unread{t}, 10<<20
		w := &sink{header: http.Header{}}
		New(s.core, Options{}).ServeHTTP(w, r)
		if w.status != http.StatusForbidden {
			t.Errorf("%s: status %d", target, w.status)
		}
	}
}

func TestLargeBodiesWaitForRoom(t *testing.T) {
	room := semaphore.NewWeighted(roomForBodies)
	exchangeOf := func(ctx context.Context, length int64) *exchange {
		r, err := http.NewRequestWithContext(ctx, "POST", "/", strings.NewReader(strings.Repeat("x", int(length))))
		if err != nil {
			t.Fatal(err)
		}
		return &exchange{r: r, room: room, limit: secretBody}
	}
	if err := room.Acquire(t.Context(), roomForBodies-smallBody); err != nil {
		t.Fatal(err)
	}
	small := exchangeOf(t.Context(), smallBody)
	if _, err := small.body(); err != nil || small.reserved != 0 {
		t.Errorf("a small body waited: %v, %d reserved", err, small.reserved)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := exchangeOf(ctx, 2*smallBody).body(); err == nil {
		t.Error("a large body did not wait")
	}
	room.Release(roomForBodies - smallBody)
	large := exchangeOf(t.Context(), 2*smallBody)
	if body, err := large.body(); err != nil || len(body) != 2*smallBody {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	large.release()
	if !room.TryAcquire(roomForBodies) {
		t.Error("room was not given back")
	}
}

// clocked notes the deadlines that are set for reading.
type clocked struct {
	http.ResponseWriter
	deadlines []time.Time
}

func (c *clocked) SetReadDeadline(t time.Time) error {
	c.deadlines = append(c.deadlines, t)
	return nil
}

// Given that few large bodies fit at once, nobody may hold their room by sending slowly.
func TestALargeBodyMustComeInTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		length int64
		want   int // deadlines: one for the body, then none
	}{{"small", smallBody, 0}, {"large", smallBody + 1, 2}, {"of unknown length", -1, 2}} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", smallBody+1)))
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = c.length
			w := &clocked{}
			e := &exchange{r: r, w: w, room: semaphore.NewWeighted(roomForBodies), limit: secretBody}
			if _, err := e.body(); err != nil || len(w.deadlines) != c.want {
				t.Fatalf("deadlines %v, %v", w.deadlines, err)
			}
			if c.want == 2 && (time.Until(w.deadlines[0]) > largeBodyTime || w.deadlines[0].IsZero() || !w.deadlines[1].IsZero()) {
				t.Errorf("deadlines %v", w.deadlines)
			}
		})
	}
}
