// Package loaded compares what a process loads of a layer before and after pruning. It shares no
// code with what it checks: it reads ELF with debug/elf, models with encoding/json, and bytecode
// with the target's interpreter.
//
//   - A changed shared object: every PT_LOAD has the same address, sizes, permissions and
//     alignment,
//     and maps the same bytes. Only offsets and counts of the file format may differ: e_phoff,
//     e_shoff, e_shnum, e_shstrndx and each p_offset.
//   - A changed model of botocore: it equals the original without the strings "documentation".
//     Those below clientContextParams stay.
//   - All bytecode: it is unchecked and hash-based, it has the hash of its source, and its code
//     equals what the source compiles to (PEP 552).
//   - RECORD may change. No other file may change or be new.
package loaded

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/ziptree"
)

//go:embed code.py
var codeScript string

// maxFileBytes is Lambda's limit of a whole function with its layers.
const maxFileBytes = 250 << 20

// Check returns the files of which a process loads something else after than before, with one
// sentence each, sorted. It runs python, the target's interpreter, once. An error means that the
// comparison failed.
func Check(ctx context.Context, before, after ziptree.Tree, python string) ([]string, error) {
	var found []string
	var bytecode []pair
	for _, e := range after.Entries() {
		was, known := before.Lookup(e.Name)
		source, isBytecode := pyc.Source(e.Name)
		switch {
		case isBytecode:
			// The source may have been removed: sourceless bytecode replaces it.
			if s, ok := before.Lookup(source); ok {
				bytecode = append(bytecode, pair{s, e})
			} else if !known || !same(was, e) {
				found = append(found, e.Name+": there is no source that it could be compiled from")
			}
		case !known:
			found = append(found, e.Name+": it is new")
		case same(was, e), strings.HasSuffix(e.Name, ".dist-info/RECORD"):
		default:
			difference, err := compare(was, e)
			if err != nil {
				return nil, err
			}

			if difference != nil {
				found = append(found, e.Name+": "+difference.Error())
			}
		}
	}

	other, err := sameCode(ctx, python, bytecode)
	if err != nil {
		return nil, err
	}

	found = append(found, other...)
	sort.Strings(found)

	return found, nil
}

// compare compares a changed shared object or model. err is that of reading.
func compare(before, after ziptree.Entry) (difference, err error) {
	a, err := before.Bytes(maxFileBytes)
	if err != nil {
		return nil, err
	}

	b, err := after.Bytes(maxFileBytes)
	if err != nil {
		return nil, err
	}

	switch {
	case bytes.HasPrefix(a, []byte(elf.ELFMAG)):
		return sameSegments(a, b), nil
	case strings.HasSuffix(after.Name, ".json"), strings.HasSuffix(after.Name, ".json.gz"):
		return sameModel(after.Name, a, b), nil
	}

	return errors.New("it was changed, and is neither a shared object nor a model"), nil
}

// pair is a source and its bytecode.
type pair struct{ source, bytecode ziptree.Entry }

func same(a, b ziptree.Entry) bool { return a.CRC32 == b.CRC32 && a.Size == b.Size }

// sameSegments compares what two ELF files map.
func sameSegments(before, after []byte) error {
	a, err := elf.NewFile(bytes.NewReader(before))
	if err != nil {
		return err
	}

	b, err := elf.NewFile(bytes.NewReader(after))
	if err != nil {
		return err
	}

	if a.FileHeader != b.FileHeader {
		return errors.New("ELF headers differ")
	}

	if len(a.Progs) != len(b.Progs) {
		return fmt.Errorf("%d program headers, were %d", len(b.Progs), len(a.Progs))
	}

	for i := range a.Progs {
		x := a.Progs[i].ProgHeader
		y := b.Progs[i].ProgHeader
		x.Off = 0
		y.Off = 0
		if x != y {
			return fmt.Errorf("program header %d differs: %+v, was %+v", i, y, x)
		}

		if x.Type != elf.PT_LOAD {
			continue
		}

		if x.Align > 1 && (x.Vaddr-b.Progs[i].Off)%x.Align != 0 {
			return fmt.Errorf("segment %d: offset %#x does not fit address %#x and alignment %#x",
				i, b.Progs[i].Off, x.Vaddr, x.Align)
		}

		p, err := mapped(before, a.Progs[i].ProgHeader, len(a.Progs))
		if err != nil {
			return fmt.Errorf("segment %d before: %w", i, err)
		}

		q, err := mapped(after, b.Progs[i].ProgHeader, len(b.Progs))
		if err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}

		if at := firstDifference(p, q); at >= 0 {
			return fmt.Errorf("segment %d maps other bytes from %#x on", i, x.Vaddr+uint64(at))
		}
	}

	return nil
}

// mapped are the bytes that a segment maps, with zeros for the fields that may differ (see the
// package). Positions of fields are those of ELF64, the only class that Lambda runs.
func mapped(file []byte, p elf.ProgHeader, segments int) ([]byte, error) {
	if p.Off > uint64(len(file)) || p.Filesz > uint64(len(file))-p.Off {
		return nil, fmt.Errorf("%#x bytes at %#x, the file has %#x", p.Filesz, p.Off, len(file))
	}

	table := binary.LittleEndian.Uint64(file[32:])
	fields := [][2]uint64{{32, 48}, {60, 64}} // e_phoff, e_shoff; e_shnum, e_shstrndx
	for i := range segments {
		at := table + uint64(i)*56 + 8 // p_offset
		fields = append(fields, [2]uint64{at, at + 8})
	}

	out := bytes.Clone(file[p.Off : p.Off+p.Filesz])
	for _, f := range fields {
		if from, to := max(f[0], p.Off), min(f[1], p.Off+p.Filesz); from < to {
			clear(out[from-p.Off : to-p.Off])
		}
	}

	return out, nil
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}

	if len(a) != len(b) {
		return min(len(a), len(b))
	}

	return -1
}

// sameModel compares two service models, the original without its documentation.
func sameModel(name string, before, after []byte) error {
	var a, b any
	for _, side := range []struct {
		in  []byte
		out *any
	}{{before, &a}, {after, &b}} {
		if err := decode(name, side.in, side.out); err != nil {
			return err
		}
	}

	if !reflect.DeepEqual(undocumented(a), b) {
		return errors.New("differs from the original by more than its documentation")
	}

	return nil
}

func decode(name string, in []byte, out *any) error {
	var r io.Reader = bytes.NewReader(in)
	if strings.HasSuffix(name, ".gz") {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}

		r = io.LimitReader(z, maxFileBytes)
	}

	d := json.NewDecoder(r)
	d.UseNumber()
	return d.Decode(out)
}

func undocumented(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if _, text := value.(string); text && key == "documentation" {
				delete(v, key)
			} else if key != "clientContextParams" {
				v[key] = undocumented(value)
			}
		}
	case []any:
		for i := range v {
			v[i] = undocumented(v[i])
		}
	}

	return v
}

// sameCode compares all bytecode in one process of the interpreter (code.py).
func sameCode(ctx context.Context, python string, all []pair) ([]string, error) {
	if len(all) == 0 {
		return nil, nil
	}

	cmd := exec.CommandContext(ctx, python, "-I", "-S", "-c", codeScript)
	var out, diagnostics bytes.Buffer
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}

	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("compare bytecode: %w", err)
	}

	err = send(in, all)
	err = errors.Join(err, in.Close(), cmd.Wait())
	if err != nil {
		return nil, fmt.Errorf("compare bytecode with %s: %w: %s", python, err, diagnostics.String())
	}

	var answer struct {
		Compared int      `json:"compared"`
		Found    []string `json:"found"`
	}
	if err := json.Unmarshal(out.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("compare bytecode with %s: %w", python, err)
	}

	if answer.Compared != len(all) {
		return nil, fmt.Errorf("compare bytecode with %s: %d files compared, want %d",
			python, answer.Compared, len(all))
	}

	return answer.Found, nil
}

func send(to io.Writer, all []pair) error {
	w := bufio.NewWriterSize(to, 1<<16)
	for _, p := range all {
		source, err := p.source.Bytes(maxFileBytes)
		if err != nil {
			return err
		}

		code, err := p.bytecode.Bytes(maxFileBytes)
		if err != nil {
			return err
		}

		for _, field := range [][]byte{[]byte(p.bytecode.Name), source, code} {
			if err := binary.Write(w, binary.LittleEndian, uint32(len(field))); err != nil {
				return err
			}

			if _, err := w.Write(field); err != nil {
				return err
			}
		}
	}

	return w.Flush()
}
