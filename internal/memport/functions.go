package memport

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workflow"
)

const (
	latest    = "$LATEST"
	maxLayers = 5 // of a function
)

// FunctionVersion is a version of a function with the parts that the port does not show.
type FunctionVersion struct {
	workflow.Function
	Handler        string
	MemoryMiB      int
	TimeoutSeconds int
	Zip            []byte // nil for a container image
}

type function struct {
	latest   FunctionVersion
	versions []FunctionVersion // oldest first
	last     int               // highest number given so far
	aliases  map[string]workflow.Alias
	tags     map[string]string
	sandbox  *workflow.Sandbox // nil for a function that is none
}

func functionARN(name string) string {
	return "arn:aws:lambda:" + region + ":" + accountID + ":function:" + name
}

// function finds a function by name or ARN.
func (a *Account) function(op, name string) (*function, error) {
	name = strings.TrimPrefix(name, functionARN(""))
	f := a.functions[name]
	if f == nil {
		return nil, refuse(fault.NotFound, op, name, "there is no such function")
	}

	return f, nil
}

// unchanged finds a function whose $LATEST still has the revision.
func (a *Account) unchanged(op, name, revision string) (*function, error) {
	f, err := a.function(op, name)
	if err != nil {
		return nil, err
	}

	if f.latest.RevisionID != revision {
		return nil, refuse(fault.Changed, op, name, "its revision is %s, not %q", f.latest.RevisionID, revision)
	}

	return f, nil
}

// version finds a version by number or alias; "" is $LATEST.
func (f *function) version(op, qualifier string) (*FunctionVersion, error) {
	if alias, ok := f.aliases[qualifier]; ok {
		qualifier = alias.Version
	}

	if qualifier == "" || qualifier == latest {
		return &f.latest, nil
	}

	for i := range f.versions {
		if f.versions[i].Version == qualifier {
			return &f.versions[i], nil
		}
	}

	return nil, refuse(fault.NotFound, op, f.latest.Name+":"+qualifier, "there is no such version")
}

func (f *function) alias(op, name string) (workflow.Alias, error) {
	alias, ok := f.aliases[name]
	if !ok {
		return workflow.Alias{}, refuse(fault.NotFound, op, f.latest.Name+":"+name, "there is no such alias")
	}

	alias.Weights = maps.Clone(alias.Weights)
	return alias, nil
}

// hasTags reports whether the function has all of the tags.
func (f *function) hasTags(tags map[string]string) bool {
	for key, value := range tags {
		if got, ok := f.tags[key]; !ok || got != value {
			return false
		}
	}

	return true
}

// write ends each change of a version: it gives a new RevisionId and hashes the configuration.
func (a *Account) write(v *FunctionVersion) {
	v.RevisionID = a.revision()
	sum, err := digest.Canonical("memory function", []any{v.Runtime, v.Arch, v.Handler, v.MemoryMiB, v.TimeoutSeconds})
	if err != nil {
		panic(err) // strings and integers can always be encoded
	}

	v.ConfigHash = sum.String()
}

// attach returns the layers of a function after the checks that Lambda makes.
func (a *Account) attach(op, name string, zip []byte, arns []string) ([]workflow.Layered, error) {
	if len(arns) > maxLayers {
		return nil, refuse(fault.BadInput, op, name, "%d layers, limit %d", len(arns), maxLayers)
	}

	total, err := unzipped(zip)
	if err != nil {
		return nil, refuse(fault.BadInput, op, name, "its zip: %w", err)
	}

	var attached []workflow.Layered
	seen := map[string]bool{}
	for _, arn := range arns {
		v := a.layerVersion(arn)
		if v == nil {
			return nil, refuse(fault.BadInput, op, name, "layer version %s does not exist", arn)
		}

		if seen[v.LayerName] {
			return nil, refuse(fault.BadInput, op, name, "two versions of layer %s", v.LayerName)
		}

		seen[v.LayerName] = true
		total += v.content
		attached = append(attached, workflow.Layered{ARN: arn, Bytes: v.zipped})
	}

	if total > measure.MaxUnzippedBytes {
		return nil, refuse(fault.BadInput, op, name,
			"%d bytes unzipped with its layers, limit %d", total, measure.MaxUnzippedBytes)
	}

	return attached, nil
}

type functions struct{ *Account }

func (f functions) Get(ctx context.Context, name, qualifier string) (workflow.Function, error) {
	v, err := f.read(ctx, "Functions.Get", name, qualifier)
	return v.Function, err
}

// read returns a copy of a version.
func (f functions) read(ctx context.Context, op, name, qualifier string) (FunctionVersion, error) {
	leave, err := f.enter(ctx, reads, op, name)
	if err != nil {
		return FunctionVersion{}, err
	}
	defer leave()

	found, err := f.function(op, name)
	if err != nil {
		return FunctionVersion{}, err
	}

	v, err := found.version(op, qualifier)
	if err != nil {
		return FunctionVersion{}, err
	}

	out := *v
	out.Layers = slices.Clone(v.Layers)

	return out, nil
}

func (f functions) CodeUnzipped(ctx context.Context, name, qualifier string) (measure.Bytes, error) {
	const op = "Functions.CodeUnzipped"
	v, err := f.read(ctx, op, name, qualifier)
	if err != nil {
		return 0, err
	}

	if v.Zip == nil {
		return 0, refuse(fault.BadInput, op, name, "it is a container image")
	}

	return unzipped(v.Zip)
}

func (f functions) Alias(ctx context.Context, name, alias string) (workflow.Alias, error) {
	const op = "Functions.Alias"
	leave, err := f.enter(ctx, reads, op, name+":"+alias)
	if err != nil {
		return workflow.Alias{}, err
	}
	defer leave()

	found, err := f.function(op, name)
	if err != nil {
		return workflow.Alias{}, err
	}

	return found.alias(op, alias)
}

func (f functions) Tagged(ctx context.Context, tags map[string]string) ([]string, error) {
	const op = "Functions.Tagged"
	leave, err := f.enter(ctx, reads, op, fmt.Sprint(tags))
	if err != nil {
		return nil, err
	}
	defer leave()

	if len(tags) == 0 {
		return nil, refuse(fault.BadInput, op, "", "no tags given")
	}

	var arns []string
	for _, name := range slices.Sorted(maps.Keys(f.functions)) {
		if f.functions[name].hasTags(tags) {
			arns = append(arns, functionARN(name))
		}
	}

	return arns, nil
}

func (f functions) LayersInUse(ctx context.Context) (map[string]bool, error) {
	leave, err := f.enter(ctx, reads, "Functions.LayersInUse", "")
	if err != nil {
		return nil, err
	}
	defer leave()

	used := map[string]bool{}
	use := func(v FunctionVersion) {
		for _, l := range v.Layers {
			used[l.ARN] = true
		}
	}

	for _, found := range f.functions {
		use(found.latest)
		for _, v := range found.versions {
			use(v)
		}
	}

	return used, nil
}

func (f functions) SetLayers(
	ctx context.Context, name string, layers []string, revision string,
) (workflow.Function, error) {
	const op = "Functions.SetLayers"
	leave, err := f.enter(ctx, writes, op, name)
	if err != nil {
		return workflow.Function{}, err
	}
	defer leave()

	found, err := f.unchanged(op, name, revision)
	if err != nil {
		return workflow.Function{}, err
	}

	if found.latest.Zip == nil {
		return workflow.Function{}, refuse(fault.BadInput, op, name, "a container image has no layers")
	}

	attached, err := f.attach(op, found.latest.Name, found.latest.Zip, layers)
	if err != nil {
		return workflow.Function{}, err
	}

	found.latest.Layers = attached
	f.write(&found.latest)
	out := found.latest.Function
	out.Layers = slices.Clone(attached)

	return out, nil
}

func (f functions) PublishVersion(ctx context.Context, name, description, revision string) (string, error) {
	const op = "Functions.PublishVersion"
	leave, err := f.enter(ctx, writes, op, name)
	if err != nil {
		return "", err
	}
	defer leave()

	found, err := f.unchanged(op, name, revision)
	if err != nil {
		return "", err
	}

	if n := len(found.versions); n > 0 && found.versions[n-1].equal(found.latest) {
		return found.versions[n-1].Version, nil
	}

	found.last++
	v := found.latest
	v.Layers = slices.Clone(v.Layers)
	v.Version = strconv.Itoa(found.last)
	v.Description = description
	v.RevisionID = f.revision()
	found.versions = append(found.versions, v)
	f.write(&found.latest) // publishing changes the RevisionId of $LATEST too

	return v.Version, nil
}

// equal reports whether two versions have the same code, configuration and layers.
func (v FunctionVersion) equal(o FunctionVersion) bool {
	return v.CodeSHA256 == o.CodeSHA256 && v.ConfigHash == o.ConfigHash && slices.Equal(v.Layers, o.Layers)
}

func (f functions) MoveAlias(ctx context.Context, name, alias, version, revision string) (workflow.Alias, error) {
	const op = "Functions.MoveAlias"
	leave, err := f.enter(ctx, writes, op, name+":"+alias+" to "+version)
	if err != nil {
		return workflow.Alias{}, err
	}
	defer leave()

	found, err := f.function(op, name)
	if err != nil {
		return workflow.Alias{}, err
	}

	before, err := found.alias(op, alias)
	if err != nil {
		return workflow.Alias{}, err
	}

	if before.RevisionID != revision {
		return workflow.Alias{}, refuse(fault.Changed, op, name+":"+alias,
			"its revision is %s, not %q", before.RevisionID, revision)
	}

	if found.aliases[version].Name != "" {
		return workflow.Alias{}, refuse(fault.BadInput, op, name+":"+alias,
			"an alias cannot point to alias %s", version)
	}

	if _, err := found.version(op, version); err != nil {
		return workflow.Alias{}, err
	}

	moved := workflow.Alias{Name: alias, Version: version, RevisionID: f.revision()}
	found.aliases[alias] = moved

	return moved, nil
}

func (f functions) DeleteVersion(ctx context.Context, name, version string) error {
	const op = "Functions.DeleteVersion"
	subject := name + ":" + version
	leave, err := f.enter(ctx, writes, op, subject)
	if err != nil {
		return err
	}
	defer leave()

	if n, err := strconv.Atoi(version); err != nil || n < 1 {
		return refuse(fault.BadInput, op, subject, "not the number of a version")
	}

	found, err := f.function(op, name)
	if err != nil {
		return nil // the function was deleted with all of its versions
	}

	for _, alias := range found.aliases {
		if _, weighted := alias.Weights[version]; weighted || alias.Version == version {
			return refuse(fault.Changed, op, subject, "alias %s points to it", alias.Name)
		}
	}

	found.versions = slices.DeleteFunc(found.versions, func(v FunctionVersion) bool { return v.Version == version })

	return nil
}
