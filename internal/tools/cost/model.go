package main

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/layersmith/layersmith/internal/release"
)

// Settings are the month that is modeled.
type Settings struct {
	Name                 string
	Consumers            int // functions that have all of the layers, each with a health alarm
	WindowSeconds        int // for which each alarm must be quiet
	Refreshes            int // by the schedule; each releases
	Uploads              int // pushes
	UnchangedAtIntake    int // uploads of the released files
	UnchangedAfterSelect int // uploads of other files that build the released layers
	FilesPerUpload       int // each starts an execution; all but the last end at once
	Months               int // since the deployment, for what is stored and never deleted
	Subscribers          int // to the notifications, by email
	Dashboards           float64
	Keys                 float64 // of KMS, with that setting
}

// Example is the month of the repository's layers.
func Example() Settings {
	return Settings{
		WindowSeconds:        300,
		Refreshes:            1,
		Uploads:              8,
		UnchangedAtIntake:    2,
		UnchangedAfterSelect: 2,
		FilesPerUpload:       2,
		Months:               12,
		Subscribers:          1,
		Dashboards:           1,
		Keys:                 1,
	}.ForFunctions(2)
}

// ForFunctions is the same month with another number of functions.
func (s Settings) ForFunctions(n int) Settings {
	s.Consumers = n
	s.Name = fmt.Sprint(n, " functions")
	return s
}

// Model prices the work of one repository.
type Model struct {
	Repository
	Prices Prices
}

// fullProcessorMiB is the memory at which a function gets one whole processor (Lambda developer
// guide, "Configure Lambda function memory"). With less memory it gets a part.
const fullProcessorMiB = 1769

// assumption is a duration that was not measured, and what the function does in it.
type assumption struct {
	seconds, perConsumer float64
	why                  string
}

// assumptions are about functions that wait for AWS, which cannot be measured without it. All are
// rather too long than too short, and include the start of the process.
var assumptions = map[string]assumption{
	"intake": {seconds: 3, why: "lists and reads the workspace's files one after the other, writes one zip"},
	"select": {seconds: 2, why: "reads and writes a few documents"},
	"record": {
		seconds:     2,
		perConsumer: 2,
		why:         "asks Lambda for each function, its alias, its version, and its alarm",
	},
	"publish":  {seconds: 20, why: "Lambda copies the zip while the call waits"},
	"verify":   {seconds: 120, why: "makes the throw-away function, waits for it and for its answer"},
	"update":   {seconds: 30, why: "waits for two updates of the function"},
	"health":   {seconds: 1, why: "reads one alarm"},
	"promote":  {seconds: 10, why: "lists functions and versions at 15 requests a second, deletes old versions"},
	"rollback": {seconds: 5, perConsumer: 15, why: "waits for the update of each function"},
	"report":   {seconds: 3, why: "reads documents, writes metrics and a message"},
	probe: {
		seconds: 60,
		why:     "starts with the layers, imports every module, runs the scripts; at most what verify waits",
	},
}

// probe is the name of the throw-away function here.
const probe = "throw-away function"

// computing are the functions that need a processor: they can be measured anywhere.
var computing = []string{"prune", "measure"}

// Duration is the billed duration of a call, and its basis as the page has it.
func (m Model) Duration(function string, memoryMiB, consumers int) (seconds float64, basis string) {
	if slices.Contains(computing, function) {
		return m.computed(function, memoryMiB)
	}

	a, ok := assumptions[function]
	if !ok {
		panic("no duration of function " + function)
	}

	basis = "assumed: " + a.why
	if a.perConsumer > 0 {
		basis = fmt.Sprintf("assumed, %s s and %s s for each function: %s",
			plain(a.seconds), plain(a.perConsumer), a.why)
	}

	return a.seconds + a.perConsumer*float64(consumers), basis
}

// computed is the duration of a function that needs a processor, as it was measured or, if it was
// not, that of a whole build.
func (m Model) computed(function string, memoryMiB int) (seconds float64, basis string) {
	slower := math.Max(1, fullProcessorMiB/float64(memoryMiB))
	if measured, ok := m.Measured[function]; ok {
		var moving float64 // seconds
		for _, l := range m.Layers {
			moving = max(moving, (l.ArtifactBytes+l.PrunedBytes)/s3BytesPerSecond)
		}

		return measured*float64(m.Processors)*slower + moving, fmt.Sprintf("measured, docs/benchmarks.md: %.2f s for "+
			"the largest layer, as if on all of %d processors, times %.2f; %.1f s to fetch and store, assumed",
			measured, m.Processors, slower, moving)
	}

	var sum float64
	for _, l := range m.Layers {
		sum += l.PruneCPU
	}

	mean := sum / float64(len(m.Layers))

	return mean * slower, fmt.Sprintf("assumed: what a whole build without bytecode takes of one processor "+
		"(docs/benchmarks.md: %.2f s a layer on average), times %.2f", mean, slower)
}

// requests are the requests of a function to S3 in one execution.
type requests struct{ puts, putsPerLayer, putsPerConsumer, gets, getsPerLayer, getsPerConsumer, getsPerFile float64 }

// s3Requests are counted in internal/stage and internal/awsport/s3.go. Loading a document is a GET
// and storing one a PUT; a new blob is a HEAD and a PUT, and opening one a GET; a listing has the
// price of a PUT. Requests that depend on the case are counted as if they always happened. "Build"
// is CodeBuild, with its source. In 2026-11 they were compared with the requests that the processes
// of intake, build, select, prune and measure make for the example layers: none makes more, and
// prune exactly as many.
var s3Requests = map[string]requests{
	"intake":   {puts: 5, gets: 6, getsPerFile: 1},
	"Build":    {puts: 2, putsPerLayer: 1, gets: 8, getsPerLayer: 1},
	"select":   {puts: 1, putsPerLayer: 1, gets: 5, getsPerLayer: 1},
	"prune":    {puts: 2, gets: 7},
	"measure":  {puts: 1, gets: 9, getsPerLayer: 2},
	"record":   {putsPerConsumer: 1, gets: 4, getsPerLayer: 1, getsPerConsumer: 1},
	"publish":  {puts: 3, gets: 6},
	"verify":   {puts: 1, gets: 10, getsPerLayer: 1},
	"update":   {puts: 2, gets: 3, getsPerLayer: 1},
	"health":   {gets: 3},
	"promote":  {puts: 2, gets: 5, getsPerLayer: 2},
	"rollback": {puts: 3, putsPerConsumer: 1, gets: 3, getsPerLayer: 1, getsPerConsumer: 1},
	"report":   {puts: 5, gets: 8, getsPerConsumer: 1},
}

// Further assumptions, each at least the expected value.
const (
	documentBytes      = 32 << 10  // of a document in the store
	logBytesInvocation = 2 << 10   // START, END, REPORT and our two lines
	logBytesBuild      = 256 << 10 // of a build
	s3BytesPerSecond   = 40e6      // throughput of a function with 512 MiB
	buildFactor        = 2         // for fetching wheels, and for slower processors than the benchmark's
	onDemandSeconds    = 60        // until the build begins: machine, source, interpreter, uv
	lambdaSeconds      = 20        // the same with Lambda compute
	lambdaBuildMiB     = 1024      // BUILD_LAMBDA_1GB
	hoursOfMonth       = 730
	daysOfMonth        = 30
)

// OnDemandSeconds is the duration of a build on two processors.
func (m Model) OnDemandSeconds() float64 {
	s := float64(onDemandSeconds)
	for _, l := range m.Layers {
		s += buildFactor * l.BuildWall
	}

	return s
}

// LambdaSeconds is the duration of a build on the part of a processor that Lambda compute has.
func (m Model) LambdaSeconds() float64 {
	s := float64(lambdaSeconds)
	for _, l := range m.Layers {
		s += buildFactor * l.BuildCPU * fullProcessorMiB / lambdaBuildMiB
	}

	return math.Ceil(s)
}

// OnDemandMinutes are the billed minutes of a build: each that has begun.
func (m Model) OnDemandMinutes() float64 { return math.Ceil(m.OnDemandSeconds() / 60) }

// Run is one execution and what it uses.
type Run struct {
	Route
	Steps
	Outcome     release.Outcome
	Invocations map[string]int // by function; CodeBuild is "Build"
	Use         Usage
}

// Of is the case of the settings.
func (m Model) Of(s Settings, waits int) Case {
	return Case{
		Layers:    len(m.Layers),
		Consumers: s.Consumers,
		Looks:     (s.WindowSeconds + m.LookSeconds - 1) / m.LookSeconds,
		Waits:     waits,
	}
}

// Run follows a route and adds up what it uses. What outlives the run is in Month.
func (m Model) Run(s Settings, c Case, r Route) (Run, error) {
	steps, err := Follow(m.Machine, r)
	if err != nil {
		return Run{}, err
	}

	run := Run{
		Route:       r,
		Steps:       steps,
		Outcome:     release.Outcome(steps.End()),
		Invocations: map[string]int{},
		Use:         Usage{},
	}
	for _, p := range m.Machine.All() {
		if f := p.Function(); f != "" && steps.Entered[p.Name] > 0 {
			run.Invocations[lower(f)] += steps.Entered[p.Name]
		}
	}

	use := run.Use
	use["sfn.transition"] = float64(steps.Transitions())
	for _, f := range m.Functions {
		if n := float64(run.Invocations[f.Name]); n > 0 {
			seconds, _ := m.Duration(f.Name, f.MemoryMiB, c.Consumers)
			use["lambda.request"] += n
			use["lambda.x86"] += n * seconds * f.GigaBytes
			use["lambda.storage"] += n * seconds * f.ExtraGiB
			use["logs.ingested"] += n * logBytesInvocation / gibi
		}
	}

	if n := float64(run.Invocations["verify"]); n > 0 { // its logs go nowhere: its role may not write any
		seconds, _ := m.Duration(probe, m.ProbeMiB, c.Consumers)
		use["lambda.request"] += n
		use["lambda.x86"] += n * seconds * float64(m.ProbeMiB) / 1024
	}

	builds := steps.Entered["Build"]
	run.Invocations["Build"] = builds
	if builds > 0 {
		use["codebuild.small"] = float64(builds) * m.OnDemandMinutes()
		use["logs.ingested"] += float64(builds) * logBytesBuild / gibi
	}

	for f, n := range run.Invocations {
		q, known := s3Requests[f]
		if !known {
			return Run{}, fmt.Errorf("count requests: %s is not in s3Requests", f)
		}

		layers := float64(c.Layers)
		consumers := float64(c.Consumers)
		files := float64(m.WorkspaceFiles)
		use["s3.put"] += float64(n) * (q.puts + q.putsPerLayer*layers + q.putsPerConsumer*consumers)
		gets := q.gets + q.getsPerLayer*layers + q.getsPerConsumer*consumers + q.getsPerFile*files
		use["s3.get"] += float64(n) * gets
	}

	metrics, err := ReportMetrics(c.Layers, run.Outcome)
	if err != nil {
		return Run{}, err
	}

	use["cloudwatch.metric"] = float64(len(metrics)) / hoursOfMonth
	use["cloudwatch.request"] = 1 + float64(run.Invocations["health"]+run.Invocations["record"]*c.Consumers)
	if run.Outcome != release.Unchanged {
		use["sns.publish"] = 1
		use["sns.email"] = float64(s.Subscribers)
	}

	return run, nil
}

func lower(s string) string { return string(s[0]|0x20) + s[1:] }

// Runs are the five that docs/cost.md shows, started by an upload.
func (m Model) Runs(s Settings) ([]Run, error) {
	var runs []Run
	c := m.Of(s, 1)
	for _, route := range []func(Case) Route{
		Released, UnchangedAtIntake, UnchangedAfterSelect, FailedInBuild,
		RolledBackInHealth,
	} {
		r, err := m.Run(s, c, route(c))
		if err != nil {
			return nil, err
		}

		runs = append(runs, r)
	}

	return runs, nil
}

// Month is what a month uses.
type Month struct {
	Settings
	Executions, Releases, Builds int
	Metrics                      int // distinct ones
	Use                          Usage
	WholeMetrics                 Usage // the same, with every metric billed for the whole month
	KMS                          Usage // what the setting kms adds
}

// Month adds up the runs of a month, and what is billed independently of runs.
func (m Model) Month(s Settings) (Month, error) {
	month := Month{Settings: s, Use: Usage{}}
	distinct := Metrics{}
	add := func(n, waits int, route func(Case) Route) error {
		c := m.Of(s, waits)
		r, err := m.Run(s, c, route(c))
		if err != nil {
			return err
		}

		month.Use = month.Use.Plus(r.Use, float64(n))
		month.Executions += n
		month.Builds += n * r.Invocations["Build"]
		if r.Outcome == release.Promoted {
			month.Releases += n
		}

		if n > 0 {
			metrics, err := ReportMetrics(c.Layers, r.Outcome)
			if err != nil {
				return err
			}

			maps.Copy(distinct, metrics)
		}

		return nil
	}
	for _, e := range []struct {
		n, waits int
		route    func(Case) Route
	}{
		{s.Refreshes, 0, Released},
		{s.Uploads - s.UnchangedAtIntake - s.UnchangedAfterSelect, 1, Released},
		{s.UnchangedAfterSelect, 1, UnchangedAfterSelect},
		{s.UnchangedAtIntake, 1, UnchangedAtIntake},
		{s.Uploads * (s.FilesPerUpload - 1), 0, UnchangedAtIntake},
	} {
		if err := add(e.n, e.waits, e.route); err != nil {
			return Month{}, err
		}
	}

	use := month.Use
	use["s3.put"] += float64(s.Uploads * s.FilesPerUpload)
	use["events.optin"] = float64(s.Uploads * s.FilesPerUpload)
	use["scheduler.invocation"] = float64(s.Refreshes)
	use["s3.storage"] = m.Stored(s, month.Releases, use["s3.put"]).Sum() / gibi
	use["logs.stored"] = use["logs.ingested"] * float64(m.LogRetentionDays) / daysOfMonth
	use["cloudwatch.alarm"] = float64(m.Alarms)
	use["cloudwatch.dashboard"] = s.Dashboards
	month.Metrics = len(distinct)
	month.WholeMetrics = maps.Clone(use)
	month.WholeMetrics["cloudwatch.metric"] = float64(month.Metrics)
	month.KMS = Usage{"kms.key": s.Keys, "kms.request": use["s3.put"] + use["s3.get"] + use["sns.publish"]}
	return month, nil
}

// Stored is what is in the buckets in the last of the months, in bytes.
type Stored struct{ Artifacts, Pruned, Documents float64 }

// Sum is the sum of all.
func (s Stored) Sum() float64 { return s.Artifacts + s.Pruned + s.Documents }

// Stored assumes that every release builds all layers. Artifacts expire, and remain as noncurrent
// versions for some days. Pruned zips and documents are never deleted.
func (m Model) Stored(s Settings, releases int, puts float64) Stored {
	var out Stored
	for _, l := range m.Layers {
		out.Artifacts += l.ArtifactBytes * float64(releases) * float64(m.ArtifactDays+m.NoncurrentDays) / daysOfMonth
		out.Pruned += l.PrunedBytes * float64(releases*s.Months)
	}

	out.Documents = puts * documentBytes * float64(s.Months)
	return out
}

// Saving is what a layer saves at one cold start, in USD: seconds of init x memory x price.
func (m Model) Saving(l Layer, memoryMiB int, price string) float64 {
	return (l.ImportBefore - l.ImportAfter) * float64(memoryMiB) / 1024 * m.Prices.Of(price).One()
}
