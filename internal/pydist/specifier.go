package pydist

import (
	"fmt"
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"
)

// MaxSpecifierBytes bounds the text of one specifier.
const MaxSpecifierBytes = 4096

// Specifier is a set of version conditions that must all hold, such as ">=1.2,<3". The zero
// Specifier has none and contains every version.
//
// The conditions are ours; only versions are compared by the library. Its specifiers take "||", "*"
// and a single "=", pad ==1.0.0.0.* by half, and read ~=2.2rc1 as ==2.2.* where PEP 440 says ==2.*.
type Specifier struct{ text string }

// Longer operators first: the first one that is a prefix is meant.
var specifierOperators = []string{"===", "==", "!=", "~=", "<=", ">=", "<", ">"}

var (
	wildcardPattern  = regexp.MustCompile(`^v?(?:[0-9]+!)?[0-9]+(?:\.[0-9]+)*\.\*$`)
	arbitraryPattern = regexp.MustCompile(`^[!-+\--:<-~]+$`) // === takes any text without space, ',' and ';'
)

type clause struct {
	op       string
	version  Version // unset for ===
	text     string  // what stands after the operator
	wildcard bool    // == and != with a trailing .*, which version does not carry
}

// ParseSpecifier accepts the conditions between commas. As in packaging, an empty one is no
// condition.
func ParseSpecifier(s string) (Specifier, error) {
	s = strings.TrimSpace(s)
	if len(s) > MaxSpecifierBytes {
		return Specifier{}, fmt.Errorf("specifier has %d bytes, limit %d", len(s), MaxSpecifierBytes)
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
	var c clause
	for _, op := range specifierOperators {
		if strings.HasPrefix(s, op) {
			c.op = op
			break
		}
	}

	if c.op == "" {
		return clause{}, fmt.Errorf(
			"specifier %q: unknown operator; known: %s",
			s,
			strings.Join(specifierOperators, ", "),
		)
	}

	c.text = strings.TrimSpace(s[len(c.op):])
	if c.op == "===" {
		if !arbitraryPattern.MatchString(c.text) {
			return clause{}, fmt.Errorf("specifier %q: === takes text without spaces", s)
		}

		return c, nil
	}

	text := c.text
	if strings.HasSuffix(text, ".*") {
		if c.op != "==" && c.op != "!=" {
			return clause{}, fmt.Errorf("specifier %q: .* goes with == and != only", s)
		}

		if !wildcardPattern.MatchString(asciiLower(text)) {
			return clause{}, fmt.Errorf("specifier %q: .* goes after plain numbers only", s)
		}

		c.wildcard = true
		text = strings.TrimSuffix(text, ".*")
	}

	v, err := ParseVersion(text)
	if err != nil {
		return clause{}, fmt.Errorf("specifier %q: %w", s, err)
	}

	c.version = v
	p := v.parsed()
	if p.Local() != "" && c.op != "==" && c.op != "!=" {
		return clause{}, fmt.Errorf("specifier %q: a local version (+...) goes with == and != only", s)
	}

	if c.op == "~=" && len(releaseOf(p)) < 2 {
		return clause{}, fmt.Errorf("specifier %q: ~= wants at least two numbers, such as ~=1.4", s)
	}

	return c, nil
}

// Contains reports whether v meets every condition. The zero Version meets none.
func (s Specifier) Contains(v Version) bool {
	if v.text == "" {
		return false
	}

	// The text passed ParseSpecifier, or is the zero value's, which has no clauses.
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
		// <2.0 does not contain 2.0rc1, although that sorts before 2.0: its bound is 2.0.dev0.
		if !want.IsPreRelease() {
			want = pep440.MustParse(want.String() + ".dev0")
		}

		return p.Compare(want) < 0
	case ">":
		// >1.0 contains neither 1.0+local nor 1.0.post1, although they sort after 1.0; >1.0.post1
		// contains 1.0.post2.
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

// hasRelease reports whether v's numbers, followed by zeros without end, begin with prefix.
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
