// Package metrics counts what the server does, in a registry of its own, and writes it
// in the text format of Prometheus. Names, labels and buckets of the metrics that begin
// with conjur_ are those that dashboards made for Conjur know; those that begin with
// rekey_ are this server's own.
//
// It promises that no label has a value from outside of a fixed set: none holds the name
// of an account, of a role or of a variable, or a word of a client's. A nil *Metrics
// counts nothing, so that nobody has to ask. It imports no room.
package metrics

import (
	"io"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"
)

// Metrics are the instruments. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	exceptions *prometheus.CounterVec

	commitSets     prometheus.Histogram
	commitTime     prometheus.Histogram
	commitFailed   prometheus.Counter
	cacheHits      prometheus.Counter
	cacheMisses    prometheus.Counter
	audited        prometheus.Counter
	auditFailed    prometheus.Counter
	inFlight       prometheus.Gauge
	rotated        *prometheus.CounterVec
	rotationFails  *prometheus.CounterVec
	rotationTime   *prometheus.HistogramVec
	checks         *prometheus.CounterVec
	unacknowledged *prometheus.CounterVec
	gauges         gauges
}

// buckets are those of Conjur, in seconds.
var buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// New makes instruments that have counted nothing yet.
func New() *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	histograms := func(name, help string, label string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
	}
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		requests:   counters("conjur_http_server_requests_total", "The total number of HTTP requests handled by Conjur.", "code", "operation"),
		durations:  histograms("conjur_http_server_request_duration_seconds", "The HTTP response duration of requests handled by Conjur.", "operation"),
		exceptions: counters("conjur_http_server_request_exceptions_total", "The total number of API exceptions raised by Conjur.", "operation", "exception", "message"),

		commitSets:   histogram("rekey_store_commit_sets", "How many changes of clients one durable transaction of the store held.", []float64{1, 2, 4, 8, 16, 32, 64, 128, 256}),
		commitTime:   histogram("rekey_store_commit_duration_seconds", "How long a transaction of the store took until it was durable.", []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}),
		commitFailed: counter("rekey_store_commit_failures_total", "Transactions of the store that failed as a whole."),
		cacheHits:    counter("rekey_value_cache_hits_total", "Reads of values whose sealed bytes were in memory."),
		cacheMisses:  counter("rekey_value_cache_misses_total", "Reads of values whose sealed bytes came from the store."),
		audited:      counter("rekey_audit_records_total", "Audit records that were written."),
		auditFailed:  counter("rekey_audit_failures_total", "Times that audit records could not be written, and a request failed for it."),

		inFlight:       prometheus.NewGauge(prometheus.GaugeOpts{Name: "rekey_rotations_in_flight", Help: "Rotations, and logins with present values, that are worked on now."}),
		rotated:        counters("rekey_rotations_succeeded_total", "New values that were published.", "rotator"),
		rotationFails:  counters("rekey_rotations_failed_total", "Attempts to rotate that failed, by the class of the failure.", "rotator", "class"),
		rotationTime:   histograms("rekey_rotation_duration_seconds", "How long it took from the beginning of a rotation until its value was published.", "rotator"),
		checks:         counters("rekey_rotation_checks_total", "Logins with present values, between rotations, by what the target said.", "rotator", "outcome"),
		unacknowledged: counters("rekey_rotations_unacknowledged_total", "Old values that were ended though not all consumers had acknowledged the new one.", "rotator"),
	}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.durations, m.exceptions, m.commitSets, m.commitTime, m.commitFailed, m.cacheHits, m.cacheMisses, m.audited, m.auditFailed,
		m.inFlight, m.rotated, m.rotationFails, m.rotationTime, m.checks, m.unacknowledged, &m.gauges)
	return m
}

// ContentType is that of what Write writes.
const ContentType = "text/plain; version=0.0.4"

// Write writes everything in the text format of Prometheus, version 0.0.4.
func (m *Metrics) Write(w io.Writer) error {
	families, err := m.registry.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(w, family); err != nil {
			return err
		}
	}
	return nil
}

// Request counts an answer. The operation is of a fixed set.
func (m *Metrics) Request(operation string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(strconv.Itoa(status), operation).Inc()
	m.durations.WithLabelValues(operation).Observe(took.Seconds())
}

// Exception counts a request that failed for the server's own reasons. exception says
// which, by one of few words.
func (m *Metrics) Exception(operation, exception string) {
	if m != nil {
		m.exceptions.WithLabelValues(operation, exception, "").Inc()
	}
}

// Commit counts a transaction of the store.
func (m *Metrics) Commit(sets int, took time.Duration, err error) {
	switch {
	case m == nil:
	case err != nil:
		m.commitFailed.Inc()
	default:
		m.commitSets.Observe(float64(sets))
		m.commitTime.Observe(took.Seconds())
	}
}

// Cached counts a read of a value.
func (m *Metrics) Cached(hit bool) {
	switch {
	case m == nil:
	case hit:
		m.cacheHits.Inc()
	default:
		m.cacheMisses.Inc()
	}
}

// Audited counts audit records.
func (m *Metrics) Audited(records int, err error) {
	switch {
	case m == nil:
	case err != nil:
		m.auditFailed.Inc()
	default:
		m.audited.Add(float64(records))
	}
}
