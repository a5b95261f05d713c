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

// process is one start of the bootstrap and the Runtime API that only it talks to.
type process struct {
	cmd     *exec.Cmd
	server  *http.Server
	arn     string
	started time.Time
	ready   bool // has asked for work once

	next    chan struct{}    // it asks for work
	asked   time.Time        // when it first did; written before next
	work    chan work        // to the request for work
	answers chan answer      // room for the one answer of an invocation
	exited  chan struct{}    // closed when it has ended
	stop    sync.Once        // of end
	halt    chan struct{}    // closed by end: no request is served any more
	state   *os.ProcessState // set before exited

	mu      sync.Mutex
	current string // the invocation that may be answered; "" for none
}

// work is one invocation.
type work struct {
	id       string
	payload  []byte
	deadline time.Time
}

// answer is what the runtime sent for it.
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
	mux.HandleFunc(
		"POST "+apiVersion+"/invocation/{id}/response",
		func(w http.ResponseWriter, r *http.Request) { p.serveAnswer(w, r, false) },
	)
	mux.HandleFunc(
		"POST "+apiVersion+"/invocation/{id}/error",
		func(w http.ResponseWriter, r *http.Request) { p.serveAnswer(w, r, true) },
	)
	mux.HandleFunc(
		"POST "+apiVersion+"/init/error",
		func(w http.ResponseWriter, _ *http.Request) { accept(w) },
	) // it is in the log; the process ends
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

// end kills the process, by its id, if it still runs, waits for it, and closes its API.
func (p *process) end() {
	p.stop.Do(func() {
		p.cmd.Process.Kill() // an error says that it has ended
		<-p.exited
		close(p.halt)
		p.server.Close()
	})
}

// exitReason is how Lambda says that the process is gone.
func (p *process) exitReason() string {
	if p.state != nil && p.state.Success() {
		return "Runtime exited without providing a reason"
	}

	return fmt.Sprintf("Runtime exited with error: %s", p.state)
}

// peak is the most memory that the process had so far. Not from rusage when it has ended: Linux
// counts there what the parent had when it forked.
func (p *process) peak() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}

	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kib, err := strconv.ParseInt(
				string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB")))),
				10,
				64,
			)
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
		w.Write(todo.payload) // what is not received is not answered
	case <-p.halt:
	}
}

func (p *process) serveAnswer(w http.ResponseWriter, r *http.Request, isError bool) {
	const header = "Lambda-Runtime-Function-Error-Type"
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxResponseBytes+1))
	if err != nil {
		return // the connection broke: there is no answer
	}

	a := answer{
		at:       time.Now(),
		body:     body,
		isError:  isError,
		header:   r.Header.Get(header),
		tooLarge: len(body) > MaxResponseBytes,
		peak:     p.peak(),
	}
	if kind := r.Trailer.Get(header); kind != "" { // an answer that broke off while it was sent
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
		io.Copy(io.Discard, r.Body) // the rest: who does not get to the end of sending does not read why
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
