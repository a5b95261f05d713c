package emulator_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/codebuild"
	cbtypes "github.com/aws/aws-sdk-go-v2/service/codebuild/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedulertypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/layersmith/layersmith/internal/testenv/emulator"
)

const (
	role    = "arn:aws:iam::" + emulator.Account + ":role/test"
	patient = time.Minute // for what takes a second or two on an idle machine
)

func TestFunctionOfProvidedAL2(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	client := lambda.NewFromConfig(stack.AWSConfig())
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", bootstrap, "./testdata/readopt")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}

	binary, err := os.ReadFile(bootstrap)
	if err != nil {
		t.Fatal(err)
	}

	lower := publish(t, client, "lower", zipped(t,
		file{"greeting", 0o644, "hello"},
		file{"which", 0o644, "lower"},
		file{"bin/tool", 0o755, "#!/bin/sh\necho tool\n"},
	))
	upper := publish(t, client, "upper", zipped(t, file{"which", 0o644, "upper"}))
	create(t, client, &lambda.CreateFunctionInput{
		FunctionName: aws.String("reader"),
		Runtime:      types.RuntimeProvidedal2,
		Handler:      aws.String("bootstrap"),
		MemorySize:   aws.Int32(128),
		Code: &types.FunctionCode{
			ZipFile: zipped(t, file{"bootstrap", 0o755, string(binary)}),
		},
		Layers: []string{lower, upper},
	})

	payload, tail := invoke(t, client, "reader", `{}`, "")
	var seen struct{ Greeting, Tool, Home, Denied, Late string }
	if err := json.Unmarshal(payload, &seen); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}

	if seen.Greeting != "hello" || seen.Tool != "tool" {
		t.Errorf("below /opt it sees %q and %q", seen.Greeting, seen.Tool)
	}

	if seen.Late != "upper" {
		t.Errorf("of two layers with one file, %q wins", seen.Late)
	}

	if seen.Home != "" {
		t.Errorf("HOME=%s of this machine leaks into functions", seen.Home)
	}

	if !strings.Contains(seen.Denied, "read-only") {
		t.Errorf("writing into /var/task: %q", seen.Denied)
	}

	contains(t, tail, "START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "\tInit Duration: ",
		"Memory Size: 128 MB")
	if strings.Contains(tail, "Max Memory Used: 0 MB") {
		t.Errorf("no memory was measured: %s", tail)
	}

	if _, tail = invoke(t, client, "reader", `{}`, ""); strings.Contains(tail, "Init Duration") {
		t.Errorf("a warm invocation was initialized again: %s", tail)
	}

	payload, _ = invoke(t, client, "reader", `{"Fail":true}`, "Unhandled")
	contains(t, string(payload), `"asked to"`, `"errorString"`)

	t.Run("a bootstrap that is not executable is refused", func(t *testing.T) {
		create(t, client, &lambda.CreateFunctionInput{
			FunctionName: aws.String("plain"), Runtime: types.RuntimeProvidedal2, Handler: aws.String("bootstrap"),
			Code: &types.FunctionCode{ZipFile: zipped(t, file{"bootstrap", 0o644, string(binary)})},
		})
		payload, _ := invoke(t, client, "plain", `{}`, "Unhandled")
		contains(t, string(payload), "Runtime.InvalidEntrypoint", "permission denied")
	})
	t.Run("logs are written", func(t *testing.T) {
		client := cloudwatchlogs.NewFromConfig(stack.AWSConfig())
		logs, err := client.FilterLogEvents(t.Context(),
			&cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/reader")})
		if err != nil {
			t.Fatal(err)
		}

		reports := 0
		for _, event := range logs.Events {
			if strings.HasPrefix(aws.ToString(event.Message), "REPORT ") {
				reports++
			}
		}

		if reports != 3 {
			t.Errorf("%d REPORT lines of 3 invocations", reports)
		}
	})
}

func TestFunctionOfPython(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	client := lambda.NewFromConfig(stack.AWSConfig())
	layer := publish(t, client, "layer", zipped(t,
		file{"python/carried.py", 0o644, "where = __file__\n"},
		file{"python/both.py", 0o644, "where = 'layer'\n"},
		file{"python/lib/python3.13/site-packages/deep.py", 0o644, "where = __file__\n"},
	))
	const index = `
import sys, carried, both, deep
def handler(event, context):
    if event.get("fail"):
        raise KeyError("asked to")
    print("seen")
    try:
        import pip
        extra = pip.__file__
    except ImportError:
        extra = ""
    return {"version": sys.version.split()[0], "carried": carried.where, "both": both.where, "deep": deep.where,
            "extra": extra, "task": __file__, "left": context.get_remaining_time_in_millis(),
            "arn": context.invoked_function_arn}
`
	code := zipped(t,
		file{"index.py", 0o644, index},
		file{"both.py", 0o644, "where = 'function'\n"},
		file{"broken.py", 0o644, "import nowhere\n"},
		file{"exits.py", 0o644, "import os\nos._exit(3)\n"},
	)
	function := func(name, handler string) {
		create(t, client, &lambda.CreateFunctionInput{
			FunctionName: aws.String(name),
			Runtime:      types.RuntimePython313,
			Handler:      aws.String(handler),
			Timeout:      aws.Int32(20),
			Code:         &types.FunctionCode{ZipFile: code},
			Layers:       []string{layer},
		})
	}
	function("probe", "index.handler")
	payload, tail := invoke(t, client, "probe", `{}`, "")
	var seen struct {
		Version, Carried, Both, Deep, Extra, Task, ARN string
		Left                                           int
	}
	if err := json.Unmarshal(payload, &seen); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}

	if !strings.HasPrefix(seen.Version, "3.13.") {
		t.Errorf("it runs on Python %s", seen.Version)
	}

	if seen.Carried != "/opt/python/carried.py" || seen.Deep != "/opt/python/lib/python3.13/site-packages/deep.py" ||
		seen.Task != "/var/task/index.py" {
		t.Errorf("paths: %+v", seen)
	}

	if seen.Both != "function" {
		t.Errorf("a module of function and layer comes from the %s", seen.Both)
	}

	if seen.Extra != "" {
		t.Errorf("packages of this machine are there: %s", seen.Extra)
	}

	if seen.Left <= 10_000 || seen.Left > 20_000 || !strings.HasSuffix(seen.ARN, ":function:probe") {
		t.Errorf("context: %+v", seen)
	}

	contains(t, tail, "\nseen\n", "REPORT RequestId: ", "\tInit Duration: ")

	payload, _ = invoke(t, client, "probe", `{"fail":true}`, "Unhandled")
	contains(t, string(payload), `"KeyError"`, `"'asked to'"`, "/var/task/index.py")

	function("broken", "broken.handler")
	payload, tail = invoke(t, client, "broken", `{}`, "Unhandled")
	contains(t, string(payload), "Runtime.ImportModuleError",
		"Unable to import module 'broken': No module named 'nowhere'")
	contains(t, tail, "No module named 'nowhere'", "REPORT RequestId: ")

	function("exits", "exits.handler")
	payload, _ = invoke(t, client, "exits", `{}`, "Unhandled")
	contains(t, string(payload), "Runtime.ExitError")
}

// app is testdata/app, deployed: files below layers/ start executions, each with a build.
type app struct {
	stack           *emulator.Stack
	bucket, machine string
	store           *s3.Client
	flow            *sfn.Client
}

func TestDeployedApp(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	folder := filepath.Join(t.TempDir(), "cdk.out") // deploying writes into it
	if err := os.CopyFS(folder, os.DirFS("testdata/app")); err != nil {
		t.Fatal(err)
	}

	outputs, err := stack.Deploy(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}

	a := app{
		stack:   stack,
		bucket:  outputs["app"]["Workspace"],
		machine: outputs["app"]["Machine"],
		store:   s3.NewFromConfig(stack.AWSConfig()),
		flow:    sfn.NewFromConfig(stack.AWSConfig()),
	}
	versions := map[string]string{}
	for _, key := range []string{"other/ignored.txt", "layers/good.txt", "layers/bad.txt"} {
		versions[key] = a.put(t, key)
	}

	ended := map[string]*sfn.DescribeExecutionOutput{}
	await(t, "two executions to end", func() bool {
		for _, execution := range a.executions(t) {
			if execution.Status == sfntypes.ExecutionStatusRunning {
				return false
			}

			ended[keyOf(t, execution, versions)] = execution
		}

		return len(ended) >= 2
	})
	if len(ended) != 2 || ended["layers/good.txt"] == nil || ended["layers/bad.txt"] == nil {
		t.Fatalf("executions of %v", ended)
	}

	a.succeeded(t, ended["layers/good.txt"])
	a.failed(t, ended["layers/bad.txt"])
	t.Run("the same name and input while it runs is the same execution", a.startsOnce)
	t.Run("it can be destroyed", func(t *testing.T) { a.destroy(t, folder) })
}

// put stores an object whose content is its key, and returns the version.
func (a app) put(t *testing.T, key string) string {
	t.Helper()
	put, err := a.store.PutObject(t.Context(),
		&s3.PutObjectInput{Bucket: &a.bucket, Key: &key, Body: strings.NewReader(key)})
	if err != nil {
		t.Fatal(err)
	}

	return aws.ToString(put.VersionId)
}

func (a app) executions(t *testing.T) []*sfn.DescribeExecutionOutput {
	t.Helper()
	list, err := a.flow.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: &a.machine})
	if err != nil {
		t.Fatal(err)
	}

	var all []*sfn.DescribeExecutionOutput
	for _, item := range list.Executions {
		execution, err := a.flow.DescribeExecution(t.Context(),
			&sfn.DescribeExecutionInput{ExecutionArn: item.ExecutionArn})
		if err != nil {
			t.Fatal(err)
		}

		all = append(all, execution)
	}

	return all
}

// keyOf checks the event that an execution has as its input, and returns the object's key.
func keyOf(t *testing.T, execution *sfn.DescribeExecutionOutput, versions map[string]string) string {
	t.Helper()
	var input struct {
		Source     string
		DetailType string `json:"detail-type"`
		Detail     struct {
			Object struct {
				Key, ETag, Sequencer string
				Size                 int
				VersionID            string `json:"version-id"`
			}
		}
	}
	if err := json.Unmarshal([]byte(aws.ToString(execution.Input)), &input); err != nil {
		t.Fatal(err)
	}

	object := input.Detail.Object
	sound := input.Source == "aws.s3" && input.DetailType == "Object Created" &&
		object.VersionID != "" && object.VersionID == versions[object.Key] &&
		object.Size == len(object.Key) && object.ETag != "" && object.Sequencer != ""
	if !sound {
		t.Errorf("event: %s", aws.ToString(execution.Input))
	}

	return object.Key
}

// build is a build as Step Functions returns it.
type build struct {
	ID, BuildStatus string
	BuildComplete   bool
	Logs            struct{ GroupName, StreamName string }
	Phases          []struct {
		PhaseType, PhaseStatus string
		Contexts               []struct{ StatusCode, Message string }
	}
}

// succeeded checks an execution with a build that succeeded.
func (a app) succeeded(t *testing.T, execution *sfn.DescribeExecutionOutput) {
	t.Helper()
	var output struct{ Built struct{ Build build } }
	err := json.Unmarshal([]byte(aws.ToString(execution.Output)), &output)
	if err != nil || execution.Status != sfntypes.ExecutionStatusSucceeded {
		t.Fatalf("%s %v: %s", execution.Status, err, aws.ToString(execution.Output))
	}

	b := output.Built.Build
	if b.BuildStatus != "SUCCEEDED" || !b.BuildComplete {
		t.Errorf("build: %+v", b)
	}

	logs, err := cloudwatchlogs.NewFromConfig(a.stack.AWSConfig()).GetLogEvents(t.Context(),
		&cloudwatchlogs.GetLogEventsInput{LogGroupName: &b.Logs.GroupName, LogStreamName: &b.Logs.StreamName})
	if err != nil {
		t.Fatal(err)
	}

	var log strings.Builder
	for _, line := range logs.Events {
		log.WriteString(aws.ToString(line.Message) + "\n")
	}

	contains(t, log.String(), "run=layers/good.txt plain=project spec=spec\n", "succeeding=1\n")
}

// failed checks an execution that caught the error of a build.
func (a app) failed(t *testing.T, execution *sfn.DescribeExecutionOutput) {
	t.Helper()
	var caught struct{ Error struct{ Error, Cause string } }
	if err := json.Unmarshal([]byte(aws.ToString(execution.Output)), &caught); err != nil {
		t.Fatal(err)
	}

	var cause struct{ Build build }
	err := json.Unmarshal([]byte(caught.Error.Cause), &cause)
	if err != nil || caught.Error.Error != "States.TaskFailed" {
		t.Fatalf("caught: %v %+v", err, caught)
	}

	if cause.Build.BuildStatus != "FAILED" {
		t.Errorf("build: %+v", cause.Build)
	}

	message := ""
	for _, phase := range cause.Build.Phases {
		if phase.PhaseType == "BUILD" && phase.PhaseStatus == "FAILED" && len(phase.Contexts) == 1 {
			message = phase.Contexts[0].Message
		}
	}

	if message != "Error while executing command: ./tool. Reason: exit status 7" {
		t.Errorf("message %q of %+v", message, cause.Build.Phases)
	}
}

func (a app) startsOnce(t *testing.T) {
	created, err := a.flow.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{
		Name:       aws.String("waits"),
		RoleArn:    aws.String(role),
		Definition: aws.String(`{"StartAt":"Wait","States":{"Wait":{"Type":"Wait","Seconds":600,"End":true}}}`),
	})
	if err != nil {
		t.Fatal(err)
	}

	start := func(input string) error {
		_, err := a.flow.StartExecution(t.Context(), &sfn.StartExecutionInput{
			StateMachineArn: created.StateMachineArn,
			Name:            aws.String("once"),
			Input:           &input,
		})
		return err
	}
	if err := errors.Join(start(`{"a":1}`), start(`{"a":1}`)); err != nil {
		t.Error(err)
	}

	code(t, start(`{"a":2}`), "ExecutionAlreadyExists", 0)
}

// destroy empties the bucket, as on AWS, and destroys the app.
func (a app) destroy(t *testing.T, folder string) {
	list, err := a.store.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: &a.bucket})
	if err != nil {
		t.Fatal(err)
	}

	for _, version := range list.Versions {
		_, err := a.store.DeleteObject(t.Context(),
			&s3.DeleteObjectInput{Bucket: &a.bucket, Key: version.Key, VersionId: version.VersionId})
		if err != nil {
			t.Fatal(err)
		}
	}

	if err := a.stack.Destroy(t.Context(), folder); err != nil {
		t.Fatal(err)
	}

	_, err = a.flow.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: &a.machine})
	code(t, err, "StateMachineDoesNotExist", 0)
}

func TestS3RefusesStaleWrites(t *testing.T) {
	t.Parallel()
	client := s3.NewFromConfig(emulator.Start(t).AWSConfig())
	bucket := aws.String("store")
	key := aws.String("state/lease.json")
	if _, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: bucket}); err != nil {
		t.Fatal(err)
	}

	if _, err := client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
		Bucket:                  bucket,
		VersioningConfiguration: &s3types.VersioningConfiguration{Status: s3types.BucketVersioningStatusEnabled},
	}); err != nil {
		t.Fatal(err)
	}

	put := func(body string, ifMatch, ifNoneMatch *string) (*s3.PutObjectOutput, error) {
		return client.PutObject(t.Context(), &s3.PutObjectInput{
			Bucket:      bucket,
			Key:         key,
			Body:        strings.NewReader(body),
			IfMatch:     ifMatch,
			IfNoneMatch: ifNoneMatch,
		})
	}
	first, err := put("1", nil, aws.String("*"))
	if err != nil {
		t.Fatal(err)
	}

	_, err = put("2", nil, aws.String("*"))
	code(t, err, "PreconditionFailed", http.StatusPreconditionFailed)
	second, err := put("2", first.ETag, nil)
	if err != nil {
		t.Fatal(err)
	}

	_, err = put("3", first.ETag, nil)
	code(t, err, "PreconditionFailed", http.StatusPreconditionFailed)

	list, err := client.ListObjectVersions(t.Context(),
		&s3.ListObjectVersionsInput{Bucket: bucket, Prefix: aws.String("state/")})
	if err != nil {
		t.Fatal(err)
	}

	if len(list.Versions) != 2 || !aws.ToBool(list.Versions[0].IsLatest) ||
		aws.ToString(list.Versions[0].VersionId) != aws.ToString(second.VersionId) {
		t.Errorf("versions: %+v", list.Versions)
	}

	old, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: bucket, Key: key, VersionId: first.VersionId})
	if err != nil {
		t.Fatal(err)
	}
	defer old.Body.Close()
	if content, err := io.ReadAll(old.Body); err != nil || string(content) != "1" {
		t.Errorf("first version: %q, %v", content, err)
	}
}

func TestUpdatePublishAndMoveAnAlias(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	ctx := t.Context()
	client := lambda.NewFromConfig(stack.AWSConfig())
	name := aws.String("consumer")
	var layers []string
	for _, content := range []string{"one", "two"} {
		code := zipped(t, file{"python/content.py", 0o644, fmt.Sprintf("value = %q\n", content)})
		layers = append(layers, publish(t, client, "content", code))
	}

	created := create(t, client, &lambda.CreateFunctionInput{
		FunctionName: name,
		Runtime:      types.RuntimePython313,
		Handler:      aws.String("index.handler"),
		Layers:       layers[:1],
		Code: &types.FunctionCode{
			ZipFile: zipped(t,
				file{"index.py", 0o644, "import content\ndef handler(event, context): return content.value\n"}),
		},
	})
	says := func(qualifier, want string) {
		t.Helper()
		wantResult(t, client, &lambda.InvokeInput{FunctionName: name, Qualifier: &qualifier}, `"`+want+`"`)
	}
	before := publishVersion(t, client, name)
	alias, err := client.CreateAlias(ctx,
		&lambda.CreateAliasInput{FunctionName: name, Name: aws.String("live"), FunctionVersion: before.Version})
	if err != nil {
		t.Fatal(err)
	}

	says("live", "one")

	again := publishVersion(t, client, name)
	if aws.ToString(again.Version) != aws.ToString(before.Version) {
		t.Errorf("an unchanged function was published as %s, but %s is the same",
			aws.ToString(again.Version), aws.ToString(before.Version))
	}

	update := func(revision *string, layers []string) (*lambda.UpdateFunctionConfigurationOutput, error) {
		return client.UpdateFunctionConfiguration(ctx,
			&lambda.UpdateFunctionConfigurationInput{FunctionName: name, RevisionId: revision, Layers: layers})
	}
	current := settled(t, client, "consumer")
	updated, err := update(current.RevisionId, layers[1:])
	if err != nil {
		t.Fatal(err)
	}

	_, err = client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name})
	code(t, err, "ResourceConflictException", http.StatusConflict)
	after := settled(t, client, "consumer")
	if aws.ToString(after.RevisionId) == aws.ToString(updated.RevisionId) {
		t.Error("the RevisionId of an update in progress is still valid afterwards")
	}

	_, err = update(created.RevisionId, layers[:1])
	code(t, err, "PreconditionFailedException", http.StatusPreconditionFailed)
	_, err = client.PublishVersion(ctx, &lambda.PublishVersionInput{FunctionName: name, RevisionId: updated.RevisionId})
	code(t, err, "PreconditionFailedException", http.StatusPreconditionFailed)
	_, err = client.PublishVersion(ctx, &lambda.PublishVersionInput{
		FunctionName: name,
		CodeSha256:   aws.String(base64.StdEncoding.EncodeToString(make([]byte, 32))),
	})
	code(t, err, "InvalidParameterValueException", http.StatusBadRequest)

	version, err := client.PublishVersion(ctx,
		&lambda.PublishVersionInput{FunctionName: name, RevisionId: after.RevisionId, CodeSha256: after.CodeSha256})
	if err != nil {
		t.Fatal(err)
	}

	published := &lambda.GetFunctionConfigurationInput{FunctionName: name, Qualifier: version.Version}
	if err := lambda.NewPublishedVersionActiveWaiter(client).Wait(ctx, published, patient); err != nil {
		t.Fatal(err)
	}

	says("live", "one")
	move := func(version, revision *string) (*lambda.UpdateAliasOutput, error) {
		return client.UpdateAlias(ctx, &lambda.UpdateAliasInput{
			FunctionName:    name,
			Name:            aws.String("live"),
			FunctionVersion: version,
			RevisionId:      revision,
		})
	}
	moved, err := move(version.Version, alias.RevisionId)
	if err != nil {
		t.Fatal(err)
	}

	says("live", "two")
	_, err = move(before.Version, alias.RevisionId)
	code(t, err, "PreconditionFailedException", http.StatusPreconditionFailed)
	if _, err := move(before.Version, moved.RevisionId); err != nil {
		t.Error(err)
	}

	says("live", "one")

	t.Run("an alias cannot point to a version that is not there", func(t *testing.T) {
		_, err := move(aws.String("7"), nil)
		code(t, err, "ResourceNotFoundException", http.StatusNotFound)
		_, err = client.CreateAlias(ctx,
			&lambda.CreateAliasInput{FunctionName: name, Name: aws.String("new"), FunctionVersion: aws.String("7")})
		code(t, err, "ResourceNotFoundException", http.StatusNotFound)
	})
	t.Run("all versions of all functions are listed, by pages", func(t *testing.T) {
		got := allVersions(t, client)
		if want := []string{"consumer:$LATEST", "consumer:1", "consumer:2"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
	young := &lambda.CreateFunctionInput{
		FunctionName: aws.String("young"),
		Runtime:      types.RuntimePython313,
		Handler:      aws.String("index.handler"),
		Role:         aws.String(role),
		Code: &types.FunctionCode{
			ZipFile: zipped(t, file{"index.py", 0o644, "def handler(event, context): pass\n"}),
		},
	}
	t.Run("six layers are too many", func(t *testing.T) {
		six := []string{layers[0], layers[1], layers[0], layers[1], layers[0], layers[1]}
		_, err := update(nil, six)
		code(t, err, "InvalidParameterValueException", http.StatusBadRequest)
		tooMany := *young
		tooMany.Layers = six
		_, err = client.CreateFunction(ctx, &tooMany)
		code(t, err, "InvalidParameterValueException", http.StatusBadRequest)
	})
	t.Run("a function that is being created can neither be invoked nor updated", func(t *testing.T) {
		if _, err := client.CreateFunction(ctx, young); err != nil {
			t.Fatal(err)
		}

		_, err := client.Invoke(ctx, &lambda.InvokeInput{FunctionName: young.FunctionName})
		code(t, err, "ResourceConflictException", http.StatusConflict)
		_, err = client.UpdateFunctionCode(ctx,
			&lambda.UpdateFunctionCodeInput{FunctionName: young.FunctionName, ZipFile: young.Code.ZipFile})
		code(t, err, "ResourceConflictException", http.StatusConflict)
	})
	t.Run("a deleted layer version still works where it is used and cannot be used anew", func(t *testing.T) {
		_, err := client.DeleteLayerVersion(ctx,
			&lambda.DeleteLayerVersionInput{LayerName: aws.String("content"), VersionNumber: aws.Int64(1)})
		if err != nil {
			t.Fatal(err)
		}

		says("live", "one")
		_, err = update(nil, layers[:1])
		code(t, err, "InvalidParameterValueException", http.StatusBadRequest)
	})
	t.Run("a layer is not published from an object that is not there", func(t *testing.T) {
		store := s3.NewFromConfig(stack.AWSConfig())
		if _, err := store.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String("store")}); err != nil {
			t.Fatal(err)
		}

		_, err := client.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{
			LayerName: aws.String("none"),
			Content: &types.LayerVersionContentInput{
				S3Bucket:        aws.String("store"),
				S3Key:           aws.String("none"),
				S3ObjectVersion: aws.String("none"),
			},
		})
		code(t, err, "InvalidParameterValueException", http.StatusBadRequest)
	})
}

func wantResult(t *testing.T, client *lambda.Client, in *lambda.InvokeInput, want string) {
	t.Helper()
	out, err := client.Invoke(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}

	if string(out.Payload) != want {
		t.Errorf("%s returns %s, want %s", aws.ToString(in.Qualifier), out.Payload, want)
	}
}

func publishVersion(t *testing.T, client *lambda.Client, function *string) *lambda.PublishVersionOutput {
	t.Helper()
	version, err := client.PublishVersion(t.Context(), &lambda.PublishVersionInput{FunctionName: function})
	if err != nil {
		t.Fatal(err)
	}

	return version
}

// allVersions lists all versions of all functions as NAME:VERSION, two a page.
func allVersions(t *testing.T, client *lambda.Client) (versions []string) {
	t.Helper()
	pages := lambda.NewListFunctionsPaginator(client,
		&lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll, MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		for _, function := range page.Functions {
			_, qualified, _ := strings.Cut(aws.ToString(function.FunctionArn), ":function:")
			versions = append(versions, qualified)
		}
	}

	return versions
}

func TestAlarmReachesSubscribers(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	queue, arn := newQueue(t, stack)
	topics := sns.NewFromConfig(stack.AWSConfig())
	metrics := cloudwatch.NewFromConfig(stack.AWSConfig())
	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("alarms")})
	if err != nil {
		t.Fatal(err)
	}

	subscription := &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: &arn}
	if _, err := topics.Subscribe(t.Context(), subscription); err != nil {
		t.Fatal(err)
	}

	dimensions := []cwtypes.Dimension{{Name: aws.String("LayerName"), Value: aws.String("ml")}}
	if _, err := metrics.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName:          aws.String("large"),
		Namespace:          aws.String("Lambda/Optimization"),
		MetricName:         aws.String("PackageSize"),
		Dimensions:         dimensions,
		Statistic:          cwtypes.StatisticMaximum,
		Period:             aws.Int32(300),
		EvaluationPeriods:  aws.Int32(1),
		Threshold:          aws.Float64(200),
		ComparisonOperator: cwtypes.ComparisonOperatorGreaterThanThreshold,
		AlarmActions:       []string{aws.ToString(topic.TopicArn)},
	}); err != nil {
		t.Fatal(err)
	}

	if _, err := metrics.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{
		Namespace: aws.String("Lambda/Optimization"),
		MetricData: []cwtypes.MetricDatum{{
			MetricName: aws.String("PackageSize"),
			Dimensions: dimensions,
			Unit:       cwtypes.StandardUnitMegabytes,
			Value:      aws.Float64(201),
		}},
	}); err != nil {
		t.Fatal(err)
	}

	contains(t, receive(t, stack, queue), "large", "ALARM")
}

func TestScheduleFires(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	queue, arn := newQueue(t, stack)
	at := time.Now().UTC().Add(2 * time.Second).Format("at(2006-01-02T15:04:05)")
	if _, err := scheduler.NewFromConfig(stack.AWSConfig()).CreateSchedule(t.Context(), &scheduler.CreateScheduleInput{
		Name:               aws.String("soon"),
		ScheduleExpression: &at,
		FlexibleTimeWindow: &schedulertypes.FlexibleTimeWindow{Mode: schedulertypes.FlexibleTimeWindowModeOff},
		Target: &schedulertypes.Target{
			Arn:     &arn,
			RoleArn: aws.String(role),
			Input:   aws.String(`{"refresh":true}`),
		},
	}); err != nil {
		t.Fatal(err)
	}

	if got := receive(t, stack, queue); got != `{"refresh":true}` {
		t.Errorf("the target got %s", got)
	}
}

func TestBuildThatIsStopped(t *testing.T) {
	t.Parallel()
	stack := emulator.Start(t)
	client := codebuild.NewFromConfig(stack.AWSConfig())
	started := sleep(t, client)
	if _, err := client.StopBuild(t.Context(), &codebuild.StopBuildInput{Id: started.Id}); err != nil {
		t.Fatal(err)
	}

	builds, err := client.BatchGetBuilds(t.Context(),
		&codebuild.BatchGetBuildsInput{Ids: []string{aws.ToString(started.Id)}})
	if err != nil {
		t.Fatal(err)
	}

	if status := builds.Builds[0].BuildStatus; status != cbtypes.StatusTypeStopped {
		t.Errorf("a stopped build is %s", status)
	}

	await(t, "its processes to end", func() bool { return len(processes(t, aws.ToString(started.Id))) == 0 })
}

// sleep starts a build that does nothing for ten minutes, and returns when it does so. Its
// processes have its ID in their environment.
func sleep(t *testing.T, client *codebuild.Client) *cbtypes.Build {
	t.Helper()
	if _, err := client.CreateProject(t.Context(), &codebuild.CreateProjectInput{
		Name:        aws.String("sleep"),
		ServiceRole: aws.String(role),
		Artifacts:   &cbtypes.ProjectArtifacts{Type: cbtypes.ArtifactsTypeNoArtifacts},
		Source: &cbtypes.ProjectSource{
			Type:      cbtypes.SourceTypeNoSource,
			Buildspec: aws.String("version: 0.2\nphases: {build: {commands: ['sleep $LONG & sleep $LONG']}}\n"),
		},
		Environment: &cbtypes.ProjectEnvironment{
			Type:        cbtypes.EnvironmentTypeLinuxContainer,
			ComputeType: cbtypes.ComputeTypeBuildGeneral1Small,
			Image:       aws.String("aws/codebuild/amazonlinux-x86_64-standard:6.0"),
		},
	}); err != nil {
		t.Fatal(err)
	}

	started, err := client.StartBuild(t.Context(), &codebuild.StartBuildInput{
		ProjectName: aws.String("sleep"),
		EnvironmentVariablesOverride: []cbtypes.EnvironmentVariable{
			{Name: aws.String("LONG"), Value: aws.String("600")}},
	})
	if err != nil {
		t.Fatal(err)
	}

	await(t, "the build to sleep", func() bool { return len(processes(t, aws.ToString(started.Build.Id))) >= 3 })
	return started.Build
}

// processes are the command lines of those with a text in their command line or environment.
func processes(t *testing.T, text string) (found []string) {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}

	for _, folder := range folders {
		command, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		environment, envErr := os.ReadFile(filepath.Join(folder, "environ"))
		if err == nil && envErr == nil &&
			(bytes.Contains(command, []byte(text)) || bytes.Contains(environment, []byte(text))) {
			found = append(found, string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		}
	}

	return found
}

// TestNothingOutlivesTheTest kills a test's process, which leaves it no time to clean up, while a
// function is warm and a build runs.
func TestNothingOutlivesTheTest(t *testing.T) {
	if os.Getenv("EMULATOR_TO_BE_KILLED") != "" {
		stack := emulator.Start(t)
		client := lambda.NewFromConfig(stack.AWSConfig())
		create(t, client, &lambda.CreateFunctionInput{
			FunctionName: aws.String("warm"),
			Runtime:      types.RuntimePython313,
			Handler:      aws.String("index.handler"),
			Code: &types.FunctionCode{
				ZipFile: zipped(t, file{"index.py", 0o644, "def handler(event, context): pass\n"}),
			},
		})
		invoke(t, client, "warm", `{}`, "")
		sleep(t, codebuild.NewFromConfig(stack.AWSConfig()))
		fmt.Printf("endpoint %s\n", stack.Endpoint())
		select {}
	}

	t.Parallel()
	folder := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNothingOutlivesTheTest$")
	cmd.Env = append(os.Environ(), "EMULATOR_TO_BE_KILLED=1", "TMPDIR="+folder)
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	endpoint := ""
	for lines := bufio.NewScanner(output); endpoint == "" && lines.Scan(); {
		endpoint, _ = strings.CutPrefix(lines.Text(), "endpoint ")
		if endpoint == lines.Text() {
			endpoint = ""
		}
	}

	if endpoint == "" {
		t.Fatal("it did not start")
	}

	// The test, the emulator, two of the function and four of the build, of which some may be short.
	if running := processes(t, folder); len(running) < 6 {
		t.Fatalf("these run: %q", running)
	}

	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}

	_ = cmd.Wait() // it was killed
	await(t, "everything to end", func() bool { return len(processes(t, folder)) == 0 })
	if response, err := http.Get(endpoint + "/_ministack/health"); err == nil {
		response.Body.Close()
		t.Error("the emulator still answers")
	}
}

// A file is an entry of a zip.
type file struct {
	name    string
	mode    os.FileMode
	content string
}

func zipped(t *testing.T, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		header.SetMode(f.mode)
		entry, err := w.CreateHeader(header)
		if err == nil {
			_, err = io.WriteString(entry, f.content)
		}

		if err != nil {
			t.Fatal(err)
		}
	}

	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func publish(t *testing.T, client *lambda.Client, name string, content []byte) (arn string) {
	t.Helper()
	layer, err := client.PublishLayerVersion(t.Context(),
		&lambda.PublishLayerVersionInput{LayerName: &name, Content: &types.LayerVersionContentInput{ZipFile: content}})
	if err != nil {
		t.Fatal(err)
	}

	return aws.ToString(layer.LayerVersionArn)
}

func create(t *testing.T, client *lambda.Client, in *lambda.CreateFunctionInput) *lambda.CreateFunctionOutput {
	t.Helper()
	in.Role = aws.String(role)
	out, err := client.CreateFunction(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}

	if err := lambda.NewFunctionActiveV2Waiter(client,
		func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		Wait(t.Context(), &lambda.GetFunctionInput{FunctionName: in.FunctionName}, patient); err != nil {
		t.Fatal(err)
	}

	return out
}

// settled waits for an update and returns the function as it is then.
func settled(t *testing.T, client *lambda.Client, name string) *types.FunctionConfiguration {
	t.Helper()
	out, err := lambda.NewFunctionUpdatedV2Waiter(client,
		func(o *lambda.FunctionUpdatedV2WaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
		WaitForOutput(t.Context(), &lambda.GetFunctionInput{FunctionName: &name}, patient)
	if err != nil {
		t.Fatal(err)
	}

	return out.Configuration
}

func invoke(t *testing.T, client *lambda.Client, name, event, functionError string) (payload []byte, tail string) {
	t.Helper()
	out, err := client.Invoke(t.Context(),
		&lambda.InvokeInput{FunctionName: &name, Payload: []byte(event), LogType: types.LogTypeTail})
	if err != nil {
		t.Fatal(err)
	}

	log, err := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if err != nil {
		t.Fatal(err)
	}

	if aws.ToString(out.FunctionError) != functionError {
		t.Errorf("%s: FunctionError %q, want %q: %s\n%s",
			name, aws.ToString(out.FunctionError), functionError, out.Payload, log)
	}

	return out.Payload, string(log)
}

func newQueue(t *testing.T, stack *emulator.Stack) (url *string, arn string) {
	t.Helper()
	client := sqs.NewFromConfig(stack.AWSConfig())
	queue, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("queue")})
	if err != nil {
		t.Fatal(err)
	}

	return queue.QueueUrl, "arn:aws:sqs:" + emulator.Region + ":" + emulator.Account + ":queue"
}

func receive(t *testing.T, stack *emulator.Stack, url *string) (body string) {
	t.Helper()
	client := sqs.NewFromConfig(stack.AWSConfig())
	await(t, "a message", func() bool {
		got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url, WaitTimeSeconds: 1})
		if err != nil {
			t.Fatal(err)
		}

		if len(got.Messages) > 0 {
			body = aws.ToString(got.Messages[0].Body)
		}

		return len(got.Messages) > 0
	})
	return body
}

// await asks until it is so.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited %v for %s", patient, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}

// code checks an error of AWS and, unless 0, the status that it came with.
func code(t *testing.T, err error, want string, status int) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != want {
		t.Errorf("error %v, want %s", err, want)
		return
	}

	var response *smithyhttp.ResponseError
	if status != 0 && (!errors.As(err, &response) || response.HTTPStatusCode() != status) {
		t.Errorf("error %v, want status %d", err, status)
	}
}
