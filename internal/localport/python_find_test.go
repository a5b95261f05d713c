package localport

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
)

// Answers of interpreters to identityScript.
const (
	answer313   = "echo cpython 3.13 3.13.7 Linux-x86_64"
	answer312   = "echo cpython 3.12 3.12.1 Linux-x86_64"
	answerArm64 = "echo cpython 3.13 3.13.5 Linux-aarch64"
)

// machine has a home folder and a folder on PATH of its own. The system's folders are not on PATH,
// since they may have the target's Python; the programs that scripts need are linked.
type machine struct {
	*testing.T
	home, path string
}

func newMachine(t *testing.T) machine {
	m := machine{T: t, home: t.TempDir(), path: t.TempDir()}
	t.Setenv("HOME", m.home)
	t.Setenv("PATH", m.path+string(os.PathListSeparator)+linksTo(t, "head", "sleep", "yes"))
	t.Setenv("UV_PYTHON_INSTALL_DIR", "")
	t.Setenv("PYENV_ROOT", "")
	return m
}

// linksTo is a folder with links to programs of this machine.
func linksTo(t *testing.T, programs ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range programs {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}

		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}

	return dir
}

func (m machine) onPath(answer string) string {
	return script(m.T, filepath.Join(m.path, "python3.13"), answer)
}

func (m machine) inPyenv(answer string) string {
	return script(m.T, filepath.Join(m.home, ".pyenv/versions/3.13.0/bin/python3.13"), answer)
}

func (m machine) named(answer string) string {
	return script(m.T, filepath.Join(m.path, "mine"), answer)
}

func (m machine) find(named string) (Python, error) {
	return PythonSearch{Target: m.target(), Named: named, Cache: m.TempDir()}.Find(context.Background())
}

func (m machine) target() pydist.Target { return target313(m.T) }

func TestFindPythonSearchesPathThenPyenvThenUV(t *testing.T) {
	m := newMachine(t)
	uv := script(t, filepath.Join(m.home, ".local/share/uv/python/cpython-3.13/bin/python3.13"), answer313)
	for _, want := range []string{m.onPath(answer313), m.inPyenv(answer313), uv} {
		got, err := m.find("")
		if err != nil || got.Path != want || got.Identity() != "cpython-3.13.7" {
			t.Errorf("got %+v, %v; want %s", got, err, want)
		}

		if err := os.Remove(want); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFindPythonPrefersOneThatRunsTheTarget(t *testing.T) {
	m := newMachine(t)
	compiles := m.onPath(answerArm64)
	if got, err := m.find(""); err != nil || got.Path != compiles || got.Runs(m.target()) {
		t.Errorf("alone it is %+v, %v", got, err)
	}

	runs := m.inPyenv(answer313)
	if got, err := m.find(""); err != nil || got.Path != runs || !got.Runs(m.target()) {
		t.Errorf("got %+v, %v", got, err)
	}

	if got, err := m.find(compiles); err != nil || got.Path != compiles || got.Runs(m.target()) {
		t.Errorf("named it is %+v, %v", got, err)
	}
}

func TestFindPythonSkipsWrongAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"another version":        answer312,
		"another implementation": "echo pypy 3.13 7.3 Linux-x86_64",
		"garbage":                "echo hello",
		"very much garbage":      "yes | head -c 3000000",
		"a failure":              answer313 + "; exit 1",
		"nothing":                "true",
	} {
		t.Run(name+" is skipped", func(t *testing.T) {
			m := newMachine(t)
			m.onPath(answer)
			want := m.inPyenv(answer313)
			if got, err := m.find(""); err != nil || got.Path != want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
		t.Run(name+" that is named is a fault", func(t *testing.T) {
			m := newMachine(t)
			_, err := m.find(m.named(answer))
			if fault.CodeOf(err) != fault.BadInput || !strings.Contains(fault.HintOf(err), "python3.13") ||
				len(err.Error()) > 500 {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestFindPythonSkipsWhatCannotBeRun(t *testing.T) {
	m := newMachine(t)
	t.Setenv("PATH", m.path) // a machine may have the target's Python in the system's folders

	file := m.onPath(answer313)
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}

	if err := os.MkdirAll(filepath.Join(m.home, ".pyenv/versions/x/bin/python3.13"), 0o755); err != nil {
		t.Fatal(err)
	}

	_, err := m.find("")
	var no *NoPython
	if !errors.As(err, &no) || err.Error() != "there is no python3.13 on PATH or in the folders of pyenv and uv" {
		t.Errorf("error %v", err)
	}

	if _, err := m.find(file); fault.CodeOf(err) != fault.BadInput {
		t.Errorf("named: %v", err)
	}
}

func TestFindPythonEndsWithTheContext(t *testing.T) {
	m := newMachine(t)
	m.onPath("sleep 60")
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()

	start := time.Now()
	_, err := PythonSearch{Target: m.target(), Named: "", Cache: t.TempDir()}.Find(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 8*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestFindPythonMakesANamedPathAbsolute(t *testing.T) {
	m := newMachine(t)
	want := m.named(answer313)
	t.Chdir(m.path)
	if got, err := m.find("./mine"); err != nil || got.Path != want {
		t.Errorf("got %+v, %v; want %s", got, err, want)
	}
}

func TestFindPythonKeepsTheAnswerUntilTheFileChanges(t *testing.T) {
	m := newMachine(t)
	cache := t.TempDir()
	find := func(path string) error {
		_, err := PythonSearch{Target: m.target(), Named: path, Cache: cache}.Find(context.Background())
		return err
	}

	count := filepath.Join(t.TempDir(), "n")
	path := m.named("echo x >> " + count + "; " + answer313)
	if err := errors.Join(find(path), find(path), find(path)); err != nil {
		t.Fatal(err)
	}

	if b, _ := os.ReadFile(count); string(b) != "x\n" {
		t.Errorf("asked %d times", len(b)/2)
	}

	m.named(answer312 + " # changed")
	if find(path) == nil {
		t.Error("the old answer is used for the new file")
	}

	if err := os.WriteFile(filepath.Join(cache, "interpreters.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}

	m.named(answer313)
	if err := find(path); err != nil {
		t.Errorf("with a damaged file of answers: %v", err)
	}
}

// Of several interpreters the one of the preferred release is taken, else the first.
func TestFindPythonPrefersTheRelease(t *testing.T) {
	m := newMachine(t)
	first := m.onPath(answer313)
	other := script(t, filepath.Join(m.home, "pyenv/versions/x/bin/python3.13"),
		strings.Replace(answer313, "3.13.7", "3.13.9", 1))
	t.Setenv("PYENV_ROOT", filepath.Join(m.home, "pyenv"))
	for release, want := range map[string]string{"": first, "3.13.9": other, "3.13.77": first} {
		got, err := PythonSearch{Target: m.target(), Release: release, Cache: t.TempDir()}.Find(context.Background())
		if err != nil || got.Path != want {
			t.Errorf("%q: %+v, %v; want %s", release, got, err, want)
		}
	}
}
