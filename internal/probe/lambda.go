package probe

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed lambda/runner.py
var runner string

// Runner is the Python program that runs one job in a process of its own, on a laptop and in an
// account alike. Its first lines say how it is called.
func Runner() string { return runner }

//go:embed lambda/handler.py
var handler string

// Handler is what Lambda calls in HandlerZip.
const Handler = "handler.handler"

// HandlerZip is the code of a function that runs probes where the layers will be used. It needs
// nothing but the runtime, Python 3.9 or later; its layers are what is probed. The same bytes every
// time.
func HandlerZip() ([]byte, error) {
	tree, err := ziptree.New([]ziptree.Entry{
		ziptree.File("handler.py", []byte(handler), false, "probe function"),
		ziptree.File("runner.py", []byte(runner), false, "probe function"),
	})
	if err != nil {
		return nil, fmt.Errorf("pack the probe function: %w", err)
	}

	var b bytes.Buffer
	if _, err := ziptree.Write(context.Background(), &b, tree); err != nil {
		return nil, fmt.Errorf("pack the probe function: %w", err)
	}

	return b.Bytes(), nil
}

// Request is what the function is asked in one invocation. It begins jobs while there is time for
// them, and answers with the rest left to ask again; it wants 5 seconds more than TimeoutSeconds to
// begin one, so its own timeout should be several times that.
type Request struct {
	Jobs           []SentJob `json:"jobs"`
	Imports        []string  `json:"imports,omitempty"`        // what to time, when all jobs are done
	Rounds         int       `json:"rounds,omitempty"`         // of timing, the fastest counts; 0 for 3
	TimeoutSeconds int       `json:"timeoutSeconds,omitempty"` // of one job or round; 0 for 120
}

// SentJob is a Job with its source: reports leave it out.
type SentJob struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"source,omitempty"`
}

// NewRequest asks for jobs, and for the import time of modules together.
func NewRequest(jobs []Job, imports []string) Request {
	q := Request{Jobs: []SentJob{}, Imports: imports}
	for _, j := range jobs {
		q.Jobs = append(q.Jobs, SentJob(j))
	}

	return q
}

// Response is what the function answered, at most 5 MB.
type Response struct {
	Interpreter string        `json:"interpreter"` // implementation and full version: "cpython-3.13.7"
	Results     []Result      `json:"results"`     // of the request's first jobs, in its order
	Remaining   int           `json:"remaining"`   // jobs that there was no time for
	Import      *TimedImports `json:"import"`      // nil when none was asked for, or there was no time
}

// TimedImports is the time of imports, or why they fail.
type TimedImports struct {
	ImportTime
	Detail string `json:"detail,omitempty"` // the last lines of the error; "" when they were imported
}

// OpenResponse reads what the function answered to a request. It checks that the answer belongs to
// it and comes further than nothing, so that asking on ends.
func OpenResponse(doc []byte, q Request) (Response, error) {
	var a Response
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	err := d.Decode(&a)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows it")
	}

	if err != nil {
		return Response{}, fmt.Errorf("read the answer of the probe function: %w", err)
	}

	if err := a.check(q); err != nil {
		return Response{}, fmt.Errorf("check the answer of the probe function: %w", err)
	}

	for i := range a.Results {
		a.Results[i].Source = q.Jobs[i].Source
	}

	return a, nil
}

func (a Response) check(q Request) error {
	if a.Interpreter == "" {
		return errors.New("it does not name its interpreter")
	}

	if len(a.Results)+a.Remaining != len(q.Jobs) || a.Remaining < 0 {
		return fmt.Errorf("%d results and %d remaining for %d jobs", len(a.Results), a.Remaining, len(q.Jobs))
	}

	for i, r := range a.Results {
		if want := q.Jobs[i]; r.Kind != want.Kind || r.Name != want.Name {
			return fmt.Errorf("result %d is of %s %s, asked was %s %s", i, r.Kind, r.Name, want.Kind, want.Name)
		}
	}

	switch {
	case a.Import != nil && (a.Remaining > 0 || !slices.Equal(a.Import.Modules, q.Imports)):
		return fmt.Errorf("it timed the import of %v, asked was %v", a.Import.Modules, q.Imports)
	case len(a.Results) == 0 && a.Import == nil && len(q.Jobs)+len(q.Imports) > 0:
		return errors.New("it did nothing")
	}

	return nil
}

// After is what is left to ask; false when nothing is.
func (q Request) After(a Response) (Request, bool) {
	q.Jobs = q.Jobs[len(a.Results):]
	if a.Import != nil {
		q.Imports = nil
	}

	return q, len(q.Jobs)+len(q.Imports) > 0
}
