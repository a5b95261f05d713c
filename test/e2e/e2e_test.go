// Package e2e deploys the product to an AWS emulator as users do, and uses it: with the CDK's
// command line, our own command line, real wheels, the real buildspec and real bootstraps.
// internal/testenv/emulator/README.md lists the differences between the emulator and AWS.
package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/testenv/emulator"
)

const (
	consumer  = "e2e-consumer"
	layerName = "layersmith-aws-utilities"
	stackName = "layersmith"
)

// world is a deployed product with one consumer and a queue that receives the notifications.
type world struct {
	t         *testing.T
	emulator  *emulator.Stack
	root      string
	cli       string // our command line
	workspace string
	outputs   map[string]string
	lambda    *lambda.Client
	states    *sfn.Client
	s3        *s3.Client
	alarms    *cloudwatch.Client
	queue     *sqs.Client
	queueURL  string
	told      []string
}

func TestTheProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("short: deploys to an emulator")
	}

	w := deploy(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"an upload is released, and the consumer has it", w.upload},
		{"the published bytes are the local engine's", w.sameBytes},
		{"metrics and the notification are there", w.told1},
		{"the same again is Unchanged", w.again},
		{"a requirement that does not exist publishes nothing", w.badRequirement},
		{"a consumer that gets ill is put back", w.ill},
		{"killed in the middle, the next run finishes", w.killed},
		{"back to an earlier version", w.back},
		{"the schedule fires", w.schedule},
		{"a large package alarms people", w.largeAlarm},
		{"executions are described as they ended", w.described},
	} {
		if !t.Run(step.name, func(t *testing.T) { w.t = t; step.do(t) }) {
			t.Fatal(w.emulator.Logs())
		}
	}
}

// deploy starts the emulator, builds and synthesizes the product, and deploys it.
func deploy(t *testing.T) *world {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	w := &world{t: t, root: root, workspace: filepath.Join(dir, "layers")}
	w.python(dir)
	w.emulator = emulator.Start(t)
	w.run(root, nil, "functions/build")
	w.cli = filepath.Join(root, "build", "cli", "layersmith")
	out := filepath.Join(dir, "cdk.out")
	w.synth(out)
	outputs, err := w.emulator.Deploy(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}

	w.outputs = outputs[stackName]
	cfg := w.emulator.AWSConfig()
	w.lambda = lambda.NewFromConfig(cfg)
	w.states = sfn.NewFromConfig(cfg)
	w.alarms = cloudwatch.NewFromConfig(cfg)
	w.queue = sqs.NewFromConfig(cfg)
	w.s3 = s3.NewFromConfig(cfg)
	w.listen(cfg)
	w.newConsumer()
	return w
}

// python creates a virtual environment and puts it first on PATH, because the buildspec installs uv
// into Python. On CodeBuild that is the Python of the image, which is discarded.
func (w *world) python(dir string) {
	w.t.Setenv("PATH", filepath.Join(w.root, ".tools", "bin")+":"+os.Getenv("PATH"))
	venv := filepath.Join(dir, "image")
	w.run(w.root, nil, "uv", "venv", "--quiet", "--seed", venv)
	w.t.Setenv("PATH", filepath.Join(venv, "bin")+":"+os.Getenv("PATH"))
}

// synth is `make synth` with other settings than cdk.json's.
func (w *world) synth(out string) {
	b, err := os.ReadFile(filepath.Join(w.root, "cdk.json"))
	if err != nil {
		w.t.Fatal(err)
	}

	var file struct {
		Context map[string]any `json:"context"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		w.t.Fatal(err)
	}

	settings := file.Context["layersmith"].(map[string]any)
	settings["consumers"] = []string{"e2e-*"}
	settings["retain"] = false
	settings["stackName"] = stackName
	contextJSON, err := json.Marshal(file.Context)
	if err != nil {
		w.t.Fatal(err)
	}

	env := []string{
		"CDK_OUTDIR=" + out,
		"CDK_CONTEXT_JSON=" + string(contextJSON),
		"JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION=20",
		"CDK_DEFAULT_ACCOUNT=" + emulator.Account,
		"CDK_DEFAULT_REGION=" + emulator.Region,
	}
	w.run(w.root, env, "go", "run", "./infra")
}

// run runs a program that must succeed, and returns its output.
func (w *world) run(dir string, env []string, program string, args ...string) string {
	w.t.Helper()
	out, err := w.try(dir, env, program, args...)
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}

	return out
}

func (w *world) try(dir string, env []string, program string, args ...string) (string, error) {
	c := exec.CommandContext(w.t.Context(), program, args...)
	if !filepath.IsAbs(program) && strings.Contains(program, "/") {
		c.Path = filepath.Join(dir, program)
	}

	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// layersmith runs our command line against the deployed stack.
func (w *world) layersmith(args ...string) string {
	w.t.Helper()
	return w.run(filepath.Dir(w.workspace), w.env(), w.cli, args...)
}

func (w *world) env() []string { return append(w.emulator.Env(), "LAYERSMITH_STACK="+stackName) }

// listen subscribes a queue to the topic.
func (w *world) listen(cfg aws.Config) {
	q, err := w.queue.CreateQueue(w.t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("people")})
	if err != nil {
		w.t.Fatal(err)
	}

	w.queueURL = *q.QueueUrl
	arn := fmt.Sprintf("arn:aws:sqs:%s:%s:people", emulator.Region, emulator.Account)
	if _, err := sns.NewFromConfig(cfg).
		Subscribe(w.t.Context(),
			&sns.SubscribeInput{
				TopicArn: aws.String(w.outputs["TopicArn"]),
				Protocol: aws.String("sqs"),
				Endpoint: &arn,
			}); err != nil {
		w.t.Fatal(err)
	}
}

// message waits for a notification that contains all the words.
func (w *world) message(words ...string) {
	w.t.Helper()
	has := func(m string) bool {
		return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(m, word) })
	}
	for range 60 {
		out, err := w.queue.ReceiveMessage(w.t.Context(),
			&sqs.ReceiveMessageInput{QueueUrl: &w.queueURL, MaxNumberOfMessages: 10})
		if err != nil {
			w.t.Fatal(err)
		}

		for _, m := range out.Messages {
			w.told = append(w.told, *m.Body)
			read := &sqs.DeleteMessageInput{QueueUrl: &w.queueURL, ReceiptHandle: m.ReceiptHandle}
			if _, err := w.queue.DeleteMessage(w.t.Context(), read); err != nil {
				w.t.Fatal(err)
			}
		}

		if slices.ContainsFunc(w.told, has) {
			return
		}

		w.pause(500 * time.Millisecond)
	}

	w.t.Fatalf("nobody was told of %q; told was\n%s", words, strings.Join(w.told, "\n"))
}

// pause is a polling interval: the emulator has no notifications.
func (w *world) pause(d time.Duration) {
	select {
	case <-w.t.Context().Done():
		w.t.Fatal(w.t.Context().Err())
	case <-time.After(d):
	}
}

// newConsumer makes a function that uses boto3 and does not include it.
func (w *world) newConsumer() {
	ctx := w.t.Context()
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	f, err := z.Create("main.py")
	if err == nil {
		_, err = f.Write([]byte("def handler(event, context):\n" +
			"    import boto3\n" +
			"    boto3.client('s3', region_name='us-east-1')\n" +
			"    return {'boto3': boto3.__version__, 'from': boto3.__file__}\n"))
	}

	if err == nil {
		err = z.Close()
	}

	if err != nil {
		w.t.Fatal(err)
	}

	if _, err := w.lambda.CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName:  aws.String(consumer),
		Runtime:       types.RuntimePython313,
		Handler:       aws.String("main.handler"),
		Timeout:       aws.Int32(60),
		Role:          aws.String("arn:aws:iam::" + emulator.Account + ":role/consumer"),
		Code:          &types.FunctionCode{ZipFile: code.Bytes()},
		Publish:       true,
		Architectures: []types.Architecture{types.ArchitectureX8664},
	}); err != nil {
		w.t.Fatal(err)
	}

	if err := lambda.NewFunctionActiveV2Waiter(w.lambda,
		func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(ctx, &lambda.GetFunctionInput{FunctionName: aws.String(consumer)}, time.Minute); err != nil {
		w.t.Fatal(err)
	}

	if _, err := w.lambda.CreateAlias(ctx, &lambda.CreateAliasInput{
		FunctionName:    aws.String(consumer),
		Name:            aws.String("live"),
		FunctionVersion: aws.String("1"),
	}); err != nil {
		w.t.Fatal(err)
	}

	if _, err := w.alarms.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName:          aws.String("e2e-errors"),
		Namespace:          aws.String("E2E"),
		MetricName:         aws.String("Errors"),
		Statistic:          cwtypes.StatisticSum,
		Period:             aws.Int32(60),
		EvaluationPeriods:  aws.Int32(1),
		Threshold:          aws.Float64(1),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanOrEqualToThreshold,
		TreatMissingData:   aws.String("notBreaching"),
	}); err != nil {
		w.t.Fatal(err)
	}

	w.alarm(cwtypes.StateValueOk)
}

func (w *world) alarm(state cwtypes.StateValue) {
	w.t.Helper()
	if _, err := w.alarms.SetAlarmState(w.t.Context(), &cloudwatch.SetAlarmStateInput{
		AlarmName:   aws.String("e2e-errors"),
		StateValue:  state,
		StateReason: aws.String("5 errors in a minute"),
	}); err != nil {
		w.t.Fatal(err)
	}
}

// write puts files into the local workspace.
func (w *world) write(name, content string) {
	w.t.Helper()
	path := filepath.Join(w.workspace, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}

	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	b, err := os.ReadFile(filepath.Join(w.root, "layers", name))
	if err != nil {
		w.t.Fatal(err)
	}

	return string(b)
}

const withoutHealth = "consumers:\n  - function: " + consumer + "\n    layers: [aws-utilities]\n    alias: live\n"

// function is the state of the consumer: code, layers, versions and alias.
type function struct {
	Layers, Versions []string
	Alias, Code      string
}

func (w *world) function() (f function) {
	w.t.Helper()
	ctx := w.t.Context()
	out, err := w.lambda.ListVersionsByFunction(ctx,
		&lambda.ListVersionsByFunctionInput{FunctionName: aws.String(consumer)})
	if err != nil {
		w.t.Fatal(err)
	}

	for _, v := range out.Versions {
		var layers []string
		for _, l := range v.Layers {
			layers = append(layers, *l.Arn)
		}

		if *v.Version == "$LATEST" {
			f.Layers = layers
			f.Code = *v.CodeSha256
			continue
		}

		f.Versions = append(f.Versions, *v.Version+" "+strings.Join(layers, ","))
	}

	a, err := w.lambda.GetAlias(ctx,
		&lambda.GetAliasInput{FunctionName: aws.String(consumer), Name: aws.String("live")})
	if err != nil {
		w.t.Fatal(err)
	}

	f.Alias = *a.FunctionVersion
	return f
}

// published are the versions of the layer, newest first.
func (w *world) published() []types.LayerVersionsListItem {
	w.t.Helper()
	out, err := w.lambda.ListLayerVersions(w.t.Context(),
		&lambda.ListLayerVersionsInput{LayerName: aws.String(layerName)})
	if err != nil {
		w.t.Fatal(err)
	}

	return out.LayerVersions
}

// settled waits until no execution is running and more than since have started. It returns the
// endings of the new ones, newest first.
func (w *world) settled(since int) []release.Ending {
	w.t.Helper()
	for range 600 {
		all := w.executions()
		running := slices.ContainsFunc(all, func(e sfntypes.ExecutionListItem) bool {
			return e.Status == sfntypes.ExecutionStatusRunning
		})
		if len(all) > since && !running {
			var ends []release.Ending
			for _, e := range all[:len(all)-since] {
				ends = append(ends, w.ending(*e.ExecutionArn))
			}

			return ends
		}

		w.pause(500 * time.Millisecond)
	}

	w.t.Fatal("executions do not end")
	return nil
}

func (w *world) executions() []sfntypes.ExecutionListItem {
	w.t.Helper()
	out, err := w.states.ListExecutions(w.t.Context(),
		&sfn.ListExecutionsInput{StateMachineArn: aws.String(w.outputs["StateMachineArn"])})
	if err != nil {
		w.t.Fatal(err)
	}

	slices.SortStableFunc(out.Executions, func(a, b sfntypes.ExecutionListItem) int {
		return b.StartDate.Compare(*a.StartDate)
	})
	return out.Executions
}

func (w *world) ending(arn string) release.Ending {
	w.t.Helper()
	e, err := w.states.DescribeExecution(w.t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil {
		w.t.Fatal(err)
	}

	if e.Status == sfntypes.ExecutionStatusSucceeded {
		var end release.Ending
		if err := json.Unmarshal([]byte(*e.Output), &end); err != nil {
			w.t.Fatalf("output %s: %v", *e.Output, err)
		}

		return end
	}

	return release.Ending{Outcome: release.Outcome(aws.ToString(e.Error)), Message: aws.ToString(e.Cause)}
}

// only checks that exactly one of the endings is not Unchanged: it, and its message.
func (w *world) only(ends []release.Ending, want release.Outcome) release.Ending {
	w.t.Helper()
	var others []release.Ending
	for _, e := range ends {
		if e.Outcome != release.Unchanged {
			others = append(others, e)
		}
	}

	if len(others) != 1 || others[0].Outcome != want {
		w.t.Fatalf("executions ended %+v, want one %s and nothing else but Unchanged", ends, want)
	}

	return others[0]
}

func (w *world) upload(t *testing.T) {
	w.write("workspace.yaml", "targets: [python3.13-x86_64]\n")
	w.write("aws-utilities/requirements.txt", w.read("aws-utilities/requirements.txt"))
	w.write("aws-utilities/layer.yaml", "budget: { unzipped: 50 MB, zipped: 40 MB }\n")
	w.write("consumers.yaml", withoutHealth)
	w.layersmith("lock")
	t.Log(w.layersmith("push"))
	end := w.only(w.settled(0), release.Promoted)
	w.shares()
	if want := "Released: 1 layer (" + layerName + ":1), 1 function moved."; end.Message != want {
		t.Errorf("%q, want %q", end.Message, want)
	}

	got := w.function()
	if len(got.Layers) != 1 || !strings.HasSuffix(got.Layers[0], ":layer:"+layerName+":1") || got.Alias != "2" {
		t.Errorf("the consumer is %+v", got)
	}

	out, err := w.lambda.Invoke(t.Context(),
		&lambda.InvokeInput{FunctionName: aws.String(consumer), Qualifier: aws.String("live"), Payload: []byte("{}")})
	if err != nil || out.FunctionError != nil || !strings.Contains(string(out.Payload), "/opt/python/boto3/") {
		t.Errorf("the consumer answers %s %v", out.Payload, err)
	}
}

// shares measures the parts of an execution's duration: waiting for uploads to settle, the build,
// verifying, and our own code. With -update it writes them to docs/benchmarks.md.
func (w *world) shares() {
	w.t.Helper()
	for _, e := range w.executions() {
		if w.ending(*e.ExecutionArn).Outcome != release.Promoted {
			continue
		}

		took, transitions := w.seconds(*e.ExecutionArn)
		total := e.StopDate.Sub(*e.StartDate).Seconds()
		ours := total
		for _, s := range []string{"Build", "Verify each", "Wait for the other run"} {
			ours -= took[s]
		}

		table := "| part | seconds | share |\n|---|---|---|\n"
		row := func(part string, seconds float64) {
			table += fmt.Sprintf("| %s | %.1f | %.0f %% |\n", part, seconds, 100*seconds/total)
		}
		row("waiting until uploads have settled (Wait)", took["Wait for the other run"])
		row("building (Build: uv, lock, assembly; wheels and bytecode from the cache where it has them)", took["Build"])
		row("asking the real Python (Verify each: a throw-away function, its start and the probe)", took["Verify each"])
		row(fmt.Sprintf("everything else: %d other states entered, their functions and copying", transitions-3), ours)
		table += fmt.Sprintf("| from the start of the execution to Released | %.1f | |\n", total)
		w.t.Log("\n" + table)
		if *update {
			w.section("Workflow",
				"One layer (`aws-utilities`) and one consumer without an alarm, on the emulator of the end-to-end "+
					"test, where a state costs next to nothing and a build has no machine to wait for. Measured by "+
					"`make bench`.\n\n"+table)
		}

		return
	}

	w.t.Error("no execution was Released")
}

var (
	update = flag.Bool("update", false, "write what was measured to docs/benchmarks.md")
	record = flag.Bool("record", false, "record executions for the tests of internal/operator")
)

// seconds returns the seconds spent in each state, and the number of states entered.
func (w *world) seconds(arn string) (took map[string]float64, entered int) {
	took = map[string]float64{}
	since := map[string]time.Time{}
	pages := sfn.NewGetExecutionHistoryPaginator(w.states, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}

		for _, e := range page.Events {
			if d := e.StateEnteredEventDetails; d != nil {
				since[*d.Name] = *e.Timestamp
				entered++
			}

			if d := e.StateExitedEventDetails; d != nil {
				took[*d.Name] += e.Timestamp.Sub(since[*d.Name]).Seconds()
			}
		}
	}

	return took, entered
}

// section replaces a section of docs/benchmarks.md, or appends it.
func (w *world) section(title, text string) {
	file := filepath.Join(w.root, "docs", "benchmarks.md")
	b, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}

	before, rest, found := strings.Cut(string(b), "\n## "+title+"\n")
	after := ""
	if _, next, more := strings.Cut(rest, "\n## "); found && more {
		after = "\n## " + next
	}

	out := strings.TrimRight(before, "\n") + "\n\n## " + title + "\n\n" + text + after
	if err := os.WriteFile(file, []byte(out), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sameBytes(t *testing.T) {
	w.layersmith("build", "--no-probe")
	var built struct {
		Layers []struct {
			Zip struct {
				SHA256 string `json:"sha256"`
			} `json:"zip"`
		} `json:"layers"`
	}
	b, err := os.ReadFile(filepath.Join(filepath.Dir(w.workspace), "dist", "report.json"))
	if err == nil {
		err = json.Unmarshal(b, &built)
	}

	if err != nil {
		t.Fatal(err)
	}

	r := w.released()
	if got, want := r.Layers[0].Current.Zip.SHA256.String(), built.Layers[0].Zip.SHA256; got != want {
		t.Errorf("published is %s, built here is %s", got, want)
	}

	v, err := w.lambda.GetLayerVersion(t.Context(),
		&lambda.GetLayerVersionInput{LayerName: aws.String(layerName), VersionNumber: aws.Int64(1)})
	if err != nil {
		t.Fatal(err)
	}

	if v.Content.CodeSize != r.Layers[0].Current.Zip.Size {
		t.Errorf("Lambda has %d bytes, built were %d", v.Content.CodeSize, r.Layers[0].Current.Zip.Size)
	}
}

func (w *world) released() (r release.Released) {
	w.t.Helper()
	out, err := w.s3.GetObject(w.t.Context(),
		&s3.GetObjectInput{Bucket: aws.String(w.outputs["StoreBucket"]), Key: aws.String(release.ReleasedName)})
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Body.Close()
	if err := json.NewDecoder(out.Body).Decode(&r); err != nil {
		w.t.Fatal(err)
	}

	return r
}

func (w *world) told1(t *testing.T) {
	w.message("Released: 1 layer", layerName+":1", "live 1 -> 2")
	for _, dimensions := range [][]cwtypes.Dimension{
		{{Name: aws.String("LayerName"), Value: aws.String(layerName)}},
		{{Name: aws.String("Stack"), Value: aws.String(stackName)}},
	} {
		got, err := w.alarms.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace:  aws.String("Lambda/Optimization"),
			MetricName: aws.String("PackageSize"),
			Dimensions: dimensions,
			StartTime:  aws.Time(time.Now().Add(-time.Hour)),
			EndTime:    aws.Time(time.Now().Add(time.Hour)),
			Period:     aws.Int32(3600),
			Statistics: []cwtypes.Statistic{cwtypes.StatisticMaximum},
		})
		if err != nil || len(got.Datapoints) == 0 {
			t.Fatalf("PackageSize by %s: %v %v", *dimensions[0].Name, got, err)
		}

		if mib := *got.Datapoints[0].Maximum; mib < 8 || mib > 20 {
			t.Errorf("PackageSize by %s is %.1f", *dimensions[0].Name, mib)
		}
	}
}

func (w *world) again(t *testing.T) {
	versions := len(w.published())
	before := w.function()
	out := w.layersmith("start", "--watch", "--interval", "300ms")
	if !strings.Contains(out, "Unchanged: nothing changed since") {
		t.Errorf("start --watch says\n%s", out)
	}

	if d := cmp.Diff(before, w.function()); d != "" || len(w.published()) != versions {
		t.Errorf("something changed: %d versions, %s", len(w.published()), d)
	}

	if out := w.layersmith("push"); !strings.Contains(out, "nothing") {
		t.Errorf("push of the same says\n%s", out)
	}
}

func (w *world) badRequirement(t *testing.T) {
	before := w.function()
	versions := len(w.published())
	since := len(w.executions())
	w.write("aws-utilities/requirements.txt", "boto3\nthere-is-no-such-distribution-3141\n")
	w.layersmith("push")
	end := w.only(w.settled(since), release.FailedClean)
	for _, word := range []string{"layers/aws-utilities/requirements.txt:2", "there-is-no-such-distribution-3141"} {
		if !strings.Contains(end.Message, word) {
			t.Errorf("the message does not say %q: %s", word, end.Message)
		}
	}

	w.message("FailedClean", "there-is-no-such-distribution-3141")
	if d := cmp.Diff(before, w.function()); d != "" || len(w.published()) != versions {
		t.Errorf("something changed: %d versions, %s", len(w.published()), d)
	}

	w.write("aws-utilities/requirements.txt", w.read("aws-utilities/requirements.txt"))
	since = len(w.executions())
	w.layersmith("push")
	for _, e := range w.settled(since) {
		if e.Outcome != release.Unchanged {
			t.Errorf("pushed back as it was: %+v", e)
		}
	}
}

func (w *world) ill(t *testing.T) {
	before := w.function()
	versions := len(w.published())
	since := len(w.executions())
	w.write("consumers.yaml", withoutHealth+"    health: { alarm: e2e-errors, window: 5m }\n")
	w.write("aws-utilities/layer.yaml",
		"budget: { unzipped: 50 MB, zipped: 40 MB }\nkeep:\n  - { match: \"boto3/examples/**\", reason: we show them "+
			"}\n")
	w.layersmith("push")
	for range 600 { // the alarm rises when the alias has moved
		if w.function().Alias != before.Alias {
			break
		}

		w.pause(200 * time.Millisecond)
	}

	w.alarm(cwtypes.StateValueAlarm)
	end := w.only(w.settled(since), release.RolledBack)
	if !strings.Contains(end.Message, "alarm e2e-errors was raised") ||
		!strings.Contains(end.Message, "candidates deleted") {
		t.Errorf("message %q", end.Message)
	}

	if d := cmp.Diff(before, w.function()); d != "" || len(w.published()) != versions {
		t.Errorf("not as before: %d versions of the layer, %s", len(w.published()), d)
	}

	w.message("RolledBack", "e2e-errors")
	w.alarm(cwtypes.StateValueOk)
}

// killed stops an execution right after the consumer has moved, the worst moment, and starts another.
func (w *world) killed(t *testing.T) {
	before := w.function()
	w.write("consumers.yaml", withoutHealth+"    health: { alarm: e2e-errors, window: 1m }\n")
	w.layersmith("push")
	for range 600 {
		if w.function().Alias != before.Alias {
			break
		}

		w.pause(200 * time.Millisecond)
	}

	for _, e := range w.executions() {
		if e.Status == sfntypes.ExecutionStatusRunning {
			stop := &sfn.StopExecutionInput{ExecutionArn: e.ExecutionArn}
			if _, err := w.states.StopExecution(t.Context(), stop); err != nil {
				t.Fatal(err)
			}
		}
	}

	if got := w.function(); got.Alias == before.Alias {
		t.Fatal("it was killed too early to show anything")
	}

	out := w.layersmith("start", "--watch", "--interval", "300ms")
	t.Log(out)
	if !strings.Contains(out, "Recover") || !strings.Contains(out, "Released: 1 layer") {
		t.Errorf("the next run says\n%s", out)
	}

	got := w.function()
	if len(got.Versions) != len(before.Versions)+1 || len(w.published()) != 2 {
		t.Errorf("left behind: %+v, versions of the layer %v", got, w.published())
	}
}

func (w *world) back(t *testing.T) {
	before := w.function()
	list := w.layersmith("versions", "aws-utilities")
	if !strings.Contains(list, "current") {
		t.Errorf("versions says\n%s", list)
	}

	w.layersmith("rollback", "aws-utilities", "--watch", "--interval", "300ms")
	got := w.function()
	if got.Alias == before.Alias || len(got.Layers) != 1 || !strings.HasSuffix(got.Layers[0], layerName+":1") {
		t.Errorf("after going back: %+v", got)
	}

	out, err := w.try(filepath.Dir(w.workspace), w.env(), w.cli, "rollback", "aws-utilities", "--to", "99")
	if err == nil || !strings.Contains(out, "99") {
		t.Errorf("a version that is not there: %v\n%s", err, out)
	}
}

// schedule makes the deployed schedule fire now instead of next month.
func (w *world) schedule(t *testing.T) {
	client := scheduler.NewFromConfig(w.emulator.AWSConfig())
	list, err := client.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{})
	if err != nil || len(list.Schedules) != 1 {
		t.Fatalf("schedules %v %v", list, err)
	}

	s, err := client.GetSchedule(t.Context(),
		&scheduler.GetScheduleInput{Name: list.Schedules[0].Name, GroupName: list.Schedules[0].GroupName})
	if err != nil {
		t.Fatal(err)
	}

	since := len(w.executions())
	every := func(expression string) {
		if _, err := client.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{
			Name:               s.Name,
			GroupName:          s.GroupName,
			ScheduleExpression: &expression,
			Target:             s.Target,
			FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{
				Mode: schedulertypes.FlexibleTimeWindowModeOff,
			},
		}); err != nil {
			t.Fatal(err)
		}
	}
	every("rate(1 minute)")
	for range 300 {
		if len(w.executions()) > since {
			break
		}

		w.pause(200 * time.Millisecond)
	}

	every(*s.ScheduleExpression)
	end := w.settled(since)[0]
	if end.Outcome != release.Promoted { // it went back one step before: the refresh brings the newest again
		t.Errorf("the scheduled refresh ended %+v", end)
	}

	w.message("(schedule)")
}

func (w *world) largeAlarm(t *testing.T) {
	if _, err := w.alarms.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{
		Namespace: aws.String("Lambda/Optimization"),
		MetricData: []cwtypes.MetricDatum{{
			MetricName: aws.String("PackageSize"),
			Unit:       cwtypes.StandardUnitMegabytes,
			Value:      aws.Float64(214),
			Dimensions: []cwtypes.Dimension{{Name: aws.String("Stack"), Value: aws.String(stackName)}},
		}},
	}); err != nil {
		t.Fatal(err)
	}

	w.message("ALARM", "PackageSize")
}

// recordedFile holds executions of the deployed product for the tests of package operator.
const recordedFile = "internal/operator/testdata/executions.json"

// recorded is one execution as Step Functions describes it.
type recorded struct {
	Execution operator.Execution
	Events    []operator.Event
}

// described compares what the command line says of every execution with how it ended. With -record
// it records the first execution of each outcome.
func (w *world) described(t *testing.T) {
	var listed struct {
		Executions []operator.ExecutionRow `json:"executions"`
	}
	if err := json.Unmarshal([]byte(w.layersmith("executions", "--limit", "200", "--json")), &listed); err != nil {
		t.Fatal(err)
	}

	executions := awsport.Executions{Client: w.states, Machine: w.outputs["StateMachineArn"]}
	byOutcome := map[string]recorded{}
	for _, row := range listed.Executions {
		x, err := executions.Describe(t.Context(), row.ARN)
		if err != nil {
			t.Fatal(err)
		}

		if x.Status == "ABORTED" { // the one that was killed has no outcome
			continue
		}

		want := w.ending(row.ARN)
		if row.Outcome != string(want.Outcome) || row.Message != want.Message {
			t.Errorf("%s: %s %q, want %s %q", row.Execution, row.Outcome, row.Message, want.Outcome, want.Message)
		}

		events, err := executions.History(t.Context(), row.ARN, 0)
		if err != nil {
			t.Fatal(err)
		}

		byOutcome[row.Outcome] = recorded{x, events}
	}

	for _, o := range []release.Outcome{release.Promoted, release.Unchanged, release.RolledBack, release.FailedClean} {
		if _, ok := byOutcome[string(o)]; !ok {
			t.Errorf("no execution ended %s", o)
		}
	}

	if *record {
		w.record(byOutcome)
	}
}

func (w *world) record(byOutcome map[string]recorded) {
	b, err := json.MarshalIndent(byOutcome, "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(w.root, recordedFile), append(b, '\n'), 0o644)
	}

	if err != nil {
		w.t.Fatal(err)
	}
}
