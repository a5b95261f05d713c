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
		"a new lease": {Lease{}, "second", 0, false, Take},
		"a returned lease": {
			Lease{SchemaVersion: 1, Until: now},
			"second",
			0,
			false,
			Take,
		},
		"a returned lease, with a dead run to undo": {
			Lease{SchemaVersion: 1, Until: now, Recovers: "dead"},
			"second",
			0,
			false,
			Take,
		},
		"own lease": {held, "first", 0, true, Take},
		"own lease, without asking for the execution": {held, "first", 0, false, Take},
		"own lease, expired":                          {held, "first", LeaseFor + time.Hour, true, Take},
		"the holder runs":                             {held, "second", 0, true, Wait},
		"the holder runs, at the last moment":         {held, "second", LeaseFor, true, Wait},
		"the holder runs, the lease expired":          {held, "second", LeaseFor + time.Nanosecond, true, TakeOver},
		"the holder died":                             {held, "second", 0, false, TakeOver},
		"the holder died, the lease expired":          {held, "second", LeaseFor + time.Hour, false, TakeOver},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := tt.lease.Decide(tt.run, now.Add(tt.after), tt.runs); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

// The state machine waits two hours for a build, during which the lease is not renewed.
func TestALeaseOutlivesTheLongestBuild(t *testing.T) {
	t.Parallel()
	if build := 2 * time.Hour; LeaseFor <= build {
		t.Errorf("a lease holds for %s, a build may take %s", LeaseFor, build)
	}
}
