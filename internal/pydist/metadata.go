package pydist

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// maxMetadataBytes bounds the header of METADATA, the part before the first empty line. The
// description after it is never read.
const maxMetadataBytes = 4 << 20

// Metadata holds the fields of METADATA that Layersmith uses. Only name and version are parsed, the
// other values are kept as text: a wheel whose old metadata does not parse can still be used.
type Metadata struct {
	Name           Name
	Version        Version
	RequiresDist   []string
	ProvidesExtra  []string
	RequiresPython string
	License        string // License-Expression, or License without one
}

// ParseMetadata reads the header of METADATA. Like Python's email parser, which pip and
// importlib.metadata use, it ends the header at the first line that is empty or is neither a field
// nor a continuation. Errors of r are wrapped, all other errors are a *PositionError.
func ParseMetadata(r io.Reader) (Metadata, error) {
	fields, err := readMetadataFields(r)
	if err != nil {
		return Metadata{}, err
	}

	var m Metadata
	lines := map[string]int{} // of the fields that may occur once

	for _, f := range fields {
		if f.isSingle() {
			if first, ok := lines[f.name]; ok {
				// Parsers disagree on which of the two wins.
				return Metadata{}, metadataFault(f.line, "field %q is also on line %d", f.name, first)
			}

			lines[f.name] = f.line
		}

		if err := m.set(f); err != nil {
			return Metadata{}, &PositionError{File: "METADATA", Line: f.line, Msg: err.Error(), cause: err}
		}
	}

	for _, name := range []string{"name", "version"} {
		if lines[name] == 0 {
			return Metadata{}, metadataFault(0, "field %q is missing", name)
		}
	}

	return m, nil
}

func metadataFault(line int, format string, args ...any) error {
	return &PositionError{File: "METADATA", Line: line, Msg: fmt.Sprintf(format, args...)}
}

// set stores the value of one field. Unknown fields are ignored.
func (m *Metadata) set(f metadataField) (err error) {
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
		m.License = cmp.Or(m.License, f.value("\n"))
	case "license-expression":
		m.License = cmp.Or(f.value(" "), m.License)
	}

	return err
}

// metadataField is one field of the header.
type metadataField struct {
	name  string   // lower case
	lines []string // the first line's value and its continuations, trimmed
	line  int
}

// isSingle reports whether the field may occur only once, among the fields that are used.
func (f metadataField) isSingle() bool {
	switch f.name {
	case "name", "version", "requires-python", "license", "license-expression":
		return true
	}

	return false
}

// value joins the lines. Old files often contain names in Latin-1: each invalid sequence becomes
// U+FFFD, and the wheel stays usable.
func (f metadataField) value(sep string) string {
	return strings.ToValidUTF8(strings.TrimSpace(strings.Join(f.lines, sep)), "\ufffd")
}

// readMetadataFields reads all fields up to the end of the header.
func readMetadataFields(r io.Reader) (fields []metadataField, err error) {
	limited := &io.LimitedReader{R: r, N: maxMetadataBytes + 1}
	br := bufio.NewReader(limited)

	for n := 1; ; n++ {
		line, err := br.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read METADATA: %w", err)
		}

		// The reader may have buffered beyond the header up to the limit. Only EOF shows that the
		// header itself reached it.
		if err == io.EOF && limited.N == 0 {
			return nil, metadataFault(0, "header is longer than %d bytes", maxMetadataBytes)
		}

		line = strings.TrimRight(line, "\r\n")
		if n == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}

		var ok bool
		if fields, ok = addMetadataLine(fields, line, n); !ok || err == io.EOF {
			return fields, nil
		}
	}
}

// addMetadataLine adds line number n: a new field or a continuation of the last one. ok is false at
// the end of the header.
func addMetadataLine(fields []metadataField, line string, n int) (_ []metadataField, ok bool) {
	if line == "" {
		return fields, false
	}

	if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
		last := &fields[len(fields)-1]
		last.lines = append(last.lines, strings.TrimSpace(line))
		return fields, true
	}

	name, value, ok := strings.Cut(line, ":")
	if !ok || name == "" || strings.ContainsAny(name, " \t") {
		return fields, false
	}

	f := metadataField{name: asciiLower(name), lines: []string{strings.TrimSpace(value)}, line: n}
	return append(fields, f), true
}
