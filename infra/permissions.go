package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslogs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
	"github.com/cdklabs/cdk-nag-go/cdknag/v2"
)

// grant is one statement of a role. Which resource an action takes, if any, is the Service
// Authorization Reference's word.
type grant struct {
	sid       string
	actions   []string
	resources []string
	when      map[string]any // operator, key, value
	// why is required where a resource holds a wildcard: it is the reason in the suppression of
	// cdk-nag, and in docs/iam.md.
	why  string
	deny bool
}

type accessProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Topic   topic
}

// access knows the names that grants are about.
type access struct {
	store, workspace string // ARNs of the buckets
	layers, versions string // ARN patterns of our layers and of their versions
	foreign          string // ARN pattern of any layer version in the region
	consumers        []string
	consumed         []string // ARN patterns of consumers' versions
	probes           string   // ARN patterns of throw-away functions, and of layers that are compared in them
	probeLayers      string
	probeVersions    string
	machine          string
	executions       string
	topic            string
	key              string // "" for none
	secret           string // "" for none
}

func newAccess(p accessProps) access {
	a := access{
		store:         *p.Buckets.Store.BucketArn(),
		workspace:     *p.Buckets.Workspace.BucketArn(),
		layers:        arn("lambda", "layer", p.Config.Prefix+"*"),
		versions:      arn("lambda", "layer", p.Config.Prefix+"*", "*"),
		foreign:       "arn:" + *awscdk.Aws_PARTITION() + ":lambda:" + *awscdk.Aws_REGION() + ":*:layer:*:*",
		probes:        arn("lambda", "function", p.Config.probePrefix()+"*"),
		probeLayers:   arn("lambda", "layer", p.Config.probePrefix()+"*"),
		probeVersions: arn("lambda", "layer", p.Config.probePrefix()+"*", "*"),
		machine:       arn("states", "stateMachine", p.Config.StackName),
		executions:    arn("states", "execution", p.Config.StackName, "*"),
		topic:         *p.Topic.Topic.TopicArn(),
		secret:        p.Config.IndexSecret,
	}
	for _, pattern := range p.Config.Consumers {
		a.consumers = append(a.consumers, arn("lambda", "function", pattern))
		a.consumed = append(a.consumed, arn("lambda", "function", pattern, "*"))
	}

	if p.Key.Key != nil {
		a.key = *p.Key.Key.KeyArn()
	}

	return a
}

// functions are the grants by function, besides its log. Every function holds the lease, reads and
// writes the run's documents.
func (a access) functions(probe awsiam.Role) map[string][]grant {
	all := a.all(
		a.edits("Lease", "state/lease.json"),
		a.edits("Run", "runs/*"),
		a.keeps("Documents", "documents/*"),
		a.tells(),
		a.encrypts(),
	)
	return map[string][]grant{
		"intake": a.all(
			all,
			a.lists(),
			a.pushed(),
			a.keeps("Workspaces", "workspaces/*"),
			a.reads("Release", "state/released.json"),
			a.may("Executions", "states:DescribeExecution").
				on(a.executions).
				because("The run that holds the lease is any execution of this state machine."),
		),
		"select": a.all(all,
			a.opens("Workspaces", "workspaces/*"),
			a.edits("Release", "state/released.json"),
		),
		"prune": a.all(all,
			a.opens("Workspaces", "workspaces/*"),
			a.opens("Artifacts", "artifacts/*"),
			a.keeps("Pruned", "pruned/*"),
		),
		"measure": a.all(all,
			a.opens("Workspaces", "workspaces/*"),
			a.reads("Release", "state/released.json"),
			a.opens("Pruned", "pruned/*"),
		),
		"record": a.all(
			all,
			a.reads("Release", "state/released.json"),
			a.opens("Workspaces", "workspaces/*"),
			a.consumer("Consumers", "lambda:GetFunction", "lambda:GetAlias"),
			a.attaches(),
			a.alarms(),
			a.may("Tags", "tag:GetResources").
				anywhere("GetResources takes no resource: it finds the functions that layers/consumers.yaml names by "+
					"tag."),
		),
		"publish": a.all(
			all,
			a.opens("Pruned", "pruned/*"),
			a.listsVersions(),
			a.may("Layers", "lambda:PublishLayerVersion").on(a.layers).because(ours),
			a.may("Versions", "lambda:GetLayerVersion", "lambda:AddLayerVersionPermission").
				on(a.versions).
				because(ours),
		),
		"verify": a.all(
			all,
			a.opens("Workspaces", "workspaces/*"),
			a.opens("Artifacts", "artifacts/*"),
			a.opens("Pruned", "pruned/*"),
			a.reads("Release", "state/released.json"),
			a.listsVersions(),
			a.may("Versions", "lambda:GetLayerVersion").on(a.versions).because(ours),
			a.may("Unpruned", "lambda:PublishLayerVersion").on(a.probeLayers).because(throwaway),
			a.may("UnprunedVersions", "lambda:GetLayerVersion", "lambda:DeleteLayerVersion").
				on(a.probeVersions).
				because(throwaway),
			a.may("Probes", "lambda:CreateFunction", "lambda:GetFunction", "lambda:InvokeFunction",
				"lambda:DeleteFunction").
				on(a.probes).
				because(throwaway),
			a.may("ProbeRole", "iam:PassRole").
				on(*probe.RoleArn()).
				onlyIf("StringEquals", "iam:PassedToService", "lambda.amazonaws.com"),
		),
		"update": a.all(
			all,
			a.consumer(
				"Consumers",
				"lambda:GetFunction",
				"lambda:GetFunctionConfiguration",
				"lambda:UpdateFunctionConfiguration",
				"lambda:PublishVersion",
				"lambda:GetAlias",
				"lambda:UpdateAlias",
			),
			a.attaches(),
		),
		"health": a.all(all,
			a.alarms(),
		),
		"promote": a.all(all,
			a.opens("Workspaces", "workspaces/*"),
			a.edits("Release", "state/released.json"),
			a.listsVersions(),
			a.inUse(),
			a.may("Versions", "lambda:DeleteLayerVersion").on(a.versions).because(ours),
		),
		"rollback": a.all(
			all,
			a.reads("Release", "state/released.json"),
			a.consumer(
				"Consumers",
				"lambda:GetFunction",
				"lambda:UpdateFunctionConfiguration",
				"lambda:GetAlias",
				"lambda:UpdateAlias",
			),
			a.attaches(),
			a.listsVersions(),
			a.inUse(),
			a.may("Versions", "lambda:DeleteLayerVersion").on(a.versions).because(ours),
			a.withdraws(),
			a.may("Probes", "lambda:DeleteFunction").on(a.probes).because(throwaway),
		),
		"report": a.all(all,
			a.reads("Release", "state/released.json"),
			a.may("Metrics", "cloudwatch:PutMetricData").onlyIf("StringEquals", "cloudwatch:namespace", namespace).
				anywhere("PutMetricData is limited by namespace."),
			a.may("Topic", "sns:Publish").on(a.topic),
		),
	}
}

// The reasons that several grants share.
const (
	content   = "Keys end in the content's digest or begin with the run's name."
	ours      = "Layers below the prefix are the workflow's own; versions get their numbers when they are published."
	throwaway = "Throw-away functions, and layers for a comparison, have names that begin with the stack's and are " +
		"made for one probe each."
	matched = "The setting consumers names the functions; versions and aliases of theirs have no fixed names."
)

// build is what the project's role may do. Its source is one object of the deployment's bucket.
func (a access) build(source awss3assets.Asset, group awslogs.LogGroup) []grant {
	bucket := *source.Bucket().BucketArn()
	return a.all(
		a.may("Source", "s3:GetObject", "s3:GetObjectVersion").on(bucket+"/"+*source.S3ObjectKey()),
		a.may("SourceBucket", "s3:GetBucketAcl", "s3:GetBucketLocation", "s3:ListBucket").on(bucket),
		a.opens("Workspaces", "workspaces/*"),
		a.reads("Release", "state/released.json"),
		a.edits("Run", "runs/*"),
		a.keeps("Locks", "locks/*"),
		a.keeps("Artifacts", "artifacts/*"),
		a.tells(),
		a.encrypts(),
		a.logs(group),
		a.index(),
	)
}

// machineRole is what the state machine may do: call the functions, and build as the project says
// and in no other way.
func (a access) machineRole(b build, f functions) []grant {
	var arns []string
	for _, name := range functionTable {
		arns = append(arns, f.ARN[name.name])
	}

	rule := arn("events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule")
	return a.all(
		a.may("Functions", "lambda:InvokeFunction").on(arns...),
		a.may("Build", "codebuild:StartBuild", "codebuild:StopBuild", "codebuild:BatchGetBuilds").on(b.ARN),
		a.never("Buildspec", "codebuild:StartBuild").on(b.ARN).onlyIf("Null", "codebuild:source.buildspec", "false"),
		a.never("Image", "codebuild:StartBuild").on(b.ARN).onlyIf("Null", "codebuild:environment.image", "false"),
		a.never("Privileged", "codebuild:StartBuild").
			on(b.ARN).
			onlyIf("Null", "codebuild:environment.privilegedMode", "false"),
		a.may("BuildEvents", "events:PutTargets", "events:PutRule", "events:DescribeRule").on(rule),
		a.may("LogDelivery", "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery",
			"logs:DeleteLogDelivery", "logs:ListLogDeliveries",
			"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups").
			anywhere("Log delivery takes no resource: Step Functions sets it up for the group of this state machine."),
	)
}

// starts is what the upload rule and the schedule may do.
func (a access) starts() []grant {
	return a.all(a.may("Start", "states:StartExecution").on(a.machine))
}

// schedules is what the schedule may do, besides: keep what could not be started.
func (a access) schedules(queue string) []grant {
	return a.all(a.starts(), a.may("DeadLetters", "sqs:SendMessage").on(queue), a.encrypts())
}

// all joins grants; those with nothing to grant are left out.
func (a access) all(list ...any) []grant {
	var joined []grant
	for _, item := range list {
		switch g := item.(type) {
		case grant:
			if len(g.resources) > 0 {
				joined = append(joined, g)
			}
		case []grant:
			joined = append(joined, g...)
		}
	}

	return joined
}

func (a access) may(sid string, actions ...string) grant { return grant{sid: sid, actions: actions} }

func (a access) never(sid string, actions ...string) grant {
	return grant{sid: "Never" + sid, actions: actions, deny: true}
}

func (g grant) on(resources ...string) grant { g.resources = resources; return g }

func (g grant) because(why string) grant { g.why = why; return g }

// anywhere is for actions that take no resource.
func (g grant) anywhere(why string) grant { return g.on("*").because(why) }

func (g grant) onlyIf(operator, key, value string) grant {
	g.when = map[string]any{operator: map[string]any{key: value}}
	return g
}

// reads, edits, opens and keeps are about keys of the store: one document or many, documents that
// change or content that does not. To keep content is to look first whether it is there, so it
// includes to open it.
func (a access) reads(what, key string) grant {
	return a.may("Read"+what, "s3:GetObject").on(a.store + "/" + key)
}

func (a access) edits(what, key string) grant {
	return a.may("Edit"+what, "s3:GetObject", "s3:PutObject").on(a.store + "/" + key).because(content)
}

func (a access) opens(what, keys string) grant {
	return a.may("Open"+what, "s3:GetObject", "s3:GetObjectVersion").on(a.store + "/" + keys).because(content)
}

func (a access) keeps(what, keys string) grant {
	return a.may("Keep"+what, "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject").
		on(a.store + "/" + keys).
		because(content)
}

// tells lets S3 answer that a document is not there: to who may not list a bucket it says that
// access is denied. No condition on the prefix, because the request for a document has none.
func (a access) tells() grant { return a.may("ListStore", "s3:ListBucket").on(a.store) }

// lists is the same for the workspace; versions are listed, because what is built is the version
// that was seen.
func (a access) lists() grant {
	return a.may("ListWorkspace", "s3:ListBucket", "s3:ListBucketVersions").on(a.workspace)
}

func (a access) pushed() grant {
	return a.may("ReadWorkspace", "s3:GetObject", "s3:GetObjectVersion").
		on(a.workspace + "/layers/*").
		because("Layers have the names that people give them.")
}

func (a access) consumer(sid string, actions ...string) grant {
	return a.may(sid, actions...).on(append(slices.Clone(a.consumers), a.consumed...)...).because(matched)
}

// attaches is what Lambda asks of who changes the layers of a function: to see each of them, also
// those of others that it has already.
func (a access) attaches() grant {
	return a.may("AttachLayers", "lambda:GetLayerVersion").on(a.foreign).
		because("A consumer keeps the layers that are not ours, of any account that shares them, and Lambda wants to " +
			"see all of the list.")
}

// withdraws is to delete the version of a consumer that the run published. The resource is a
// version's: a whole function cannot be deleted with it.
func (a access) withdraws() grant {
	return a.may("WithdrawVersion", "lambda:DeleteFunction").on(a.consumed...).because(matched)
}

func (a access) alarms() grant {
	return a.may("Alarms", "cloudwatch:DescribeAlarms").
		anywhere("DescribeAlarms shows composite alarms only to who may describe all alarms, and a consumer's alarm " +
			"may be one.")
}

func (a access) listsVersions() grant {
	return a.may("ListVersions", "lambda:ListLayerVersions").anywhere("ListLayerVersions takes no resource.")
}

func (a access) inUse() grant {
	return a.may("ListFunctions", "lambda:ListFunctions").
		anywhere("ListFunctions takes no resource: a layer version is deleted only when no function of the account " +
			"has it.")
}

func (a access) logs(group awslogs.LogGroup) grant {
	return a.may("Log", "logs:CreateLogStream", "logs:PutLogEvents").on(*group.LogGroupArn()).
		because("Streams of one group; their names are made when a process starts.")
}

func (a access) encrypts() grant {
	if a.key == "" {
		return grant{}
	}

	return a.may("Key", "kms:Decrypt", "kms:GenerateDataKey").on(a.key)
}

func (a access) index() grant {
	if a.secret == "" {
		return grant{}
	}

	return a.may("Index", "secretsmanager:GetSecretValue").on(a.secret)
}

type roleProps struct {
	// Service is who assumes the role.
	Service     string
	Description string
	Grants      []grant
	// AnyAccount is for services that do not say for which account they assume a role.
	AnyAccount bool
}

// newRole makes a role whose policy is exactly the grants. The policy is part of the role, so that
// there is no moment when one is there without the other.
func newRole(scope constructs.Construct, id string, p roleProps) awsiam.Role {
	var narrowed *awsiam.ServicePrincipalOpts
	if !p.AnyAccount {
		here := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": *awscdk.Aws_ACCOUNT_ID()}}
		narrowed = &awsiam.ServicePrincipalOpts{Conditions: &here}
	}

	props := &awsiam.RoleProps{
		AssumedBy:   awsiam.NewServicePrincipal(jsii.String(p.Service), narrowed),
		Description: jsii.String(p.Description),
	}
	statements := []awsiam.PolicyStatement{}
	for _, g := range p.Grants {
		s := &awsiam.PolicyStatementProps{
			Sid:       jsii.String(g.sid),
			Actions:   jsii.Strings(g.actions...),
			Resources: jsii.Strings(g.resources...),
		}
		if g.deny {
			s.Effect = awsiam.Effect_DENY
		}

		if g.when != nil {
			s.Conditions = &g.when
		}

		statements = append(statements, awsiam.NewPolicyStatement(s))
	}

	if len(statements) > 0 {
		props.InlinePolicies = &map[string]awsiam.PolicyDocument{
			"grants": awsiam.NewPolicyDocument(&awsiam.PolicyDocumentProps{Statements: &statements}),
		}
	}

	role := awsiam.NewRole(scope, jsii.String(id), props)
	for _, g := range p.Grants {
		explainWildcards(scope, role, g)
	}

	return role
}

// boundary is the permissions boundary of all roles, nil for none.
func boundary(setting string) awscdk.PermissionsBoundary {
	switch {
	case setting == "":
		return nil
	case strings.HasPrefix(setting, "arn:"):
		return awscdk.PermissionsBoundary_FromArn(jsii.String(setting))
	}

	return awscdk.PermissionsBoundary_FromName(jsii.String(setting))
}

// explainWildcards gives the reason of a grant to cdk-nag, for each of its resources that holds a
// wildcard, and for no other.
func explainWildcards(scope constructs.Construct, role awsiam.Role, g grant) {
	var wide []any
	for _, resource := range g.resources {
		if name := flat(awscdk.Stack_Of(scope).Resolve(resource)); strings.Contains(name, "*") && !g.deny {
			wide = append(wide, "Resource::"+name)
		}
	}

	if len(wide) == 0 {
		return
	}

	if g.why == "" {
		panic(fmt.Sprintf("grant %s has a wildcard and no reason", g.sid))
	}

	cdknag.NagSuppressions_AddResourceSuppressions(role, &[]*cdknag.NagPackSuppression{
		{Id: jsii.String("AwsSolutions-IAM5"), Reason: jsii.String(g.why), AppliesTo: &wide},
	}, nil)
}

// explain says why a finding of cdk-nag stays.
func explain(construct constructs.IConstruct, rule, why string) {
	cdknag.NagSuppressions_AddResourceSuppressions(
		construct,
		&[]*cdknag.NagPackSuppression{{Id: jsii.String(rule), Reason: jsii.String(why)}},
		nil,
	)
}

// newChecks lets cdk-nag look at the stack, and says what a person should know of the settings.
func newChecks(stack awscdk.Stack, cfg Config) {
	awscdk.Aspects_Of(stack).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	if cfg.Runtime == "provided.al2" {
		awscdk.Validations_Of(stack).Acknowledge(&awscdk.Acknowledgment{
			Id: jsii.String(
				"CloudFormation-Validate::W2531",
			),
			Reason: jsii.String("The stack says it once, for all functions."),
		})
		awscdk.Annotations_Of(stack).AddWarningV2(jsii.String("layersmith:runtime"),
			jsii.String("AWS stops creating functions on provided.al2 on 2027-02-01 and updating them on 2027-03-03; "+
				"set layersmith.runtime to provided.al2023 in cdk.json"))
	}
}

// flat is a resolved value as cdk-nag names it in findings: <Bucket.Arn>/artifacts/*.
func flat(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		var b strings.Builder
		for _, part := range v {
			b.WriteString(flat(part))
		}

		return b.String()
	case map[string]any:
		if ref, ok := v["Ref"].(string); ok {
			return "<" + ref + ">"
		}

		if sub, ok := v["Fn::Sub"].(string); ok {
			return strings.NewReplacer("${", "<", "}", ">").Replace(sub)
		}

		if join, ok := v["Fn::Join"].([]any); ok && len(join) == 2 {
			return flat(join[1])
		}

		if get, ok := v["Fn::GetAtt"].([]any); ok {
			return "<" + strings.Join(slices.Collect(func(yield func(string) bool) {
				for _, part := range get {
					yield(fmt.Sprint(part))
				}
			}), ".") + ">"
		}
	}

	return fmt.Sprint(value)
}
