package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

type stateMachineProps struct {
	Config    Config
	Key       key
	Build     build
	Functions functions
	Access    access
}

type stateMachine struct{ ARN string }

// newStateMachine makes the workflow: Standard, because an execution takes longer than five minutes
// and can be redriven. The definition stands in the template, so that a change of it shows in the
// diff of a deployment. Step Functions keeps the history for 90 days; the log gets errors only,
// without data.
func newStateMachine(scope constructs.Construct, p stateMachineProps) stateMachine {
	group := newLogGroup(
		scope,
		"PipelineLog",
		logGroupProps{Config: p.Config, Key: p.Key, Name: "/aws/vendedlogs/states/" + p.Config.StackName},
	)
	role := newRole(scope, "PipelineRole", roleProps{
		Service:     "states.amazonaws.com",
		Description: "Layersmith: the workflow",
		Grants:      p.Access.machineRole(p.Build, p.Functions),
	})
	values := map[string]*string{"BuildProject": jsii.String(p.Build.Project)}
	for name, arn := range p.Functions.ARN {
		values[title(name)] = jsii.String(arn)
	}

	machine := awsstepfunctions.NewCfnStateMachine(
		scope,
		jsii.String("Pipeline"),
		&awsstepfunctions.CfnStateMachineProps{
			StateMachineName:        jsii.String(p.Config.StackName),
			StateMachineType:        jsii.String("STANDARD"),
			RoleArn:                 role.RoleArn(),
			DefinitionString:        jsii.String(definition(p.Config.Definition)),
			DefinitionSubstitutions: &values,
			LoggingConfiguration: &awsstepfunctions.CfnStateMachine_LoggingConfigurationProperty{
				Level:                jsii.String("ERROR"),
				IncludeExecutionData: jsii.Bool(false),
				Destinations: &[]any{&awsstepfunctions.CfnStateMachine_LogDestinationProperty{
					CloudWatchLogsLogGroup: &awsstepfunctions.CfnStateMachine_CloudWatchLogsLogGroupProperty{
						LogGroupArn: group.LogGroupArn(),
					},
				}},
			},
			TracingConfiguration: &awsstepfunctions.CfnStateMachine_TracingConfigurationProperty{
				Enabled: jsii.Bool(false),
			},
		},
	)
	explain(
		machine,
		"AwsSolutions-SF1",
		"A Standard workflow's history has every event for 90 days; the log is for what failed.",
	)
	explain(machine, "AwsSolutions-SF2", "The history has the time of every state; a trace would repeat it.")
	return stateMachine{ARN: *machine.AttrArn()}
}

// definition is the file without its white space, which counts in a template's limit of 1 MB. The
// configuration has checked that it is JSON.
func definition(file string) string {
	doc, err := os.ReadFile(file)
	if err != nil {
		panic(fmt.Sprintf("read definition: %v", err))
	}

	var compact bytes.Buffer
	if err := json.Compact(&compact, doc); err != nil {
		panic(fmt.Sprintf("read definition %s: %v", file, err))
	}

	return compact.String()
}
