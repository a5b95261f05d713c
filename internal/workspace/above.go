package workspace

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// aboveFolder holds copies of the files above a workspace in a place where the workspace is alone,
// such as a bucket: .above/2/requirements.txt is ../../requirements.txt.
const aboveFolder = ".above"

// AboveReader is a file system that can read files of the repository above the workspace. Names
// begin with "../".
type AboveReader interface {
	ReadAbove(name string) ([]byte, error)
}

// IsAbove reports whether a file that requirements include lies above the workspace.
func IsAbove(name string) bool { return strings.HasPrefix(name, "../") }

// CopyName is the name under which a file is kept with the workspace: its own, or for a file above
// the workspace that of its copy.
func CopyName(name string) string {
	levels := 0
	rest := name
	for IsAbove(rest) {
		rest = rest[len("../"):]
		levels++
	}

	if levels == 0 {
		return name
	}

	return path.Join(aboveFolder, fmt.Sprint(levels), rest)
}

// ReadFile reads a file that belongs to a workspace: one of its own, or one above it, from its copy
// or from the repository.
func ReadFile(fsys fs.FS, name string) ([]byte, error) {
	if !IsAbove(name) {
		return fs.ReadFile(fsys, name)
	}

	if b, err := fs.ReadFile(fsys, CopyName(name)); err == nil {
		return b, nil
	}

	if r, ok := fsys.(AboveReader); ok {
		return r.ReadAbove(name)
	}

	return nil, fmt.Errorf("%s lies above the workspace and was not pushed with it", name)
}
