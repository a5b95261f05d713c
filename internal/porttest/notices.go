package porttest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// MemoryAlarms are alarms whose states are said beforehand.
type MemoryAlarms struct {
	mu     sync.Mutex
	states map[string][]workflow.Alarm
	asked  []string
}

var _ workflow.Alarms = (&MemoryAlarms{}).Get

// Set says what an alarm answers from now on: each state once, the last one for ever.
func (m *MemoryAlarms) Set(name string, states ...workflow.Alarm) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.states == nil {
		m.states = map[string][]workflow.Alarm{}
	}

	m.states[name] = slices.Clone(states)
}

// Get is the port.
func (m *MemoryAlarms) Get(ctx context.Context, name string) (workflow.Alarm, error) {
	if err := ctx.Err(); err != nil {
		return workflow.Alarm{}, err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = append(m.asked, name)
	states := m.states[name]
	if len(states) == 0 {
		return workflow.Alarm{}, refuse(fault.NotFound, "read alarm", name, "there is no such alarm")
	}

	if len(states) > 1 {
		m.states[name] = states[1:]
	}

	return states[0], nil
}

// Asked returns the names that were asked for, in order.
func (m *MemoryAlarms) Asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.asked)
}

// MemoryMetrics keeps what was stored. It refuses what CloudWatch would: a value without a name, a
// unit that it does not know, more than thirty dimensions.
type MemoryMetrics struct {
	mu     sync.Mutex
	stored []StoredMetric
}

// StoredMetric is a value and its time.
type StoredMetric struct {
	At time.Time
	workflow.Metric
}

var _ workflow.Metrics = (&MemoryMetrics{}).Put

var metricUnits = []string{
	"Seconds",
	"Microseconds",
	"Milliseconds",
	"Bytes",
	"Kilobytes",
	"Megabytes",
	"Gigabytes",
	"Percent",
	"Count",
	"None",
}

// Put is the port.
func (m *MemoryMetrics) Put(ctx context.Context, at time.Time, values []workflow.Metric) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	for _, v := range values {
		if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
			return refuse(fault.BadInput, "store metric", v.Name, "its value is %v", v.Value)
		}

		if v.Name == "" || !slices.Contains(metricUnits, v.Unit) || len(v.Dimensions) > 30 {
			return refuse(fault.BadInput, "store metric", v.Name, "unit %q, %d dimensions", v.Unit, len(v.Dimensions))
		}

		for _, d := range v.Dimensions {
			if d.Name == "" || d.Value == "" {
				return refuse(fault.BadInput, "store metric", v.Name, "dimension %q has value %q", d.Name, d.Value)
			}
		}

		m.stored = append(m.stored, StoredMetric{At: at, Metric: v})
	}

	return nil
}

// Stored returns what was stored, in order.
func (m *MemoryMetrics) Stored() []StoredMetric {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.stored)
}

// MemoryNotices keeps what was sent. It refuses what the port does not promise to send.
type MemoryNotices struct {
	mu   sync.Mutex
	sent []Notice
}

// Notice is a message.
type Notice struct{ Subject, Text string }

var _ workflow.Notify = (&MemoryNotices{}).Send

// Send is the port.
func (m *MemoryNotices) Send(ctx context.Context, subject, text string) error {
	if err := ctx.Err(); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if err := checkNotice(subject, text); err != nil {
		return refuse(fault.BadInput, "notify", subject, "%w", err)
	}

	m.sent = append(m.sent, Notice{subject, text})
	return nil
}

func checkNotice(subject, text string) error {
	if len(subject) > 100 {
		return fmt.Errorf("a subject of %d characters, limit 100", len(subject))
	}

	for _, r := range subject {
		if r < ' ' || r > '~' {
			return fmt.Errorf("the subject holds %q", r)
		}
	}

	if text == "" || len(text) > 256<<10 {
		return fmt.Errorf("a text of %d bytes, limit %d", len(text), 256<<10)
	}

	return nil
}

// Sent returns the messages, in order.
func (m *MemoryNotices) Sent() []Notice {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.sent)
}
