package gate

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// botoFamily finds stacks with only some of boto3, botocore and s3transfer, which are released
// together. If one comes from the layer and another from the runtime, imports succeed but calls
// fail (boto3 #4058).
func botoFamily(in Input) []Finding {
	var there, gone []string
	for _, name := range []string{"boto3", "botocore", "s3transfer"} {
		if slices.ContainsFunc(in.stack(), func(p Part) bool { return p.hasPackage(name) }) {
			there = append(there, name)
		} else {
			gone = append(gone, name)
		}
	}

	// botocore works alone; the other two need it.
	onlyBotocore := len(there) == 1 && there[0] == "botocore"
	if len(there) == 0 || len(gone) == 0 || onlyBotocore {
		return nil
	}

	has := strings.Join(there, " and ")
	lacks := strings.Join(gone, " and ")
	return []Finding{{
		Subject: in.Name,
		Check:   "boto-family",
		Message: "has " + has + " but not " + lacks + ": the runtime's own version would be mixed in",
		Hint:    "include all of them, or none (rule boto-runtime)",
	}}
}

// hasPackage reports whether the layer has a package's code, as source or bytecode.
func (p Part) hasPackage(name string) bool {
	_, source := p.Tree.Lookup(p.Prefix + name + "/__init__.py")
	_, bytecode := p.Tree.Lookup(p.Prefix + name + "/__init__.pyc")
	return source || bytecode
}

// maxRecordBytes limits the size of a RECORD, which is held in memory.
const maxRecordBytes = 32 << 20

// distInfo finds distributions without METADATA, which importlib.metadata needs; second versions of
// a distribution, of which importlib.metadata finds only one; and RECORDs with missing files.
func distInfo(in Input) []Finding {
	found := missingMetadata(in)
	for _, d := range in.Distributions {
		found = append(found, missingFiles(in, in.Prefix+d.DistInfo)...)
	}

	return found
}

func missingMetadata(in Input) (found []Finding) {
	distribution := map[string]string{} // by .dist-info folder
	for _, d := range in.Distributions {
		distribution[in.Prefix+d.DistInfo] = d.Name.String()
	}

	first := map[string]string{} // distribution: its first .dist-info folder
	for _, dir := range distInfoFolders(in.Part) {
		name := distribution[dir]
		if _, ok := in.Tree.Lookup(dir + "/METADATA"); !ok {
			fromFolder, _, _ := strings.Cut(path.Base(dir), "-")
			found = append(found, Finding{
				Subject: dir,
				Check:   "dist-info",
				Message: "has no METADATA: importlib.metadata would not find " + cmp.Or(name, fromFolder),
				Hint:    "never remove .dist-info",
			})
			continue
		}

		if other := first[name]; other != "" && name != "" {
			found = append(found, Finding{
				Subject: dir,
				Check:   "dist-info",
				Message: "is a second version of " + name + ", beside " + other +
					": importlib.metadata takes one of them",
				Hint: "install into an empty folder: pip install --target does not remove the older version's folder",
			})
			continue
		}

		first[name] = dir
	}

	return found
}

// missingFiles finds files that the RECORD of a distribution lists and the layer does not have.
func missingFiles(in Input, dir string) []Finding {
	if _, ok := in.Tree.Lookup(dir + "/METADATA"); !ok {
		return nil // reported already
	}

	e, ok := in.Tree.Lookup(dir + "/RECORD")
	if !ok {
		return nil // optional: pip writes one, some other tools do not
	}

	rows, err := readRecord(e)
	if err != nil {
		return []Finding{{Subject: e.Name, Check: "dist-info", Message: err.Error()}}
	}

	var missing []string
	for _, r := range rows {
		if strings.HasPrefix(r.Path, "../") || strings.HasPrefix(r.Path, "/") {
			continue // a script outside the site folder
		}

		if _, ok := in.Tree.Lookup(in.Prefix + r.Path); !ok {
			missing = append(missing, r.Path)
		}
	}

	if len(missing) == 0 {
		return nil
	}

	text := fmt.Sprintf("lists %d files that are not there, %s first", len(missing), missing[0])
	if len(missing) == 1 {
		text = fmt.Sprintf("lists %s, which is not there", missing[0])
	}

	return []Finding{{
		Subject: e.Name,
		Check:   "dist-info",
		Message: text,
		Hint:    "prune it with layersmith, which rewrites RECORD",
	}}
}

func readRecord(e ziptree.Entry) ([]pydist.RecordEntry, error) {
	b, err := e.Bytes(maxRecordBytes)
	if err != nil {
		return nil, err
	}

	return pydist.ParseRecord(b)
}

// distInfoFolders returns the .dist-info folders in the site folder, and those that distributions
// should have, sorted.
func distInfoFolders(p Part) []string {
	dirs := map[string]bool{}
	for _, d := range p.Distributions {
		dirs[p.Prefix+d.DistInfo] = true
	}

	for _, e := range p.Tree.Entries() {
		site, inside := strings.CutPrefix(e.Name, p.Prefix)
		dir, _, nested := strings.Cut(site, "/")
		if inside && nested && strings.HasSuffix(dir, ".dist-info") {
			dirs[p.Prefix+dir] = true
		}
	}

	return slices.Sorted(maps.Keys(dirs))
}

// paths finds names that cannot be unpacked, or not on every file system.
func paths(in Input) (found []Finding) {
	add := func(name, message, hint string) {
		found = append(found, Finding{Subject: name, Check: "paths", Message: message, Hint: hint})
	}
	byLower := map[string]string{}
	for _, e := range in.Tree.Entries() {
		if err := ziptree.CheckName(e.Name); err != nil {
			add(e.Name, err.Error(), "")
		}

		if file, ok := fileAbove(in.Tree, e.Name); ok {
			add(e.Name, "lies in "+file+", which is a file", "keep one of them: unzipping fails")
		}

		key := strings.ToLower(e.Name)
		if other, ok := byLower[key]; ok {
			const hint = "keep one: file systems that ignore case unpack one over the other"
			add(e.Name, "differs from "+other+" in case only", hint)
		}

		byLower[key] = e.Name
	}

	return found
}

// fileAbove returns the nearest folder of a name that is also the name of a file.
func fileAbove(t ziptree.Tree, name string) (string, bool) {
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if _, ok := t.Lookup(dir); ok {
			return dir, true
		}
	}

	return "", false
}
