package localport

import (
	"bufio"
	"cmp"
	"context"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed compile.py
var compileScript string

// maxFrameBytes is for one source and for one answer of the compiler.
const maxFrameBytes = 256 << 20

// compileTimeout is for one source. The slowest known source takes seconds.
const compileTimeout = 5 * time.Minute

// Compile runs one process for all sources of the job. The frames of both directions are described
// in compile.py.
func (p Python) Compile(ctx context.Context, job engine.CompileJob) error {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	timeout := cmp.Or(p.Timeout, compileTimeout)
	timer := time.AfterFunc(timeout, func() { cancel(fmt.Errorf("no answer for %v", timeout)) })
	defer timer.Stop()

	var stderr limited
	cmd := p.compiler(running, job)
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}

	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}

	if err := cmd.Start(); err != nil {
		return fault.New(fault.ToolMissing, "run", p.Path, err)
	}

	sending := new(errgroup.Group)
	sending.Go(func() error {
		defer in.Close()
		return sendSources(in, job.Sources, cancel)
	})

	var end compilation
	end.answers, end.readErr = receiveBytecode(out, job, func() { timer.Reset(timeout) })
	if end.readErr != nil {
		cancel(end.readErr)
	}

	end.writeErr = sending.Wait()
	end.waitErr = cmd.Wait()
	end.cause = context.Cause(running)
	if ctx.Err() != nil {
		return ctx.Err()
	}

	return p.judge(end, len(job.Sources), lastLines(stderr.String(), 1))
}

func (p Python) compiler(ctx context.Context, job engine.CompileJob) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path, "-s", "-S", "-c", compileScript, job.Root, strconv.Itoa(job.Optimize))
	cmd.WaitDelay = 2 * time.Second

	// p.Path may be a script that starts the interpreter, and both hold the pipes.
	cmd.SysProcAttr = child(true)
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	// Before Python 3.11 sets in bytecode are in the order of hashes. With -I the seed is ignored.
	cmd.Env = []string{"PYTHONHASHSEED=0", "LANG=C.UTF-8"}
	return cmd
}

// sendSources writes the sources as frames. When a source cannot be read, it calls cancel.
func sendSources(to io.Writer, sources []ziptree.Entry, cancel func(error)) error {
	w := bufio.NewWriterSize(to, 1<<16)
	for _, e := range sources {
		source, err := e.Bytes(maxFrameBytes)
		if err != nil {
			cancel(err)
			return &sourceError{damaged("compile", e, err)}
		}

		if err := writeFrame(w, []byte(e.Name)); err != nil {
			return err
		}

		if err := writeFrame(w, source); err != nil {
			return err
		}
	}

	return w.Flush()
}

// receiveBytecode passes answers to the job until the compiler ends its output, and counts them.
// It calls answered for each.
func receiveBytecode(from io.Reader, job engine.CompileJob, answered func()) (answers int, err error) {
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		var failed uint32
		err := binary.Read(r, binary.LittleEndian, &failed)
		if errors.Is(err, io.EOF) {
			return answers, nil
		}

		if err != nil {
			return answers, err
		}

		name, err := readFrame(r)
		if err != nil {
			return answers, err
		}

		data, err := readFrame(r)
		if err != nil {
			return answers, err
		}

		answers++
		answered()
		if failed != 0 {
			job.Failed(string(name), string(data))
		} else if err := job.Emit(string(name), data); err != nil {
			return answers, emitError{err}
		}
	}
}

func writeFrame(w io.Writer, field []byte) error {
	if err := binary.Write(w, binary.LittleEndian, uint32(len(field))); err != nil {
		return err
	}

	_, err := w.Write(field)
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var n uint32
	if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
		return nil, io.ErrUnexpectedEOF
	}

	if n > maxFrameBytes {
		return nil, fmt.Errorf("an answer of %d bytes, limit %d", n, maxFrameBytes)
	}

	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// compilation is how a run of the compiler ended.
type compilation struct {
	answers  int
	readErr  error // of its output
	writeErr error // of its input
	waitErr  error // of the process
	cause    error // why this process ended it; nil if it did not
}

// sourceError and emitError are failures of the caller, not of the compiler.
type sourceError struct{ error }
type emitError struct{ error }

// judge returns the first cause: what follows from it is in the other errors and in the
// diagnostics.
func (p Python) judge(end compilation, sources int, diagnostics string) error {
	var source *sourceError
	var emit emitError
	switch {
	case errors.As(end.readErr, &emit):
		return emit.error
	case errors.As(end.writeErr, &source):
		return source.error
	case end.cause != nil:
		return p.broken(end.cause, "")
	case end.waitErr != nil:
		return p.broken(end.waitErr, diagnostics)
	case end.answers != sources:
		return p.broken(fmt.Errorf("%d answers for %d sources", end.answers, sources), diagnostics)
	case end.writeErr != nil:
		return p.broken(end.writeErr, diagnostics)
	}

	return nil
}

const otherPython = "install that Python again, or name another with --python"

// broken is a fault: the program is not an interpreter that works.
func (p Python) broken(err error, diagnostics string) error {
	if diagnostics != "" {
		err = fmt.Errorf("%w: %s", err, diagnostics)
	}

	return fault.New(fault.ToolMissing, "compile with", p.Path, err).WithHint(otherPython)
}
