package localport

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/layersmith/layersmith/internal/workspace"
)

// Workspace is the folder of a workspace. Beside its own files it reads those of the repository
// that it is in: requirements may include them.
type Workspace struct{ Dir string }

var (
	_ fs.ReadDirFS          = Workspace{}
	_ workspace.AboveReader = Workspace{}
)

// Open opens a file of the workspace.
func (w Workspace) Open(name string) (fs.File, error) { return os.DirFS(w.Dir).Open(name) }

// ReadFile reads a file of the workspace.
func (w Workspace) ReadFile(name string) ([]byte, error) { return fs.ReadFile(os.DirFS(w.Dir), name) }

// ReadDir lists a folder of the workspace.
func (w Workspace) ReadDir(name string) ([]fs.DirEntry, error) {
	return fs.ReadDir(os.DirFS(w.Dir), name)
}

// ReadAbove reads a file above the workspace, if it is in the same repository. What lies outside of
// it is not there on another machine.
func (w Workspace) ReadAbove(name string) ([]byte, error) {
	dir, err := filepath.Abs(w.Dir)
	if err != nil {
		return nil, err
	}

	root := repository(dir)
	if root == "" {
		return nil, errors.New("it lies above the workspace, which is in no repository (no folder above has .git); " +
			"copy it beside the layer")
	}

	file := filepath.Join(dir, filepath.FromSlash(name))
	if !strings.HasPrefix(file, root+string(filepath.Separator)) {
		return nil, fmt.Errorf("it lies outside of the repository %s; copy it beside the layer", filepath.Base(root))
	}

	b, err := os.ReadFile(file)
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}

	return b, err
}

// repository is the nearest folder above that has .git; "" for none.
func repository(dir string) string {
	for {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return dir
		}

		parent := filepath.Dir(dir)
		if parent == dir {
			return ""
		}

		dir = parent
	}
}
