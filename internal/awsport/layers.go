package awsport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

type layersAPI interface {
	lambda.ListLayerVersionsAPIClient
	GetLayerVersionByArn(
		context.Context,
		*lambda.GetLayerVersionByArnInput,
		...func(*lambda.Options),
	) (*lambda.GetLayerVersionByArnOutput, error)
	PublishLayerVersion(
		context.Context,
		*lambda.PublishLayerVersionInput,
		...func(*lambda.Options),
	) (*lambda.PublishLayerVersionOutput, error)
	AddLayerVersionPermission(
		context.Context,
		*lambda.AddLayerVersionPermissionInput,
		...func(*lambda.Options),
	) (*lambda.AddLayerVersionPermissionOutput, error)
	DeleteLayerVersion(
		context.Context,
		*lambda.DeleteLayerVersionInput,
		...func(*lambda.Options),
	) (*lambda.DeleteLayerVersionOutput, error)
}

// LayerVersions publishes layers to Lambda.
type LayerVersions struct {
	Client layersAPI
	Bucket string       // bucket of the zips
	HTTP   *http.Client // for presigned URLs in Unzipped; nil for the default client
}

var _ workflow.LayerVersions = LayerVersions{}

// List returns the versions of a layer, newest first.
func (l LayerVersions) List(ctx context.Context, layerName string) ([]workflow.LayerVersion, error) {
	const op = "list versions of layer"
	var all []workflow.LayerVersion
	in := &lambda.ListLayerVersionsInput{LayerName: &layerName, MaxItems: aws.Int32(50)} // the API's limit
	for pages := lambda.NewListLayerVersionsPaginator(l.Client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		switch {
		case absent(err):
			return nil, nil
		case err != nil:
			return nil, classify(op, layerName, err)
		}

		for _, v := range page.LayerVersions {
			at, err := created(aws.ToString(v.CreatedDate))
			if err != nil {
				return nil, fault.New(fault.Internal, op, layerName, err)
			}

			all = append(all, workflow.LayerVersion{
				ARN:         aws.ToString(v.LayerVersionArn),
				LayerName:   layerName,
				Version:     v.Version,
				Description: aws.ToString(v.Description),
				Created:     at,
			})
		}
	}

	slices.SortStableFunc(all, func(a, b workflow.LayerVersion) int { return cmp.Compare(b.Version, a.Version) })
	return all, nil
}

// Get returns a version with the digest of its zip.
func (l LayerVersions) Get(ctx context.Context, arn string) (workflow.LayerVersion, error) {
	const op = "read layer version"
	out, err := l.get(ctx, op, arn)
	if err != nil {
		return workflow.LayerVersion{}, err
	}

	name := release.LayerNameOf(arn)
	return versionOf(op, name, out.LayerVersionArn, out.Version, out.Description, out.CreatedDate, out.Content)
}

func (l LayerVersions) get(ctx context.Context, op, arn string) (*lambda.GetLayerVersionByArnOutput, error) {
	if _, _, err := release.ParseLayerVersionARN(arn); err != nil {
		return nil, fault.New(fault.BadInput, op, "", err)
	}

	out, err := l.Client.GetLayerVersionByArn(ctx, &lambda.GetLayerVersionByArnInput{Arn: &arn})
	return out, classify(op, arn, err)
}

// Unzipped returns the unzipped size of a version. It reads only the central directory of the zip
// that Lambda stores.
func (l LayerVersions) Unzipped(ctx context.Context, arn string) (measure.Bytes, error) {
	const op = "measure layer version"
	out, err := l.get(ctx, op, arn)
	switch {
	case err != nil:
		return 0, err
	case out.Content == nil || aws.ToString(out.Content.Location) == "":
		return 0, fault.New(fault.Internal, op, arn, errors.New("a response without its location"))
	}

	return unzippedAt(ctx, l.HTTP, *out.Content.Location, op, arn)
}

// Publish publishes the object version that the reference names. A lost response is not retried
// (see once): the API has no idempotency token.
func (l LayerVersions) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	const op = "publish layer version of"
	in := &lambda.PublishLayerVersionInput{
		LayerName:               &v.LayerName,
		Description:             &v.Description,
		Content:                 &types.LayerVersionContentInput{S3Bucket: &l.Bucket, S3Key: &v.Zip.Key},
		CompatibleRuntimes:      []types.Runtime{types.Runtime(v.Target.Runtime())},
		CompatibleArchitectures: []types.Architecture{types.Architecture(v.Target.Arch())},
	}
	if v.License != "" {
		in.LicenseInfo = &v.License
	}

	if v.Zip.VersionID != "" {
		in.Content.S3ObjectVersion = &v.Zip.VersionID
	}

	out, err := l.Client.PublishLayerVersion(ctx, in, once)
	if err != nil {
		return workflow.LayerVersion{}, classify(op, v.LayerName, err)
	}

	return versionOf(op, v.LayerName, out.LayerVersionArn, out.Version, out.Description, out.CreatedDate, out.Content)
}

func versionOf(
	op, name string,
	arn *string,
	version int64,
	description, date *string,
	content *types.LayerVersionContentOutput,
) (workflow.LayerVersion, error) {
	v := workflow.LayerVersion{
		ARN:         aws.ToString(arn),
		LayerName:   name,
		Version:     version,
		Description: aws.ToString(description),
	}
	if content != nil {
		v.CodeSHA256 = aws.ToString(content.CodeSha256)
	}

	var err error
	if v.Created, err = created(aws.ToString(date)); err != nil {
		return workflow.LayerVersion{}, fault.New(fault.Internal, op, v.ARN, err)
	}

	return v, nil
}

// Share grants lambda:GetLayerVersion. The statement's ID contains the grantee, so that Lambda
// refuses a second grant as a conflict, which means success.
func (l LayerVersions) Share(ctx context.Context, v workflow.LayerVersion, with string) error {
	const op = "share layer version"
	grantee, err := release.ParseGrantee(with)
	if err != nil {
		return fault.New(fault.BadInput, op, v.ARN, err).WithHint("correct `share` in cdk.json and deploy again")
	}

	in := &lambda.AddLayerVersionPermissionInput{
		LayerName:     &v.LayerName,
		VersionNumber: &v.Version,
		Action:        aws.String("lambda:GetLayerVersion"),
		StatementId:   aws.String("layersmith-" + with),
		Principal:     &with,
	}
	if grantee.IsOrganization() {
		in.Principal = aws.String("*")
		in.OrganizationId = &with
	}

	if _, err := l.Client.AddLayerVersionPermission(ctx, in); err != nil && !conflicts(err) {
		return classify(op, v.ARN, err)
	}

	return nil
}

// Delete deletes a version. The API takes a layer's name, not an ARN, and other accounts may have a
// layer of the same name. So Delete first looks for the ARN in the account's own versions.
func (l LayerVersions) Delete(ctx context.Context, arn string) error {
	const op = "delete layer version"
	name, version, err := release.ParseLayerVersionARN(arn)
	if err != nil {
		return fault.New(fault.BadInput, op, "", err)
	}

	own, err := l.List(ctx, name)
	if err != nil {
		return err
	}

	if !slices.ContainsFunc(own, func(v workflow.LayerVersion) bool { return v.ARN == arn }) {
		if len(own) == 0 {
			return nil
		}

		if layer := release.Unqualified(own[0].ARN); layer != release.Unqualified(arn) {
			return fault.New(fault.BadInput, op, arn, fmt.Errorf("it is not a version of %s", layer))
		}

		return nil
	}

	in := &lambda.DeleteLayerVersionInput{LayerName: &name, VersionNumber: &version}
	if _, err := l.Client.DeleteLayerVersion(ctx, in); err != nil && !absent(err) {
		return classify(op, arn, err)
	}

	return nil
}
