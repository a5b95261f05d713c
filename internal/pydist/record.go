package pydist

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// RecordEntry is one row of RECORD. The row of RECORD itself has neither hash nor size.
type RecordEntry struct {
	Path   string // absolute, or relative to the parent directory of .dist-info
	SHA256 string // URL-safe base64 without padding, as in RECORD; "" when absent
	Size   int64  // -1 when absent
}

// ParseRecord reads RECORD and sorts the entries by path. Identical rows become one entry;
// different rows for the same path are an error. All errors are a *PositionError.
func ParseRecord(b []byte) ([]RecordEntry, error) {
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1 // counted below, with a better message
	r.ReuseRecord = true

	type row struct {
		RecordEntry
		line int
	}

	var entries []RecordEntry
	rows := map[string]row{} // by path

	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}

		if pe, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, recordFault(pe.Line, pe.Err)
		}

		if err != nil {
			return nil, recordFault(0, err)
		}

		line, _ := r.FieldPos(0)

		e, err := parseRecordRow(fields)
		if err != nil {
			return nil, recordFault(line, err)
		}

		first, ok := rows[e.Path]
		if ok && first.RecordEntry != e {
			return nil, recordFault(line, fmt.Errorf("path %q: hash or size differs from line %d", e.Path, first.line))
		}

		if ok {
			continue
		}

		rows[e.Path] = row{e, line}
		entries = append(entries, e)
	}

	sortRecord(entries)
	return entries, nil
}

func parseRecordRow(fields []string) (RecordEntry, error) {
	if len(fields) != 3 {
		return RecordEntry{}, fmt.Errorf("row has %d fields, expected path, hash and size", len(fields))
	}

	e := RecordEntry{Path: fields[0], Size: -1}

	switch {
	case e.Path == "":
		return RecordEntry{}, errors.New("path is empty")
	case !utf8.ValidString(e.Path):
		return RecordEntry{}, fmt.Errorf("path %q is not UTF-8", e.Path)
	case strings.ContainsFunc(e.Path, unicode.IsControl):
		return RecordEntry{}, fmt.Errorf("path %q has a control character", e.Path)
	}

	if hash := fields[1]; hash != "" {
		algorithm, value, _ := strings.Cut(hash, "=")
		if algorithm != "sha256" {
			return RecordEntry{}, fmt.Errorf("hash algorithm %q of %q: unknown; known: sha256", algorithm, e.Path)
		}

		if !isRecordSHA256(value) {
			return RecordEntry{}, fmt.Errorf("hash %q of %q: not 32 bytes of unpadded URL-safe base64", value, e.Path)
		}

		e.SHA256 = value
	}

	if size := fields[2]; size != "" {
		n, err := strconv.ParseUint(size, 10, 63)
		if err != nil {
			return RecordEntry{}, fmt.Errorf("size %q of %q: not a number of bytes", size, e.Path)
		}

		e.Size = int64(n)
	}

	return e, nil
}

// isRecordSHA256 reports whether s is the one spelling of a SHA-256 sum in RECORD. base64 skips
// line breaks, also in strict mode.
func isRecordSHA256(s string) bool {
	sum, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(sum) == sha256.Size && !strings.ContainsAny(s, "\r\n")
}

func recordFault(line int, err error) error {
	return &PositionError{File: "RECORD", Line: line, Msg: err.Error()}
}

// FormatRecord writes RECORD: sorted by path, LF line endings, fields quoted only where needed.
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

		w.Write(row) // a bytes.Buffer returns no errors
	}

	w.Flush()
	return buf.Bytes()
}

// sortRecord sorts by path, then by content, so that the result does not depend on the input order.
func sortRecord(entries []RecordEntry) {
	slices.SortFunc(entries, func(a, b RecordEntry) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.SHA256, b.SHA256), cmp.Compare(a.Size, b.Size))
	})
}
