package workspace_test

import (
	"errors"
	"testing"
	"testing/fstest"

	"github.com/layersmith/layersmith/internal/workspace"
)

type repository struct {
	fstest.MapFS
	above map[string]string
}

func (r repository) ReadAbove(name string) ([]byte, error) {
	if b, ok := r.above[name]; ok {
		return []byte(b), nil
	}

	return nil, errors.New("not in the repository")
}

// Requirements above the workspace are read from the repository, and where the workspace is alone
// from the copies that were pushed with it.
func TestRequirementsAboveTheWorkspace(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"main/requirements.txt": {Data: []byte("-r ../../../common.txt\n")}}
	here := repository{files, map[string]string{"../../common.txt": "alpha\n"}}
	w, err := workspace.Load(here, "layers")
	if err != nil || len(w.Layers) != 1 || w.Layers[0].Requirements.Direct[0].Name.String() != "alpha" {
		t.Fatalf("%v, %v", w, err)
	}

	if _, err := workspace.Load(files, "layers"); err == nil {
		t.Error("loaded without the file above")
	}

	files[workspace.CopyName("../../common.txt")] = &fstest.MapFile{Data: []byte("beta\n")}
	w, err = workspace.Load(files, "layers")
	if err != nil || w.Layers[0].Requirements.Direct[0].Name.String() != "beta" {
		t.Errorf("%v, %v", w, err)
	}
}

func TestCopyName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"main/requirements.txt":   "main/requirements.txt",
		"../requirements.txt":     ".above/1/requirements.txt",
		"../../a/requirements.in": ".above/2/a/requirements.in",
	} {
		if got := workspace.CopyName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
