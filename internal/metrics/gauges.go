package metrics

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State is what is looked up when somebody asks for the metrics.
type State struct {
	Resources, Roles map[string]int            // by kind
	Authenticators   map[string]map[string]int // by type, then installed, configured or enabled
	Rotations        map[string]int            // variables by the state of their rotation, "paused" among them
	Due, Overdue     int                       // rotations whose moment has come, and has passed by more than a minute
	OldestOverdue    time.Duration
}

// Observe has the state looked up each time that the metrics are written.
func (m *Metrics) Observe(state func() State) {
	if m != nil {
		m.gauges.state.Store(&state)
	}
}

var (
	resourceCount  = prometheus.NewDesc("conjur_resource_count", "Number of resources in Conjur database", []string{"kind"}, nil)
	roleCount      = prometheus.NewDesc("conjur_role_count", "Number of roles in Conjur database", []string{"kind"}, nil)
	authenticators = prometheus.NewDesc("conjur_server_authenticator", "Number of authenticators enabled", []string{"type", "status"}, nil)
	rotations      = prometheus.NewDesc("rekey_rotation_variables", "Variables that rotate, by the state of their rotation.", []string{"state"}, nil)
	due            = prometheus.NewDesc("rekey_rotations_due", "Rotations whose moment has come, and that wait to be begun.", nil, nil)
	overdue        = prometheus.NewDesc("rekey_rotations_overdue", "Rotations that should have been done more than a minute ago, those that fail among them.", nil, nil)
	oldestOverdue  = prometheus.NewDesc("rekey_rotation_overdue_age_seconds", "For how long the rotation that is overdue most has been.", nil, nil)
)

// gauges is a prometheus.Collector.
type gauges struct{ state atomic.Pointer[func() State] }

// Describe is part of prometheus.Collector.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{resourceCount, roleCount, authenticators, rotations, due, overdue, oldestOverdue} {
		to <- d
	}
}

// Collect is part of prometheus.Collector.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	state := g.state.Load()
	if state == nil {
		return
	}
	s := (*state)()
	send := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	each := func(d *prometheus.Desc, counts map[string]int) {
		for label, n := range counts {
			send(d, float64(n), label)
		}
	}
	each(resourceCount, s.Resources)
	each(roleCount, s.Roles)
	each(rotations, s.Rotations)
	for kind, counts := range s.Authenticators {
		for status, n := range counts {
			send(authenticators, float64(n), kind, status)
		}
	}
	send(due, float64(s.Due))
	send(overdue, float64(s.Overdue))
	send(oldestOverdue, s.OldestOverdue.Seconds())
}
