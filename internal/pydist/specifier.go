package pydist

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// maxSpecifierBytes bounds the text of one specifier.
const maxSpecifierBytes = 4096

// Specifier is a set of version conditions that must all hold, such as ">=1.2,<3". The zero
// Specifier has none and contains every version.
//
// This package parses and evaluates the conditions itself and uses the library only to compare
// versions, because the library's specifiers differ from PEP 440: they accept "||", "*" and a
// single "=", get ==1.0.0.0.* wrong, and treat ~=2.2rc1 as ==2.2.* instead of ==2.*.
type Specifier struct{ text string }

// specifierOperators has longer operators first, because the first one that is a prefix is taken.
var specifierOperators = []string{"===", "==", "!=", "~=", "<=", ">=", "<", ">"}

var (
	wildcardPattern  = regexp.MustCompile(`^v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*\.\*$`)
	arbitraryPattern = regexp.MustCompile(`^[!-+\--:<-~]+$`) // text after ===: no space, ',' or ';'
)

// clause is one condition of a specifier.
type clause struct {
	op       string
	version  Version // unset for ===
	text     string  // after the operator
	wildcard bool    // == or != with a trailing .*, which version is without
}

// ParseSpecifier parses conditions separated by commas. As in the library packaging, an empty
// condition is ignored.
func ParseSpecifier(s string) (Specifier, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxSpecifierBytes {
		return Specifier{}, fmt.Errorf("specifier has %d bytes, limit %d", len(s), maxSpecifierBytes)
	}

	if _, err := parseClauses(s); err != nil {
		return Specifier{}, err
	}

	return Specifier{s}, nil
}

func parseClauses(s string) ([]clause, error) {
	var out []clause
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}

		c, err := parseClause(part)
		if err != nil {
			return nil, err
		}

		out = append(out, c)
	}

	return out, nil
}

func parseClause(s string) (clause, error) {
	i := slices.IndexFunc(specifierOperators, func(op string) bool { return strings.HasPrefix(s, op) })
	if i < 0 {
		known := strings.Join(specifierOperators, ", ")
		return clause{}, fmt.Errorf("specifier %q: unknown operator; known: %s", s, known)
	}

	c := clause{op: specifierOperators[i]}
	c.text = strings.TrimSpace(s[len(c.op):])

	if c.op == "===" {
		if !arbitraryPattern.MatchString(c.text) {
			return clause{}, fmt.Errorf("specifier %q: === needs text without spaces", s)
		}

		return c, nil
	}

	if err := c.parseVersion(); err != nil {
		return clause{}, fmt.Errorf("specifier %q: %w", s, err)
	}

	return c, nil
}

// parseVersion sets version and wildcard from text and checks that the operator allows them.
func (c *clause) parseVersion() (err error) {
	equality := c.op == "==" || c.op == "!="
	text, wildcard := strings.CutSuffix(c.text, ".*")
	c.wildcard = wildcard

	if wildcard && !equality {
		return errors.New(".* is allowed with == and != only")
	}

	if wildcard && !wildcardPattern.MatchString(asciiLower(c.text)) {
		return errors.New(".* is allowed after plain release numbers only")
	}

	if c.version, err = ParseVersion(text); err != nil {
		return err
	}

	v := c.version.parsed()
	if v.Local() != "" && !equality {
		return errors.New("a local version (+...) is allowed with == and != only")
	}

	if c.op == "~=" && len(releaseOf(v)) < 2 {
		return errors.New("~= needs at least two numbers, such as ~=1.4")
	}

	return nil
}

// Contains reports whether v meets every condition. The zero Version meets none.
func (s Specifier) Contains(v Version) bool {
	if v.text == "" {
		return false
	}

	// There is no error: ParseSpecifier accepted the text, or it is empty.
	clauses, err := parseClauses(s.text)
	if err != nil {
		return false
	}

	for _, c := range clauses {
		if !c.contains(v) {
			return false
		}
	}

	return true
}

func (c clause) contains(v Version) bool {
	if c.op == "===" {
		return asciiLower(v.text) == asciiLower(c.text)
	}

	p := v.parsed()
	want := c.version.parsed()
	switch c.op {
	case "==":
		return c.equal(p, want)
	case "!=":
		return !c.equal(p, want)
	case "<=":
		return public(p).Compare(want) <= 0
	case ">=":
		return public(p).Compare(want) >= 0
	case "~=":
		release := releaseOf(want)
		return public(p).Compare(want) >= 0 && epochOf(p) == epochOf(want) && hasRelease(p, release[:len(release)-1])
	case "<":
		// <2.0 does not contain 2.0rc1, although 2.0rc1 sorts before 2.0: the bound is 2.0.dev0.
		if !want.IsPreRelease() {
			want = pep440.MustParse(want.String() + ".dev0")
		}

		return p.Compare(want) < 0
	case ">":
		// >1.0 contains neither 1.0+local nor 1.0.post1, although both sort after 1.0, but
		// >1.0.post1 contains 1.0.post2.
		p = public(p)
		if !want.IsPostRelease() && !strings.Contains(want.String(), ".dev") {
			family, _, _ := strings.Cut(p.String(), ".post")
			p = pep440.MustParse(family)
		}

		return p.Compare(want) > 0
	}

	return false
}

func (c clause) equal(p, want pep440.Version) bool {
	if c.wildcard {
		return epochOf(p) == epochOf(want) && hasRelease(p, releaseOf(want))
	}

	if want.Local() == "" {
		p = public(p)
	}

	return p.Compare(want) == 0
}

func public(v pep440.Version) pep440.Version { return pep440.MustParse(v.Public()) }

// epochOf and releaseOf read the normalized base version, "1!2.0" or "2.0".
func epochOf(v pep440.Version) string {
	epoch, _, ok := strings.Cut(v.BaseVersion(), "!")
	if !ok {
		return "0"
	}

	return epoch
}

func releaseOf(v pep440.Version) []string {
	s := v.BaseVersion()
	return strings.Split(s[strings.IndexByte(s, '!')+1:], ".")
}

// hasRelease reports whether v's release numbers, padded with zeros, begin with prefix.
func hasRelease(v pep440.Version, prefix []string) bool {
	release := releaseOf(v)
	for i, want := range prefix {
		have := "0"
		if i < len(release) {
			have = release[i]
		}

		if have != want {
			return false
		}
	}

	return true
}

// String is the text as given.
func (s Specifier) String() string { return s.text }

func (s Specifier) MarshalText() ([]byte, error) { return []byte(s.text), nil }

func (s *Specifier) UnmarshalText(b []byte) (err error) {
	*s, err = ParseSpecifier(string(b))
	return err
}
