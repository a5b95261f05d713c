package memport

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Region and account of all ARNs.
const (
	region    = "us-east-1"
	accountID = "123456789012"
)

// Account is Lambda in one account. It keeps the rules that a release depends on:
//
//   - Each write gives a new RevisionId, and a call with a stale one is refused.
//   - A function has at most five layers, all of which exist. Together with them it has at most
//     262,144,000 bytes unzipped.
//   - A published version is a snapshot.
//   - A deleted layer version stays with the functions that have it, but cannot be attached again.
//   - The number of a version is never used twice.
//
// The three ports have methods of the same name, so each is a view of the account: LayerVersions,
// Functions, Sandboxes.
type Account struct {
	// Objects returns the bytes of a reference. If it is nil, layers are published from what was
	// uploaded with Upload.
	Objects func(ctx context.Context, ref blob.Ref) ([]byte, error)
	// Run executes a sandbox. If it is nil, each invocation returns "null".
	Run func(ctx context.Context, s workflow.Sandbox, payload []byte) (workflow.Invocation, error)
	// Fail is called before each call of a port with its method ("Functions.SetLayers") and
	// subject. If it returns an error, the call changes nothing and returns that error.
	Fail func(method, subject string) error
	// Now returns the creation time of a layer version. If it is nil, that is 2026-11-01T03:00:00Z.
	Now func() time.Time

	mu        sync.Mutex
	revisions int // RevisionIds given so far
	uploads   map[string][]byte
	layers    map[string]*layer
	functions map[string]*function
	calls     []string
}

// LayerVersions returns the account's port of layers.
func (a *Account) LayerVersions() workflow.LayerVersions { return layerVersions{a} }

// Functions returns the account's port of functions.
func (a *Account) Functions() workflow.Functions { return functions{a} }

// Sandboxes returns the account's port of sandboxes. A sandbox is a function of the account too.
func (a *Account) Sandboxes() workflow.Sandboxes { return sandboxes{a} }

// Calls returns the calls of ports that may change something, in order: "Functions.SetLayers
// orders".
func (a *Account) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.Clone(a.calls)
}

// Grants returns the accounts and organizations that a layer version is shared with, sorted.
func (a *Account) Grants(arn string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()

	if v := a.layerVersion(arn); v != nil {
		return slices.Sorted(slices.Values(v.grants))
	}

	return nil
}

// LayerZip returns the zip of a layer version, nil if there is no such version.
func (a *Account) LayerZip(arn string) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()

	if v := a.layerVersion(arn); v != nil {
		return v.zip
	}

	return nil
}

// Versions returns all versions of all functions, sorted by name; $LATEST comes before the numbers.
func (a *Account) Versions() []FunctionVersion {
	a.mu.Lock()
	defer a.mu.Unlock()

	var all []FunctionVersion
	for _, name := range slices.Sorted(maps.Keys(a.functions)) {
		f := a.functions[name]
		all = append(all, f.latest)
		all = append(all, f.versions...)
	}

	return all
}

// access says whether a call of a port may change the account.
type access bool

const (
	reads  access = false
	writes access = true
)

// enter begins a call of a port and locks the account. leave unlocks it.
func (a *Account) enter(ctx context.Context, w access, method, subject string) (leave func(), err error) {
	if err := ended(ctx, method, subject); err != nil {
		return nil, err
	}

	if a.Fail != nil {
		if err := a.Fail(method, subject); err != nil {
			return nil, err
		}
	}

	a.mu.Lock()
	if w == writes {
		a.calls = append(a.calls, method+" "+subject)
	}

	return a.mu.Unlock, nil
}

// revision returns the next RevisionId.
func (a *Account) revision() string {
	a.revisions++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", a.revisions)
}

func (a *Account) now() time.Time {
	if a.Now != nil {
		return a.Now()
	}

	return time.Date(2026, 11, 1, 3, 0, 0, 0, time.UTC)
}

// codeSHA256 is the digest of a zip as Lambda gives it: base64.
func codeSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// unzipped returns the size of a zip's entries.
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
