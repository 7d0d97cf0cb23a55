package admin

import (
	"io"
	"net/http"
	"strings"
	"sync"

	"rekey/internal/core"
)

// InProcess is a client of a core in the same process.
func InProcess(c *core.Core) *Client { return &Client{inProcess{Handler(c)}} }

// inProcess carries requests to a handler without a network.
type inProcess struct{ handler http.Handler }

func (t inProcess) RoundTrip(request *http.Request) (*http.Response, error) {
	body, written := io.Pipe()
	w := &answer{header: http.Header{}, status: http.StatusOK, body: written, begun: make(chan struct{})}
	response := &http.Response{Header: w.header, Trailer: http.Header{}, Body: body, ContentLength: -1, Request: request}
	go func() {
		t.handler.ServeHTTP(w, request)
		w.begin()
		for name, values := range w.header {
			if trailer, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
				response.Trailer[trailer] = values
			}
		}
		_ = written.Close() // it never fails
	}()
	<-w.begun
	response.StatusCode, response.Status = w.status, http.StatusText(w.status)
	return response, nil
}

// answer hands on what a handler writes. Its header is the handler's until the body has
// been read.
type answer struct {
	header http.Header
	status int
	body   io.Writer
	once   sync.Once
	begun  chan struct{} // closed when the status is known
}

func (w *answer) begin()                 { w.once.Do(func() { close(w.begun) }) }
func (w *answer) Header() http.Header    { return w.header }
func (w *answer) WriteHeader(status int) { w.status = status; w.begin() }
func (w *answer) Write(b []byte) (int, error) {
	w.begin()
	return w.body.Write(b)
}
