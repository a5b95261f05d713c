package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
)

// example is a build of three layers: one passes, one fails every check, one was not probed.
func example() Report {
	return Report{
		SchemaVersion: SchemaVersion, Tool: "layersmith 0.1.0", Target: "python3.13-x86_64",
		Layers: []Layer{
			{
				Name:   "base",
				Zip:    File{Name: "base-python3.13-x86_64.zip", Bytes: 22_200_000},
				Before: measure.Size{Files: 900, Unzipped: 97_100_000, Zipped: 28_100_000},
				After:  measure.Size{Files: 700, Unzipped: 70_800_000, Zipped: 22_100_000},
				Removed: measure.Sizes{
					"drop-tests": {Files: 150, Unzipped: 22_100_000, Zipped: 5_000_000},
					"strip":      {Files: 50, Unzipped: 4_200_000, Zipped: 900_000},
				},
				Bytecode: Bytecode{Mode: "unchecked-hash", Reason: "it fits the budgets",
					Size: measure.Size{Files: 300, Unzipped: 13_600_000, Zipped: 5_400_000}},
				Packages: measure.Sizes{
					"numpy":  {Files: 300, Unzipped: 30_800_000, Zipped: 9_000_000},
					"pandas": {Files: 400, Unzipped: 40_000_000, Zipped: 13_100_000},
				},
				Kinds:   measure.Sizes{"source": {Files: 650, Unzipped: 13_200_000, Zipped: 4_000_000}},
				Largest: []Sized{{"python/pandas/_libs/x.so", 1_900_000, 700_000}, {"python/é.so", 40_000, 10_000}},
				Budget:  measure.Budget{Unzipped: 80 << 20},
				Verdict: measure.Within,
				Probe: Probe{Status: ProbePassed, Modules: 12, Scripts: 2,
					Import: &ImportComparison{Modules: []string{"pandas"}, WithoutSeconds: 1.432, WithSeconds: 0.338}},
				Notes: []string{"python/x.so: kept as shipped"},
			},
			{
				Name:     "science",
				Zip:      File{Bytes: 36_800_000},
				Before:   measure.Size{Unzipped: 146_100_000, Zipped: 45_300_000},
				After:    measure.Size{Unzipped: 111_200_000},
				Removed:  measure.Sizes{"drop-tests": {Files: 10, Unzipped: 30_000_000}},
				Bytecode: Bytecode{Mode: "none", Partial: true, Reason: "it would not fit its budget"},
				Budget:   measure.Budget{Unzipped: 100_000_000},
				Verdict:  measure.OverBudget,
				Gate: []gate.Finding{
					{
						Subject: "python/a.so",
						Check:   "elf-needed",
						Message: "links to libGL.so.1",
						Hint:    "not printed here",
					},
				},
				Allowed: []Allowed{
					{
						gate.Finding{Subject: "python/b.so", Check: "elf-glibc", Message: "needs GLIBC_2.38"},
						"never loaded",
					},
				},
				Choices: []Choice{{"keep", "scipy/tests/**", "we run them"}},
				Probe: Probe{Status: ProbeFailed, Failures: []probe.Result{
					{
						Job:    probe.Job{Kind: "import", Name: "scipy.odr"},
						Detail: "Traceback\n  File a\n  File b\nImportError: x",
					},
					{Job: probe.Job{Kind: "import", Name: "scipy.old"}, Detail: "quiet", Inherited: true},
					{Job: probe.Job{Kind: "script", Name: "probe.py"}, Detail: "AssertionError", Inherited: true},
				}},
			},
			{
				Name:    "aws",
				Zip:     File{Bytes: 5_800_000},
				Before:  measure.Size{Unzipped: 23_400_000, Zipped: 17_200_000},
				After:   measure.Size{Unzipped: 9_800_000},
				Verdict: measure.Within,
				Probe:   Probe{Status: NotProbed, Reason: "no python3.13 here"},
			},
		},
		Stacks: []measure.Stack{
			measure.JudgeStack([]string{"base", "science"}, 265_000_000, 225<<20),
			measure.JudgeStack([]string{"aws"}, 9_800_000, 225<<20),
			measure.JudgeStack([]string{"base", "aws"}, 80_600_000, 225<<20),
		},
	}
}

func TestTextPrintsABuild(t *testing.T) {
	t.Parallel()
	const table = `
layer          zip MB     unzipped MB      import s
base     28.1 -> 22.2    97.1 -> 70.8  1.43 -> 0.34
science  45.3 -> 36.8  146.1 -> 111.2             -
aws       17.2 -> 5.8     23.4 -> 9.8             -
layer    budget                probe
base     within 83.9 MB        12 modules, 2 scripts
science  OVER budget 100.0 MB  FAILED
aws      within                NOT PROBED
removed drop-tests 52.1 MB, strip 4.2 MB
sizes   pruned -56.3 MB, bytecode +13.6 MB
`
	const stacks = "note    aws was NOT PROBED: no python3.13 here\n" +
		"stack   base + science: 265.0 MB, OVER limit 235.9 MB; " +
		"leaves -2.9 MB of\n        Lambda's 262.1 MB for the function's code\n" +
		"stack   base + aws: 80.6 MB, within 235.9 MB; " +
		"leaves 181.5 MB of Lambda's 262.1\n        MB for the function's code\n"
	const science = `note    bytecode of science: it would not fit its budget
note    science: keep scipy/tests/**: we run them
gate    science: python/a.so: links to libGL.so.1 [elf-needed]
allowed science: python/b.so: needs GLIBC_2.38 [elf-glibc]: never loaded
`
	for sentence, tt := range map[string]struct {
		options TextOptions
		want    string
	}{
		"without options": {TextOptions{}, table + science + `failed  science: import scipy.odr
          File a
          File b
        ImportError: x
note    science: import scipy.old is broken as published: quiet; to try: take another version
failed  science: script probe.py (fails unpruned too)
        AssertionError
` + stacks},
		"verbose": {TextOptions{Verbose: true}, table + `note    bytecode of base: it fits the budgets
note    base: python/x.so: kept as shipped
` + science + `failed  science: import scipy.odr
        Traceback
          File a
          File b
        ImportError: x
failed  science: import scipy.old (fails unpruned too)
        quiet
failed  science: script probe.py (fails unpruned too)
        AssertionError
` + stacks},
		"a plan has sizes only": {TextOptions{PlanOnly: true, Verbose: true}, `
layer          zip MB     unzipped MB
base     28.1 -> 22.2    97.1 -> 70.8
science  45.3 -> 36.8  146.1 -> 111.2
aws       17.2 -> 5.8     23.4 -> 9.8
`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			Text(&b, example(), tt.options)
			if d := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTextOfNothing(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Text(&b, Report{}, TextOptions{})
	if want := "layer  zip MB  unzipped MB  import s  budget  probe\nremoved nothing\n"; b.String() != want {
		t.Errorf("%q", b.String())
	}
}

func TestDetailsPrintsSizesByEverything(t *testing.T) {
	t.Parallel()
	r := example()
	r.Layers = r.Layers[:1]
	for i := range 20 { // ten are printed
		r.Layers[0].Largest = append(r.Layers[0].Largest, Sized{Name: strings.Repeat("x", i)})
	}

	r.Layers[0].Largest = r.Layers[0].Largest[:10]
	long := r.Layers[0]
	long.Largest = append(long.Largest[:10:10], Sized{Name: "the eleventh"})
	r.Layers[0] = long
	var b strings.Builder
	Details(&b, r)
	const want = `base: 70.8 MB unzipped (97.1 MB before)
  zip 22.2 MB (28.1 MB before), bytecode unchecked-hash
  package  files    MB  zipped MB
  pandas     400  40.0       13.1
  numpy      300  30.8        9.0
  kind    files    MB  zipped MB
  source    650  13.2        4.0
  removed by rule  files    MB  zipped MB
  drop-tests         150  22.1        5.0
  strip               50   4.2        0.9
  largest files              MB  zipped MB
  python/pandas/_libs/x.so  1.9        0.7
  python/é.so               0.0        0.0
                            0.0        0.0
  x                         0.0        0.0
  xx                        0.0        0.0
  xxx                       0.0        0.0
  xxxx                      0.0        0.0
  xxxxx                     0.0        0.0
  xxxxxx                    0.0        0.0
  xxxxxxx                   0.0        0.0

`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
}

func TestTableAlignsColumns(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		rows  [][]string
		right map[int]bool
		want  string
	}{
		"no rows": {},
		"left and right": {
			[][]string{{"name", "MB", "verdict"}, {"a", "1.0", "within"}, {"longer", "100.5", "x"}},
			map[int]bool{1: true},
			"name       MB  verdict\na         1.0  within\nlonger  100.5  x\n",
		},
		"letters are counted, not bytes": {[][]string{{"é", "x"}, {"ab", "y"}}, nil, "é   x\nab  y\n"},
		"nothing stands behind a line":   {[][]string{{"a", ""}, {"b", "long"}}, nil, "a\nb  long\n"},
		"rows of different length":       {[][]string{{"a"}, {"bb", "c", "d"}, {}}, nil, "a\nbb  c  d\n\n"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			Table(&b, tt.rows, tt.right)
			if d := cmp.Diff(tt.want, b.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

// report.json has everything that the text needs.
func TestTextIsPrintedFromTheDocumentAlone(t *testing.T) {
	t.Parallel()
	doc, err := json.Marshal(example())
	if err != nil {
		t.Fatal(err)
	}

	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	var back Report
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}

	var want, got strings.Builder
	for w, r := range map[*strings.Builder]Report{&want: example(), &got: back} {
		Text(w, r, TextOptions{Verbose: true})
		Details(w, r)
	}

	if d := cmp.Diff(want.String(), got.String()); d != "" {
		t.Error(d)
	}
}
