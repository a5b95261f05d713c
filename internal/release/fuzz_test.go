package release

import (
	"bytes"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
)

// documents are all documents, by the number that the fuzzer uses.
var documents = []func() any{
	func() any { return new(Request) },
	func() any { return new(Run) },
	func() any { return new(Built) },
	func() any { return new(PrunedLayer) },
	func() any { return new(Measured) },
	func() any { return new(Candidate) },
	func() any { return new(Verified) },
	func() any { return new(Released) },
	func() any { return new(RunReport) },
	func() any { return new(Change) },
	func() any { return new(Lease) },
}

// A decoded document that is encoded and decoded again is the same.
func FuzzDecode(f *testing.F) {
	for kind, empty := range documents {
		b, err := Encode(empty())
		if err != nil {
			f.Fatal(err)
		}

		f.Add(uint8(kind), b)
		f.Add(uint8(kind), append(b, "{}"...))
		f.Add(uint8(kind), bytes.Replace(b, []byte("{"), []byte(`{"unknown": 1, `), 1))
	}

	for kind, doc := range map[uint8]string{
		0: `{"layers": ["a"], "force": true, "rollback": {"layer": "a", "to": 41}, "trigger": "schedule"}`,
		1: `{
			"schemaVersion": 1,
			"run": "r",
			"startedAt": "2026-11-23T19:30:00Z",
			"request": {},
			"workspace": {"key": "k", "versionId": "v", "sha256": "` + digest.Of(nil).String() + `", "size": 3},
			"ending": {"outcome": "Released", "message": "m"}
		}`,
		2: `{
			"run": "r",
			"locks": [{"target": "python3.13-arm64", "file": {}, "since": "0001-01-01T00:00:00Z"}],
			"layers": [{"layer": "a", "target": "python3.13-x86_64", "below": [], "wheels": [{}]}],
			"seconds": 1e-7
		}`,
		7: `{
			"locks": null,
			"layers": [
				{"current": {"unzippedBytes": -1, "importSeconds": 1e308, "wheels": []}, "earlier": [{}]}
			]
		}`,
	} {
		f.Add(kind, []byte(doc))
	}

	f.Fuzz(func(t *testing.T, kind uint8, doc []byte) {
		empty := documents[int(kind)%len(documents)]
		first := empty()
		if err := Decode(doc, first); err != nil {
			if err.Error() == "" {
				t.Error("refused without a text")
			}

			return
		}

		written, err := Encode(first)
		if err != nil {
			t.Fatalf("decoded, but: %v\n%s", err, doc)
		}

		second := empty()
		if err := Decode(written, second); err != nil {
			for _, unset := range []string{digest.SHA256{}.String(), `"target": ""`, `"schemaVersion": 0`} {
				if bytes.Contains(written, []byte(unset)) {
					return // an unset leaf is encoded, but refused by Decode: no stage writes one
				}
			}

			t.Fatalf("what was written: %v\n%s", err, written)
		}

		again, err := Encode(second)
		if err != nil || !bytes.Equal(written, again) {
			t.Fatalf("%v\n%s\nis not\n%s", err, again, written)
		}
	})
}

func FuzzParseLayerVersionARN(f *testing.F) {
	for _, s := range []string{
		"arn:aws:lambda:eu-central-1:123456789012:layer:ml:17", "arn:aws:lambda:::layer::",
		"arn:aws:lambda:r:a:layer:x:99999999999999999999", "",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		name, version, err := ParseLayerVersionARN(s)
		if err == nil && (name == "" || version < 1) {
			t.Errorf("%q is version %d of %q", s, version, name)
		}

		_ = LayerNameOf(s)
		if CheckRun(s) == nil && (len(s) > 80 || bytes.ContainsAny([]byte(s), "/\\\x00")) {
			t.Errorf("%q is the name of a run", s)
		}
	})
}
