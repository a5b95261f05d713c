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

// newOutputs makes the outputs of the stack. The layersmith command reads them by name.
func newOutputs(scope constructs.Construct, p outputsProps) {
	for _, o := range []struct{ name, value, description string }{
		{"WorkspaceBucket", *p.Buckets.Workspace.BucketName(), "Bucket of the workspace: upload files below layers/"},
		{"StoreBucket", *p.Buckets.Store.BucketName(), "Bucket with artifacts, documents and reports"},
		{"StateMachineArn", p.Machine.ARN, "State machine of the workflow"},
		{"TopicArn", *p.Topic.Topic.TopicArn(), "Topic of reports and alarms: subscribe to it"},
		{"DashboardName", p.Dashboard.Name, "Dashboard with sizes, outcomes, import times and storage"},
		{"BuildProject", p.Build.Project, "CodeBuild project, which has the logs of the builds"},
		{"Prefix", p.Config.Prefix, "Prefix of the layers' names in Lambda"},
	} {
		awscdk.NewCfnOutput(scope, jsii.String(o.name), &awscdk.CfnOutputProps{
			Value:       jsii.String(o.value),
			Description: jsii.String(o.description),
		})
	}
}
