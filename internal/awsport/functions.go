package awsport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

type functionsAPI interface {
	lambda.GetFunctionAPIClient
	lambda.GetFunctionConfigurationAPIClient
	lambda.ListFunctionsAPIClient
	GetAlias(context.Context, *lambda.GetAliasInput, ...func(*lambda.Options)) (*lambda.GetAliasOutput, error)
	UpdateFunctionConfiguration(
		context.Context,
		*lambda.UpdateFunctionConfigurationInput,
		...func(*lambda.Options),
	) (*lambda.UpdateFunctionConfigurationOutput, error)
	PublishVersion(
		context.Context,
		*lambda.PublishVersionInput,
		...func(*lambda.Options),
	) (*lambda.PublishVersionOutput, error)
	DeleteFunction(
		context.Context,
		*lambda.DeleteFunctionInput,
		...func(*lambda.Options),
	) (*lambda.DeleteFunctionOutput, error)
	UpdateAlias(context.Context, *lambda.UpdateAliasInput, ...func(*lambda.Options)) (*lambda.UpdateAliasOutput, error)
}

type tagsAPI interface {
	resourcegroupstaggingapi.GetResourcesAPIClient
}

// Functions reads and changes consumers in Lambda.
type Functions struct {
	Client functionsAPI
	Tags   tagsAPI       // only for Tagged
	HTTP   *http.Client  // for presigned URLs in CodeUnzipped; nil for the default client
	Poll   time.Duration // first polling interval of a waiter; 0 for the default
	Pace   time.Duration // pause between two pages of LayersInUse; 0 for the default
}

var _ workflow.Functions = Functions{}

// consumersHint is the hint for a denied operation on a consumer: the stack grants access to each
// consumer by name.
const consumersHint = "add the function's name to `consumers` in cdk.json and deploy again"

// missingHint is the hint for a consumer that does not exist.
const missingHint = "correct it in layers/consumers.yaml, or deploy the function first"

// consumerFault is classify for an operation on a consumer, with hints about consumers.
func consumerFault(op, subject string, err error) error {
	return hinted(hinted(classify(op, subject, err), fault.NotAllowed, consumersHint), fault.NotFound, missingHint)
}

// Get returns a version of a function.
func (f Functions) Get(ctx context.Context, function, qualifier string) (workflow.Function, error) {
	out, err := f.get(ctx, "read function", function, qualifier)
	if err != nil {
		return workflow.Function{}, err
	}

	return functionOf(out.Configuration)
}

func (f Functions) get(ctx context.Context, op, function, qualifier string) (*lambda.GetFunctionOutput, error) {
	in := &lambda.GetFunctionInput{FunctionName: &function}
	if qualifier != "" {
		in.Qualifier = &qualifier
	}

	out, err := f.Client.GetFunction(ctx, in)
	if err != nil {
		return nil, consumerFault(op, qualified(function, qualifier), err)
	}

	if out.Configuration == nil {
		return nil, fault.New(fault.Internal, op, qualified(function, qualifier),
			errors.New("a response without a configuration"))
	}

	return out, nil
}

func qualified(function, qualifier string) string {
	if qualifier == "" {
		return function
	}

	return function + ":" + qualifier
}

func functionOf(c *types.FunctionConfiguration) (workflow.Function, error) {
	hash, err := configHash(c)
	if err != nil {
		return workflow.Function{}, err
	}

	f := workflow.Function{
		ARN:         release.Unqualified(aws.ToString(c.FunctionArn)),
		Name:        aws.ToString(c.FunctionName),
		Version:     aws.ToString(c.Version),
		Runtime:     string(c.Runtime),
		Arch:        string(types.ArchitectureX8664), // Lambda's default
		CodeBytes:   measure.Bytes(c.CodeSize),
		CodeSHA256:  aws.ToString(c.CodeSha256),
		ConfigHash:  hash,
		RevisionID:  aws.ToString(c.RevisionId),
		Description: aws.ToString(c.Description),
	}
	if len(c.Architectures) > 0 {
		f.Arch = string(c.Architectures[0])
	}

	for _, l := range c.Layers {
		f.Layers = append(f.Layers, workflow.Layered{ARN: aws.ToString(l.Arn), Bytes: measure.Bytes(l.CodeSize)})
	}

	return f, nil
}

// frozenConfig is the configuration of a function that a version freezes, without code and layers.
// It also has no fields that differ between $LATEST and a new version of it: the description, which
// PublishVersion sets, the status of SnapStart, and the patch version of the runtime.
//
// Recorded hashes depend on the names and the order of the fields.
type frozenConfig struct {
	Package          string                        `json:",omitempty"`
	Runtime          string                        `json:",omitempty"`
	Handler          string                        `json:",omitempty"`
	Role             string                        `json:",omitempty"`
	KMSKey           string                        `json:",omitempty"`
	DeadLetters      string                        `json:",omitempty"`
	Tracing          string                        `json:",omitempty"`
	SnapStart        string                        `json:",omitempty"`
	Tenancy          string                        `json:",omitempty"`
	MemoryMiB        int32                         `json:",omitempty"`
	TimeoutSeconds   int32                         `json:",omitempty"`
	StorageMiB       int32                         `json:",omitempty"`
	Architectures    []types.Architecture          `json:",omitempty"`
	Environment      map[string]string             `json:",omitempty"`
	EnvironmentError *types.EnvironmentError       `json:",omitempty"`
	VPC              *frozenVPC                    `json:",omitempty"`
	Files            []types.FileSystemConfig      `json:",omitempty"`
	Image            *types.ImageConfig            `json:",omitempty"`
	Logging          *types.LoggingConfig          `json:",omitempty"`
	Durable          *types.DurableConfig          `json:",omitempty"`
	Capacity         *types.CapacityProviderConfig `json:",omitempty"`
}

type frozenVPC struct {
	Subnets, Groups []string
	IPv6            bool
}

// configHash is the digest of the frozen configuration.
func configHash(c *types.FunctionConfiguration) (string, error) {
	sum, err := digest.Canonical("lambda function configuration v1", frozen(c))
	return sum.String(), err
}

func frozen(c *types.FunctionConfiguration) frozenConfig {
	frozen := frozenConfig{
		Package:        string(cmp.Or(c.PackageType, types.PackageTypeZip)),
		Runtime:        string(c.Runtime),
		Handler:        aws.ToString(c.Handler),
		Role:           aws.ToString(c.Role),
		KMSKey:         aws.ToString(c.KMSKeyArn),
		MemoryMiB:      aws.ToInt32(c.MemorySize),
		TimeoutSeconds: aws.ToInt32(c.Timeout),
		Architectures:  c.Architectures,
		Files:          c.FileSystemConfigs,
		Logging:        c.LoggingConfig,
		Durable:        c.DurableConfig,
		Capacity:       c.CapacityProviderConfig,
		VPC:            vpcOf(c.VpcConfig),
	}
	if c.DeadLetterConfig != nil {
		frozen.DeadLetters = aws.ToString(c.DeadLetterConfig.TargetArn)
	}

	if c.TracingConfig != nil {
		frozen.Tracing = string(c.TracingConfig.Mode)
	}

	if c.SnapStart != nil {
		frozen.SnapStart = string(c.SnapStart.ApplyOn)
	}

	if c.TenancyConfig != nil {
		frozen.Tenancy = string(c.TenancyConfig.TenantIsolationMode)
	}

	if c.EphemeralStorage != nil {
		frozen.StorageMiB = aws.ToInt32(c.EphemeralStorage.Size)
	}

	if c.Environment != nil {
		frozen.Environment = c.Environment.Variables
		frozen.EnvironmentError = c.Environment.Error
	}

	if c.ImageConfigResponse != nil {
		frozen.Image = c.ImageConfigResponse.ImageConfig
	}

	return frozen
}

// vpcOf returns nil for a function without a VPC. After a function has left its VPC, Lambda returns
// a configuration without subnets and security groups.
func vpcOf(v *types.VpcConfigResponse) *frozenVPC {
	if v == nil || len(v.SubnetIds)+len(v.SecurityGroupIds) == 0 {
		return nil
	}

	return &frozenVPC{
		Subnets: slices.Sorted(slices.Values(v.SubnetIds)),
		Groups:  slices.Sorted(slices.Values(v.SecurityGroupIds)),
		IPv6:    aws.ToBool(v.Ipv6AllowedForDualStack),
	}
}

// Alias returns an alias.
func (f Functions) Alias(ctx context.Context, function, alias string) (workflow.Alias, error) {
	out, err := f.Client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &function, Name: &alias})
	if err != nil {
		return workflow.Alias{}, consumerFault("read alias", qualified(function, alias), err)
	}

	return aliasOf(out.Name, out.FunctionVersion, out.RevisionId, out.RoutingConfig), nil
}

func aliasOf(name, version, revision *string, routing *types.AliasRoutingConfiguration) workflow.Alias {
	a := workflow.Alias{Name: aws.ToString(name), Version: aws.ToString(version), RevisionID: aws.ToString(revision)}
	if routing != nil && len(routing.AdditionalVersionWeights) > 0 {
		a.Weights = routing.AdditionalVersionWeights
	}

	return a
}

// Tagged returns the ARNs of the functions that have all the tags, sorted. No tags are BadInput:
// they would match all functions of the account.
func (f Functions) Tagged(ctx context.Context, tags map[string]string) ([]string, error) {
	const op = "find functions by tag"
	if len(tags) == 0 {
		return nil, fault.New(fault.BadInput, op, "", errors.New("no tags")).
			WithHint("give at least one tag in consumers.yaml")
	}

	in := &resourcegroupstaggingapi.GetResourcesInput{
		ResourceTypeFilters: []string{"lambda:function"},
		ResourcesPerPage:    aws.Int32(100), // the API's limit
	}
	var words []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		in.TagFilters = append(in.TagFilters, tagtypes.TagFilter{Key: aws.String(key), Values: []string{tags[key]}})
		words = append(words, key+"="+tags[key])
	}

	var arns []string
	for pages := resourcegroupstaggingapi.NewGetResourcesPaginator(f.Tags, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classify(op, strings.Join(words, ", "), err)
		}

		for _, r := range page.ResourceTagMappingList {
			arns = append(arns, aws.ToString(r.ResourceARN))
		}
	}

	slices.Sort(arns)
	return slices.Compact(arns), nil
}

// CodeUnzipped returns the unzipped size of a function's code. It reads only the central directory
// of the zip that Lambda stores.
func (f Functions) CodeUnzipped(ctx context.Context, function, qualifier string) (measure.Bytes, error) {
	const op = "measure the package of"
	out, err := f.get(ctx, op, function, qualifier)
	if err != nil {
		return 0, err
	}

	subject := qualified(function, qualifier)
	switch {
	case out.Configuration.PackageType == types.PackageTypeImage:
		return 0, fault.New(fault.BadInput, op, subject, errors.New("it is a container image, which has no layers")).
			WithHint("remove the function from consumers.yaml")
	case out.Code == nil || aws.ToString(out.Code.Location) == "":
		return 0, fault.New(fault.Internal, op, subject, errors.New("a response without its location"))
	}

	return unzippedAt(ctx, f.HTTP, *out.Code.Location, op, subject)
}

// SetLayers replaces the layers of $LATEST, waits for the update, and returns the function after
// it. Fault Changed if the function then has other layers, because of another update.
func (f Functions) SetLayers(
	ctx context.Context,
	function string,
	layers []string,
	revision string,
) (workflow.Function, error) {
	const op = "set layers of"
	if layers == nil {
		layers = []string{} // nil would leave them as they are
	}

	err := f.whenIdle(ctx, op, function, func() error {
		_, err := f.Client.UpdateFunctionConfiguration(ctx,
			&lambda.UpdateFunctionConfigurationInput{FunctionName: &function, Layers: layers, RevisionId: &revision},
			once)
		return err
	})
	if err != nil {
		return workflow.Function{}, err
	}

	out, err := updated(ctx, f.Client, &watch{op: op, subject: function, poll: f.Poll}, function)
	if err != nil {
		return workflow.Function{}, hinted(err, fault.NotAllowed, consumersHint)
	}

	now, err := functionOf(out.Configuration)
	if err != nil {
		return workflow.Function{}, err
	}

	if !slices.EqualFunc(now.Layers, layers, func(l workflow.Layered, arn string) bool { return l.ARN == arn }) {
		return workflow.Function{}, fault.New(fault.Changed, op, function,
			errors.New("it has other layers right after the update"))
	}

	return now, nil
}

// PublishVersion publishes $LATEST.
func (f Functions) PublishVersion(ctx context.Context, function, description, revision string) (string, error) {
	const op = "publish version of"
	var version string
	err := f.whenIdle(ctx, op, function, func() error {
		out, err := f.Client.PublishVersion(ctx,
			&lambda.PublishVersionInput{FunctionName: &function, Description: &description, RevisionId: &revision},
			once)
		if err == nil {
			version = aws.ToString(out.Version)
		}

		return err
	})
	if err != nil {
		return "", err
	}

	err = published(ctx, f.Client, &watch{op: op, subject: qualified(function, version), poll: f.Poll}, function,
		version)
	return version, hinted(err, fault.NotAllowed, consumersHint)
}

// busyTries is the limit of attempts to change a function that is busy with another update.
const busyTries = 3

// whenIdle makes a change. If another update is in progress, it waits for its end and tries again.
// If that update changed the revision, the next attempt fails as Changed.
func (f Functions) whenIdle(ctx context.Context, op, function string, change func() error) error {
	for try := 1; ; try++ {
		err := change()
		if err == nil || !conflicts(err) {
			return consumerFault(op, function, err)
		}

		if try == busyTries {
			return fault.New(fault.Throttled, op, function,
				fmt.Errorf("still busy after %d tries: %w", try, classify(op, function, err)))
		}

		w := &watch{op: op, subject: function, poll: f.Poll}
		_, err = updated(ctx, f.Client, w, function)
		if err != nil && !w.failed { // a failure of the other update is not ours
			return hinted(err, fault.NotAllowed, consumersHint)
		}
	}
}

// MoveAlias points an alias to one version. It sends empty weights: without them, the API would
// keep the old ones.
func (f Functions) MoveAlias(ctx context.Context, function, alias, version, revision string) (workflow.Alias, error) {
	in := &lambda.UpdateAliasInput{
		FunctionName:    &function,
		Name:            &alias,
		FunctionVersion: &version,
		RevisionId:      &revision,
		RoutingConfig:   &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
	}

	out, err := f.Client.UpdateAlias(ctx, in, once)
	if err != nil {
		return workflow.Alias{}, consumerFault("move alias", qualified(function, alias), err)
	}

	return aliasOf(out.Name, out.FunctionVersion, out.RevisionId, out.RoutingConfig), nil
}

// versionNumber matches published versions, but not $LATEST and aliases.
var versionNumber = regexp.MustCompile(`^[1-9][0-9]*$`)

// DeleteVersion deletes a published version. The same API call without a version number deletes the
// whole function, so anything but a number is BadInput.
func (f Functions) DeleteVersion(ctx context.Context, function, version string) error {
	const op = "delete version"
	if !versionNumber.MatchString(version) {
		return fault.New(fault.BadInput, op, qualified(function, version),
			fmt.Errorf("%q is not the number of a version", version))
	}

	in := &lambda.DeleteFunctionInput{FunctionName: &function, Qualifier: &version}
	if _, err := f.Client.DeleteFunction(ctx, in); err != nil && !absent(err) {
		return consumerFault(op, qualified(function, version), err)
	}

	return nil
}

// LayersInUse returns the ARNs of the layers of all versions of all functions. It lists 50 versions
// in a request and pauses between requests, to leave most of the account's quota to others.
func (f Functions) LayersInUse(ctx context.Context) (map[string]bool, error) {
	const op = "list functions"
	used := map[string]bool{}
	in := &lambda.ListFunctionsInput{
		FunctionVersion: types.FunctionVersionAll,
		MaxItems:        aws.Int32(50), // the API's limit
	}

	pages := lambda.NewListFunctionsPaginator(f.Client, in)
	for first := true; pages.HasMorePages(); first = false {
		if !first {
			if err := pause(ctx, cmp.Or(f.Pace, defaultPace)); err != nil {
				return nil, classify(op, "", err)
			}
		}

		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classify(op, "", err)
		}

		for _, fn := range page.Functions {
			for _, l := range fn.Layers {
				used[aws.ToString(l.Arn)] = true
			}
		}
	}

	return used, nil
}
