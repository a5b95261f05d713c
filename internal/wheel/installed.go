package wheel

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Installed finds the distributions of a tree by their .dist-info folders directly below prefix,
// the site folder with a '/'. Their Files are those that RECORD lists and the tree has, as source
// or as bytecode.
//
// Tools that make layers smaller often remove RECORD, but files without an owner have no policy and
// no probe. So a distribution without RECORD owns its .dist-info and the modules that its
// top_level.txt names; without that file, the module with the distribution's name.
func Installed(t ziptree.Tree, prefix string) ([]Distribution, error) {
	var found []Distribution
	var unrecorded []int // indexes in found

	for _, e := range t.Entries() {
		site, ok := strings.CutPrefix(e.Name, prefix)
		if !ok {
			continue
		}

		dir, file, _ := strings.Cut(site, "/")
		if file != "METADATA" || !strings.HasSuffix(dir, ".dist-info") {
			continue
		}

		d, err := readInstalled(e, dir)
		if err != nil {
			return nil, err
		}

		if record, ok := t.Lookup(prefix + dir + "/RECORD"); ok {
			err = d.readRecord(t, prefix, record)
		} else {
			unrecorded = append(unrecorded, len(found))
		}

		if err != nil {
			return nil, err
		}

		if err := d.readEntryPoints(t, prefix+dir); err != nil {
			return nil, err
		}

		found = append(found, d)
	}

	return found, guessFiles(t, prefix, found, unrecorded)
}

// readInstalled makes a distribution of its METADATA.
func readInstalled(metadata ziptree.Entry, distInfo string) (Distribution, error) {
	b, err := metadata.Bytes(maxMetaBytes)
	if err != nil {
		return Distribution{}, err
	}

	m, err := pydist.ParseMetadata(bytes.NewReader(b))
	if err != nil {
		return Distribution{}, fmt.Errorf("read %s: %w", metadata.Name, err)
	}

	return Distribution{
		Name:     m.Name,
		Version:  m.Version,
		DistInfo: distInfo,
		Record:   map[string]string{},
		Metadata: m,
	}, nil
}

// readRecord sets Record and Files from RECORD.
func (d *Distribution) readRecord(t ziptree.Tree, prefix string, record ziptree.Entry) error {
	b, err := record.Bytes(maxMetaBytes)
	if err != nil {
		return err
	}

	rows, err := pydist.ParseRecord(b)
	if err != nil {
		return fmt.Errorf("read %s: %w", record.Name, err)
	}

	for _, row := range rows {
		d.Record[row.Path] = row.SHA256

		if _, ok := t.Lookup(prefix + row.Path); ok {
			d.Files = append(d.Files, row.Path)
		} else if _, ok := t.Lookup(prefix + row.Path + "c"); ok && strings.HasSuffix(row.Path, ".py") {
			d.Files = append(d.Files, row.Path+"c") // bytecode that replaces the source
		}
	}

	return nil
}

// guessFiles sets the Files of the distributions without RECORD, whose indexes are unrecorded.
// Files that another RECORD lists do not count.
func guessFiles(t ziptree.Tree, prefix string, found []Distribution, unrecorded []int) error {
	if len(unrecorded) == 0 {
		return nil
	}

	listed := map[string]bool{}
	for _, d := range found {
		for _, f := range d.Files {
			listed[f] = true
		}
	}

	owners := map[string]*Distribution{} // by module or folder name in the site folder
	for _, i := range unrecorded {
		d := &found[i]
		owners[d.DistInfo] = d

		names, err := d.topLevel(t, prefix)
		if err != nil {
			return err
		}

		for _, name := range names {
			owners[name] = d
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

// topLevel returns the names in top_level.txt, or without it the distribution's name as a module
// name.
func (d *Distribution) topLevel(t ziptree.Tree, prefix string) ([]string, error) {
	e, ok := t.Lookup(prefix + d.DistInfo + "/top_level.txt")
	if !ok {
		return []string{strings.ReplaceAll(d.Name.String(), "-", "_")}, nil
	}

	b, err := e.Bytes(maxMetaBytes)
	if err != nil {
		return nil, err
	}

	return strings.Fields(string(b)), nil
}
