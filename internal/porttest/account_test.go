package porttest_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

func openMemoryAccount(*testing.T) porttest.Account {
	return (&porttest.MemoryAccount{Run: porttest.SuiteRuntime}).Account()
}

func TestMemoryAccountLayerVersions(t *testing.T) { porttest.LayerVersions(t, openMemoryAccount) }
func TestMemoryAccountFunctions(t *testing.T)     { porttest.Functions(t, openMemoryAccount) }
func TestMemoryAccountSandboxes(t *testing.T)     { porttest.Sandboxes(t, openMemoryAccount) }

var target = pydist.Targets()[0]

// heavy is a small zip whose directory says that it is n bytes unzipped.
func heavy(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.CreateRaw(&zip.FileHeader{Name: "python/data.bin", Method: zip.Deflate, UncompressedSize64: uint64(n)})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

// The emulators do not count bytes; this one does, as Lambda.
func TestMemoryAccountCountsUnzippedBytesOfFunctionAndLayers(t *testing.T) {
	var account porttest.MemoryAccount
	publish := func(name string, n int) (workflow.LayerVersion, error) {
		return account.LayerVersions().
			Publish(t.Context(),
				workflow.NewLayerVersion{LayerName: name, Target: target, Zip: account.Upload(t, heavy(t, n))})
	}
	if _, err := publish("toolarge", 262_144_001); fault.CodeOf(err) != fault.BadInput {
		t.Fatalf("a layer of a byte too many: %v", err)
	}

	a, err := publish("a", 262_143_000)
	if err != nil {
		t.Fatal(err)
	}

	account.AddFunction(t, porttest.NewFunction{Name: "fits", Target: target, Zip: heavy(t, 1000)})
	account.AddFunction(t, porttest.NewFunction{Name: "over", Target: target, Zip: heavy(t, 1001)})
	for name, want := range map[string]bool{"fits": true, "over": false} {
		f, err := account.Functions().Get(t.Context(), name, "")
		if err != nil {
			t.Fatal(err)
		}

		_, err = account.Functions().SetLayers(t.Context(), name, []string{a.ARN}, f.RevisionID)
		if (err == nil) != want || err != nil && fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMemoryAccountFailsWhenTold(t *testing.T) {
	account := porttest.MemoryAccount{Fail: func(method, subject string) error {
		if method == "Functions.SetLayers" && subject == "orders" {
			return fault.New(fault.Throttled, method, subject, nil)
		}

		return nil
	}}
	account.AddFunction(t, porttest.NewFunction{Name: "orders", Target: target, Zip: heavy(t, 1)})
	f, err := account.Functions().Get(t.Context(), "orders", "")
	if err != nil {
		t.Fatal(err)
	}

	if _, err := account.Functions().
		SetLayers(t.Context(), "orders", nil, f.RevisionID); fault.CodeOf(err) != fault.Throttled {
		t.Fatal(err)
	}

	if _, err := account.Functions().PublishVersion(t.Context(), "orders", "", f.RevisionID); err != nil {
		t.Fatalf("the failed call changed the function: %v", err)
	}

	if want := []string{"Functions.PublishVersion orders"}; !slices.Equal(account.Calls(), want) {
		t.Fatalf("calls %v, want %v", account.Calls(), want)
	}
}

func TestMemoryAccountTakesObjectsFromElsewhere(t *testing.T) {
	content := heavy(t, 7)
	var asked blob.Ref
	account := porttest.MemoryAccount{
		Objects: func(_ context.Context, ref blob.Ref) ([]byte, error) { asked = ref; return content, nil },
	}
	ref := (&porttest.MemoryAccount{}).Upload(t, content)
	v, err := account.LayerVersions().
		Publish(t.Context(), workflow.NewLayerVersion{LayerName: "a", Target: target, Zip: ref})
	if err != nil || asked != ref || !bytes.Equal(account.LayerZip(v.ARN), content) {
		t.Fatal(v, err, asked)
	}

	if err := account.LayerVersions().
		Share(t.Context(), v, "210987654321"); err != nil ||
		!slices.Equal(account.Grants(v.ARN), []string{"210987654321"}) {
		t.Fatal(err, account.Grants(v.ARN))
	}
}
