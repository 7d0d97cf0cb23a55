package metrics

import "time"

// RotationBegins counts a rotation that is worked on, until end is called.
func (m *Metrics) RotationBegins() (end func()) {
	if m == nil {
		return func() {}
	}
	m.inFlight.Inc()
	return m.inFlight.Dec
}

// Rotated counts a value that was published. The rotator is one that the server has.
func (m *Metrics) Rotated(rotator string, took time.Duration) {
	if m != nil {
		m.rotated.WithLabelValues(rotator).Inc()
		m.rotationTime.WithLabelValues(rotator).Observe(took.Seconds())
	}
}

// RotationFailed counts an attempt that failed. The class is one of package target's.
func (m *Metrics) RotationFailed(rotator, class string) {
	if m != nil {
		m.rotationFails.WithLabelValues(rotator, class).Inc()
	}
}

// Checked counts a login with a present value. The outcome is of a fixed set.
func (m *Metrics) Checked(rotator, outcome string) {
	if m != nil {
		m.checks.WithLabelValues(rotator, outcome).Inc()
	}
}

// Unacknowledged counts an old value that was ended while somebody may still have used it.
// The rotator is one that the server has.
func (m *Metrics) Unacknowledged(rotator string) {
	if m != nil {
		m.unacknowledged.WithLabelValues(rotator).Inc()
	}
}
