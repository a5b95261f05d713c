package localport

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func TestInterpreterThatDoesNotCompile(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ script, want string }{
		"hangs":                {"exec sleep 60", "no answer for 200ms"},
		"hangs behind a shell": {"sleep 60; exit", "no answer for 200ms"},
		"crashes":              {"kill -SEGV $$", "signal: segmentation fault"},
		"fails with words": {
			"cat >/dev/null; echo 'no module named marshal' >&2; exit 3",
			"exit status 3: no module named marshal",
		},
		"says nothing": {"cat >/dev/null", "0 answers for 1 sources"},
		"prints text": {
			"echo 'hello, this is no frame at all'",
			"an answer of 1948265583 bytes, limit 268435456",
		},
		"ends within an answer": {"cat >/dev/null; printf '\\0\\0\\0\\0\\11\\0\\0\\0a'", "unexpected EOF"},
		"prints without an end": {"exec yes", "an answer of 2030729482 bytes, limit 268435456"},
		"ends at once":          {"", "0 answers for 1 sources"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := Python{Path: script(t, filepath.Join(t.TempDir(), "python"), c.script), Timeout: time.Minute}
			if strings.Contains(c.want, "200ms") {
				p.Timeout = 200 * time.Millisecond
			}

			source := ziptree.File("a.py", []byte("x = 1\n"), "here")
			job := engine.CompileJob{
				Sources: []ziptree.Entry{source},
				Emit:    func(string, []byte) error { return nil },
				Failed:  func(string, string) {},
			}
			err := p.Compile(context.Background(), job)
			if want := "compile with " + p.Path + ": " + c.want; err == nil || err.Error() != want ||
				fault.CodeOf(err) != fault.ToolMissing ||
				fault.HintOf(err) == "" {
				t.Errorf("error %v\n want %s", err, want)
			}
		})
	}
}

func TestProgramThatDoesNotSayWhoItIs(t *testing.T) {
	t.Parallel()
	for sentence, c := range map[string]struct{ script, out, err string }{
		"says it":               {"echo uv 1.0", "uv 1.0\n", ""},
		"fails":                 {"exit 4", "", "exit status 4"},
		"fails with words":      {"echo one >&2; echo two >&2; exit 4", "", "exit status 4: two"},
		"prints without an end": {"exec yes", strings.Repeat("y\n", maxAnswerBytes), "anything"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			out, err := ask(context.Background(), script(t, filepath.Join(t.TempDir(), "x"), c.script))
			if c.err == "anything" {
				if err == nil || len(out) <= maxAnswerBytes || len(out) > 1<<16 ||
					!strings.HasPrefix(string(out), c.out[:maxAnswerBytes]) {
					t.Errorf("%d bytes, %v", len(out), err)
				}

				return
			}

			if got := errorText(err); string(out) != c.out || got != c.err {
				t.Errorf("%q, %v", out, err)
			}
		})
	}

	stop, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ask(stop, "sleep", "60"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

// What the system says about our own files is the user's to change, and is said without names that
// nobody knows.
func TestSystemErrorsAreFaults(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}

	folder := t.TempDir()
	if err := os.MkdirAll(filepath.Join(folder, "out.zip", "x"), 0o755); err != nil {
		t.Fatal(err)
	}

	full := func(w io.Writer) error {
		return &fs.PathError{Op: "write", Path: "/cache/.tmp-1", Err: syscall.ENOSPC}
	}
	sum := digest.Of([]byte("x"))
	tree, err := ziptree.New([]ziptree.Entry{ziptree.File("a", []byte("x"), "here")})
	if err != nil {
		t.Fatal(err)
	}

	short := tree.Entries()[0]
	short.Size++
	damagedTree, err := ziptree.New([]ziptree.Entry{short})
	if err != nil {
		t.Fatal(err)
	}

	for sentence, c := range map[string]struct {
		do   func() error
		want string
		code fault.Code
	}{
		"a store that is a file": {
			func() error { _, err := Wheels{Dir: file}.Open(ctx, sum); return err },
			"open " + file + "/" + sum.String()[:2] + "/" + sum.String() + ": not a directory",
			fault.BadInput,
		},
		"a cache that is a file": {
			func() error { _, err := (&Packs{Dir: file}).Load(ctx, "k"); return err },
			"open " + file + "/k.zip: not a directory",
			fault.BadInput,
		},
		"a cache that cannot be made": {
			func() error { _, err := (&Packs{Dir: file}).Store(ctx, "k", nil); return err },
			"write " + file + "/k.zip: not a directory",
			fault.BadInput,
		},
		"a folder that cannot be mounted": {
			func() error {
				_, _, err := Mounts{Dir: file}.Mount(ctx, []ziptree.Tree{tree}, engine.MountOptions{})
				return err
			},
			"make " + file + ": not a directory",
			fault.BadInput,
		},
		"an entry that is damaged": {func() error {
			_, _, err := Mounts{Dir: t.TempDir()}.Mount(ctx, []ziptree.Tree{damagedTree}, engine.MountOptions{})
			return err
		},
			"unpack here: read a: 1 bytes fewer than declared: unexpected EOF", fault.CorruptArchive},
		"an output that is a folder": {
			func() error { return Outputs{Dir: folder}.Write(ctx, "out.zip", func(io.Writer) error { return nil }) },
			"write " + folder + "/out.zip: file exists",
			fault.BadInput,
		},
		"an output on a full disk": {
			func() error { return Outputs{Dir: t.TempDir()}.Write(ctx, "x", full) },
			"",
			fault.BadInput,
		},
		"a file on a full disk": {
			func() error { return WriteFile(filepath.Join(folder, "lock"), full) },
			"write " + folder + "/lock: no space left on device",
			fault.BadInput,
		},
		"a pack on a full disk": {func() error {
			_, err := (&Packs{Dir: folder}).Store(ctx, "k", func(func(ziptree.Entry) error) error { return full(nil) })
			return err
		}, "write " + folder + "/k.zip: no space left on device", fault.BadInput},
	} {
		err := c.do()
		if fault.CodeOf(err) != c.code || fault.HintOf(err) == "" || c.want != "" && errorText(err) != c.want {
			t.Errorf("%s: %v (%v, hint %q)\n want %s", sentence, err, fault.CodeOf(err), fault.HintOf(err), c.want)
		}
	}

	left, err := filepath.Glob(filepath.Join(folder, ".tmp-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
