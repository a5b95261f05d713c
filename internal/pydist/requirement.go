package pydist

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Requirement is one wish for a distribution. File and Line are set where it was read from a
// requirements file.
type Requirement struct {
	Name      Name
	Extras    []string // normalized, sorted, each once
	Specifier Specifier
	// of a wheel: https or a relative path, as written (see ParseRequirements); "" when an index
	// decides
	URL    string
	Marker string   // as written; "" for always
	Hashes []string // "sha256:<hex>", in the order given
	File   string
	Line   int
	Text   string // as written, without options and comment
}

// ParseRequirement reads one PEP 508 requirement, as in Requires-Dist. It checks grammar only: any
// URL is taken. ParseRequirements also says which ones can be built again.
func ParseRequirement(s string) (Requirement, error) {
	text := strings.TrimSpace(s)
	r, err := parseRequirement(text)
	if err != nil {
		return Requirement{}, fmt.Errorf("requirement %q: %w", text, err)
	}

	r.Text = text
	return r, nil
}

func parseRequirement(s string) (Requirement, error) {
	var r Requirement
	if strings.ContainsFunc(s, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return r, fmt.Errorf("has a control character")
	}

	n := 0
	for n < len(s) && (isMarkerWord(s[n]) || s[n] == '-') {
		n++
	}

	var err error
	if r.Name, err = ParseName(s[:n]); err != nil {
		return r, err
	}

	rest := trimBlank(s[n:])
	if strings.HasPrefix(rest, "[") {
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok {
			return r, fmt.Errorf("extras: ']' is missing")
		}

		if r.Extras, err = parseExtras(inside); err != nil {
			return r, err
		}

		rest = trimBlank(after)
	}

	if strings.HasPrefix(rest, "@") {
		// A ';' belongs to the URL unless blank space precedes it.
		rest = trimBlank(rest[1:])
		r.URL = rest
		if i := strings.IndexAny(rest, " \t"); i >= 0 {
			r.URL = rest[:i]
		}

		rest = trimBlank(rest[len(r.URL):])
		if r.URL == "" || r.URL == ";" {
			return r, fmt.Errorf("url is empty")
		}

		if rest == "" {
			return r, nil
		}

		if rest[0] != ';' {
			return r, fmt.Errorf("url: unexpected %q after it; a marker begins with ' ;'", rest)
		}

		r.Marker = trimBlank(rest[1:])
		return r, checkMarker(r.Marker)
	}

	spec, marker, hasMarker := strings.Cut(rest, ";")
	spec = trimBlank(spec)
	if inside, ok := strings.CutPrefix(spec, "("); ok {
		if spec, ok = strings.CutSuffix(inside, ")"); !ok {
			return r, fmt.Errorf("specifier %q: ')' is missing", "("+inside)
		}
	}

	if r.Specifier, err = ParseSpecifier(spec); err != nil {
		return r, err
	}

	if hasMarker {
		r.Marker = trimBlank(marker)
		return r, checkMarker(r.Marker)
	}

	return r, nil
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

// String is the requirement in PEP 508's form; ParseRequirement reads it back. Hashes are options
// of a requirements file and not part of it.
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
