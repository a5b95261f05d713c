// Package pyc knows what compiled Python looks like from outside: names below __pycache__ (PEP
// 3147), and the 16 bytes at the head of a file (PEP 552): magic number, flags, and either the
// source's time and size or its hash.
//
// In a layer only one kind is of use: hash-based and unchecked (flags 1). Timestamps do not survive
// zips with fixed dates, so Python would find such a file stale and, since /opt is read-only,
// compile the source again on every cold start.
package pyc

import (
	"encoding/binary"
	"fmt"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
)

// HeaderBytes is the length of the head of a .pyc since Python 3.7.
const HeaderBytes = 16

// Magic is the first four bytes of a .pyc for the target: the magic number, then CR LF.
func Magic(t pydist.Target) [4]byte {
	n := t.MagicNumber()
	return [4]byte{byte(n), byte(n >> 8), '\r', '\n'}
}

// CheckHeader says why the target's Python would not load bytecode with this head from a read-only
// layer; nil when it would.
func CheckHeader(head []byte, t pydist.Target) error {
	if len(head) < HeaderBytes {
		return fmt.Errorf("bytecode of %d bytes has no header", len(head))
	}

	if want := Magic(t); [4]byte(head[:4]) != want {
		return fmt.Errorf(
			"bytecode has the magic number %d, %s wants %d",
			binary.LittleEndian.Uint16(head),
			t.Runtime(),
			binary.LittleEndian.Uint16(want[:]),
		)
	}

	switch flags := binary.LittleEndian.Uint32(head[4:]); flags {
	case 1:
		return nil
	case 0:
		return fmt.Errorf("bytecode is checked against its source's time, which a layer does not keep")
	case 3:
		return fmt.Errorf("bytecode is checked against its source's hash at every start")
	default:
		return fmt.Errorf("bytecode has unknown flags %#x", flags)
	}
}

// Source is the source that a .pyc file belongs to: a/__pycache__/b.cpython-313.pyc and a/b.pyc
// both belong to a/b.py.
func Source(file string) (string, bool) {
	stem, ok := strings.CutSuffix(file, ".pyc")
	if !ok {
		if stem, ok = strings.CutSuffix(file, ".pyo"); !ok {
			return "", false
		}
	}

	dir, base := path.Split(stem)
	if d, ok := strings.CutSuffix(dir, "__pycache__/"); ok && (d == "" || strings.HasSuffix(d, "/")) {
		base, _, _ = strings.Cut(base, ".")
		return d + base + ".py", true
	}

	return stem + ".py", true
}

// Cached is where Python looks for the bytecode of a source: below __pycache__, with the
// interpreter's tag.
func Cached(source string, t pydist.Target) string {
	dir, base := path.Split(source)
	return dir + "__pycache__/" + strings.TrimSuffix(base, ".py") + "." + t.CacheTag() + ".pyc"
}

// Legacy is where Python looks for bytecode without a source: in the source's place.
func Legacy(source string) string { return strings.TrimSuffix(source, ".py") + ".pyc" }

// IsFor reports whether the target's Python looks at a file of this name at all.
func IsFor(file string, t pydist.Target) bool {
	source, ok := Source(file)
	return ok && (file == Cached(source, t) || file == Legacy(source))
}
