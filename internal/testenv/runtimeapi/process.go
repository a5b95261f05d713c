package runtimeapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

const (
	apiVersion = "/2018-06-01/runtime"
	region     = "us-east-1"
	account    = "000000000000"
)

// process is one process of the bootstrap, with a Runtime API of its own.
type process struct {
	cmd     *exec.Cmd
	server  *http.Server
	arn     string
	started time.Time
	ready   bool // has asked for an invocation

	next    chan struct{}    // sent to when it asks for an invocation
	asked   time.Time        // of the first time; written before next
	work    chan work        // the invocation to respond with
	answers chan answer      // buffered: the one of an invocation
	exited  chan struct{}    // closed when the process has ended
	stop    sync.Once        // of end
	halt    chan struct{}    // closed by end, so that no request blocks
	state   *os.ProcessState // written before exited

	mu      sync.Mutex
	current string // ID of the invocation without a response yet; "" for none
}

// work is one invocation.
type work struct {
	id       string
	payload  []byte
	deadline time.Time
}

// answer is the response of the runtime to an invocation.
type answer struct {
	body     []byte
	isError  bool
	header   string
	tooLarge bool
	peak     int64 // bytes
	at       time.Time
}

// launch starts the bootstrap.
func (f *Function) launch() (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}

	p := &process{
		arn:     "arn:aws:lambda:" + region + ":" + account + ":function:" + f.options.Name,
		next:    make(chan struct{}),
		work:    make(chan work),
		answers: make(chan answer, 1),
		exited:  make(chan struct{}),
		halt:    make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiVersion+"/invocation/next", p.serveNext)
	mux.HandleFunc("POST "+apiVersion+"/invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		p.serveAnswer(w, r, false)
	})
	mux.HandleFunc("POST "+apiVersion+"/invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		p.serveAnswer(w, r, true)
	})
	// The process logs the error and ends.
	mux.HandleFunc("POST "+apiVersion+"/init/error", func(w http.ResponseWriter, _ *http.Request) { accept(w) })
	p.server = &http.Server{Handler: mux}

	p.cmd = exec.CommandContext(f.ctx, f.bootstrap, f.options.Args...)
	p.cmd.Dir = filepath.Dir(f.bootstrap)
	p.cmd.Env = f.env(listener.Addr().String())
	p.cmd.Stdout = f.stdout
	p.cmd.Stderr = f.stderr
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		listener.Close()
		return nil, fmt.Errorf("start %s: %w", f.options.Name, err)
	}

	go p.server.Serve(listener)
	go func() {
		p.cmd.Wait()
		p.state = p.cmd.ProcessState
		close(p.exited)
	}()
	return p, nil
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// end kills the process, waits for it, and closes its API.
func (p *process) end() {
	p.stop.Do(func() {
		p.cmd.Process.Kill() // an error: it has ended
		<-p.exited
		close(p.halt)
		p.server.Close()
	})
}

// exitReason is Lambda's text for a process that ended.
func (p *process) exitReason() string {
	if p.state != nil && p.state.Success() {
		return "Runtime exited without providing a reason"
	}

	return fmt.Sprintf("Runtime exited with error: %s", p.state)
}

// peak is the largest resident set of the process so far, in bytes; 0 if it is unknown. The usage
// that is reported when a process has ended is not used: on Linux it counts the parent's memory at
// the fork.
func (p *process) peak() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}

	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			number := bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))
			kib, err := strconv.ParseInt(string(number), 10, 64)
			if err != nil {
				return 0
			}

			return kib << 10
		}
	}

	return 0
}

func (p *process) serveNext(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	if p.asked.IsZero() {
		p.asked = time.Now()
	}

	unanswered := p.current != ""
	p.mu.Unlock()
	if unanswered {
		refuse(w, http.StatusForbidden, "InvalidStateTransition",
			"Transition from InvocationRequested to Ready is not allowed")
		return
	}

	select {
	case p.next <- struct{}{}:
	case <-p.halt:
		return
	case <-r.Context().Done():
		return
	}

	select {
	case todo := <-p.work:
		p.mu.Lock()
		p.current = todo.id
		p.mu.Unlock()
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Lambda-Runtime-Aws-Request-Id", todo.id)
		h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(todo.deadline.UnixMilli(), 10))
		h.Set("Lambda-Runtime-Invoked-Function-Arn", p.arn)
		h.Set("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0")
		w.Write(todo.payload) // after an error there is no response
	case <-p.halt:
	}
}

func (p *process) serveAnswer(w http.ResponseWriter, r *http.Request, isError bool) {
	const header = "Lambda-Runtime-Function-Error-Type"
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseBytes+1))
	if err != nil {
		return // the connection broke
	}

	a := answer{
		at:       time.Now(),
		body:     body,
		isError:  isError,
		header:   r.Header.Get(header),
		tooLarge: len(body) > MaxResponseBytes,
		peak:     p.peak(),
	}
	if kind := r.Trailer.Get(header); kind != "" { // an error in the middle of a streamed response
		a.isError = true
		a.header = kind
	}

	p.mu.Lock()
	due := p.current != "" && p.current == r.PathValue("id")
	if due {
		p.current = ""
	}

	p.mu.Unlock()
	if !due {
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}

	p.answers <- a
	if a.tooLarge {
		io.Copy(io.Discard, r.Body) // a client that cannot send all of it would not read the refusal
		refuse(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size")
		return
	}

	accept(w)
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, `{"status":"OK"}`)
}

func refuse(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"errorType": kind, "errorMessage": message})
}
