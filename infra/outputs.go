package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

type outputsProps struct {
	Config    Config
	Buckets   buckets
	Build     build
	Machine   stateMachine
	Topic     topic
	Dashboard dashboard
}

// newOutputs names what an operator needs. The command line reads them: the names are part of its
// contract.
func newOutputs(scope constructs.Construct, p outputsProps) {
	for _, o := range []struct{ name, value, description string }{
		{"WorkspaceBucket", *p.Buckets.Workspace.BucketName(), "push layers/ to it"},
		{"StoreBucket", *p.Buckets.Store.BucketName(), "artifacts, documents and reports"},
		{"StateMachineArn", p.Machine.ARN, "start and watch executions of it"},
		{"TopicArn", *p.Topic.Topic.TopicArn(), "subscribe to it for reports and alarms"},
		{"DashboardName", p.Dashboard.Name, "sizes, outcomes, import times, storage"},
		{"BuildProject", p.Build.Project, "logs of the builds"},
		{"Prefix", p.Config.Prefix, "of the layers' names in Lambda"},
	} {
		awscdk.NewCfnOutput(
			scope,
			jsii.String(o.name),
			&awscdk.CfnOutputProps{Value: jsii.String(o.value), Description: jsii.String(o.description)},
		)
	}
}
