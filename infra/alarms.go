package main

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatchactions"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssnssubscriptions"
	"github.com/aws/aws-cdk-go/awscdk/v2/interfaces/interfacesawscloudwatch"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// namespace of the metrics that the report function writes. An alarm does not add dimensions up, so
// each value is written once for each set of dimensions that somebody looks at: LayerName and
// Target, LayerName alone, Stack alone.
const namespace = "Lambda/Optimization"

type topicProps struct {
	Key    key
	Notify string
}

type topic struct{ Topic awssns.Topic }

// newTopic makes the topic of reports and alarms. A policy takes the place of the default one, so
// it names who may publish besides our own role. The key that SNS has for every account does not
// let CloudWatch publish, and alarms would be lost without a word: messages are encrypted by the
// key of the setting kms, or as SNS encrypts its disks.
func newTopic(scope constructs.Construct, p topicProps) topic {
	props := &awssns.TopicProps{DisplayName: jsii.String("Layersmith"), EnforceSSL: jsii.Bool(true)}
	if p.Key.Key != nil {
		props.MasterKey = p.Key.Key
	}

	made := awssns.NewTopic(scope, jsii.String("Topic"), props)
	here := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": *awscdk.Aws_ACCOUNT_ID()}}
	made.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("Alarms"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("cloudwatch.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sns:Publish"),
		Resources:  &[]*string{made.TopicArn()},
		Conditions: &here,
	}))
	if p.Notify != "" {
		made.AddSubscription(awssnssubscriptions.NewEmailSubscription(jsii.String(p.Notify), nil))
	}

	return topic{made}
}

type alarmsProps struct {
	Config   Config
	Machine  stateMachine
	Triggers triggers
	Topic    topic
}

type alarms struct {
	All []interfacesawscloudwatch.IAlarmRef
}

// newAlarms makes what tells a person to look. Each says in its description what to do.
func newAlarms(scope constructs.Construct, p alarmsProps) alarms {
	var made alarms
	tell := awscloudwatchactions.NewSnsAction(p.Topic.Topic)
	alarm := func(id, description string, metric awscloudwatch.IMetric, threshold float64,
		over awscloudwatch.ComparisonOperator, missing awscloudwatch.TreatMissingData) {
		a := awscloudwatch.NewAlarm(scope, jsii.String(id+"Alarm"), &awscloudwatch.AlarmProps{
			AlarmName:          jsii.String(p.Config.StackName + "-" + id),
			AlarmDescription:   jsii.String(description),
			Metric:             metric,
			Threshold:          jsii.Number(threshold),
			ComparisonOperator: over,
			EvaluationPeriods:  jsii.Number(1),
			TreatMissingData:   missing,
		})
		a.AddAlarmAction(tell)
		made.All = append(made.All, a)
	}
	const above, atLeast = awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD, awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD
	const silence, keep = awscloudwatch.TreatMissingData_NOT_BREACHING, awscloudwatch.TreatMissingData_IGNORE

	// Sizes come with a run, once in a while: without new ones the alarm stays as it is.
	alarm(
		"PackageSize",
		fmt.Sprintf(
			"A layer weighs more than %v MiB unzipped; a function and all its layers may weigh 250. The dashboard %s "+
				"says which.",
			p.Config.PackageSizeAlarmMegabytes,
			p.Config.StackName,
		),
		ofStack(p.Config, "PackageSize", "Maximum"),
		p.Config.PackageSizeAlarmMegabytes,
		above,
		keep,
	)
	alarm(
		"FailedDirty",
		"A run could not undo all it did: read its report, then put right by hand the functions that it names.",
		ofStack(p.Config, "FailedDirty", "Sum"),
		1,
		atLeast,
		silence,
	)
	for _, m := range []struct{ metric, why string }{
		{
			"ExecutionsFailed",
			"An execution failed: its page in Step Functions says in the last state why, and what is left.",
		},
		{
			"ExecutionsTimedOut",
			"An execution took too long and was stopped without its own report: the next one cleans up after it; " +
				"start one.",
		},
	} {
		alarm(m.metric, m.why, awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
			Namespace: jsii.String(
				"AWS/States",
			),
			MetricName:    jsii.String(m.metric),
			Statistic:     jsii.String("Sum"),
			Period:        period(),
			DimensionsMap: &map[string]*string{"StateMachineArn": jsii.String(p.Machine.ARN)},
		}), 1, atLeast, silence)
	}

	alarm(
		"DeadLetters",
		"An upload or the schedule did not start an execution: start one by hand, then purge the queue.",
		p.Triggers.DeadLetters.MetricApproximateNumberOfMessagesVisible(
			&awscloudwatch.MetricOptions{Statistic: jsii.String("Maximum"), Period: period()},
		),
		1,
		atLeast,
		silence,
	)
	return made
}

// ofStack is a metric of ours over all layers of the stack.
func ofStack(cfg Config, name, statistic string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace: jsii.String(
			namespace,
		),
		MetricName:    jsii.String(name),
		Statistic:     jsii.String(statistic),
		Period:        period(),
		DimensionsMap: &map[string]*string{"Stack": jsii.String(cfg.StackName)},
	})
}

// period is five minutes, that of every alarm.
func period() awscdk.Duration { return awscdk.Duration_Seconds(jsii.Number(300)) }
