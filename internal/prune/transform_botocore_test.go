package prune

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"testing"
)

// sameButDocumentation decodes both and compares them, the original without its documentation.
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

func TestDocumentationGoesAndNothingElse(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"text goes, white space too":                       {`{ "documentation" : "<p>x \" } {</p>", "a": [ 1 , "b" ] }`, `{"a":[1,"b"]}`},
		"a member called documentation stays":              {`{"members": {"documentation": {"shape": "S"}}}`, `{"members":{"documentation":{"shape":"S"}}}`},
		"client context parameters keep theirs":            {`{"clientContextParams": {"A": {"documentation": "d", "type": "boolean"}}}`, `{"clientContextParams":{"A":{"documentation":"d","type":"boolean"}}}`},
		"numbers and escapes are copied as written":        {`{"n": 1e400, "s": "\u00e9", "documentation":""}`, `{"n":1e400,"s":"\u00e9"}`},
		"first of several, and in lists":                   {`[{"documentation":"x","b":{}},{"documentation":"y"}]`, `[{"b":{}},{}]`},
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
