package memport_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestAlarmsReturnEachStateOnceAndRepeatTheLast(t *testing.T) {
	var alarms memport.Alarms
	ok := workflow.Alarm{State: workflow.AlarmOK}
	raised := workflow.Alarm{State: workflow.AlarmRaised, Reason: "errors"}
	alarms.Set("a", ok, raised)

	var got []workflow.Alarm
	for range 3 {
		a, err := alarms.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}

		got = append(got, a)
	}

	if want := []workflow.Alarm{ok, raised, raised}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}

	if _, err := alarms.Get(t.Context(), "b"); fault.CodeOf(err) != fault.NotFound {
		t.Fatal(err)
	}

	if want := []string{"a", "a", "a", "b"}; !slices.Equal(alarms.Asked(), want) {
		t.Fatalf("asked %v", alarms.Asked())
	}
}

func TestMetricsRefuseWhatCloudWatchRefuses(t *testing.T) {
	var metrics memport.Metrics
	good := workflow.Metric{Name: "PackageSize", Unit: "Megabytes", Value: 1}
	at := time.Unix(1, 0)
	count := func(value float64, dimensions ...workflow.Dimension) workflow.Metric {
		return workflow.Metric{Name: "a", Unit: "Count", Value: value, Dimensions: dimensions}
	}
	for what, bad := range map[string]workflow.Metric{
		"no name":            {Unit: "Count"},
		"an unknown unit":    {Name: "a", Unit: "MiB"},
		"not a number":       count(math.NaN()),
		"infinity":           count(math.Inf(1)),
		"an empty dimension": count(0, workflow.Dimension{Name: "LayerName"}),
		"31 dimensions":      count(0, make([]workflow.Dimension, 31)...),
	} {
		if err := metrics.Put(t.Context(), at, []workflow.Metric{bad}); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%s: %v", what, err)
		}
	}

	if err := metrics.Put(t.Context(), at, []workflow.Metric{good}); err != nil {
		t.Fatal(err)
	}

	if got := metrics.Stored(); len(got) != 1 || got[0].Name != "PackageSize" || !got[0].At.Equal(at) {
		t.Fatalf("stored %v", got)
	}
}
