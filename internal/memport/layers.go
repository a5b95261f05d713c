package memport

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

const maxDescription = 256 // characters

type layer struct {
	last     int64 // highest number given so far
	versions map[int64]*layerVersion
}

type layerVersion struct {
	workflow.LayerVersion
	zip             []byte
	zipped, content measure.Bytes
	grants          []string // whom the version is shared with
}

func layerARN(name string) string {
	return "arn:aws:lambda:" + region + ":" + accountID + ":layer:" + name
}

// layerVersion finds a version by its ARN. It returns nil if there is none.
func (a *Account) layerVersion(arn string) *layerVersion {
	name, number, err := release.ParseLayerVersionARN(arn)
	if err != nil || a.layers[name] == nil {
		return nil
	}

	if v := a.layers[name].versions[number]; v != nil && v.ARN == arn {
		return v
	}

	return nil
}

// readLayerVersion is layerVersion with a fault: BadInput or NotFound.
func (a *Account) readLayerVersion(op, arn string) (*layerVersion, error) {
	if release.LayerNameOf(arn) == "" {
		return nil, refuse(fault.BadInput, op, arn, "not the ARN of a layer version")
	}

	v := a.layerVersion(arn)
	if v == nil {
		return nil, refuse(fault.NotFound, op, arn, "there is no such layer version")
	}

	return v, nil
}

type layerVersions struct{ *Account }

func (l layerVersions) List(ctx context.Context, layerName string) ([]workflow.LayerVersion, error) {
	leave, err := l.enter(ctx, reads, "LayerVersions.List", layerName)
	if err != nil {
		return nil, err
	}
	defer leave()

	found := l.layers[layerName]
	if found == nil {
		return nil, nil
	}

	var all []workflow.LayerVersion
	for _, number := range slices.Backward(slices.Sorted(maps.Keys(found.versions))) {
		v := found.versions[number].LayerVersion
		v.CodeSHA256 = "" // ListLayerVersions does not return it
		all = append(all, v)
	}

	return all, nil
}

func (l layerVersions) Get(ctx context.Context, arn string) (workflow.LayerVersion, error) {
	const op = "LayerVersions.Get"
	leave, err := l.enter(ctx, reads, op, arn)
	if err != nil {
		return workflow.LayerVersion{}, err
	}
	defer leave()

	v, err := l.readLayerVersion(op, arn)
	if err != nil {
		return workflow.LayerVersion{}, err
	}

	return v.LayerVersion, nil
}

func (l layerVersions) Unzipped(ctx context.Context, arn string) (measure.Bytes, error) {
	const op = "LayerVersions.Unzipped"
	leave, err := l.enter(ctx, reads, op, arn)
	if err != nil {
		return 0, err
	}
	defer leave()

	v, err := l.readLayerVersion(op, arn)
	if err != nil {
		return 0, err
	}

	return v.content, nil
}

func (l layerVersions) Publish(ctx context.Context, n workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	const op = "LayerVersions.Publish"
	leave, err := l.enter(ctx, writes, op, n.LayerName)
	if err != nil {
		return workflow.LayerVersion{}, err
	}
	defer leave()

	b, err := l.object(ctx, n.Zip)
	if err != nil {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, n.LayerName, "its zip: %w", err)
	}

	size, err := unzipped(b)
	if err != nil {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, n.LayerName, "its zip: %w", err)
	}

	if size > measure.MaxUnzippedBytes {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, n.LayerName,
			"%d bytes unzipped, limit %d", size, measure.MaxUnzippedBytes)
	}

	if len(n.Description) > maxDescription {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, n.LayerName,
			"a description of %d characters, limit %d", len(n.Description), maxDescription)
	}

	return l.addLayerVersion(n, b, size), nil
}

// addLayerVersion stores a version of n under the next number.
func (a *Account) addLayerVersion(n workflow.NewLayerVersion, zip []byte, size measure.Bytes) workflow.LayerVersion {
	if a.layers == nil {
		a.layers = map[string]*layer{}
	}

	of := a.layers[n.LayerName]
	if of == nil {
		of = &layer{versions: map[int64]*layerVersion{}}
		a.layers[n.LayerName] = of
	}

	of.last++
	v := &layerVersion{zip: zip, zipped: measure.Bytes(len(zip)), content: size}
	v.LayerVersion = workflow.LayerVersion{
		ARN:         fmt.Sprintf("%s:%d", layerARN(n.LayerName), of.last),
		LayerName:   n.LayerName,
		Version:     of.last,
		Description: n.Description,
		CodeSHA256:  codeSHA256(zip),
		Created:     a.now(),
	}
	of.versions[of.last] = v

	return v.LayerVersion
}

// object returns the bytes that a layer is published from.
func (a *Account) object(ctx context.Context, ref blob.Ref) ([]byte, error) {
	if a.Objects != nil {
		return a.Objects(ctx, ref)
	}

	b, ok := a.uploads[ref.Key]
	if !ok || ref.VersionID != uploadVersion {
		return nil, fmt.Errorf("no object %s in version %q", ref.Key, ref.VersionID)
	}

	return b, nil
}

func (l layerVersions) Share(ctx context.Context, shared workflow.LayerVersion, with string) error {
	const op = "LayerVersions.Share"
	leave, err := l.enter(ctx, writes, op, shared.ARN+" "+with)
	if err != nil {
		return err
	}
	defer leave()

	v := l.layerVersion(shared.ARN)
	_, err = release.ParseGrantee(with)
	switch {
	case err != nil:
		return refuse(fault.BadInput, op, shared.ARN, "%w", err)
	case v == nil:
		return refuse(fault.NotFound, op, shared.ARN, "there is no such layer version")
	case !slices.Contains(v.grants, with):
		v.grants = append(v.grants, with)
	}

	return nil
}

func (l layerVersions) Delete(ctx context.Context, arn string) error {
	const op = "LayerVersions.Delete"
	leave, err := l.enter(ctx, writes, op, arn)
	if err != nil {
		return err
	}
	defer leave()

	name, number, err := release.ParseLayerVersionARN(arn)
	if err != nil {
		return refuse(fault.BadInput, op, arn, "%w", err)
	}

	if !strings.HasPrefix(arn, layerARN("")) {
		return refuse(fault.BadInput, op, arn, "not in account %s, %s", accountID, region)
	}

	if l.layerVersion(arn) != nil {
		delete(l.layers[name].versions, number)
	}

	return nil
}
