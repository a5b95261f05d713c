// Package localport holds the adapters of a laptop or a CI machine: folders, the programs uv and
// python, and HTTP.
//
// A file is written under a temporary name in the same folder, synced and renamed. So a reader sees
// the old file or the new one, and runs at the same time do not disturb each other. Temporary names
// begin with ".tmp-"; the files are removed when a run fails or is interrupted.
package localport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
)

const tempPrefix = ".tmp-"

// Hints for a file that cannot be read or written.
const (
	hintOutput = "make room and permission for it, or name another folder with --output"
	hintCache  = "make room and permission for the cache, or name another folder with --cache or LAYERSMITH_CACHE"
)

// ours makes a fault of an error of the operating system about a file of this program, for example
// a full disk or a read-only folder: the user can change that. Other errors and faults are returned
// as they are, also nil.
func ours(op, subject, hint string, err error) error {
	var known *fault.Error
	var file *fs.PathError
	var names *os.LinkError // of a rename
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &file):
		err = systemError{err, file.Err}
	case errors.As(err, &names):
		err = systemError{err, names.Err}
	default:
		return err
	}

	return fault.New(fault.BadInput, op, subject, err).WithHint(hint)
}

// systemError has the text of the operating system, without the name of the file: that may be a
// temporary one.
type systemError struct {
	error
	cause error
}

func (e systemError) Error() string { return e.cause.Error() }
func (e systemError) Unwrap() error { return e.error }

// WriteFile stores a file atomically. The folder must exist.
func WriteFile(path string, write func(io.Writer) error) error {
	return ours("write", path, "make room and permission for it", writeFile(path, write))
}

func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+"*")
	if err != nil {
		return err
	}

	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()

	if err := write(f); err != nil {
		return err
	}

	if err := f.Chmod(0o644); err != nil {
		return err
	}

	if err := f.Sync(); err != nil {
		return err
	}

	if err := f.Close(); err != nil {
		return err
	}

	return os.Rename(f.Name(), path)
}

// blob is a file open for reading.
type blob struct {
	*os.File
	size int64
}

func (b blob) Size() int64 { return b.size }

// OpenBlob opens a regular file.
func OpenBlob(path string) (engine.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}

	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("not a file")}
	}

	if err != nil {
		f.Close()
		return nil, err
	}

	return blob{f, info.Size()}, nil
}

// Outputs is the folder of results: layers, artifacts, plans and the report.
type Outputs struct{ Dir string }

var _ engine.Outputs = Outputs{}

func (o Outputs) path(name string) (string, error) {
	if name == "" || strings.ContainsAny(name, "/\\") || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("%q is not a name for an output", name)
	}

	return filepath.Join(o.Dir, name), nil
}

// Write stores a file.
func (o Outputs) Write(ctx context.Context, name string, write func(io.Writer) error) error {
	p, err := o.path(name)
	if err != nil {
		return err
	}

	err = os.MkdirAll(o.Dir, 0o755)
	if err == nil {
		err = writeFile(p, func(w io.Writer) error {
			if err := write(w); err != nil {
				return err
			}

			return ctx.Err()
		})
	}

	if err == nil {
		return nil
	}

	if err := ours("write", p, hintOutput, err); fault.CodeOf(err) != fault.Internal {
		return err
	}

	return fmt.Errorf("write %s: %w", p, err)
}

// maxDocumentBytes limits documents, which are read into memory.
const maxDocumentBytes = 64 << 20

// Read returns a document.
func (o Outputs) Read(_ context.Context, name string) ([]byte, error) {
	p, err := o.path(name)
	if err != nil {
		return nil, err
	}

	return readLimited(p, maxDocumentBytes)
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("read %s: more than %d bytes", path, limit)
	}

	return b, err
}

// Open opens an output.
func (o Outputs) Open(_ context.Context, name string) (engine.Blob, error) {
	p, err := o.path(name)
	if err != nil {
		return nil, err
	}

	return OpenBlob(p)
}

// Sweep removes the temporary files and folders of killed runs from a folder. tooOld says which
// they are: those of a running build are younger.
func Sweep(dir string, tooOld func(fs.FileInfo) bool) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}

	if err != nil {
		return err
	}

	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) {
			continue
		}

		if info, err := e.Info(); err == nil && tooOld(info) {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}

	return nil
}

// Unpacked writes a file of the wheel store into a folder of its own, under its original name,
// which build tools need. done removes the folder.
func Unpacked(temp, name string, b engine.Blob) (path string, done func(), err error) {
	dir, err := os.MkdirTemp(temp, tempPrefix+"build-")
	if err != nil {
		return "", nil, ours("make a folder in", temp, hintCache, err)
	}

	done = func() { os.RemoveAll(dir) }
	path = filepath.Join(dir, filepath.Base(name))
	out, err := os.Create(path)
	if err == nil {
		_, err = io.Copy(out, io.NewSectionReader(b, 0, b.Size()))
		if closeErr := out.Close(); err == nil {
			err = closeErr
		}
	}

	if err != nil {
		done()
		return "", nil, ours("write", path, hintCache, err)
	}

	return path, done, nil
}
