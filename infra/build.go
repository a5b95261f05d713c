package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// buildMinutes is less than the task's timeout in the state machine, so that CodeBuild says first
// what took too long. On Lambda compute the limit is 15 minutes and cannot be set.
const buildMinutes = 55

// The buildspec has no logic: our own command line does the work, the same that people run at home.
const (
	buildspec = `version: 0.2
cache:
  paths: [".cache/**/*"]
phases:
  install:
    runtime-versions: { python: "3.13" }
    commands:
      - python3 -m pip install uv==0.13.9
  build:
    commands:
      - LAYERSMITH_CACHE="$PWD/.cache/layersmith" UV_CACHE_DIR="$PWD/.cache/uv" ./layersmith artifacts "s3://$LAYERSMITH_STORE/runs/$LAYERSMITH_RUN"
`
	// Lambda compute has one interpreter, no root, and only /tmp can be written.
	buildspecLambda = `version: 0.2
env:
  variables: { HOME: /tmp, PYTHONUSERBASE: /tmp/python, LAYERSMITH_CACHE: /tmp/layersmith, UV_CACHE_DIR: /tmp/uv }
phases:
  install:
    commands:
      - python3 -m pip install --user uv==0.13.9
  build:
    commands:
      - PATH="/tmp/python/bin:$PATH" ./layersmith artifacts "s3://$LAYERSMITH_STORE/runs/$LAYERSMITH_RUN"
`
)

// machineKind is where builds run.
type machineKind struct{ kind, image, compute, spec string }

// The AL2023 images that CodeBuild curates; the CDK has no constants for them.
func (c Config) builder() machineKind {
	m := machineKind{
		"LINUX_CONTAINER",
		"aws/codebuild/amazonlinux-x86_64-standard:6.0",
		"BUILD_GENERAL1_SMALL",
		buildspec,
	}
	switch {
	case c.CodeBuildLambda && c.Architecture == "arm64":
		m = machineKind{
			"ARM_LAMBDA_CONTAINER",
			"aws/codebuild/amazonlinux-aarch64-lambda-standard:python3.13",
			"BUILD_LAMBDA_1GB",
			buildspecLambda,
		}
	case c.CodeBuildLambda:
		m = machineKind{
			"LINUX_LAMBDA_CONTAINER",
			"aws/codebuild/amazonlinux-x86_64-lambda-standard:python3.13",
			"BUILD_LAMBDA_1GB",
			buildspecLambda,
		}
	case c.Architecture == "arm64":
		m.kind = "ARM_CONTAINER"
		m.image = "aws/codebuild/amazonlinux-aarch64-standard:4.0"
	}

	if c.ComputeType != "" {
		m.compute = c.ComputeType
	}

	return m
}

type buildProps struct {
	Config  Config
	Key     key
	Buckets buckets
	Access  access
}

type build struct {
	// Project is its name, ARN made of it: nothing waits for the project but what uses it.
	Project, ARN string
}

// newBuild makes the project. Its source is our own command line and nothing else: a workspace is
// data that the plan names, so no text of it reaches a shell. The cache stays on the build host: it
// helps the next builds of the hour, costs nothing, and needs no rights. Wheels are checked by
// hash, so a cache that somebody spoilt is refused.
func newBuild(scope constructs.Construct, p buildProps) build {
	name := p.Config.StackName + "-build"
	source := awss3assets.NewAsset(
		scope,
		jsii.String("CommandLine"),
		&awss3assets.AssetProps{Path: jsii.String(p.Config.cli())},
	)
	group := newLogGroup(scope, "BuildLog", logGroupProps{Config: p.Config, Key: p.Key, Name: "/aws/codebuild/" + name})
	role := newRole(scope, "BuildRole", roleProps{
		Service:     "codebuild.amazonaws.com",
		Description: "Layersmith: builds of " + name,
		Grants:      p.Access.build(source, group),
	})
	where := p.Config.builder()
	env := []any{
		plain("LAYERSMITH_STORE", *p.Buckets.Store.BucketName()),
		plain("LAYERSMITH_WORKSPACE", *p.Buckets.Workspace.BucketName()),
		plain("LAYERSMITH_PREFIX", p.Config.Prefix),
	}
	if p.Config.IndexSecret != "" {
		env = append(env, &awscodebuild.CfnProject_EnvironmentVariableProperty{
			Name: jsii.String(
				"UV_INDEX_URL",
			),
			Type:  jsii.String("SECRETS_MANAGER"),
			Value: jsii.String(p.Config.IndexSecret),
		})
	}

	props := &awscodebuild.CfnProjectProps{
		Name:        jsii.String(name),
		Description: jsii.String("Layersmith: lock, fetch and assemble the layers of a run"),
		ServiceRole: role.RoleArn(),
		Source: &awscodebuild.CfnProject_SourceProperty{
			Type:      jsii.String("S3"),
			Location:  jsii.String(*source.S3BucketName() + "/" + *source.S3ObjectKey()),
			BuildSpec: jsii.String(where.spec),
		},
		Artifacts: &awscodebuild.CfnProject_ArtifactsProperty{Type: jsii.String("NO_ARTIFACTS")},
		Environment: &awscodebuild.CfnProject_EnvironmentProperty{
			Type:                 jsii.String(where.kind),
			Image:                jsii.String(where.image),
			ComputeType:          jsii.String(where.compute),
			EnvironmentVariables: &env,
		},
		LogsConfig: &awscodebuild.CfnProject_LogsConfigProperty{
			CloudWatchLogs: &awscodebuild.CfnProject_CloudWatchLogsConfigProperty{
				Status:    jsii.String("ENABLED"),
				GroupName: group.LogGroupName(),
			},
		},
		Visibility: jsii.String("PRIVATE"),
	}
	if !p.Config.CodeBuildLambda {
		props.TimeoutInMinutes = jsii.Number(buildMinutes)
		props.QueuedTimeoutInMinutes = jsii.Number(60)
		props.Cache = &awscodebuild.CfnProject_ProjectCacheProperty{
			Type:  jsii.String("LOCAL"),
			Modes: jsii.Strings("LOCAL_CUSTOM_CACHE"),
		}
	}

	if p.Key.Key != nil {
		props.EncryptionKey = p.Key.Key.KeyArn()
	}

	project := awscodebuild.NewCfnProject(scope, jsii.String("Build"), props)
	if p.Key.Key == nil {
		explain(
			project,
			"AwsSolutions-CB4",
			"The project writes no artifacts of CodeBuild's; what builds put into the store is encrypted there. The "+
				"setting kms gives a key.",
		)
	}

	return build{Project: *project.Ref(), ARN: *project.AttrArn()}
}

func plain(name, value string) *awscodebuild.CfnProject_EnvironmentVariableProperty {
	return &awscodebuild.CfnProject_EnvironmentVariableProperty{
		Name:  jsii.String(name),
		Type:  jsii.String("PLAINTEXT"),
		Value: jsii.String(value),
	}
}

// arn is of something in this account and region.
func arn(service string, rest ...string) string {
	return "arn:" + *awscdk.Aws_PARTITION() + ":" + service + ":" + *awscdk.Aws_REGION() + ":" +
		*awscdk.Aws_ACCOUNT_ID() + ":" + strings.Join(
		rest,
		":",
	)
}
