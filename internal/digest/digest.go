// Package digest holds the one hash value that documents, wheels and artifacts are known by:
// SHA-256, written as 64 lower-case hexadecimal digits. A zero SHA256 is "no digest"; it never
// equals that of any content.
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

// SHA256 is a comparable digest value. Its only constructors are Of, Reader, Canonical, Hasher.Sum
// and Parse.
type SHA256 struct{ sum [sha256.Size]byte }

// Of returns the digest of b.
func Of(b []byte) SHA256 { return SHA256{sha256.Sum256(b)} }

// Reader returns the digest of all that r yields, and its length in bytes.
func Reader(r io.Reader) (SHA256, int64, error) {
	h := NewHasher()
	n, err := io.Copy(h, r)
	return h.Sum(), n, err
}

// Parse reads 64 hexadecimal digits.
func Parse(s string) (SHA256, error) {
	var d SHA256
	if len(s) != hex.EncodedLen(len(d.sum)) {
		return SHA256{}, fmt.Errorf("sha256 %q: %d digits, want %d", clip(s), len(s), hex.EncodedLen(len(d.sum)))
	}

	if _, err := hex.Decode(d.sum[:], []byte(s)); err != nil {
		return SHA256{}, fmt.Errorf("sha256 %q: %w", clip(s), err)
	}

	return d, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}

	return s
}

func (d SHA256) String() string { return hex.EncodeToString(d.sum[:]) }

// Short is the first twelve digits, for people; never compare by it.
func (d SHA256) Short() string { return d.String()[:12] }

// IsZero reports whether there is no digest.
func (d SHA256) IsZero() bool { return d == SHA256{} }

// Record is the form that a wheel's RECORD uses: unpadded URL-safe base64 (PEP 427).
func (d SHA256) Record() string { return base64.RawURLEncoding.EncodeToString(d.sum[:]) }

// MarshalText writes the hexadecimal form.
func (d SHA256) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is Parse, so that JSON and TOML are no way round it.
func (d *SHA256) UnmarshalText(b []byte) (err error) { *d, err = Parse(string(b)); return err }

// Hasher computes a SHA256 of what is written to it.
type Hasher struct{ hash.Hash }

// NewHasher returns an empty Hasher.
func NewHasher() Hasher { return Hasher{sha256.New()} }

// Sum returns the digest of what was written so far. It shadows hash.Hash.Sum on purpose: nobody
// wants raw bytes here.
func (h Hasher) Sum() SHA256 {
	var d SHA256
	h.Hash.Sum(d.sum[:0])
	return d
}

// Canonical is the digest of a value's canonical JSON below a domain, so that two kinds of value
// never collide: JSON with sorted map keys, no HTML escaping and no white space, after the domain
// and a newline.
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
