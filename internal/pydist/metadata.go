package pydist

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// MaxMetadataBytes bounds the header of METADATA, the part before the first empty line.
// Descriptions come after it and are never read.
const MaxMetadataBytes = 4 << 20

// Metadata is what Layersmith wants of a distribution's METADATA. Values other than name and
// version are kept as text: what an old project wrote there need not parse for its wheel to be
// packed.
type Metadata struct {
	Name           Name
	Version        Version
	RequiresDist   []string
	ProvidesExtra  []string
	RequiresPython string
	License        string // License-Expression, or License where there is none
}

// ParseMetadata reads up to the first empty line. As Python's email parser does, and with it pip
// and importlib.metadata, it takes the first line that is neither a field nor a continuation for
// the end of the header.
func ParseMetadata(r io.Reader) (Metadata, error) {
	fault := func(line int, msg string) error {
		return &PositionError{File: "METADATA", Line: line, Msg: msg}
	}
	limited := &io.LimitedReader{R: r, N: MaxMetadataBytes + 1}
	br := bufio.NewReader(limited)
	var fields []metadataField
	for n := 1; ; n++ {
		line, err := br.ReadString('\n')
		if err != nil && err != io.EOF {
			return Metadata{}, fmt.Errorf("read METADATA: %w", err)
		}

		// The limit was reached inside the header, not by reading ahead.
		if err == io.EOF && limited.N == 0 {
			return Metadata{}, fault(0, fmt.Sprintf("header is longer than %d bytes", MaxMetadataBytes))
		}

		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			break
		}

		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}

		if line != "" && (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			f := &fields[len(fields)-1]
			f.lines = append(f.lines, strings.TrimSpace(line))
		} else {
			name, value, ok := strings.Cut(line, ":")
			if !ok || name == "" || strings.ContainsAny(name, " \t") {
				break
			}

			fields = append(
				fields,
				metadataField{name: asciiLower(name), lines: []string{strings.TrimSpace(value)}, line: n},
			)
		}

		if err == io.EOF {
			break
		}
	}

	var m Metadata
	var license, expression string
	seen := map[string]int{}
	for _, f := range fields {
		switch f.name {
		case "name", "version", "requires-python", "license", "license-expression":
			if first, ok := seen[f.name]; ok {
				// Readers differ in which of the two they take.
				return Metadata{}, fault(f.line, fmt.Sprintf("field %s is also on line %d", f.name, first))
			}

			seen[f.name] = f.line
		}

		var err error
		switch f.name {
		case "name":
			m.Name, err = ParseName(f.value(" "))
		case "version":
			m.Version, err = ParseVersion(f.value(" "))
		case "requires-dist":
			m.RequiresDist = append(m.RequiresDist, f.value(" "))
		case "provides-extra":
			m.ProvidesExtra = append(m.ProvidesExtra, f.value(" "))
		case "requires-python":
			m.RequiresPython = f.value(" ")
		case "license":
			license = f.value("\n")
		case "license-expression":
			expression = f.value(" ")
		}

		if err != nil {
			return Metadata{}, &PositionError{File: "METADATA", Line: f.line, Msg: err.Error(), cause: err}
		}
	}

	for _, name := range []string{"name", "version"} {
		if seen[name] == 0 {
			return Metadata{}, fault(0, "field "+name+" is missing")
		}
	}

	m.License = expression
	if m.License == "" {
		m.License = license
	}

	return m, nil
}

type metadataField struct {
	name  string
	lines []string // the first and its continuations, trimmed
	line  int
}

// value joins the lines. Authors' names in Latin-1 are common in old files; they cost a character,
// not the wheel.
func (f metadataField) value(sep string) string {
	return strings.ToValidUTF8(strings.TrimSpace(strings.Join(f.lines, sep)), "\ufffd")
}
