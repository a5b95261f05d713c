package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
)

const lockFile = "pylock.python3_13-x86_64.toml"

// bench locks a workspace in memory that has one layer, which requires alpha.
type bench struct {
	t     *testing.T
	files map[string][]byte // what was written
	asked []engine.ResolveRequest
	next  string // the version that the resolver finds
	fail  error  // of the resolver
}

func newBench(t *testing.T) *bench {
	return &bench{t: t, files: map[string][]byte{}, next: "1.0"}
}

// lockedBench has locked alpha 1.0; the resolver now finds 2.0.
func lockedBench(t *testing.T) *bench {
	t.Helper()
	b := newBench(t)
	got, err := b.run("alpha\n", engine.LockInput{})
	if err != nil || got.Fresh || fmt.Sprint(got.Changes) != "[+ alpha 1.0]" || got.FileName != lockFile ||
		b.asked[0].Locked != nil {
		t.Fatalf("first lock: %+v, %v", got, err)
	}

	b.asked = nil
	b.next = "2.0"
	return b
}

// run locks a layer with these requirements.
func (b *bench) run(requirements string, in engine.LockInput) (engine.Locked, error) {
	b.t.Helper()
	w, read := load(b.t, "one/requirements.txt="+requirements)
	in.Workspace = w
	in.Target = testTarget(b.t)
	return engine.Lock{
		Progress: silent{},
		Resolver: resolver{resolve: b.resolve},
		Read:     b.over(read),
		Write:    func(n string, c []byte) error { b.files[n] = c; return nil },
	}.Run(context.Background(), in)
}

func (b *bench) resolve(r engine.ResolveRequest) (engine.Resolution, error) {
	b.asked = append(b.asked, r)
	return engine.Resolution{
		Distributions: []lock.Distribution{locked(b.t, "alpha", b.next, alphaWheel(b.t, b.next))},
		Closures:      map[string][]pydist.Name{"one": {name(b.t, "alpha")}},
	}, b.fail
}

func alphaWheel(t *testing.T, version string) []byte { return wheelOf(t, "alpha", version) }

// over reads what was written, else a file of the workspace.
func (b *bench) over(read func(string) ([]byte, error)) func(string) ([]byte, error) {
	return func(n string) ([]byte, error) {
		if f, ok := b.files[n]; ok {
			return f, nil
		}

		return read(n)
	}
}

func TestAFreshLockIsNotResolvedAgain(t *testing.T) {
	b := lockedBench(t)
	before := string(b.files[lockFile])
	got, err := b.run("alpha\n", engine.LockInput{})
	if err != nil || !got.Fresh || len(b.asked) != 0 || len(got.Changes) != 0 || string(got.Lock.Marshal()) != before {
		t.Fatalf("%+v, %v, asked %d times", got, err, len(b.asked))
	}
}

func TestChangedRequirementsAreResolvedWithTheLockedVersions(t *testing.T) {
	b := lockedBench(t)
	got, err := b.run("alpha>=2\n", engine.LockInput{AllowSource: true, Offline: true, ExcludeNewer: "2026-01-01"})
	if err != nil || got.Fresh || fmt.Sprint(got.Changes) != "[~ alpha 1.0 -> 2.0]" {
		t.Fatalf("%+v, %v", got, err)
	}

	r := b.asked[0]
	if r.Locked == nil || len(r.Upgrade) != 0 || !r.AllowSource || !r.Offline || r.ExcludeNewer != "2026-01-01" {
		t.Errorf("asked %+v", r)
	}

	if again, err := b.run("alpha>=2\n", engine.LockInput{}); err != nil || !again.Fresh {
		t.Errorf("locked again: %+v, %v", again, err)
	}
}

func TestUpgradesResolveAFreshLock(t *testing.T) {
	b := lockedBench(t)
	if _, err := b.run("alpha\n", engine.LockInput{Upgrade: []string{"alpha"}}); err != nil {
		t.Fatal(err)
	}

	if _, err := b.run("alpha\n", engine.LockInput{UpgradeAll: true}); err != nil {
		t.Fatal(err)
	}

	if len(b.asked) != 2 || fmt.Sprint(b.asked[0].Upgrade) != "[alpha]" || b.asked[0].Locked == nil ||
		b.asked[1].Locked != nil {
		t.Errorf("asked %+v", b.asked)
	}
}

func TestAnUpgradeOfAnUnknownNameIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		bench *bench
		asked string
	}{
		"with a lock":       {lockedBench(t), "alhpa"},
		"without a lock":    {newBench(t), "alhpa"},
		"not a name at all": {lockedBench(t), "-"},
	} {
		_, err := c.bench.run("alpha\n", engine.LockInput{Upgrade: []string{c.asked}})
		wantFault(t, err, fault.BadInput, "upgrade "+c.asked+": nothing requires it")
		if got := fault.HintOf(err); got != "name one of: alpha" {
			t.Errorf("%s: hint %q", name, got)
		}
	}
}

func TestALockThatCannotBeReadIsNotOverwritten(t *testing.T) {
	for name, bad := range map[string]string{
		"garbage":          "not a lock",
		"a merge conflict": "<<<<<<< HEAD\n",
		"another target's": strings.ReplaceAll(string(lockedBench(t).files[lockFile]), targetName, "python3.13-arm64"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.files[lockFile] = []byte(bad)
			for _, in := range []engine.LockInput{{}, {UpgradeAll: true}, {Upgrade: []string{"alpha"}}} {
				_, err := b.run("alpha\n", in)
				wantFault(t, err, fault.BadInput, lockFile)
				if string(b.files[lockFile]) != bad || len(b.asked) != 0 {
					t.Fatalf("%+v: the lock is %q, asked %d times", in, b.files[lockFile], len(b.asked))
				}
			}
		})
	}
}

func TestAFailingResolutionLeavesTheLock(t *testing.T) {
	b := lockedBench(t)
	before := string(b.files[lockFile])
	b.fail = fault.New(fault.LockConflict, "", "", nil)
	_, err := b.run("alpha>=3\n", engine.LockInput{})
	if fault.CodeOf(err) != fault.LockConflict || string(b.files[lockFile]) != before {
		t.Errorf("%v", err)
	}
}

func TestLockComparesTheHashesOfRequirements(t *testing.T) {
	right := " --hash=sha256:" + digest.Of(alphaWheel(t, "1.0")).String()
	wrong := " --hash=sha256:" + digest.Of([]byte("x")).String()
	for name, c := range map[string]struct{ requirements, refused string }{
		"the file's":     {"alpha==1.0" + right + "\n", ""},
		"one of several": {"alpha==1.0" + wrong + right + "\n", ""},
		"another file's": {"# one\nalpha==1.0" + wrong + "\n", "one/requirements.txt:2"},
		"of the line whose marker is meant": {
			"alpha==0.9 ; python_version < '3.10'" + wrong + "\nalpha==1.0 ; python_version >= '3.10'" + right + "\n",
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			_, err := b.run(c.requirements, engine.LockInput{})
			if c.refused == "" {
				if err != nil {
					t.Error(err)
				}

				return
			}

			wantFault(t, err, fault.HashMismatch, c.refused)
			if len(b.files) != 0 {
				t.Error("a lock was written")
			}
		})
	}
}

func TestStaleSaysWhy(t *testing.T) {
	b := lockedBench(t)
	for requirements, want := range map[string]string{
		"alpha\n":   "",
		"alpha>1\n": "requirements have changed since it was locked",
	} {
		w, read := load(t, "one/requirements.txt="+requirements)
		if got, err := engine.Stale(b.over(read), w, testTarget(t)); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}

		got, err := engine.Stale(read, w, testTarget(t))
		if err != nil || got != "there is no lock for python3.13-x86_64" {
			t.Errorf("%q, %v", got, err)
		}
	}
}
