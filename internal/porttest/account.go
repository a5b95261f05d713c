package porttest

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	blobs "github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Account is what the suites of Lambda's ports run on: the ports, and what other people do in the
// same account.
type Account struct {
	LayerVersions workflow.LayerVersions
	Functions     workflow.Functions
	Sandboxes     workflow.Sandboxes
	Others        Others
}

// Others are the people and programs that an account is shared with. They make what the ports only
// find: objects, functions, aliases; and they change functions under our feet.
type Others interface {
	// Upload stores a zip where LayerVersions finds it.
	Upload(t testing.TB, zip []byte) blobs.Ref
	// AddFunction makes a function that can be invoked.
	AddFunction(t testing.TB, f NewFunction)
	// AddAlias makes an alias of a function.
	AddAlias(t testing.TB, function string, a workflow.Alias)
	// SetMemory changes the configuration of a function's $LATEST, SetCode its code.
	SetMemory(t testing.TB, function string, mib int)
	SetCode(t testing.TB, function string, zip []byte)
}

// NewFunction is a function that somebody made. Without a zip it is a container image.
type NewFunction struct {
	Name   string
	Target pydist.Target
	Zip    []byte
	Layers []string // ARNs of versions
	Tags   map[string]string
}

// FunctionVersion is what an account knows of a version besides what stage sees.
type FunctionVersion struct {
	workflow.Function
	Handler        string
	MemoryMiB      int
	TimeoutSeconds int
	Zip            []byte // nil for an image
}

// Where the account is. Its ARNs say so.
const (
	accountRegion = "us-east-1"
	accountID     = "123456789012"

	maxLayers       = 5
	maxPayloadBytes = 6 << 20
)

// MemoryAccount is Lambda in memory, as strict as the real one where that matters to a release:
// every write gives a new RevisionId, and a stale one is refused; a function has at most five
// layers, all of which exist, and at most 262,144,000 bytes with them; a version is a snapshot; a
// deleted layer version stays with the functions that have it and can be attached to no other, nor
// again; version numbers are never used twice. The zero value is an empty account.
//
// The three ports have methods of the same name, so each is a view: LayerVersions, Functions,
// Sandboxes.
type MemoryAccount struct {
	// Objects gives the bytes that a reference refers to; nil for what Upload stored.
	Objects func(ctx context.Context, ref blobs.Ref) ([]byte, error)
	// Run is the runtime of sandboxes; nil for one that answers every payload with "null".
	Run func(ctx context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error)
	// Fail is asked before each call of a port, with the method ("Functions.SetLayers") and its
	// subject; what it returns is what the call returns.
	Fail func(method, subject string) error
	// Now is the time of layer versions; nil for a fixed one.
	Now func() time.Time

	mu        sync.Mutex
	revisions int
	objects   map[string][]byte
	layers    map[string]*memoryLayer
	functions map[string]*memoryFunction
	calls     []string
}

type memoryLayer struct {
	last     int64
	versions map[int64]*memoryLayerVersion
}

type memoryLayerVersion struct {
	workflow.LayerVersion
	zip             []byte
	bytes, unzipped measure.Bytes
	grants          []string
}

type memoryFunction struct {
	latest   FunctionVersion
	versions []FunctionVersion // oldest first
	last     int               // number of a version, also of one that was deleted
	aliases  map[string]workflow.Alias
	tags     map[string]string
	sandbox  *workflow.Sandbox
}

// LayerVersions is the account's port of layers.
func (m *MemoryAccount) LayerVersions() workflow.LayerVersions { return memoryLayerVersions{m} }

// Functions is the account's port of functions.
func (m *MemoryAccount) Functions() workflow.Functions { return memoryFunctions{m} }

// Sandboxes is the account's port of throw-away functions. They are functions like others.
func (m *MemoryAccount) Sandboxes() workflow.Sandboxes { return memorySandboxes{m} }

// Account is the account as the suites take it.
func (m *MemoryAccount) Account() Account {
	return Account{LayerVersions: m.LayerVersions(), Functions: m.Functions(), Sandboxes: m.Sandboxes(), Others: m}
}

// Calls returns the calls that changed something, in order: "Functions.SetLayers orders".
func (m *MemoryAccount) Calls() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

// Grants returns with whom a layer version is shared, sorted.
func (m *MemoryAccount) Grants(arn string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.layer(arn); v != nil {
		return slices.Sorted(slices.Values(v.grants))
	}

	return nil
}

// LayerZip returns the bytes of a layer version, nil when there is no such version.
func (m *MemoryAccount) LayerZip(arn string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.layer(arn); v != nil {
		return v.zip
	}

	return nil
}

// Versions returns all versions of all functions, $LATEST before the numbers, sorted by name.
func (m *MemoryAccount) Versions() []FunctionVersion {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []FunctionVersion
	for _, name := range slices.Sorted(maps.Keys(m.functions)) {
		all = append(append(all, m.functions[name].latest), m.functions[name].versions...)
	}

	return all
}

// enter begins a call of a port, with the account locked.
func (m *MemoryAccount) enter(ctx context.Context, changes bool, method, subject string) (leave func(), err error) {
	if err := ctx.Err(); err != nil {
		code := fault.Canceled
		if errors.Is(err, context.DeadlineExceeded) {
			code = fault.TimedOut
		}

		return nil, fault.New(code, method, subject, err)
	}

	if m.Fail != nil {
		if err := m.Fail(method, subject); err != nil {
			return nil, err
		}
	}

	m.mu.Lock()
	if changes {
		m.calls = append(m.calls, method+" "+subject)
	}

	return m.mu.Unlock, nil
}

func refuse(code fault.Code, op, subject, format string, args ...any) error {
	return fault.New(code, op, subject, fmt.Errorf(format, args...))
}

func (m *MemoryAccount) revision() string {
	m.revisions++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", m.revisions)
}

func (m *MemoryAccount) now() time.Time {
	if m.Now != nil {
		return m.Now()
	}

	return time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
}

// codeSHA256 is a zip's digest as Lambda writes it.
func codeSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// unzipped is what a zip's entries weigh.
func unzipped(b []byte) (measure.Bytes, error) {
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return 0, err
	}

	var total measure.Bytes
	for _, f := range r.File {
		total += measure.Bytes(f.UncompressedSize64)
	}

	return total, nil
}

// Upload stores a zip for LayerVersions.
func (m *MemoryAccount) Upload(t testing.TB, zip []byte) blobs.Ref {
	t.Helper()
	ref, err := blobs.New("uploads/"+digest.Of(zip).String()+".zip", "v1", digest.Of(zip), int64(len(zip)))
	if err != nil {
		t.Fatal(err)
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[string][]byte{}
	}

	m.objects[ref.Key] = zip
	return ref
}

func (m *MemoryAccount) object(ctx context.Context, ref blobs.Ref) ([]byte, error) {
	if m.Objects != nil {
		return m.Objects(ctx, ref)
	}

	b, ok := m.objects[ref.Key]
	if !ok || ref.VersionID != "v1" {
		return nil, fmt.Errorf("no object %s in version %q", ref.Key, ref.VersionID)
	}

	return b, nil
}

// layer is a version by its ARN, nil when there is none.
func (m *MemoryAccount) layer(arn string) *memoryLayerVersion {
	name, number, err := release.ParseLayerVersionARN(arn)
	if err != nil || m.layers[name] == nil {
		return nil
	}

	if v := m.layers[name].versions[number]; v != nil && v.ARN == arn {
		return v
	}

	return nil
}

// function finds a function by name or ARN.
func (m *MemoryAccount) function(op, name string) (*memoryFunction, error) {
	name = strings.TrimPrefix(name, functionARN(""))
	f := m.functions[name]
	if f == nil {
		return nil, refuse(fault.NotFound, op, name, "there is no such function")
	}

	return f, nil
}

func functionARN(name string) string {
	return "arn:aws:lambda:" + accountRegion + ":" + accountID + ":function:" + name
}

func layerARN(name string) string {
	return "arn:aws:lambda:" + accountRegion + ":" + accountID + ":layer:" + name
}

// at is a version by number or alias.
func (f *memoryFunction) at(op, qualifier string) (*FunctionVersion, error) {
	if a, ok := f.aliases[qualifier]; ok {
		qualifier = a.Version
	}

	if qualifier == "" || qualifier == "$LATEST" {
		return &f.latest, nil
	}

	for i := range f.versions {
		if f.versions[i].Version == qualifier {
			return &f.versions[i], nil
		}
	}

	return nil, refuse(fault.NotFound, op, f.latest.Name+":"+qualifier, "there is no such version")
}

// attach makes the list of layers that a function gets, with the checks that Lambda makes.
func (m *MemoryAccount) attach(op string, f *memoryFunction, zip []byte, arns []string) ([]workflow.Layered, error) {
	name := f.latest.Name
	if len(arns) > maxLayers {
		return nil, refuse(fault.BadInput, op, name, "%d layers, limit %d", len(arns), maxLayers)
	}

	total, err := unzipped(zip)
	if err != nil {
		return nil, refuse(fault.BadInput, op, name, "its zip: %w", err)
	}

	var list []workflow.Layered
	seen := map[string]bool{}
	for _, arn := range arns {
		v := m.layer(arn)
		switch {
		case v == nil:
			return nil, refuse(fault.BadInput, op, name, "layer version %s does not exist", arn)
		case seen[v.LayerName]:
			return nil, refuse(fault.BadInput, op, name, "two versions of layer %s", v.LayerName)
		}

		seen[v.LayerName] = true
		total += v.unzipped
		list = append(list, workflow.Layered{ARN: arn, Bytes: v.bytes})
	}

	if total > measure.MaxUnzippedBytes {
		return nil, refuse(fault.BadInput, op, name, "%d bytes unzipped with its layers, limit %d", total,
			measure.MaxUnzippedBytes)
	}

	return list, nil
}

// add makes a function, with the account locked.
func (m *MemoryAccount) add(
	op string,
	n NewFunction,
	handler string,
	memory int,
	timeout time.Duration,
) (*memoryFunction, error) {
	if m.functions[n.Name] != nil {
		return nil, refuse(fault.Changed, op, n.Name, "there is one of that name")
	}

	f := &memoryFunction{aliases: map[string]workflow.Alias{}, tags: maps.Clone(n.Tags)}
	f.latest = FunctionVersion{Handler: handler, MemoryMiB: memory, TimeoutSeconds: int(timeout.Seconds()), Zip: n.Zip}
	f.latest.Function = workflow.Function{
		ARN:        functionARN(n.Name),
		Name:       n.Name,
		Version:    "$LATEST",
		Arch:       cmp.Or(n.Target.Arch(), "x86_64"),
		CodeBytes:  measure.Bytes(len(n.Zip)),
		CodeSHA256: codeSHA256(n.Zip),
	}
	if n.Zip != nil {
		f.latest.Runtime = n.Target.Runtime()
		var err error
		if f.latest.Layers, err = m.attach(op, f, n.Zip, n.Layers); err != nil {
			return nil, err
		}
	}

	f.latest.wrote(m)
	if m.functions == nil {
		m.functions = map[string]*memoryFunction{}
	}

	m.functions[n.Name] = f
	return f, nil
}

// wrote is what every write does.
func (v *FunctionVersion) wrote(m *MemoryAccount) {
	v.RevisionID = m.revision()
	sum, err := digest.Canonical("memory function", []any{v.Runtime, v.Arch, v.Handler, v.MemoryMiB, v.TimeoutSeconds})
	if err != nil {
		panic(err)
	}

	v.ConfigHash = sum.String()
}

// AddFunction makes a function with a handler "app.handler", 128 MiB and 3 seconds.
func (m *MemoryAccount) AddFunction(t testing.TB, n NewFunction) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.add("add function", n, "app.handler", 128, 3*time.Second); err != nil {
		t.Fatal(err)
	}
}

// AddAlias makes an alias.
func (m *MemoryAccount) AddAlias(t testing.TB, function string, a workflow.Alias) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.function("add alias", function)
	if err == nil {
		_, err = f.at("add alias", a.Version)
	}

	if err != nil {
		t.Fatal(err)
	}

	a.RevisionID = m.revision()
	f.aliases[a.Name] = a
}

// SetMemory changes $LATEST.
func (m *MemoryAccount) SetMemory(t testing.TB, function string, mib int) {
	t.Helper()
	m.change(t, function, func(v *FunctionVersion) { v.MemoryMiB = mib })
}

// SetCode changes $LATEST.
func (m *MemoryAccount) SetCode(t testing.TB, function string, zip []byte) {
	t.Helper()
	m.change(t, function, func(v *FunctionVersion) {
		v.Zip = zip
		v.CodeBytes = measure.Bytes(len(zip))
		v.CodeSHA256 = codeSHA256(zip)
	})
}

func (m *MemoryAccount) change(t testing.TB, function string, change func(*FunctionVersion)) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.function("change", function)
	if err != nil {
		t.Fatal(err)
	}

	change(&f.latest)
	f.latest.wrote(m)
}

type memoryLayerVersions struct{ *MemoryAccount }

func (m memoryLayerVersions) List(ctx context.Context, layerName string) ([]workflow.LayerVersion, error) {
	leave, err := m.enter(ctx, false, "LayerVersions.List", layerName)
	if err != nil {
		return nil, err
	}
	defer leave()
	l := m.layers[layerName]
	if l == nil {
		return nil, nil
	}

	var all []workflow.LayerVersion
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(l.versions))) {
		v := l.versions[n].LayerVersion
		v.CodeSHA256 = ""
		all = append(all, v)
	}

	return all, nil
}

func (m memoryLayerVersions) Get(ctx context.Context, arn string) (workflow.LayerVersion, error) {
	const op = "LayerVersions.Get"
	leave, err := m.enter(ctx, false, op, arn)
	if err != nil {
		return workflow.LayerVersion{}, err
	}
	defer leave()
	if release.LayerNameOf(arn) == "" {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, arn, "not the ARN of a layer version")
	}

	v := m.layer(arn)
	if v == nil {
		return workflow.LayerVersion{}, refuse(fault.NotFound, op, arn, "there is no such layer version")
	}

	return v.LayerVersion, nil
}

func (m memoryLayerVersions) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	const op = "LayerVersions.Publish"
	leave, err := m.enter(ctx, true, op, v.LayerName)
	if err != nil {
		return workflow.LayerVersion{}, err
	}
	defer leave()
	zip, err := m.object(ctx, v.Zip)
	if err != nil {
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, v.LayerName, "its zip: %w", err)
	}

	weight, err := unzipped(zip)
	switch {
	case err != nil:
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, v.LayerName, "its zip: %w", err)
	case weight > measure.MaxUnzippedBytes:
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, v.LayerName, "%d bytes unzipped, limit %d", weight,
			measure.MaxUnzippedBytes)
	case len(v.Description) > 256:
		return workflow.LayerVersion{}, refuse(fault.BadInput, op, v.LayerName,
			"a description of %d characters, limit 256", len(v.Description))
	}

	if m.layers == nil {
		m.layers = map[string]*memoryLayer{}
	}

	l := m.layers[v.LayerName]
	if l == nil {
		l = &memoryLayer{versions: map[int64]*memoryLayerVersion{}}
		m.layers[v.LayerName] = l
	}

	l.last++
	made := &memoryLayerVersion{zip: zip, bytes: measure.Bytes(len(zip)), unzipped: weight}
	made.LayerVersion = workflow.LayerVersion{
		ARN:         fmt.Sprintf("%s:%d", layerARN(v.LayerName), l.last),
		LayerName:   v.LayerName,
		Version:     l.last,
		Description: v.Description,
		CodeSHA256:  codeSHA256(zip),
		Created:     m.now(),
	}
	l.versions[l.last] = made
	return made.LayerVersion, nil
}

func (m memoryLayerVersions) Share(ctx context.Context, v workflow.LayerVersion, with string) error {
	const op = "LayerVersions.Share"
	leave, err := m.enter(ctx, true, op, v.ARN+" "+with)
	if err != nil {
		return err
	}
	defer leave()
	l := m.layer(v.ARN)
	_, err = release.ParseGrantee(with)
	switch {
	case err != nil:
		return refuse(fault.BadInput, op, v.ARN, "%w", err)
	case l == nil:
		return refuse(fault.NotFound, op, v.ARN, "there is no such layer version")
	case !slices.Contains(l.grants, with):
		l.grants = append(l.grants, with)
	}

	return nil
}

func (m memoryLayerVersions) Unzipped(ctx context.Context, arn string) (measure.Bytes, error) {
	const op = "LayerVersions.Unzipped"
	leave, err := m.enter(ctx, false, op, arn)
	if err != nil {
		return 0, err
	}
	defer leave()
	if release.LayerNameOf(arn) == "" {
		return 0, refuse(fault.BadInput, op, arn, "not the ARN of a layer version")
	}

	v := m.layer(arn)
	if v == nil {
		return 0, refuse(fault.NotFound, op, arn, "there is no such layer version")
	}

	return v.unzipped, nil
}

func (m memoryLayerVersions) Delete(ctx context.Context, arn string) error {
	const op = "LayerVersions.Delete"
	leave, err := m.enter(ctx, true, op, arn)
	if err != nil {
		return err
	}
	defer leave()
	name, number, err := release.ParseLayerVersionARN(arn)
	if err != nil {
		return refuse(fault.BadInput, op, arn, "%w", err)
	}

	if !strings.HasPrefix(arn, layerARN("")) {
		return refuse(fault.BadInput, op, arn, "it is not in account %s, %s", accountID, accountRegion)
	}

	if m.layer(arn) != nil {
		delete(m.layers[name].versions, number)
	}

	return nil
}

type memoryFunctions struct{ *MemoryAccount }

func (m memoryFunctions) Get(ctx context.Context, function, qualifier string) (workflow.Function, error) {
	v, err := m.version(ctx, "Functions.Get", function, qualifier)
	return v.Function, err
}

func (m memoryFunctions) version(ctx context.Context, op, function, qualifier string) (FunctionVersion, error) {
	leave, err := m.enter(ctx, false, op, function)
	if err != nil {
		return FunctionVersion{}, err
	}
	defer leave()
	f, err := m.function(op, function)
	if err != nil {
		return FunctionVersion{}, err
	}

	v, err := f.at(op, qualifier)
	if err != nil {
		return FunctionVersion{}, err
	}

	out := *v
	out.Layers = slices.Clone(v.Layers)
	return out, nil
}

func (m memoryFunctions) Alias(ctx context.Context, function, alias string) (workflow.Alias, error) {
	const op = "Functions.Alias"
	leave, err := m.enter(ctx, false, op, function+":"+alias)
	if err != nil {
		return workflow.Alias{}, err
	}
	defer leave()
	f, err := m.function(op, function)
	if err != nil {
		return workflow.Alias{}, err
	}

	return f.alias(op, alias)
}

func (f *memoryFunction) alias(op, name string) (workflow.Alias, error) {
	a, ok := f.aliases[name]
	if !ok {
		return workflow.Alias{}, refuse(fault.NotFound, op, f.latest.Name+":"+name, "there is no such alias")
	}

	a.Weights = maps.Clone(a.Weights)
	return a, nil
}

func (m memoryFunctions) Tagged(ctx context.Context, tags map[string]string) ([]string, error) {
	const op = "Functions.Tagged"
	leave, err := m.enter(ctx, false, op, fmt.Sprint(tags))
	if err != nil {
		return nil, err
	}
	defer leave()
	if len(tags) == 0 {
		return nil, refuse(fault.BadInput, op, "", "no tag is given")
	}

	var arns []string
	for _, name := range slices.Sorted(maps.Keys(m.functions)) {
		has := true
		for k, v := range tags {
			got, ok := m.functions[name].tags[k]
			has = has && ok && got == v
		}

		if has {
			arns = append(arns, functionARN(name))
		}
	}

	return arns, nil
}

func (m memoryFunctions) CodeUnzipped(ctx context.Context, function, qualifier string) (measure.Bytes, error) {
	const op = "Functions.CodeUnzipped"
	v, err := m.version(ctx, op, function, qualifier)
	switch {
	case err != nil:
		return 0, err
	case v.Zip == nil:
		return 0, refuse(fault.BadInput, op, function, "it is a container image")
	}

	return unzipped(v.Zip)
}

// current is a function that has the revision; nobody else changed it.
func (m *MemoryAccount) current(op, function, revision string) (*memoryFunction, error) {
	f, err := m.function(op, function)
	if err == nil && f.latest.RevisionID != revision {
		return nil, refuse(fault.Changed, op, function, "its revision is %s, not %q", f.latest.RevisionID, revision)
	}

	return f, err
}

func (m memoryFunctions) SetLayers(
	ctx context.Context,
	function string,
	layers []string,
	revision string,
) (workflow.Function, error) {
	const op = "Functions.SetLayers"
	leave, err := m.enter(ctx, true, op, function)
	if err != nil {
		return workflow.Function{}, err
	}
	defer leave()
	f, err := m.current(op, function, revision)
	switch {
	case err != nil:
		return workflow.Function{}, err
	case f.latest.Zip == nil:
		return workflow.Function{}, refuse(fault.BadInput, op, function, "a container image has no layers")
	}

	list, err := m.attach(op, f, f.latest.Zip, layers)
	if err != nil {
		return workflow.Function{}, err
	}

	f.latest.Layers = list
	f.latest.wrote(m.MemoryAccount)
	out := f.latest.Function
	out.Layers = slices.Clone(list)
	return out, nil
}

func (m memoryFunctions) PublishVersion(ctx context.Context, function, description, revision string) (string, error) {
	const op = "Functions.PublishVersion"
	leave, err := m.enter(ctx, true, op, function)
	if err != nil {
		return "", err
	}
	defer leave()
	f, err := m.current(op, function, revision)
	if err != nil {
		return "", err
	}

	if n := len(f.versions); n > 0 {
		last := f.versions[n-1]
		if last.CodeSHA256 == f.latest.CodeSHA256 && last.ConfigHash == f.latest.ConfigHash &&
			slices.Equal(last.Layers, f.latest.Layers) {
			return last.Version, nil
		}
	}

	v := f.latest
	v.Layers = slices.Clone(v.Layers)
	f.last++
	v.Version = strconv.Itoa(f.last)
	v.Description = description
	v.RevisionID = m.revision()
	f.versions = append(f.versions, v)
	f.latest.wrote(m.MemoryAccount) // whoever goes on with the revision from before is refused
	return v.Version, nil
}

func (m memoryFunctions) MoveAlias(
	ctx context.Context,
	function, alias, version, revision string,
) (workflow.Alias, error) {
	const op = "Functions.MoveAlias"
	leave, err := m.enter(ctx, true, op, function+":"+alias+" to "+version)
	if err != nil {
		return workflow.Alias{}, err
	}
	defer leave()
	f, err := m.function(op, function)
	if err != nil {
		return workflow.Alias{}, err
	}

	a, err := f.alias(op, alias)
	if err != nil {
		return workflow.Alias{}, err
	}

	if a.RevisionID != revision {
		return workflow.Alias{}, refuse(fault.Changed, op, function+":"+alias, "its revision is %s, not %q",
			a.RevisionID, revision)
	}

	if f.aliases[version].Name != "" {
		return workflow.Alias{}, refuse(fault.BadInput, op, function+":"+alias, "an alias cannot point to alias %s",
			version)
	}

	if _, err := f.at(op, version); err != nil {
		return workflow.Alias{}, err
	}

	a = workflow.Alias{Name: alias, Version: version, RevisionID: m.revision()}
	f.aliases[alias] = a
	return a, nil
}

func (m memoryFunctions) DeleteVersion(ctx context.Context, function, version string) error {
	const op = "Functions.DeleteVersion"
	leave, err := m.enter(ctx, true, op, function+":"+version)
	if err != nil {
		return err
	}
	defer leave()
	if n, err := strconv.Atoi(version); err != nil || n < 1 {
		return refuse(fault.BadInput, op, function+":"+version, "not the number of a version")
	}

	f, err := m.function(op, function)
	if err != nil {
		return nil // gone with all of its versions
	}

	for _, a := range f.aliases {
		if _, weighs := a.Weights[version]; weighs || a.Version == version {
			return refuse(fault.Changed, op, function+":"+version, "alias %s points to it", a.Name)
		}
	}

	f.versions = slices.DeleteFunc(f.versions, func(v FunctionVersion) bool { return v.Version == version })
	return nil
}

func (m memoryFunctions) LayersInUse(ctx context.Context) (map[string]bool, error) {
	leave, err := m.enter(ctx, false, "Functions.LayersInUse", "")
	if err != nil {
		return nil, err
	}
	defer leave()
	used := map[string]bool{}
	for _, f := range m.functions {
		for _, v := range append([]FunctionVersion{f.latest}, f.versions...) {
			for _, l := range v.Layers {
				used[l.ARN] = true
			}
		}
	}

	return used, nil
}

type memorySandboxes struct{ *MemoryAccount }

func (m memorySandboxes) Create(ctx context.Context, s workflow.Sandbox) error {
	const op = "Sandboxes.Create"
	leave, err := m.enter(ctx, true, op, s.Name)
	if err != nil {
		return err
	}
	defer leave()
	delete(m.functions, s.Name)
	f, err := m.add(op, NewFunction{Name: s.Name, Target: s.Target, Zip: clone(s.Zip), Layers: s.Layers}, s.Handler,
		s.Memory, s.Timeout)
	if err != nil {
		return err
	}

	f.sandbox = &s
	return nil
}

func (m memorySandboxes) Invoke(ctx context.Context, name string, payload []byte) (workflow.Invocation, error) {
	const op = "Sandboxes.Invoke"
	leave, err := m.enter(ctx, true, op, name)
	if err != nil {
		return workflow.Invocation{}, err
	}

	f, err := m.function(op, name)
	leave() // a run may take its time, and look at the account
	switch {
	case err != nil:
		return workflow.Invocation{}, err
	case len(payload) > maxPayloadBytes:
		return workflow.Invocation{}, refuse(fault.BadInput, op, name, "a payload of %d bytes, limit %d", len(payload),
			maxPayloadBytes)
	case f.sandbox == nil:
		return workflow.Invocation{}, refuse(fault.BadInput, op, name, "not a sandbox: nobody here can run it")
	case m.Run == nil:
		return workflow.Invocation{Payload: []byte("null")}, nil
	}

	return m.Run(ctx, *f.sandbox, payload)
}

func (m memorySandboxes) Delete(ctx context.Context, name string) error {
	leave, err := m.enter(ctx, true, "Sandboxes.Delete", name)
	if err != nil {
		return err
	}
	defer leave()
	delete(m.functions, name)
	return nil
}
