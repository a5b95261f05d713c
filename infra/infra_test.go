package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/jsii-runtime-go"
	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/cli"
	"github.com/layersmith/layersmith/statemachine"
)

var update = flag.Bool("update", false, "rewrite testdata/iam and the tables in docs/iam.md")

// assets is a folder with a dummy file for every program.
var assets string

func TestMain(m *testing.M) {
	flag.Parse()
	code := run(m)
	jsii.Close()
	os.Exit(code)
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "infra-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	outputs = filepath.Join(dir, "out")
	assets = filepath.Join(dir, "build")
	for _, file := range (Config{Assets: assets}).binaries() {
		if err := write(file, []byte(file[len(dir):])); err != nil {
			panic(err)
		}
	}

	return m.Run()
}

// write writes an executable file and makes its folder.
func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}

	return os.WriteFile(file, content, 0o755)
}

// settings is the context of cdk.json with the dummy programs and some settings changed.
func settings(t *testing.T, changed map[string]any) map[string]any {
	t.Helper()
	doc, err := os.ReadFile("../cdk.json")
	if err != nil {
		t.Fatal(err)
	}

	var file struct{ Context map[string]any }
	if err := json.Unmarshal(doc, &file); err != nil {
		t.Fatal(err)
	}

	ours := file.Context["layersmith"].(map[string]any)
	ours["assets"] = assets
	maps.Copy(ours, changed)
	return file.Context
}

// The configurations of most tests: one close to cdk.json, and one with every setting changed.
var (
	plainSettings = map[string]any{"consumers": []any{"orders-*"}}
	allSettings   = map[string]any{
		"stackName":                 "tools",
		"runtime":                   "provided.al2023",
		"architecture":              "arm64",
		"prefix":                    "shared-",
		"schedule":                  "",
		"notify":                    "platform@example.com",
		"share":                     []any{"o-abcdefghij", "111122223333"},
		"consumers":                 []any{"orders-*", "billing"},
		"keepVersions":              5.0,
		"packageSizeAlarmMegabytes": 150.0,
		"retain":                    false,
		"noncurrentDays":            7.0,
		"kms":                       "create",
		"boundary":                  "developers",
		"logRetentionDays":          7.0,
		"codeBuildLambda":           true,
		"indexSecret":               "arn:aws:secretsmanager:eu-west-1:111122223333:secret:index-AbCdEf",
	}
)

var (
	outputs string
	synths  sync.Mutex // guards made and the CDK, which is one process
	made    = map[string]*assembly{}
)

// assembly is the result of a synthesis.
type assembly struct {
	template  map[string]any
	text      string   // of the template
	findings  []string // errors of cdk-nag and of the CDK
	warnings  []string
	resources map[string]resource
}

type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	Metadata       map[string]any
}

// synthesized returns the assembly for some settings. It synthesizes once for each name.
func synthesized(t *testing.T, name string, changed map[string]any) *assembly {
	t.Helper()
	synths.Lock()
	defer synths.Unlock()
	if made[name] != nil {
		return made[name]
	}

	context := settings(t, changed)
	cfg, err := configFrom(context)
	if err != nil {
		t.Fatal(err)
	}

	dir := filepath.Join(outputs, name)
	app := awscdk.NewApp(&awscdk.AppProps{Context: &context, Outdir: jsii.String(dir)})
	newStack(app, cfg)
	app.Synth(nil)
	made[name] = read(t, dir, cfg.StackName)
	return made[name]
}

func read(t *testing.T, dir, stack string) *assembly {
	t.Helper()
	var a assembly
	text, err := os.ReadFile(filepath.Join(dir, stack+".template.json"))
	if err != nil {
		t.Fatal(err)
	}

	a.text = string(text)
	var typed struct{ Resources map[string]resource }
	if err := errors.Join(json.Unmarshal(text, &a.template), json.Unmarshal(text, &typed)); err != nil {
		t.Fatal(err)
	}

	a.resources = typed.Resources
	entries := metadata(t, dir, stack)
	for _, path := range slices.Sorted(maps.Keys(entries)) {
		for _, e := range entries[path] {
			switch e.Type {
			case "aws:cdk:error":
				a.findings = append(a.findings, fmt.Sprintf("%s: %v", path, e.Data))
			case "aws:cdk:warning":
				a.warnings = append(a.warnings, fmt.Sprintf("%s: %v", path, e.Data))
			}
		}
	}

	return &a
}

// entry is one entry of a construct's metadata.
type entry struct {
	Type string
	Data any
}

// metadata returns the metadata of all constructs by path. The CDK writes it into a file of its
// own, the manifest, or both.
func metadata(t *testing.T, dir, stack string) map[string][]entry {
	t.Helper()
	entries := map[string][]entry{}
	if doc, err := os.ReadFile(filepath.Join(dir, stack+".metadata.json")); err == nil {
		if err := json.Unmarshal(doc, &entries); err != nil {
			t.Fatal(err)
		}
	}

	if doc, err := os.ReadFile(filepath.Join(dir, "manifest.json")); err == nil {
		var manifest struct {
			Artifacts map[string]struct{ Metadata map[string][]entry }
		}
		if err := json.Unmarshal(doc, &manifest); err != nil {
			t.Fatal(err)
		}

		maps.Copy(entries, manifest.Artifacts[stack].Metadata)
	}

	return entries
}

func plainStack(t *testing.T) *assembly { return synthesized(t, "plain", plainSettings) }
func allStack(t *testing.T) *assembly   { return synthesized(t, "all", allSettings) }

// byType returns the resources of a type, by readable name.
func (a *assembly) byType(kind string) map[string]resource {
	found := map[string]resource{}
	for id, r := range a.resources {
		if r.Type == kind {
			found[readable(id)] = r
		}
	}

	return found
}

var (
	hashed    = regexp.MustCompile(`([A-Za-z]+?)[0-9A-F]{8}\b`)
	content64 = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
)

// readable removes the CDK's hashes from names.
func readable(text string) string {
	return content64.ReplaceAllString(hashed.ReplaceAllString(text, "$1"), "<sha256>")
}

// at returns a nested property, for example at(p, "Code", "S3Key"), or nil.
func at(value any, path ...string) any {
	for _, key := range path {
		m, _ := value.(map[string]any)
		value = m[key]
	}

	return value
}

// list returns the values of a property that may be one value or a list.
func list(value any) []string {
	many, ok := value.([]any)
	if !ok {
		many = []any{value}
	}

	var out []string
	for _, v := range many {
		out = append(out, readable(flat(v)))
	}

	return out
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// statement is one statement of a role, with readable resources.
type statement struct {
	Sid       string   `json:"sid"`
	Effect    string   `json:"effect"`
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
	Condition any      `json:"condition,omitempty"`
}

// statements returns the policy of a role, which must be its only one.
func statements(t *testing.T, name string, role resource) []statement {
	t.Helper()
	if role.Properties["ManagedPolicyArns"] != nil {
		t.Errorf("%s has managed policies", name)
	}

	policies, _ := role.Properties["Policies"].([]any)
	if len(policies) > 1 {
		t.Errorf("%s has %d policies, want one", name, len(policies))
	}

	all := []statement{}
	for _, p := range policies {
		for _, raw := range at(p, "PolicyDocument", "Statement").([]any) {
			s := raw.(map[string]any)
			if s["NotAction"] != nil || s["NotResource"] != nil {
				t.Errorf("%s grants by exclusion: %v", name, s)
			}

			all = append(all, statement{
				Sid:       fmt.Sprint(s["Sid"]),
				Effect:    fmt.Sprint(s["Effect"]),
				Actions:   list(s["Action"]),
				Resources: list(s["Resource"]),
				Condition: s["Condition"],
			})
		}
	}

	return all
}

func TestFunctionsAreWhatTheTableSays(t *testing.T) {
	a := plainStack(t)
	functions := a.byType("AWS::Lambda::Function")
	groups := a.byType("AWS::Logs::LogGroup")
	if len(functions) != len(functionTable) || len(functionTable) != 12 {
		t.Fatalf("%d functions in the template, %d in the table, want 12", len(functions), len(functionTable))
	}

	for _, f := range functionTable {
		p := functions[title(f.name)].Properties
		wantProperties(t, f.name, p, map[string]any{
			"FunctionName":                 "layersmith-" + f.name,
			"Runtime":                      "provided.al2",
			"Handler":                      "bootstrap",
			"Architectures":                []any{"x86_64"},
			"MemorySize":                   float64(f.memory),
			"Timeout":                      float64(f.seconds),
			"EphemeralStorage.Size":        float64(f.storage),
			"ReservedConcurrentExecutions": nil,
			"TracingConfig":                nil,
		})
		wantEqual(t, f.name+"'s role", flatReadable(p["Role"]), "<"+title(f.name)+"Role.Arn>")
		wantEqual(t, f.name+"'s log", flatReadable(at(p, "LoggingConfig", "LogGroup")), "<"+title(f.name)+"Log>")
		wantProperties(t, f.name+"'s log group", groups[title(f.name)+"Log"].Properties, map[string]any{
			"LogGroupName":    "/aws/lambda/layersmith-" + f.name,
			"RetentionInDays": 30.0,
		})

		env := map[string]string{}
		for k, v := range at(p, "Environment", "Variables").(map[string]any) {
			env[k] = flatReadable(v)
		}

		wantEqual(t, f.name+"'s environment", env, map[string]string{
			"LAYERSMITH_STACK":        "layersmith",
			"LAYERSMITH_STORE":        "<Store>",
			"LAYERSMITH_WORKSPACE":    "<Workspace>",
			"LAYERSMITH_PREFIX":       "layersmith-",
			"LAYERSMITH_SHARE":        "",
			"LAYERSMITH_KEEP":         "3",
			"LAYERSMITH_TOPIC":        "<Topic>",
			"LAYERSMITH_PROBE_ROLE":   "<ProbeRole.Arn>",
			"LAYERSMITH_PROBE_PREFIX": "layersmith-probe-",
			"LAYERSMITH_CONSOLE": "https://<AWS::Region>.console.aws.amazon.com/states/home?region=<AWS::Region>" +
				"#/v2/executions/details/",
		})
	}
}

// wantProperties compares some properties; a dot leads to a nested one. nil is a property that must
// be missing.
func wantProperties(t *testing.T, what string, properties map[string]any, want map[string]any) {
	t.Helper()
	got := map[string]any{}
	for path := range want {
		got[path] = at(properties, strings.Split(path, ".")...)
	}

	wantEqual(t, what, got, want)
}

func flatReadable(value any) string { return readable(flat(value)) }

func TestEveryLogGroupHasRetention(t *testing.T) {
	for _, a := range []*assembly{plainStack(t), allStack(t)} {
		groups := a.byType("AWS::Logs::LogGroup")
		if len(groups) != len(functionTable)+2 {
			t.Errorf("%d log groups, want one for each function, the builds and the state machine", len(groups))
		}

		for name, g := range groups {
			if g.Properties["RetentionInDays"] == nil || g.DeletionPolicy != "Delete" {
				t.Errorf("%s: retention %v, on deletion %s", name, g.Properties["RetentionInDays"], g.DeletionPolicy)
			}
		}
	}
}

// The states that call functions, the functions of the stack, the placeholders and the grants are
// the same set.
func TestStatesFunctionsPlaceholdersAndGrantsAgree(t *testing.T) {
	a := plainStack(t)
	machine := a.byType("AWS::StepFunctions::StateMachine")["Pipeline"].Properties
	text, _ := machine["DefinitionString"].(string)
	parsed, err := statemachine.Parse(text)
	if err != nil {
		t.Fatal(err)
	}

	called := map[string]bool{}
	longest := map[string]int{}
	for _, s := range parsed.All() {
		if name := s.Function(); name != "" {
			called[name] = true
			if longest[name] == 0 || s.TimeoutSeconds < longest[name] {
				longest[name] = s.TimeoutSeconds
			}
		}
	}

	var table []string
	for _, f := range functionTable {
		table = append(table, title(f.name))
		if longest[title(f.name)] <= f.seconds {
			t.Errorf("%s: the state times out after %d s, the function after %d s; the function must be first, "+
				"so that its error says why", f.name, longest[title(f.name)], f.seconds)
		}
	}

	slices.Sort(table)
	wantEqual(t, "states", slices.Sorted(maps.Keys(called)), table)
	placeholders := append(slices.Clone(table), statemachine.BuildProject)
	slices.Sort(placeholders)
	wantEqual(t, "placeholders", statemachine.Placeholders(), placeholders)

	values := map[string]string{}
	for name, v := range machine["DefinitionSubstitutions"].(map[string]any) {
		values[name] = flatReadable(v)
	}

	want := map[string]string{"BuildProject": "<Build>"}
	var arns []string
	for _, name := range table {
		want[name] = "<" + name + ".Arn>"
		arns = append(arns, want[name])
	}

	wantEqual(t, "substitutions", values, want)
	for _, s := range statements(t, "PipelineRole", a.byType("AWS::IAM::Role")["PipelineRole"]) {
		if s.Sid == "Functions" {
			slices.Sort(s.Resources)
			wantEqual(t, "grant to call functions", s.Resources, arns)
			return
		}
	}

	t.Error("the state machine has no grant to call functions")
}

func TestStateMachineLogsErrorsWithoutData(t *testing.T) {
	p := plainStack(t).byType("AWS::StepFunctions::StateMachine")["Pipeline"].Properties
	wantProperties(t, "state machine", p, map[string]any{
		"StateMachineType":                          "STANDARD",
		"StateMachineName":                          "layersmith",
		"TracingConfiguration.Enabled":              false,
		"LoggingConfiguration.Level":                "ERROR",
		"LoggingConfiguration.IncludeExecutionData": false,
	})
}

func TestBucketsAreClosedVersionedAndTidy(t *testing.T) {
	a := plainStack(t)
	buckets := a.byType("AWS::S3::Bucket")
	policies := a.byType("AWS::S3::BucketPolicy")
	for _, name := range []string{"Workspace", "Store"} {
		b := buckets[name]
		p := b.Properties
		wantProperties(t, name, p, map[string]any{
			"VersioningConfiguration.Status": "Enabled",
			"PublicAccessBlockConfiguration": map[string]any{
				"BlockPublicAcls":       true,
				"BlockPublicPolicy":     true,
				"IgnorePublicAcls":      true,
				"RestrictPublicBuckets": true,
			},
		})
		wantEqual(t, name+"'s deletion policy", b.DeletionPolicy, "Retain")
		if algorithm := fmt.Sprint(at(p, "BucketEncryption")); !strings.Contains(algorithm, "AES256") {
			t.Errorf("%s is encrypted by %s", name, algorithm)
		}

		deny := fmt.Sprint(policies[name+"Policy"].Properties)
		if !strings.Contains(deny, "aws:SecureTransport:false") || !strings.Contains(deny, "Effect:Deny") {
			t.Errorf("%s allows requests without TLS: %s", name, deny)
		}

		rules, _ := json.Marshal(at(p, "LifecycleConfiguration", "Rules"))
		want := `{"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1},"ExpiredObjectDeleteMarker":true,` +
			`"Id":"leftovers","NoncurrentVersionExpiration":{"NoncurrentDays":30},"Status":"Enabled"}`
		if name == "Store" {
			want += `,{"ExpirationInDays":30,"Id":"artifacts","Prefix":"artifacts/","Status":"Enabled"}`
		}

		wantEqual(t, name+"'s lifecycle", string(rules), "["+want+"]")
	}

	wantEqual(t, "events of the workspace", at(buckets["Workspace"].Properties, "NotificationConfiguration"),
		any(map[string]any{"EventBridgeConfiguration": map[string]any{"EventBridgeEnabled": true}}))
	wantEqual(t, "events of the store", at(buckets["Store"].Properties, "NotificationConfiguration"), any(nil))
	for id, r := range a.resources {
		if strings.HasPrefix(r.Type, "Custom::") || r.Type == "AWS::CloudFormation::CustomResource" {
			t.Errorf("%s is a custom resource", id)
		}
	}
}

func TestBuildRunsOurCommandLineAndNothingElse(t *testing.T) {
	p := plainStack(t).byType("AWS::CodeBuild::Project")["Build"].Properties
	var commands []string
	for _, line := range strings.Split(fmt.Sprint(at(p, "Source", "BuildSpec")), "\n") {
		if command, is := strings.CutPrefix(strings.TrimSpace(line), "- "); is {
			commands = append(commands, command)
		}
	}

	wantEqual(t, "commands", commands, []string{
		"python3 -m pip install uv==0.13.9",
		`LAYERSMITH_CACHE="$PWD/.cache/layersmith" UV_CACHE_DIR="$PWD/.cache/uv" ` +
			`./layersmith artifacts "s3://$LAYERSMITH_STORE/runs/$LAYERSMITH_RUN"`,
	})

	var stderr bytes.Buffer
	code := cli.Main([]string{"artifacts", "s3://store/runs/"}, cli.Streams{Out: io.Discard, Err: &stderr})
	if code != 2 || !strings.Contains(stderr.String(), "is not the address of a run") {
		t.Errorf("the command line does not know the command: exit %d, %s", code, stderr.String())
	}

	wantProperties(t, "environment", p, map[string]any{
		"Environment.Type":           "LINUX_CONTAINER",
		"Environment.Image":          "aws/codebuild/amazonlinux-x86_64-standard:6.0",
		"Environment.ComputeType":    "BUILD_GENERAL1_SMALL",
		"Environment.PrivilegedMode": nil,
		"TimeoutInMinutes":           55.0,
		"Cache.Type":                 "LOCAL",
	})
	wantEqual(t, "log", flatReadable(at(p, "LogsConfig", "CloudWatchLogs", "GroupName")), "<BuildLog>")
}

func TestUploadsAndTheScheduleStartExecutions(t *testing.T) {
	a := plainStack(t)
	rule := a.byType("AWS::Events::Rule")["Upload"].Properties
	pattern, _ := json.Marshal(rule["EventPattern"])
	wantEqual(t, "pattern", readable(string(pattern)),
		`{"detail":{"bucket":{"name":[{"Ref":"Workspace"}]},"object":{"key":[{"prefix":"layers/"}]}},`+
			`"detail-type":["Object Created"],"source":["aws.s3"]}`)

	target := rule["Targets"].([]any)[0].(map[string]any)
	wantProperties(t, "target", target, map[string]any{"Input": nil, "InputPath": nil, "InputTransformer": nil})
	wantEqual(t, "target", flatReadable(target["Arn"]), "<Pipeline.Arn>")
	wantEqual(t, "dead letters", flatReadable(at(target, "DeadLetterConfig", "Arn")), "<DeadLetters.Arn>")

	s := a.byType("AWS::Scheduler::Schedule")["Refresh"].Properties
	wantProperties(t, "schedule", s, map[string]any{
		"ScheduleExpression":                      "cron(0 3 1 * ? *)",
		"Target.Input":                            `{"refresh":true,"trigger":"schedule"}`,
		"Target.RetryPolicy.MaximumRetryAttempts": 3.0,
	})

	target = s["Target"].(map[string]any)
	wantEqual(t, "schedule's target", flatReadable(target["Arn"]), "<Pipeline.Arn>")
	wantEqual(t, "schedule's dead letters", flatReadable(at(target, "DeadLetterConfig", "Arn")), "<DeadLetters.Arn>")

	wantEqual(t, "queue", at(a.byType("AWS::SQS::Queue")["DeadLetters"].Properties, "SqsManagedSseEnabled"), any(true))
	if n := len(allStack(t).byType("AWS::Scheduler::Schedule")); n != 0 {
		t.Errorf("%d schedules with schedule \"\"", n)
	}
}

func TestAlarmsPublishToTheTopic(t *testing.T) {
	a := plainStack(t)
	got := map[string]string{}
	for _, r := range a.byType("AWS::CloudWatch::Alarm") {
		p := r.Properties
		dimensions, _ := json.Marshal(p["Dimensions"])
		got[fmt.Sprint(p["AlarmName"])] = fmt.Sprintf("%v %v %s %v %v %v every %v s, %v period, missing %v, to %v",
			p["Namespace"], p["MetricName"], readable(string(dimensions)),
			p["Statistic"], p["ComparisonOperator"], p["Threshold"],
			p["Period"], p["EvaluationPeriods"], p["TreatMissingData"], list(p["AlarmActions"]))
	}

	const (
		ofStack   = `[{"Name":"Stack","Value":"layersmith"}]`
		ofMachine = `[{"Name":"StateMachineArn","Value":{"Fn::GetAtt":["Pipeline","Arn"]}}]`
		ofQueue   = `[{"Name":"QueueName","Value":{"Fn::GetAtt":["DeadLetters","QueueName"]}}]`
		tooLarge  = " Maximum GreaterThanThreshold 200 every 300 s, 1 period, missing ignore, to [<Topic>]"
		atLeast1  = " GreaterThanOrEqualToThreshold 1 every 300 s, 1 period, missing notBreaching, to [<Topic>]"
	)
	wantEqual(t, "alarms", got, map[string]string{
		"layersmith-PackageSize":        "Lambda/Optimization PackageSize " + ofStack + tooLarge,
		"layersmith-FailedDirty":        "Lambda/Optimization FailedDirty " + ofStack + " Sum" + atLeast1,
		"layersmith-ExecutionsFailed":   "AWS/States ExecutionsFailed " + ofMachine + " Sum" + atLeast1,
		"layersmith-ExecutionsTimedOut": "AWS/States ExecutionsTimedOut " + ofMachine + " Sum" + atLeast1,
		"layersmith-DeadLetters": "AWS/SQS ApproximateNumberOfMessagesVisible " + ofQueue + " Maximum" +
			atLeast1,
	})

	var may bool
	policy := a.byType("AWS::SNS::TopicPolicy")["TopicPolicy"].Properties
	for _, s := range at(policy, "PolicyDocument", "Statement").([]any) {
		may = may || at(s, "Principal", "Service") == "cloudwatch.amazonaws.com" && at(s, "Effect") == "Allow"
	}

	if !may {
		t.Error("the topic's policy does not let alarms publish")
	}
}

func TestDashboardShowsEveryMetric(t *testing.T) {
	board := plainStack(t).byType("AWS::CloudWatch::Dashboard")["Dashboard"].Properties
	body := flatReadable(board["DashboardBody"])

	var parsed struct{ Widgets []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &parsed); err != nil {
		t.Fatal(err)
	}

	metrics := []string{
		"PackageSize", "ZippedSize", "BytesSaved", "ImportTime", "BuildDuration", "LockAge", "BucketSizeBytes",
	}
	for _, metric := range append(metrics, statemachine.Outcomes()...) {
		if !strings.Contains(body, `"`+metric) {
			t.Errorf("no %s on the dashboard", metric)
		}
	}

	if !strings.Contains(body, `"value":250`) || !strings.Contains(body, `"value":200`) {
		t.Error("the limits are not on the dashboard")
	}
}

func TestOutputsAreWhatTheCommandLineReads(t *testing.T) {
	got := map[string]string{}
	for name, o := range plainStack(t).template["Outputs"].(map[string]any) {
		got[name] = flatReadable(at(o, "Value"))
	}

	wantEqual(t, "outputs", got, map[string]string{
		"WorkspaceBucket": "<Workspace>",
		"StoreBucket":     "<Store>",
		"StateMachineArn": "<Pipeline.Arn>",
		"TopicArn":        "<Topic>",
		"DashboardName":   "<Dashboard>",
		"BuildProject":    "<Build>",
		"Prefix":          "layersmith-",
	})
}

func TestSynthesisIsTheSameTwice(t *testing.T) {
	if a, b := plainStack(t), synthesized(t, "again", plainSettings); a.text != b.text {
		t.Error(cmp.Diff(a.text, b.text))
	}
}

func TestOneLineChangesTheRuntime(t *testing.T) {
	changed := maps.Clone(plainSettings)
	changed["runtime"] = "provided.al2023"
	a := plainStack(t)
	b := synthesized(t, "al2023", changed)
	if n := strings.Count(a.text, `"Runtime": "provided.al2"`); n != len(functionTable) {
		t.Fatalf("%d functions on provided.al2", n)
	}

	if strings.ReplaceAll(a.text, `"provided.al2"`, `"provided.al2023"`) != b.text {
		t.Error(cmp.Diff(a.text, b.text))
	}

	wantEqual(t, "warnings with provided.al2", a.warnings, []string{
		"/layersmith: AWS stops creating functions on provided.al2 on 2027-02-01 and updating them on 2027-03-03; " +
			"set layersmith.runtime to provided.al2023 in cdk.json [ack: layersmith:runtime]",
	})
	wantEqual(t, "warnings with provided.al2023", b.warnings, []string(nil))
}

func TestEveryOptionReachesItsResources(t *testing.T) {
	a := allStack(t)
	for name, f := range a.byType("AWS::Lambda::Function") {
		p := f.Properties
		wantProperties(t, name, p, map[string]any{
			"Runtime":                                 "provided.al2023",
			"Architectures":                           []any{"arm64"},
			"Environment.Variables.LAYERSMITH_SHARE":  "o-abcdefghij,111122223333",
			"Environment.Variables.LAYERSMITH_KEEP":   "5",
			"Environment.Variables.LAYERSMITH_PREFIX": "shared-",
		})
	}

	build := a.byType("AWS::CodeBuild::Project")["Build"].Properties
	wantProperties(t, "build", build, map[string]any{
		"Environment.Type":        "ARM_LAMBDA_CONTAINER",
		"Environment.Image":       "aws/codebuild/amazonlinux-aarch64-lambda-standard:python3.13",
		"Environment.ComputeType": "BUILD_LAMBDA_1GB",
		"TimeoutInMinutes":        nil,
		"Cache":                   nil,
	})
	wantEqual(t, "build's key", flatReadable(build["EncryptionKey"]), "<Key.Arn>")

	env, _ := json.Marshal(at(build, "Environment", "EnvironmentVariables"))
	if secret := allSettings["indexSecret"].(string); !strings.Contains(string(env),
		`{"Name":"UV_INDEX_URL","Type":"SECRETS_MANAGER","Value":"`+secret+`"}`) {
		t.Errorf("the index's secret is not in %s", env)
	}

	for name, r := range a.byType("AWS::IAM::Role") {
		got := flatReadable(r.Properties["PermissionsBoundary"])
		wantEqual(t, name+"'s boundary", got, "arn:<AWS::Partition>:iam::<AWS::AccountId>:policy/developers")
	}

	for name, b := range a.byType("AWS::S3::Bucket") {
		text, _ := json.Marshal(b.Properties["BucketEncryption"])
		if !strings.Contains(readable(string(text)), `"KMSMasterKeyID":{"Fn::GetAtt":["Key","Arn"]}`) {
			t.Errorf("%s: encryption %s", name, text)
		}

		wantEqual(t, name+"'s deletion policy", b.DeletionPolicy, "Delete")
	}

	for name, g := range a.byType("AWS::Logs::LogGroup") {
		wantEqual(t, name+"'s key", flatReadable(g.Properties["KmsKeyId"]), "<Key.Arn>")
		wantEqual(t, name+"'s retention", g.Properties["RetentionInDays"], any(7.0))
	}

	topic := a.byType("AWS::SNS::Topic")["Topic"].Properties
	queue := a.byType("AWS::SQS::Queue")["DeadLetters"].Properties
	wantEqual(t, "topic's key", flatReadable(topic["KmsMasterKeyId"]), "<Key.Arn>")
	wantEqual(t, "queue's key", flatReadable(queue["KmsMasterKeyId"]), "<Key.Arn>")

	policy := fmt.Sprint(a.byType("AWS::KMS::Key")["Key"].Properties["KeyPolicy"])
	for _, service := range []string{"cloudwatch.amazonaws.com", "events.amazonaws.com", "logs."} {
		if !strings.Contains(policy, service) {
			t.Errorf("the key's policy does not name %s", service)
		}
	}

	holders := []string{"build"}
	for _, f := range functionTable {
		holders = append(holders, f.name)
	}

	for _, name := range holders {
		wantGrant(t, a, title(name)+"Role", statement{
			Sid: "Key", Effect: "Allow",
			Actions:   []string{"kms:Decrypt", "kms:GenerateDataKey"},
			Resources: []string{"<Key.Arn>"},
		})
	}

	wantGrant(t, a, "BuildRole", statement{
		Sid: "Index", Effect: "Allow",
		Actions:   []string{"secretsmanager:GetSecretValue"},
		Resources: []string{allSettings["indexSecret"].(string)},
	})

	if s := fmt.Sprint(a.byType("AWS::SNS::Subscription")); !strings.Contains(s, "platform@example.com") {
		t.Errorf("the address is not subscribed: %s", s)
	}

	alarm := a.byType("AWS::CloudWatch::Alarm")["PackageSizeAlarm"].Properties
	wantEqual(t, "alarm's threshold", alarm["Threshold"], any(150.0))
}

func wantGrant(t *testing.T, a *assembly, role string, want statement) {
	t.Helper()
	for _, s := range statements(t, role, a.byType("AWS::IAM::Role")[role]) {
		if s.Sid == want.Sid {
			wantEqual(t, role, s, want)
			return
		}
	}

	t.Errorf("%s has no grant %s", role, want.Sid)
}

func TestChecksHaveNoFindings(t *testing.T) {
	for _, a := range []*assembly{plainStack(t), allStack(t)} {
		for _, f := range a.findings {
			t.Error(f)
		}
	}
}

// Every suppression has a reason, and no suppression allows all wildcards of a role.
func TestSuppressionsAreNarrowAndExplained(t *testing.T) {
	for id, r := range plainStack(t).resources {
		rules, _ := at(r.Metadata, "cdk_nag", "rules_to_suppress").([]any)
		for _, s := range rules {
			reason, _ := at(s, "reason").(string)
			if len(strings.Fields(reason)) < 4 {
				t.Errorf("%s: %v for %q", id, at(s, "id"), reason)
			}

			if at(s, "id") == "AwsSolutions-IAM5" && at(s, "applies_to") == nil {
				t.Errorf("%s: every wildcard is allowed", id)
			}
		}
	}
}

// cdk-nag really runs: it finds something in a bucket with default settings.
func TestChecksFindAnOpenBucket(t *testing.T) {
	synths.Lock()
	defer synths.Unlock()
	dir := filepath.Join(outputs, "open")
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(dir)})
	stack := awscdk.NewStack(app, jsii.String("open"), nil)
	awss3.NewBucket(stack, jsii.String("Bucket"), nil)
	newChecks(stack, Config{Runtime: "provided.al2023"})
	app.Synth(nil)

	findings := strings.Join(read(t, dir, "open").findings, "\n")
	if !strings.Contains(findings, "AwsSolutions-S1:") || !strings.Contains(findings, "AwsSolutions-S10:") {
		t.Errorf("found only: %s", findings)
	}
}
