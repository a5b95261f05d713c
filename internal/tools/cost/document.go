package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/tools/page"
)

// functionsOfTeam is the second example: a team's shared layers.
const functionsOfTeam = 40

// memories are those of functions for which savings are shown, in MiB; comparedMiB where a table
// has room for one.
var memories = []int{512, 1024, 2048}

const comparedMiB = 1024

// Document is docs/cost.md.
func (m Model) Document() (string, error) {
	small := Example()
	runs, err := m.Runs(small)
	if err != nil {
		return "", err
	}

	team := small.ForFunctions(functionsOfTeam)
	teamRuns, err := m.Runs(team)
	if err != nil {
		return "", err
	}

	var months []Month
	for _, s := range []Settings{small, team} {
		month, err := m.Month(s)
		if err != nil {
			return "", err
		}

		months = append(months, month)
	}

	d := &document{Model: m}
	d.head(runs[0], months)
	d.transitions(runs, teamRuns)
	d.run(runs[0], small)
	d.functions(runs[0], small)
	d.months(months)
	d.stored(months[0])
	d.builders(months[0])
	d.saving(months)
	d.sources()
	return strings.TrimRight(d.String(), "\n") + "\n", nil
}

type document struct {
	page.Page
	Model
}

// fill writes a paragraph, whatever white space its text has.
func (d *document) fill(format string, args ...any) {
	d.Paragraph("%s", strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

func (d *document) table(header []string, rows [][]string) {
	d.Header(new(page.Columns).Left(header...))
	for _, cells := range rows {
		d.Line("| %s |", strings.Join(cells, " | "))
	}

	d.Line("")
}

// usd writes money with as many digits as it needs.
func usd(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return grouped(v)
	case v >= 0.1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}

	return strconv.FormatFloat(v, 'f', 1-int(math.Floor(math.Log10(v))), 64) // two significant digits
}

// plain writes a number with about three significant digits.
func plain(v float64) string {
	switch {
	case v >= 100 || v == math.Trunc(v):
		return grouped(v)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}

	return strconv.FormatFloat(v, 'f', 2-int(math.Floor(math.Log10(v))), 64)
}

// grouped rounds a number and writes it with commas.
func grouped(v float64) string { return page.Thousands(int(math.Round(v))) }

func (d *document) head(released Run, months []Month) {
	d.Line("# What it costs\n")
	d.fill("Written by `go run ./internal/tools/cost`; a test fails when it is out of date. Prices are those of "+
		"`docs/prices.json`: %s, %s, USD. No figure comes from a bill: nothing here was run in an account. Counts "+
		"are taken from what is deployed. Assumptions are named as such, and are rather too much than too little.",
		d.Prices.Region, d.Prices.Date)
	first := months[0]
	one, _ := Total(d.Prices.Bill(released.Use))
	d.Line("- A run that releases, with %s: $%s.", first.Name, usd(one))
	for _, month := range months {
		list, billed := Total(d.Prices.Bill(month.Use))
		d.Line("- A month with %s: $%s when all of it is paid, $%s when nothing else uses the allowances that "+
			"every account has.", month.Name, usd(list), usd(billed))
	}

	list, _ := Total(d.Prices.Bill(first.WholeMetrics))
	d.Line("- If CloudWatch billed every metric for the whole month instead of the hours with values: $%s for the "+
		"first month, all paid.", usd(list))
	d.Line("- Most of the first month, all paid: %s.", d.most(first.Use, listed))
	d.Line("- Most of it after the allowances: %s.\n", d.most(first.Use, billed))
}

func listed(l Line) float64 { return l.List }
func billed(l Line) float64 { return l.Billed }

func (d *document) transitions(runs, team []Run) {
	d.Line("## State transitions\n")
	price := d.Prices.Of("sfn.transition")
	d.fill("Counted along `statemachine/pipeline.asl.json`, for %d layers and an upload that waits once until no "+
		"more files come. A transition is an executed state, also within a Map; the start of the execution is "+
		"counted as one more. AWS: \"Step Functions counts a state transition each time a step of your workflow is "+
		"executed\", retries too (%s). There are no retries here. Every alarm is checked every %d s for %d s; in "+
		"RolledBack it goes off at the last check.",
		len(d.Layers), price.Source, d.LookSeconds, Example().WindowSeconds)
	var rows [][]string
	for i, r := range runs {
		row := []string{r.Name}
		for _, n := range []int{r.Transitions(), team[i].Transitions()} {
			row = append(row, grouped(float64(n)), usd(float64(n)*price.One()))
		}

		rows = append(rows, row)
	}

	d.table([]string{"route", Example().Name, "$", Example().ForFunctions(functionsOfTeam).Name, "$"}, rows)
	d.fill("Released, outside of Maps: %s.", strings.Join(runs[0].Path, ", "))
}

func (d *document) run(r Run, s Settings) {
	d.Line("## One run\n")
	d.fill("%s, with %s. Without any allowance.", r.Name, s.Name)
	d.bill(r.Use, false)
	d.fill("Most of it: %s.", d.most(r.Use, listed))
}

func (d *document) bill(u Usage, billed bool) {
	header := []string{"service", "what", "quantity", "unit", "$"}
	if billed {
		header[4] = "$, all paid"
		header = append(header, "free of it", "$, after that")
	}

	var rows [][]string
	for _, l := range d.Prices.Bill(u) {
		row := []string{l.Service, l.What, plain(l.Quantity), l.Unit, usd(l.List)}
		if billed {
			row = append(row, plain(l.Free), usd(l.Billed))
		}

		rows = append(rows, row)
	}

	list, after := Total(d.Prices.Bill(u))
	sum := []string{"**sum**", "", "", "", "**" + usd(list) + "**"}
	if billed {
		sum = append(sum, "", "**"+usd(after)+"**")
	}

	d.table(header, append(rows, sum))
}

// most names the largest lines of a bill.
func (d *document) most(u Usage, of func(Line) float64) string {
	bill := d.Prices.Bill(u)
	total := 0.0
	for _, l := range bill {
		total += of(l)
	}

	slices.SortStableFunc(bill, func(a, b Line) int { return cmp.Compare(of(b), of(a)) })
	var said []string
	for _, l := range bill[:min(3, len(bill))] {
		if share := 100 * of(l) / total; share >= 0.5 { // false for 0/0
			said = append(said, fmt.Sprintf("%.0f %% %s (%s)", share, l.Service, l.What))
		}
	}

	return strings.Join(said, "; ")
}

func (d *document) functions(r Run, s Settings) {
	d.Line("### Functions of that run\n")
	d.fill("Memory as in `infra/functions.go`. Below %s MiB a function has less than a processor (Lambda developer "+
		"guide), so what was measured on whole ones is multiplied.", grouped(fullProcessorMiB))
	var rows [][]string
	row := func(name string, n, memory int) {
		if n == 0 {
			return
		}

		seconds, basis := d.Duration(name, memory, s.Consumers)
		gb := float64(n) * seconds * float64(memory) / 1024
		price := usd(gb * d.Prices.Of("lambda.x86").One())
		rows = append(rows,
			[]string{name, grouped(float64(memory)), strconv.Itoa(n), plain(seconds), plain(gb), price, basis})
	}
	for _, f := range d.Functions {
		row(f.Name, r.Invocations[f.Name], f.MemoryMiB)
		if f.Name == "verify" {
			row(probe, r.Invocations[f.Name], d.ProbeMiB)
		}
	}

	d.table([]string{"function", "MiB", "calls", "s each", "GB-s", "$", "seconds are"}, rows)
	x86 := d.Prices.Of("lambda.x86")
	arm := d.Prices.Of("lambda.arm")
	d.fill("All of it on arm64 (setting `architecture`): $%s instead of $%s.", usd(r.Use[x86.ID]*arm.One()),
		usd(r.Use[x86.ID]*x86.One()))
}

func (d *document) months(months []Month) {
	d.Line("## A month\n")
	for _, month := range months {
		s := month.Settings
		d.Line("### %s\n", s.Name)
		d.fill("%d layers, %d functions that have them. %d refresh by the schedule, and %d uploads of %d files each. "+
			"Of the uploads, %d have the released files and end at Intake, and %d build the released layers again. "+
			"Together %d executions (each file's event starts one; all but the last of an upload end at once), %d "+
			"builds, %d releases. Storage is that of month %d.",
			len(d.Layers), s.Consumers, s.Refreshes, s.Uploads, s.FilesPerUpload, s.UnchangedAtIntake,
			s.UnchangedAfterSelect, month.Executions, month.Builds, month.Releases, s.Months)
		d.bill(month.Use, true)
		d.fill("Most of it, all paid: %s. After the allowances: %s.",
			d.most(month.Use, listed), d.most(month.Use, billed))
		kms, _ := Total(d.Prices.Bill(month.KMS))
		d.fill("With the setting `kms`: $%s more, for a key and at most %s requests; bucket keys reduce them. "+
			"Rotation adds the price of a key after the first and after the second year.",
			usd(kms), grouped(month.KMS["kms.request"]))
		list, after := Total(d.Prices.Bill(month.WholeMetrics))
		d.fill("Metrics: a month stores %d different ones in `Lambda/Optimization` (a name with its dimensions is "+
			"one), counted by running the report. As far as we know they are billed for the hours in which values "+
			"come, here at most one for each execution; compare it with the page (%s). Billed for the whole month, "+
			"the sums would be $%s and $%s.",
			month.Metrics, d.Prices.Of("cloudwatch.metric").Source, usd(list), usd(after))
	}

	d.fill("The alarms are the %d of `infra/alarms.go`; those of consumers belong to their owners. Events of S3 to "+
		"EventBridge are counted at the price of opt-in events, though some sources count them as free. Events that "+
		"AWS services always send, such as the end of a build, are free. Data from the internet, such as wheels, "+
		"costs nothing. Not included: looking at the dashboard (API requests for its metrics), a private index, "+
		"support, taxes. There is no NAT gateway, because nothing runs in a VPC.", d.Alarms)
}

func (d *document) stored(month Month) {
	d.Line("### What is in the buckets, with %s\n", month.Name)
	d.fill("Artifacts expire after %d days and stay %d more as noncurrent versions (`infra/buckets.go`, "+
		"`noncurrentDays`). Nothing deletes pruned zips and documents, so they are those of %d months; the %d kept "+
		"versions (`keepVersions`) need less. Every release is assumed to build all layers again.",
		d.ArtifactDays, d.NoncurrentDays, month.Months, d.KeepVersions)
	var rows [][]string
	price := d.Prices.Of("s3.storage").One()
	var kept float64
	for _, l := range d.Layers {
		kept += l.PrunedBytes * float64(d.KeepVersions)
	}

	stored := d.Stored(month.Settings, month.Releases, month.Use["s3.put"])
	for _, r := range []struct {
		what  string
		bytes float64
	}{
		{"artifacts", stored.Artifacts},
		{"pruned zips", stored.Pruned},
		{"of these, zips of kept versions", kept},
		{fmt.Sprintf("documents, assumed %d KiB each", documentBytes>>10), stored.Documents},
	} {
		rows = append(rows, []string{r.what, plain(r.bytes / gibi), usd(r.bytes / gibi * price)})
	}

	d.table([]string{"what", "GB", "$ a month"}, rows)
}

func (d *document) builders(month Month) {
	d.Line("## Where to build\n")
	var wall, cpu float64
	for _, l := range d.Layers {
		wall += l.BuildWall
		cpu += l.BuildCPU
	}

	minute := d.Prices.Of("codebuild.small")
	second := d.Prices.Of("codebuild.lambda1")
	demand := d.OnDemandMinutes() * minute.One()
	lambda := d.LambdaSeconds() * second.One()
	d.fill("A build of all layers with cold caches and bytecode takes %.1f s on two processors, %.1f s of one "+
		"(`docs/benchmarks.md`). Assumed are %d times that, for fetching wheels and slower processors, and %d s "+
		"until it begins on demand, %d s on Lambda compute. On demand every started minute is billed, on Lambda "+
		"compute every second.", wall, cpu, buildFactor, onDemandSeconds, lambdaSeconds)
	row := func(p Price, seconds, quantity, usdEach float64, limits string) []string {
		return []string{
			p.What, plain(math.Ceil(seconds)), plain(quantity) + " " + p.Unit, usd(usdEach),
			usd(usdEach * float64(month.Builds)), limits,
		}
	}
	d.table(
		[]string{"compute", "s", "billed", "$ a build", fmt.Sprintf("$ a month, %d builds", month.Builds), "limits"},
		[][]string{
			row(minute, d.OnDemandSeconds(), d.OnDemandMinutes(), demand,
				"none that matter here; wheels that must be compiled"),
			row(second, d.LambdaSeconds(), d.LambdaSeconds(), lambda,
				"15 minutes, wheels only, no cache (`codeBuildLambda`)"),
		},
	)
	cheaper := "Lambda compute"
	if demand < lambda {
		cheaper = "On demand"
	}

	d.fill("%s costs %.0f %% of what the other does. %s %s a month are free on demand, which is %s of these builds.",
		cheaper, 100*min(demand, lambda)/max(demand, lambda), grouped(minute.Free), minute.Unit,
		grouped(math.Floor(minute.Free/d.OnDemandMinutes())))
}

func (d *document) saving(months []Month) {
	d.Line("## What it saves\n")
	d.fill("Lambda bills the init of a cold start like any other duration. Saving = cold starts x seconds of init "+
		"saved x memory x price. The seconds are the import times of `docs/benchmarks.md`, without bytecode (as "+
		"`uv pip install` leaves a layer) and with it, on that machine and a whole processor. A layer that has "+
		"valid bytecode already saves nothing here. With less than %s MiB Lambda may take longer, and then saves "+
		"more. The figures do not include the download of the layer before init.", grouped(fullProcessorMiB))
	header := []string{"layer", "import before, s", "after, s", "saved, s"}
	for _, mib := range memories {
		header = append(header, fmt.Sprintf("$ a million, %s MiB", grouped(float64(mib))))
	}

	header = append(header, fmt.Sprintf("arm64, %s MiB", grouped(comparedMiB)))
	var rows [][]string
	for _, l := range d.Layers {
		row := []string{
			l.Name,
			fmt.Sprintf("%.2f", l.ImportBefore),
			fmt.Sprintf("%.2f", l.ImportAfter),
			fmt.Sprintf("%.2f", l.ImportBefore-l.ImportAfter),
		}
		for _, mib := range memories {
			row = append(row, usd(1e6*d.Saving(l, mib, "lambda.x86")))
		}

		rows = append(rows, append(row, usd(1e6*d.Saving(l, comparedMiB, "lambda.arm"))))
	}

	d.table(header, rows)
	d.breakEven(months)
	idle := d.Prices.Of("lambda.provisioned").One() * hoursOfMonth * 3600 * comparedMiB / 1024
	d.fill("With fewer cold starts than that the bill is no reason to run it. Other benefits have no price here: "+
		"shorter waits at cold starts, layers that are kept up to date, packages that fit at all. For comparison, "+
		"keeping one instance of %s MiB warm by provisioned concurrency costs $%s a month.",
		grouped(comparedMiB), usd(idle))
}

// breakEven writes how many cold starts pay for each month.
func (d *document) breakEven(months []Month) {
	d.fill("Cold starts a month at which that pays for a month, over all functions together, at %s MiB, x86:",
		grouped(comparedMiB))
	header := []string{"month", "$"}
	var rows [][]string
	for _, l := range d.Layers {
		header = append(header, l.Name)
	}

	for _, month := range months {
		list, after := Total(d.Prices.Bill(month.Use))
		whole, _ := Total(d.Prices.Bill(month.WholeMetrics))
		for _, c := range []struct {
			how string
			usd float64
		}{{"all paid", list}, {"after the allowances", after}, {"all paid, metrics for the whole month", whole}} {
			row := []string{month.Name + ", " + c.how, usd(c.usd)}
			for _, l := range d.Layers {
				row = append(row, BreakEven(c.usd, d.Saving(l, comparedMiB, "lambda.x86")))
			}

			rows = append(rows, row)
		}
	}

	d.table(header, rows)
}

// BreakEven is the number of savings that pay for a cost.
func BreakEven(cost, saving float64) string {
	if saving <= 0 {
		return "never"
	}

	return grouped(math.Ceil(cost / saving))
}

func (d *document) sources() {
	d.Line("## Prices\n")
	d.fill("%s, %s. *As known* is the list price as known then, not compared with the page: check it before you "+
		"rely on it. Free quantities are for each account and month, without end; they are as known too.",
		d.Prices.Region, d.Prices.Date)
	var rows [][]string
	for _, p := range d.Prices.Prices {
		state := "as known, check"
		if p.Checked {
			state = "checked"
		}

		per := grouped(p.Per) + " " + p.Unit
		if p.Per == 1 {
			per = p.Unit
		}

		free := ""
		if p.Free > 0 {
			free = grouped(p.Free)
		}

		rows = append(rows,
			[]string{p.Service, p.What, strconv.FormatFloat(p.USD, 'f', -1, 64), per, free, p.Source, state})
	}

	d.table([]string{"service", "what", "$", "for", "free", "page", ""}, rows)
	d.fill("S3 requests are counted in the code of each function (`internal/tools/cost/model.go`), with all "+
		"that happen only sometimes. Logs are assumed to be %d KiB a call and %d KiB a build.",
		logBytesInvocation>>10, logBytesBuild>>10)
}
