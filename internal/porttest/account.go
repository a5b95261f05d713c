package porttest

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
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

// Others are the people and programs that share the account. They make what the ports only read,
// and change functions while a release runs.
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

// accountTest is a test of an account.
type accountTest struct {
	*testing.T
	Account
}

func (a accountTest) target() pydist.Target {
	a.Helper()
	return must(pydist.ParseTarget("python3.13-x86_64"))(a)
}

func (a accountTest) upload(zip []byte) blob.Ref {
	a.Helper()
	return must(a.Others.Upload(zip))(a)
}

// addLayer publishes a version of a layer with one file "name=content".
func (a accountTest) addLayer(layer, file string) workflow.LayerVersion {
	a.Helper()
	description, _, _ := strings.Cut(file, "=")

	return must(a.LayerVersions.Publish(a.Context(), workflow.NewLayerVersion{
		LayerName:   layer,
		Description: description,
		Target:      a.target(),
		Zip:         a.upload(zipOf(a, file)),
	}))(a)
}

// absent is the ARN of a version that the layer does not have.
func absent(v workflow.LayerVersion) string { return strings.TrimSuffix(v.ARN, "1") + "7" }

// codeSHA256 is the digest of a zip as Lambda gives it: base64.
func codeSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}
