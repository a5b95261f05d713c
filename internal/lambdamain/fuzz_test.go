package lambdamain

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
)

// Decoded input can be encoded and decoded again. An error is BadInput with a hint.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`,
		`{
			"run": "r",
			"layer": {"layer": "a", "target": "python3.13-x86_64", "doc": {"key": "k", "size": 9007199254740993}},
			"layers": [],
			"any": [1, {"x": null}],
			"raw": {"a": 1}
		}`,
		`{"error": {"Error": "E", "Cause": "c"}, "byName": {"x": {}}, "dryRun": true}`,
		`{"RUN": "r"}`, `{"layer": {"unknown": 1}}`, `{"layers": [{"layer": 1}]}`, `{"Secret": "s"}`,
		`{"run": "a", "run": "b"}`, `{"layer": {"target": "python3.13-mips"}}`,
		`null`, `[]`, `"x"`, `{} {}`, `{`, ``, `{"any": 1e999}`, `{"raw": "\ud800"}`,
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		_ = runOf(raw)
		var first nested
		err := decode(raw, &first)
		if !bytes.Equal(before, raw) {
			t.Fatal("decode changed the input")
		}

		if err != nil {
			if fault.CodeOf(err) != fault.BadInput || fault.HintOf(err) == "" {
				t.Errorf("%v (%v, hint %q)", err, fault.CodeOf(err), fault.HintOf(err))
			}

			return
		}

		if !json.Valid(raw) {
			t.Fatal("decoded what is not JSON")
		}

		written, err := encode(first)
		if err != nil {
			return // what \u escapes stand for may be longer than they are
		}

		var second nested
		if bytes.Contains(written, []byte(`"target":""`)) {
			return // the zero target can be encoded, but not decoded; no function sends one
		}

		if err := decode(written, &second); err != nil {
			t.Fatalf("what was written: %v\n%s", err, written)
		}
	})
}
