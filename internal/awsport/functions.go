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

// Functions changes consumers through Lambda. The zero values of what is not a client are defaults.
type Functions struct {
	Client functionsAPI
	Tags   tagsAPI       // only for Tagged
	HTTP   *http.Client  // only for CodeUnzipped, whose addresses need no credentials; nil for the default client
	Poll   time.Duration // between the first two looks of a waiter
	Pace   time.Duration // between two pages of LayersInUse
}

var _ workflow.Functions = Functions{}

// consumersHint is for what a role may not do with a consumer: the stack grants each consumer by
// name.
const consumersHint = "add the function's name to `consumers` in cdk.json and deploy again"

// missingHint is for a consumer that is not there.
const missingHint = "correct it in layers/consumers.yaml, or deploy the function first"

// told classifies an error about a consumer.
func told(op, subject string, err error) error {
	return hinted(hinted(classify(op, subject, err), fault.NotAllowed, consumersHint), fault.NotFound, missingHint)
}

// Get returns a version of a function. GetFunction, since it has the widest quota.
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
		return nil, told(op, qualified(function, qualifier), err)
	}

	if out.Configuration == nil {
		return nil, fault.New(fault.Internal, op, qualified(function, qualifier),
			errors.New("an answer without a configuration"))
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
		ARN:     release.Unqualified(aws.ToString(c.FunctionArn)),
		Name:    aws.ToString(c.FunctionName),
		Version: aws.ToString(c.Version),
		Runtime: string(c.Runtime),
		Arch: string(
			types.ArchitectureX8664,
		),
		CodeBytes:  measure.Bytes(c.CodeSize),
		CodeSHA256: aws.ToString(c.CodeSha256),
		ConfigHash: hash,
		RevisionID: aws.ToString(c.RevisionId),
	}
	f.Description = aws.ToString(c.Description)
	if len(c.Architectures) > 0 {
		f.Arch = string(c.Architectures[0])
	}

	for _, l := range c.Layers {
		f.Layers = append(f.Layers, workflow.Layered{ARN: aws.ToString(l.Arn), Bytes: measure.Bytes(l.CodeSize)})
	}

	return f, nil
}

// configHash is the digest of what a version freezes besides code and layers. Left out is what
// differs between $LATEST and a version of it although nobody changed anything: the description,
// which publishing sets, SnapStart's status, and the patch of the runtime.
func configHash(c *types.FunctionConfiguration) (string, error) {
	type vpc struct {
		Subnets, Groups []string
		IPv6            bool
	}
	var frozen struct {
		Package, Runtime, Handler, Role, KMSKey, DeadLetters, Tracing, SnapStart, Tenancy string                        `json:",omitempty"`
		MemoryMiB, TimeoutSeconds, StorageMiB                                             int32                         `json:",omitempty"`
		Architectures                                                                     []types.Architecture          `json:",omitempty"`
		Environment                                                                       map[string]string             `json:",omitempty"`
		EnvironmentError                                                                  *types.EnvironmentError       `json:",omitempty"`
		VPC                                                                               *vpc                          `json:",omitempty"`
		Files                                                                             []types.FileSystemConfig      `json:",omitempty"`
		Image                                                                             *types.ImageConfig            `json:",omitempty"`
		Logging                                                                           *types.LoggingConfig          `json:",omitempty"`
		Durable                                                                           *types.DurableConfig          `json:",omitempty"`
		Capacity                                                                          *types.CapacityProviderConfig `json:",omitempty"`
	}
	frozen.Package = string(cmp.Or(c.PackageType, types.PackageTypeZip))
	frozen.Runtime = string(c.Runtime)
	frozen.Handler = aws.ToString(c.Handler)
	frozen.Role = aws.ToString(c.Role)
	frozen.KMSKey = aws.ToString(c.KMSKeyArn)
	frozen.MemoryMiB = aws.ToInt32(c.MemorySize)
	frozen.TimeoutSeconds = aws.ToInt32(c.Timeout)
	frozen.Architectures = c.Architectures
	frozen.Files = c.FileSystemConfigs
	frozen.Logging = c.LoggingConfig
	frozen.Durable = c.DurableConfig
	frozen.Capacity = c.CapacityProviderConfig
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

	if v := c.VpcConfig; v != nil &&
		len(v.SubnetIds)+len(v.SecurityGroupIds) > 0 { // leaving a network leaves an empty one behind
		frozen.VPC = &vpc{
			Subnets: slices.Sorted(slices.Values(v.SubnetIds)),
			Groups:  slices.Sorted(slices.Values(v.SecurityGroupIds)),
			IPv6:    aws.ToBool(v.Ipv6AllowedForDualStack),
		}
	}

	sum, err := digest.Canonical("lambda function configuration v1", frozen)
	return sum.String(), err
}

// Alias returns an alias.
func (f Functions) Alias(ctx context.Context, function, alias string) (workflow.Alias, error) {
	out, err := f.Client.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &function, Name: &alias})
	if err != nil {
		return workflow.Alias{}, told("read alias", qualified(function, alias), err)
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

// Tagged returns the functions that have all the tags. No tags would be all functions of the
// account, which nobody means.
func (f Functions) Tagged(ctx context.Context, tags map[string]string) ([]string, error) {
	const op = "find functions by tag"
	if len(tags) == 0 {
		return nil, fault.New(fault.BadInput, op, "", errors.New("no tag is given")).
			WithHint("give at least one tag in consumers.yaml")
	}

	in := &resourcegroupstaggingapi.GetResourcesInput{
		ResourceTypeFilters: []string{"lambda:function"},
		ResourcesPerPage:    aws.Int32(100),
	} // the API's most
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

// CodeUnzipped reads the directory of a function's zip where Lambda keeps it, not the zip.
func (f Functions) CodeUnzipped(ctx context.Context, function, qualifier string) (measure.Bytes, error) {
	const op = "weigh the package of"
	out, err := f.get(ctx, op, function, qualifier)
	if err != nil {
		return 0, err
	}

	subject := qualified(function, qualifier)
	switch {
	case out.Configuration.PackageType == types.PackageTypeImage:
		return 0, fault.New(fault.BadInput, op, subject, errors.New("it is a container image, which has no layers")).
			WithHint("take the function out of consumers.yaml")
	case out.Code == nil || aws.ToString(out.Code.Location) == "":
		return 0, fault.New(fault.Internal, op, subject, errors.New("the answer does not say where it is"))
	}

	return unzippedAt(ctx, f.HTTP, *out.Code.Location, op, subject)
}

// SetLayers replaces the layers of $LATEST. What is returned is read after the update, and is
// Changed when it has other layers: somebody came in between.
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

// busyTries is how often a change is tried on a function that Lambda says is busy with another one.
const busyTries = 3

// whenIdle does a change. A function that is busy with an update is waited for: the revision then
// tells whether that update was somebody else's.
func (f Functions) whenIdle(ctx context.Context, op, function string, change func() error) error {
	for try := 1; ; try++ {
		err := change()
		if err == nil || !conflicts(err) {
			return told(op, function, err)
		}

		if try == busyTries {
			return fault.New(fault.Throttled, op, function,
				fmt.Errorf("still busy after %d tries: %w", try, classify(op, function, err)))
		}

		w := &watch{op: op, subject: function, poll: f.Poll}
		if _, err := updated(ctx, f.Client, w, function); err != nil &&
			!w.failed { // that the other update failed does not concern us
			return hinted(err, fault.NotAllowed, consumersHint)
		}
	}
}

// MoveAlias points an alias to one version. The weights are sent, empty: left out they would stay.
func (f Functions) MoveAlias(ctx context.Context, function, alias, version, revision string) (workflow.Alias, error) {
	out, err := f.Client.UpdateAlias(
		ctx,
		&lambda.UpdateAliasInput{
			FunctionName:    &function,
			Name:            &alias,
			FunctionVersion: &version,
			RevisionId:      &revision,
			RoutingConfig:   &types.AliasRoutingConfiguration{AdditionalVersionWeights: map[string]float64{}},
		},
		once,
	)
	if err != nil {
		return workflow.Alias{}, told("move alias", qualified(function, alias), err)
	}

	return aliasOf(out.Name, out.FunctionVersion, out.RevisionId, out.RoutingConfig), nil
}

// versionNumber is a published version, as opposed to $LATEST and aliases.
var versionNumber = regexp.MustCompile(`^[1-9][0-9]*$`)

// DeleteVersion removes a published version. The call is the one that deletes functions: without a
// number it would take all of it, so nothing else is sent.
func (f Functions) DeleteVersion(ctx context.Context, function, version string) error {
	const op = "delete version"
	if !versionNumber.MatchString(version) {
		return fault.New(fault.BadInput, op, qualified(function, version),
			fmt.Errorf("%q is not the number of a version", version))
	}

	if _, err := f.Client.DeleteFunction(ctx,
		&lambda.DeleteFunctionInput{FunctionName: &function, Qualifier: &version}); err != nil &&
		!absent(err) {
		return told(op, qualified(function, version), err)
	}

	return nil
}

// LayersInUse asks for all versions of all functions, 50 to a request, with a pause between two so
// that the rest of the account can work.
func (f Functions) LayersInUse(ctx context.Context) (map[string]bool, error) {
	const op = "list functions"
	used := map[string]bool{}
	pages := lambda.NewListFunctionsPaginator(f.Client,
		&lambda.ListFunctionsInput{FunctionVersion: types.FunctionVersionAll, MaxItems: aws.Int32(50)}) // the API's most
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
