package sharedobj

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// maxNameBytes bounds the names of one file, records included: hostile tables may point at one long
// string a million times. Real libraries stay far below: a name or two per dependency.
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

// names is the string table of a file, and how much more may be read from it.
type names struct {
	table  []byte
	budget int
}

func (n *names) at(offset uint64) (string, error) {
	if offset >= uint64(len(n.table)) {
		return "", fmt.Errorf("name at %#x: string table has %#x bytes", offset, len(n.table))
	}

	rest := n.table[offset:]
	end := bytes.IndexByte(rest[:min(len(rest), n.budget)], 0)
	switch {
	case end < 0 && len(rest) <= n.budget:
		return "", fmt.Errorf("name at %#x: no end", offset)
	case end < 0 || end+recordBytes > n.budget:
		return "", fmt.Errorf("names: more than %d bytes", maxNameBytes)
	}

	n.budget -= end + recordBytes
	return string(rest[:end]), nil
}

// readDynamic follows addresses, not offsets, and reads until DT_NULL, as loaders do.
func (f file) readDynamic(s Segment, facts *Facts) error {
	table := f.mapped(s.Vaddr)
	if table == nil {
		return fmt.Errorf("dynamic table at %#x: not loaded", s.Vaddr)
	}

	// Names may stand before the table that they point into, hence two passes.
	last := map[uint64]uint64{} // by tag; for a tag that stands twice the loader takes the last
	var entries [][2]uint64
	for ; len(table) >= recordBytes && u64(table, 0) != 0; table = table[recordBytes:] {
		switch tag, value := u64(table, 0), u64(table, 8); tag {
		case tagNeeded:
			entries = append(entries, [2]uint64{tag, value})
		case tagStrtab, tagStrsz, tagSoname, tagRpath, tagRunpath, tagVerneed:
			last[tag] = value
		}
	}

	strtab := f.mapped(last[tagStrtab])
	strs := &names{strtab[:min(uint64(len(strtab)), last[tagStrsz])], maxNameBytes}
	for _, e := range entries {
		name, err := strs.at(e[1])
		if err != nil {
			return fmt.Errorf("DT_NEEDED: %w", err)
		}

		facts.Needed = append(facts.Needed, name)
	}

	for _, one := range []struct {
		tag  uint64
		name string
		set  func(string)
	}{
		{tagSoname, "DT_SONAME", func(s string) { facts.Soname = s }},
		{tagRpath, "DT_RPATH", func(s string) { facts.Rpath = strings.Split(s, ":") }},
		{tagRunpath, "DT_RUNPATH", func(s string) { facts.Runpath = strings.Split(s, ":") }},
	} {
		offset, ok := last[one.tag]
		if !ok {
			continue
		}

		name, err := strs.at(offset)
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}

		one.set(name)
	}

	if vaddr, ok := last[tagVerneed]; ok {
		if err := f.readVersions(vaddr, strs, facts); err != nil {
			return fmt.Errorf("DT_VERNEED: %w", err)
		}
	}

	return nil
}

// readVersions walks one record per library, and from each the chain of its versions. Like glibc it
// goes by the links and ignores all declared counts. Links only lead forward, and every record
// costs a name, so the budget of names ends overlapping chains.
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

// follow goes to the next record; a link of 0 ends the chain.
func follow(from []byte, link uint32) (next []byte, ok bool) {
	return from[min(uint64(link), uint64(len(from))):], link != 0
}
