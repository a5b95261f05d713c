package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/layersmith/layersmith/statemachine"
)

type stateMachineProps struct {
	Config    Config
	Key       key
	Build     build
	Functions functions
	Access    access
}

type stateMachine struct{ ARN string }

// newStateMachine makes the workflow. It is a Standard workflow, because an execution takes longer
// than five minutes and can be redriven. The definition is part of the template, so that the diff
// of a deployment shows its changes. Step Functions keeps the history for 90 days; the log gets
// only errors, without data.
func newStateMachine(scope constructs.Construct, p stateMachineProps) stateMachine {
	group := newLogGroup(scope, "PipelineLog", logGroupProps{
		Config: p.Config,
		Key:    p.Key,
		Name:   "/aws/vendedlogs/states/" + p.Config.StackName,
	})
	role := newRole(scope, "PipelineRole", roleProps{
		Service:     "states.amazonaws.com",
		Description: "Layersmith: the workflow",
		Grants:      p.Access.machineRole(p.Build, p.Functions),
	})

	values := map[string]*string{statemachine.BuildProject: jsii.String(p.Build.Project)}
	for _, name := range statemachine.Functions() {
		values[name] = jsii.String(p.Functions.ARN[strings.ToLower(name)])
	}

	machine := awsstepfunctions.NewCfnStateMachine(scope, jsii.String("Pipeline"),
		&awsstepfunctions.CfnStateMachineProps{
			StateMachineName:        jsii.String(p.Config.StackName),
			StateMachineType:        jsii.String("STANDARD"),
			RoleArn:                 role.RoleArn(),
			DefinitionString:        jsii.String(compact(statemachine.Definition())),
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
		})
	explain(machine, "AwsSolutions-SF1",
		"The history of a Standard workflow has every event for 90 days. The log is needed for errors only.")
	explain(machine, "AwsSolutions-SF2", "The history has the times of every state. A trace would repeat them.")

	return stateMachine{ARN: *machine.AttrArn()}
}

// compact removes white space from JSON: it would count toward the template's limit of 1 MB.
func compact(doc string) string {
	var out bytes.Buffer
	if err := json.Compact(&out, []byte(doc)); err != nil {
		panic(fmt.Sprintf("compact the state machine's definition: %v", err)) // its tests parse it
	}

	return out.String()
}
