package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// newStack makes all resources. The permissions of the roles are in permissions.go.
func newStack(scope constructs.Construct, cfg Config) {
	stack := awscdk.NewStack(scope, jsii.String(cfg.StackName), &awscdk.StackProps{
		StackName: jsii.String(cfg.StackName),
		Description: jsii.String("Layersmith: Lambda layers for Python, built, pruned, verified, published and " +
			"rolled back"),
		PermissionsBoundary: boundary(cfg.Boundary),
	})

	key := newKey(stack, keyProps{Setting: cfg.KMS, Retain: cfg.Retain})
	buckets := newBuckets(stack, bucketsProps{Key: key, Retain: cfg.Retain, NoncurrentDays: cfg.NoncurrentDays})
	topic := newTopic(stack, topicProps{Key: key, Notify: cfg.Notify})
	may := newAccess(accessProps{Config: cfg, Key: key, Buckets: buckets, Topic: topic})

	build := newBuild(stack, buildProps{Config: cfg, Key: key, Buckets: buckets, Access: may})
	functions := newFunctions(stack, functionsProps{Config: cfg, Key: key, Buckets: buckets, Topic: topic, Access: may})
	machine := newStateMachine(stack, stateMachineProps{
		Config: cfg, Key: key, Build: build, Functions: functions, Access: may,
	})
	triggers := newTriggers(stack, triggersProps{
		Config: cfg, Key: key, Buckets: buckets, Machine: machine, Access: may,
	})

	alarms := newAlarms(stack, alarmsProps{Config: cfg, Machine: machine, Triggers: triggers, Topic: topic})
	board := newDashboard(stack, dashboardProps{Config: cfg, Buckets: buckets, Alarms: alarms})
	newOutputs(stack, outputsProps{
		Config: cfg, Buckets: buckets, Build: build, Machine: machine, Topic: topic, Dashboard: board,
	})
	newChecks(stack, cfg)
}
