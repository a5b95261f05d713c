// Package blob names immutable objects: bytes in a store, with the digest that whoever reads them
// checks them against.
//
// References are what travels between the states of the workflow, since Step Functions carries at
// most 256 KiB between two states; what they refer to lies in S3 below keys that contain the
// digest. A version is part of a reference so that a key that was overwritten is noticed.
package blob

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
)

// MaxKeyBytes is the longest key of an S3 object (docs: "Naming Amazon S3 objects").
const MaxKeyBytes = 1024

// Ref is a reference to an immutable object. The zero Ref refers to nothing.
type Ref struct {
	Key       string        `json:"key"`
	VersionID string        `json:"versionId,omitempty"` // "" where the store keeps no versions
	SHA256    digest.SHA256 `json:"sha256"`
	Size      int64         `json:"size"` // bytes
}

// New makes a reference and checks it.
func New(key, versionID string, sum digest.SHA256, size int64) (Ref, error) {
	r := Ref{Key: key, VersionID: versionID, SHA256: sum, Size: size}
	return r, r.check()
}

func (r Ref) check() error {
	switch {
	case r.Key == "" || len(r.Key) > MaxKeyBytes || strings.HasPrefix(r.Key, "/") || strings.ContainsAny(r.Key,
		"\x00\n\r"):
		return fmt.Errorf("reference %q: not a key", r.Key)
	case r.Size < 0:
		return fmt.Errorf("reference %s: %d bytes", r.Key, r.Size)
	case r.SHA256.IsZero():
		return fmt.Errorf("reference %s: no digest", r.Key)
	}

	return nil
}

// IsZero reports whether the reference refers to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

func (r Ref) String() string { return fmt.Sprintf("%s (%s)", r.Key, r.SHA256) }

// UnmarshalJSON reads a reference and makes the checks of New, so that JSON is no way round it.
func (r *Ref) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("reference: null")
	}

	type plain Ref
	var p plain
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // a decoder around this one cannot ask for that
	if err := d.Decode(&p); err != nil {
		return fmt.Errorf("reference: %w", err)
	}

	if err := Ref(p).check(); err != nil {
		return err
	}

	*r = Ref(p)
	return nil
}
