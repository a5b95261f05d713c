// Package blob refers to immutable objects in a store by key and digest. A reader checks the bytes
// against the digest.
//
// The states of the workflow pass references to each other, because Step Functions limits the data
// between two states to 256 KiB. The objects are in S3, under keys that contain the digest. The
// reference has the object's version, so that an overwritten key is detected.
package blob

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
)

// maxKeyBytes is the longest key of an S3 object (S3 User Guide, "Naming Amazon S3 objects").
const maxKeyBytes = 1024

// Ref is a reference to an immutable object. The zero Ref refers to nothing.
type Ref struct {
	Key       string        `json:"key"`
	VersionID string        `json:"versionId,omitempty"` // "" if the store has no versions
	SHA256    digest.SHA256 `json:"sha256"`
	Size      int64         `json:"size"` // bytes
}

// New returns a valid reference, or an error.
func New(key, versionID string, sum digest.SHA256, size int64) (Ref, error) {
	r := Ref{Key: key, VersionID: versionID, SHA256: sum, Size: size}
	return r, r.check()
}

func (r Ref) check() error {
	switch {
	case !isKey(r.Key):
		return fmt.Errorf("reference %q: not a key", r.Key)
	case r.Size < 0:
		return fmt.Errorf("reference %s: %d bytes", r.Key, r.Size)
	case r.SHA256.IsZero():
		return fmt.Errorf("reference %s: no digest", r.Key)
	}

	return nil
}

// isKey reports whether s is a valid key. Line breaks, NUL and a leading slash are refused,
// although S3 accepts them.
func isKey(s string) bool {
	return s != "" && len(s) <= maxKeyBytes && !strings.HasPrefix(s, "/") && !strings.ContainsAny(s, "\x00\n\r")
}

// IsZero reports whether the reference refers to nothing.
func (r Ref) IsZero() bool { return r == Ref{} }

func (r Ref) String() string { return fmt.Sprintf("%s (%s)", r.Key, r.SHA256) }

// UnmarshalJSON makes the same checks as New and refuses unknown fields and null.
func (r *Ref) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return errors.New("reference: null")
	}

	type plain Ref
	var p plain
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // the setting of the outer decoder is not passed on
	if err := d.Decode(&p); err != nil {
		return fmt.Errorf("reference: %w", err)
	}

	if err := Ref(p).check(); err != nil {
		return err
	}

	*r = Ref(p)
	return nil
}
