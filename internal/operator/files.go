package operator

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/internal/workspace"
)

// keepOutside is what to do when a workspace is too large to push.
const keepOutside = "keep data and wheels outside of the workspace; name a wheel by an https URL"

// Files reads the files of a workspace: those at its top, the folders of its layers, and the files
// that requirements name. Names are relative to the workspace. A workspace that the account would
// refuse as too large is a fault. root is the workspace's name in messages.
func Files(fsys fs.FS, w workspace.Workspace, root string) (map[string][]byte, error) {
	names, err := fileNames(fsys, w, root)
	if err != nil {
		return nil, err
	}

	if len(names) > workflow.MaxWorkspaceFiles {
		return nil, fault.New(fault.BadInput, "push", root,
			fmt.Errorf("%d files, at most %d", len(names), workflow.MaxWorkspaceFiles)).
			WithHint(keepOutside)
	}

	files := make(map[string][]byte, len(names))
	var total int64
	for _, name := range names {
		b, err := readFile(fsys, name, path.Join(root, name))
		if err != nil {
			return nil, err
		}

		files[workspace.CopyName(name)] = b
		if total += int64(len(b)); total > workflow.MaxWorkspaceBytes {
			return nil, fault.New(fault.BadInput, "push", root,
				fmt.Errorf("more than %s", measure.Bytes(workflow.MaxWorkspaceBytes))).
				WithHint(keepOutside)
		}
	}

	return files, nil
}

func readFile(fsys fs.FS, name, shown string) ([]byte, error) {
	if workspace.IsAbove(name) {
		b, err := workspace.ReadFile(fsys, name) // requirements have their own limit
		if err != nil {
			return nil, fault.New(fault.BadInput, "read", shown, err)
		}

		return b, nil
	}

	info, err := fs.Stat(fsys, name)
	if err == nil && info.Size() > workflow.MaxWorkspaceFileBytes {
		return nil, fault.New(fault.BadInput, "push", shown,
			fmt.Errorf("%s, at most %s", measure.Bytes(info.Size()), measure.Bytes(workflow.MaxWorkspaceFileBytes))).
			WithHint(keepOutside)
	}

	var b []byte
	if err == nil {
		b, err = fs.ReadFile(fsys, name)
	}

	if err != nil {
		return nil, fault.New(fault.BadInput, "read", shown, err)
	}

	return b, nil
}

// fileNames returns the names of the files, sorted.
func fileNames(fsys fs.FS, w workspace.Workspace, root string) ([]string, error) {
	names, err := namedFiles(w, root)
	if err != nil {
		return nil, err
	}

	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case d.IsDir():
			return skip(w, name)
		case !belongs(name):
			return nil
		}

		info, err := fs.Stat(fsys, name)
		if err == nil && info.Mode().IsRegular() {
			names = append(names, name)
		}

		return err
	})
	if err != nil {
		return nil, fault.New(fault.BadInput, "read workspace", root, err)
	}

	slices.Sort(names)
	return slices.Compact(names), nil
}

// skip returns fs.SkipDir for hidden folders, bytecode, and folders at the top that are no layers.
func skip(w workspace.Workspace, folder string) error {
	base := path.Base(folder)
	_, isLayer := w.Layer(folder)
	if strings.HasPrefix(base, ".") || base == "__pycache__" || !isLayer && !strings.Contains(folder, "/") {
		return fs.SkipDir
	}

	return nil
}

// belongs reports whether a file is pushed without being named: hidden files, bytecode and wheels
// are not.
func belongs(name string) bool {
	return !strings.HasPrefix(path.Base(name), ".") && !strings.HasSuffix(name, ".whl") &&
		!strings.HasSuffix(name, ".pyc")
}

// namedFiles are the files that requirements name, anywhere in the workspace.
func namedFiles(w workspace.Workspace, root string) ([]string, error) {
	var names []string
	for _, l := range w.Layers {
		names = append(names, l.Requirements.Files...)
		for _, r := range slices.Concat(l.Requirements.Direct, l.Requirements.Constraints) {
			if r.URL == "" || strings.Contains(r.URL, "://") {
				continue
			}

			file, _, _ := strings.Cut(r.URL, "#") // the hash
			name := path.Join(l.Name, file)
			if !fs.ValidPath(name) {
				return nil, fault.New(fault.BadInput, "push", fmt.Sprintf("%s:%d", path.Join(root, r.File), r.Line),
					fmt.Errorf("%s is outside of the workspace", file)).
					WithHint("put the wheel below " + root + "/, so that it is pushed too")
			}

			names = append(names, name)
		}
	}

	return names, nil
}
