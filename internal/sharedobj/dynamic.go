package sharedobj

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxNameBytes limits the names read from one file, with their records: a hostile table may refer
// to one long string a million times. Real libraries have one or two names per dependency.
const maxNameBytes = 1 << 20

// Tags of the dynamic table, and the sizes of its entries and of both version records.
const (
	tagNeeded  = 1
	tagStrtab  = 5
	tagStrsz   = 10
	tagSoname  = 14
	tagRpath   = 15
	tagRunpath = 29
	tagVerneed = 0x6ffffffe

	recordBytes = 16
)

// names is the string table of a file.
type names struct {
	table []byte
	left  int // bytes that may still be read, of maxNameBytes
}

// at returns the name at an offset, up to its NUL.
func (n *names) at(offset uint64) (string, error) {
	if offset >= uint64(len(n.table)) {
		return "", fmt.Errorf("name at %#x: string table has %#x bytes", offset, len(n.table))
	}

	rest := n.table[offset:]
	end := bytes.IndexByte(rest[:min(len(rest), n.left)], 0)
	switch {
	case end < 0 && len(rest) <= n.left:
		return "", fmt.Errorf("name at %#x: no end", offset)
	case end < 0 || end+recordBytes > n.left:
		return "", fmt.Errorf("names: more than %d bytes", maxNameBytes)
	}

	n.left -= end + recordBytes
	return string(rest[:end]), nil
}

// readDynamic reads the dynamic table up to DT_NULL. Like loaders it goes by addresses, not
// offsets.
func (f file) readDynamic(s Segment, facts *Facts) error {
	table := f.mapped(s.Vaddr)
	if table == nil {
		return fmt.Errorf("dynamic table at %#x: not loaded", s.Vaddr)
	}

	// Names may precede the entry for the string table, so they are read after the whole table.
	var needed []uint64
	last := map[uint64]uint64{} // by tag; if one is repeated, the loader uses the last
	for ; len(table) >= recordBytes && u64(table, 0) != 0; table = table[recordBytes:] {
		switch tag, value := u64(table, 0), u64(table, 8); tag {
		case tagNeeded:
			needed = append(needed, value)
		case tagStrtab, tagStrsz, tagSoname, tagRpath, tagRunpath, tagVerneed:
			last[tag] = value
		}
	}

	strtab := f.mapped(last[tagStrtab])
	strs := &names{strtab[:min(uint64(len(strtab)), last[tagStrsz])], maxNameBytes}
	for _, offset := range needed {
		name, err := strs.at(offset)
		if err != nil {
			return fmt.Errorf("DT_NEEDED: %w", err)
		}

		facts.Needed = append(facts.Needed, name)
	}

	for _, field := range []struct {
		tag  uint64
		name string
		set  func(string)
	}{
		{tagSoname, "DT_SONAME", func(s string) { facts.Soname = s }},
		{tagRpath, "DT_RPATH", func(s string) { facts.Rpath = strings.Split(s, ":") }},
		{tagRunpath, "DT_RUNPATH", func(s string) { facts.Runpath = strings.Split(s, ":") }},
	} {
		offset, ok := last[field.tag]
		if !ok {
			continue
		}

		value, err := strs.at(offset)
		if err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}

		field.set(value)
	}

	if vaddr, ok := last[tagVerneed]; ok {
		if err := f.readVersions(vaddr, strs, facts); err != nil {
			return fmt.Errorf("DT_VERNEED: %w", err)
		}
	}

	return nil
}

// readVersions reads the version records (Verneed): one per library, each with a chain of versions
// (Vernaux). Like glibc it follows links and ignores counts. Links only go forward and every record
// uses up name bytes, so maxNameBytes ends overlapping chains.
func (f file) readVersions(vaddr uint64, strs *names, facts *Facts) error {
	need := f.mapped(vaddr)
	for more := true; more; need, more = follow(need, u32(need, 12)) {
		if len(need) < recordBytes {
			return errRecord
		}

		library, err := strs.at(uint64(u32(need, 4)))
		if err != nil {
			return err
		}

		version, more := follow(need, u32(need, 8))
		for ; more; version, more = follow(version, u32(version, 12)) {
			if len(version) < recordBytes {
				return errRecord
			}

			name, err := strs.at(uint64(u32(version, 8)))
			if err != nil {
				return err
			}

			facts.VersionNeeds = append(facts.VersionNeeds, VersionNeed{library, name})
		}
	}

	return nil
}

var errRecord = errors.New("record outside the loaded bytes")

// follow returns the bytes from the next record on. A link of 0 ends the chain.
func follow(from []byte, link uint32) (next []byte, ok bool) {
	return from[min(uint64(link), uint64(len(from))):], link != 0
}
