package pydist

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RecordEntry is one row of RECORD. RECORD's own row has neither hash nor size.
type RecordEntry struct {
	Path   string // relative to the directory that holds the .dist-info, or absolute
	SHA256 string // URL-safe base64 without padding, as in RECORD; "" when absent
	Size   int64  // -1 when absent
}

// ParseRecord reads RECORD and sorts it by path. Equal rows are one; rows that disagree about a
// path are refused.
func ParseRecord(b []byte) ([]RecordEntry, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1 // counted below, where the message can say what is legal
	r.ReuseRecord = true
	var entries []RecordEntry
	lines := map[string]int{}
	byPath := map[string]RecordEntry{}
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}

		if err != nil {
			if pe, ok := errors.AsType[*csv.ParseError](err); ok {
				return nil, recordError(pe.Line, pe.Err.Error())
			}

			return nil, recordError(0, err.Error())
		}

		line, _ := r.FieldPos(0)
		e, msg := parseRecordRow(row)
		if msg != "" {
			return nil, recordError(line, msg)
		}

		if first, ok := byPath[e.Path]; ok {
			if first != e {
				return nil, recordError(
					line,
					"path "+strconv.Quote(e.Path)+" differs from line "+strconv.Itoa(lines[e.Path]),
				)
			}

			continue
		}

		byPath[e.Path] = e
		lines[e.Path] = line
		entries = append(entries, e)
	}

	sortRecord(entries)
	return entries, nil
}

func parseRecordRow(row []string) (RecordEntry, string) {
	if len(row) != 3 {
		return RecordEntry{}, "row has " + strconv.Itoa(len(row)) + " fields, want path, hash and size"
	}

	e := RecordEntry{Path: row[0], Size: -1}
	if e.Path == "" {
		return RecordEntry{}, "path is empty"
	}

	if !utf8.ValidString(e.Path) {
		return RecordEntry{}, "path " + strconv.Quote(e.Path) + " is not UTF-8"
	}

	if strings.ContainsFunc(e.Path, unicode.IsControl) {
		return RecordEntry{}, "path " + strconv.Quote(e.Path) + " has a control character"
	}

	if row[1] != "" {
		algorithm, value, _ := strings.Cut(row[1], "=")
		if algorithm != "sha256" {
			return RecordEntry{}, "hash algorithm " + strconv.Quote(
				algorithm,
			) + " of " + strconv.Quote(
				e.Path,
			) + ": unknown; known: sha256"
		}

		if sum, err := base64.RawURLEncoding.Strict().
			DecodeString(value); err != nil || len(sum) != 32 ||
			strings.ContainsAny(value, "\r\n") {
			return RecordEntry{}, "hash " + strconv.Quote(
				value,
			) + " of " + strconv.Quote(
				e.Path,
			) + ": not 32 bytes of unpadded URL-safe base64"
		}

		e.SHA256 = value
	}

	if row[2] != "" {
		n, err := strconv.ParseUint(row[2], 10, 63)
		if err != nil {
			return RecordEntry{}, "size " + strconv.Quote(
				row[2],
			) + " of " + strconv.Quote(
				e.Path,
			) + ": not a number of bytes"
		}

		e.Size = int64(n)
	}

	return e, ""
}

func recordError(line int, msg string) error {
	return &PositionError{File: "RECORD", Line: line, Msg: msg}
}

// FormatRecord writes RECORD sorted by path, lines ending in \n, fields quoted only where needed.
func FormatRecord(entries []RecordEntry) []byte {
	sorted := slices.Clone(entries)
	sortRecord(sorted)
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	for _, e := range sorted {
		row := []string{e.Path, "", ""}
		if e.SHA256 != "" {
			row[1] = "sha256=" + e.SHA256
		}

		if e.Size >= 0 {
			row[2] = strconv.FormatInt(e.Size, 10)
		}

		w.Write(row) // a bytes.Buffer takes every write
	}

	w.Flush()
	return buf.Bytes()
}

// sortRecord breaks ties by content, so that the output does not depend on the order given.
func sortRecord(entries []RecordEntry) {
	slices.SortFunc(entries, func(a, b RecordEntry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.SHA256, b.SHA256), cmp.Compare(a.Size, b.Size))
	})
}
