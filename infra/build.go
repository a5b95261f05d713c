package main

import (
	"strings"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscodebuild"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3assets"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// buildMinutes is less than the timeout of the state Build, so that CodeBuild ends first and its
// log shows what took too long. On Lambda compute the limit is 15 minutes and cannot be set.
const buildMinutes = 55

// artifacts is the command of both buildspecs. They have no logic of their own.
const artifacts = `./layersmith artifacts "s3://$LAYERSMITH_STORE/runs/$LAYERSMITH_RUN"`

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
      - LAYERSMITH_CACHE="$PWD/.cache/layersmith" UV_CACHE_DIR="$PWD/.cache/uv" ` + artifacts + `
`
	// Lambda compute has one interpreter and no root, and only /tmp is writable.
	buildspecLambda = `version: 0.2
env:
  variables: { HOME: /tmp, PYTHONUSERBASE: /tmp/python, LAYERSMITH_CACHE: /tmp/layersmith, UV_CACHE_DIR: /tmp/uv }
phases:
  install:
    commands:
      - python3 -m pip install --user uv==0.13.9
  build:
    commands:
      - PATH="/tmp/python/bin:$PATH" ` + artifacts + `
`
)

// builder is the machine that builds run on, in CodeBuild's words, and its buildspec.
type builder struct{ kind, image, compute, spec string }

// The machines for each architecture, with the images that CodeBuild maintains for AL2023; the CDK
// has no constants for them.
var (
	containers = map[string]builder{
		"x86_64": {
			"LINUX_CONTAINER", "aws/codebuild/amazonlinux-x86_64-standard:6.0",
			"BUILD_GENERAL1_SMALL", buildspec,
		},
		"arm64": {
			"ARM_CONTAINER", "aws/codebuild/amazonlinux-aarch64-standard:4.0",
			"BUILD_GENERAL1_SMALL", buildspec,
		},
	}
	lambdaContainers = map[string]builder{
		"x86_64": {
			"LINUX_LAMBDA_CONTAINER", "aws/codebuild/amazonlinux-x86_64-lambda-standard:python3.13",
			"BUILD_LAMBDA_1GB", buildspecLambda,
		},
		"arm64": {
			"ARM_LAMBDA_CONTAINER", "aws/codebuild/amazonlinux-aarch64-lambda-standard:python3.13",
			"BUILD_LAMBDA_1GB", buildspecLambda,
		},
	}
)

func (c Config) builder() builder {
	m := containers[c.Architecture]
	if c.CodeBuildLambda {
		m = lambdaContainers[c.Architecture]
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
	Project string // the project's name
	ARN     string
}

// newBuild makes the project. Its source is the layersmith binary alone. The workspace is data that
// the binary fetches, so none of its text reaches a shell. The cache stays on the build host: it
// speeds up the builds of the next hour or so, costs nothing, and needs no permissions. Wheels are
// verified by hash, so a manipulated cache fails the build.
func newBuild(scope constructs.Construct, p buildProps) build {
	name := p.Config.StackName + "-build"
	source := awss3assets.NewAsset(scope, jsii.String("CommandLine"), &awss3assets.AssetProps{
		Path: jsii.String(p.Config.cli()),
	})
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
			Name:  jsii.String("UV_INDEX_URL"),
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
		explain(project, "AwsSolutions-CB4",
			"CodeBuild stores no artifacts for this project, and the store bucket encrypts what builds write to it. "+
				"The setting kms adds a key.")
	}

	return build{Project: *project.Ref(), ARN: *project.AttrArn()}
}

// plain is an environment variable whose value is not secret.
func plain(name, value string) *awscodebuild.CfnProject_EnvironmentVariableProperty {
	return &awscodebuild.CfnProject_EnvironmentVariableProperty{
		Name:  jsii.String(name),
		Type:  jsii.String("PLAINTEXT"),
		Value: jsii.String(value),
	}
}

// arn makes the ARN of a resource in the account and region of the stack.
func arn(service string, rest ...string) string {
	parts := []string{"arn", *awscdk.Aws_PARTITION(), service, *awscdk.Aws_REGION(), *awscdk.Aws_ACCOUNT_ID()}
	return strings.Join(append(parts, rest...), ":")
}
