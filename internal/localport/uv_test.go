package localport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// script writes a program for /bin/sh.
func script(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}

	return path
}

func TestUVProgram(t *testing.T) {
	for name, c := range map[string]struct{ says, err string }{
		"new enough":               {says: "echo 'uv 0.7.0 (abc 2025-01-01)'"},
		"newer by numbers":         {says: "echo uv 0.13.9"},
		"too old":                  {"echo uv 0.6.17", "it is version 0.6.17, at least 0.7.0 is needed"},
		"another program":          {"echo GNU coreutils 9", `--version printed "GNU coreutils 9\n", not "uv VERSION"`},
		"fails":                    {"echo uv 0.13.9; exit 3", `not "uv VERSION"`},
		"says nothing":             {"true", `--version printed "", not "uv VERSION"`},
		"says very much":           {"yes | head -c 1000000", `not "uv VERSION"`},
		"a version without digits": {"echo uv next", `not "uv VERSION"`},
	} {
		t.Run(name, func(t *testing.T) {
			u := UV{Path: script(t, filepath.Join(t.TempDir(), "uv"), c.says)}
			got, err := u.program(context.Background())
			switch {
			case c.err == "" && (err != nil || got != u.Path):
				t.Errorf("got %q, %v", got, err)
			case c.err != "" && (fault.CodeOf(err) != fault.ToolMissing || !strings.Contains(err.Error(), c.err) ||
				len(err.Error()) > 400 || fault.HintOf(err) == ""):
				t.Errorf("error %v (%v), want %q", err, fault.CodeOf(err), c.err)
			}
		})
	}

	t.Run("missing", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		if _, err := (UV{Path: "uv"}).program(context.Background()); fault.CodeOf(err) != fault.ToolMissing ||
			fault.HintOf(err) == "" {
			t.Errorf("error %v", err)
		}

		tools := t.TempDir()
		want := script(t, filepath.Join(tools, "uv"), "echo uv 0.8.0")
		if got, err := (UV{Path: "uv", Tools: tools}).program(context.Background()); err != nil || got != want {
			t.Errorf("in the tools folder: %q, %v", got, err)
		}
	})
}

func TestReadGraph(t *testing.T) {
	for name, c := range map[string]struct{ in, names, requires string }{
		"uv's own answer": {
			in: "alpha==1.0\n    # via -r req.txt\nshared==1.0\n    # via\n    #   alpha\n    #   -c pins.txt\n   " +
				" #   viabel\nviabel==1.0\n    # via -r req.txt\n",
			names: "alpha shared viabel", requires: "alpha>shared viabel>shared"},
		"one requirer on one line": {in: "b==1\n    # via a\na==2\n", names: "b a", requires: "a>b"},
		"one whose name begins with via": {
			in:       "b==1\n    # via viabel\nc==1\n    # via\n    #   viabel\n",
			names:    "b c",
			requires: "viabel>b viabel>c",
		},
		"extras":                  {in: "b==1\n    # via a[x,y]\na[x]==2\n", names: "b a", requires: "a>b"},
		"a wheel's address":       {in: "b @ file:///x/b-1-py3-none-any.whl\n    # via -r r.txt\n", names: "b"},
		"markers":                 {in: "b==1 ; sys_platform == 'linux'\n", names: "b"},
		"options and empty lines": {in: "--index-url https://x\n\n-e .\nb==1\n", names: "b"},
		"a comment before any":    {in: "# via a\nb==1\n", names: "b"},
		"names are normalized":    {in: "Foo_Bar==1\n    # via A.b\n", names: "foo-bar", requires: "a-b>foo-bar"},
		"nothing":                 {},
	} {
		g, err := readGraph([]byte(c.in))
		var list, by []string
		for _, n := range g.names {
			list = append(list, n.String())
		}

		for from, tos := range g.requires {
			for _, to := range tos {
				by = append(by, from.String()+">"+to.String())
			}
		}

		slices.Sort(by)
		if err != nil || strings.Join(list, " ") != c.names || strings.Join(by, " ") != c.requires {
			t.Errorf("%s: %v, %v, %v; want %q, %q", name, list, by, err, c.names, c.requires)
		}
	}

	if _, err := readGraph([]byte("==1\n")); err == nil {
		t.Error("a line without a name is taken")
	}
}

// The closure of a file is what it reaches. Where somebody requires an extra of something in it,
// the comments do not say for whom: then it is not exact.
func TestClosure(t *testing.T) {
	const in = "a==1\n    # via -r /tmp/one.txt\nb==1\n    # via\n    #   -r two.txt\n    #   a\n" +
		"c[x]==1\n    # via -r three.txt\nd==1\n    # via c\ne==1\n    # via b\n"
	g, err := readGraph([]byte(in))
	if err != nil {
		t.Fatal(err)
	}

	for file, want := range map[string]string{
		"one.txt": "a b e true", "two.txt": "b e true", "three.txt": "c d false", "none.txt": "true",
	} {
		names, exact := g.closure(file)
		var got []string
		for _, n := range names {
			got = append(got, n.String())
		}

		if s := strings.Join(append(got, strconv.FormatBool(exact)), " "); s != want {
			t.Errorf("%s: %s, want %s", file, s, want)
		}
	}

	if want := "a==1\nb==1\nc==1\nd==1\ne==1\n"; string(g.pins) != want {
		t.Errorf("pins %q, want %q", g.pins, want)
	}
}

func FuzzReadGraph(f *testing.F) {
	f.Add("alpha==1.0\n    # via -r req.txt\nshared==1.0\n    # via\n    #   alpha\n")
	f.Add("b @ file:///x\n#via[")
	f.Add("b[x]==1\n#via b")
	f.Fuzz(func(t *testing.T, in string) {
		g, err := readGraph([]byte(in))
		if err != nil {
			return
		}

		for _, tos := range g.requires {
			for _, to := range tos {
				if !slices.Contains(g.names, to) {
					t.Errorf("%q: %s is required, but not in the graph", in, to)
				}
			}
		}

		if again, err := readGraph(g.pins); err != nil || len(again.names) != len(g.names) || len(again.extras) > 0 {
			t.Errorf("%q: pins %q: %v", in, g.pins, err)
		}
	})
}

// The texts are uv 0.13.9's, and older ones' where a case says so.
func TestExplain(t *testing.T) {
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	layer := func(name string, reqs ...string) workspace.Layer {
		l := workspace.Layer{Name: name}
		for i, r := range reqs {
			q, err := pydist.ParseRequirement(r)
			if err != nil {
				t.Fatal(err)
			}

			q.File = name + "/requirements.txt"
			q.Line = i + 1
			l.Requirements.Direct = append(l.Requirements.Direct, q)
		}

		return l
	}
	w := workspace.Workspace{
		Layers: []workspace.Layer{layer("one", "alpha", "alpha-extra"), layer("two", "other", "Beta>=1")},
	}
	for name, c := range map[string]struct {
		text, subject, hint string
		code                fault.Code
	}{
		"a conflict names both lines": {
			code:    fault.LockConflict,
			subject: "Beta>=1 (layers/two/requirements.txt:2); alpha (layers/one/requirements.txt:1)",
			hint:    "change one",
			text: "error: No solution found when resolving dependencies\n  cause: Because all versions of beta " +
				"depend on shared>=2 and all versions of alpha depend on shared<2, we can conclude that all versions " +
				"of alpha and all versions of beta are incompatible.\n         And because you require alpha and " +
				"beta, we can conclude that your requirements are unsatisfiable.\n",
		},
		"a conflict, drawn as older ones do": {
			code:    fault.LockConflict,
			subject: "Beta>=1 (layers/two/requirements.txt:2); alpha (layers/one/requirements.txt:1)",
			hint:    "change one",
			text: "  × No solution found when resolving dependencies:\n  ╰─▶ Because beta==1.0 depends on " +
				"shared>=2 and alpha==1.0\n      depends on shared<2, we can conclude that alpha and beta are " +
				"incompatible.\n",
		},
		"an unknown package": {
			code:    fault.BadInput,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "correct the name",
			text: "error: No solution found when resolving dependencies\n  cause: Because alpha was not found in " +
				"the package registry and you require alpha, we can conclude that your requirements are " +
				"unsatisfiable.\n",
		},
		"an unknown package among files": {
			code:    fault.BadInput,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "correct the name",
			text: "error: No solution found when resolving dependencies\n  cause: Because alpha was not found in " +
				"the provided package locations and you require alpha, we can conclude that your requirements are " +
				"unsatisfiable.\n",
		},
		"an unknown version": {
			code:    fault.BadInput,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "correct the name or the version",
			text: "error: No solution found when resolving dependencies\n  cause: Because there is no version of " +
				"alpha==9 and you require alpha==9, we can conclude that your requirements are unsatisfiable.\n",
		},
		"no wheel for the target": {
			code:    fault.WheelMissing,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "has a wheel for python3.13-x86_64",
			text: "error: No solution found when resolving dependencies\n  cause: Because alpha==1.0 has no " +
				"wheels with a matching platform tag (e.g., `manylinux_2_34_x86_64`) and only alpha==1.0 is " +
				"available, we can conclude that all versions of alpha cannot be used.\n         And because you " +
				"require alpha, we can conclude that your requirements are unsatisfiable.\n\nhint: Wheels are " +
				"available for `alpha` (v1.0) on the following platform: `macosx_11_0_arm64`\n",
		},
		"network down": {
			code:    fault.Unreachable,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "check the network",
			text: "error: Request failed after 3 retries in 8.3s\n  cause: Failed to fetch: " +
				"http://127.0.0.1:9/simple/alpha/\n  cause: error sending request for url " +
				"(http://127.0.0.1:9/simple/alpha/)\n  cause: client error (Connect)\n  cause: tcp connect error\n  " +
				"cause: Connection refused (os error 111)\n",
		},
		"offline, not in uv's cache": {
			code:    fault.Unreachable,
			subject: "alpha (layers/one/requirements.txt:1)",
			hint:    "check the network",
			text: "error: No solution found when resolving dependencies\n  cause: Because alpha was not found in " +
				"the cache and you require alpha, we can conclude that your requirements are unsatisfiable.\n\nhint: " +
				"Packages were unavailable because the network was disabled. When the network is disabled, registry " +
				"packages may only be read from the cache.\n",
		},
		"something else": {code: fault.BadInput, subject: "python3.13-x86_64", hint: "message of uv",
			text: "error: Failed to parse: `uv.toml`\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got := explain(fmt.Errorf("run: %w", &uvError{text: c.text, err: errors.New("exit status 1")}), w, target,
				"layers")
			var f *fault.Error
			if !errors.As(got, &f) || f.Code != c.code || f.Subject != c.subject || !strings.Contains(f.Hint, c.hint) {
				t.Fatalf("got %+v; want %v, %q, hint %q", f, c.code, c.subject, c.hint)
			}

			if strings.ContainsAny(f.Err.Error(), "\n╰×│") {
				t.Errorf("text %q is not one plain line", f.Err)
			}
		})
	}

	other := errors.New("another")
	if got := explain(other, w, target, "layers"); got != other {
		t.Errorf("an error that is not uv's becomes %v", got)
	}
}

func TestMentions(t *testing.T) {
	for text, want := range map[string]bool{
		"because alpha depends": true, "alpha==1": true, "alpha": true, "(alpha)": true, "`alpha`": true,
		"you require alpha.": true, "alpha[x]": true, "alpha-extra alpha": true,
		"alpha-extra": false, "my-alpha": false, "alphabet": false, "alpha.two": false, "": false,
	} {
		if got := mentions(text, "alpha"); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestUVRunCanBeCanceled(t *testing.T) {
	u := UV{Root: t.TempDir()}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := u.run(ctx, script(t, filepath.Join(t.TempDir(), "uv"), "exec sleep 60"))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestSweepRemovesOldTemporaryFilesOnly(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".tmp-old", ".tmp-new", "kept", ".tmp-folder/x"} {
		script(t, filepath.Join(dir, name), "")
	}

	past := time.Now().Add(-48 * time.Hour)
	for _, name := range []string{".tmp-old", "kept", ".tmp-folder"} {
		if err := os.Chtimes(filepath.Join(dir, name), past, past); err != nil {
			t.Fatal(err)
		}
	}

	old := func(i os.FileInfo) bool { return time.Since(i.ModTime()) > 24*time.Hour }
	if err := errors.Join(Sweep(dir, old), Sweep(filepath.Join(dir, "absent"), old)); err != nil {
		t.Fatal(err)
	}

	entries, _ := os.ReadDir(dir)
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}

	if strings.Join(left, " ") != ".tmp-new kept" {
		t.Errorf("left %v", left)
	}
}
