package porttest

import (
	"maps"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

const otherFile = "app.py=def handler(event, context): return 2\n"

// publish publishes $LATEST of orders and returns the number of the version.
func (f functionsTest) publish() string {
	f.Helper()
	return must(f.Functions.PublishVersion(f.Context(), orders, "by the suite", f.get("").RevisionID))(f)
}

// wantPublished publishes $LATEST of orders and compares the number of the version.
func (f functionsTest) wantPublished(want string) {
	f.Helper()
	if got := f.publish(); got != want {
		f.Fatalf("version %s, want %s", got, want)
	}
}

// publishTwo publishes versions 1 and 2.
func (f functionsTest) publishTwo() {
	f.Helper()
	f.publish()
	f.setMemory(256)
	f.publish()
}

// addLive adds the alias live of version 1.
func (f functionsTest) addLive(weights map[string]float64) {
	f.Helper()
	succeeds(f, f.Others.AddAlias(orders, workflow.Alias{Name: "live", Version: "1", Weights: weights}))
}

// live reads the alias live.
func (f functionsTest) live() workflow.Alias {
	f.Helper()
	return must(f.Functions.Alias(f.Context(), orders, "live"))(f)
}

func (f functionsTest) versionKeepsDescription() {
	if got := f.get(f.publish()).Description; got != "by the suite" {
		f.Fatalf("description %q", got)
	}
}

func (f functionsTest) versionIsSnapshot() {
	before := f.get("")
	f.wantPublished("1")
	v := f.get("1")
	if v.Version != "1" || v.ARN != before.ARN || v.ConfigHash != before.ConfigHash ||
		v.CodeSHA256 != before.CodeSHA256 {
		f.Fatalf("published %+v of %+v", v, before)
	}

	f.setLayersTo()
	f.setMemory(512)
	f.setCode(otherFile)
	if again := f.get("1"); again.ConfigHash != v.ConfigHash || again.CodeSHA256 != v.CodeSHA256 {
		f.Fatalf("%+v, then %+v", v, again)
	}

	f.wantLayers("1", f.layer.ARN)
	f.wantLayers("")
	f.wantPublished("2")
}

func (f functionsTest) configHash() {
	first := f.get("")
	f.setLayersTo()
	f.setCode(otherFile)
	if got := f.get(""); got.ConfigHash != first.ConfigHash || got.CodeSHA256 == first.CodeSHA256 {
		f.Fatalf("%+v, then %+v", first, got)
	}

	f.setMemory(512)
	if got := f.get(""); got.ConfigHash == first.ConfigHash {
		f.Fatal("another memory size has the same hash")
	}

	f.setMemory(128)
	if got := f.get(""); got.ConfigHash != first.ConfigHash {
		f.Fatal("the same memory size has another hash")
	}
}

func (f functionsTest) publishUnchanged() {
	f.wantPublished("1")
	f.wantPublished("1")
	f.setLayersTo()
	f.wantPublished("2")
}

func (f functionsTest) publishStale() {
	stale := f.get("").RevisionID
	f.setMemory(512)
	_, err := f.Functions.PublishVersion(f.Context(), orders, "", stale)
	wantFault(f, "publish", err, fault.Changed)
	_, err = f.Functions.Get(f.Context(), orders, "1")
	wantFault(f, "version 1", err, fault.NotFound)
}

func (f functionsTest) deleteVersion() {
	f.publishTwo()
	succeeds(f, f.Functions.DeleteVersion(f.Context(), orders, "2"))
	succeeds(f, f.Functions.DeleteVersion(f.Context(), orders, "2"))

	_, err := f.Functions.Get(f.Context(), orders, "2")
	wantFault(f, "version 2", err, fault.NotFound)
	f.get("1")
	f.setMemory(512)
	f.wantPublished("3")
	if err := f.Functions.DeleteVersion(f.Context(), "nobody", "1"); err != nil {
		f.Fatalf("of an absent function: %v", err)
	}
}

func (f functionsTest) deleteVersionOfAlias() {
	f.publish()
	f.addLive(nil)
	wantFault(f, "delete", f.Functions.DeleteVersion(f.Context(), orders, "1"), fault.Changed)
	f.get("1")
}

func (f functionsTest) deleteOnlyNumbers() {
	f.publish()
	f.addLive(nil)
	for _, version := range []string{"", "$LATEST", "live", "0", "-1"} {
		err := f.Functions.DeleteVersion(f.Context(), orders, version)
		wantFault(f, "delete "+version, err, fault.BadInput)
	}

	f.get("")
	f.get("live")
}

func (f functionsTest) moveAlias() {
	f.publishTwo()
	weights := map[string]float64{"2": 0.25}
	f.addLive(weights)
	before := f.live()
	if before.Name != "live" || before.Version != "1" || !maps.Equal(before.Weights, weights) ||
		before.RevisionID == "" {
		f.Fatalf("alias %+v", before)
	}

	after := must(f.Functions.MoveAlias(f.Context(), orders, "live", "2", before.RevisionID))(f)
	if after.Name != "live" || after.Version != "2" || after.Weights != nil ||
		after.RevisionID == before.RevisionID {
		f.Fatalf("moved %+v", after)
	}

	now := f.live()
	if now.Version != "2" || now.Weights != nil || now.RevisionID != after.RevisionID {
		f.Fatalf("alias %+v, moved %+v", now, after)
	}

	if v := f.get("live"); v.Version != "2" {
		f.Fatalf("live is version %s", v.Version)
	}
}

func (f functionsTest) moveAliasStale() {
	f.publishTwo()
	f.addLive(nil)
	stale := f.live()
	must(f.Functions.MoveAlias(f.Context(), orders, "live", "2", stale.RevisionID))(f)
	_, err := f.Functions.MoveAlias(f.Context(), orders, "live", "1", stale.RevisionID)
	wantFault(f, "move", err, fault.Changed)
	if now := f.live(); now.Version != "2" {
		f.Fatalf("alias %+v", now)
	}
}

func (f functionsTest) moveAliasToAbsent() {
	f.publish()
	f.addLive(nil)
	_, err := f.Functions.MoveAlias(f.Context(), orders, "live", "7", f.live().RevisionID)
	wantFault(f, "move", err, fault.NotFound)
}
