package main

import (
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

type functionRow struct {
	name    string
	memory  int // MiB
	seconds int // timeout; the TimeoutSeconds of its state is longer
	storage int // MiB of /tmp
	does    string
}

// functionTable is every function, in the order of the workflow. Each is called by the state of the
// same name.
var functionTable = []functionRow{
	{"intake", 256, 60, 512, "reads the execution's input, takes the lease, decides what to build"},
	{"select", 256, 60, 512, "picks the layers that changed"},
	{"prune", 512, 900, 2048, "prunes the artifact of one layer"},
	{"measure", 512, 900, 2048, "runs the gate on one layer and checks its size"},
	{"record", 256, 300, 512, "checks every consumer's size and stores its current state"},
	{"publish", 256, 300, 512, "publishes one candidate"},
	{"verify", 512, 900, 512, "runs one candidate in a temporary function"},
	{"update", 256, 900, 512, "moves one consumer to the candidates"},
	{"health", 256, 60, 512, "reads one consumer's alarm"},
	{"promote", 256, 300, 512, "makes the candidates the released versions and deletes old ones"},
	{"rollback", 256, 900, 512, "undoes every change of a run and deletes its candidates"},
	{"report", 256, 60, 512, "writes the report and the metrics and sends the notification"},
}

type functionsProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Topic   topic
	Access  access
}

// functions has the ARNs of the functions by name.
type functions struct{ ARN map[string]string }

// newFunctions makes all functions, and the role of the temporary functions of verify. No setting
// changes these: no reserved concurrency (the workflow limits itself), no tracing (the history of
// the execution has the times), no retries of asynchronous calls (there are none). The programs
// write their logs as JSON lines themselves.
func newFunctions(scope constructs.Construct, p functionsProps) functions {
	probe := newRole(scope, "ProbeRole", roleProps{
		Service: "lambda.amazonaws.com", AnyAccount: true,
		Description: "Layersmith: temporary functions that run candidates; no permissions, not even for logs",
	})
	env := map[string]*string{
		"LAYERSMITH_STACK":        jsii.String(p.Config.StackName),
		"LAYERSMITH_STORE":        p.Buckets.Store.BucketName(),
		"LAYERSMITH_WORKSPACE":    p.Buckets.Workspace.BucketName(),
		"LAYERSMITH_PREFIX":       jsii.String(p.Config.Prefix),
		"LAYERSMITH_SHARE":        jsii.String(strings.Join(p.Config.Share, ",")),
		"LAYERSMITH_KEEP":         jsii.String(fmt.Sprint(p.Config.KeepVersions)),
		"LAYERSMITH_TOPIC":        p.Topic.Topic.TopicArn(),
		"LAYERSMITH_PROBE_ROLE":   probe.RoleArn(),
		"LAYERSMITH_PROBE_PREFIX": jsii.String(p.Config.probePrefix()),
		"LAYERSMITH_CONSOLE":      jsii.String(console()),
	}

	grants := p.Access.functions(probe)
	made := functions{ARN: map[string]string{}}
	for _, f := range functionTable {
		name := p.Config.StackName + "-" + f.name
		id := title(f.name)
		group := newLogGroup(scope, id+"Log", logGroupProps{Config: p.Config, Key: p.Key, Name: "/aws/lambda/" + name})
		role := newRole(scope, id+"Role", roleProps{
			Service: "lambda.amazonaws.com", AnyAccount: true,
			Description: "Layersmith: " + f.does,
			Grants:      append(grants[f.name], p.Access.log(group)),
		})
		code := awss3assets.NewAsset(scope, jsii.String(id+"Code"), &awss3assets.AssetProps{
			Path: jsii.String(p.Config.code(f.name)),
		})
		function := awslambda.NewCfnFunction(scope, jsii.String(id), &awslambda.CfnFunctionProps{
			FunctionName:  jsii.String(name),
			Description:   jsii.String("Layersmith: " + f.does),
			Runtime:       jsii.String(p.Config.Runtime),
			Architectures: jsii.Strings(p.Config.Architecture),
			Handler:       jsii.String("bootstrap"),
			Code: &awslambda.CfnFunction_CodeProperty{
				S3Bucket: code.S3BucketName(),
				S3Key:    code.S3ObjectKey(),
			},
			MemorySize:       jsii.Number(f.memory),
			Timeout:          jsii.Number(f.seconds),
			EphemeralStorage: &awslambda.CfnFunction_EphemeralStorageProperty{Size: jsii.Number(f.storage)},
			Environment:      &awslambda.CfnFunction_EnvironmentProperty{Variables: &env},
			LoggingConfig:    &awslambda.CfnFunction_LoggingConfigProperty{LogGroup: group.LogGroupName()},
			Role:             role.RoleArn(),
		})
		made.ARN[f.name] = *function.AttrArn()
	}

	return made
}

// title is the name that constructs, placeholders and states have for a function: "Intake" for
// "intake".
func title(name string) string { return strings.ToUpper(name[:1]) + name[1:] }

func (c Config) probePrefix() string { return c.StackName + "-probe-" }

// console is the URL of an execution's page, without the execution's ARN at its end.
func console() string {
	region := *awscdk.Aws_REGION()
	return "https://" + region + ".console.aws.amazon.com/states/home?region=" + region + "#/v2/executions/details/"
}

type logGroupProps struct {
	Config Config
	Key    key
	Name   string
}

// newLogGroup makes a log group that is deleted with the stack. It has a fixed name, so that the
// program that writes to it needs no permission to create one.
func newLogGroup(scope constructs.Construct, id string, p logGroupProps) awslogs.LogGroup {
	props := &awslogs.LogGroupProps{
		LogGroupName:  jsii.String(p.Name),
		Retention:     retentions[p.Config.LogRetentionDays],
		RemovalPolicy: awscdk.RemovalPolicy_DESTROY,
	}
	if p.Key.Key != nil {
		props.EncryptionKey = p.Key.Key
	}

	return awslogs.NewLogGroup(scope, jsii.String(id), props)
}

// retentions are the CDK's constants for the numbers of days in logDays.
var retentions = map[int]awslogs.RetentionDays{
	1:    awslogs.RetentionDays_ONE_DAY,
	3:    awslogs.RetentionDays_THREE_DAYS,
	5:    awslogs.RetentionDays_FIVE_DAYS,
	7:    awslogs.RetentionDays_ONE_WEEK,
	14:   awslogs.RetentionDays_TWO_WEEKS,
	30:   awslogs.RetentionDays_ONE_MONTH,
	60:   awslogs.RetentionDays_TWO_MONTHS,
	90:   awslogs.RetentionDays_THREE_MONTHS,
	120:  awslogs.RetentionDays_FOUR_MONTHS,
	150:  awslogs.RetentionDays_FIVE_MONTHS,
	180:  awslogs.RetentionDays_SIX_MONTHS,
	365:  awslogs.RetentionDays_ONE_YEAR,
	400:  awslogs.RetentionDays_THIRTEEN_MONTHS,
	545:  awslogs.RetentionDays_EIGHTEEN_MONTHS,
	731:  awslogs.RetentionDays_TWO_YEARS,
	1096: awslogs.RetentionDays_THREE_YEARS,
	1827: awslogs.RetentionDays_FIVE_YEARS,
	2192: awslogs.RetentionDays_SIX_YEARS,
	2557: awslogs.RetentionDays_SEVEN_YEARS,
	2922: awslogs.RetentionDays_EIGHT_YEARS,
	3288: awslogs.RetentionDays_NINE_YEARS,
	3653: awslogs.RetentionDays_TEN_YEARS,
}
