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

// grant is one statement of a role. The Service Authorization Reference says which resources an
// action can be limited to.
type grant struct {
	sid       string
	actions   []string
	resources []string
	when      map[string]any // operator, key, value
	// why is required when a resource has a wildcard. It is the reason in the suppression of
	// cdk-nag and in docs/iam.md.
	why  string
	deny bool
}

type accessProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Topic   topic
}

// access has the ARNs that grants are about.
type access struct {
	store, workspace string   // the buckets
	layers, versions string   // patterns: our layers, and their versions
	anyLayer         string   // pattern: all layer versions in the region, of any account
	consumers        []string // patterns: the functions of the setting consumers
	consumed         []string // patterns: their versions and aliases
	probes           string   // pattern: temporary functions
	probeLayers      string   // patterns: layers that verify compares with, and their versions
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
		anyLayer:      "arn:" + *awscdk.Aws_PARTITION() + ":lambda:" + *awscdk.Aws_REGION() + ":*:layer:*:*",
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

// functions are the grants of each function, except for its log. probe is the role of temporary
// functions.
func (a access) functions(probe awsiam.Role) map[string][]grant {
	all := map[string][]grant{
		"intake":   a.intake(),
		"select":   a.selects(),
		"prune":    a.prune(),
		"measure":  a.measure(),
		"record":   a.record(),
		"publish":  a.publish(),
		"verify":   a.verify(probe),
		"update":   a.update(),
		"health":   {a.alarms()},
		"promote":  a.promote(),
		"rollback": a.rollback(),
		"report":   a.report(),
	}
	for name, own := range all {
		all[name] = granted(append(a.everyFunction(), own...)...)
	}

	return all
}

// everyFunction is for the lease and for the documents of a run, which every function reads and
// writes.
func (a access) everyFunction() []grant {
	return []grant{
		a.edit("Lease", "state/lease.json"),
		a.edit("Run", "runs/*"),
		a.keep("Documents", "documents/*"),
		a.listStore(),
		a.encrypt(),
	}
}

func (a access) intake() []grant {
	return []grant{
		a.listWorkspace(),
		a.readWorkspace(),
		a.keep("Workspaces", "workspaces/*"),
		a.readRelease(),
		a.may("Executions", "states:DescribeExecution").on(a.executions).
			because("Any execution of this state machine may hold the lease."),
	}
}

func (a access) selects() []grant {
	return []grant{
		a.open("Workspaces", "workspaces/*"),
		a.edit("Release", "state/released.json"),
	}
}

func (a access) prune() []grant {
	return []grant{
		a.open("Workspaces", "workspaces/*"),
		a.open("Artifacts", "artifacts/*"),
		a.keep("Pruned", "pruned/*"),
	}
}

func (a access) measure() []grant {
	return []grant{
		a.open("Workspaces", "workspaces/*"),
		a.readRelease(),
		a.open("Pruned", "pruned/*"),
	}
}

func (a access) record() []grant {
	return []grant{
		a.readRelease(),
		a.open("Workspaces", "workspaces/*"),
		a.consumer("lambda:GetFunction", "lambda:GetAlias"),
		a.attachLayers(),
		a.alarms(),
		a.may("Tags", "tag:GetResources").anywhere(
			"GetResources has no resource type: it finds the functions that layers/consumers.yaml selects by tag."),
	}
}

func (a access) publish() []grant {
	return []grant{
		a.open("Pruned", "pruned/*"),
		a.listVersions(),
		a.may("Layers", "lambda:PublishLayerVersion").on(a.layers).because(ours),
		a.may("Versions", "lambda:GetLayerVersion", "lambda:AddLayerVersionPermission").on(a.versions).because(ours),
	}
}

func (a access) verify(probe awsiam.Role) []grant {
	return []grant{
		a.open("Workspaces", "workspaces/*"),
		a.open("Artifacts", "artifacts/*"),
		a.open("Pruned", "pruned/*"),
		a.readRelease(),
		a.listVersions(),
		a.may("Versions", "lambda:GetLayerVersion").on(a.versions).because(ours),
		a.may("Unpruned", "lambda:PublishLayerVersion").on(a.probeLayers).because(temporary),
		a.may("UnprunedVersions", "lambda:GetLayerVersion", "lambda:DeleteLayerVersion").
			on(a.probeVersions).because(temporary),
		a.may("Probes",
			"lambda:CreateFunction", "lambda:GetFunction", "lambda:InvokeFunction", "lambda:DeleteFunction").
			on(a.probes).because(temporary),
		a.may("ProbeRole", "iam:PassRole").on(*probe.RoleArn()).
			onlyIf("StringEquals", "iam:PassedToService", "lambda.amazonaws.com"),
	}
}

func (a access) update() []grant {
	return []grant{
		a.consumer("lambda:GetFunction", "lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration",
			"lambda:PublishVersion", "lambda:GetAlias", "lambda:UpdateAlias"),
		a.attachLayers(),
	}
}

func (a access) promote() []grant {
	return []grant{
		a.open("Workspaces", "workspaces/*"),
		a.edit("Release", "state/released.json"),
		a.listVersions(),
		a.listFunctions(),
		a.may("Versions", "lambda:DeleteLayerVersion").on(a.versions).because(ours),
	}
}

func (a access) rollback() []grant {
	return []grant{
		a.readRelease(),
		a.consumer("lambda:GetFunction", "lambda:UpdateFunctionConfiguration", "lambda:GetAlias", "lambda:UpdateAlias"),
		a.attachLayers(),
		a.listVersions(),
		a.listFunctions(),
		a.may("Versions", "lambda:DeleteLayerVersion").on(a.versions).because(ours),
		a.withdrawVersion(),
		a.may("Probes", "lambda:DeleteFunction").on(a.probes).because(temporary),
	}
}

func (a access) report() []grant {
	return []grant{
		a.readRelease(),
		a.may("Metrics", "cloudwatch:PutMetricData").onlyIf("StringEquals", "cloudwatch:namespace", namespace).
			anywhere("PutMetricData has no resource type. The condition limits it to one namespace."),
		a.may("Topic", "sns:Publish").on(a.topic),
	}
}

// The reasons that several grants share.
const (
	content   = "Keys end in a content digest or begin with the name of a run."
	ours      = "Layers below the prefix belong to the workflow. Lambda assigns version numbers when it publishes."
	temporary = "Temporary functions, and layers to compare with, have names that begin with the stack's name. " +
		"Each is made for one probe."
	matched = "The setting consumers names the functions. Their versions and aliases have no fixed names."
)

// build is for the role of the CodeBuild project. Its source is one object of the CDK's bucket.
func (a access) build(source awss3assets.Asset, group awslogs.LogGroup) []grant {
	bucket := *source.Bucket().BucketArn()

	return granted(
		a.may("Source", "s3:GetObject", "s3:GetObjectVersion").on(bucket+"/"+*source.S3ObjectKey()),
		a.may("SourceBucket", "s3:GetBucketAcl", "s3:GetBucketLocation", "s3:ListBucket").on(bucket),
		a.open("Workspaces", "workspaces/*"),
		a.readRelease(),
		a.edit("Run", "runs/*"),
		a.keep("Locks", "locks/*"),
		a.keep("Artifacts", "artifacts/*"),
		a.listStore(),
		a.encrypt(),
		a.log(group),
		a.index(),
	)
}

// machineRole is for the state machine: it may call the functions, and start builds without
// overriding the project's buildspec, image or privileges.
func (a access) machineRole(b build, f functions) []grant {
	var arns []string
	for _, row := range functionTable {
		arns = append(arns, f.ARN[row.name])
	}

	rule := arn("events", "rule/StepFunctionsGetEventForCodeBuildStartBuildRule")
	start := "codebuild:StartBuild"

	return []grant{
		a.may("Functions", "lambda:InvokeFunction").on(arns...),
		a.may("Build", start, "codebuild:StopBuild", "codebuild:BatchGetBuilds").on(b.ARN),
		a.never("Buildspec", start).on(b.ARN).onlyIf("Null", "codebuild:source.buildspec", "false"),
		a.never("Image", start).on(b.ARN).onlyIf("Null", "codebuild:environment.image", "false"),
		a.never("Privileged", start).on(b.ARN).onlyIf("Null", "codebuild:environment.privilegedMode", "false"),
		a.may("BuildEvents", "events:PutTargets", "events:PutRule", "events:DescribeRule").on(rule),
		a.may("LogDelivery", "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery",
			"logs:DeleteLogDelivery", "logs:ListLogDeliveries",
			"logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups").
			anywhere("Log delivery has no resource type. Step Functions sets it up for the workflow's log group."),
	}
}

// upload is for the role of the rule for uploads.
func (a access) upload() []grant {
	return []grant{a.may("Start", "states:StartExecution").on(a.machine)}
}

// schedule is for the role of the schedule, which also writes to the dead letter queue.
func (a access) schedule(queue string) []grant {
	return granted(
		a.may("Start", "states:StartExecution").on(a.machine),
		a.may("DeadLetters", "sqs:SendMessage").on(queue),
		a.encrypt(),
	)
}

// granted leaves out grants without resources: without a key, an index or consumers there is
// nothing to grant.
func granted(list ...grant) []grant {
	return slices.DeleteFunc(list, func(g grant) bool { return len(g.resources) == 0 })
}

func (a access) may(sid string, actions ...string) grant { return grant{sid: sid, actions: actions} }

func (a access) never(sid string, actions ...string) grant {
	return grant{sid: "Never" + sid, actions: actions, deny: true}
}

func (g grant) on(resources ...string) grant {
	g.resources = resources
	return g
}

func (g grant) because(why string) grant {
	g.why = why
	return g
}

// anywhere is for actions that cannot be limited to a resource.
func (g grant) anywhere(why string) grant { return g.on("*").because(why) }

func (g grant) onlyIf(operator, key, value string) grant {
	g.when = map[string]any{operator: map[string]any{key: value}}
	return g
}

// The grants edit, open and keep are for objects of the store. Documents of a fixed name are
// edited. Content is stored under its digest: it is opened or kept. Keeping includes opening,
// because it first checks whether the content exists.
func (a access) edit(what, key string) grant {
	return a.may("Edit"+what, "s3:GetObject", "s3:PutObject").on(a.store + "/" + key).because(content)
}

func (a access) open(what, keys string) grant {
	return a.may("Open"+what, "s3:GetObject", "s3:GetObjectVersion").on(a.store + "/" + keys).because(content)
}

func (a access) keep(what, keys string) grant {
	return a.may("Keep"+what, "s3:GetObject", "s3:GetObjectVersion", "s3:PutObject").
		on(a.store + "/" + keys).because(content)
}

func (a access) readRelease() grant {
	return a.may("ReadRelease", "s3:GetObject").on(a.store + "/state/released.json")
}

// listStore is needed to read documents that may not exist: without ListBucket, S3 answers 403, not
// 404. There is no condition on the prefix, because a request for an object has none.
func (a access) listStore() grant { return a.may("ListStore", "s3:ListBucket").on(a.store) }

// listWorkspace includes versions, because a build uses the versions that intake listed.
func (a access) listWorkspace() grant {
	return a.may("ListWorkspace", "s3:ListBucket", "s3:ListBucketVersions").on(a.workspace)
}

func (a access) readWorkspace() grant {
	return a.may("ReadWorkspace", "s3:GetObject", "s3:GetObjectVersion").on(a.workspace + "/layers/*").
		because("Users choose the names of layers and files.")
}

func (a access) consumer(actions ...string) grant {
	return a.may("Consumers", actions...).on(slices.Concat(a.consumers, a.consumed)...).because(matched)
}

// attachLayers is what Lambda requires for changing the layers of a function: access to every layer
// of the new list, including layers of other accounts that the function has already.
func (a access) attachLayers() grant {
	return a.may("AttachLayers", "lambda:GetLayerVersion").on(a.anyLayer).
		because("Lambda requires access to every layer of a function. Consumers may have layers of other accounts.")
}

// withdrawVersion allows deleting a version that a run published. The resources have a version, so
// that a whole function cannot be deleted.
func (a access) withdrawVersion() grant {
	return a.may("WithdrawVersion", "lambda:DeleteFunction").on(a.consumed...).because(matched)
}

func (a access) alarms() grant {
	return a.may("Alarms", "cloudwatch:DescribeAlarms").anywhere(
		"DescribeAlarms omits composite alarms without access to all alarms, and a consumer's alarm may be composite.")
}

func (a access) listVersions() grant {
	return a.may("ListVersions", "lambda:ListLayerVersions").anywhere("ListLayerVersions has no resource type.")
}

func (a access) listFunctions() grant {
	return a.may("ListFunctions", "lambda:ListFunctions").anywhere(
		"ListFunctions has no resource type. A layer version is deleted only when no function of the account uses it.")
}

func (a access) log(group awslogs.LogGroup) grant {
	return a.may("Log", "logs:CreateLogStream", "logs:PutLogEvents").on(*group.LogGroupArn()).
		because("The log streams of one group get their names when a process starts.")
}

func (a access) encrypt() grant {
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
	// Service is the principal that assumes the role.
	Service     string
	Description string
	Grants      []grant
	// AnyAccount is for services that do not send the condition key aws:SourceAccount.
	AnyAccount bool
}

// newRole makes a role whose policy is exactly the grants. The policy is inline, so that the role
// never exists without it.
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
	if len(p.Grants) > 0 {
		var statements []awsiam.PolicyStatement
		for _, g := range p.Grants {
			statements = append(statements, g.statement())
		}

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

func (g grant) statement() awsiam.PolicyStatement {
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

	return awsiam.NewPolicyStatement(s)
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

// explainWildcards suppresses the finding of cdk-nag about wildcards, with the reason of the grant,
// for exactly those of its resources that have a wildcard.
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

// explain suppresses a finding of cdk-nag, with a reason.
func explain(construct constructs.IConstruct, rule, why string) {
	cdknag.NagSuppressions_AddResourceSuppressions(
		construct,
		&[]*cdknag.NagPackSuppression{{Id: jsii.String(rule), Reason: jsii.String(why)}},
		nil,
	)
}

// newChecks runs cdk-nag on the stack, and warns of a runtime that AWS retires.
func newChecks(stack awscdk.Stack, cfg Config) {
	awscdk.Aspects_Of(stack).Add(cdknag.NewAwsSolutionsChecks(&cdknag.NagPackProps{Reports: jsii.Bool(false)}), nil)
	if cfg.Runtime == "provided.al2" {
		awscdk.Validations_Of(stack).Acknowledge(&awscdk.Acknowledgment{
			Id:     jsii.String("CloudFormation-Validate::W2531"),
			Reason: jsii.String("The stack warns once for all functions."),
		})
		awscdk.Annotations_Of(stack).AddWarningV2(jsii.String("layersmith:runtime"),
			jsii.String("AWS stops creating functions on provided.al2 on 2027-02-01 and updating them on 2027-03-03; "+
				"set layersmith.runtime to provided.al2023 in cdk.json"))
	}
}

// flat writes a resolved value as findings of cdk-nag do: <Bucket.Arn>/artifacts/*.
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
			var parts []string
			for _, part := range get {
				parts = append(parts, fmt.Sprint(part))
			}

			return "<" + strings.Join(parts, ".") + ">"
		}
	}

	return fmt.Sprint(value)
}
