package pydist

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var leaves = cmpopts.EquateComparable(Name{}, Version{}, Specifier{})

func TestParseMetadata(t *testing.T) {
	name := func(s string) Name { return Name{s} }
	for sentence, tt := range map[string]struct {
		in   string
		want Metadata
		err  string
	}{
		"what a wheel has today": {
			in: "Metadata-Version: 2.4\nName: Scikit_Learn\nVersion: 1.9.1\nLicense-Expression: BSD-3-Clause\n" +
				"License-File: COPYING\n" +
				"Requires-Python: >= 3.11\nRequires-Dist: numpy>=1.24\nRequires-Dist: pytest; extra == \"tests\"\n" +
				"Provides-Extra: tests\n\nName: not a header\n",
			want: Metadata{
				Name:           name("scikit-learn"),
				Version:        Version{"1.9.1"},
				RequiresDist:   []string{"numpy>=1.24", `pytest; extra == "tests"`},
				ProvidesExtra:  []string{"tests"},
				RequiresPython: ">= 3.11",
				License:        "BSD-3-Clause",
			},
		},
		"CRLF, case of field names, continuation lines, a byte order mark": {
			in: "\ufeffNAME: a\r\nversion: 1\r\nLicense: MIT\r\n        for all\r\nRequires-Dist: b (>=1)\r\n  ; " +
				"extra == 'x'\r\n\r\n",
			want: Metadata{
				Name:         name("a"),
				Version:      Version{"1"},
				License:      "MIT\nfor all",
				RequiresDist: []string{"b (>=1) ; extra == 'x'"},
			},
		},
		"the expression wins over the text": {
			in:   "Name: a\nVersion: 1\nLicense: long text\nLicense-Expression: MIT\n",
			want: Metadata{Name: name("a"), Version: Version{"1"}, License: "MIT"},
		},
		"the header ends where email says it does": {
			in:   "Name: a\nVersion: 1\nnot a field\nRequires-Dist: b\n",
			want: Metadata{Name: name("a"), Version: Version{"1"}},
		},
		"Latin-1 costs a character": {
			in:   "Name: a\nVersion: 1\nLicense: \xe9\n",
			want: Metadata{Name: name("a"), Version: Version{"1"}, License: "\ufffd"},
		},
		"no newline at the end": {
			in:   "Name: a\nVersion: 1",
			want: Metadata{Name: name("a"), Version: Version{"1"}},
		},
		"the description may be longer than a limit": {
			in:   "Name: a\nVersion: 1\n\n" + strings.Repeat("x", maxMetadataBytes),
			want: Metadata{Name: name("a"), Version: Version{"1"}},
		},
		"a header that is too long": {
			in:  "Name: a\n" + strings.Repeat("Classifier: x\n", maxMetadataBytes/14),
			err: `METADATA: header is longer than 4194304 bytes`,
		},
		"no name":    {in: "Version: 1\n", err: `METADATA: field "name" is missing`},
		"no version": {in: "Name: a\n", err: `METADATA: field "version" is missing`},
		"two names":  {in: "Name: a\nVersion: 1\nName: b\n", err: `METADATA:3: field "name" is also on line 1`},
		"a bad version": {
			in:  "Name: a\nVersion: 1.x\n",
			err: `METADATA:2: version "1.x": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"empty": {in: "", err: `METADATA: field "name" is missing`},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseMetadata(iotest.HalfReader(strings.NewReader(tt.in)))
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if d := cmp.Diff(tt.want, got, leaves); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseMetadataPassesOnReadErrors(t *testing.T) {
	_, err := ParseMetadata(iotest.ErrReader(io.ErrClosedPipe))
	if !errors.Is(err, io.ErrClosedPipe) || err.Error() != "read METADATA: io: read/write on closed pipe" {
		t.Errorf("error %v", err)
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add(
		"Metadata-Version: 2.1\nName: a\nVersion: 1.0\nLicense: x\n        y\nRequires-Dist: b[c] (>=1) ; extra == " +
			"'d'\nProvides-Extra: d\nRequires-Python: >=3\n\nbody",
	)
	f.Add("\ufeffNAME:a\r\nVersion:1\n\t\nLicense-Expression: MIT")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := ParseMetadata(strings.NewReader(s))
		if err != nil {
			return
		}

		var b strings.Builder
		field := func(name, value string) { fmt.Fprintf(&b, "%s: %s\n", name, strings.ReplaceAll(value, "\n", "\n  ")) }
		field("Name", m.Name.String())
		field("Version", m.Version.String())
		for _, v := range m.RequiresDist {
			field("Requires-Dist", v)
			if r, err := ParseRequirement(v); err == nil {
				if again, err := ParseRequirement(r.String()); err != nil || again.String() != r.String() {
					t.Fatalf("requirement %q again: %q, %v", r, again, err)
				}
			}
		}

		for _, v := range m.ProvidesExtra {
			field("Provides-Extra", v)
		}

		field("Requires-Python", m.RequiresPython)
		field("License", m.License)
		again, err := ParseMetadata(strings.NewReader(b.String()))
		if err != nil {
			t.Fatalf("%q: %v", b.String(), err)
		}

		if d := cmp.Diff(m, again, leaves); d != "" {
			t.Fatal(d)
		}
	})
}
