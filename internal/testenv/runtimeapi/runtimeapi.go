// Package runtimeapi runs functions as Lambda does, for tests and benchmarks. It starts a real
// bootstrap, serves the Runtime API to it on 127.0.0.1, and invokes it one event at a time. A
// response has the result, the logs, the duration and the memory that was used.
//
// It does what Lambda does:
//   - A process serves many invocations. It is started before the first one, and again if it ended.
//   - It gets Lambda's variables and those of the test, nothing of the test's own environment, and
//     starts in the folder of its bootstrap.
//   - A bootstrap must be executable. A zip is unpacked with the modes in it.
//   - An invocation ends when the process asks for the next one, when the process ends
//     (Runtime.ExitError), or at the timeout, when the process is killed (Sandbox.Timedout).
//   - Initialization may take 10 s. A response has at most 6 MB and 100 bytes
//     (Function.ResponseSizeTooLarge).
//   - A function error is named by errorType in the body of the error. Step Functions sees that
//     name
//     as Error and the whole body as Cause.
//
// It differs in three points: memory is measured, not limited; nothing is frozen between
// invocations; a payload that is not JSON is passed on, while Lambda's Invoke refuses it. Sources:
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

// Lambda's limits.
const (
	MaxInit          = 10 * time.Second
	MaxResponseBytes = 6<<20 + 100
)

// Errors that Lambda reports itself.
const (
	ErrorTimeout          = "Sandbox.Timedout"
	ErrorExit             = "Runtime.ExitError"
	ErrorResponseTooLarge = "Function.ResponseSizeTooLarge"
)

// Options are a function's settings; a zero value is Lambda's default.
type Options struct {
	Name     string            // default "function"
	Args     []string          // arguments of the bootstrap, for tests that start themselves
	Env      map[string]string // further variables; they replace Lambda's own
	Timeout  time.Duration     // of an invocation; default 3 s
	MemoryMB int               // only passed to the function, not enforced; default 128
}

// Function is one execution environment: at most one process, one invocation at a time.
type Function struct {
	ctx       context.Context
	options   Options
	bootstrap string
	temporary string   // folder of the output and of an unpacked zip
	stdout    *os.File // written by the process
	stderr    *os.File

	mu          sync.Mutex
	process     *process
	invocations int
	outRead     int64 // bytes of stdout that belong to earlier invocations
	errRead     int64 // the same of stderr
}

// Response is how an invocation ended.
type Response struct {
	// Payload is the result or, if ErrorType is set, the error document: Cause in Step Functions.
	Payload []byte

	ErrorType    string // errorType of the error document: Error in Step Functions; "" for a result
	ErrorMessage string // errorMessage of the error document

	// ErrorTypeHeader is Lambda-Runtime-Function-Error-Type, which is optional; aws-lambda-go does
	// not send it.
	ErrorTypeHeader string

	// Exited reports that the process ended or was killed. The next invocation starts another one.
	Exited bool

	Duration time.Duration // until the response
	Init     time.Duration // from the start of the process to its first request; 0 if it served before

	// MaxRSSBytes is the largest resident set until the response. It is 0 if the process ended
	// without one, or if this is not Linux.
	MaxRSSBytes int64

	Stdout string // since the last invocation, with initialization
	Stderr string
}

// Log is the log of the invocation: standard output, then standard error.
func (r Response) Log() string { return r.Stdout + r.Stderr }

// Start starts a bootstrap, or the one in a .zip file, and does not wait for its initialization.
// The process is killed when ctx is done.
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

// output opens a file for output. Unlike a pipe, it has everything that was written before the
// response, without waiting.
func output(dir, name string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
}

// Close ends the process and removes its files.
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

// PID is the ID of the process that served the last invocation or will serve the first one.
func (f *Function) PID() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.process.cmd.Process.Pid
}

// Invoke invokes the function and waits for the end of the invocation. A function error is a
// response, not an error.
func (f *Function) Invoke(payload []byte) (Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
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

// invoke waits for the initialization if it is not over, and then for the response.
func (f *Function) invoke(p *process, id string, payload []byte) (r Response, err error) {
	if !p.ready {
		if r, err = f.awaitInit(p, id); err != nil || r.Exited {
			return r, err
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
		case <-p.next: // serveNext refuses it before a response
			ended = true
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
	case a := <-p.answers: // it came before the end, but select chose the end
		return a.fill(r, id, begin), nil
	default:
	}

	r.Duration = time.Since(begin)
	if timedOut {
		return lambdaError(r, ErrorTimeout, id, timeoutReason(f.options.Timeout)), nil
	}

	return lambdaError(r, ErrorExit, id, p.exitReason()), nil
}

// awaitInit waits until a new process asks for its first invocation. If it does not, the response
// has Exited set.
func (f *Function) awaitInit(p *process, id string) (Response, error) {
	timer := time.NewTimer(MaxInit)
	defer timer.Stop()
	select {
	case <-p.next:
		p.ready = true
		return Response{Init: p.asked.Sub(p.started)}, nil
	case <-p.exited:
		return lambdaError(Response{Exited: true}, ErrorExit, id, p.exitReason()), nil
	case <-timer.C:
		r := Response{Exited: true, MaxRSSBytes: p.peak()}
		p.end()
		return lambdaError(r, ErrorTimeout, id, timeoutReason(MaxInit)), nil
	case <-f.ctx.Done():
		return Response{}, fmt.Errorf("invoke %s: %w", f.options.Name, f.ctx.Err())
	}
}

func timeoutReason(d time.Duration) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", d.Seconds())
}

// fill completes a response with what the runtime sent.
func (a answer) fill(r Response, id string, begin time.Time) Response {
	r.Duration = a.at.Sub(begin)
	r.MaxRSSBytes = a.peak
	switch {
	case a.tooLarge:
		const reason = "Response payload size exceeded maximum allowed payload size (%d bytes)."
		return lambdaError(r, ErrorResponseTooLarge, id, fmt.Sprintf(reason, MaxResponseBytes))
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

// lambdaError completes a response with an error of Lambda's own, with its text.
func lambdaError(r Response, kind, id, reason string) Response {
	r.ErrorType = kind
	r.ErrorMessage = "RequestId: " + id + " Error: " + reason
	document := map[string]string{"errorType": r.ErrorType, "errorMessage": r.ErrorMessage}
	r.Payload, _ = json.Marshal(document) // strings always marshal

	return r
}

// env is the environment of the process, sorted.
func (f *Function) env(api string) []string {
	const libraries = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"
	all := map[string]string{
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"LD_LIBRARY_PATH":                 libraries,
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

// since reads a file from an offset to its end, and advances the offset.
func since(f *os.File, offset *int64) (string, error) {
	b, err := io.ReadAll(io.NewSectionReader(f, *offset, 1<<62))
	*offset += int64(len(b))
	return string(b), err
}

// unpack unpacks the files of a zip to a new folder, with their modes.
func unpack(path, dir string) error {
	z, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer z.Close()

	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}

	root, err := os.OpenRoot(dir) // refuses names that lead out of the folder
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

	// Without the lock, a process that another test forks meanwhile inherits the file open for
	// writing until it calls exec, and running the file fails ("text file busy").
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
