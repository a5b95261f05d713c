package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func source(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.go")
	if err := os.WriteFile(file, []byte("package x\n"+text), 0o644); err != nil {
		t.Fatal(err)
	}

	return file
}

func TestFunctionsAreReadFromTheTable(t *testing.T) {
	t.Parallel()
	const table = `var functionTable = []row{{"prune", 512, 900, 2048, "prunes"}, {"report", 256, 60, 512, "reports"}}`
	got, err := functionsOf(source(t, table))
	if err != nil {
		t.Fatal(err)
	}

	want := []Function{{"prune", 512, 2048, 0.5, 1.5}, {"report", 256, 512, 0.25, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	for name, text := range map[string]string{
		"no table":          `var other = 1`,
		"another row":       `var functionTable = []row{{"prune", 512}}`,
		"memory by formula": `var functionTable = []row{{"prune", 2 * 256, 900, 2048, "prunes"}}`,
	} {
		if got, err := functionsOf(source(t, text)); err == nil {
			t.Errorf("%s: read as %v", name, got)
		}
	}
}

func TestAlarmsInALoopCountOnceForEachElement(t *testing.T) {
	t.Parallel()
	const alarms = `func f() {
		alarm := func(string) {}
		alarm("a")
		for _, m := range []string{"b", "c", "d"} { alarm(m) }
		alarm("e")
	}`
	n, err := alarmsOf(source(t, alarms))
	if err != nil || n != 5 {
		t.Errorf("%d alarms, %v; want 5", n, err)
	}

	if n, err := alarmsOf(source(t, `func f() {}`)); err == nil {
		t.Errorf("%d alarms in a file without any", n)
	}
}

func TestConstantsAreRead(t *testing.T) {
	t.Parallel()
	file := source(t, "const a = 7\nconst (\nb = 1 << 3\nc = 9\n)")
	for name, want := range map[string]int{"a": 7, "c": 9} {
		if got, err := constantOf(file, name); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", name, got, err, want)
		}
	}

	for _, name := range []string{"b", "d"} {
		if got, err := constantOf(file, name); err == nil {
			t.Errorf("%s is read as %d", name, got)
		}
	}
}

const benchmarks = `# Benchmarks

## Sizes

| layer | wheels as installed | no bytecode | unchecked-hash | lean |
|---|---|---|---|---|
| c aws-utilities | 17.0 / 23.4 | 5.0 / 9.5 (target 5.9 / 9.9) | 7.0 / 12.7 (target 7.3 / 13.0) | 6.98 / 12.2 |

## Import time

| layer | imports | without bytecode | with | ratio |
|---|---|---|---|---|
| c | boto3 | 0.32 s | 0.11 s | 3.1x |

## CPU, wall and memory

| layer | cold, no bytecode CPU / wall s | cold with bytecode CPU / wall s |
|---|---|---|
| c | 1.99 / 1.06 | 2.66 / 1.42 |
`

func TestLayersAreReadFromTheBenchmarks(t *testing.T) {
	t.Parallel()
	got, err := layersOf(benchmarks)
	if err != nil {
		t.Fatal(err)
	}

	want := []Layer{
		{
			Name:          "aws-utilities",
			ArtifactBytes: 19e6,
			PrunedBytes:   7e6,
			ImportBefore:  0.32,
			ImportAfter:   0.11,
			PruneCPU:      1.99,
			BuildCPU:      2.66,
			BuildWall:     1.42,
		},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	if _, err := layersOf("# Benchmarks\n"); err == nil {
		t.Error("benchmarks without tables are read")
	}
}

func TestProcessorsAreReadFromTheBenchmarks(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]int{"AMD, 2 processors, linux": 2, "ARM, 1 processor, linux": 1} {
		if n, err := processorsOf(doc); err != nil || n != want {
			t.Errorf("%q: %d, %v; want %d", doc, n, err, want)
		}
	}

	if n, err := processorsOf("a machine"); err == nil {
		t.Errorf("a machine has %d processors", n)
	}
}

func TestDurationsOfFunctionsAreReadWhenTheyAreThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		doc  string
		want map[string]float64
	}{
		"no section": {benchmarks, map[string]float64{}},
		"units in cells": {
			"\n## Functions\n\n| function | init | duration | peak MB |\n|---|---|---|---|\n| `prune` | 80 ms | 2.5 " +
				"s | 99 |\n" +
				"| measure | 80 ms | 300 ms | 99 |\n",
			map[string]float64{"prune": 2.5, "measure": 0.3},
		},
		"units in the head": {
			"\n## Functions\n\n| function | wall s | init ms |\n|---|---|---|\n| prune | 2.5 | 80 |\n",
			map[string]float64{"prune": 2.5},
		},
		"the longest layer": {
			"\n## Functions\n\n| function | warm ms |\n|---|---|\n| prune a | 10 |\n| prune b | 1500 |\n",
			map[string]float64{"prune": 1.5},
		},
		"nothing measured": {
			"\n## Functions\n\n| function | duration |\n|---|---|\n| prune | - |\n",
			map[string]float64{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := measuredFunctions(c.doc); !maps.Equal(got, c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}
