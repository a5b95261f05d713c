package blob

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
)

var sum = digest.Of([]byte("content"))

func TestNewAndJSONValidate(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		ref Ref
		err string
	}{
		"a key, a digest, a size": {ref: Ref{Key: "pruned/x.zip", SHA256: sum, Size: 7}},
		"with a version": {
			ref: Ref{Key: "pruned/x.zip", VersionID: "3HL4kqtJvjVBH40Nrjfkd", SHA256: sum, Size: 7},
		},
		"an empty object": {ref: Ref{Key: "x", SHA256: digest.Of(nil)}},
		"a key with unusual characters that S3 allows": {ref: Ref{Key: "a b/ä/../\"%20\"?#", SHA256: sum, Size: 1}},
		"the longest key": {ref: Ref{Key: strings.Repeat("k", 1024), SHA256: sum, Size: 1}},
		"no key":          {ref: Ref{SHA256: sum, Size: 7}, err: `reference "": not a key`},
		"a key that is too long": {
			ref: Ref{Key: strings.Repeat("k", 1025), SHA256: sum, Size: 7},
			err: `reference "` + strings.Repeat("k", 1025) + `": not a key`,
		},
		"the limit counts bytes, not characters": {
			ref: Ref{Key: strings.Repeat("ä", 513), SHA256: sum, Size: 7},
			err: `reference "` + strings.Repeat("ä", 513) + `": not a key`,
		},
		"a key that begins with a slash": {
			ref: Ref{Key: "/x", SHA256: sum, Size: 7},
			err: `reference "/x": not a key`,
		},
		"a key with a NUL": {
			ref: Ref{Key: "a\x00b", SHA256: sum, Size: 7},
			err: `reference "a\x00b": not a key`,
		},
		"a key of two lines": {
			ref: Ref{Key: "a\nb", SHA256: sum, Size: 7},
			err: `reference "a\nb": not a key`,
		},
		"a key with a return": {
			ref: Ref{Key: "a\rb", SHA256: sum, Size: 7},
			err: `reference "a\rb": not a key`,
		},
		"a negative size":          {ref: Ref{Key: "x", SHA256: sum, Size: -1}, err: "reference x: -1 bytes"},
		"no digest":                {ref: Ref{Key: "x", Size: 7}, err: "reference x: no digest"},
		"the key is checked first": {ref: Ref{}, err: `reference "": not a key`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			made, err := New(tt.ref.Key, tt.ref.VersionID, tt.ref.SHA256, tt.ref.Size)
			check(t, "New", made, err, tt.ref, tt.err)

			b, err := json.Marshal(tt.ref)
			if err != nil {
				t.Fatal(err)
			}

			var read Ref
			err = json.Unmarshal(b, &read)
			check(t, "read from JSON", read, err, tt.ref, tt.err)

			if tt.err != "" && !read.IsZero() {
				t.Errorf("an invalid reference was decoded: %+v", read)
			}
		})
	}
}

// check compares a reference and an error with the wanted ones. With an error, the reference does
// not count.
func check(t *testing.T, how string, got Ref, err error, want Ref, wantErr string) {
	t.Helper()
	if text := fmt.Sprint(err); wantErr != "" && text != wantErr || wantErr == "" && err != nil {
		t.Errorf("%s: error %s, want %q", how, text, wantErr)
	}

	if wantErr == "" && got != want {
		t.Errorf("%s: %+v, want %+v", how, got, want)
	}
}

func TestInvalidJSONIsRefused(t *testing.T) {
	t.Parallel()
	nineteen := strings.Repeat("9", 19) // does not fit in 64 bits
	zeros := strings.Repeat("0", 64)
	for doc, want := range map[string]string{
		`null`:  "reference: null",
		`"key"`: "reference: json: cannot unmarshal string into Go value of type blob.plain",
		`{}`:    `reference "": not a key`,
		`{"key": "x", "sha256": "00", "size": 1}`:            `reference: sha256 "00": 2 digits, want 64`,
		`{"key": "x", "sha256": "` + zeros + `", "size": 1}`: "reference x: no digest",
		`{"key": "x", "sha256": "` + sum.String() + `", "size": 1.5}`: "reference: json: " +
			"cannot unmarshal number 1.5 into Go struct field plain.size of type int64",
		`{"key": "x", "sha256": "` + sum.String() + `", "size": ` + nineteen + `}`: "reference: json: " +
			"cannot unmarshal number " + nineteen + " into Go struct field plain.size of type int64",
	} {
		was := Ref{Key: "before", SHA256: sum}
		read := was
		if err := json.Unmarshal([]byte(doc), &read); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", doc, err, want)
		}

		if read != was {
			t.Errorf("%s: the previous value became %+v", doc, read)
		}
	}
}

func TestReferenceAsText(t *testing.T) {
	t.Parallel()
	ref, err := New("pruned/"+sum.String()+".zip", "", sum, 7)
	if err != nil {
		t.Fatal(err)
	}

	if want := "pruned/" + sum.String() + ".zip (" + sum.String() + ")"; ref.String() != want {
		t.Errorf("%s, want %s", ref, want)
	}

	b, err := json.Marshal(ref)
	if want := `{"key":"pruned/` + sum.String() + `.zip","sha256":"` + sum.String() + `","size":7}`; err != nil ||
		string(b) != want {
		t.Errorf("%s %v, want %s", b, err, want)
	}

	if ref.IsZero() || !(Ref{}).IsZero() {
		t.Error("only the zero reference is zero")
	}

	var holder struct {
		Ref Ref `json:"ref,omitzero"`
	}
	if b, err := json.Marshal(holder); err != nil || string(b) != "{}" {
		t.Errorf("the zero reference is written as %s %v", b, err)
	}
}
