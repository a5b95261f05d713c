package release

import (
	"testing"
	"time"
)

func TestOneRunHoldsTheLease(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 24, 3, 0, 0, 0, time.UTC)
	held := Lease{SchemaVersion: 1, Run: "first", Execution: "arn:first", Until: now.Add(LeaseFor)}
	for sentence, tt := range map[string]struct {
		lease Lease
		run   string
		after time.Duration
		runs  bool // its holder
		want  Claim
	}{
		"nobody ever had it": {Lease{}, "second", 0, false, Take},
		"it was given back": {
			Lease{SchemaVersion: 1, Until: now},
			"second",
			0,
			false,
			Take,
		},
		"it was given back by a run that left something": {
			Lease{SchemaVersion: 1, Until: now, Recovers: "dead"},
			"second",
			0,
			false,
			Take,
		},
		"one's own": {held, "first", 0, true, Take},
		"one's own, for whose execution nobody asked": {held, "first", 0, false, Take},
		"one's own that ran out":                      {held, "first", LeaseFor + time.Hour, true, Take},
		"its holder works":                            {held, "second", 0, true, Wait},
		"its holder works, up to the last moment":     {held, "second", LeaseFor, true, Wait},
		"its holder hangs":                            {held, "second", LeaseFor + time.Nanosecond, true, TakeOver},
		"its holder died":                             {held, "second", 0, false, TakeOver},
		"its holder died and its time ran out":        {held, "second", LeaseFor + time.Hour, false, TakeOver},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := tt.lease.Decide(tt.run, now.Add(tt.after), tt.runs); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// The state machine waits two hours for a build, which begins when the lease is taken, and nobody
// renews it meanwhile.
func TestALeaseOutlivesTheLongestBuild(t *testing.T) {
	t.Parallel()
	if build := 2 * time.Hour; LeaseFor <= build {
		t.Errorf("a lease holds for %s, a build may take %s", LeaseFor, build)
	}
}
