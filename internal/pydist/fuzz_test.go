package pydist

import (
	"strings"
	"testing"
)

// Names, targets, specifiers and single requirements: String returns text that parses to the same
// value.
func FuzzLeaves(f *testing.F) {
	for _, s := range []string{
		"alpha", "A_b..c", "-x", "python3.13-x86_64", "python3.9-arm64", "python3.99-arm64",
		">=1.0,<2", "==1.*", "~=1.4.2", "!=1.0+local", "===x y", ">=1,,<2",
		"requests[security,socks]>=2.8.1,==2.8.*;python_version<'2.7'",
		"pip @ https://host/pip-1.0-py3-none-any.whl ; python_version > '3'",
		"a @ ./b.whl", "a (>=1)", "", "\x00", "a;\"",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		if n, err := ParseName(s); err == nil {
			if again, err := ParseName(n.String()); err != nil || again != n {
				t.Errorf("name %q: %v, %v", s, again, err)
			}
		}

		if x, err := ParseTarget(s); err == nil {
			if again, err := ParseTarget(x.String()); err != nil || again != x {
				t.Errorf("target %q: %v, %v", s, again, err)
			}
		}

		if p, err := ParseSpecifier(s); err == nil {
			for _, v := range []string{"1.0", "0.1.dev1", "2!3.4.post5+six"} {
				_ = p.Contains(mustVersion(t, v))
			}
		}

		if r, err := ParseRequirement(s); err == nil {
			again, err := ParseRequirement(r.String())
			if err != nil || again.Name != r.Name || again.Marker != r.Marker || again.URL != r.URL {
				t.Errorf("requirement %q is written as %q: %+v, %v", s, r.String(), again, err)
			}
		}
	})
}

func FuzzParseEntryPoints(f *testing.F) {
	for _, s := range []string{
		"[console_scripts]\na = b.c:d\n", "[g]\nx = y [extra]\n; comment\n# another\n",
		"a = b\n", "[", "[]\n=\n", "\xff", "",
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, b []byte) {
		points, err := ParseEntryPoints(b)
		if err != nil {
			return
		}

		for _, p := range points {
			if strings.ContainsAny(p.Name+p.Group, "\n") {
				t.Errorf("%+v", p)
			}
		}
	})
}
