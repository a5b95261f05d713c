package operator

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/release"
)

// Executions of the deployed product, one of each outcome, recorded by:
// make record
func TestRecordedExecutionsAreReadAsTheyEnded(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/executions.json")
	if err != nil {
		t.Fatal(err)
	}

	var recorded map[release.Outcome]struct {
		Execution Execution
		Events    []Event
	}
	if err := json.Unmarshal(b, &recorded); err != nil {
		t.Fatal(err)
	}

	for _, want := range []release.Outcome{
		release.Promoted, release.Unchanged, release.RolledBack, release.FailedClean,
	} {
		x, ok := recorded[want]
		if !ok {
			t.Errorf("no execution that ended %s is recorded", want)
			continue
		}

		e := EndingOf(x.Execution)
		if e.Outcome != want || e.Message == "" || !strings.HasPrefix(Sentence(e), string(want)) {
			t.Errorf("%s: read as %s: %q", want, e.Outcome, e.Message)
		}

		checkStory(t, want, x.Events)
	}
}

// checkStory tells a recorded history: it has an end, begins with Intake, and closes every state.
func checkStory(t *testing.T, outcome release.Outcome, events []Event) {
	t.Helper()
	var s Story
	for _, e := range events {
		s.Tell(e)
	}

	if !s.Over || len(s.open) > 0 {
		t.Errorf("%s: over is %v, %d states are open", outcome, s.Over, len(s.open))
	}

	if len(s.Acts) == 0 || s.Acts[0].State != "Intake" || s.Acts[0].Summary == "" {
		t.Errorf("%s: acts %+v", outcome, s.Acts)
	}
}
