// Command function is a Lambda function for tests of package lambdamain. Its input says what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lambdamain"
)

type input struct {
	Run string `json:"run"`
	Do  string `json:"do"`
}

type output struct {
	Run   string `json:"run"`
	Calls int    `json:"calls"`
	Said  string `json:"said,omitempty"`
}

func main() {
	calls := 0 // of this process
	lambdamain.Start(func(ctx context.Context, in input) (output, error) {
		calls++
		missing := fault.New(fault.OverLimit, "measure", "layer ml",
			errors.New("271,004,112 bytes unzipped, limit 262,144,000")).
			WithHint("let ml extend science")
		out := output{Run: in.Run, Calls: calls}
		switch in.Do {
		case "fault":
			return output{}, missing
		case "wrapped":
			return output{}, fmt.Errorf("judge: %w", missing)
		case "plain":
			return output{}, errors.New("no such thing")
		case "panic":
			panic("it does not add up")
		case "bounds":
			return output{Calls: []int{1}[calls]}, nil
		case "goroutine":
			go panic("nobody recovers this")
			<-ctx.Done()
		case "wait":
			<-ctx.Done()
			return output{}, fmt.Errorf("publish layersmith-ml: %w", ctx.Err())
		case "sleep":
			time.Sleep(time.Minute)
		case "environment":
			e, err := lambdamain.Env(lambdamain.Topic)
			out.Said = e.Store
			return out, err
		case "aws":
			out.Said = lambdamain.AWS().Region
		}
		return out, nil
	})
}
