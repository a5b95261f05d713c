package main

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsiam"
	"github.com/aws/aws-cdk-go/awscdk/v2/awskms"
	"github.com/aws/aws-cdk-go/awscdk/v2/awss3"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// artifactDays is how long an unpruned artifact is kept. Only the run that built it reads it; later
// runs build it again. Pruned zips have no such limit: the released one is read again when only
// layers above it are built.
const artifactDays = 30

type keyProps struct {
	// Setting is Config.KMS.
	Setting string
	Retain  bool
}

// key encrypts what the stack stores. Key is nil when the services use their own keys.
type key struct{ Key awskms.IKey }

// newKey makes a key, or refers to an existing one by its ARN. The policy of a key that it makes
// allows the services that write without a role of the stack; docs/iam.md says what an existing key
// must allow.
func newKey(scope constructs.Construct, p keyProps) key {
	switch p.Setting {
	case "":
		return key{}
	case "create":
	default:
		return key{awskms.Key_FromKeyArn(scope, jsii.String("Key"), jsii.String(p.Setting))}
	}

	description := "Layersmith: buckets, topic, queue and logs of the stack " + *awscdk.Aws_STACK_NAME()
	made := awskms.NewKey(scope, jsii.String("Key"), &awskms.KeyProps{
		Description:       jsii.String(description),
		EnableKeyRotation: jsii.Bool(true),
		RemovalPolicy:     removal(p.Retain),
	})

	here := map[string]any{"StringEquals": map[string]any{"aws:SourceAccount": awscdk.Aws_ACCOUNT_ID()}}
	logs := map[string]any{"ArnLike": map[string]any{"kms:EncryptionContext:aws:logs:arn": arn("logs", "log-group:*")}}
	for _, s := range []struct {
		sid, service string
		when         map[string]any
	}{
		{"AlarmsPublish", "cloudwatch.amazonaws.com", here},
		{"RulesKeepWhatFailed", "events.amazonaws.com", here},
		{"LogGroups", "logs." + *awscdk.Aws_REGION() + "." + *awscdk.Aws_URL_SUFFIX(), logs},
	} {
		made.AddToResourcePolicy(awsiam.NewPolicyStatement(&awsiam.PolicyStatementProps{
			Sid:        jsii.String(s.sid),
			Principals: &[]awsiam.IPrincipal{awsiam.NewServicePrincipal(jsii.String(s.service), nil)},
			Actions: jsii.Strings("kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*",
				"kms:DescribeKey"),
			Resources:  jsii.Strings("*"), // in the policy of a key, * is the key itself
			Conditions: &s.when,
		}), nil)
	}

	return key{made}
}

type bucketsProps struct {
	Key            key
	Retain         bool
	NoncurrentDays int
}

type buckets struct {
	// Workspace holds the files that users upload below layers/.
	Workspace awss3.Bucket
	// Store holds artifacts, documents and state.
	Store awss3.Bucket
}

// newBuckets makes both buckets. No setting changes these: versioning, no public access, TLS only,
// and objects owned by the bucket's owner. Events are enabled through the L1 property, because the
// L2 one would add a custom resource with a function and permissions of its own.
func newBuckets(scope constructs.Construct, p bucketsProps) buckets {
	always := &awss3.LifecycleRule{
		Id:                                  jsii.String("leftovers"),
		AbortIncompleteMultipartUploadAfter: awscdk.Duration_Days(jsii.Number(1)),
		NoncurrentVersionExpiration:         awscdk.Duration_Days(jsii.Number(p.NoncurrentDays)),
		ExpiredObjectDeleteMarker:           jsii.Bool(true),
	}
	artifacts := &awss3.LifecycleRule{
		Id:         jsii.String("artifacts"),
		Prefix:     jsii.String("artifacts/"),
		Expiration: awscdk.Duration_Days(jsii.Number(artifactDays)),
	}

	bucket := func(id string, rules ...*awss3.LifecycleRule) awss3.Bucket {
		props := &awss3.BucketProps{
			Versioned:         jsii.Bool(true),
			Encryption:        awss3.BucketEncryption_S3_MANAGED,
			BlockPublicAccess: awss3.BlockPublicAccess_BLOCK_ALL(),
			ObjectOwnership:   awss3.ObjectOwnership_BUCKET_OWNER_ENFORCED,
			EnforceSSL:        jsii.Bool(true),
			LifecycleRules:    &rules,
			RemovalPolicy:     removal(p.Retain),
		}
		if p.Key.Key != nil {
			props.Encryption = awss3.BucketEncryption_KMS
			props.EncryptionKey = p.Key.Key
			props.BucketKeyEnabled = jsii.Bool(true)
		}

		b := awss3.NewBucket(scope, jsii.String(id), props)
		explain(b, "AwsSolutions-S1",
			"Server access logs would need a third bucket. CloudTrail data events can record reads instead.")

		return b
	}

	b := buckets{Workspace: bucket("Workspace", always), Store: bucket("Store", always, artifacts)}
	events := &awss3.CfnBucket_EventBridgeConfigurationProperty{EventBridgeEnabled: jsii.Bool(true)}
	b.Workspace.Node().DefaultChild().(awss3.CfnBucket).SetNotificationConfiguration(
		&awss3.CfnBucket_NotificationConfigurationProperty{EventBridgeConfiguration: events})

	return b
}

// removal is the policy for data when the stack is deleted.
func removal(retain bool) awscdk.RemovalPolicy {
	if retain {
		return awscdk.RemovalPolicy_RETAIN
	}

	return awscdk.RemovalPolicy_DESTROY
}
