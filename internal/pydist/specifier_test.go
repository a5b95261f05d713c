package pydist

import (
	"strings"
	"testing"
)

func TestParseSpecifier(t *testing.T) {
	for sentence, tt := range map[string]struct{ in, want, err string }{
		"text is kept": {in: " >= 1.0 , <2", want: ">= 1.0 , <2"},
		"no condition": {in: "", want: ""},
		"a comma at the end, as old metadata has it": {in: ">=3.6,", want: ">=3.6,"},
		"arbitrary equality takes any word":          {in: "===2.0-custom~1", want: "===2.0-custom~1"},
		"a single equals sign": {
			in:  "=1.0",
			err: `specifier "=1.0": unknown operator; known: ===, ==, !=, ~=, <=, >=, <, >`,
		},
		"a version without operator": {
			in:  "1.0",
			err: `specifier "1.0": unknown operator; known: ===, ==, !=, ~=, <=, >=, <, >`,
		},
		"alternatives are not in PEP 440": {
			in:  ">=1||<0.5",
			err: `specifier ">=1||<0.5": version "1||<0.5": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"a forgotten comma": {
			in:  ">=1 <2",
			err: `specifier ">=1 <2": version "1 <2": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"a wildcard with an ordering": {in: ">=3.7.*", err: `specifier ">=3.7.*": .* is allowed with == and != only`},
		"a wildcard after a pre-release": {
			in:  "==1.0a1.*",
			err: `specifier "==1.0a1.*": .* is allowed after plain release numbers only`,
		},
		"a compatible release of one number": {
			in:  "~=1",
			err: `specifier "~=1": ~= needs at least two numbers, such as ~=1.4`,
		},
		"a local version with an ordering": {
			in:  ">=1.0+cu118",
			err: `specifier ">=1.0+cu118": a local version (+...) is allowed with == and != only`,
		},
		"arbitrary equality with a space": {in: "===a b", err: `specifier "===a b": === needs text without spaces`},
		"a text that is too long": {
			in:  strings.Repeat(">=1,", 2000),
			err: `specifier has 8000 bytes, limit 4096`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseSpecifier(tt.in)
			if got.String() != tt.want || errText(err) != tt.err {
				t.Errorf("ParseSpecifier(%q) = %q, %v\nwant %q, %s", tt.in, got, err, tt.want, tt.err)
			}
		})
	}
}

// The answers are those of packaging 26.3 with prereleases=True.
func TestSpecifierContains(t *testing.T) {
	for _, tt := range []struct{ spec, in, out string }{
		{"", "0 1 1.0rc1 9!9+l", ""},
		{">=1.2,<3", "1.2 1.2+l 2.9 2.9rc1", "1.1 1.2rc1 3 3.0rc1 3.0.dev0"},
		{"<2.0a0", "1.9 2.0.dev1", "2.0a0 2.0"},
		{"<=2.0", "2.0 2.0+l 2.0rc1", "2.0.post1"},
		{">1.0", "1.0.1 1.1rc1 1.1+l", "1.0 1.0+l 1.0.post1 1.0.post1.dev0"},
		{">1.0.post1", "1.0.post2 1.0.post2.dev0", "1.0.post1+l 1.0"},
		{">1.0a1", "1.0a2 1.0b1.dev0+l 1.0", "1.0a1.post1"},
		{"==1.0", "1 1.0.0 1.0+l", "1.0.post1 1.0rc1"},
		{"==1.0+cu118", "1.0+cu118 1+CU118", "1.0 1.0+cu119"},
		{"!=1.0+cu118", "1.0 1.0+cu119", "1.0+cu118"},
		{"==1.2.*", "1.2 1.2.0 1.2.9rc1 1.2.dev1 1.2+l 0!1.2", "1.20 1.3 1 1!1.2"},
		{"==1.0.0.0.*", "1 1.0 1.0.0.0.5", "1.0.0.1"},
		{"!=2.2.0,>=1", "2.2.1 1", "2.2 0.9"},
		{"~=2.2", "2.2 2.9 2.3rc1", "3.0 2.1 2.2rc1"},
		{"~=2.2.post3", "2.2.post3 2.3", "2.2.post2 3"},
		{"~=2.2rc1", "2.2rc1 2.2 2.9", "3.0 2.2b1"},
		{"~=1!1.4.5", "1!1.4.9", "1.4.9 1!1.5 2!1.4.9"},
		{"===1.0", "1.0", "1.0.0"},
		{"===1.0-CU", "", "1.0"},
		{">=v1", "1", "0.9"},
	} {
		s, err := ParseSpecifier(tt.spec)
		if err != nil {
			t.Fatal(err)
		}

		for _, v := range strings.Fields(tt.in) {
			if !s.Contains(mustVersion(t, v)) {
				t.Errorf("%q does not contain %s", tt.spec, v)
			}
		}

		for _, v := range strings.Fields(tt.out) {
			if s.Contains(mustVersion(t, v)) {
				t.Errorf("%q contains %s", tt.spec, v)
			}
		}

		if s.Contains(Version{}) {
			t.Errorf("%q contains the zero version", tt.spec)
		}
	}
}
