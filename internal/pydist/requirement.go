package pydist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Requirement is a PEP 508 requirement. Hashes, File and Line are set only for requirements that
// were read from a requirements file.
type Requirement struct {
	Name      Name
	Extras    []string // normalized, sorted, each once
	Specifier Specifier
	URL       string   // of a wheel, as written; "" for a requirement that an index resolves
	Marker    string   // as written; "" without a condition
	Hashes    []string // "sha256:<hex>", in the order given
	File      string
	Line      int
	Text      string // as written, without options and comment
}

// ParseRequirement parses one PEP 508 requirement, as in Requires-Dist. It checks the grammar only
// and accepts any URL; ParseRequirements also checks that a URL is reproducible.
func ParseRequirement(s string) (Requirement, error) {
	text := strings.TrimSpace(s)
	r, err := parseRequirement(text)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %q: %w", text, err)
	}

	r.Text = text
	return r, nil
}

func parseRequirement(s string) (r Requirement, err error) {
	if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return r, errors.New("has a control character")
	}

	n := 0
	for n < len(s) && (isMarkerWord(s[n]) || s[n] == '-') {
		n++
	}

	if r.Name, err = ParseName(s[:n]); err != nil {
		return r, err
	}

	rest := trimBlank(s[n:])
	if after, ok := strings.CutPrefix(rest, "["); ok {
		extras, after, ok := strings.Cut(after, "]")
		if !ok {
			return r, errors.New("extras: ']' is missing")
		}

		if r.Extras, err = parseExtras(extras); err != nil {
			return r, err
		}

		rest = trimBlank(after)
	}

	if after, ok := strings.CutPrefix(rest, "@"); ok {
		return r, r.parseURL(trimBlank(after))
	}

	return r, r.parseSpecifier(rest)
}

// parseURL parses what follows the '@': a URL and maybe a marker. A ';' belongs to the URL unless a
// space or tab precedes it.
func (r *Requirement) parseURL(s string) error {
	r.URL = s
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		r.URL = s[:i]
	}

	if r.URL == "" || r.URL == ";" {
		return errors.New("url is empty")
	}

	rest := trimBlank(s[len(r.URL):])
	if rest == "" {
		return nil
	}

	marker, ok := strings.CutPrefix(rest, ";")
	if !ok {
		return fmt.Errorf("url: unexpected %q after it; a marker begins with ' ;'", rest)
	}

	r.Marker = trimBlank(marker)
	return checkMarker(r.Marker)
}

// parseSpecifier parses what follows the name and the extras: a specifier, maybe in parentheses,
// and maybe a marker.
func (r *Requirement) parseSpecifier(s string) (err error) {
	spec, marker, hasMarker := strings.Cut(s, ";")
	spec = trimBlank(spec)

	if inside, ok := strings.CutPrefix(spec, "("); ok {
		if spec, ok = strings.CutSuffix(inside, ")"); !ok {
			return fmt.Errorf("specifier %q: ')' is missing", "("+inside)
		}
	}

	if r.Specifier, err = ParseSpecifier(spec); err != nil {
		return err
	}

	if !hasMarker {
		return nil
	}

	r.Marker = trimBlank(marker)
	return checkMarker(r.Marker)
}

func parseExtras(s string) ([]string, error) {
	if trimBlank(s) == "" {
		return nil, nil
	}

	var extras []string
	for part := range strings.SplitSeq(s, ",") {
		n, err := ParseName(trimBlank(part))
		if err != nil {
			return nil, fmt.Errorf("extras: %w", err)
		}

		extras = append(extras, n.String())
	}

	slices.Sort(extras)
	return slices.Compact(extras), nil
}

func trimBlank(s string) string { return strings.Trim(s, " \t") }

// String is the requirement in the form of PEP 508, which ParseRequirement parses. It has no
// hashes, because they are options of requirements files.
func (r Requirement) String() string {
	var b strings.Builder
	b.WriteString(r.Name.String())
	if len(r.Extras) > 0 {
		b.WriteString("[" + strings.Join(r.Extras, ",") + "]")
	}

	if r.URL != "" {
		b.WriteString(" @ " + r.URL)
		if r.Marker != "" {
			b.WriteString(" ")
		}
	} else {
		b.WriteString(r.Specifier.String())
	}

	if r.Marker != "" {
		b.WriteString("; " + r.Marker)
	}

	return b.String()
}
