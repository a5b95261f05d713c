package pydist

import (
	"slices"
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	for sentence, tt := range map[string]struct{ in, want, normalized, err string }{
		"text is kept":            {in: "V1.0-RC.1", want: "V1.0-RC.1", normalized: "1.0rc1"},
		"space around is dropped": {in: " 1.0\n", want: "1.0", normalized: "1.0"},
		"epoch":                   {in: "1!2024.1", want: "1!2024.1", normalized: "1!2024.1"},
		"local part is normalized": {
			in:         "2.3.0+CU-118_07",
			want:       "2.3.0+CU-118_07",
			normalized: "2.3.0+cu.118.7",
		},
		"a bare number after - is a post": {in: "1.0-2", want: "1.0-2", normalized: "1.0.post2"},
		"everything at once": {
			in:         "1!1.0a2.post3.dev4+l.5",
			want:       "1!1.0a2.post3.dev4+l.5",
			normalized: "1!1.0a2.post3.dev4+l.5",
		},
		"empty is refused": {in: "  ", err: `version is empty`},
		"words are refused": {
			in:  "latest",
			err: `version "latest": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"unicode look-alikes are refused": {
			in:  "1.poſt1",
			err: `version "1.poſt1": not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"a number beyond 64 bits": {
			in:  "99999999999999999999",
			err: `version "99999999999999999999": a number does not fit in 64 bits`,
		},
		"a text that is too long": {
			in:  strings.Repeat("1.", 200) + "1",
			err: `version has 401 bytes, limit 256`,
		},
		"a local number may have any size": {
			in:         "1+99999999999999999999999",
			want:       "1+99999999999999999999999",
			normalized: "1+99999999999999999999999",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseVersion(tt.in)
			if got.String() != tt.want || got.Normalized() != tt.normalized || errText(err) != tt.err {
				t.Errorf("ParseVersion(%q) = %q (%q), %v\nwant %q (%q), %s",
					tt.in, got, got.Normalized(), err, tt.want, tt.normalized, tt.err)
			}
		})
	}
}

func mustVersion(t testing.TB, s string) Version {
	t.Helper()
	v, err := ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}

	return v
}

func TestVersionsSortAsPEP440Says(t *testing.T) {
	ordered := []string{
		"1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2",
		"1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5", "1.0+abc.7", "1.0+5",
		"1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.10", "2024.1", "1!0.1",
	}

	for i, a := range ordered {
		for j, b := range ordered {
			want := min(max(i-j, -1), 1)
			if got := mustVersion(t, a).Compare(mustVersion(t, b)); got != want {
				t.Errorf("%s compared to %s: %d, want %d", a, b, got, want)
			}
		}

		if (Version{}).Compare(mustVersion(t, a)) != -1 || mustVersion(t, a).Compare(Version{}) != 1 {
			t.Errorf("the zero version does not sort before %s", a)
		}
	}
}

func TestSpellingsOfOneVersionAreEqual(t *testing.T) {
	for _, group := range [][]string{
		{"1", "1.0", "1.0.0", "v1", "0!1", "01"},
		{"1.0rc1", "1.0-c1", "1.0.RC.1", "1.0preview1", "1rc01"},
		{"1.0.post1", "1.0-1", "1.0rev1", "1.0_r_1"},
		{"1.0+ubuntu.1", "1.0+Ubuntu-1", "1.0+ubuntu_01"},
	} {
		for _, s := range group {
			if mustVersion(t, group[0]).Compare(mustVersion(t, s)) != 0 {
				t.Errorf("%s and %s differ", group[0], s)
			}
		}
	}

	if mustVersion(t, "1.0") == mustVersion(t, "1.0.0") {
		t.Error("== compares meaning; it should compare text")
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{
		"1.0", "v1!2.0-RC.1.post2.dev3+Ab_1.007", "1.0-1", "2024.1", "1.poſt1", "1.*",
		"18446744073709551616", "1+0",
	} {
		f.Add(s, "1.0.post1", ">=1.0a1,<2,!=1.5.*")
	}

	f.Add("1.0", "1.0+l", "~=1!1.2rc1,===x,>1,==1.0.*")
	f.Fuzz(func(t *testing.T, a, b, spec string) {
		v, err := ParseVersion(a)
		if err != nil {
			return
		}

		again := mustVersion(t, v.String())
		normalized := mustVersion(t, v.Normalized())
		if again != v || v.Compare(normalized) != 0 || normalized.Normalized() != v.Normalized() {
			t.Fatalf("%q, %q, %q are not one version", v, again, normalized)
		}

		w, err := ParseVersion(b)
		if err != nil {
			return
		}

		if v.Compare(w) != -w.Compare(v) {
			t.Fatalf("%q and %q compare one way only", v, w)
		}

		versions := []Version{v, w, again, normalized}
		slices.SortFunc(versions, Version.Compare)
		s, err := ParseSpecifier(spec)
		if err != nil {
			return
		}

		if again, err := ParseSpecifier(s.String()); err != nil || again != s {
			t.Fatalf("specifier %q again: %q, %v", s, again, err)
		}

		if !strings.Contains(spec, "===") && s.Contains(v) != s.Contains(normalized) {
			t.Fatalf("%q tells %q from %q", s, v, normalized)
		}
	})
}
