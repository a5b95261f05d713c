// Package wheel lays out wheels as an installer would, and finds the installed distributions of a
// tree.
//
// The rules are those of the binary distribution format (PEP 427, packaging.python.org) for an
// installation into one folder on sys.path, the site folder, like `pip install --target`: purelib
// and platlib are that folder, .data/purelib and .data/platlib unpack into it, .data/scripts to
// bin/, .data/headers to include/, .data/data into the folder itself. No wrapper scripts are made
// for entry points: Lambda calls handlers, and importlib.metadata reads entry_points.txt, which is
// kept.
package wheel

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// maxMetaBytes bounds files of .dist-info that are read whole. The RECORD of a large wheel has up
// to 2 MB.
const maxMetaBytes = 32 << 20

// Distribution is one installed distribution.
type Distribution struct {
	Name     pydist.Name
	Version  pydist.Version
	DistInfo string            // the .dist-info folder, relative to the site folder
	Files    []string          // relative to the site folder
	Record   map[string]string // path to sha256 as in RECORD: unpadded URL-safe base64, "" without one
	Wheel    string            // sha256 of the wheel in hex; "" for a distribution found by Installed
	Metadata pydist.Metadata
	Entry    []pydist.EntryPoint
}

// Wheel is an opened wheel, laid out as it will be installed.
type Wheel struct {
	Distribution
	Tree ziptree.Tree // names are relative to the site folder
}

// interpreterLine replaces the line "#!python" of scripts. It has the path of the interpreter in
// Lambda's managed runtimes.
const interpreterLine = "#!/var/lang/bin/python3\n"

// Open lays out a wheel. name is its file name, sha256 its digest in hex.
func Open(t ziptree.Tree, name pydist.WheelName, sha256 string) (Wheel, error) {
	w := Wheel{
		Distribution: Distribution{
			Name:    name.Distribution(),
			Version: name.Version(),
			Wheel:   sha256,
			Record:  map[string]string{},
		},
	}

	if err := w.open(t, name.String()); err != nil {
		return Wheel{}, fmt.Errorf("open wheel %s: %w", name, err)
	}

	return w, nil
}

func (w *Wheel) open(t ziptree.Tree, origin string) (err error) {
	if w.DistInfo, err = findDistInfo(t); err != nil {
		return err
	}

	if err := checkVersion(t, w.DistInfo); err != nil {
		return err
	}

	if err := w.readMeta(t); err != nil {
		return err
	}

	if w.Metadata.Name != w.Name {
		return fmt.Errorf("METADATA has the name %s", w.Metadata.Name)
	}

	entries, err := w.layOut(t, origin)
	if err != nil {
		return err
	}

	w.Tree, err = ziptree.New(entries)
	return err
}

// findDistInfo returns the only top-level .dist-info folder.
func findDistInfo(t ziptree.Tree) (found string, err error) {
	for _, e := range t.Entries() {
		dir, _, inside := strings.Cut(e.Name, "/")
		if !inside || !strings.HasSuffix(dir, ".dist-info") || dir == found {
			continue
		}

		if found != "" {
			return "", fmt.Errorf("two .dist-info folders: %s and %s", found, dir)
		}

		found = dir
	}

	if _, ok := t.Lookup(found + "/WHEEL"); !ok {
		return "", errors.New(".dist-info/WHEEL is missing")
	}

	return found, nil
}

// layOut moves the files of .data to their installation paths. It sets Files and rewrites RECORD if
// files were moved.
func (w *Wheel) layOut(t ziptree.Tree, origin string) ([]ziptree.Entry, error) {
	data := strings.TrimSuffix(w.DistInfo, ".dist-info") + ".data/"
	entries := make([]ziptree.Entry, 0, t.Len())
	moved := map[string]string{}

	for _, e := range t.Entries() {
		e.Origin = origin

		if rest, ok := strings.CutPrefix(e.Name, data); ok {
			to, err := w.installed(e, rest)
			if err != nil {
				return nil, err
			}

			moved[e.Name] = to.Name
			e = to
		}

		entries = append(entries, e)
		w.Files = append(w.Files, e.Name)
	}

	if len(moved) > 0 {
		entries = w.relocate(entries, moved, origin)
	}

	return entries, nil
}

// installed returns a file of .data as it is installed. rest is its path below .data: an
// installation scheme and a path.
func (w *Wheel) installed(e ziptree.Entry, rest string) (ziptree.Entry, error) {
	scheme, file, _ := strings.Cut(rest, "/")
	from := e.Name

	switch scheme {
	case "purelib", "platlib", "data":
		e.Name = file
	case "scripts":
		var err error
		if e, err = script(e, file); err != nil {
			return ziptree.Entry{}, err
		}
	case "headers":
		e.Name = "include/" + w.Name.String() + "/" + file
	default:
		return ziptree.Entry{}, fmt.Errorf("unknown installation scheme %q in %s", scheme, from)
	}

	if err := ziptree.CheckName(e.Name); err != nil || file == "" {
		return ziptree.Entry{}, fmt.Errorf("%s is not a valid path of an installation scheme", from)
	}

	return e, nil
}

// relocate rewrites the paths in RECORD after files were moved, as an installer does. The first
// line of a script may have changed, so scripts get no hash.
func (w *Wheel) relocate(entries []ziptree.Entry, moved map[string]string, origin string) []ziptree.Entry {
	for from, to := range moved {
		if sum, ok := w.Record[from]; ok {
			if strings.HasPrefix(to, "bin/") {
				sum = ""
			}

			delete(w.Record, from)
			w.Record[to] = sum
		}
	}

	var record []pydist.RecordEntry
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
			entries[i] = ziptree.File(e.Name, pydist.FormatRecord(record), origin)
		}
	}

	return entries
}

// script returns a file of .data/scripts as it is installed: executable, below bin/, and with
// Lambda's interpreter in the first line of a Python script.
func script(e ziptree.Entry, file string) (ziptree.Entry, error) {
	moved := e.Named("bin/" + file)
	moved.Exec = true

	isPython, err := isPythonScript(e)
	if err != nil || !isPython {
		return moved, err
	}

	b, err := e.Bytes(maxMetaBytes)
	if err != nil {
		return ziptree.Entry{}, err
	}

	_, rest, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return moved, nil
	}

	return ziptree.File(moved.Name, append([]byte(interpreterLine), rest...), e.Origin).Executable(), nil
}

// isPythonScript reports whether a file begins with "#!python". It reads only the first bytes,
// because the file may be a large program.
func isPythonScript(e ziptree.Entry) (bool, error) {
	const shebang = "#!python"
	r, err := e.Open()
	if err != nil {
		return false, err
	}

	defer r.Close()
	head := make([]byte, len(shebang))
	_, err = io.ReadFull(r, head)

	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}

	return string(head) == shebang, nil
}

// checkVersion checks the version of the wheel format.
func checkVersion(t ziptree.Tree, distInfo string) error {
	b, err := read(t, distInfo+"/WHEEL")
	if err != nil {
		return err
	}

	for line := range strings.SplitSeq(string(b), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(key), "Wheel-Version") {
			continue
		}

		version := strings.TrimSpace(value)
		if major, _, _ := strings.Cut(version, "."); major != "1" {
			return fmt.Errorf("Wheel-Version is %s; supported: 1.x", version)
		}

		return nil
	}

	return errors.New("WHEEL has no Wheel-Version")
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

// readEntryPoints reads entry_points.txt, which is optional.
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
		return nil, fmt.Errorf("%s is missing", name)
	}

	return e.Bytes(maxMetaBytes)
}
