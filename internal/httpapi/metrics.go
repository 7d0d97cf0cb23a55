package httpapi

import (
	"bytes"
	"net/http"
	"strings"
	"time"

	"rekey/internal/fault"
	"rekey/internal/metrics"
)

var typeMetrics = []string{metrics.ContentType}

// writeMetrics answers with the metrics, to anybody: none of them names anything.
func (a *api) writeMetrics(e *exchange) error {
	if accept := header(e.r, "Accept"); accept != "" && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "text/plain") {
		h := e.w.Header()
		h["Content-Type"] = typeFilter
		h["X-Request-Id"] = e.header(e.origin.RequestID)
		return e.send(http.StatusNotAcceptable, []byte("Supported media types: text/plain"))
	}
	var text bytes.Buffer
	if err := a.metrics.Write(&text); err != nil {
		return fault.Wrap(err, "metrics")
	}
	e.start()["Content-Type"] = typeMetrics
	return e.send(http.StatusOK, text.Bytes())
}

// measure counts a request that has been answered.
func (a *api) measure(e *exchange, began time.Time) {
	name := operation(e.r)
	if e.query.has("wait") {
		name = "awaitChange" // or how long clients want to wait would look like how long answers take
	}
	if e.status != 0 {
		a.metrics.Request(name, e.status, time.Since(began))
	}
}

// exception is the word for an error that is the server's own.
func exception(status int) string {
	if status == http.StatusServiceUnavailable {
		return "unavailable"
	}
	return "internal"
}
