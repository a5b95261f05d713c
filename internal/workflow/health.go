package workflow

import (
	"context"
	"fmt"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Health looks at a consumer's alarm until its window has passed.
type Health struct {
	Ledger
	Alarms Alarms
}

// HealthInput is one consumer and when it was moved.
type HealthInput struct {
	Run      string    `json:"run"`
	Consumer Consumer  `json:"consumer"`
	Since    time.Time `json:"since"`
}

// HealthOutput says whether the window has passed, and else when to look again.
type HealthOutput struct {
	Quiet       bool   `json:"quiet"`
	WaitSeconds int    `json:"waitSeconds"`
	Summary     string `json:"summary"`
}

// Run looks once. A raised alarm is the fault Unhealthy.
func (s Health) Run(ctx context.Context, in HealthInput) (HealthOutput, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return HealthOutput{}, err
	}

	c, _, err := s.change(ctx, run.Run, in.Consumer.Change)
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
	if a.State == AlarmRaised {
		return HealthOutput{}, fault.New(fault.Unhealthy, "watch", c.Function,
			fmt.Errorf("alarm %s was raised %s after the update: %s", c.Alarm, passed.Round(time.Second), a.Reason)).
			WithHint(fmt.Sprintf("look at /aws/lambda/%s from %s", release.FunctionNameOf(c.Function),
				in.Since.UTC().Format("15:04 UTC")))
	}

	if passed >= window {
		return HealthOutput{
			Quiet:   true,
			Summary: fmt.Sprintf("%s, %s quiet for %s", in.Consumer.Summary, c.Alarm, window),
		}, nil
	}

	return HealthOutput{
		WaitSeconds: max(1, min(lookEverySeconds, int((window-passed)/time.Second))),
		Summary:     in.Consumer.Summary + ", watching " + c.Alarm,
	}, nil
}
