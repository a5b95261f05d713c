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

// namespace of the metrics that the report function writes. An alarm cannot add up dimensions, so
// the function writes each value once for each set of dimensions that an alarm or the dashboard
// uses: LayerName and Target, LayerName alone, Stack alone.
const namespace = "Lambda/Optimization"

type topicProps struct {
	Key    key
	Notify string
}

type topic struct{ Topic awssns.Topic }

// newTopic makes the topic of reports and alarms. Its own policy replaces the default one, so it
// must name CloudWatch, which publishes without a role. The AWS managed key of SNS would not let
// CloudWatch publish, and alarms would be lost silently: messages are encrypted with the key of the
// setting kms, or only by the disk encryption of SNS.
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

// alarmRow is one alarm. It is raised after one period, by the statistic of the metric.
type alarmRow struct {
	id          string
	description string // what happened, and what the operator does about it
	metric      awscloudwatch.IMetric
	threshold   float64
	over        awscloudwatch.ComparisonOperator
	missing     awscloudwatch.TreatMissingData
}

// newAlarms makes the alarms, which publish to the topic.
func newAlarms(scope constructs.Construct, p alarmsProps) alarms {
	const (
		above   = awscloudwatch.ComparisonOperator_GREATER_THAN_THRESHOLD
		atLeast = awscloudwatch.ComparisonOperator_GREATER_THAN_OR_EQUAL_TO_THRESHOLD

		missingIsGood = awscloudwatch.TreatMissingData_NOT_BREACHING
		// Only runs report sizes: without new values the alarm keeps its state.
		missingKeeps = awscloudwatch.TreatMissingData_IGNORE
	)

	limit := p.Config.PackageSizeAlarmMegabytes
	deadLetters := p.Triggers.DeadLetters.MetricApproximateNumberOfMessagesVisible(&awscloudwatch.MetricOptions{
		Statistic: jsii.String("Maximum"),
		Period:    period(),
	})

	var made alarms
	for _, row := range []alarmRow{
		{
			"PackageSize",
			fmt.Sprintf("A layer is larger than %v MiB unzipped. Lambda allows a function 250 MiB with all its "+
				"layers. The dashboard %s shows which layer it is.", limit, p.Config.StackName),
			ofStack(p.Config, "PackageSize", "Maximum"), limit, above, missingKeeps,
		},
		{
			"FailedDirty",
			"A run could not undo all its changes. Read its report and repair the functions that it names.",
			ofStack(p.Config, "FailedDirty", "Sum"), 1, atLeast, missingIsGood,
		},
		{
			"ExecutionsFailed",
			"An execution failed. Its last state in Step Functions says why, and what is left to do.",
			ofMachine(p.Machine, "ExecutionsFailed"), 1, atLeast, missingIsGood,
		},
		{
			"ExecutionsTimedOut",
			"An execution timed out and sent no report. Start another one: it first undoes what this one changed.",
			ofMachine(p.Machine, "ExecutionsTimedOut"), 1, atLeast, missingIsGood,
		},
		{
			"DeadLetters",
			"An upload or the schedule did not start an execution. Start one by hand, then purge the queue.",
			deadLetters, 1, atLeast, missingIsGood,
		},
	} {
		made.All = append(made.All, alarm(scope, p, row))
	}

	return made
}

func alarm(scope constructs.Construct, p alarmsProps, row alarmRow) awscloudwatch.Alarm {
	a := awscloudwatch.NewAlarm(scope, jsii.String(row.id+"Alarm"), &awscloudwatch.AlarmProps{
		AlarmName:          jsii.String(p.Config.StackName + "-" + row.id),
		AlarmDescription:   jsii.String(row.description),
		Metric:             row.metric,
		Threshold:          jsii.Number(row.threshold),
		ComparisonOperator: row.over,
		EvaluationPeriods:  jsii.Number(1),
		TreatMissingData:   row.missing,
	})
	a.AddAlarmAction(awscloudwatchactions.NewSnsAction(p.Topic.Topic))

	return a
}

// ofStack is a metric of the report function, over all layers of the stack.
func ofStack(cfg Config, name, statistic string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:     jsii.String(namespace),
		MetricName:    jsii.String(name),
		Statistic:     jsii.String(statistic),
		Period:        period(),
		DimensionsMap: &map[string]*string{"Stack": jsii.String(cfg.StackName)},
	})
}

// ofMachine counts executions of the state machine.
func ofMachine(machine stateMachine, name string) awscloudwatch.Metric {
	return awscloudwatch.NewMetric(&awscloudwatch.MetricProps{
		Namespace:     jsii.String("AWS/States"),
		MetricName:    jsii.String(name),
		Statistic:     jsii.String("Sum"),
		Period:        period(),
		DimensionsMap: &map[string]*string{"StateMachineArn": jsii.String(machine.ARN)},
	})
}

// period is that of every metric of the stack.
func period() awscdk.Duration { return awscdk.Duration_Seconds(jsii.Number(300)) }
