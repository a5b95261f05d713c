// Package wheel turns wheels into what an installer would make of them, and finds the distributions
// of an installed tree.
//
// The rules are those of the binary distribution format (PEP 427, packaging.python.org) for an
// installation into one folder that is put on sys.path, as `pip install --target` does it: purelib
// and platlib are that folder, .data/purelib and .data/platlib unpack into it, .data/scripts go to
// bin/, .data/headers to include/, .data/data to the folder itself. Wrapper scripts of entry points
// are not made: Lambda calls handlers, and importlib.metadata reads entry_points.txt, which stays.
package wheel

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// maxMetaBytes bounds files of dist-info that are read whole. RECORDs of large wheels reach 2 MB.
const maxMetaBytes = 32 << 20

// Distribution is one installed distribution.
type Distribution struct {
	Name     pydist.Name
	Version  pydist.Version
	DistInfo string            // its folder, relative to the site folder
	Files    []string          // relative to the site folder; "" when its RECORD is missing
	Record   map[string]string // what its RECORD says of them: sha256, unpadded URL-safe base64
	Wheel    string            // hex digest of the wheel; "" when it came from elsewhere
	Metadata pydist.Metadata
	Entry    []pydist.EntryPoint
}

// Wheel is an opened wheel, laid out as it will be installed.
type Wheel struct {
	Distribution
	Tree ziptree.Tree // names are relative to the site folder
}

// interpreter is where Lambda's managed runtimes have theirs: the "#!python" of scripts becomes it.
const interpreter = "#!/var/lang/bin/python3"

// Open reads a wheel. name is its file name, sha256 its digest in hex.
func Open(t ziptree.Tree, name pydist.WheelName, sha256 string) (Wheel, error) {
	w := Wheel{
		Distribution: Distribution{
			Name:    name.Distribution(),
			Version: name.Version(),
			Wheel:   sha256,
			Record:  map[string]string{},
		},
	}
	for _, e := range t.Entries() {
		dir, _, inside := strings.Cut(e.Name, "/")
		if inside && strings.HasSuffix(dir, ".dist-info") && dir != w.DistInfo {
			if w.DistInfo != "" {
				return Wheel{}, fmt.Errorf("open wheel %s: two .dist-info folders: %s and %s", name, w.DistInfo, dir)
			}

			w.DistInfo = dir
		}
	}

	if _, ok := t.Lookup(w.DistInfo + "/WHEEL"); !ok {
		return Wheel{}, fmt.Errorf("open wheel %s: no .dist-info/WHEEL in it", name)
	}

	if err := checkVersion(t, w.DistInfo); err != nil {
		return Wheel{}, fmt.Errorf("open wheel %s: %w", name, err)
	}

	if err := w.readMeta(t); err != nil {
		return Wheel{}, fmt.Errorf("open wheel %s: %w", name, err)
	}

	if w.Metadata.Name != w.Name {
		return Wheel{}, fmt.Errorf("open wheel %s: its METADATA is that of %s", name, w.Metadata.Name)
	}

	data := strings.TrimSuffix(w.DistInfo, ".dist-info") + ".data/"
	entries := make([]ziptree.Entry, 0, t.Len())
	moved := map[string]string{}
	for _, e := range t.Entries() {
		e.Origin = name.String()
		if rest, ok := strings.CutPrefix(e.Name, data); ok {
			scheme, file, _ := strings.Cut(rest, "/")
			from := e.Name
			switch scheme {
			case "purelib", "platlib", "data":
				e.Name = file
			case "scripts":
				var err error
				if e, err = script(e, file); err != nil {
					return Wheel{}, fmt.Errorf("open wheel %s: %w", name, err)
				}
			case "headers":
				e.Name = "include/" + w.Name.String() + "/" + file
			default:
				return Wheel{}, fmt.Errorf("open wheel %s: unknown installation scheme %q in %s", name, scheme, e.Name)
			}

			if err := ziptree.CheckName(e.Name); err != nil || file == "" {
				return Wheel{}, fmt.Errorf("open wheel %s: %s is not a file of an installation scheme", name, from)
			}

			moved[from] = e.Name
		}

		entries = append(entries, e)
		w.Files = append(w.Files, e.Name)
	}

	if len(moved) > 0 {
		entries = w.relocate(entries, moved, name.String())
	}

	var err error
	if w.Tree, err = ziptree.New(entries); err != nil {
		return Wheel{}, fmt.Errorf("open wheel %s: %w", name, err)
	}

	return w, nil
}

// relocate makes RECORD say where files went, as an installer does. A script may have got another
// first line, so its hash is left out.
func (w *Wheel) relocate(entries []ziptree.Entry, moved map[string]string, origin string) []ziptree.Entry {
	var record []pydist.RecordEntry
	for from, to := range moved {
		if sum, ok := w.Record[from]; ok {
			if strings.HasPrefix(to, "bin/") {
				sum = ""
			}

			delete(w.Record, from)
			w.Record[to] = sum
		}
	}

	for _, e := range entries {
		if sum, ok := w.Record[e.Name]; ok {
			r := pydist.RecordEntry{Path: e.Name, SHA256: sum, Size: -1}
			if sum != "" {
				r.Size = e.Size
			}

			record = append(record, r)
		}
	}

	for i, e := range entries {
		if e.Name == w.DistInfo+"/RECORD" {
			entries[i] = ziptree.File(e.Name, pydist.FormatRecord(record), false, origin)
		}
	}

	return entries
}

func script(e ziptree.Entry, file string) (ziptree.Entry, error) {
	const shebang = "#!python"
	r, err := e.Open() // it may be a program of any size: only its first bytes tell
	if err != nil {
		return ziptree.Entry{}, err
	}

	head := make([]byte, len(shebang))
	_, err = io.ReadFull(r, head)
	r.Close()
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return ziptree.Entry{}, err
	}

	moved := e.Named("bin/" + file)
	moved.Exec = true
	if string(head) != shebang {
		return moved, nil
	}

	b, err := e.Bytes(maxMetaBytes)
	if err != nil {
		return ziptree.Entry{}, err
	}

	if _, rest, ok := bytes.Cut(b, []byte("\n")); ok {
		return ziptree.File(moved.Name, append([]byte(interpreter+"\n"), rest...), true, e.Origin), nil
	}

	return moved, nil
}

func checkVersion(t ziptree.Tree, distInfo string) error {
	b, err := read(t, distInfo+"/WHEEL")
	if err != nil {
		return err
	}

	for _, line := range strings.Split(string(b), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(strings.TrimSpace(key), "Wheel-Version") {
			if major, _, _ := strings.Cut(strings.TrimSpace(value), "."); major != "1" {
				return fmt.Errorf("its Wheel-Version is %s; known: 1.x", strings.TrimSpace(value))
			}

			return nil
		}
	}

	return fmt.Errorf("its WHEEL has no Wheel-Version")
}

func (d *Distribution) readMeta(t ziptree.Tree) error {
	b, err := read(t, d.DistInfo+"/METADATA")
	if err != nil {
		return err
	}

	if d.Metadata, err = pydist.ParseMetadata(bytes.NewReader(b)); err != nil {
		return err
	}

	if b, err = read(t, d.DistInfo+"/RECORD"); err != nil {
		return err
	}

	record, err := pydist.ParseRecord(b)
	if err != nil {
		return err
	}

	for _, r := range record {
		d.Record[r.Path] = r.SHA256
	}

	return d.readEntryPoints(t, d.DistInfo)
}

func (d *Distribution) readEntryPoints(t ziptree.Tree, dir string) error {
	e, ok := t.Lookup(dir + "/entry_points.txt")
	if !ok {
		return nil
	}

	b, err := e.Bytes(maxMetaBytes)
	if err != nil {
		return err
	}

	if d.Entry, err = pydist.ParseEntryPoints(b); err != nil {
		return fmt.Errorf("read %s: %w", e.Name, err)
	}

	return nil
}

func read(t ziptree.Tree, name string) ([]byte, error) {
	e, ok := t.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("no %s in it", name)
	}

	return e.Bytes(maxMetaBytes)
}

// Installed finds the distributions of a tree by their .dist-info folders below prefix. Files are
// those that RECORD lists and the tree has, if only as bytecode. A distribution without RECORD owns
// its .dist-info, and the modules that its top_level.txt names, or else the one that is called as
// it is: tools that make layers smaller often remove RECORD, and what nobody owns no rule's
// exception knows and no probe asks for.
func Installed(t ziptree.Tree, prefix string) ([]Distribution, error) {
	var found []Distribution
	var unrecorded []int
	for _, e := range t.Entries() {
		site, ok := strings.CutPrefix(e.Name, prefix)
		if !ok {
			continue
		}

		dir, file, _ := strings.Cut(site, "/")
		if file != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}

		b, err := e.Bytes(maxMetaBytes)
		if err != nil {
			return nil, err
		}

		d := Distribution{DistInfo: dir, Record: map[string]string{}}
		if d.Metadata, err = pydist.ParseMetadata(bytes.NewReader(b)); err != nil {
			return nil, fmt.Errorf("read %s: %w", e.Name, err)
		}

		d.Name = d.Metadata.Name
		d.Version = d.Metadata.Version
		if r, ok := t.Lookup(prefix + dir + "/RECORD"); ok {
			if b, err = r.Bytes(maxMetaBytes); err != nil {
				return nil, err
			}

			record, err := pydist.ParseRecord(b)
			if err != nil {
				return nil, fmt.Errorf("read %s: %w", r.Name, err)
			}

			for _, x := range record {
				d.Record[x.Path] = x.SHA256
				if _, ok := t.Lookup(prefix + x.Path); ok {
					d.Files = append(d.Files, x.Path)
				} else if _, ok := t.Lookup(prefix + x.Path + "c"); ok && strings.HasSuffix(x.Path, ".py") {
					d.Files = append(d.Files, x.Path+"c") // bytecode took the source's place
				}
			}
		} else {
			unrecorded = append(unrecorded, len(found))
		}

		if err := d.readEntryPoints(t, prefix+dir); err != nil {
			return nil, err
		}

		found = append(found, d)
	}

	return found, guess(t, prefix, found, unrecorded)
}

// guess says what the distributions without RECORD own, of the files that no RECORD lists.
func guess(t ziptree.Tree, prefix string, found []Distribution, unrecorded []int) error {
	if len(unrecorded) == 0 {
		return nil
	}

	listed := map[string]bool{}
	for _, d := range found {
		for _, f := range d.Files {
			listed[f] = true
		}
	}

	owners := map[string]*Distribution{} // of what lies directly in the site folder
	for _, i := range unrecorded {
		d := &found[i]
		owners[d.DistInfo] = d
		names := []string{strings.ReplaceAll(d.Name.String(), "-", "_")}
		if e, ok := t.Lookup(prefix + d.DistInfo + "/top_level.txt"); ok {
			b, err := e.Bytes(maxMetaBytes)
			if err != nil {
				return err
			}

			names = strings.Fields(string(b))
		}

		for _, n := range names {
			owners[n] = d
		}
	}

	for _, e := range t.Entries() {
		site, ok := strings.CutPrefix(e.Name, prefix)
		if !ok || listed[site] {
			continue
		}

		top, _, inFolder := strings.Cut(site, "/")
		if !inFolder {
			top, _, _ = strings.Cut(top, ".") // module.py, module.cpython-313-x86_64-linux-gnu.so
		}

		if d := owners[top]; d != nil {
			d.Files = append(d.Files, site)
		}
	}

	return nil
}
