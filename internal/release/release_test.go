package release

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/pydist"
)

// everyDocument has one of each document that Decode reads.
var everyDocument = []any{
	Lease{},
	Released{},
	Run{},
	Request{},
	Built{},
	Failure{},
	BuiltLayer{},
	PrunedLayer{},
	Measured{},
	Candidate{},
	Verified{},
	Change{},
	RunReport{},
}

// filled is a document without a zero value in any field that JSON contains.
func filled(t testing.TB, doc any) reflect.Value {
	t.Helper()
	v := reflect.New(reflect.TypeOf(doc))
	n := 0
	fill(t, v.Elem(), &n)
	return v
}

// fill sets v and all that it contains to values that n makes different.
func fill(t testing.TB, v reflect.Value, n *int) {
	*n++
	if fillLeaf(t, v, *n) {
		return
	}

	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), n)
		fill(t, v.Index(1), n)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key := reflect.New(v.Type().Key()).Elem()
			value := reflect.New(v.Type().Elem()).Elem()
			fill(t, key, n)
			fill(t, value, n)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if field.Tag.Get("json") == "-" {
				continue
			}

			if !field.IsExported() {
				t.Fatalf("%s.%s: this test does not know how to fill it", v.Type(), field.Name)
			}

			if field.Name == "SchemaVersion" {
				v.Field(i).SetInt(SchemaVersion)
				continue
			}

			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("%s: this test does not know how to fill it", v.Type())
	}
}

// fillLeaf sets a value without fields or elements to one that n decides; false for other values.
func fillLeaf(t testing.TB, v reflect.Value, n int) bool {
	switch v.Interface().(type) {
	case digest.SHA256:
		v.Set(reflect.ValueOf(digest.Of([]byte(fmt.Sprint(n)))))
		return true
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 11, 24, 3, 0, n%60, 123456789, time.UTC)))
		return true
	case pydist.Target:
		target, err := pydist.ParseTarget([]string{"python3.13-x86_64", "python3.12-arm64"}[n%2])
		if err != nil {
			t.Fatal(err)
		}

		v.Set(reflect.ValueOf(target))
		return true
	}

	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text <%d> & \"more\" \u2028 ä", n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n) + 1<<40)
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.1)
	default:
		return false
	}

	return true
}

func nameOf(doc any) string { return reflect.TypeOf(doc).Name() }

func TestEveryDocumentIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, doc := range everyDocument {
		t.Run(nameOf(doc), func(t *testing.T) {
			t.Parallel()
			want := filled(t, doc)
			b, err := Encode(want.Interface())
			if err != nil {
				t.Fatal(err)
			}

			got := reflect.New(reflect.TypeOf(doc))
			if err := Decode(b, got.Interface()); err != nil {
				t.Fatalf("%v in\n%s", err, b)
			}

			if !reflect.DeepEqual(got.Interface(), want.Interface()) {
				t.Errorf("read\n%+v\nwant\n%+v", got.Elem().Interface(), want.Elem().Interface())
			}

			again, err := Encode(got.Interface())
			if err != nil || string(again) != string(b) {
				t.Errorf("what was read is written otherwise: %v\n%s\nbefore\n%s", err, again, b)
			}

			if !strings.HasPrefix(string(b), "{\n  \"") || !strings.HasSuffix(string(b), "\n}\n") ||
				strings.Contains(string(b), `\u003c`) {
				t.Errorf("not written for people:\n%s", b)
			}
		})
	}
}

// Fields that are not set yet are omitted, and decoded as zero.
func TestDocumentsThatHaveNotComeFarAreReadToo(t *testing.T) {
	t.Parallel()
	ref := blob.Ref{Key: "documents/x.json", SHA256: digest.Of([]byte("x")), Size: 1}
	target, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	for sentence, doc := range map[string]any{
		"a lease that nobody holds":            Lease{SchemaVersion: 1},
		"nothing released":                     Released{SchemaVersion: 1},
		"a run whose workspace was not packed": Run{SchemaVersion: 1, Run: "a"},
		"a candidate that is only intended":    Candidate{SchemaVersion: 1, Target: target, Measured: ref},
		"a change of which nothing is made": Change{
			SchemaVersion: 1,
			Replaces:      []Replace{{Layer: "base"}},
			Before:        State{Layers: []string{}},
		},
		"a report of a run that did not get anywhere": RunReport{
			SchemaVersion: 1,
			Layers:        []ReportedLayer{{Layer: "base", Target: target}},
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b, err := Encode(doc)
			if err != nil {
				t.Fatal(err)
			}

			got := reflect.New(reflect.TypeOf(doc))
			if err := Decode(b, got.Interface()); err != nil {
				t.Fatalf("%v in\n%s", err, b)
			}

			if !reflect.DeepEqual(got.Elem().Interface(), doc) {
				t.Errorf("read\n%+v\nwant\n%+v", got.Elem().Interface(), doc)
			}
		})
	}
}

// A field that a newer program added is refused at any depth.
func TestAFieldThatIsNotKnownIsRefusedAtAnyDepth(t *testing.T) {
	t.Parallel()
	for _, doc := range everyDocument {
		t.Run(nameOf(doc), func(t *testing.T) {
			t.Parallel()
			b, err := Encode(filled(t, doc).Interface())
			if err != nil {
				t.Fatal(err)
			}

			var tree any
			if err := json.Unmarshal(b, &tree); err != nil {
				t.Fatal(err)
			}

			places := 0
			objects(reflect.TypeOf(doc), tree, nameOf(doc), func(place string, object map[string]any) {
				places++
				object["addedLater"] = 1
				changed, err := Encode(tree)
				delete(object, "addedLater")
				if err != nil {
					t.Fatal(err)
				}

				into := reflect.New(reflect.TypeOf(doc))
				err = Decode(changed, into.Interface())
				if err == nil || !strings.Contains(err.Error(), `unknown field "addedLater"`) {
					t.Errorf("a field that is not known in %s: %v", place, err)
				}
			})
			if places == 0 {
				t.Error("no object was tried")
			}
		})
	}
}

// objects calls try for each JSON object that is decoded into a struct.
func objects(typ reflect.Type, tree any, place string, try func(string, map[string]any)) {
	switch typ.Kind() {
	case reflect.Pointer:
		objects(typ.Elem(), tree, place, try)
	case reflect.Slice:
		for _, item := range tree.([]any) {
			objects(typ.Elem(), item, place+"[]", try)
		}
	case reflect.Map:
		for _, item := range tree.(map[string]any) {
			objects(typ.Elem(), item, place+"{}", try)
		}
	case reflect.Struct:
		object, ok := tree.(map[string]any)
		if !ok {
			return // encoded as a string: a digest, a target, a time
		}

		try(place, object)
		for i := range typ.NumField() {
			field := typ.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if value, ok := object[name]; ok && name != "" {
				objects(field.Type, value, place+"."+name, try)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	large := `{"schemaVersion": 1` + strings.Repeat(" ", MaxDocumentBytes-len(`{"schemaVersion": 1}`)) + `}`
	var l Lease
	if err := Decode([]byte(large), &l); err != nil || len(large) != 16<<20 {
		t.Errorf("the largest document, %d bytes: %v", len(large), err)
	}

	for sentence, tt := range map[string]struct{ doc, err string }{
		"nothing":                   {"", "is not a JSON object"},
		"half a document":           {`{"schemaVersion": 1`, "unexpected EOF"},
		"what is no JSON":           {"schemaVersion: 1", "is not a JSON object"},
		"another kind of value":     {`[]`, "is not a JSON object"},
		"a field that is not known": {`{"schemaVersion": 1, "owner": "me"}`, `json: unknown field "owner"`},
		"a second document": {
			`{"schemaVersion": 1}` + "\n" + `{"schemaVersion": 1}`,
			"the JSON document is followed by something",
		},
		"a bracket behind it":       {`{"schemaVersion": 1}]`, "the JSON document is followed by something"},
		"words behind it":           {`{"schemaVersion": 1} and more`, "the JSON document is followed by something"},
		"one byte more than 16 MiB": {large + " ", "16777217 bytes, limit 16777216"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			var l Lease
			if err := Decode([]byte(tt.doc), &l); err == nil || err.Error() != tt.err {
				t.Errorf("error %v, want %s", err, tt.err)
			}
		})
	}

	if err := Decode([]byte("{\"schemaVersion\": 1}\n\t \n"), &l); err != nil {
		t.Errorf("white space behind the document: %v", err)
	}

	var c Candidate
	err := Decode([]byte(`{"measured": {"key": "x", "size": 1}}`), &c)
	if err == nil || err.Error() != "reference x: no digest" {
		t.Errorf("a reference without a digest: %v", err)
	}
}

func TestNamesOfRunsBecomeKeys(t *testing.T) {
	t.Parallel()
	for _, run := range []string{"a", "push-2026-11-24T03.00_1", "0f8f...", "-", strings.Repeat("x", 80)} {
		if err := CheckRun(run); err != nil {
			t.Error(err)
		}
	}

	for _, run := range []string{
		"", ".", "..", strings.Repeat(".", 80), strings.Repeat("x", 81),
		"a/b", "a b", "../state", "ä", "a\n", "a:b", "a\x00",
	} {
		want := fmt.Sprintf("%q is not the name of a run: letters, digits, . - and _, at most 80", run)
		if err := CheckRun(run); err == nil || err.Error() != want {
			t.Errorf("%q: %v", run, err)
		}
	}

	for got, want := range map[string]string{
		RunName("a"):                          "runs/a/run.json",
		BuiltName("a"):                        "runs/a/built.json",
		FailureName("a"):                      "runs/a/failure.json",
		ReportName("a"):                       "runs/a/report.json",
		CandidateName("a", "layersmith-base"): "runs/a/candidates/layersmith-base.json",
		ChangeName("a", 7):                    "runs/a/changes/007.json",
		LeaseName:                             "state/lease.json",
		ReleasedName:                          "state/released.json",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}

	var names []string
	for n := range 300 { // as many as an execution carries
		names = append(names, ChangeName("a", n+1))
	}

	if !slices.IsSorted(names) {
		t.Error("the names of changes do not sort by number: they are undone from the highest down")
	}
}

func TestLayersOfOtherTargetsAreCalledByThem(t *testing.T) {
	t.Parallel()
	target := func(s string) pydist.Target {
		v, err := pydist.ParseTarget(s)
		if err != nil {
			t.Fatal(err)
		}

		return v
	}
	first := target("python3.13-x86_64")
	second := target("python3.12-arm64")
	for want, got := range map[string]string{
		"layersmith-base":                  LayerName("layersmith-", "base", first, first),
		"layersmith-base-python3_12-arm64": LayerName("layersmith-", "base", second, first),
		"base-python3_13-x86_64":           LayerName("", "base", first, second),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}

	r := Released{
		Layers: []ReleasedLayer{
			{Layer: "base", Target: first, LayerName: "layersmith-base"},
			{Layer: "base", Target: second, LayerName: "layersmith-base-python3_12-arm64"},
		},
	}
	if l, ok := r.Find("base", second); !ok || l.LayerName != "layersmith-base-python3_12-arm64" {
		t.Errorf("found %+v, %v", l, ok)
	}

	if _, ok := r.Find("other", first); ok {
		t.Error("found a layer that is not released")
	}

	if _, ok := r.Find("base", target("python3.14-x86_64")); ok {
		t.Error("found a target that is not released")
	}
}
