package prune

import (
	"bytes"
	"context"
	"encoding/gob"
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

// NewBinaries reads the first bytes of every entry but texts. A damaged entry is none: it is
// refused where it is used. The only error is that of the context. Names are relative to the site
// folder.
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

		if program, is := identify(e, head); is {
			b.Files = append(b.Files, Binary{Path: e.Name, Program: program})
		}
	}

	sort.Slice(b.Files, func(i, j int) bool { return b.Files[i].Path < b.Files[j].Path })
	return b, nil
}

// identify reads as little of the entry as it needs. The buffer holds a long head.
func identify(e ziptree.Entry, buffer []byte) (p sharedobj.Program, is bool) {
	if e.Size < sharedobj.HeadBytes {
		return p, false // no format has a header that short
	}

	r, err := e.Open()
	if err != nil {
		return p, false
	}
	defer r.Close()

	head := buffer[:sharedobj.HeadBytes]
	if _, err := io.ReadFull(r, head); err != nil {
		return p, false
	}

	if sharedobj.MoreThanHead(head) {
		n, _ := io.ReadFull(r, buffer[sharedobj.HeadBytes:]) // fewer, if the file has fewer
		head = buffer[:sharedobj.HeadBytes+n]
	}

	return sharedobj.Identify(head)
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
