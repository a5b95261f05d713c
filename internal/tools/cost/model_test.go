package main

import (
	"math"
	"slices"
	"testing"

	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/statemachine"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// small is a model whose sums can be made in the head: every function has 1 GiB and no extra
// storage, and one layer is built.
func small(t *testing.T) Model {
	t.Helper()
	var m Model
	var err error
	if m.Machine, err = statemachine.Parse(statemachine.Definition()); err != nil {
		t.Fatal(err)
	}

	for _, f := range statemachine.Functions() {
		m.Functions = append(m.Functions, Function{Name: lower(f), MemoryMiB: 1024, GigaBytes: 1})
	}

	m.Layers = []Layer{
		{
			Name:          "a",
			ArtifactBytes: 3 * gibi,
			PrunedBytes:   gibi,
			ImportBefore:  1.5,
			ImportAfter:   0.5,
			PruneCPU:      10,
			BuildCPU:      32,
			BuildWall:     16,
		},
	}
	m.ArtifactDays = 30
	m.NoncurrentDays = 15
	m.LogRetentionDays = 60
	m.LookSeconds = 30
	m.ProbeMiB = 2048
	m.Alarms = 5
	m.WorkspaceFiles = 4
	m.Processors = 2
	m.Prices = prices(t)
	return m
}

func TestBillTakesPricesAndAllowances(t *testing.T) {
	t.Parallel()
	p := Prices{
		Prices: []Price{
			{ID: "a", USD: 0.025, Per: 1000, Free: 1000},
			{ID: "b", USD: 3, Per: 1, Free: 10},
			{ID: "c", USD: 1, Per: 1},
		},
	}
	bill := p.Bill(Usage{"b": 2, "a": 1500})
	if len(bill) != 2 || bill[0].ID != "a" || bill[1].ID != "b" {
		t.Fatalf("bill %v, want a and b", bill)
	}

	near(t, "a, all paid", bill[0].List, 0.0375)
	near(t, "a, after the allowance", bill[0].Billed, 0.0125)
	near(t, "b, after the allowance", bill[1].Billed, 0)
	list, billed := Total(bill)
	near(t, "list", list, 6.0375)
	near(t, "billed", billed, 0.0125)
	sum := Usage{"a": 1}.Plus(Usage{"a": 2, "c": 3}, 10)
	near(t, "a", sum["a"], 21)
	near(t, "c", sum["c"], 30)
}

func TestARunThatEndsAtIntakeUsesTwoFunctions(t *testing.T) {
	t.Parallel()
	m := small(t)
	s := Example()
	c := m.Of(s, 0)
	r, err := m.Run(s, c, UnchangedAtIntake(c))
	if err != nil {
		t.Fatal(err)
	}

	for id, want := range map[string]float64{
		"sfn.transition": 6, "lambda.request": 2,
		"lambda.x86":      3 + 3,             // seconds of intake and report at 1 GiB
		"s3.put":          5 + 5,             // intake, report
		"s3.get":          6 + 4 + 8 + 2,     // intake and 4 files, report and 2 consumers
		"lambda.storage":  0,                 // no extra /tmp
		"logs.ingested":   2 * 2048.0 / gibi, // 2 KiB a call
		"codebuild.small": 0, "sns.publish": 0, "sns.email": 0,
	} {
		near(t, id, r.Use[id], want)
	}
}

func TestARunThatReleasesUsesAllButRollback(t *testing.T) {
	t.Parallel()
	m := small(t)
	s := Example()
	c := m.Of(s, 0)
	if c.Looks != 10 {
		t.Fatalf("%d looks at an alarm in %d s, want 10", c.Looks, s.WindowSeconds)
	}

	r, err := m.Run(s, c, Released(c))
	if err != nil {
		t.Fatal(err)
	}

	calls := map[string]int{
		"intake":  1,
		"Build":   1,
		"select":  1,
		"prune":   1,
		"measure": 1,
		"record":  1,
		"publish": 1,
		"verify":  1,
		"update":  2,
		"health":  20,
		"promote": 1,
		"report":  1,
	}
	for f, n := range calls {
		if r.Invocations[f] != n {
			t.Errorf("%s is called %d times, want %d", f, r.Invocations[f], n)
		}
	}

	if r.Invocations["rollback"] != 0 {
		t.Error("rollback is called")
	}

	slower := 1769.0 / 1024
	near(t, "requests, that of the throw-away function included", r.Use["lambda.request"], 11+2+20-1)
	near(t, "GB-seconds", r.Use["lambda.x86"], 3+2+2*10*slower+(2+2*2)+20+120+60*2+2*30+20*1+10+3)
	near(t, "build minutes", r.Use["codebuild.small"], 2) // 60 s and twice 16 s
	near(t, "messages", r.Use["sns.email"], 1)
	near(t, "metrics", r.Use["cloudwatch.metric"]*hoursOfMonth, 16)
	near(t, "API requests of CloudWatch", r.Use["cloudwatch.request"], 1+2+20)
}

func TestMeasuredDurationsTakeThePlaceOfAssumedOnes(t *testing.T) {
	t.Parallel()
	m := small(t)
	assumed, _ := m.Duration("prune", fullProcessorMiB, 0)
	near(t, "assumed", assumed, 10)
	m.Measured = map[string]float64{"prune": 4, "report": 0.01}
	half, _ := m.Duration("prune", fullProcessorMiB/2, 0)
	const moved = 4 * gibi / 40e6 // the artifact in, the pruned zip out
	near(t, "measured on two processors, on half of one", half,
		4*2*float64(fullProcessorMiB)/float64(fullProcessorMiB/2)+moved)
	most, _ := m.Duration("prune", 2*fullProcessorMiB, 0) // it may not use more than one: no less than that is billed
	near(t, "measured on two processors, on as many", most, 4*2+moved)
	waiting, _ := m.Duration("report", 256, 0) // what waits for AWS cannot be measured without it
	near(t, "report", waiting, 3)
}

func TestMetricsAreCountedAsTheReportStoresThem(t *testing.T) {
	t.Parallel()
	// by layer and target and by layer; sizes and import time, outcome, two durations, age of the
	// lock
	const perLayer, ofStack = 4 * 2, 4 + 4
	for layers, want := range map[int]int{0: 4, 1: perLayer + ofStack, 3: 3*perLayer + ofStack} {
		got, err := ReportMetrics(layers, release.Promoted)
		if err != nil {
			t.Fatal(err)
		}

		if len(got) != want {
			t.Errorf("%d layers: %d metrics, want %d: %v", layers, len(got), want, got)
		}
	}
}

func TestAMonthIsItsRunsAndWhatStands(t *testing.T) {
	t.Parallel()
	m := small(t)
	s := Example()
	s.Uploads = 0
	s.UnchangedAtIntake = 0
	s.UnchangedAfterSelect = 0
	month, err := m.Month(s)
	if err != nil {
		t.Fatal(err)
	}

	c := m.Of(s, 0)
	r, err := m.Run(s, c, Released(c))
	if err != nil {
		t.Fatal(err)
	}

	if month.Executions != 1 || month.Builds != 1 || month.Releases != 1 || month.Metrics != 16 {
		t.Errorf("%d executions, %d builds, %d releases, %d metrics; want 1, 1, 1, 16",
			month.Executions, month.Builds, month.Releases, month.Metrics)
	}

	for _, id := range []string{"sfn.transition", "lambda.x86", "s3.get", "codebuild.small"} {
		near(t, id, month.Use[id], r.Use[id])
	}

	near(t, "artifacts for 45 days, pruned zips for 12 months, documents", month.Use["s3.storage"],
		3*1.5+12+r.Use["s3.put"]*12*32768/gibi)
	near(t, "logs for 60 days", month.Use["logs.stored"], 2*r.Use["logs.ingested"])
	near(t, "alarms", month.Use["cloudwatch.alarm"], 5)
	near(t, "metrics for the whole month", month.WholeMetrics["cloudwatch.metric"], 16)

	if month, err = m.Month(Example()); err != nil {
		t.Fatal(err)
	}

	// 1 refresh, 8 uploads of 2 files: 16 executions, of which 4 release, 2 build for nothing, and
	// 2 and 8 end at Intake.
	if month.Executions != 17 || month.Builds != 7 || month.Releases != 5 || month.Metrics != 17 {
		t.Errorf("%d executions, %d builds, %d releases, %d metrics; want 17, 7, 5, 17",
			month.Executions, month.Builds, month.Releases, month.Metrics)
	}
}

func TestLambdaComputeIsBilledBySecondOnAPartOfAProcessor(t *testing.T) {
	t.Parallel()
	m := small(t)
	near(t, "on demand", m.OnDemandSeconds(), 60+2*16)
	near(t, "minutes", m.OnDemandMinutes(), 2)
	near(t, "Lambda compute", m.LambdaSeconds(), math.Ceil(20+2*32*1769.0/1024))
}

func TestSavingIsSecondsTimesMemoryTimesPrice(t *testing.T) {
	t.Parallel()
	m := small(t)
	m.Prices = Prices{Prices: []Price{{ID: "lambda.x86", USD: 0.00002, Per: 1}}}
	near(t, "saving", m.Saving(m.Layers[0], 2048, "lambda.x86"), 1*2*0.00002)
	for want, c := range map[string][2]float64{"4": {1, 0.3}, "0": {0, 0.3}, "never": {1, 0}, "50,000": {2, 0.00004}} {
		if got := BreakEven(c[0], c[1]); got != want {
			t.Errorf("break even of %v at %v: %s, want %s", c[0], c[1], got, want)
		}
	}
}

func TestEveryFunctionHasADurationAndRequests(t *testing.T) {
	t.Parallel()
	m := read(t)
	var deployed []string
	for _, f := range m.Functions {
		deployed = append(deployed, f.Name)
		if s, basis := m.Duration(f.Name, f.MemoryMiB, 1); s <= 0 || basis == "" {
			t.Errorf("%s takes %v s, from %q", f.Name, s, basis)
		}

		if q := s3Requests[f.Name]; q.gets <= 0 {
			t.Errorf("%s asks S3 for nothing", f.Name)
		}
	}

	var called []string
	for _, f := range statemachine.Functions() {
		called = append(called, lower(f))
	}

	slices.Sort(deployed)
	if !slices.Equal(deployed, called) {
		t.Errorf("infra deploys %v, the state machine calls %v", deployed, called)
	}
}
