// Package runtimeapi is for tests and benchmarks only: it is the part of Lambda that a function
// talks to. It starts a real bootstrap, serves it the Runtime API on 127.0.0.1, hands it
// invocations one at a time, and tells what came back, what was logged, how long it took and how
// much memory it took.
//
// It does what Lambda does, and nothing more:
//   - A process serves many invocations. It is started before the first one, and again when the last one ended it.
//   - It gets Lambda's variables and those of the test, nothing of the test's own environment, and starts in the folder of its bootstrap.
//   - A bootstrap must be executable; a zip is unpacked with the modes that it says.
//   - An invocation ends with the request for the next one, with the end of the process (Runtime.ExitError), or at the timeout, when the process is killed
//     (Sandbox.Timedout). Initialization may take 10 s. An answer has at most 6 MB and 100 bytes (Function.ResponseSizeTooLarge).
//   - A function error is what the body of its answer says in errorType: that, and the whole body as Cause, is what Step Functions sees.
//
// Three things differ: memory is measured, not limited; nothing is frozen between invocations; and
// a payload goes through as it is, while Lambda's Invoke refuses what is not JSON. Sources:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html and
// lambda-runtime-environment.html there.
package runtimeapi

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// The limits that are Lambda's.
const (
	MaxInit          = 10 * time.Second
	MaxResponseBytes = 6<<20 + 100
)

// The errors that are Lambda's, not the function's.
const (
	ErrorTimeout          = "Sandbox.Timedout"
	ErrorExit             = "Runtime.ExitError"
	ErrorResponseTooLarge = "Function.ResponseSizeTooLarge"
)

// Options are a function's settings; a zero value is Lambda's default.
type Options struct {
	Name     string            // default "function"
	Args     []string          // to follow the bootstrap: for tests that start themselves
	Env      map[string]string // besides Lambda's own, which it may replace
	Timeout  time.Duration     // of an invocation; default 3 s
	MemoryMB int               // only told to the function; default 128
}

// Function is one execution environment: at most one process, one invocation at a time.
type Function struct {
	ctx       context.Context
	options   Options
	bootstrap string
	temporary string   // our folder: output, and what a zip held
	stdout    *os.File // both written by the process, read by us
	stderr    *os.File

	mu          sync.Mutex
	process     *process
	invocations int
	outRead     int64 // how much of stdout and stderr belongs to earlier invocations
	errRead     int64
}

// Response is how an invocation ended.
type Response struct {
	Payload      []byte // the answer, or the error document: what Step Functions calls Cause
	ErrorType    string // errorType of the error document, what Step Functions calls Error; "" for an answer
	ErrorMessage string // errorMessage of the error document
	// Lambda-Runtime-Function-Error-Type, which a runtime may send besides; aws-lambda-go does not
	ErrorTypeHeader string
	// the process ended, or was killed at the timeout: the next invocation starts another one
	Exited   bool
	Duration time.Duration // from the hand-over of the payload to the answer
	// from the start of the process to its first request for work; 0 when it had been used before
	Init time.Duration
	// the most memory that the process had until the answer; 0 where it ended without one, or is
	// not on Linux
	MaxRSSBytes int64
	Stdout      string // written since the last invocation: initialization included
	Stderr      string
}

// Log is what CloudWatch would have of it: stdout and stderr.
func (r Response) Log() string { return r.Stdout + r.Stderr }

// Start starts a bootstrap, or the one in a .zip file, and does not wait for it. When ctx is done,
// the process is killed.
func Start(ctx context.Context, bootstrap string, o Options) (_ *Function, err error) {
	if o.Name == "" {
		o.Name = "function"
	}

	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}

	if o.MemoryMB == 0 {
		o.MemoryMB = 128
	}

	f := &Function{ctx: ctx, options: o}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if f.temporary, err = os.MkdirTemp("", "runtimeapi-*"); err != nil {
		return nil, err
	}

	if strings.HasSuffix(bootstrap, ".zip") {
		task := filepath.Join(f.temporary, "task")
		if err := unpack(bootstrap, task); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", bootstrap, err)
		}

		bootstrap = filepath.Join(task, "bootstrap")
	}

	if f.bootstrap, err = filepath.Abs(bootstrap); err != nil {
		return nil, err
	}

	if f.stdout, err = output(f.temporary, "stdout"); err != nil {
		return nil, err
	}

	if f.stderr, err = output(f.temporary, "stderr"); err != nil {
		return nil, err
	}

	if f.process, err = f.launch(); err != nil {
		return nil, err
	}

	return f, nil
}

// output opens a file that is appended to: it has all that was written before an answer, which a
// pipe has not.
func output(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
}

// Close ends the process and removes what was unpacked.
func (f *Function) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.process != nil {
		f.process.end()
	}

	var errs []error
	for _, file := range []*os.File{f.stdout, f.stderr} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}

	if f.temporary != "" {
		errs = append(errs, os.RemoveAll(f.temporary))
	}

	return errors.Join(errs...)
}

// PID is the process of the last invocation, or that will have the next one.
func (f *Function) PID() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.process.cmd.Process.Pid
}

// Invoke hands over one payload and waits for the end of the invocation. A function error is no
// error here: only what the harness could not do is.
func (f *Function) Invoke(payload []byte) (Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Lambda starts another process when the last one is gone, and says so when that is gone before
	// it asked for work.
	if f.process.gone() {
		p, err := f.launch()
		if err != nil {
			return Response{}, err
		}

		f.process = p
	}

	p := f.process
	f.invocations++
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", f.invocations)

	r, err := f.invoke(p, id, payload)
	if err != nil {
		p.end()
		return Response{}, err
	}

	if r.Exited {
		p.end() // its server
	}

	if r.Stdout, err = since(f.stdout, &f.outRead); err != nil {
		return Response{}, err
	}

	r.Stderr, err = since(f.stderr, &f.errRead)
	return r, err
}

func (f *Function) invoke(p *process, id string, payload []byte) (Response, error) {
	r := Response{}
	if !p.ready {
		timer := time.NewTimer(MaxInit)
		defer timer.Stop()
		select {
		case <-p.next:
			p.ready = true
			r.Init = p.asked.Sub(p.started)
		case <-p.exited:
			return lambdaError(Response{Exited: true}, ErrorExit, id, p.exitReason()), nil
		case <-timer.C:
			r := Response{Exited: true, MaxRSSBytes: p.peak()}
			p.end()
			return lambdaError(
				r,
				ErrorTimeout,
				id,
				fmt.Sprintf("Task timed out after %.2f seconds", MaxInit.Seconds()),
			), nil
		case <-f.ctx.Done():
			return r, fmt.Errorf("invoke %s: %w", f.options.Name, f.ctx.Err())
		}
	}

	begin := time.Now()
	timer := time.NewTimer(f.options.Timeout)
	defer timer.Stop()
	p.work <- work{id: id, payload: payload, deadline: begin.Add(f.options.Timeout)}
	answered := false
	timedOut := false
	for ended := false; !ended; {
		select {
		case a := <-p.answers:
			r = a.fill(r, id, begin)
			answered = true
		case <-p.next:
			ended = true // it is refused before there is an answer
		case <-p.exited:
			r.Exited = true
			ended = true
		case <-timer.C:
			r.Exited = true
			ended = true
			timedOut = true
			if !answered {
				r.MaxRSSBytes = p.peak()
			}

			p.end()
		case <-f.ctx.Done():
			return r, fmt.Errorf("invoke %s: %w", f.options.Name, f.ctx.Err())
		}
	}

	if answered {
		return r, nil
	}

	select {
	case a := <-p.answers: // it was there before the end; select took the end first
		return a.fill(r, id, begin), nil
	default:
	}

	r.Duration = time.Since(begin)
	if timedOut {
		return lambdaError(
			r,
			ErrorTimeout,
			id,
			fmt.Sprintf("Task timed out after %.2f seconds", f.options.Timeout.Seconds()),
		), nil
	}

	return lambdaError(r, ErrorExit, id, p.exitReason()), nil
}

// fill completes a response by what the runtime sent.
func (a answer) fill(r Response, id string, begin time.Time) Response {
	r.Duration = a.at.Sub(begin)
	r.MaxRSSBytes = a.peak
	switch {
	case a.tooLarge:
		return lambdaError(r, ErrorResponseTooLarge, id,
			fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxResponseBytes))
	case !a.isError:
		r.Payload = a.body
		return r
	}

	var document struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(a.body, &document); err != nil {
		document.ErrorMessage = fmt.Sprintf("the error document is no JSON: %v", err)
	}

	r.Payload = a.body
	r.ErrorType = document.ErrorType
	r.ErrorMessage = document.ErrorMessage
	r.ErrorTypeHeader = a.header
	if r.ErrorType == "" {
		r.ErrorType = "Lambda.Unknown" // as Step Functions calls it
	}

	return r
}

// lambdaError completes a response by an error of Lambda's own, in its words.
func lambdaError(r Response, kind, id, reason string) Response {
	r.ErrorType = kind
	r.ErrorMessage = "RequestId: " + id + " Error: " + reason
	r.Payload, _ = json.Marshal(
		map[string]string{"errorType": r.ErrorType, "errorMessage": r.ErrorMessage},
	) // strings always marshal
	return r
}

// env is the environment of the process, sorted.
func (f *Function) env(api string) []string {
	all := map[string]string{
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"LD_LIBRARY_PATH":                 "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib",
		"_HANDLER":                        "bootstrap",
		"LAMBDA_TASK_ROOT":                filepath.Dir(f.bootstrap),
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"AWS_LAMBDA_RUNTIME_API":          api,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_FUNCTION_NAME":        f.options.Name,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": fmt.Sprint(f.options.MemoryMB),
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + f.options.Name,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "2026/01/01/[$LATEST]0123456789abcdef0123456789abcdef",
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_ACCESS_KEY_ID":               "test",
		"AWS_SECRET_ACCESS_KEY":           "test",
		"AWS_SESSION_TOKEN":               "test",
	}
	maps.Copy(all, f.options.Env)
	var list []string
	for _, k := range slices.Sorted(maps.Keys(all)) {
		list = append(list, k+"="+all[k])
	}

	return list
}

// since reads what was written after the offset, and moves it.
func since(f *os.File, offset *int64) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, *offset, 1<<62))
	*offset += int64(len(b))
	return string(b), err
}

// unpack makes the zip's files in a new folder, with their modes.
func unpack(path, dir string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer z.Close()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}

	root, err := os.OpenRoot(dir) // no name leads out of it
	if err != nil {
		return err
	}
	defer root.Close()
	for _, entry := range z.File {
		if entry.Mode().IsDir() {
			continue
		}

		if err := unpackFile(root, entry); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
	}

	return nil
}

func unpackFile(root *os.Root, entry *zip.File) error {
	if !entry.Mode().IsRegular() {
		return fmt.Errorf("mode %s, want a file", entry.Mode())
	}

	if err := root.MkdirAll(filepath.Dir(entry.Name), 0o755); err != nil {
		return err
	}

	r, err := entry.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	// A process that is forked meanwhile, by another test, has our file open for writing until it
	// runs its own program: ours could not be run ("text file busy").
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	w, err := root.OpenFile(entry.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, entry.Mode().Perm())
	if err != nil {
		return err
	}

	if _, err := io.Copy(w, r); err != nil {
		w.Close()
		return err
	}

	return w.Close()
}
