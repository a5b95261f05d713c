package memport_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

var target = pydist.Targets()[0]

// zipOf is a small zip whose directory says that it is n bytes unzipped.
func zipOf(t *testing.T, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	_, err := w.CreateRaw(&zip.FileHeader{Name: "python/data.bin", Method: zip.Deflate, UncompressedSize64: uint64(n)})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}

	return b.Bytes()
}

func upload(t *testing.T, a *memport.Account, zip []byte) blob.Ref {
	t.Helper()
	ref, err := a.Upload(zip)
	if err != nil {
		t.Fatal(err)
	}

	return ref
}

func addFunction(t *testing.T, a *memport.Account, f memport.NewFunction) {
	t.Helper()
	if err := a.AddFunction(f); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, a *memport.Account, name string) workflow.Function {
	t.Helper()
	f, err := a.Functions().Get(t.Context(), name, "")
	if err != nil {
		t.Fatal(err)
	}

	return f
}

// The emulators do not count unzipped bytes; Lambda and this account do.
func TestAccountCountsUnzippedBytesOfFunctionAndLayers(t *testing.T) {
	var account memport.Account
	publish := func(name string, size int) (workflow.LayerVersion, error) {
		n := workflow.NewLayerVersion{LayerName: name, Target: target, Zip: upload(t, &account, zipOf(t, size))}
		return account.LayerVersions().Publish(t.Context(), n)
	}

	if _, err := publish("toolarge", 262_144_001); fault.CodeOf(err) != fault.BadInput {
		t.Fatalf("a layer of a byte too many: %v", err)
	}

	layer, err := publish("a", 262_143_000)
	if err != nil {
		t.Fatal(err)
	}

	addFunction(t, &account, memport.NewFunction{Name: "fits", Target: target, Zip: zipOf(t, 1000)})
	addFunction(t, &account, memport.NewFunction{Name: "over", Target: target, Zip: zipOf(t, 1001)})

	setLayer := func(name string) error {
		f := get(t, &account, name)
		_, err := account.Functions().SetLayers(t.Context(), name, []string{layer.ARN}, f.RevisionID)

		return err
	}

	if err := setLayer("fits"); err != nil {
		t.Errorf("at the limit: %v", err)
	}

	if err := setLayer("over"); fault.CodeOf(err) != fault.BadInput {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestAccountFailsACallThatFailRefuses(t *testing.T) {
	account := memport.Account{Fail: func(method, subject string) error {
		if method == "Functions.SetLayers" && subject == "orders" {
			return fault.New(fault.Throttled, method, subject, nil)
		}

		return nil
	}}
	addFunction(t, &account, memport.NewFunction{Name: "orders", Target: target, Zip: zipOf(t, 1)})
	revision := get(t, &account, "orders").RevisionID

	_, err := account.Functions().SetLayers(t.Context(), "orders", nil, revision)
	if fault.CodeOf(err) != fault.Throttled {
		t.Fatal(err)
	}

	if _, err := account.Functions().PublishVersion(t.Context(), "orders", "", revision); err != nil {
		t.Fatalf("the failed call changed the function: %v", err)
	}

	if want := []string{"Functions.PublishVersion orders"}; !slices.Equal(account.Calls(), want) {
		t.Fatalf("calls %v, want %v", account.Calls(), want)
	}
}

func TestAccountPublishesLayersFromObjects(t *testing.T) {
	content := zipOf(t, 7)
	var asked blob.Ref
	account := memport.Account{
		Objects: func(_ context.Context, ref blob.Ref) ([]byte, error) { asked = ref; return content, nil },
	}
	ref := upload(t, &memport.Account{}, content)

	n := workflow.NewLayerVersion{LayerName: "a", Target: target, Zip: ref}
	v, err := account.LayerVersions().Publish(t.Context(), n)
	if err != nil || asked != ref || !bytes.Equal(account.LayerZip(v.ARN), content) {
		t.Fatal(v, err, asked)
	}
}

func TestAccountReturnsWhomALayerVersionIsSharedWith(t *testing.T) {
	var account memport.Account
	n := workflow.NewLayerVersion{LayerName: "a", Target: target, Zip: upload(t, &account, zipOf(t, 7))}
	v, err := account.LayerVersions().Publish(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}

	if err := account.LayerVersions().Share(t.Context(), v, "210987654321"); err != nil {
		t.Fatal(err)
	}

	if got := account.Grants(v.ARN); !slices.Equal(got, []string{"210987654321"}) {
		t.Fatalf("shared with %v", got)
	}
}
