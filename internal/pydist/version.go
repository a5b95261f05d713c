package pydist

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// MaxVersionBytes bounds the text of one version. PyPI's longest are far below; a limit keeps
// hostile input from being compared piece by piece.
const MaxVersionBytes = 256

// Version is a PEP 440 version. It keeps the text as given; == compares texts, Compare compares
// versions. The zero Version is no version and sorts before every other.
type Version struct{ text string }

// versionPattern is PEP 440's appendix B over lower-case ASCII. It is matched before the library
// sees the text: the library folds case by Unicode and so takes "1.po\u017ft1" for a version.
var versionPattern = regexp.MustCompile(`^v?` +
	`(?:[0-9]+!)?` + // epoch
	`[0-9]+(?:\.[0-9]+)*` + // release
	`(?:[-_.]?(?:alpha|a|beta|b|preview|pre|c|rc)[-_.]?[0-9]*)?` + // pre-release
	`(?:-[0-9]+|[-_.]?(?:post|rev|r)[-_.]?[0-9]*)?` + // post-release
	`(?:[-_.]?dev[-_.]?[0-9]*)?` + // development release
	`(?:\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?$`) // local

// ParseVersion accepts every spelling that PEP 440 does; space around it is dropped.
func ParseVersion(s string) (Version, error) {
	s = strings.Trim(s, " \t\r\n\f\v")
	if len(s) > MaxVersionBytes {
		return Version{}, fmt.Errorf("version has %d bytes, limit %d", len(s), MaxVersionBytes)
	}

	if s == "" {
		return Version{}, fmt.Errorf("version is empty")
	}

	v := Version{s}
	if !versionPattern.MatchString(asciiLower(s)) {
		return Version{}, fmt.Errorf("version %q: not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1", s)
	}

	if _, err := pep440.Parse(v.spelled()); err != nil {
		return Version{}, fmt.Errorf("version %q: a number does not fit 64 bits", s)
	}

	return v, nil
}

// spelled is the text with the local part normalized, which the library does not do: it would order
// 1.0+a-02 and 1.0+a.2 differently.
func (v Version) spelled() string {
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

// parsed is only called on text that ParseVersion accepted.
func (v Version) parsed() pep440.Version { return pep440.MustParse(v.spelled()) }

// Compare returns -1, 0 or 1 as v sorts before, equal to or after o.
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

// Normalized is the spelling PEP 440 prescribes: "v1.0-RC.1" becomes "1.0rc1".
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

// asciiLower lowers A to Z only, so that no letter outside ASCII can become one inside it.
func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + ('a' - 'A')
		}

		return r
	}, s)
}
