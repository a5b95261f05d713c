package porttest

import (
	"fmt"
	"slices"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// arns returns the ARNs of a function's layers.
func arns(f workflow.Function) []string {
	var all []string
	for _, l := range f.Layers {
		all = append(all, l.ARN)
	}

	return all
}

// wantLayers compares the layers of a version of orders.
func (f functionsTest) wantLayers(qualifier string, want ...string) {
	f.Helper()
	if got := arns(f.get(qualifier)); !slices.Equal(got, want) {
		f.Fatalf("%s:%s has layers %v, want %v", orders, qualifier, got, want)
	}
}

// setLayersTo replaces the layers of orders.
func (f functionsTest) setLayersTo(arns ...string) workflow.Function {
	f.Helper()
	return must(f.Functions.SetLayers(f.Context(), orders, arns, f.get("").RevisionID))(f)
}

// cannotAttach expects that layers are refused.
func (f functionsTest) cannotAttach(arns ...string) {
	f.Helper()
	_, err := f.Functions.SetLayers(f.Context(), orders, arns, f.get("").RevisionID)
	wantFault(f, "set layers", err, fault.BadInput)
}

func (f functionsTest) setLayers() {
	other := f.addLayer("web", "python/b.py=1")
	before := f.get("")
	after := f.setLayersTo(other.ARN, f.layer.ARN)
	if !slices.Equal(arns(after), []string{other.ARN, f.layer.ARN}) || after.RevisionID == before.RevisionID {
		f.Fatalf("before %+v, after %+v", before, after)
	}

	if after.ConfigHash != before.ConfigHash || after.CodeSHA256 != before.CodeSHA256 {
		f.Fatalf("more than the layers changed: before %+v, after %+v", before, after)
	}

	if now := f.get(""); now.RevisionID != after.RevisionID {
		f.Fatalf("SetLayers returned revision %s, the function has %s", after.RevisionID, now.RevisionID)
	}

	f.wantLayers("", other.ARN, f.layer.ARN)
}

func (f functionsTest) removeLayersWithNil() {
	must(f.Functions.SetLayers(f.Context(), orders, nil, f.get("").RevisionID))(f)
	f.wantLayers("")
}

func (f functionsTest) removeLayersWithEmptyList() {
	must(f.Functions.SetLayers(f.Context(), orders, []string{}, f.get("").RevisionID))(f)
	f.wantLayers("")
}

func (f functionsTest) setLayersStale() {
	other := f.addLayer("web", "python/b.py=1")
	stale := f.get("").RevisionID
	f.setMemory(512)
	_, err := f.Functions.SetLayers(f.Context(), orders, []string{other.ARN}, stale)
	wantFault(f, "set layers", err, fault.Changed)
	f.wantLayers("", f.layer.ARN)
}

func (f functionsTest) sixLayers() {
	var six []string
	for i := range 6 {
		six = append(six, f.addLayer(fmt.Sprintf("l%d", i), "python/a.py=1").ARN)
	}

	five := six[:5]
	after := f.setLayersTo(five...)
	_, err := f.Functions.SetLayers(f.Context(), orders, six, after.RevisionID)
	wantFault(f, "six layers", err, fault.BadInput)
	f.wantLayers("", five...)
}

func (f functionsTest) attachAbsent() {
	f.cannotAttach(absent(f.layer))
	f.wantLayers("", f.layer.ARN)
}

func (f functionsTest) attachDeleted() {
	succeeds(f, f.LayerVersions.Delete(f.Context(), f.layer.ARN))
	f.wantLayers("", f.layer.ARN)

	after := f.setLayersTo()
	_, err := f.Functions.SetLayers(f.Context(), orders, []string{f.layer.ARN}, after.RevisionID)
	wantFault(f, "set layers", err, fault.BadInput)
	f.wantLayers("")
}

func (f functionsTest) attachTwoVersions() {
	second := f.addLayer("data", "python/a.py=2")
	f.cannotAttach(f.layer.ARN, second.ARN)
	f.wantLayers("", f.layer.ARN)
}

func (f functionsTest) setLayersCanceled() {
	revision := f.get("").RevisionID
	_, err := f.Functions.SetLayers(canceledContext(f), orders, nil, revision)
	wantFault(f, "set layers", err, fault.Canceled)
	f.wantLayers("", f.layer.ARN)
}
