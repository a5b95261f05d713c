package operator

import (
	"context"
	"time"
)

// Follow reads an execution's history until it is over.
type Follow struct {
	Executions Executions
	Interval   time.Duration                              // polling interval
	Done       func(Act)                                  // called for each act when it is over
	Going      func(states []string, since time.Time)     // called after each request with what runs now
	Pause      func(context.Context, time.Duration) error // returns early with the context's error
}

// Run returns the acts, and the execution once it has ended.
func (f Follow) Run(ctx context.Context, arn string) ([]Act, Execution, error) {
	acts, err := f.history(ctx, arn)
	if err != nil {
		return nil, Execution{}, err
	}

	x, err := f.Executions.Describe(ctx, arn)
	for err == nil && x.Status == "RUNNING" { // the history may be newer than the status
		if err = f.Pause(ctx, f.Interval); err == nil {
			x, err = f.Executions.Describe(ctx, arn)
		}
	}

	return acts, x, err
}

func (f Follow) history(ctx context.Context, arn string) ([]Act, error) {
	var s Story
	var last int64
	for {
		events, err := f.Executions.History(ctx, arn, last)
		if err != nil {
			return nil, err
		}

		for _, e := range events {
			last = e.ID
			for _, done := range s.Tell(e) {
				f.Done(done)
			}
		}

		if s.Over {
			return s.Acts, nil
		}

		f.Going(s.Now())
		if err := f.Pause(ctx, f.Interval); err != nil {
			return nil, err
		}
	}
}

// Pause waits, or returns early with the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
