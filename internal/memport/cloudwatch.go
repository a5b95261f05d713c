package memport

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Alarms are alarms whose states a test sets in advance.
type Alarms struct {
	mu     sync.Mutex
	states map[string][]workflow.Alarm
	asked  []string
}

var _ workflow.Alarms = (&Alarms{}).Get

// Set sets what Get returns for an alarm: each state once, the last one from then on.
func (m *Alarms) Set(name string, states ...workflow.Alarm) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if m.states == nil {
		m.states = map[string][]workflow.Alarm{}
	}

	m.states[name] = slices.Clone(states)
}

// Get is the port workflow.Alarms.
func (m *Alarms) Get(ctx context.Context, name string) (workflow.Alarm, error) {
	if err := ended(ctx, "read alarm", name); err != nil {
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

// Asked returns the names that Get was called with, in order.
func (m *Alarms) Asked() []string {
	m.mu.Lock()
	defer m.mu.Unlock()

	return slices.Clone(m.asked)
}

// Metrics keeps the values that were stored. It refuses what CloudWatch refuses (API
// PutMetricData).
type Metrics struct {
	mu     sync.Mutex
	stored []StoredMetric
}

// StoredMetric is a value and its time.
type StoredMetric struct {
	At time.Time
	workflow.Metric
}

var _ workflow.Metrics = (&Metrics{}).Put

const maxDimensions = 30 // of a metric

// units are those of CloudWatch that the product may use.
var units = []string{
	"Seconds", "Microseconds", "Milliseconds", "Bytes", "Kilobytes", "Megabytes", "Gigabytes",
	"Percent", "Count", "None",
}

// Put is the port workflow.Metrics.
func (m *Metrics) Put(ctx context.Context, at time.Time, values []workflow.Metric) error {
	if err := ended(ctx, "store metrics", ""); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	for _, v := range values {
		if err := checkMetric(v); err != nil {
			return err
		}

		m.stored = append(m.stored, StoredMetric{At: at, Metric: v})
	}

	return nil
}

func checkMetric(v workflow.Metric) error {
	const op = "store metric"
	if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) {
		return refuse(fault.BadInput, op, v.Name, "its value is %v", v.Value)
	}

	if v.Name == "" || !slices.Contains(units, v.Unit) || len(v.Dimensions) > maxDimensions {
		return refuse(fault.BadInput, op, v.Name, "unit %q, %d dimensions", v.Unit, len(v.Dimensions))
	}

	for _, d := range v.Dimensions {
		if d.Name == "" || d.Value == "" {
			return refuse(fault.BadInput, op, v.Name, "dimension %q has value %q", d.Name, d.Value)
		}
	}

	return nil
}

// Stored returns the values that were stored, in order.
func (m *Metrics) Stored() []StoredMetric {
	m.mu.Lock()
	defer m.mu.Unlock()

	return slices.Clone(m.stored)
}
