package pydist

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// maxVersionBytes bounds the text of one version, so that hostile input cannot make comparisons
// slow. The longest versions on PyPI are far shorter.
const maxVersionBytes = 256

// Version is a PEP 440 version as written: == compares texts, Compare compares versions. The zero
// Version means "no version" and sorts before every other.
type Version struct{ text string }

// versionPattern is the pattern of PEP 440, appendix B, for lower-case ASCII. It is checked before
// the library parses the text, because the library folds case by Unicode rules and accepts
// "1.po\u017ft1".
var versionPattern = regexp.MustCompile(`^v?` +
	`(?:[0-9]+!)?` + // epoch
	`[0-9]+(?:\.[0-9]+)*` + // release
	`(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?` + // pre-release
	`(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?` + // post-release
	`(?:[-_.]?dev[-_.]?[0-9]*)?` + // development release
	`(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?$`) // local

// ParseVersion accepts every spelling that PEP 440 allows and trims white space around it.
func ParseVersion(s string) (Version, error) {
	s = strings.Trim(s, " \t\r\n\f\v")
	if len(s) > maxVersionBytes {
		return Version{}, fmt.Errorf("version has %d bytes, limit %d", len(s), maxVersionBytes)
	}

	if s == "" {
		return Version{}, fmt.Errorf("version is empty")
	}

	v := Version{s}
	if !versionPattern.MatchString(asciiLower(s)) {
		return Version{}, fmt.Errorf("version %q: not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1", s)
	}

	if _, err := pep440.Parse(v.canonicalLocal()); err != nil {
		return Version{}, fmt.Errorf("version %q: a number does not fit in 64 bits", s)
	}

	return v, nil
}

// canonicalLocal is the text in lower case with the local part normalized. The library does not
// normalize local parts, so it would order 1.0+a-02 and 1.0+a.2 differently.
func (v Version) canonicalLocal() string {
	s, local, ok := strings.Cut(asciiLower(v.text), "+")
	if !ok {
		return s
	}

	segments := strings.FieldsFunc(local, func(r rune) bool { return r == '-' || r == '_' || r == '.' })
	for i, segment := range segments {
		if strings.Trim(segment, "0123456789") == "" {
			segments[i] = cmp.Or(strings.TrimLeft(segment, "0"), "0")
		}
	}

	return s + "+" + strings.Join(segments, ".")
}

// parsed must not be called on the zero Version: it panics on text that ParseVersion did not
// accept.
func (v Version) parsed() pep440.Version { return pep440.MustParse(v.canonicalLocal()) }

// Compare returns -1, 0 or 1 if v sorts before, equal to or after o.
func (v Version) Compare(o Version) int {
	switch {
	case v.text == o.text:
		return 0
	case v.text == "":
		return -1
	case o.text == "":
		return 1
	}

	return v.parsed().Compare(o.parsed())
}

// Normalized is the normal form of PEP 440: "v1.0-RC.1" becomes "1.0rc1".
func (v Version) Normalized() string {
	if v.text == "" {
		return ""
	}

	return v.parsed().String()
}

// String is the text as given.
func (v Version) String() string { return v.text }

func (v Version) MarshalText() ([]byte, error) { return []byte(v.text), nil }

func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVersion(string(b))
	return err
}

// asciiLower converts only A to Z. Unicode lower case would turn some other letters into ASCII.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}

		return r
	}, s)
}
