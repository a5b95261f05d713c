package operator

import (
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/release"
)

func TestTriggerIsReadOffTheInput(t *testing.T) {
	t.Parallel()
	for input, want := range map[string]string{
		`{}`: "operator",
		`{"layers":["a","b"],"force":true,"refresh":true,"dryRun":true}`: "operator: a b, force, " +
			"refresh, dry run",
		`{"trigger":"schedule","refresh":true}`:                            "schedule",
		`{"rollback":{"layer":"core","to":41}}`:                            "operator: rollback of core",
		`{"source":"aws.s3","detail":{"object":{"key":"layers/a/r.txt"}}}`: "upload of layers/a/r.txt",
		`nonsense`: "input that cannot be read",
		``:         "input that cannot be read",
	} {
		if got := triggerOf(input); got != want {
			t.Errorf("%s: %q, want %q", input, got, want)
		}
	}
}

func TestExecutionNamesAreRunsAndDiffer(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 20, 30, 0, 0, time.FixedZone("CET", 3600))
	seen := map[string]bool{}
	for range 20 {
		name, err := executionName(now)
		if err != nil || release.CheckRun(name) != nil || !strings.HasPrefix(name, "2026-11-23T19-30-00-") ||
			len(name) != len("2026-11-23T19-30-00-5d1f2c") {
			t.Fatalf("%q, %v", name, err)
		}

		seen[name] = true
	}

	if len(seen) < 18 { // of 16 million
		t.Errorf("%d names of 20", len(seen))
	}
}
