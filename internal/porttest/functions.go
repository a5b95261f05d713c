package porttest

import (
	"reflect"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Functions is the suite of workflow.Functions.
func Functions(t *testing.T, open func(t *testing.T) Account) {
	start := func(t *testing.T) functionsTest { return newFunctionsTest(accountTest{t, open(t)}) }
	runTests(t, start, []namedTest[functionsTest]{
		{"a function is read by name and by ARN", functionsTest.readByNameAndARN},
		{"absent functions, versions and aliases are NotFound", functionsTest.absentThings},
		{"reading changes nothing", functionsTest.readingChangesNothing},
		{"functions are found by all of their tags", functionsTest.tagged},
		{"CodeUnzipped returns the size of the files of a version", functionsTest.codeUnzipped},
		{"a container image has no runtime and no unzipped size", functionsTest.containerImage},
		{"layers in use are those of all versions of all functions", functionsTest.layersInUse},
	})
	runTests(t, start, []namedTest[functionsTest]{
		{"SetLayers replaces the layers in order and gives a new revision", functionsTest.setLayers},
		{"SetLayers with nil removes all layers", functionsTest.removeLayersWithNil},
		{"SetLayers with an empty list removes all layers", functionsTest.removeLayersWithEmptyList},
		{"SetLayers with a stale revision changes nothing", functionsTest.setLayersStale},
		{"a function has at most five layers", functionsTest.sixLayers},
		{"a layer version that does not exist cannot be attached", functionsTest.attachAbsent},
		{"a deleted layer version stays attached, but cannot be attached again", functionsTest.attachDeleted},
		{"two versions of one layer cannot be attached together", functionsTest.attachTwoVersions},
		{"a canceled call changes nothing", functionsTest.setLayersCanceled},
	})
	runTests(t, start, []namedTest[functionsTest]{
		{"a version keeps its description", functionsTest.versionKeepsDescription},
		{"a version is a snapshot", functionsTest.versionIsSnapshot},
		{"ConfigHash depends on the configuration, not on layers and code", functionsTest.configHash},
		{"PublishVersion without a change returns the last version", functionsTest.publishUnchanged},
		{"PublishVersion with a stale revision publishes nothing", functionsTest.publishStale},
		{"a deleted version is gone and its number is not used again", functionsTest.deleteVersion},
		{"a version that an alias points to is not deleted", functionsTest.deleteVersionOfAlias},
		{"DeleteVersion never deletes the function", functionsTest.deleteOnlyNumbers},
	})
	runTests(t, start, []namedTest[functionsTest]{
		{"MoveAlias moves all of the weight", functionsTest.moveAlias},
		{"MoveAlias with a stale revision changes nothing", functionsTest.moveAliasStale},
		{"an alias cannot point to an absent version", functionsTest.moveAliasToAbsent},
	})
}

// The function that the suite changes, with one file.
const (
	orders     = "orders"
	ordersFile = "app.py=def handler(event, context): return 1\n"
)

// functionsTest is a test of an account that has the function orders.
type functionsTest struct {
	accountTest
	layer workflow.LayerVersion // of orders
}

func newFunctionsTest(a accountTest) functionsTest {
	f := functionsTest{accountTest: a, layer: a.addLayer("data", "python/a.py=1")}
	f.addFunction(NewFunction{
		Name:   orders,
		Zip:    zipOf(f, ordersFile),
		Layers: []string{f.layer.ARN},
		Tags:   map[string]string{"team": "blue"},
	})

	return f
}

// addFunction adds a function for the suite's target.
func (f functionsTest) addFunction(n NewFunction) {
	f.Helper()
	if n.Zip != nil {
		n.Target = f.target()
	}

	succeeds(f, f.Others.AddFunction(n))
}

// setMemory changes the configuration of orders, as another person does.
func (f functionsTest) setMemory(mib int) {
	f.Helper()
	succeeds(f, f.Others.SetMemory(orders, mib))
}

// setCode changes the code of orders, as another person does.
func (f functionsTest) setCode(files ...string) {
	f.Helper()
	succeeds(f, f.Others.SetCode(orders, zipOf(f, files...)))
}

// get reads a version of orders; "" is $LATEST.
func (f functionsTest) get(qualifier string) workflow.Function {
	f.Helper()
	return must(f.Functions.Get(f.Context(), orders, qualifier))(f)
}

func (f functionsTest) readByNameAndARN() {
	got := f.get("")
	code := zipOf(f, ordersFile)
	layer := zipOf(f, "python/a.py=1")
	want := workflow.Function{
		ARN:        got.ARN,
		Name:       orders,
		Version:    "$LATEST",
		Runtime:    "python3.13",
		Arch:       "x86_64",
		Layers:     []workflow.Layered{{ARN: f.layer.ARN, Bytes: measure.Bytes(len(layer))}},
		CodeBytes:  measure.Bytes(len(code)),
		CodeSHA256: codeSHA256(code),
		ConfigHash: got.ConfigHash,
		RevisionID: got.RevisionID,
	}
	if !reflect.DeepEqual(got, want) {
		f.Fatalf("read %+v, want %+v", got, want)
	}

	if !strings.HasSuffix(got.ARN, ":function:"+orders) || got.ConfigHash == "" || got.RevisionID == "" {
		f.Fatalf("read %+v", got)
	}

	byARN := must(f.Functions.Get(f.Context(), got.ARN, "$LATEST"))(f)
	if !reflect.DeepEqual(byARN, got) {
		f.Fatalf("by ARN %+v, by name %+v", byARN, got)
	}
}

func (f functionsTest) absentThings() {
	ctx := f.Context()
	_, err := f.Functions.Get(ctx, "nobody", "")
	wantFault(f, "a function", err, fault.NotFound)
	_, err = f.Functions.Get(ctx, orders, "7")
	wantFault(f, "a version", err, fault.NotFound)
	_, err = f.Functions.Alias(ctx, orders, "live")
	wantFault(f, "an alias", err, fault.NotFound)
	_, err = f.Functions.SetLayers(ctx, "nobody", nil, "r")
	wantFault(f, "set layers", err, fault.NotFound)
	_, err = f.Functions.PublishVersion(ctx, "nobody", "", "r")
	wantFault(f, "publish", err, fault.NotFound)
	_, err = f.Functions.MoveAlias(ctx, orders, "live", "1", "r")
	wantFault(f, "move", err, fault.NotFound)
}

func (f functionsTest) readingChangesNothing() {
	before := f.get("")
	must(f.Functions.LayersInUse(f.Context()))(f)
	if after := f.get(""); after.RevisionID != before.RevisionID || after.ConfigHash != before.ConfigHash {
		f.Fatalf("%+v, then %+v", before, after)
	}
}

func (f functionsTest) tagged() {
	code := zipOf(f, "app.py=1")
	f.addFunction(NewFunction{Name: "bills", Zip: code, Tags: map[string]string{"team": "blue", "tier": "1"}})
	f.addFunction(NewFunction{Name: "carts", Zip: code, Tags: map[string]string{"team": "red", "tier": "1"}})
	for want, tags := range map[string]map[string]string{
		"bills orders": {"team": "blue"},
		"bills":        {"team": "blue", "tier": "1"},
		"":             {"team": "green"},
	} {
		var names []string
		for _, arn := range must(f.Functions.Tagged(f.Context(), tags))(f) {
			names = append(names, arn[strings.LastIndex(arn, ":")+1:])
		}

		if got := strings.Join(names, " "); got != want {
			f.Errorf("tags %v: %q, want %q", tags, got, want)
		}
	}

	_, err := f.Functions.Tagged(f.Context(), nil)
	wantFault(f, "no tags", err, fault.BadInput)
}

func (f functionsTest) codeUnzipped() {
	f.setCode("app.py=12", "lib/data.bin="+strings.Repeat("0", 100_000))
	f.publish()
	f.setCode("app.py=1")
	for qualifier, want := range map[string]measure.Bytes{"": 1, "1": 100_002} {
		if got := must(f.Functions.CodeUnzipped(f.Context(), orders, qualifier))(f); got != want {
			f.Errorf("%q: %d bytes, want %d", qualifier, got, want)
		}
	}

	_, err := f.Functions.CodeUnzipped(f.Context(), "nobody", "")
	wantFault(f, "an absent function", err, fault.NotFound)
}

func (f functionsTest) containerImage() {
	f.addFunction(NewFunction{Name: "image"})
	if got := must(f.Functions.Get(f.Context(), "image", ""))(f); got.Runtime != "" || got.Layers != nil {
		f.Fatalf("read %+v", got)
	}

	_, err := f.Functions.CodeUnzipped(f.Context(), "image", "")
	wantFault(f, "unzipped size", err, fault.BadInput)
}

func (f functionsTest) layersInUse() {
	f.publish()
	second := f.addLayer("data", "python/a.py=2")
	third := f.addLayer("data", "python/a.py=3")
	unused := f.addLayer("data", "python/a.py=4")
	f.setLayersTo(second.ARN)
	f.addFunction(NewFunction{Name: "bills", Zip: zipOf(f, "app.py=1"), Layers: []string{third.ARN}})

	used := must(f.Functions.LayersInUse(f.Context()))(f)
	for arn, want := range map[string]bool{f.layer.ARN: true, second.ARN: true, third.ARN: true, unused.ARN: false} {
		if used[arn] != want {
			f.Errorf("%s in use: %v, want %v", arn, used[arn], want)
		}
	}
}
