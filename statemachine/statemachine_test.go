package statemachine_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/statemachine"
)

func TestPlaceholdersAreTheFunctions(t *testing.T) {
	t.Parallel()
	want := []string{
		"Health",
		"Intake",
		"Measure",
		"Promote",
		"Prune",
		"Publish",
		"Record",
		"Report",
		"Rollback",
		"Select",
		"Update",
		"Verify",
	}
	if diff := cmp.Diff(want, statemachine.Functions()); diff != "" {
		t.Errorf("functions (- want, + got):\n%s", diff)
	}

	m, err := statemachine.Parse(statemachine.Definition())
	if err != nil {
		t.Fatal(err)
	}

	called := map[string]bool{}
	for _, s := range m.All() {
		if f := s.Function(); f != "" {
			called[f] = true
		}
	}

	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(called))); diff != "" {
		t.Errorf("functions that states call (- want, + got):\n%s", diff)
	}
}

func TestAllFindsStatesInsideOfMaps(t *testing.T) {
	t.Parallel()
	m, err := statemachine.Parse(statemachine.Definition())
	if err != nil {
		t.Fatal(err)
	}

	got := map[string]string{}
	for _, s := range m.All() {
		if s.Within != "" {
			got[s.Name] = s.Within
		}
	}

	want := map[string]string{
		"Prune":   "Prune each",
		"Measure": "Measure each",
		"Publish": "Publish each",
		"Verify":  "Verify each",
		"Update":  "Update each",
		"Settle":  "Update each",
		"Health":  "Update each",
		"Quiet?":  "Update each",
		"Moved":   "Update each",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states inside of Maps (- want, + got):\n%s", diff)
	}
}
