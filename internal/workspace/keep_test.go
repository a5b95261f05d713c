package workspace

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
)

// loadLayer loads a workspace of one layer with this layer.yaml; nil for none.
func loadLayer(t *testing.T, text, probe []byte) Layer {
	t.Helper()
	files := fstest.MapFS{"a/requirements.txt": {Data: []byte("pkg\n")}}
	if text != nil {
		files["a/layer.yaml"] = &fstest.MapFile{Data: text}
	}

	if probe != nil {
		files["a/probe.py"] = &fstest.MapFile{Data: probe}
	}

	w, err := Load(files, "layers")
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}

	return w.Layers[0]
}

var healed = []policy.Choice{{Match: "pkg/tests/a.txt", Reason: "import pkg fails without it; healed 2026-11-23"}}

const entry = `{ match: "pkg/tests/a.txt", reason: "import pkg fails without it; healed 2026-11-23" }`

func TestAddKeepChangesNothingElse(t *testing.T) {
	for sentence, c := range map[string]struct{ in, want string }{
		"an absent file is made": {"", "keep:\n  - ENTRY\n"},
		"a file of comments keeps them": {
			"# our layer\n\n# nothing yet\n",
			"# our layer\n\n# nothing yet\nkeep:\n  - ENTRY\n",
		},
		"a file with other keys gets the list last": {
			"description: x  # why\nbytecode: auto\n",
			"description: x  # why\nbytecode: auto\nkeep:\n  - ENTRY\n",
		},
		"a last line without an end gets one": {"description: x", "description: x\nkeep:\n  - ENTRY\n"},
		"a comment at the end stays before it": {
			"description: x\n\n# the end\n",
			"description: x\n\n# the end\nkeep:\n  - ENTRY\n",
		},
		"a byte order mark stays": {"\ufeffdescription: x\n", "\ufeffdescription: x\nkeep:\n  - ENTRY\n"},
		"lines end as they did": {
			"description: x\r\nkeep:\r\n  - { match: b, reason: c }\r\n",
			"description: x\r\nkeep:\r\n  - { match: b, reason: c }\r\n  - ENTRY\r\n",
		},
		"lines end as they did, without a list": {"description: x\r\n", "description: x\r\nkeep:\r\n  - ENTRY\r\n"},
		"entries in braces": {"keep:\n  - { match: b, reason: c } # because\nbytecode: auto\n",
			"keep:\n  - { match: b, reason: c } # because\n  - ENTRY\nbytecode: auto\n"},
		"entries of several lines": {
			"keep:\n  - match: b\n    reason: c\n  - reason: e\n    match: d   # last\n\n# about bytecode\nbytecode: " +
				"auto\n",
			"keep:\n  - match: b\n    reason: c\n  - reason: e\n    match: d   # last\n  - ENTRY\n\n# about " +
				"bytecode\nbytecode: auto\n",
		},
		"a list that is not indented": {
			"keep:\n- { match: b, reason: c }\nbytecode: auto\n",
			"keep:\n- { match: b, reason: c }\n- ENTRY\nbytecode: auto\n",
		},
		"a list that is indented a lot": {
			"keep:\n      - { match: b, reason: c }\n",
			"keep:\n      - { match: b, reason: c }\n      - ENTRY\n",
		},
		"a text of several lines at the end": {
			"keep:\n  - match: b\n    reason: |\n      one\n      # not a comment\n\nbytecode: auto\n",
			"keep:\n  - match: b\n    reason: |\n      one\n      # not a comment\n  - ENTRY\n\nbytecode: auto\n",
		},
		"a comment among the entries": {
			"keep:\n  # first\n  - { match: b, reason: c }\n  # second\n  - { match: d, reason: e }\ndrop:\n  - { " +
				"match: f, reason: g }\n",
			"keep:\n  # first\n  - { match: b, reason: c }\n  # second\n  - { match: d, reason: e }\n  - ENTRY\n" +
				"drop:\n  - { match: f, reason: g }\n",
		},
		"a list in brackets": {
			"keep: [{ match: b, reason: c }]  # one line\nbytecode: auto\n",
			"keep: [{ match: b, reason: c }, ENTRY]  # one line\nbytecode: auto\n",
		},
		"a list in brackets with spaces": {
			"keep: [ { match: b, reason: c } ]\n",
			"keep: [ { match: b, reason: c }, ENTRY ]\n",
		},
		"an empty list": {"keep: []\nbytecode: auto\n", "keep: [ ENTRY ]\nbytecode: auto\n"},
		"a pattern with brackets": {
			"keep: [{ match: \"b[0-9]\", reason: \"c ]\" }]\n",
			"keep: [{ match: \"b[0-9]\", reason: \"c ]\" }, ENTRY]\n",
		},
		"a list in brackets over several lines": {
			"keep: [\n  { match: b, reason: c }, # because ]\n]\nbytecode: auto\n",
			"keep: [\n  { match: b, reason: c }, # because ]\n  ENTRY\n]\nbytecode: auto\n",
		},
		"a list in brackets over several lines, without a last comma": {
			"keep: [\n  { match: b, reason: c }\n]\n",
			"keep: [\n  { match: b, reason: c }\n, ENTRY ]\n",
		},
		"another list in brackets before it": {
			"imports: [a, b]\nkeep: [{ match: b, reason: c }]\n",
			"imports: [a, b]\nkeep: [{ match: b, reason: c }, ENTRY]\n",
		},
		"a document in braces": {"{ description: x }\n", "{ description: x, keep: [ ENTRY ] }\n"},
		"a document in braces with a list": {
			"{ keep: [{ match: b, reason: c }], description: x }\n",
			"{ keep: [{ match: b, reason: c }, ENTRY], description: x }\n",
		},
		"a document that is indented": {
			"  description: x\n  bytecode: auto\n",
			"  description: x\n  bytecode: auto\n  keep:\n    - ENTRY\n",
		},
		"a document with its marks": {"---\ndescription: x\n...\n", "---\ndescription: x\nkeep:\n  - ENTRY\n...\n"},
		"an anchor": {
			"keep: &k\n  - { match: b, reason: c }\n",
			"keep: &k\n  - { match: b, reason: c }\n  - ENTRY\n",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			var before []byte
			if c.in != "" {
				before = []byte(c.in)
			}

			was := loadLayer(t, before, nil)
			got, err := AddKeep(before, healed)
			if err != nil {
				t.Fatal(err)
			}

			if d := cmp.Diff(strings.ReplaceAll(c.want, "ENTRY", entry), string(got)); d != "" {
				t.Error(d)
			}

			// What the program reads is the proof; cmp above is about looks.
			is := loadLayer(t, got, nil)
			was.Policy.Keep = append(was.Policy.Keep, healed...)
			was.Digest = is.Digest
			if d := cmp.Diff(
				was.Policy,
				is.Policy,
			); d != "" || was.Description != is.Description ||
				was.Bytecode != is.Bytecode {
				t.Errorf("it is read as something else: %s", d)
			}
		})
	}
}

func TestAddKeepQuotes(t *testing.T) {
	odd := []policy.Choice{
		{Match: `pkg/a "b" \[c\]: {d} # é.txt`, Reason: "tab\there, 'quotes': yes"},
		{Match: "x/**", Reason: "second"},
	}
	got, err := AddKeep(nil, odd)
	if err != nil {
		t.Fatal(err)
	}

	if d := cmp.Diff(odd, loadLayer(t, got, nil).Policy.Keep); d != "" {
		t.Errorf("%s\n%s", got, d)
	}
}

func TestAddKeepRefuses(t *testing.T) {
	for sentence, c := range map[string]struct{ in, want string }{
		"text that is no YAML": {"keep: [\n", "not YAML"},
		"a list that is none":  {"keep: all\n", "keep is not a list"},
		"a text that would be too large": {
			"# " + strings.Repeat("x", maxSpecBytes) + "\n",
			"add by hand: keep: [ { match: ",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			if got, err := AddKeep([]byte(c.in), healed); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestWithKeepIsWhatLoadingGives(t *testing.T) {
	for sentence, probe := range map[string][]byte{
		"without a probe":     nil,
		"with a probe":        []byte("import pkg\n"),
		"with an empty probe": {},
	} {
		t.Run(sentence, func(t *testing.T) {
			before := []byte("description: x\nkeep:\n  - { match: b, reason: c }\n")
			l := loadLayer(t, before, probe)
			got, text, err := l.WithKeep(before, probe, healed)
			if err != nil {
				t.Fatal(err)
			}

			want := loadLayer(t, text, probe)
			if got.Digest != want.Digest || !cmp.Equal(got.Policy, want.Policy) {
				t.Errorf("%+v, want %+v", got, want)
			}

			if len(l.Policy.Keep) != 1 {
				t.Error("the layer that was given changed")
			}

			for _, other := range [][2][]byte{{append(before, '#'), probe}, {nil, probe}} {
				if _, _, err := l.WithKeep(other[0], other[1], healed); !errors.Is(err, ErrChanged) {
					t.Errorf("%q: %v", other[0], err)
				}
			}
		})
	}
}

// For any text, AddKeep fails, or it only inserts, and the result is the document with the entry.
func FuzzAddKeep(f *testing.F) {
	for _, s := range []string{
		"", "description: x\n", "keep: [{match: a, reason: b}]",
		"keep:\n- match: a\n  reason: |\n   b\n   # c\n\nimports: a\n", "{keep: []}", "keep: !!seq\n0:",
		"\ufeff---\r\nkeep: !!seq\r\n - {match: a, reason: b}\r\n...",
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 || nesting(in) > maxNesting {
			return
		}

		got, err := AddKeep(in, healed)
		if err != nil {
			return
		}

		n := 0
		m := 0
		for n < len(in) && got[n] == in[n] {
			n++
		}

		for m < len(in)-n && got[len(got)-1-m] == in[len(in)-1-m] {
			m++
		}

		if n+m != len(in) {
			t.Errorf("%q became %q", in, got)
		}
	})
}
