package prune

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/policy"
)

// sameButDocumentation compares both models, decoded, without the documentation of the original.
func sameButDocumentation(before, after []byte) error {
	var a, b any
	if err := decodeNumbers(before, &a); err != nil {
		return err
	}

	if err := decodeNumbers(after, &b); err != nil {
		return err
	}

	if !reflect.DeepEqual(undocumented(a), b) {
		return errors.New("differs from the original by more than documentation")
	}

	return nil
}

func decodeNumbers(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	return d.Decode(v)
}

func undocumented(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if _, isText := value.(string); isText && key == "documentation" {
				delete(v, key)
			} else if key != "clientContextParams" {
				v[key] = undocumented(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = undocumented(v[i])
		}
	}

	return v
}

func TestOnlyDocumentationIsRemoved(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"text goes, white space too": {
			`{ "documentation" : "<p>x \" } {</p>", "a": [ 1 , "b" ] }`,
			`{"a":[1,"b"]}`,
		},
		"a member called documentation stays": {
			`{"members": {"documentation": {"shape": "S"}}}`,
			`{"members":{"documentation":{"shape":"S"}}}`,
		},
		"client context parameters keep theirs": {
			`{"clientContextParams": {"A": {"documentation": "d", "type": "boolean"}}}`,
			`{"clientContextParams":{"A":{"documentation":"d","type":"boolean"}}}`,
		},
		"numbers and escapes are copied as written": {
			`{"n": 1e400, "s": "\u00e9", "documentation":""}`,
			`{"n":1e400,"s":"\u00e9"}`,
		},
		"first of several, and in lists": {
			`[{"documentation":"x","b":{}},{"documentation":"y"}]`,
			`[{"b":{}},{}]`,
		},
		"an escaped quote does not end a text": {
			`{"documentation":"a\\\"b\\\\","a":"\"","b":"\\\\"}`,
			`{"a":"\"","b":"\\\\"}`,
		},
		"the key is a text elsewhere": {
			`{"required":["documentation"],"a":"documentation"}`,
			`{"required":["documentation"],"a":"documentation"}`,
		},
		"twice in one object": {`{"documentation":"x","documentation":"y"}`, `{}`},
		"below client context parameters, at any depth": {
			`{"clientContextParams":[{"a":{"documentation":"d"}}],"b":{"documentation":"d"}}`,
			`{"clientContextParams":[{"a":{"documentation":"d"}}],"b":{}}`,
		},
		"the last of several": {`{"a":1,"documentation":"x"}`, `{"a":1}`},
		"a text alone":        {` "documentation" `, `"documentation"`},
		"a list called documentation is not documentation": {`{"documentation":["x"]}`, `{"documentation":["x"]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := withoutDocumentation([]byte(tt.in))
			if err != nil || string(got) != tt.want {
				t.Fatalf("got %s, %v; want %s", got, err, tt.want)
			}

			if err := sameButDocumentation([]byte(tt.in), got); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A gzipped model stays gzipped. The result does not depend on the time and name in the gzip
// header.
func TestGzippedModelsAreDeterministic(t *testing.T) {
	model := []byte(`{ "documentation": "` + strings.Repeat("text ", 200) + `", "a": 1 }`)
	const name = "botocore/data/s3/2006-03-01/service-2.json.gz"
	var results [][]byte
	for _, head := range []gzip.Header{
		{},
		{Name: "service-2.json", ModTime: time.Unix(1_700_000_000, 0), Comment: "c", OS: 3},
	} {
		var in bytes.Buffer
		w := gzip.NewWriter(&in)
		w.Header = head
		w.Write(model)
		w.Close()
		before := bytes.Clone(in.Bytes())
		out, err := botocoreModels.Rewrite(name, in.Bytes(), policy.Policy{})
		if err != nil {
			t.Fatal(err)
		}

		if !bytes.Equal(before, in.Bytes()) {
			t.Error("the input was written to")
		}

		results = append(results, out)
	}

	if !bytes.Equal(results[0], results[1]) {
		t.Errorf("%x\n%x", results[0], results[1])
	}

	r, err := gzip.NewReader(bytes.NewReader(results[0]))
	if err != nil {
		t.Fatal(err)
	}

	got, err := io.ReadAll(r)
	if err != nil || string(got) != `{"a":1}` || r.Name != "" || r.Comment != "" || !r.ModTime.IsZero() {
		t.Errorf("got %s, %+v, %v", got, r.Header, err)
	}

	again, err := botocoreModels.Rewrite(name, results[0], policy.Policy{})
	if err != nil || !bytes.Equal(again, results[0]) {
		t.Errorf("rewriting the result changed it: %v", err)
	}
}

func TestInvalidModelsAreRefused(t *testing.T) {
	large, err := gzipped(make([]byte, maxModelBytes+1))
	if err != nil {
		t.Fatal(err)
	}

	whole, err := gzipped([]byte(`{"a":1}`))
	if err != nil {
		t.Fatal(err)
	}

	notJSON, err := gzipped([]byte("no"))
	if err != nil {
		t.Fatal(err)
	}

	for sentence, tt := range map[string]struct {
		name string
		in   []byte
		err  string
	}{
		"not gzip":           {"a.json.gz", []byte("{}"), "unexpected EOF"},
		"other bytes":        {"a.json.gz", []byte(`{"a":"no gzip at all"}`), "gzip: invalid header"},
		"half a file":        {"a.json.gz", whole[:len(whole)-6], "unexpected EOF"},
		"more than fits":     {"a.json.gz", large, "more than 67108864 bytes"},
		"gzip, but not JSON": {"a.json.gz", notJSON, "not JSON"},
		"not JSON":           {"a.json", []byte("{"), "not JSON"},
		"gzip without .gz":   {"a.json", whole, "not JSON"},
	} {
		if _, err := botocoreModels.Rewrite(tt.name, tt.in, policy.Policy{}); err == nil || err.Error() != tt.err {
			t.Errorf("%s: got %v, want %s", sentence, err, tt.err)
		}
	}

	out, err := botocoreModels.Rewrite("a.json", []byte(`{"a":1}`), policy.Policy{})
	if err != nil || string(out) != `{"a":1}` {
		t.Errorf("nothing to gain: %s, %v", out, err)
	}
}

func FuzzWithoutDocumentation(f *testing.F) {
	f.Add([]byte(`{"documentation":"x","a":[{"documentation":{}}, null, true, -1.5e3]}`))
	f.Add([]byte(` [ ] `))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := withoutDocumentation(in)
		if err != nil {
			return
		}

		if !json.Valid(out) || len(out) > len(in) {
			t.Fatalf("%q became %q", in, out)
		}

		again, err := withoutDocumentation(out)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%q became %q, then %q", in, out, again)
		}
	})
}
