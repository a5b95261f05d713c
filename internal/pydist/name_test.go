package pydist

import (
	"encoding/json"
	"testing"
)

// errText is the text of an error, "" for nil.
func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

// nameRule is the message that describes valid names.
const nameRule = "expected letters, digits, '-', '_' and '.', with a letter or digit at both ends"

func TestParseName(t *testing.T) {
	for sentence, tt := range map[string]struct{ in, want, err string }{
		"case is folded":                     {in: "PyYAML", want: "pyyaml"},
		"runs of separators become one dash": {in: "ruamel._-yaml", want: "ruamel-yaml"},
		"one letter is a name":               {in: "q", want: "q"},
		"digits may come first":              {in: "2to3", want: "2to3"},
		"empty is refused":                   {in: "", err: `name is empty`},
		"a separator cannot come last": {
			in:  "numpy-",
			err: `name "numpy-": ` + nameRule,
		},
		"letters outside ASCII are refused": {
			in:  "ſix",
			err: `name "ſix": ` + nameRule,
		},
		"a newline at the end is not ignored": {
			in:  "six\n",
			err: `name "six\n": ` + nameRule,
		},
		"a path is not a name": {
			in:  "../six",
			err: `name "../six": ` + nameRule,
		},
		"a normalized name stays as it is":     {in: "ruamel-yaml", want: "ruamel-yaml"},
		"separators inside survive as one":     {in: "zope.interface", want: "zope-interface"},
		"underscores of file names are dashes": {in: "scikit_learn", want: "scikit-learn"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseName(tt.in)
			if got.String() != tt.want || errText(err) != tt.err {
				t.Errorf("ParseName(%q) = %q, %v\nwant %q, %s", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

func TestLeavesDecodeThroughTheirParsers(t *testing.T) {
	type leaves struct {
		Name      Name
		Version   Version
		Specifier Specifier
		Wheel     WheelName
		Target    Target
	}
	const doc = `{"Name":"scikit-learn","Version":"1.9.1","Specifier":"==1.*,!=1.5",` +
		`"Wheel":"six-1.17.0-py2.py3-none-any.whl","Target":"python3.13-arm64"}`
	var got leaves
	if err := json.Unmarshal([]byte(doc), &got); err != nil {
		t.Fatal(err)
	}

	if b, err := json.Marshal(got); err != nil || string(b) != doc {
		t.Errorf("again: %s, %v\nwant   %s", b, err, doc)
	}

	for _, bad := range []string{
		`{"Name":"-"}`, `{"Version":"x"}`, `{"Specifier":"1"}`, `{"Wheel":"x.zip"}`,
		`{"Target":"python2.7-x86_64"}`, `{"Target":""}`,
	} {
		if err := json.Unmarshal([]byte(bad), new(leaves)); err == nil {
			t.Errorf("%s decodes", bad)
		}
	}
}
