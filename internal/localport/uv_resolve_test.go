package localport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// fakeUV answers the commands of Resolve as uv does, and records them.
func fakeUV(t *testing.T, pylock string) (u UV, asked func() []string) {
	t.Helper()
	dir := t.TempDir()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pylock"), []byte(pylock), 0o644); err != nil {
		t.Fatal(err)
	}

	program := script(t, filepath.Join(dir, "uv"), `here='`+dir+`'
[ "$1" = --version ] && { echo uv 0.13.9; exit; }
echo "$@" >> "$here/asked"
pins=""
for last; do [ "$before" = --output-file ] && pins="$last"; before="$last"; done
case " $* " in
*' --output-file '*)
	[ -f "$pins" ] && cp "$pins" "$here/preferred"
	for file; do case "$file" in */one.txt) cp "$file" "$here/one";; esac; done
	{
		printf 'alpha==1.0\n    # via -r one.txt\nhere @ file:///x\n    # via -r one.txt\n'
		cat "$here/shared" 2>/dev/null || echo shared==1.0
		printf '    # via\n    #   -r two.txt\n    #   alpha\nlocal @ file:///x\n'
	} > "$pins";;
*pylock.toml*) cat "$here/pylock";;
*/one.txt' ')
	printf 'alpha==1.0\nhere @ file:///x\nshared==1.0\n';;
*/two.txt' ') printf 'shared==1.0\n';;
esac`)
	return UV{Path: program, Root: root, Python: "/usr/bin/pythonX"}, func() []string {
		b, err := os.ReadFile(filepath.Join(dir, "asked"))
		if err != nil {
			return nil
		}

		return strings.Split(strings.TrimSpace(string(b)), "\n")
	}
}

func testWorkspace(t *testing.T, files map[string]string) workspace.Workspace {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}

	w, err := workspace.Load(fsys, "layers")
	if err != nil {
		t.Fatal(err)
	}

	return w
}

const (
	sumA = "1111111111111111111111111111111111111111111111111111111111111111"
	sumS = "2222222222222222222222222222222222222222222222222222222222222222"
)

const pylockOfTwo = `lock-version = "1.0"
created-by = "uv"
[[packages]]
name = "alpha"
version = "1.0"
wheels = [{ url = "https://files.example/a/alpha-1.0-py3-none-any.whl", size = 10, hashes = { sha256 = "` + sumA +
	`" } }]
[[packages]]
name = "shared"
version = "1.0"
wheels = [{ name = "shared-1.0-py3-none-any.whl", url = "https://files.example/s/x%20y?z=1", hashes = { sha256 = "` +
	sumS + `" } }]
`

func target313(t *testing.T) pydist.Target {
	t.Helper()
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	return target
}

func TestResolve(t *testing.T) {
	u, asked := fakeUV(t, pylockOfTwo)
	w := testWorkspace(t, map[string]string{
		"one/requirements.txt": "alpha==1.0\nhere @ wheels/here-1.0-py3-none-any.whl\n",
		"two/requirements.txt": "shared\n",
	})
	version, err := pydist.ParseVersion("0.9")
	if err != nil {
		t.Fatal(err)
	}

	got, err := u.Resolve(context.Background(), engine.ResolveRequest{
		Target:       target313(t),
		Workspace:    w,
		Upgrade:      []string{"alpha"},
		ExcludeNewer: "2026-01-01",
		Offline:      true,
		Locked: &lock.Lock{
			Distributions: []lock.Distribution{
				{Name: names(t, "shared")[0], Version: version},
				{Name: names(t, "here")[0], Version: version, Direct: true},
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}

	var dists []string
	for _, d := range got.Distributions {
		f := d.File
		dists = append(dists, fmt.Sprintln(d.Name, d.Version, f.Name, f.Size, f.SHA256.Short(), d.Requires))
	}

	const want = "alpha 1.0 alpha-1.0-py3-none-any.whl 10 111111111111 [shared]\n" +
		"shared 1.0 shared-1.0-py3-none-any.whl 0 222222222222 []\n"
	if g := strings.Join(dists, ""); g != want {
		t.Errorf("got %s\nwant %s", g, want)
	}

	if g := fmt.Sprint(got.Closures); g != "map[one:[alpha here shared] two:[shared]]" {
		t.Errorf("closures %s", g)
	}

	commands := asked()
	if len(commands) != 2 {
		t.Fatalf("asked %q", commands)
	}

	for i, c := range commands {
		for _, flag := range []string{
			"--python-version 3.13", "--python-platform x86_64-manylinux_2_34",
			"--only-binary :all:", "--offline", "--exclude-newer 2026-01-01", "--python /usr/bin/pythonX",
		} {
			if !strings.Contains(c, flag) {
				t.Errorf("question %d lacks %s: %s", i, flag, c)
			}
		}
	}

	if !strings.Contains(commands[0], "--upgrade-package alpha") || strings.Contains(commands[1], "--upgrade-package") {
		t.Errorf("upgrades: %q", commands)
	}

	beside := filepath.Dir(u.Path)
	if b, _ := os.ReadFile(filepath.Join(beside, "preferred")); string(b) != "shared==0.9\n" {
		t.Errorf("preferred %q", b)
	}

	if b, _ := os.ReadFile(filepath.Join(beside, "one")); !strings.Contains(
		string(b),
		"here @ file://"+u.Root+"/one/wheels/here-1.0-py3-none-any.whl\n",
	) {
		t.Errorf("requirements %q", b)
	}
}

// Where somebody requires an extra, uv is asked for the closure of each layer that needs the
// distribution, with all the versions that were resolved together.
func TestResolveWithExtras(t *testing.T) {
	u, asked := fakeUV(t, pylockOfTwo)
	beside := filepath.Dir(u.Path)
	if err := os.WriteFile(filepath.Join(beside, "shared"), []byte("shared[x]==1.0\n"), 0o644); err != nil {
		t.Fatal(err)
	}

	w := testWorkspace(t, map[string]string{
		"one/requirements.txt": "alpha==1.0\nhere @ wheels/here-1.0-py3-none-any.whl\n",
		"two/requirements.txt": "shared[x]\n",
	})
	got, err := u.Resolve(context.Background(), engine.ResolveRequest{Target: target313(t), Workspace: w})
	if err != nil {
		t.Fatal(err)
	}

	if g := fmt.Sprint(got.Closures); g != "map[one:[alpha here shared] two:[shared]]" {
		t.Errorf("closures %s", g)
	}

	runs := 0
	for _, c := range asked() {
		if strings.Contains(c, "--constraints") && !strings.Contains(c, "--output-file") {
			runs++
			if !strings.Contains(c, "pins.txt") {
				t.Errorf("without the pins: %s", c)
			}
		}
	}

	if runs != 2 {
		t.Errorf("%d runs for closures: %q", runs, asked())
	}
}

// A uv that ends well without an answer does not make an empty lock.
func TestResolveRefusesAnEmptyAnswer(t *testing.T) {
	w := testWorkspace(t, map[string]string{"one/requirements.txt": "alpha\n"})
	program := script(t, filepath.Join(t.TempDir(), "uv"), `[ "$1" = --version ] && { echo uv 0.13.9; exit; }
for last; do [ "$before" = --output-file ] && : > "$last"; before="$last"; done`)
	u := UV{Path: program, Root: t.TempDir()}
	_, err := u.Resolve(context.Background(), engine.ResolveRequest{Target: target313(t), Workspace: w})
	if fault.CodeOf(err) != fault.ToolMissing || !strings.Contains(err.Error(), "alpha is not in it") {
		t.Errorf("error %v", err)
	}
}

func TestResolveRefusesWhatNoHashCanName(t *testing.T) {
	w := testWorkspace(t, map[string]string{"one/requirements.txt": "alpha\n"})
	for name, c := range map[string]struct {
		pylock string
		code   fault.Code
	}{
		"a repository": {
			"[[packages]]\nname = \"alpha\"\nvcs = { type = \"git\", url = \"https://x\", commit-id = \"1\" }\n",
			fault.BadInput,
		},
		"a folder": {"[[packages]]\nname = \"alpha\"\ndirectory = { path = \".\" }\n", fault.BadInput},
		"no file":  {"[[packages]]\nname = \"alpha\"\nversion = \"1.0\"\n", fault.WheelMissing},
		"no TOML":  {"<html>", fault.ToolMissing},
	} {
		u, _ := fakeUV(t, c.pylock)
		if _, err := u.Resolve(context.Background(),
			engine.ResolveRequest{Target: target313(t), Workspace: w}); err == nil ||
			fault.CodeOf(err) != c.code {
			t.Errorf("%s: %v (%v)", name, err, fault.CodeOf(err))
		}
	}
}

func TestLocate(t *testing.T) {
	u, asked := fakeUV(t, pylockOfTwo)
	w := testWorkspace(t,
		map[string]string{"one/requirements.txt": "alpha==1.0\nhere @ wheels/here-1.0-py3-none-any.whl\n"})
	version, err := pydist.ParseVersion("1.0")
	if err != nil {
		t.Fatal(err)
	}

	sum := func(s string) digest.SHA256 {
		d, err := digest.Parse(s)
		if err != nil {
			t.Fatal(err)
		}

		return d
	}
	direct := lock.Distribution{
		Name:    names(t, "here")[0],
		Version: version,
		Direct:  true,
		File:    lock.File{SHA256: digest.Of([]byte("here"))},
	}
	request := engine.LocateRequest{
		Lock:      lock.Lock{Target: target313(t)},
		Workspace: w,
		Wanted:    []lock.Distribution{direct},
	}
	got, err := u.Locate(context.Background(), request)
	if err != nil || len(got) != 1 || got[direct.File.SHA256] != "one/wheels/here-1.0-py3-none-any.whl" ||
		len(asked()) != 0 {
		t.Fatalf("%v, %v, asked %q", got, err, asked())
	}

	request.Wanted = append(request.Wanted, lock.Distribution{
		Name:    names(t, "alpha")[0],
		Version: version,
		File:    lock.File{Name: "alpha-1.0-py3-none-any.whl", SHA256: sum(sumA)},
	})
	got, err = u.Locate(context.Background(), request)
	if err != nil || got[sum(sumA)] != "https://files.example/a/alpha-1.0-py3-none-any.whl" ||
		got[direct.File.SHA256] == "" ||
		len(asked()) != 1 ||
		!strings.Contains(asked()[0], "--no-deps") {
		t.Fatalf("%v, %v, asked %q", got, err, asked())
	}
}

func TestBuildWheel(t *testing.T) {
	for name, c := range map[string]struct {
		does string
		code fault.Code // "" when it builds
		text string
	}{
		"one wheel": {
			does: `for d; do [ "$before" = --out-dir ] && touch "$d/demo-1.0-py3-none-any.whl"; before="$d"; done`,
		},
		"a failure": {
			does: "echo noise >&2; echo 'error: gcc is not there' >&2; exit 2",
			code: fault.WheelMissing,
			text: "gcc is not there",
		},
		"no wheel":    {does: "true", code: fault.Internal, text: "0 wheels, want 1"},
		"interrupted": {does: "exec sleep 60"},
	} {
		t.Run(name, func(t *testing.T) {
			u := UV{
				Root: t.TempDir(),
				Path: script(t, filepath.Join(t.TempDir(), "uv"),
					"[ $1 = --version ] && { echo uv 0.13.9; exit; }\n"+c.does),
			}
			ctx := context.Background()
			if name == "interrupted" {
				limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
				defer cancel()
				if _, err := u.BuildWheel(limited, filepath.Join(t.TempDir(), "demo-1.0.tar.gz"),
					target313(t)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v", err)
				}

				return
			}

			got, err := u.BuildWheel(ctx, filepath.Join(t.TempDir(), "demo-1.0.tar.gz"), target313(t))
			switch {
			case c.code == "" && (err != nil || filepath.Base(got) != "demo-1.0-py3-none-any.whl"):
				t.Errorf("got %q, %v", got, err)
			case c.code != "" && (err == nil || fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.text)):
				t.Errorf("error %v (%v)", err, fault.CodeOf(err))
			}
		})
	}
}
