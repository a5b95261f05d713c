package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsevents"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsscheduler"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// refresh is the schedule's input to an execution: newer versions within the requirements, for all
// layers.
const refresh = `{"refresh":true,"trigger":"schedule"}`

type triggersProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Machine stateMachine
	Access  access
}

type triggers struct {
	// DeadLetters keeps what did not start an execution.
	DeadLetters awssqs.Queue
}

// newTriggers starts executions: for what is uploaded below layers/, and on the schedule. The event
// goes in as it is; intake reads it. A rule tries for a day (its default), because an upload must
// not be lost; the schedule gives up after three tries, because the next month comes.
func newTriggers(scope constructs.Construct, p triggersProps) triggers {
	queue := &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	}
	if p.Key.Key != nil {
		queue.Encryption = awssqs.QueueEncryption_KMS
		queue.EncryptionMasterKey = p.Key.Key
	}

	t := triggers{DeadLetters: awssqs.NewQueue(scope, jsii.String("DeadLetters"), queue)}
	explain(t.DeadLetters, "AwsSolutions-SQS3", "It is the dead letter queue itself.")

	upload := newRole(scope, "UploadRole", roleProps{
		Service: "events.amazonaws.com", AnyAccount: true,
		Description: "Layersmith: start an execution for an upload",
		Grants:      p.Access.starts(),
	})
	rule := awsevents.NewCfnRule(scope, jsii.String("Upload"), &awsevents.CfnRuleProps{
		Description: jsii.String("Layersmith: something was uploaded below layers/"),
		EventPattern: map[string]any{
			"source":      []string{"aws.s3"},
			"detail-type": []string{"Object Created"},
			"detail": map[string]any{
				"bucket": map[string]any{"name": []string{*p.Buckets.Workspace.BucketName()}},
				"object": map[string]any{"key": []any{map[string]any{"prefix": "layers/"}}},
			},
		},
		Targets: &[]any{&awsevents.CfnRule_TargetProperty{
			Id:               jsii.String("Pipeline"),
			Arn:              jsii.String(p.Machine.ARN),
			RoleArn:          upload.RoleArn(),
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: t.DeadLetters.QueueArn()},
		}},
	})
	from := map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule.AttrArn()}}
	t.DeadLetters.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("UploadRule"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"),
		Resources:  &[]*string{t.DeadLetters.QueueArn()},
		Conditions: &from,
	}))

	if p.Config.Schedule == "" {
		return t
	}

	monthly := newRole(scope, "ScheduleRole", roleProps{
		Service:     "scheduler.amazonaws.com",
		Description: "Layersmith: start an execution on the schedule",
		Grants:      p.Access.schedules(*t.DeadLetters.QueueArn()),
	})
	awsscheduler.NewCfnSchedule(scope, jsii.String("Refresh"), &awsscheduler.CfnScheduleProps{
		Name:                       jsii.String(p.Config.StackName + "-refresh"),
		Description:                jsii.String("Layersmith: newer versions within the requirements"),
		ScheduleExpression:         jsii.String(p.Config.Schedule),
		ScheduleExpressionTimezone: jsii.String("UTC"),
		FlexibleTimeWindow:         &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     jsii.String(p.Machine.ARN),
			RoleArn: monthly.RoleArn(),
			Input:   jsii.String(refresh),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts:     jsii.Number(3),
				MaximumEventAgeInSeconds: jsii.Number(3600),
			},
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: t.DeadLetters.QueueArn()},
		},
	})
	return t
}
