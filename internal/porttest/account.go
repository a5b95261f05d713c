package porttest

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Account is what the suites of Lambda's ports run on: the ports of one account, and what other
// people do in it.
type Account struct {
	LayerVersions workflow.LayerVersions
	Functions     workflow.Functions
	Sandboxes     workflow.Sandboxes
	Others        Others
}

// Others are the people and programs that share the account. They make what the ports only read, and
// change functions while a release runs.
type Others interface {
	// Upload stores a zip where LayerVersions.Publish finds it.
	Upload(zip []byte) (blob.Ref, error)
	// AddFunction makes a function that can be invoked.
	AddFunction(f NewFunction) error
	// AddAlias makes an alias of a function.
	AddAlias(function string, a workflow.Alias) error
	// SetMemory changes the configuration of a function's $LATEST.
	SetMemory(function string, mib int) error
	// SetCode changes the code of a function's $LATEST.
	SetCode(function string, zip []byte) error
}

// NewFunction is a function to add. Without a zip it is a container image.
type NewFunction struct {
	Name   string
	Target pydist.Target
	Zip    []byte
	Layers []string // ARNs of layer versions
	Tags   map[string]string
}

func (a Account) upload(t testing.TB, zip []byte) blob.Ref {
	t.Helper()
	return must(a.Others.Upload(zip))(t)
}

func (a Account) addFunction(t testing.TB, f NewFunction) {
	t.Helper()
	succeeds(t, a.Others.AddFunction(f))
}

func (a Account) addAlias(t testing.TB, function string, alias workflow.Alias) {
	t.Helper()
	succeeds(t, a.Others.AddAlias(function, alias))
}

func (a Account) setMemory(t testing.TB, function string, mib int) {
	t.Helper()
	succeeds(t, a.Others.SetMemory(function, mib))
}

func (a Account) setCode(t testing.TB, function string, zip []byte) {
	t.Helper()
	succeeds(t, a.Others.SetCode(function, zip))
}

func succeeds(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// zipped is a zip of name=content.
func zipped(t testing.TB, pairs ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, p := range pairs {
		name, content, _ := strings.Cut(p, "=")
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, content)
		}

		if err != nil {
			t.Fatal(err)
		}
	}

	if err := w.Close(); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func suiteTarget(t testing.TB) pydist.Target {
	t.Helper()
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	return target
}

// fails checks that an error is a fault of that code.
func fails(t *testing.T, what string, err error, want fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("%s: no error, want %s", what, want)
	}

	if got := fault.CodeOf(err); got != want {
		t.Fatalf("%s: %s (%v), want %s", what, got, err, want)
	}
}

func must[T any](v T, err error) func(t testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}

		return v
	}
}

// addLayer publishes a version of a layer with one file.
func addLayer(t testing.TB, a Account, name, file string) workflow.LayerVersion {
	t.Helper()
	description, _, _ := strings.Cut(file, "=")
	return must(
		a.LayerVersions.Publish(context.Background(), workflow.NewLayerVersion{
			LayerName:   name,
			Description: description,
			Target:      suiteTarget(t),
			Zip:         a.upload(t, zipped(t, file)),
		}),
	)(t)
}

// codeSHA256 is the digest of a zip as Lambda gives it: base64.
func codeSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}
