package cli

import (
	"bytes"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/release"
)

func TestATerminalShowsWhatGoesOn(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	l := &live{w: &b, terminal: true, now: func() time.Time { return time.Date(2026, 11, 23, 19, 30, 42, 0, time.UTC) }}
	l.going([]string{"Update"}, time.Date(2026, 11, 23, 19, 30, 1, 0, time.UTC))
	l.going([]string{"Update"}, time.Date(2026, 11, 23, 19, 30, 1, 0, time.UTC))
	l.done(operator.Act{State: "Update", Seconds: 41})
	l.clear()
	line := "  Update           41 s    ..."
	clear := "\r\x1b[2K"
	if got, want := b.String(), line+clear+line+clear+"  Update           41 s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}

	b.Reset()
	l.terminal = false
	l.going([]string{"Update"}, time.Date(2026, 11, 23, 19, 30, 1, 0, time.UTC))
	if b.Len() > 0 {
		t.Errorf("%q in a log", b.String())
	}
}

func TestExitCodesFollowTheOutcome(t *testing.T) {
	t.Parallel()
	for outcome, want := range map[release.Outcome]int{
		release.Promoted:           exitOK,
		release.Unchanged:          exitOK,
		operator.Running:           exitOK,
		release.RolledBack:         exitVerdict,
		release.FailedClean:        exitVerdict,
		release.FailedDirty:        exitInternal,
		operator.Failed:            exitInternal,
		operator.TimedOut:          exitInternal,
		operator.Stopped:           exitInternal,
		operator.Unknown:           exitInternal,
		release.Outcome("new one"): exitInternal,
	} {
		if got := exitCodeOf(outcome); got != want {
			t.Errorf("%s: exit code %d, want %d", outcome, got, want)
		}
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0:                               "0 s",
		400 * time.Millisecond:          "0 s",
		1500 * time.Millisecond:         "2 s",
		119 * time.Second:               "119 s",
		2 * time.Minute:                 "2 min 00 s",
		59*time.Minute + 59*time.Second: "59 min 59 s",
		time.Hour:                       "1 h 00 min",
		3*time.Hour + 7*time.Minute:     "3 h 07 min",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
