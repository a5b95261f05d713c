package digest

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

const (
	emptyHex    = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	emptyRecord = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
)

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func TestDigestHasItsWellKnownForms(t *testing.T) {
	t.Parallel()
	d := Of(nil)
	if d.String() != emptyHex || d.Short() != emptyHex[:12] || d.Record() != emptyRecord {
		t.Errorf("%s %s %s", d, d.Short(), d.Record())
	}

	if d.IsZero() || !(SHA256{}).IsZero() {
		t.Error("the digest of nothing is not the zero value")
	}
}

func TestEveryConstructorGivesTheSameValue(t *testing.T) {
	t.Parallel()
	const text = "some bytes"
	want := Of([]byte(text))
	parsed, err := Parse(strings.ToUpper(want.String()))
	if err != nil {
		t.Fatal(err)
	}

	read, n, err := Reader(iotest.OneByteReader(strings.NewReader(text)))
	if err != nil || n != int64(len(text)) {
		t.Fatal(n, err)
	}

	h := NewHasher()
	io.WriteString(h, text[:3])
	if h.Sum() != Of([]byte(text[:3])) {
		t.Error("a sum in between")
	}

	io.WriteString(h, text[3:])
	if parsed != want || read != want || h.Sum() != want {
		t.Errorf("Parse %s, Reader %s, Hasher %s; want %s", parsed, read, h.Sum(), want)
	}

	if _, _, err := Reader(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct{ in, err string }{
		"nothing":        {"", `sha256 "": 0 digits, want 64`},
		"too few digits": {emptyHex[1:], `sha256 "` + emptyHex[1:] + `": 63 digits, want 64`},
		"too many, cut short": {
			emptyHex + emptyHex,
			`sha256 "` + emptyHex + emptyHex[:16] + `...": 128 digits, want 64`,
		},
		"another digit": {"g" + emptyHex[1:], `sha256 "g` + emptyHex[1:] + `": encoding/hex: invalid byte: U+0067 'g'`},
		"a prefix":      {"sha256:" + emptyHex, `sha256 "sha256:` + emptyHex + `": 71 digits, want 64`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			d, err := Parse(tt.in)
			if errText(err) != tt.err || !d.IsZero() {
				t.Errorf("%s, error %v\n want %s", d, err, tt.err)
			}
		})
	}
}

func TestUnmarshalValidates(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(map[string]SHA256{"a": Of(nil)})
	if err != nil || string(b) != `{"a":"`+emptyHex+`"}` {
		t.Fatalf("%s, %v", b, err)
	}

	var back map[string]SHA256
	if err := json.Unmarshal(b, &back); err != nil || back["a"] != Of(nil) {
		t.Errorf("%v, %v", back, err)
	}

	if err := json.Unmarshal([]byte(`{"a":"abc"}`), &back); errText(err) != `sha256 "abc": 3 digits, want 64` {
		t.Errorf("error %v", err)
	}
}

func TestCanonicalHashesDomainAndJSON(t *testing.T) {
	t.Parallel()
	got, err := Canonical("layer-key/1", map[string]any{"b": "<&>", "a": []int{1, 2}})
	if want := Of([]byte("layer-key/1\n{\"a\":[1,2],\"b\":\"<&>\"}\n")); got != want || err != nil {
		t.Errorf("%s, %v, want %s", got, err, want)
	}

	other, err := Canonical("layer-key/2", map[string]any{"b": "<&>", "a": []int{1, 2}})
	if other == got || err != nil {
		t.Errorf("two domains, one digest: %v", err)
	}

	if _, err := Canonical("x", func() {}); errText(err) != "hash x: json: unsupported type: func()" {
		t.Errorf("error %v", err)
	}
}
