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

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed lambda/runner.py
var runner string

// Runner is the Python program that runs one job, on a laptop and in Lambda. Its first comment
// gives the arguments.
func Runner() string { return runner }

// RunnerDigest identifies the runner: another one may give other outcomes.
func RunnerDigest() digest.SHA256 { return digest.Of([]byte(runner)) }

//go:embed lambda/handler.py
var handler string

// Handler is the handler setting of a function with the code HandlerZip.
const Handler = "handler.handler"

// HandlerZip is the code of the function that probes the layers attached to it. It runs on the
// runtimes of Python 3.9 and later and needs nothing else. Its bytes are always the same.
func HandlerZip() ([]byte, error) {
	tree, err := ziptree.New([]ziptree.Entry{
		ziptree.File("handler.py", []byte(handler), "probe function"),
		ziptree.File("runner.py", []byte(runner), "probe function"),
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

// Request is the payload of one invocation. The function starts a job only while more than
// TimeoutSeconds + 5 seconds of its own timeout are left, and returns how many jobs remain. Its
// timeout should be several times that.
type Request struct {
	Jobs           []SentJob `json:"jobs"`
	Imports        []string  `json:"imports,omitempty"`        // modules whose import is timed after all jobs
	Rounds         int       `json:"rounds,omitempty"`         // of timing, of which the fastest counts; 0 means 3
	TimeoutSeconds int       `json:"timeoutSeconds,omitempty"` // of one job or round; 0 means 120
}

// SentJob is a Job whose source is encoded too. Reports leave the source out.
type SentJob struct {
	Kind   Kind   `json:"kind"`
	Name   string `json:"name"`
	Source string `json:"source,omitempty"`
}

// NewRequest requests jobs, and the time of importing the modules together.
func NewRequest(jobs []Job, imports []string) Request {
	q := Request{Jobs: []SentJob{}, Imports: imports}
	for _, j := range jobs {
		q.Jobs = append(q.Jobs, SentJob{Kind: j.Kind, Name: j.Name, Source: j.Source})
	}

	return q
}

// Response is the result of one invocation, at most 5 MB as JSON.
type Response struct {
	Interpreter string        `json:"interpreter"` // implementation and full version: "cpython-3.13.7"
	Results     []Result      `json:"results"`     // of the first jobs of the request, in its order
	Remaining   int           `json:"remaining"`   // number of jobs that were not started
	Import      *TimedImports `json:"import"`      // nil when none was requested, or not started
}

// TimedImports is the time of the requested imports, or their error.
type TimedImports struct {
	ImportTime
	Detail string `json:"detail,omitempty"` // the last lines of the error; "" on success
}

// OpenResponse reads the response to a request. It refuses one that does not match the request, and
// one without any result: repeating After ends after at most one invocation for each job.
func OpenResponse(doc []byte, q Request) (Response, error) {
	var a Response
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	err := d.Decode(&a)
	if _, more := d.Token(); err == nil && more != io.EOF {
		err = errors.New("the JSON document is followed by something")
	}

	if err != nil {
		return Response{}, fmt.Errorf("read the response of the probe function: %w", err)
	}

	if err := a.check(q); err != nil {
		return Response{}, fmt.Errorf("check the response of the probe function: %w", err)
	}

	for i := range a.Results {
		a.Results[i].Source = q.Jobs[i].Source
	}

	return a, nil
}

func (a Response) check(q Request) error {
	if a.Interpreter == "" {
		return errors.New("no interpreter is named")
	}

	if len(a.Results)+a.Remaining != len(q.Jobs) || a.Remaining < 0 {
		return fmt.Errorf("%d results and %d remaining for %d jobs", len(a.Results), a.Remaining, len(q.Jobs))
	}

	for i, r := range a.Results {
		if want := q.Jobs[i]; r.Kind != want.Kind || r.Name != want.Name {
			return fmt.Errorf("result %d is of %s %s, requested was %s %s", i, r.Kind, r.Name, want.Kind, want.Name)
		}
	}

	switch {
	case a.Import != nil && (a.Remaining > 0 || !slices.Equal(a.Import.Modules, q.Imports)):
		return fmt.Errorf("the import of %v was timed, requested was %v", a.Import.Modules, q.Imports)
	case len(a.Results) == 0 && a.Import == nil && len(q.Jobs)+len(q.Imports) > 0:
		return errors.New("no job was run")
	}

	return nil
}

// After returns the request for what a response left; false when it left nothing.
func (q Request) After(a Response) (Request, bool) {
	q.Jobs = q.Jobs[len(a.Results):]
	if a.Import != nil {
		q.Imports = nil
	}

	return q, len(q.Jobs)+len(q.Imports) > 0
}
