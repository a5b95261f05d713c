package memport

import (
	"context"
	"errors"
	"fmt"

	"github.com/layersmith/layersmith/internal/fault"
)

// refuse makes a fault whose cause is formatted.
func refuse(code fault.Code, op, subject, format string, args ...any) error {
	return fault.New(code, op, subject, fmt.Errorf(format, args...))
}

// ended returns Canceled or TimedOut for a context that has ended, nil for any other.
func ended(ctx context.Context, op, subject string) error {
	err := ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.TimedOut, op, subject, err)
	default:
		return fault.New(fault.Canceled, op, subject, err)
	}
}
