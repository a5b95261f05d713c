package main

import (
	"bytes"
	"encoding/json"
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

// assets is a folder with a stand-in for every program.
var assets string

func TestMain(m *testing.M) {
	flag.Parse()
	code := func() int {
		dir, err := os.MkdirTemp("", "infra-")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(dir)
		assets = filepath.Join(dir, "build")
		for _, file := range (Config{Assets: assets}).binaries() {
			if err := errorsOf(
				os.MkdirAll(filepath.Dir(file), 0o755),
				os.WriteFile(file, []byte(file[len(dir):]), 0o755),
			); err != nil {
				panic(err)
			}
		}

		outputs = filepath.Join(dir, "out")
		return m.Run()
	}()
	jsii.Close()
	os.Exit(code)
}

func errorsOf(list ...error) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}

	return nil
}

// settings are those of cdk.json with some of them changed, and folders that exist.
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

// The configurations that are synthesized, each once in a test binary.
var (
	plainSettings = map[string]any{"consumers": []any{"orders-*"}}
	allSettings   = map[string]any{
		"stackName":    "tools",
		"runtime":      "provided.al2023",
		"architecture": "arm64",
		"prefix":       "shared-",
		"schedule":     "",
		"notify":       "platform@example.com",
		"share": []any{
			"o-abcdefghij",
			"111122223333",
		},
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
	synths  sync.Mutex // the CDK is one process
	made    = map[string]*assembly{}
)

// assembly is what a synthesis leaves.
type assembly struct {
	template  map[string]any
	text      string
	findings  []string // errors, of cdk-nag and of the CDK
	warnings  []string
	resources map[string]resource
}

type resource struct {
	Type           string
	Properties     map[string]any
	DeletionPolicy string
	Metadata       map[string]any
}

// synthesized gives the assembly of some settings; name tells equal ones apart.
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
	if err := errorsOf(json.Unmarshal(text, &a.template), json.Unmarshal(text, &typed)); err != nil {
		t.Fatal(err)
	}

	a.resources = typed.Resources
	entries := map[string][]struct {
		Type string
		Data any
	}{}
	for _, file := range []string{stack + ".metadata.json", "manifest.json"} {
		doc, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}

		if file == "manifest.json" {
			var manifest struct {
				Artifacts map[string]struct {
					Metadata map[string][]struct {
						Type string
						Data any
					}
				}
			}
			if err := json.Unmarshal(doc, &manifest); err != nil {
				t.Fatal(err)
			}

			maps.Copy(entries, manifest.Artifacts[stack].Metadata)
		} else if err := json.Unmarshal(doc, &entries); err != nil {
			t.Fatal(err)
		}
	}

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

func plainStack(t *testing.T) *assembly { return synthesized(t, "plain", plainSettings) }
func allStack(t *testing.T) *assembly   { return synthesized(t, "all", allSettings) }

// byType are the resources of a type, by readable name.
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

// readable takes the CDK's hashes out of names.
func readable(text string) string {
	return content64.ReplaceAllString(hashed.ReplaceAllString(text, "$1"), "<sha256>")
}

// at walks into properties: at(p, "Code", "S3Key").
func at(value any, path ...string) any {
	for _, key := range path {
		m, _ := value.(map[string]any)
		value = m[key]
	}

	return value
}

// list is what stands for one or many in a template.
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

// statement is one statement of a role as a person reads it.
type statement struct {
	Sid       string   `json:"sid"`
	Effect    string   `json:"effect"`
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
	Condition any      `json:"condition,omitempty"`
}

// statements are the policy of a role, which must have no other.
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

			all = append(
				all,
				statement{
					fmt.Sprint(s["Sid"]),
					fmt.Sprint(s["Effect"]),
					list(s["Action"]),
					list(s["Resource"]),
					s["Condition"],
				},
			)
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
		wantEqual(
			t,
			f.name,
			[]any{
				p["FunctionName"],
				p["Runtime"],
				p["Handler"],
				p["Architectures"],
				p["MemorySize"],
				p["Timeout"],
				at(p,
					"EphemeralStorage", "Size"),
				p["ReservedConcurrentExecutions"],
				p["TracingConfig"],
			},
			[]any{
				"layersmith-" + f.name,
				"provided.al2",
				"bootstrap",
				[]any{"x86_64"},
				float64(f.memory),
				float64(f.seconds),
				float64(f.storage),
				nil,
				nil,
			},
		)
		wantEqual(t, f.name+"'s role", flatReadable(p["Role"]), "<"+title(f.name)+"Role.Arn>")
		wantEqual(t, f.name+"'s log", flatReadable(at(p, "LoggingConfig", "LogGroup")), "<"+title(f.name)+"Log>")
		group := groups[title(f.name)+"Log"].Properties
		wantEqual(
			t,
			f.name+"'s log group",
			[]any{group["LogGroupName"], group["RetentionInDays"]},
			[]any{"/aws/lambda/layersmith-" + f.name, 30.0},
		)
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
			"LAYERSMITH_CONSOLE":      "https://<AWS::Region>.console.aws.amazon.com/states/home?region=<AWS::Region>#/v2/executions/details/",
		})
	}
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
			t.Errorf(
				"%s: the state gives up after %d s, the function after %d s; the function must be first, so that it "+
					"says why",
				f.name,
				longest[title(f.name)],
				f.seconds,
			)
		}
	}

	slices.Sort(table)
	wantEqual(t, "states", slices.Sorted(maps.Keys(called)), table)
	wantEqual(
		t,
		"placeholders",
		statemachine.Placeholders(),
		slices.Sorted(slices.Values(append(slices.Clone(table), statemachine.BuildProject))),
	)
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

	t.Error("the state machine may call no function")
}

func TestStateMachineLogsErrorsWithoutData(t *testing.T) {
	p := plainStack(t).byType("AWS::StepFunctions::StateMachine")["Pipeline"].Properties
	wantEqual(
		t,
		"type, name, tracing, log",
		[]any{p["StateMachineType"], p["StateMachineName"], at(p, "TracingConfiguration", "Enabled"), at(p,
			"LoggingConfiguration", "Level"), at(p, "LoggingConfiguration", "IncludeExecutionData")},
		[]any{"STANDARD", "layersmith", false, "ERROR", false},
	)
}

func TestBucketsAreClosedVersionedAndTidy(t *testing.T) {
	a := plainStack(t)
	buckets := a.byType("AWS::S3::Bucket")
	policies := a.byType("AWS::S3::BucketPolicy")
	for _, name := range []string{"Workspace", "Store"} {
		b := buckets[name]
		p := b.Properties
		wantEqual(
			t,
			name,
			[]any{at(p, "VersioningConfiguration", "Status"), p["PublicAccessBlockConfiguration"], b.DeletionPolicy},
			[]any{
				"Enabled",
				map[string]any{
					"BlockPublicAcls":       true,
					"BlockPublicPolicy":     true,
					"IgnorePublicAcls":      true,
					"RestrictPublicBuckets": true,
				},
				"Retain",
			},
		)
		if algorithm := fmt.Sprint(at(p, "BucketEncryption")); !strings.Contains(algorithm, "AES256") {
			t.Errorf("%s is encrypted by %s", name, algorithm)
		}

		if deny := fmt.Sprint(
			policies[name+"Policy"].Properties,
		); !strings.Contains(deny, "aws:SecureTransport:false") ||
			!strings.Contains(deny,
				"Effect:Deny") {
			t.Errorf("%s allows requests without TLS: %s", name, deny)
		}

		rules, _ := json.Marshal(at(p, "LifecycleConfiguration", "Rules"))
		want := `{"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1},"ExpiredObjectDeleteMarker":true,"Id":"leftovers","NoncurrentVersionExpiration":{"NoncurrentDays":30},"Status":"Enabled"}`
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

	wantEqual(
		t,
		"commands",
		commands,
		[]string{
			"python3 -m pip install uv==0.13.9",
			`LAYERSMITH_CACHE="$PWD/.cache/layersmith" UV_CACHE_DIR="$PWD/.cache/uv" ./layersmith artifacts "s3://$LAYERSMITH_STORE/runs/$LAYERSMITH_RUN"`,
		},
	)
	var complaint bytes.Buffer
	streams := cli.Streams{Out: io.Discard, Err: &complaint}
	if code := cli.Main(
		[]string{"artifacts", "s3://store/runs/"},
		streams,
	); code != 2 ||
		!strings.Contains(complaint.String(), "is not the address of a run") {
		t.Errorf("the command line does not know the command: exit %d, %s", code, complaint.String())
	}

	wantEqual(
		t,
		"environment",
		[]any{
			at(p, "Environment", "Type"),
			at(p, "Environment", "Image"),
			at(p, "Environment", "ComputeType"),
			at(p, "Environment",
				"PrivilegedMode"),
			p["TimeoutInMinutes"],
			at(p, "Cache", "Type"),
		},
		[]any{
			"LINUX_CONTAINER",
			"aws/codebuild/amazonlinux-x86_64-standard:6.0",
			"BUILD_GENERAL1_SMALL",
			nil,
			55.0,
			"LOCAL",
		},
	)
	wantEqual(t, "log", flatReadable(at(p, "LogsConfig", "CloudWatchLogs", "GroupName")), "<BuildLog>")
}

func TestUploadsAndTheScheduleStartExecutions(t *testing.T) {
	a := plainStack(t)
	rule := a.byType("AWS::Events::Rule")["Upload"].Properties
	pattern, _ := json.Marshal(rule["EventPattern"])
	wantEqual(
		t,
		"pattern",
		readable(string(pattern)),
		`{"detail":{"bucket":{"name":[{"Ref":"Workspace"}]},"object":{"key":[{"prefix":"layers/"}]}},"detail-type":["Object Created"],"source":["aws.s3"]}`,
	)
	target := rule["Targets"].([]any)[0].(map[string]any)
	wantEqual(
		t,
		"target",
		[]any{
			flatReadable(target["Arn"]),
			target["Input"],
			target["InputPath"],
			target["InputTransformer"],
			flatReadable(at(target, "DeadLetterConfig",
				"Arn")),
		},
		[]any{"<Pipeline.Arn>", nil, nil, nil, "<DeadLetters.Arn>"},
	)
	s := a.byType("AWS::Scheduler::Schedule")["Refresh"].Properties
	wantEqual(
		t,
		"schedule",
		[]any{s["ScheduleExpression"], at(s, "Target", "Input"), at(s, "Target", "RetryPolicy", "MaximumRetryAttempts"),
			flatReadable(at(s, "Target", "DeadLetterConfig", "Arn")), flatReadable(at(s, "Target", "Arn"))},
		[]any{"cron(0 3 1 * ? *)", `{"refresh":true,"trigger":"schedule"}`, 3.0, "<DeadLetters.Arn>", "<Pipeline.Arn>"},
	)
	wantEqual(t, "queue", at(a.byType("AWS::SQS::Queue")["DeadLetters"].Properties, "SqsManagedSseEnabled"), any(true))
	if n := len(allStack(t).byType("AWS::Scheduler::Schedule")); n != 0 {
		t.Errorf("%d schedules with schedule \"\"", n)
	}
}

func TestAlarmsTellTheTopic(t *testing.T) {
	a := plainStack(t)
	got := map[string]string{}
	for _, r := range a.byType("AWS::CloudWatch::Alarm") {
		p := r.Properties
		dimensions, _ := json.Marshal(p["Dimensions"])
		got[fmt.Sprint(p["AlarmName"])] = strings.Join(
			strings.Fields(fmt.Sprint(p["Namespace"], " ", p["MetricName"], " ", readable(string(dimensions)),
				" ", p["Statistic"], " ", p["ComparisonOperator"], " ", p["Threshold"], " ", p["Period"], " ",
				p["EvaluationPeriods"], " ", p["TreatMissingData"], " ", list(p["AlarmActions"]))),
			" ",
		)
	}

	const ours = `Lambda/Optimization %s [{"Name":"Stack","Value":"layersmith"}] `
	wantEqual(t, "alarms", got, map[string]string{
		"layersmith-PackageSize": fmt.Sprintf(
			ours,
			"PackageSize",
		) + "Maximum GreaterThanThreshold 200 300 1 ignore [<Topic>]",
		"layersmith-FailedDirty": fmt.Sprintf(
			ours,
			"FailedDirty",
		) + "Sum GreaterThanOrEqualToThreshold 1 300 1 notBreaching [<Topic>]",
		"layersmith-ExecutionsFailed":   `AWS/States ExecutionsFailed [{"Name":"StateMachineArn","Value":{"Fn::GetAtt":["Pipeline","Arn"]}}] Sum GreaterThanOrEqualToThreshold 1 300 1 notBreaching [<Topic>]`,
		"layersmith-ExecutionsTimedOut": `AWS/States ExecutionsTimedOut [{"Name":"StateMachineArn","Value":{"Fn::GetAtt":["Pipeline","Arn"]}}] Sum GreaterThanOrEqualToThreshold 1 300 1 notBreaching [<Topic>]`,
		"layersmith-DeadLetters":        `AWS/SQS ApproximateNumberOfMessagesVisible [{"Name":"QueueName","Value":{"Fn::GetAtt":["DeadLetters","QueueName"]}}] Maximum GreaterThanOrEqualToThreshold 1 300 1 notBreaching [<Topic>]`,
	})
	var may bool
	for _, s := range at(a.byType("AWS::SNS::TopicPolicy")["TopicPolicy"].Properties, "PolicyDocument", "Statement").([]any) {
		may = may || at(s, "Principal", "Service") == "cloudwatch.amazonaws.com" && at(s, "Effect") == "Allow"
	}

	if !may {
		t.Error("the topic's policy does not let alarms publish")
	}
}

func TestDashboardShowsEveryMetric(t *testing.T) {
	body := flatReadable(
		at(plainStack(t).byType("AWS::CloudWatch::Dashboard")["Dashboard"].Properties, "DashboardBody"),
	)
	var parsed struct{ Widgets []json.RawMessage }
	if err := json.Unmarshal([]byte(body), &parsed); err != nil {
		t.Fatal(err)
	}

	for _, metric := range append([]string{
		"PackageSize", "ZippedSize", "BytesSaved", "ImportTime", "BuildDuration",
		"LockAge", "BucketSizeBytes",
	},
		statemachine.Outcomes()...) {
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

	wantEqual(
		t,
		"outputs",
		got,
		map[string]string{
			"WorkspaceBucket": "<Workspace>",
			"StoreBucket":     "<Store>",
			"StateMachineArn": "<Pipeline.Arn>",
			"TopicArn":        "<Topic>",
			"DashboardName":   "<Dashboard>",
			"BuildProject":    "<Build>",
			"Prefix":          "layersmith-",
		},
	)
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

	wantEqual(
		t,
		"warnings with provided.al2",
		a.warnings,
		[]string{
			"/layersmith: AWS stops creating functions on provided.al2 on 2027-02-01 and updating them on 2027-03-03; " +
				"set layersmith.runtime to provided.al2023 in cdk.json [ack: layersmith:runtime]",
		},
	)
	wantEqual(t, "warnings with provided.al2023", b.warnings, []string(nil))
}

func TestEveryOptionReachesItsResources(t *testing.T) {
	a := allStack(t)
	for name, f := range a.byType("AWS::Lambda::Function") {
		p := f.Properties
		wantEqual(
			t,
			name,
			[]any{
				p["Runtime"],
				p["Architectures"],
				at(p, "Environment", "Variables", "LAYERSMITH_SHARE"),
				at(p, "Environment", "Variables",
					"LAYERSMITH_KEEP"),
				at(p, "Environment", "Variables", "LAYERSMITH_PREFIX"),
			},
			[]any{"provided.al2023", []any{"arm64"}, "o-abcdefghij,111122223333", "5", "shared-"},
		)
	}

	build := a.byType("AWS::CodeBuild::Project")["Build"].Properties
	wantEqual(
		t,
		"build",
		[]any{
			at(build, "Environment", "Type"),
			at(build, "Environment", "Image"),
			at(build, "Environment", "ComputeType"),
			build["TimeoutInMinutes"],
			build["Cache"],
			flatReadable(build["EncryptionKey"]),
		},
		[]any{
			"ARM_LAMBDA_CONTAINER",
			"aws/codebuild/amazonlinux-aarch64-lambda-standard:python3.13",
			"BUILD_LAMBDA_1GB",
			nil,
			nil,
			"<Key.Arn>",
		},
	)
	if env, _ := json.Marshal(at(build, "Environment", "EnvironmentVariables")); !strings.Contains(
		string(env),
		`{"Name":"UV_INDEX_URL","Type":"SECRETS_MANAGER","Value":"arn:aws:secretsmanager:eu-west-1:111122223333:secret:index-AbCdEf"}`,
	) {
		t.Errorf("the index's secret is not in %s", env)
	}

	for name, r := range a.byType("AWS::IAM::Role") {
		if got := flatReadable(
			r.Properties["PermissionsBoundary"],
		); got != "arn:<AWS::Partition>:iam::<AWS::AccountId>:policy/developers" {
			t.Errorf("%s has boundary %s", name, got)
		}
	}

	for name, b := range a.byType("AWS::S3::Bucket") {
		if text, _ := json.Marshal(b.Properties["BucketEncryption"]); !strings.Contains(readable(string(text)),
			`"KMSMasterKeyID":{"Fn::GetAtt":["Key","Arn"]}`) || b.DeletionPolicy != "Delete" {
			t.Errorf("%s: %s, on deletion %s", name, text, b.DeletionPolicy)
		}
	}

	for name, g := range a.byType("AWS::Logs::LogGroup") {
		wantEqual(
			t,
			name,
			[]any{flatReadable(g.Properties["KmsKeyId"]), g.Properties["RetentionInDays"]},
			[]any{"<Key.Arn>", 7.0},
		)
	}

	wantEqual(t, "topic", flatReadable(a.byType("AWS::SNS::Topic")["Topic"].Properties["KmsMasterKeyId"]), "<Key.Arn>")
	wantEqual(
		t,
		"queue",
		flatReadable(a.byType("AWS::SQS::Queue")["DeadLetters"].Properties["KmsMasterKeyId"]),
		"<Key.Arn>",
	)
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
		wantGrant(
			t,
			a,
			title(name)+"Role",
			statement{Sid: "Key", Effect: "Allow", Actions: []string{"kms:Decrypt", "kms:GenerateDataKey"},
				Resources: []string{"<Key.Arn>"}},
		)
	}

	wantGrant(
		t,
		a,
		"BuildRole",
		statement{Sid: "Index", Effect: "Allow", Actions: []string{"secretsmanager:GetSecretValue"},
			Resources: []string{"arn:aws:secretsmanager:eu-west-1:111122223333:secret:index-AbCdEf"}},
	)
	if subscription := fmt.Sprint(
		a.byType("AWS::SNS::Subscription"),
	); !strings.Contains(
		subscription,
		"platform@example.com",
	) {
		t.Error("nobody is notified")
	}

	if metric := fmt.Sprint(
		a.byType("AWS::CloudWatch::Alarm")["PackageSizeAlarm"].Properties["Threshold"],
	); metric != "150" {
		t.Errorf("alarm at %s", metric)
	}
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

// What is explained is a finding that somebody looked at: never a whole rule on a role, always with
// a reason.
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

// A check that finds nothing must be one that can.
func TestChecksSeeAnOpenBucket(t *testing.T) {
	synths.Lock()
	defer synths.Unlock()
	dir := filepath.Join(outputs, "open")
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(dir)})
	stack := awscdk.NewStack(app, jsii.String("open"), nil)
	awss3.NewBucket(stack, jsii.String("Bucket"), nil)
	newChecks(stack, Config{Runtime: "provided.al2023"})
	app.Synth(nil)
	if findings := strings.Join(
		read(t, dir, "open").findings,
		"\n",
	); !strings.Contains(findings, "AwsSolutions-S1") ||
		!strings.Contains(findings,
			"AwsSolutions-S10") {
		t.Errorf("found only: %s", findings)
	}
}
