package operator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/layersmith/layersmith/internal/release"
)

// Start starts an execution for a request.
func (a Account) Start(ctx context.Context, r release.Request, now time.Time) (Execution, error) {
	input, err := json.Marshal(r)
	if err != nil {
		return Execution{}, err
	}

	name, err := executionName(now)
	if err != nil {
		return Execution{}, err
	}

	return a.Executions.Start(ctx, name, input)
}

// executionName is the time in UTC, by which names sort, and six random hexadecimal digits, since
// two executions may start in the same second.
func executionName(now time.Time) (string, error) {
	var b [3]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}

	return now.UTC().Format("2006-01-02T15-04-05") + "-" + hex.EncodeToString(b[:]), nil
}
