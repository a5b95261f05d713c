package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/probe"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func wantFault(t *testing.T, err error, code fault.Code, text string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Code != code || !strings.Contains(err.Error(), text) {
		t.Fatalf("error %v (%v), want %v with %q", err, fault.CodeOf(err), code, text)
	}
}

func TestLock(t *testing.T) {
	target := testTarget(t)
	content := map[string][]byte{"1.0": wheelOf(t, "alpha", "1.0"), "2.0": wheelOf(t, "alpha", "2.0")}
	version := func(v string) engine.Resolution {
		return engine.Resolution{
			Distributions: []lock.Distribution{locked(t, "alpha", v, content[v])},
			Closures:      map[string][]pydist.Name{"one": {name(t, "alpha")}},
		}
	}
	// bench is a workspace in memory, whose lock is written to files.
	type bench struct {
		files map[string][]byte
		asked []engine.ResolveRequest
		next  string // the version that the resolver finds
		fail  error
	}
	run := func(t *testing.T, b *bench, requirements string, in engine.LockInput) (engine.Locked, error) {
		t.Helper()
		w, read := load(t, "one/requirements.txt="+requirements)
		in.Workspace = w
		in.Target = target
		return engine.Lock{Progress: silent{},
			Resolver: resolver{resolve: func(r engine.ResolveRequest) (engine.Resolution, error) {
				b.asked = append(b.asked, r)
				return version(b.next), b.fail
			}},
			Read: func(n string) ([]byte, error) {
				if f, ok := b.files[n]; ok {
					return f, nil
				}

				return read(n)
			},
			Write: func(n string, c []byte) error { b.files[n] = c; return nil },
		}.Run(context.Background(), in)
	}
	first := func(t *testing.T) *bench {
		t.Helper()
		b := &bench{files: map[string][]byte{}, next: "1.0"}
		got, err := run(t, b, "alpha\n", engine.LockInput{})
		if err != nil || got.Fresh || fmt.Sprint(got.Changes) != "[+ alpha 1.0]" ||
			got.FileName != "pylock.python3_13-x86_64.toml" ||
			b.asked[0].Locked != nil {
			t.Fatalf("first lock: %+v, %v", got, err)
		}

		b.asked = nil
		b.next = "2.0"
		return b
	}

	t.Run("a fresh lock is not resolved again", func(t *testing.T) {
		b := first(t)
		before := string(b.files["pylock.python3_13-x86_64.toml"])
		got, err := run(t, b, "alpha\n", engine.LockInput{})
		if err != nil || !got.Fresh || len(b.asked) != 0 || len(got.Changes) != 0 ||
			string(got.Lock.Marshal()) != before {
			t.Fatalf("%+v, %v, asked %d times", got, err, len(b.asked))
		}
	})
	t.Run("changed requirements are resolved, staying with what is locked", func(t *testing.T) {
		b := first(t)
		got, err := run(t, b, "alpha>=2\n",
			engine.LockInput{AllowSource: true, Offline: true, ExcludeNewer: "2026-01-01"})
		if err != nil || got.Fresh || fmt.Sprint(got.Changes) != "[~ alpha 1.0 -> 2.0]" {
			t.Fatalf("%+v, %v", got, err)
		}

		r := b.asked[0]
		if r.Locked == nil || len(r.Upgrade) != 0 || !r.AllowSource || !r.Offline || r.ExcludeNewer != "2026-01-01" {
			t.Errorf("asked %+v", r)
		}

		if again, err := run(t, b, "alpha>=2\n", engine.LockInput{}); err != nil || !again.Fresh {
			t.Errorf("locked again: %+v, %v", again, err)
		}
	})
	t.Run("upgrades are passed on, though the lock is fresh", func(t *testing.T) {
		b := first(t)
		if _, err := run(t, b, "alpha\n", engine.LockInput{Upgrade: []string{"alpha"}}); err != nil {
			t.Fatal(err)
		}

		if _, err := run(t, b, "alpha\n", engine.LockInput{UpgradeAll: true}); err != nil {
			t.Fatal(err)
		}

		if len(b.asked) != 2 || fmt.Sprint(b.asked[0].Upgrade) != "[alpha]" || b.asked[0].Locked == nil ||
			b.asked[1].Locked != nil {
			t.Errorf("asked %+v", b.asked)
		}
	})
	for name, bad := range map[string]string{
		"garbage": "not a lock", "a merge conflict": "<<<<<<< HEAD\n", "another target's": strings.ReplaceAll(string(first(t).files["pylock.python3_13-x86_64.toml"]),
			"python3.13-x86_64", "python3.13-arm64"),
	} {
		t.Run(name+" is not overwritten", func(t *testing.T) {
			b := &bench{files: map[string][]byte{"pylock.python3_13-x86_64.toml": []byte(bad)}, next: "1.0"}
			for _, in := range []engine.LockInput{{}, {UpgradeAll: true}, {Upgrade: []string{"alpha"}}} {
				_, err := run(t, b, "alpha\n", in)
				wantFault(t, err, fault.BadInput, "pylock.python3_13-x86_64.toml")
				if string(b.files["pylock.python3_13-x86_64.toml"]) != bad || len(b.asked) != 0 {
					t.Fatal("it was")
				}
			}
		})
	}

	t.Run("a failing resolution leaves the lock", func(t *testing.T) {
		b := first(t)
		before := string(b.files["pylock.python3_13-x86_64.toml"])
		b.fail = fault.New(fault.LockConflict, "", "", nil)
		if _, err := run(t, b, "alpha>=3\n", engine.LockInput{}); fault.CodeOf(err) != fault.LockConflict ||
			string(b.files["pylock.python3_13-x86_64.toml"]) != before {
			t.Errorf("%v", err)
		}
	})
	t.Run("promised hashes", func(t *testing.T) {
		right := "sha256:" + digest.Of(content["1.0"]).String()
		wrong := "sha256:" + digest.Of([]byte("x")).String()
		for name, c := range map[string]struct{ requirements, where string }{
			"the file's":     {"alpha==1.0 --hash=" + right + "\n", ""},
			"one of several": {"alpha==1.0 --hash=" + wrong + " --hash=" + right + "\n", ""},
			"another file's": {"# one\nalpha==1.0 --hash=" + wrong + "\n", "one/requirements.txt:2"},
			"of the line whose marker is meant": {
				"alpha==0.9 ; python_version < '3.10' --hash=" + wrong + "\nalpha==1.0 ; python_version >= '3.10' " +
					"--hash=" + right + "\n",
				"",
			},
		} {
			b := &bench{files: map[string][]byte{}, next: "1.0"}
			_, err := run(t, b, c.requirements, engine.LockInput{})
			if c.where == "" {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}

				continue
			}

			wantFault(t, err, fault.HashMismatch, c.where)
			if len(b.files) != 0 {
				t.Errorf("%s: a lock was written", name)
			}
		}
	})
	t.Run("Stale says why", func(t *testing.T) {
		b := first(t)
		for requirements, want := range map[string]string{
			"alpha\n":   "",
			"alpha>1\n": "requirements have changed since it was locked",
		} {
			w, read := load(t, "one/requirements.txt="+requirements)
			with := func(n string) ([]byte, error) {
				if f, ok := b.files[n]; ok {
					return f, nil
				}

				return read(n)
			}
			if got, err := engine.Stale(with, w, target); err != nil || got != want {
				t.Errorf("%q, %v; want %q", got, err, want)
			}

			if got, err := engine.Stale(read, w, target); err != nil || got != "there is no lock for python3.13-x86_64" {
				t.Errorf("%q, %v", got, err)
			}
		}
	})
}

// factory builds a workspace whose layers carry synthetic wheels.
type factory struct {
	ws      workspace.Workspace
	read    func(string) ([]byte, error)
	lock    lock.Lock
	wheels  *memport.Wheels
	cache   *memport.Cache
	outputs *memport.Outputs
	python  *machine
}

// newFactory has layers of one distribution each: layer -> files of a wheel that is called as the
// layer.
func newFactory(t *testing.T, wheels map[string][]string, files ...string) *factory {
	t.Helper()
	f := &factory{
		wheels:  &memport.Wheels{},
		cache:   &memport.Cache{},
		outputs: &memport.Outputs{},
		python:  &machine{target: testTarget(t), growth: 1},
	}
	var dists []lock.Distribution
	closures := map[string][]pydist.Name{}
	for _, n := range slices.Sorted(maps.Keys(wheels)) {
		files = append(files, n+"/requirements.txt="+n+"\n")
		content := wheelOf(t, n, "1.0", wheels[n]...)
		f.wheels.Add(wheelName(n, "1.0"), content)
		dists = append(dists, locked(t, n, "1.0", content))
		closures[n] = []pydist.Name{name(t, n)}
	}

	f.ws, f.read = load(t, files...)
	f.lock = must[lock.Lock](t)(lock.New(testTarget(t), digest.Of(nil), dists, closures))
	return f
}

func (f *factory) build() engine.Build {
	return engine.Build{
		Tool:     "layersmith test",
		Wheels:   f.wheels,
		Cache:    f.cache,
		Python:   f.python,
		Mounts:   f.python,
		Outputs:  f.outputs,
		Progress: silent{},
	}
}

func (f *factory) input(layers ...string) engine.BuildInput {
	return engine.BuildInput{Workspace: f.ws, Lock: f.lock, Layers: layers, ReadFile: f.read}
}

func (f *factory) run(t *testing.T, layers ...string) (report.Report, bool) {
	t.Helper()
	rep, changed, err := f.build().Run(context.Background(), f.input(layers...))
	if err != nil {
		t.Fatal(err)
	}

	return rep, changed
}

func TestFetch(t *testing.T) {
	ctx := context.Background()
	content := map[string][]byte{}
	setup := func(t *testing.T) (*factory, *memport.Wheels, map[digest.SHA256]string) {
		files := map[string][]string{}
		for _, n := range []string{"alpha", "beta", "gamma"} {
			files[n] = []string{n + ".py=x = 1\n"}
			content[n] = wheelOf(t, n, "1.0", files[n]...)
		}

		where := map[digest.SHA256]string{}
		for n, c := range content {
			where[digest.Of(c)] = n
		}

		return newFactory(t, files), &memport.Wheels{}, where
	}
	fetch := func(
		f *factory,
		store *memport.Wheels,
		where map[digest.SHA256]string,
		download engine.Download,
	) engine.Fetch {
		return engine.Fetch{
			Wheels:   store,
			Cache:    f.cache,
			Progress: silent{},
			Download: download,
			Resolver: resolver{
				locate: func(engine.LocateRequest) (map[digest.SHA256]string, error) { return where, nil },
			},
		}
	}
	serve := func(_ context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(content[url][offset:])), offset, nil
	}
	all := []string{"alpha", "beta", "gamma"}

	t.Run("what is missing is brought, what is there is not", func(t *testing.T) {
		f, store, where := setup(t)
		store.Add(wheelName("beta", "1.0"), content["beta"])
		s := fetch(f, store, where, serve)
		for want := 2; want >= 0; want -= 2 {
			got, err := s.Run(ctx, f.lock, f.ws, all, false)
			if err != nil || got.Wheels != 3 || got.Downloaded != want ||
				got.Bytes != int64(len(content["alpha"])+len(content["beta"])+len(content["gamma"])) {
				t.Fatalf("%+v, %v; want %d downloaded", got, err, want)
			}
		}

		s.Resolver = nil // all is there: nobody is asked
		if _, err := s.Run(ctx, f.lock, f.ws, all, true); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("only what the layers carry", func(t *testing.T) {
		f, store, where := setup(t)
		got, err := fetch(f, store, where, serve).Run(ctx, f.lock, f.ws, []string{"beta"}, false)
		if err != nil || got.Wheels != 1 || got.Downloaded != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("offline, what is missing is named", func(t *testing.T) {
		f, store, _ := setup(t)
		s := fetch(f, store, nil, nil)
		s.Resolver = nil
		_, err := s.Run(ctx, f.lock, f.ws, all, true)
		wantFault(t, err, fault.Unreachable, "alpha==1.0")
		if fault.HintOf(err) != "run once without --offline" {
			t.Error(fault.HintOf(err))
		}
	})
	t.Run("an index without the hash is refused before anything is downloaded", func(t *testing.T) {
		f, store, where := setup(t)
		delete(where, digest.Of(content["gamma"]))
		var asked atomic.Int32
		_, err := fetch(
			f,
			store,
			where,
			func(ctx context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
				asked.Add(1)
				return serve(ctx, url, offset)
			},
		).Run(ctx, f.lock, f.ws, all, false)
		wantFault(t, err, fault.HashMismatch, "gamma==1.0")
		if !strings.Contains(fault.HintOf(err), "--upgrade-package gamma") {
			t.Error(fault.HintOf(err))
		}

		time.Sleep(20 * time.Millisecond) // whoever was left running
		if n := asked.Load(); n != 0 {
			t.Errorf("%d downloads", n)
		}
	})
	t.Run("an index with other bytes is refused, and nothing of them is kept", func(t *testing.T) {
		f, store, where := setup(t)
		_, err := fetch(f, store, where, func(_ context.Context, url string, _ int64) (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(bytes.ToUpper(content[url]))), 0, nil
		}).Run(ctx, f.lock, f.ws, []string{"alpha"}, false)
		wantFault(t, err, fault.HashMismatch, "alpha-1.0")
		if _, err := store.Open(ctx, digest.Of(content["alpha"])); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v", err)
		}
	})
}

func TestAssemble(t *testing.T) {
	ctx := context.Background()
	assemble := func(t *testing.T, wheels ...[]string) (engine.Artifact, error) {
		store := &memport.Wheels{}
		var dists []lock.Distribution
		for i, files := range wheels {
			n := string(rune('a' + i))
			content := wheelOf(t, n, "1.0", files...)
			store.Add(wheelName(n, "1.0"), content)
			dists = append(dists, locked(t, n, "1.0", content))
		}

		a, err := engine.Assemble{
			Wheels: store,
			Cache:  &memport.Cache{},
		}.Run(ctx, testTarget(t), place.Layer, dists)
		t.Cleanup(a.Close)
		return a, err
	}
	t.Run("wheels lie below python/", func(t *testing.T) {
		a, err := assemble(t, []string{"a/__init__.py=x"}, []string{"b.py=y"})
		if err != nil {
			t.Fatal(err)
		}

		if _, ok := a.Tree.Lookup("python/a/__init__.py"); !ok || len(a.Distributions) != 2 || len(a.Indexes) != 2 {
			t.Errorf("%d files, %d distributions", a.Tree.Len(), len(a.Distributions))
		}
	})
	t.Run("the same file in two wheels is one", func(t *testing.T) {
		a, err := assemble(t, []string{"ns/__init__.py=same", "ns/a.py=1"},
			[]string{"ns/__init__.py=same", "ns/b.py=1"})
		if err != nil {
			t.Fatal(err)
		}

		if a.Tree.Len() != 3+2*3 {
			t.Errorf("%d files", a.Tree.Len())
		}
	})
	t.Run("different files of one name in two wheels are refused, and both are named", func(t *testing.T) {
		_, err := assemble(t, []string{"ns/__init__.py=one"}, []string{"ns/__init__.py=other"})
		wantFault(t, err, fault.BadInput, "a-1.0-py3-none-any.whl and b-1.0-py3-none-any.whl")
	})
	t.Run("a file that is no wheel is refused", func(t *testing.T) {
		store := &memport.Wheels{}
		store.Add("a", []byte("not a zip"))
		_, err := engine.Assemble{
			Wheels: store,
			Cache:  &memport.Cache{},
		}.Run(ctx, testTarget(t), place.Layer, []lock.Distribution{locked(t, "a", "1.0", []byte("not a zip"))})
		wantFault(t, err, fault.CorruptArchive, "a==1.0")
	})
	t.Run("a wheel that was not fetched is named", func(t *testing.T) {
		_, err := engine.Assemble{
			Wheels: &memport.Wheels{},
			Cache:  &memport.Cache{},
		}.Run(ctx, testTarget(t), place.Layer, []lock.Distribution{locked(t, "a", "1.0", nil)})
		wantFault(t, err, fault.BadInput, "a-1.0-py3-none-any.whl: not in the wheel store")
	})
}

func TestBuildIsUnchangedOnlyWhenAllIs(t *testing.T) {
	source := []string{"alpha/__init__.py=" + strings.Repeat("x = 1\n", 100)}
	const zip = "alpha-" + targetName + ".zip"
	for name, c := range map[string]struct {
		change func(t *testing.T, f *factory)
		want   bool
	}{
		"nothing": {func(*testing.T, *factory) {}, false},
		"the zip is gone": {func(t *testing.T, f *factory) {
			o := f.outputs
			f.outputs = &memport.Outputs{}
			b, _ := o.Read(context.Background(), engine.ReportName)
			f.outputs.Set(engine.ReportName, b)
		}, true},
		"the zip is longer": {
			func(t *testing.T, f *factory) { f.outputs.Set(zip, append(read(t, f, zip), 0)) },
			true,
		},
		"the zip has other bytes": {
			func(t *testing.T, f *factory) { b := read(t, f, zip); b[len(b)/2] ^= 1; f.outputs.Set(zip, b) },
			true,
		},
		"the report is damaged": {
			func(t *testing.T, f *factory) { f.outputs.Set(engine.ReportName, []byte("{")) },
			true,
		},
		"the report is of another version": {func(t *testing.T, f *factory) {
			f.outputs.Set(engine.ReportName,
				bytes.Replace(read(t, f, engine.ReportName), []byte(`"schemaVersion": `), []byte(`"schemaVersion": 9`),
					1))
		}, true},
		"the layer's spec": {
			func(t *testing.T, f *factory) { f.ws.Layers[0].Digest = digest.Of([]byte("other")) },
			true,
		},
		"the budget": {func(t *testing.T, f *factory) { f.ws.Total-- }, true},
		"a wheel": {func(t *testing.T, f *factory) {
			other := newFactory(t, map[string][]string{"alpha": {"alpha/__init__.py=y = 2\n"}})
			f.lock = other.lock
			f.wheels = other.wheels
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFactory(t, map[string][]string{"alpha": source})
			first, changed := f.run(t)
			if !changed {
				t.Fatal("the first build changed nothing")
			}

			was := read(t, f, zip)
			c.change(t, f)
			again, changed := f.run(t)
			if changed != c.want {
				t.Errorf("changed %v, want %v", changed, c.want)
			}

			if sum := digest.Of(read(t, f, zip)); again.Layers[0].Zip.SHA256 != sum {
				t.Errorf("the report says %s, the zip is %s", again.Layers[0].Zip.SHA256.Short(), sum.Short())
			}

			if name != "a wheel" && !bytes.Equal(was, read(t, f, zip)) {
				t.Errorf("the same inputs gave other bytes (%s, %s)", first.Layers[0].Zip.SHA256.Short(),
					again.Layers[0].Zip.SHA256.Short())
			}
		})
	}
}

func read(t *testing.T, f *factory, name string) []byte {
	return must[[]byte](t)(f.outputs.Read(context.Background(), name))
}

func TestBuildProbesWhenItWasNotProbed(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}})
	in := f.input()
	in.NoProbe = "not now"
	if rep, _, err := f.build().
		Run(context.Background(), in); err != nil ||
		rep.Layers[0].Probe.Status != report.NotProbed {
		t.Fatalf("%v, %v", rep.Layers, err)
	}

	if rep, changed := f.run(t); !changed || rep.Layers[0].Probe.Status != report.ProbePassed {
		t.Errorf("changed %v, %v", changed, rep.Layers[0].Probe.Status)
	}

	probed := len(f.python.probed)
	if _, changed := f.run(t); changed || len(f.python.probed) != probed {
		t.Error("probed again though nothing changed")
	}
}

func TestBuildOfOneLayerKeepsTheOthersInTheReport(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}, "beta": {"beta.py=x = 1\n"}})
	f.run(t)
	f.ws.Layers[0].Digest = digest.Of([]byte("other"))
	rep, changed := f.run(t, "alpha")
	if !changed || len(rep.Layers) != 2 || rep.Layers[0].Name != "alpha" || rep.Layers[1].Name != "beta" ||
		len(rep.Stacks) != 3 {
		t.Errorf("changed %v, %d layers, %d stacks", changed, len(rep.Layers), len(rep.Stacks))
	}

	_, _, err := f.build().Run(context.Background(), f.input("no-such"))
	wantFault(t, err, fault.BadInput, "no-such")
}

// The bytecode that auto keeps must fit together with what it adds to RECORD: a build that decides
// by itself may not end over the budget.
func TestAutoBytecodeStaysWithinTheBudget(t *testing.T) {
	var files []string
	for i := range 40 {
		files = append(files,
			fmt.Sprintf("alpha/a_module_with_a_long_name_%02d.py=%s", i, strings.Repeat("x = 1\n", 5)))
	}

	files = append(files, "alpha/__init__.py=")
	full, _ := newFactory(t, map[string][]string{"alpha": files}).run(t)
	after := full.Layers[0].After.Unzipped
	code := full.Layers[0].Bytecode.Size.Unzipped
	if code == 0 {
		t.Fatal("no bytecode at all")
	}

	for _, budget := range []measure.Bytes{after, after - 1, after - 500, after - 1500, after - 3000, after - code} {
		f := newFactory(t, map[string][]string{"alpha": files},
			fmt.Sprintf("alpha/layer.yaml=budget:\n  unzipped: %d B\n", int64(budget)))
		rep, _, err := f.build().Run(context.Background(), f.input())
		if err != nil {
			t.Errorf("budget %d of %d: %v", budget, after, err)
			continue
		}

		if l := rep.Layers[0]; l.After.Unzipped > budget ||
			budget == after && l.Bytecode.Mode != string(workspace.UncheckedHash) {
			t.Errorf("budget %d: %d bytes, bytecode %s", budget, l.After.Unzipped, l.Bytecode.Mode)
		}
	}
}

func TestSourcelessLayersAreCountedWithoutTheirSources(t *testing.T) {
	source := strings.Repeat("x = 1\n", 500)
	build := func(total measure.Bytes) report.Report {
		f := newFactory(t,
			map[string][]string{"alpha": {"alpha/__init__.py=" + source}, "beta": {"beta/__init__.py=" + source}},
			"alpha/layer.yaml=bytecode: sourceless\n")
		f.ws.Total = total
		rep, _ := f.run(t)
		return rep
	}
	all := build(measure.MaxUnzippedBytes)
	var sum measure.Bytes
	for _, l := range all.Layers {
		sum += l.After.Unzipped
	}

	for total, want := range map[measure.Bytes]string{sum + 100: "unchecked-hash", sum - 1: "none"} {
		if got := build(total).Layers[1].Bytecode.Mode; got != want {
			t.Errorf("total %d of %d: bytecode %s, want %s", total, sum, got, want)
		}
	}
}

func TestBytecodeIsCompiledOnce(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha/__init__.py=x = 1\n", "alpha/bad.py=syntax error\n"}})
	rep, _ := f.run(t)
	if got := fmt.Sprint(rep.Layers[0].Notes); !strings.Contains(got, "alpha/bad.py: kept without bytecode") {
		t.Errorf("notes %s", got)
	}

	n := len(f.python.compiled)
	in := f.input()
	in.Rebuild = true
	if _, _, err := f.build().Run(context.Background(), in); err != nil || n != 2 || len(f.python.compiled) != n {
		t.Errorf("compiled %v, %v", f.python.compiled, err)
	}
}

func TestWithoutInterpreter(t *testing.T) {
	for mode, want := range map[string]fault.Code{
		"auto":           "",
		"none":           "",
		"unchecked-hash": fault.ToolMissing,
		"lean":           fault.ToolMissing,
		"sourceless":     fault.ToolMissing,
	} {
		f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}}, "alpha/layer.yaml=bytecode: "+mode+"\n")
		b := f.build()
		b.Python = nil
		b.NoPython = "there is none"
		rep, _, err := b.Run(context.Background(), f.input())
		if want != "" {
			wantFault(t, err, want, "there is none")
			continue
		}

		if err != nil || rep.Layers[0].Probe.Status != report.NotProbed ||
			rep.Layers[0].Probe.Reason != "there is none" ||
			rep.Layers[0].Bytecode.Mode != "none" {
			t.Errorf("%s: %+v, %v", mode, rep.Layers, err)
		}
	}
}

func TestReportIsCompleteThoughTheProbeSaysNo(t *testing.T) {
	f := newFactory(t, map[string][]string{"alpha": {"alpha.py=x = 1\n"}})
	f.python.fails = func(j probe.Job, _ func(string) bool) string {
		if j.Kind == probe.Metadata {
			return "PackageNotFoundError: alpha"
		}

		return ""
	}
	in := f.input()
	_, changed, err := f.build().Run(context.Background(), in)
	if !changed && err == nil {
		t.Fatal("it passes")
	}

	var stored report.Report
	if err := json.Unmarshal(read(t, f, engine.ReportName), &stored); err != nil || len(stored.Layers) != 1 ||
		len(stored.Layers[0].Probe.Failures) != 1 {
		t.Errorf("stored %+v, %v", stored.Layers, err)
	}
}

func TestProbeBlame(t *testing.T) {
	ctx := context.Background()
	pruned := porttest.Tree(t, "python/m.py=x")
	unpruned := porttest.Tree(t, "python/m.py=x", "python/data.txt=y")
	dists := []wheel.Distribution{{Name: name(t, "m"), Files: []string{"m.py"}}}
	always := func(kind probe.Kind) func(probe.Job, func(string) bool) string {
		return func(j probe.Job, _ func(string) bool) string {
			if j.Kind == kind {
				return "ImportError: cannot"
			}

			return ""
		}
	}
	needsData := func(j probe.Job, has func(string) bool) string {
		if j.Kind == probe.Module && !has("python/data.txt") {
			return "FileNotFoundError: data.txt"
		}

		return ""
	}
	for name, c := range map[string]struct {
		fails     func(probe.Job, func(string) bool) string
		unpruned  []ziptree.Tree
		status    report.ProbeStatus
		inherited bool
		failures  int
		imported  string
	}{
		"nothing fails": {
			nil,
			[]ziptree.Tree{unpruned},
			report.ProbePassed,
			false,
			0,
			"[[m json]]",
		},
		"what fails pruned only is ours": {
			needsData,
			[]ziptree.Tree{unpruned},
			report.ProbeFailed,
			false,
			1,
			"[]",
		},
		"what fails unpruned too is inherited": {
			always(probe.Module),
			[]ziptree.Tree{unpruned},
			report.ProbePassed,
			true,
			1,
			"[[json]]",
		},
		"a script that fails unpruned too is a failure": {
			always(probe.Script),
			[]ziptree.Tree{unpruned},
			report.ProbeFailed,
			true,
			1,
			"[]",
		},
		"without an unpruned layer, all failures are ours": {
			always(probe.Module),
			nil,
			report.ProbeFailed,
			false,
			1,
			"[]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{target: testTarget(t), fails: c.fails}
			got, err := engine.Prober{
				Python:   m,
				Mounts:   m,
				Progress: silent{},
			}.Run(
				ctx,
				engine.Question{Name: "m", Stack: []string{"m"}, Trees: []ziptree.Tree{pruned}, Unpruned: c.unpruned,
					Place: place.Layer, Distributions: dists, Own: "pass", Imports: []string{"m", "json"}},
			)
			if err != nil || got.Status != c.status || len(got.Failures) != c.failures || got.Modules != 1 ||
				got.Metadata != 1 ||
				got.Scripts != 1 {
				t.Fatalf("%+v, %v", got, err)
			}

			for _, f := range got.Failures {
				if f.Inherited != c.inherited {
					t.Errorf("%s %s: inherited %v", f.Kind, f.Name, f.Inherited)
				}
			}

			if fmt.Sprint(m.imported) != c.imported {
				t.Errorf("import time of %v, want %s", m.imported, c.imported)
			}

			if len(m.mounts) != 0 {
				t.Errorf("%d mounts are left", len(m.mounts))
			}
		})
	}
}

func TestProbeSkipsWhatTheLayerChoseToLeaveOut(t *testing.T) {
	m := &machine{target: testTarget(t), fails: func(j probe.Job, _ func(string) bool) string {
		if j.Kind == probe.Module {
			return "ModuleNotFoundError: No module named 'gone'"
		}

		return ""
	}}
	got, err := engine.Prober{
		Python:   m,
		Mounts:   m,
		Progress: silent{},
	}.Run(
		context.Background(),
		engine.Question{Name: "m", Trees: []ziptree.Tree{porttest.Tree(t, "python/m.py=x")}, Place: place.Layer,
			Chosen: func(module string) bool { return module == "gone" }},
	)
	if err != nil || got.Status != report.ProbePassed || len(got.Skipped) != 1 || len(got.Failures) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
}
