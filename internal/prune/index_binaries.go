package prune

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"path"
	"sort"

	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// BinariesVersion belongs to the key of cached Binaries.
const BinariesVersion = "binaries-1"

// Binaries are the programs and libraries of one wheel, or of one prebuilt layer, as their first
// bytes tell. Names of programs tell nothing. Only those of sources and texts are believed, which
// are most files of large wheels.
type Binaries struct {
	Files []Binary // sorted by Path
}

// Binary is one of them.
type Binary struct {
	Path string // relative to the site folder
	sharedobj.Program
}

// texts are extensions of files that nobody loads or executes as a program.
var texts = map[string]bool{
	".py": true, ".pyi": true, ".pyx": true, ".pxd": true, ".h": true, ".hpp": true, ".cuh": true, ".js": true,
	".ts": true, ".map": true, ".json": true, ".html": true, ".css": true, ".md": true, ".rst": true, ".txt": true,
}

// NewBinaries reads the first bytes of every entry but texts. Names are relative to the site folder.
func NewBinaries(ctx context.Context, entries []ziptree.Entry) (Binaries, error) {
	var b Binaries
	head := make([]byte, sharedobj.LongHeadBytes)
	for _, e := range entries {
		if texts[path.Ext(e.Name)] {
			continue
		}

		if err := ctx.Err(); err != nil {
			return Binaries{}, err
		}

		program, is, err := identify(e, head)
		if err != nil {
			return Binaries{}, fmt.Errorf("index programs: %w", err)
		}

		if is {
			b.Files = append(b.Files, Binary{Path: e.Name, Program: program})
		}
	}

	sort.Slice(b.Files, func(i, j int) bool { return b.Files[i].Path < b.Files[j].Path })
	return b, nil
}

// identify reads as little of the entry as it needs. The buffer holds a long head.
func identify(e ziptree.Entry, buffer []byte) (p sharedobj.Program, is bool, err error) {
	if e.Size < sharedobj.HeadBytes {
		return p, false, nil // no format has a header that short
	}

	r, err := e.Open()
	if err != nil {
		return p, false, err
	}
	defer r.Close()

	head := buffer[:sharedobj.HeadBytes]
	if _, err := io.ReadFull(r, head); err != nil {
		return p, false, err
	}

	if sharedobj.MoreThanHead(head) {
		n, err := io.ReadFull(r, buffer[sharedobj.HeadBytes:])
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return p, false, err
		}

		head = buffer[:sharedobj.HeadBytes+n]
	}

	p, is = sharedobj.Identify(head)
	return p, is, nil
}

// Encode returns the cached form (gob).
func (b Binaries) Encode() ([]byte, error) { return encode(b) }

// DecodeBinaries reads the cached form.
func DecodeBinaries(b []byte) (x Binaries, err error) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&x); err != nil {
		return Binaries{}, fmt.Errorf("read index of programs: %w", err)
	}

	return x, nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	err := gob.NewEncoder(&b).Encode(v)
	return b.Bytes(), err
}
