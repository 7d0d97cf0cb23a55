package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rekey/internal/rotation/target/targettest"
)

// The server of these tests is a process of its own: this program, told so by its first
// argument. It keeps two passwords for each user.
const asServer = "-as-server"

const signingKey = "0123456789abcdef0123456789abcdef"

var (
	server    string // https://localhost:port
	authority *targettest.Authority
)

func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == asServer {
		s := &service{users: map[string][]string{}, seen: map[string]bool{}}
		fmt.Fprintln(os.Stderr, http.ListenAndServeTLS(os.Args[2], os.Args[3]+"/server.crt", os.Args[3]+"/server.key", s.handler()))
		os.Exit(1)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "rekey-target-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if authority, err = targettest.NewAuthority(); err != nil {
		return 0, err
	}
	if err := authority.Issue(dir, "localhost"); err != nil {
		return 0, err
	}
	port, err := targettest.Port()
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	c, err := targettest.Command(dir, self, asServer, "127.0.0.1:"+strconv.Itoa(port), dir)
	if err != nil {
		return 0, err
	}
	c.SysProcAttr.Credential = nil // the program lies where others cannot look
	stop, err := targettest.Start(c, targettest.Listens(port))
	if err != nil {
		return 0, err
	}
	defer stop()
	server = fmt.Sprintf("https://localhost:%d", port)
	return m.Run(), nil
}

type service struct {
	mu    sync.Mutex
	users map[string][]string
	seen  map[string]bool
}

type question struct {
	ID, Operation, Current, Next, Old, Value string
	Parameters, Variables, Secrets           map[string]string
}

func (s *service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rotate", s.rotate)
	// What follows is for the tests.
	mux.HandleFunc("POST /add", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users[r.FormValue("user")] = []string{r.FormValue("password")}
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.users[r.FormValue("user")], r.FormValue("password")) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	mux.HandleFunc("POST /always/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			status = http.StatusTeapot
		}
		w.Header().Set("Location", "/rotate")
		w.WriteHeader(status)
		fmt.Fprint(w, r.URL.Query().Get("body"))
	})
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) { time.Sleep(30 * time.Second) })
	mux.HandleFunc("POST /endless", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	return mux
}

// authentic tells whether a request was signed, not long ago, and for the first time.
func (s *service) authentic(r *http.Request, body []byte, id string) bool {
	timestamp := r.Header.Get("Rekey-Timestamp")
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if age := time.Since(time.Unix(at, 0)); err != nil || age > 5*time.Minute || age < -5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, []byte(signingKey))
	fmt.Fprintf(mac, "%s.%s", timestamp, body)
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("Rekey-Signature"), "v1="))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) || s.seen[id] {
		return false
	}
	s.seen[id] = true
	return true
}

func (s *service) rotate(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var q question
	if err != nil || json.Unmarshal(body, &q) != nil {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	say := func(status int, message string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"message": message}) // who does not listen any more asks again
	}
	user := q.Variables["username"]
	passwords, known := s.users[user]
	works := func(p string) bool { return slices.Contains(passwords, p) }
	switch {
	case !s.authentic(r, body, q.ID):
		say(http.StatusBadRequest, "the signature is wrong")
	case !known:
		say(http.StatusConflict, "there is no such user")
	case q.Operation == "probe" && !works(q.Value), q.Operation == "apply" && !works(q.Current) && !works(q.Next):
		say(http.StatusUnauthorized, "wrong password")
	case q.Operation == "apply" && works(q.Next), q.Operation == "probe":
		w.WriteHeader(http.StatusNoContent)
	case q.Operation == "apply" && len(q.Next) < 8:
		say(http.StatusUnprocessableEntity, "too short")
	case q.Operation == "apply":
		s.users[user] = []string{q.Current, q.Next}
		w.WriteHeader(http.StatusNoContent)
	default:
		s.users[user] = slices.DeleteFunc(passwords, func(p string) bool { return p == q.Old })
		w.WriteHeader(http.StatusNoContent)
	}
}
