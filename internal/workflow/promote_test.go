package workflow_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/release"
)

func TestBackToAnEarlierVersionAndForwardAgain(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(2)}) || got.Alias != "3" {
		t.Fatalf("after the refresh: %+v", got)
	}

	if text := f.notices.Sent()[1].Text; !strings.Contains(text, "small 1.0 -> 2.0") {
		t.Errorf("the notice does not say what changed:\n%s", text)
	}

	end := f.must("third", `{"rollback": {"layer": "base"}}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(1)}) || got.Alias != "4" {
		t.Errorf("after going back: %+v; %s", got, end.Message)
	}

	for input, want := range map[string]string{
		`{"rollback": {"layer": "base", "to": 7}}`: "version 7 was not released",
		`{"rollback": {"layer": "base", "to": 1}}`: "version 1 is the current one",
		`{"rollback": {"layer": "other"}}`:         "no layer of that name is released",
		`{"layers": ["other"]}`:                    "no such layer",
		`{"layer": "base"}`:                        `unknown field "layer"`,
		`[]`:                                       "is not a JSON object",
	} {
		end := f.must("wrong-"+digest.Of([]byte(input)).Short(), input, release.FailedClean)
		if !strings.Contains(end.Message, want) {
			t.Errorf("%s: %q, want %q", input, end.Message, want)
		}
	}

	f.must("fourth", `{}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(2)}) {
		t.Errorf("after the next run: %+v", got)
	}

	f.must("fifth", `{"force": true}`, release.Promoted)
	if got := f.state(); !slices.Equal(got.Layers, []string{arnOf(3)}) {
		t.Errorf("a forced run: %+v", got)
	}
}

// Two versions are kept, and older ones that a function uses.
func TestOldVersionsGoUnlessSomebodyUsesThem(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: base }\n")
	releaseUpTo := func(last int) {
		t.Helper()
		for n := len(f.published("base")) + 1; n <= last; n++ {
			f.version = fmt.Sprintf("%d.0", n)
			f.must("release-"+f.version, `{"refresh": true}`, release.Promoted)
		}
	}
	releaseUpTo(2)
	f.account.AddFunction(t, memport.NewFunction{
		Name:   "elsewhere",
		Target: target,
		Zip:    zipOf(t, map[string]string{"main.py": ""}),
		Layers: []string{arnOf(1)},
	})
	releaseUpTo(3)
	f.version = "4.0"
	f.mustSay("release-4.0", `{"refresh": true}`, release.Promoted,
		"Released: 1 layer (layersmith-base:4), 1 function moved.")

	if got, want := f.published("base"), []string{"base:4", "base:3", "base:1"}; !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}

	if l := f.released().Layers[0]; l.Current.Version != 4 || l.Versions() != "3, 1" {
		t.Errorf("released is %d, back to %s", l.Current.Version, l.Versions())
	}

	f.mustSay("back-2", `{"rollback": {"layer": "base", "to": 2}}`, release.FailedClean,
		"FailedClean: roll back base: version 2 was not released, or is not kept any more; "+
			"Nothing was published and no function was touched.")
	f.mustSay("back-1", `{"rollback": {"layer": "base", "to": 1}}`, release.Promoted,
		"Released: 1 layer (back to layersmith-base:1), 1 function moved.")

	if got := layersOf(f.function("")); !slices.Equal(got, []string{arnOf(1)}) {
		t.Errorf("the function has %v", got)
	}

	if l := f.released().Layers[0]; l.Current.Version != 1 || l.Versions() != "4" || len(f.published("base")) != 2 {
		t.Errorf("released is %d, back to %s, there are %v", l.Current.Version, l.Versions(), f.published("base"))
	}

	f.mustSay("back-1-again", `{"rollback": {"layer": "base", "to": 1}}`, release.FailedClean,
		"FailedClean: roll back base: version 1 is the current one; "+
			"Nothing was published and no function was touched.")
}

// Old versions that cannot be deleted do not undo a release.
func TestAReleaseStandsWhenOldVersionsCannotGo(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers: []\n")
	f.must("first", `{}`, release.Promoted)
	f.version = "2.0"
	f.must("second", `{"refresh": true}`, release.Promoted)
	f.account.Fail = func(method, _ string) error {
		if method == "Functions.LayersInUse" {
			return fault.New(fault.Throttled, "list", "functions", errors.New("slow down"))
		}

		return nil
	}
	f.version = "3.0"
	f.mustSay("third", `{"refresh": true}`, release.Promoted,
		"Released: 1 layer (layersmith-base:3), 0 functions moved.")

	if l := f.released().Layers[0]; l.Versions() != "2, 1" || len(f.published("base")) != 3 {
		t.Errorf("it is unknown what is used: back to %s, published %v", l.Versions(), f.published("base"))
	}

	f.account.Fail = func(method, subject string) error {
		if method == "LayerVersions.Delete" && strings.HasPrefix(subject, layerARN) {
			return fault.New(fault.NotAllowed, "delete", subject, errors.New("no"))
		}

		return nil
	}
	f.version = "4.0"
	f.mustSay("fourth", `{"refresh": true}`, release.Promoted,
		"Released: 1 layer (layersmith-base:4), 0 functions moved."+
			" version "+arnOf(2)+" could not be deleted: delete "+arnOf(2)+": no"+
			" version "+arnOf(1)+" could not be deleted: delete "+arnOf(1)+": no")

	if l := f.released().Layers[0]; l.Current.Version != 4 || l.Versions() != "3" {
		t.Errorf("released is %d, back to %s", l.Current.Version, l.Versions())
	}
}

func TestGoingBackWithOneLayerLeavesTheOthers(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.push("consumers.yaml", "consumers:\n  - { function: "+functionName+", layers: [base, web] }\n")
	f.makes(made{layer: "base"}, made{layer: "web"})
	f.must("first", `{}`, release.Promoted)
	f.makes(made{layer: "base", version: "2.0"}, made{layer: "web", version: "2.0"})
	f.must("second", `{"refresh": true}`, release.Promoted)
	// Somebody has restored base by hand. The rollback of web does not change that.
	revision := f.function("").RevisionID
	_, err := f.account.Functions().SetLayers(t.Context(), functionName, arnsOf("base:1", "web:2"), revision)
	if err != nil {
		t.Fatal(err)
	}

	f.mustSay("third", `{"rollback": {"layer": "web", "to": 1}}`, release.Promoted,
		"Released: 1 layer (back to layersmith-web:1), 1 function moved.")

	if got, want := layersOf(f.function("")), arnsOf("base:1", "web:1"); !slices.Equal(got, want) {
		t.Errorf("the function has %v, want %v", got, want)
	}

	var now []string
	for _, l := range f.released().Layers {
		now = append(now, fmt.Sprintf("%s %d back to %s", l.Layer, l.Current.Version, l.Versions()))
	}

	if want := []string{"base 2 back to 1", "web 1 back to 2"}; !slices.Equal(now, want) {
		t.Errorf("released %q, want %q", now, want)
	}
}
