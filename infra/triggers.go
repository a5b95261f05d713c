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

// refresh is the input of the schedule's executions: update all layers to the newest versions that
// the requirements allow.
const refresh = `{"refresh":true,"trigger":"schedule"}`

type triggersProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Machine stateMachine
	Access  access
}

type triggers struct {
	// DeadLetters keeps the events that did not start an execution.
	DeadLetters awssqs.Queue
}

// newTriggers makes what starts executions: uploads below layers/, and the schedule. An execution
// gets the event unchanged; intake reads it. The rule for uploads retries for a day (its default),
// because no upload may be lost. The schedule retries three times, because it runs again anyway.
func newTriggers(scope constructs.Construct, p triggersProps) triggers {
	t := triggers{DeadLetters: newDeadLetters(scope, p.Key)}
	newUploadRule(scope, p, t.DeadLetters)
	if p.Config.Schedule != "" {
		newSchedule(scope, p, t.DeadLetters)
	}

	return t
}

func newDeadLetters(scope constructs.Construct, key key) awssqs.Queue {
	queue := &awssqs.QueueProps{
		Encryption:      awssqs.QueueEncryption_SQS_MANAGED,
		EnforceSSL:      jsii.Bool(true),
		RetentionPeriod: awscdk.Duration_Days(jsii.Number(14)),
	}
	if key.Key != nil {
		queue.Encryption = awssqs.QueueEncryption_KMS
		queue.EncryptionMasterKey = key.Key
	}

	made := awssqs.NewQueue(scope, jsii.String("DeadLetters"), queue)
	explain(made, "AwsSolutions-SQS3", "This queue is itself the dead letter queue.")

	return made
}

func newUploadRule(scope constructs.Construct, p triggersProps, deadLetters awssqs.Queue) {
	upload := newRole(scope, "UploadRole", roleProps{
		Service: "events.amazonaws.com", AnyAccount: true,
		Description: "Layersmith: start an execution for an upload",
		Grants:      p.Access.upload(),
	})
	rule := awsevents.NewCfnRule(scope, jsii.String("Upload"), &awsevents.CfnRuleProps{
		Description: jsii.String("Layersmith: a file was uploaded below layers/"),
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
			DeadLetterConfig: &awsevents.CfnRule_DeadLetterConfigProperty{Arn: deadLetters.QueueArn()},
		}},
	})

	from := map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule.AttrArn()}}
	deadLetters.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
		Sid:        jsii.String("UploadRule"),
		Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String("events.amazonaws.com"), nil)},
		Actions:    jsii.Strings("sqs:SendMessage"),
		Resources:  &[]*string{deadLetters.QueueArn()},
		Conditions: &from,
	}))
}

func newSchedule(scope constructs.Construct, p triggersProps, deadLetters awssqs.Queue) {
	role := newRole(scope, "ScheduleRole", roleProps{
		Service:     "scheduler.amazonaws.com",
		Description: "Layersmith: start an execution on the schedule",
		Grants:      p.Access.schedule(*deadLetters.QueueArn()),
	})
	awsscheduler.NewCfnSchedule(scope, jsii.String("Refresh"), &awsscheduler.CfnScheduleProps{
		Name:                       jsii.String(p.Config.StackName + "-refresh"),
		Description:                jsii.String("Layersmith: update to the newest versions within the requirements"),
		ScheduleExpression:         jsii.String(p.Config.Schedule),
		ScheduleExpressionTimezone: jsii.String("UTC"),
		FlexibleTimeWindow:         &awsscheduler.CfnSchedule_FlexibleTimeWindowProperty{Mode: jsii.String("OFF")},
		Target: &awsscheduler.CfnSchedule_TargetProperty{
			Arn:     jsii.String(p.Machine.ARN),
			RoleArn: role.RoleArn(),
			Input:   jsii.String(refresh),
			RetryPolicy: &awsscheduler.CfnSchedule_RetryPolicyProperty{
				MaximumRetryAttempts:     jsii.Number(3),
				MaximumEventAgeInSeconds: jsii.Number(3600),
			},
			DeadLetterConfig: &awsscheduler.CfnSchedule_DeadLetterConfigProperty{Arn: deadLetters.QueueArn()},
		},
	})
}
