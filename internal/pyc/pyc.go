// Package pyc reads names and headers of Python bytecode files. Names: PEP 3147, below __pycache__.
// Headers: PEP 552, 16 bytes: magic number, flags, and either the source's modification time and
// size or its hash.
//
// In a layer, only unchecked hash-based files (flags 1) are useful. Zips with fixed dates do not
// preserve modification times, so Python would consider a timestamp-based file stale. As /opt is
// read-only, it would then compile the source again on every cold start.
package pyc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
)

// HeaderBytes is the length of a .pyc header since Python 3.7.
const HeaderBytes = 16

// Magic is the first four bytes of a .pyc for the target: the magic number, then CR LF.
func Magic(t pydist.Target) [4]byte {
	n := t.MagicNumber()
	return [4]byte{byte(n), byte(n >> 8), '\r', '\n'}
}

// CheckHeader returns nil if the target's Python loads bytecode with this header from a read-only
// layer without compiling or reading the source, else the reason.
func CheckHeader(head []byte, t pydist.Target) error {
	if len(head) < HeaderBytes {
		return fmt.Errorf("bytecode of %d bytes is shorter than a header", len(head))
	}

	if want := Magic(t); [4]byte(head[:4]) != want {
		got := binary.LittleEndian.Uint16(head)
		return fmt.Errorf("bytecode has the magic number %d, %s needs %d", got, t.Runtime(), t.MagicNumber())
	}

	switch flags := binary.LittleEndian.Uint32(head[4:]); flags {
	case 1: // hash-based and unchecked
		return nil
	case 0:
		return errors.New("bytecode is timestamp-based, but a layer does not preserve the times of sources")
	case 3:
		return errors.New("bytecode is hash-based and checked: the source is read and hashed at every start")
	default:
		return fmt.Errorf("bytecode has unknown flags %#x", flags)
	}
}

// Source returns the source of a .pyc or .pyo file: a/b.py for both a/__pycache__/b.cpython-313.pyc
// and a/b.pyc. ok is false for other files.
func Source(file string) (source string, ok bool) {
	stem, ok := strings.CutSuffix(file, ".pyc")
	if !ok {
		if stem, ok = strings.CutSuffix(file, ".pyo"); !ok {
			return "", false
		}
	}

	dir, base := path.Split(stem)
	if d, ok := strings.CutSuffix(dir, "__pycache__/"); ok && (d == "" || strings.HasSuffix(d, "/")) {
		return d + untagged(base) + ".py", true
	}

	return stem + ".py", true
}

// untagged removes the cache tag and the optimization level (PEP 488) from the stem of a file below
// __pycache__. Both follow the source's name, which may have dots itself. CPython's tag is searched
// for, because pytest appends a version with dots to it.
func untagged(stem string) string {
	if i := strings.LastIndex(stem, ".cpython-"); i >= 0 {
		return stem[:i]
	}

	if i := strings.LastIndex(stem, ".opt-"); i >= 0 {
		stem = stem[:i]
	}

	if i := strings.LastIndexByte(stem, '.'); i >= 0 {
		return stem[:i]
	}

	return stem
}

// Cached is the path of a source's bytecode below __pycache__, with the target's cache tag.
func Cached(source string, t pydist.Target) string {
	dir, base := path.Split(source)
	return dir + "__pycache__/" + strings.TrimSuffix(base, ".py") + "." + t.CacheTag() + ".pyc"
}

// Legacy is the path where Python finds bytecode without its source: next to where the source would
// be.
func Legacy(source string) string { return strings.TrimSuffix(source, ".py") + ".pyc" }

// IsFor reports whether the target's Python would load a bytecode file of this name.
func IsFor(file string, t pydist.Target) bool {
	source, ok := Source(file)
	return ok && (file == Cached(source, t) || file == Legacy(source))
}
