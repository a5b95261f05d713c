package porttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Functions is the suite of workflow.Functions.
func Functions(t *testing.T, open func(t *testing.T) Account) {
	ctx := context.Background()
	const name = "orders"
	// account is one with a function of one file that has a layer.
	account := func(t *testing.T) (a Account, layer workflow.LayerVersion) {
		t.Helper()
		a = open(t)
		layer = addLayer(t, a, "data", "python/a.py=1")
		a.addFunction(t, NewFunction{
			Name:   name,
			Target: suiteTarget(t),
			Zip:    zipped(t, "app.py=def handler(event, context): return 1\n"),
			Layers: []string{layer.ARN},
			Tags:   map[string]string{"team": "blue"},
		})
		return a, layer
	}
	get := func(t *testing.T, a Account, qualifier string) workflow.Function {
		t.Helper()
		return must(a.Functions.Get(ctx, name, qualifier))(t)
	}
	publish := func(t *testing.T, a Account) string {
		t.Helper()
		return must(a.Functions.PublishVersion(ctx, name, "by the suite", get(t, a, "").RevisionID))(t)
	}
	arns := func(f workflow.Function) (list []string) {
		for _, l := range f.Layers {
			list = append(list, l.ARN)
		}

		return list
	}
	has := func(t *testing.T, a Account, qualifier string, want ...string) {
		t.Helper()
		if got := arns(get(t, a, qualifier)); !slices.Equal(got, want) {
			t.Fatalf("%s:%s has layers %v, want %v", name, qualifier, got, want)
		}
	}

	t.Run("a version keeps the description that it was published with", func(t *testing.T) {
		a, _ := account(t)
		if got := get(t, a, publish(t, a)).Description; got != "by the suite" {
			t.Fatalf("description %q", got)
		}
	})
	t.Run("a function is read by name and by ARN", func(t *testing.T) {
		a, layer := account(t)
		f := get(t, a, "")
		code := zipped(t, "app.py=def handler(event, context): return 1\n")
		if f.Name != name || f.Version != "$LATEST" || f.Runtime != "python3.13" || f.Arch != "x86_64" ||
			!strings.HasSuffix(f.ARN, ":function:"+name) ||
			f.CodeBytes != measure.Bytes(len(code)) ||
			f.CodeSHA256 != codeSHA256(code) ||
			f.ConfigHash == "" ||
			f.RevisionID == "" {
			t.Fatalf("read %+v", f)
		}

		if len(f.Layers) != 1 || f.Layers[0].ARN != layer.ARN ||
			f.Layers[0].Bytes != measure.Bytes(len(zipped(t, "python/a.py=1"))) {
			t.Fatalf("layers %+v", f.Layers)
		}

		again := must(a.Functions.Get(ctx, f.ARN, "$LATEST"))(t)
		if again.Name != f.Name || again.ARN != f.ARN || again.RevisionID != f.RevisionID {
			t.Fatalf("by ARN %+v, by name %+v", again, f)
		}
	})

	t.Run("what is not there is NotFound", func(t *testing.T) {
		a, _ := account(t)
		_, err := a.Functions.Get(ctx, "nobody", "")
		fails(t, "function", err, fault.NotFound)
		_, err = a.Functions.Get(ctx, name, "7")
		fails(t, "version", err, fault.NotFound)
		_, err = a.Functions.Alias(ctx, name, "live")
		fails(t, "alias", err, fault.NotFound)
		_, err = a.Functions.SetLayers(ctx, "nobody", nil, "r")
		fails(t, "layers", err, fault.NotFound)
		_, err = a.Functions.PublishVersion(ctx, "nobody", "", "r")
		fails(t, "publish", err, fault.NotFound)
		_, err = a.Functions.MoveAlias(ctx, name, "live", "1", "r")
		fails(t, "move", err, fault.NotFound)
	})

	t.Run("reading changes nothing", func(t *testing.T) {
		a, _ := account(t)
		before := get(t, a, "")
		must(a.Functions.LayersInUse(ctx))(t)
		if after := get(t, a, ""); after.RevisionID != before.RevisionID || after.ConfigHash != before.ConfigHash {
			t.Fatalf("%+v, then %+v", before, after)
		}
	})

	t.Run("layers are replaced in the order given, and the revision is another one", func(t *testing.T) {
		a, layer := account(t)
		other := addLayer(t, a, "web", "python/b.py=1")
		before := get(t, a, "")
		after := must(a.Functions.SetLayers(ctx, name, []string{other.ARN, layer.ARN}, before.RevisionID))(t)
		if !slices.Equal(arns(after), []string{other.ARN, layer.ARN}) || after.RevisionID == before.RevisionID ||
			after.ConfigHash != before.ConfigHash ||
			after.CodeSHA256 != before.CodeSHA256 {
			t.Fatalf("before %+v, after %+v", before, after)
		}

		if now := get(t, a, ""); now.RevisionID != after.RevisionID {
			t.Fatalf("SetLayers gave revision %s, the function has %s", after.RevisionID, now.RevisionID)
		}

		has(t, a, "", other.ARN, layer.ARN)
	})

	t.Run("layers can be taken away", func(t *testing.T) {
		for what, none := range map[string][]string{"nil": nil, "empty": {}} {
			a, _ := account(t)
			if _, err := a.Functions.SetLayers(ctx, name, none, get(t, a, "").RevisionID); err != nil {
				t.Fatalf("%s: %v", what, err)
			}

			has(t, a, "")
		}
	})

	t.Run("a stale revision changes nothing", func(t *testing.T) {
		a, layer := account(t)
		other := addLayer(t, a, "web", "python/b.py=1")
		stale := get(t, a, "").RevisionID
		a.setMemory(t, name, 512)
		_, err := a.Functions.SetLayers(ctx, name, []string{other.ARN}, stale)
		fails(t, "layers", err, fault.Changed)
		has(t, a, "", layer.ARN)
	})

	t.Run("a stale revision publishes nothing", func(t *testing.T) {
		a, _ := account(t)
		stale := get(t, a, "").RevisionID
		a.setMemory(t, name, 512)
		_, err := a.Functions.PublishVersion(ctx, name, "", stale)
		fails(t, "publish", err, fault.Changed)
		_, err = a.Functions.Get(ctx, name, "1")
		fails(t, "version 1", err, fault.NotFound)
	})

	t.Run("five layers fit, six do not", func(t *testing.T) {
		a, _ := account(t)
		var six []string
		for i := range 6 {
			six = append(six, addLayer(t, a, fmt.Sprintf("l%d", i), "python/a.py=1").ARN)
		}

		f := must(a.Functions.SetLayers(ctx, name, six[:5], get(t, a, "").RevisionID))(t)
		_, err := a.Functions.SetLayers(ctx, name, six, f.RevisionID)
		fails(t, "six", err, fault.BadInput)
		has(t, a, "", six[:5]...)
	})

	t.Run("a layer version that never was cannot be attached", func(t *testing.T) {
		a, layer := account(t)
		_, err := a.Functions.SetLayers(ctx, name, []string{strings.TrimSuffix(layer.ARN, "1") + "7"},
			get(t, a, "").RevisionID)
		fails(t, "layers", err, fault.BadInput)
		has(t, a, "", layer.ARN)
	})

	t.Run("a deleted layer version stays where it is, and cannot be attached again", func(t *testing.T) {
		a, layer := account(t)
		if err := a.LayerVersions.Delete(ctx, layer.ARN); err != nil {
			t.Fatal(err)
		}

		has(t, a, "", layer.ARN)
		f := must(a.Functions.SetLayers(ctx, name, nil, get(t, a, "").RevisionID))(t)
		_, err := a.Functions.SetLayers(ctx, name, []string{layer.ARN}, f.RevisionID)
		fails(t, "layers", err, fault.BadInput)
		has(t, a, "")
	})

	t.Run("two versions of one layer cannot be attached together", func(t *testing.T) {
		a, layer := account(t)
		second := addLayer(t, a, "data", "python/a.py=2")
		_, err := a.Functions.SetLayers(ctx, name, []string{layer.ARN, second.ARN}, get(t, a, "").RevisionID)
		fails(t, "layers", err, fault.BadInput)
		has(t, a, "", layer.ARN)
	})

	t.Run("a version is a snapshot", func(t *testing.T) {
		a, layer := account(t)
		before := get(t, a, "")
		if got := publish(t, a); got != "1" {
			t.Fatalf("version %s, want 1", got)
		}

		v := get(t, a, "1")
		if v.Version != "1" || v.ARN != before.ARN || v.ConfigHash != before.ConfigHash ||
			v.CodeSHA256 != before.CodeSHA256 {
			t.Fatalf("published %+v of %+v", v, before)
		}

		must(a.Functions.SetLayers(ctx, name, nil, get(t, a, "").RevisionID))(t)
		a.setMemory(t, name, 512)
		a.setCode(t, name, zipped(t, "app.py=def handler(event, context): return 2\n"))
		if again := get(t, a, "1"); again.ConfigHash != v.ConfigHash || again.CodeSHA256 != v.CodeSHA256 {
			t.Fatalf("%+v, then %+v", v, again)
		}

		has(t, a, "1", layer.ARN)
		has(t, a, "")
		if got := publish(t, a); got != "2" {
			t.Fatalf("version %s, want 2", got)
		}
	})

	t.Run("the hash of the configuration follows the configuration, not layers and code", func(t *testing.T) {
		a, _ := account(t)
		first := get(t, a, "")
		must(a.Functions.SetLayers(ctx, name, nil, first.RevisionID))(t)
		a.setCode(t, name, zipped(t, "app.py=def handler(event, context): return 2\n"))
		if got := get(t, a, ""); got.ConfigHash != first.ConfigHash || got.CodeSHA256 == first.CodeSHA256 {
			t.Fatalf("%+v, then %+v", first, got)
		}

		a.setMemory(t, name, 512)
		if got := get(t, a, ""); got.ConfigHash == first.ConfigHash {
			t.Fatal("another memory has the same hash")
		}

		a.setMemory(t, name, 128)
		if got := get(t, a, ""); got.ConfigHash != first.ConfigHash {
			t.Fatal("the same memory has another hash")
		}
	})

	t.Run("what did not change since the last version is that version", func(t *testing.T) {
		a, _ := account(t)
		if one, again := publish(t, a), publish(t, a); one != "1" || again != "1" {
			t.Fatalf("versions %s and %s, want 1 twice", one, again)
		}

		must(a.Functions.SetLayers(ctx, name, nil, get(t, a, "").RevisionID))(t)
		if got := publish(t, a); got != "2" {
			t.Fatalf("version %s, want 2", got)
		}
	})

	t.Run("an alias is moved with all of its weight", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.setMemory(t, name, 256)
		publish(t, a)
		a.addAlias(t, name, workflow.Alias{Name: "live", Version: "1", Weights: map[string]float64{"2": 0.25}})
		before := must(a.Functions.Alias(ctx, name, "live"))(t)
		if before.Name != "live" || before.Version != "1" ||
			!maps.Equal(before.Weights, map[string]float64{"2": 0.25}) ||
			before.RevisionID == "" {
			t.Fatalf("alias %+v", before)
		}

		after := must(a.Functions.MoveAlias(ctx, name, "live", "2", before.RevisionID))(t)
		if after.Name != "live" || after.Version != "2" || after.Weights != nil ||
			after.RevisionID == before.RevisionID {
			t.Fatalf("moved %+v", after)
		}

		if now := must(a.Functions.Alias(ctx, name, "live"))(t); now.Version != "2" || now.Weights != nil ||
			now.RevisionID != after.RevisionID {
			t.Fatalf("alias %+v, moved %+v", now, after)
		}

		if v := get(t, a, "live"); v.Version != "2" {
			t.Fatalf("live is version %s", v.Version)
		}
	})

	t.Run("an alias of a stale revision stays", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.setMemory(t, name, 256)
		publish(t, a)
		a.addAlias(t, name, workflow.Alias{Name: "live", Version: "1"})
		stale := must(a.Functions.Alias(ctx, name, "live"))(t)
		must(a.Functions.MoveAlias(ctx, name, "live", "2", stale.RevisionID))(t)
		_, err := a.Functions.MoveAlias(ctx, name, "live", "1", stale.RevisionID)
		fails(t, "move", err, fault.Changed)
		if now := must(a.Functions.Alias(ctx, name, "live"))(t); now.Version != "2" {
			t.Fatalf("alias %+v", now)
		}
	})

	t.Run("an alias cannot point to a version that is not there", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.addAlias(t, name, workflow.Alias{Name: "live", Version: "1"})
		_, err := a.Functions.MoveAlias(ctx, name, "live", "7",
			must(a.Functions.Alias(ctx, name, "live"))(t).RevisionID)
		fails(t, "move", err, fault.NotFound)
	})

	t.Run("a version can be deleted, also again, and its number is not used again", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.setMemory(t, name, 256)
		publish(t, a)
		for range 2 {
			if err := a.Functions.DeleteVersion(ctx, name, "2"); err != nil {
				t.Fatal(err)
			}
		}

		_, err := a.Functions.Get(ctx, name, "2")
		fails(t, "version 2", err, fault.NotFound)
		get(t, a, "1")
		a.setMemory(t, name, 512)
		if got := publish(t, a); got != "3" {
			t.Fatalf("version %s, want 3", got)
		}

		if err := a.Functions.DeleteVersion(ctx, "nobody", "1"); err != nil {
			t.Fatalf("of a function that is gone: %v", err)
		}
	})

	t.Run("a version that an alias points to is not deleted", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.addAlias(t, name, workflow.Alias{Name: "live", Version: "1"})
		fails(t, "delete", a.Functions.DeleteVersion(ctx, name, "1"), fault.Changed)
		get(t, a, "1")
	})

	t.Run("deleting a version never deletes the function", func(t *testing.T) {
		a, _ := account(t)
		publish(t, a)
		a.addAlias(t, name, workflow.Alias{Name: "live", Version: "1"})
		for _, version := range []string{"", "$LATEST", "live", "0", "-1"} {
			fails(t, "delete "+version, a.Functions.DeleteVersion(ctx, name, version), fault.BadInput)
		}

		get(t, a, "")
		get(t, a, "live")
	})

	t.Run("functions are found by all of their tags", func(t *testing.T) {
		a, _ := account(t)
		code := zipped(t, "app.py=1")
		a.addFunction(t, NewFunction{
			Name:   "bills",
			Target: suiteTarget(t),
			Zip:    code,
			Tags:   map[string]string{"team": "blue", "tier": "1"},
		})
		a.addFunction(t, NewFunction{
			Name:   "carts",
			Target: suiteTarget(t),
			Zip:    code,
			Tags:   map[string]string{"team": "red", "tier": "1"},
		})
		for want, tags := range map[string]map[string]string{
			"bills orders": {"team": "blue"},
			"bills":        {"team": "blue", "tier": "1"},
			"":             {"team": "green"},
		} {
			var names []string
			for _, arn := range must(a.Functions.Tagged(ctx, tags))(t) {
				names = append(names, arn[strings.LastIndex(arn, ":")+1:])
			}

			if got := strings.Join(names, " "); got != want {
				t.Errorf("tags %v: %q, want %q", tags, got, want)
			}
		}

		_, err := a.Functions.Tagged(ctx, nil)
		fails(t, "no tags", err, fault.BadInput)
	})

	t.Run("a package is weighed unzipped, per version", func(t *testing.T) {
		a, _ := account(t)
		a.setCode(t, name, zipped(t, "app.py=12", "lib/data.bin="+strings.Repeat("0", 100_000)))
		publish(t, a)
		a.setCode(t, name, zipped(t, "app.py=1"))
		for qualifier, want := range map[string]measure.Bytes{"": 1, "1": 100_002} {
			if got := must(a.Functions.CodeUnzipped(ctx, name, qualifier))(t); got != want {
				t.Errorf("%q: %d bytes, want %d", qualifier, got, want)
			}
		}

		_, err := a.Functions.CodeUnzipped(ctx, "nobody", "")
		fails(t, "nobody", err, fault.NotFound)
	})

	t.Run("a container image has no runtime and cannot be weighed", func(t *testing.T) {
		a, _ := account(t)
		a.addFunction(t, NewFunction{Name: "image"})
		if f := must(a.Functions.Get(ctx, "image", ""))(t); f.Runtime != "" || f.Layers != nil {
			t.Fatalf("read %+v", f)
		}

		_, err := a.Functions.CodeUnzipped(ctx, "image", "")
		fails(t, "image", err, fault.BadInput)
	})

	t.Run("layers in use are those of all versions of all functions", func(t *testing.T) {
		a, first := account(t)
		publish(t, a)
		second := addLayer(t, a, "data", "python/a.py=2")
		third := addLayer(t, a, "data", "python/a.py=3")
		unused := addLayer(t, a, "data", "python/a.py=4")
		must(a.Functions.SetLayers(ctx, name, []string{second.ARN}, get(t, a, "").RevisionID))(t)
		a.addFunction(t,
			NewFunction{Name: "bills", Target: suiteTarget(t), Zip: zipped(t, "app.py=1"), Layers: []string{third.ARN}})
		used := must(a.Functions.LayersInUse(ctx))(t)
		for arn, want := range map[string]bool{first.ARN: true, second.ARN: true, third.ARN: true, unused.ARN: false} {
			if used[arn] != want {
				t.Errorf("%s in use: %v, want %v", arn, used[arn], want)
			}
		}
	})

	t.Run("a canceled call does nothing", func(t *testing.T) {
		a, layer := account(t)
		revision := get(t, a, "").RevisionID
		stop, cancel := context.WithCancel(ctx)
		cancel()
		_, err := a.Functions.SetLayers(stop, name, nil, revision)
		fails(t, "layers", err, fault.Canceled)
		has(t, a, "", layer.ARN)
	})
}
