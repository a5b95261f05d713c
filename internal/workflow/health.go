package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Health watches the alarm of a consumer after its update, until the consumer's window has passed.
type Health struct {
	Ledger
	Alarms Alarms
}

// HealthInput is one consumer, and the time of its update.
type HealthInput struct {
	Run      string    `json:"run"`
	Consumer Consumer  `json:"consumer"`
	Since    time.Time `json:"since"`
}

// HealthOutput says whether the window has passed, and otherwise when to check again.
type HealthOutput struct {
	Quiet       bool   `json:"quiet"` // the window has passed without an alarm
	WaitSeconds int    `json:"waitSeconds"`
	Summary     string `json:"summary"`
}

// Run checks the alarm once. Fault Unhealthy if it is raised.
func (s Health) Run(ctx context.Context, in HealthInput) (HealthOutput, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return HealthOutput{}, err
	}

	c, _, err := s.readChange(ctx, run.Run, in.Consumer.Change)
	if err != nil {
		return HealthOutput{}, err
	}

	if c.Alarm == "" {
		return HealthOutput{Quiet: true, Summary: in.Consumer.Summary + ", no alarm to watch"}, nil
	}

	a, err := s.Alarms(ctx, c.Alarm)
	if err != nil {
		return HealthOutput{}, err
	}

	window := time.Duration(c.WindowSeconds) * time.Second
	passed := s.Now().Sub(in.Since)
	switch {
	case a.State == AlarmRaised:
		return HealthOutput{}, unhealthy(c, a, in.Since, passed)
	case passed >= window:
		summary := fmt.Sprintf("%s, alarm %s not raised for %s", in.Consumer.Summary, c.Alarm, window)
		return HealthOutput{Quiet: true, Summary: summary}, nil
	}

	return HealthOutput{
		WaitSeconds: max(1, min(AlarmPollSeconds, int((window-passed)/time.Second))),
		Summary:     in.Consumer.Summary + ", watching alarm " + c.Alarm,
	}, nil
}

// unhealthy is the fault of an alarm that was raised so long after the update.
func unhealthy(c release.Change, a Alarm, updated time.Time, passed time.Duration) error {
	err := fmt.Errorf("alarm %s was raised %s after the update: %s", c.Alarm, passed.Round(time.Second), a.Reason)
	return fault.New(fault.Unhealthy, "watch", c.Function, err).
		WithHint(fmt.Sprintf("read the log group /aws/lambda/%s from %s on",
			release.FunctionNameOf(c.Function), updated.UTC().Format("15:04 UTC")))
}
