package porttest_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/workflow"
)

func TestMemoryAlarmsSayEachStateOnceAndTheLastForEver(t *testing.T) {
	var alarms porttest.MemoryAlarms
	alarms.Set("a", workflow.Alarm{State: workflow.AlarmOK}, workflow.Alarm{State: workflow.AlarmRaised, Reason: "errors"})
	var got []workflow.AlarmState
	for range 3 {
		a, err := alarms.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}

		got = append(got, a.State)
	}

	if want := []workflow.AlarmState{workflow.AlarmOK, workflow.AlarmRaised, workflow.AlarmRaised}; !slices.Equal(got, want) {
		t.Fatalf("%v, want %v", got, want)
	}

	if _, err := alarms.Get(t.Context(), "b"); fault.CodeOf(err) != fault.NotFound {
		t.Fatal(err)
	}

	if want := []string{"a", "a", "a", "b"}; !slices.Equal(alarms.Asked(), want) {
		t.Fatalf("asked %v", alarms.Asked())
	}
}

func TestMemoryMetricsRefuseWhatCloudWatchRefuses(t *testing.T) {
	var metrics porttest.MemoryMetrics
	good := workflow.Metric{Name: "PackageSize", Unit: "Megabytes", Value: 1}
	at := time.Unix(1, 0)
	for what, bad := range map[string]workflow.Metric{
		"no name": {Unit: "Count"}, "an unknown unit": {
			Name: "a",
			Unit: "MiB",
		}, "no number": {
			Name:  "a",
			Unit:  "Count",
			Value: math.NaN(),
		}, "infinity": {Name: "a", Unit: "Count", Value: math.Inf(1)},
		"an empty dimension": {
			Name:       "a",
			Unit:       "Count",
			Dimensions: []workflow.Dimension{{Name: "LayerName"}},
		}, "many dimensions": {Name: "a", Unit: "Count", Dimensions: make([]workflow.Dimension, 31)},
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

func TestMemoryNoticesRefuseWhatThePortDoesNotPromise(t *testing.T) {
	var notices porttest.MemoryNotices
	for _, bad := range []porttest.Notice{
		{strings.Repeat("a", 101), "t"},
		{"déjà vu", "t"},
		{"a\nb", "t"},
		{"s", ""},
		{"s", strings.Repeat("t", 256<<10+1)},
	} {
		if err := notices.Send(t.Context(), bad.Subject, bad.Text); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%.20q: %v", bad.Subject, err)
		}
	}

	if err := notices.Send(t.Context(), "s", "t"); err != nil ||
		!slices.Equal(notices.Sent(), []porttest.Notice{{"s", "t"}}) {
		t.Fatal(err, notices.Sent())
	}
}
