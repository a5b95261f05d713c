// Package digest holds the hash that identifies documents, wheels and artifacts: SHA-256, written
// as 64 lower-case hexadecimal digits. The zero SHA256 means "no digest".
package digest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
)

// SHA256 is a comparable digest. Of, Reader, Canonical, Hasher.Sum and Parse make one.
type SHA256 struct{ sum [sha256.Size]byte }

// Of returns the digest of b.
func Of(b []byte) SHA256 { return SHA256{sha256.Sum256(b)} }

// Reader reads r to its end and returns the digest and the length in bytes.
func Reader(r io.Reader) (SHA256, int64, error) {
	h := NewHasher()
	n, err := io.Copy(h, r)
	return h.Sum(), n, err
}

// Parse accepts 64 hexadecimal digits in upper or lower case.
func Parse(s string) (SHA256, error) {
	var d SHA256
	if want := hex.EncodedLen(len(d.sum)); len(s) != want {
		return SHA256{}, fmt.Errorf("sha256 %q: %d digits, want %d", clip(s), len(s), want)
	}

	if _, err := hex.Decode(d.sum[:], []byte(s)); err != nil {
		return SHA256{}, fmt.Errorf("sha256 %q: %w", clip(s), err)
	}

	return d, nil
}

// clip shortens a text for a message.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}

	return s
}

func (d SHA256) String() string { return hex.EncodeToString(d.sum[:]) }

// Short is the first twelve digits. Use it for display only, never to compare.
func (d SHA256) Short() string { return d.String()[:12] }

// IsZero reports whether d is the zero value, "no digest".
func (d SHA256) IsZero() bool { return d == SHA256{} }

// Record is the form in a wheel's RECORD: unpadded URL-safe base64 (PEP 427).
func (d SHA256) Record() string { return base64.RawURLEncoding.EncodeToString(d.sum[:]) }

// MarshalText writes the hexadecimal form.
func (d SHA256) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is Parse, so that digests in JSON and TOML are validated.
func (d *SHA256) UnmarshalText(b []byte) (err error) {
	*d, err = Parse(string(b))
	return err
}

// Hasher computes a SHA256 of what is written to it.
type Hasher struct{ hash.Hash }

// NewHasher returns an empty Hasher.
func NewHasher() Hasher { return Hasher{sha256.New()} }

// Sum returns the digest of what was written so far. It replaces hash.Hash.Sum, which returns raw
// bytes.
func (h Hasher) Sum() SHA256 {
	var d SHA256
	h.Hash.Sum(d.sum[:0])
	return d
}

// Canonical returns the digest of domain, a newline and v as JSON with sorted map keys, without
// HTML escaping and insignificant white space, ending in a newline. The domain separates kinds of
// values, so that equal JSON of two kinds has different digests.
func Canonical(domain string, v any) (SHA256, error) {
	var buf bytes.Buffer
	buf.WriteString(domain)
	buf.WriteByte('\n')
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return SHA256{}, fmt.Errorf("hash %s: %w", domain, err)
	}

	return Of(buf.Bytes()), nil
}
