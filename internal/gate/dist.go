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

// botoFamily: boto3, botocore and s3transfer are released together. With one of them from the layer
// and another from the runtime, calls fail in ways that imports do not show (boto3 4058).
func botoFamily(in Input) []Finding {
	family := []string{"boto3", "botocore", "s3transfer"}
	var there, gone []string
	for _, name := range family {
		code := false
		for _, p := range append([]Part{in.Part}, in.Below...) {
			_, ok := p.Tree.Lookup(p.Prefix + name + "/__init__.py")
			if !ok {
				_, ok = p.Tree.Lookup(p.Prefix + name + "/__init__.pyc")
			}

			code = code || ok
		}

		if code {
			there = append(there, name)
		} else {
			gone = append(gone, name)
		}
	}

	// botocore alone is a complete library; what stands on it is not.
	if len(there) == 0 || len(gone) == 0 || strings.Join(there, " ") == "botocore" {
		return nil
	}

	return []Finding{
		{
			in.Name,
			"boto-family",
			fmt.Sprintf(
				"has %s but not %s: the runtime's own version would be mixed in",
				strings.Join(there, " and "),
				strings.Join(gone, " and "),
			),
			"carry all of them, or none (rule boto-runtime)",
		},
	}
}

// maxRecordBytes bounds a RECORD that is read whole.
const maxRecordBytes = 32 << 20

// distInfo: importlib.metadata needs METADATA, and takes the first of two versions that it finds;
// RECORD must list what is there and nothing else.
func distInfo(in Input) (found []Finding) {
	known := map[string]string{} // folder of a distribution that has METADATA -> its name
	first := map[string]string{} // name -> the first of its folders
	for _, d := range in.Distributions {
		known[in.Prefix+d.DistInfo] = d.Name.String()
	}

	for _, dir := range distInfoFolders(in.Part) {
		if _, ok := in.Tree.Lookup(dir + "/METADATA"); !ok {
			name, _, _ := strings.Cut(path.Base(dir), "-")
			found = append(
				found,
				Finding{
					dir,
					"dist-info",
					"has no METADATA: importlib.metadata would not find " + cmp.Or(known[dir], name),
					"never remove .dist-info",
				},
			)
		} else if other := first[known[dir]]; other != "" && known[dir] != "" {
			found = append(
				found,
				Finding{
					dir,
					"dist-info",
					"is a second version of " + known[dir] + ", beside " + other + ": importlib.metadata takes one " +
						"of them",
					"install into an empty folder: pip install --target leaves the older version's folder there",
				},
			)
		} else {
			first[known[dir]] = dir
		}
	}

	for _, d := range in.Distributions {
		dir := in.Prefix + d.DistInfo
		if _, ok := in.Tree.Lookup(dir + "/METADATA"); !ok {
			continue
		}

		e, ok := in.Tree.Lookup(dir + "/RECORD")
		if !ok {
			continue // optional; pip writes it always, other tools do not
		}

		b, err := e.Bytes(maxRecordBytes)
		if err != nil {
			found = append(found, Finding{e.Name, "dist-info", err.Error(), ""})
			continue
		}

		record, err := pydist.ParseRecord(b)
		if err != nil {
			found = append(found, Finding{e.Name, "dist-info", err.Error(), ""})
			continue
		}

		missing := 0
		first := ""
		for _, r := range record {
			if strings.HasPrefix(r.Path, "../") || strings.HasPrefix(r.Path, "/") {
				continue // a script outside of the site folder
			}

			if _, ok := in.Tree.Lookup(in.Prefix + r.Path); !ok {
				if missing == 0 {
					first = r.Path
				}

				missing++
			}
		}

		if missing > 0 {
			found = append(
				found,
				Finding{
					e.Name,
					"dist-info",
					fmt.Sprintf("lists %d files that are not there, %s first", missing, first),
					"prune it with layersmith, which rewrites RECORD",
				},
			)
		}
	}

	return found
}

// distInfoFolders are those of the site folder, with and without METADATA, and those that
// distributions should have.
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

// paths: names that cannot be unpacked, or not everywhere.
func paths(in Input) (found []Finding) {
	lower := map[string]string{}
	for _, e := range in.Tree.Entries() {
		if err := ziptree.CheckName(e.Name); err != nil {
			found = append(found, Finding{e.Name, "paths", err.Error(), ""})
		}

		for dir := path.Dir(e.Name); dir != "." && dir != "/"; dir = path.Dir(dir) {
			if _, ok := in.Tree.Lookup(dir); ok {
				found = append(
					found,
					Finding{
						e.Name,
						"paths",
						"lies in " + dir + ", which is a file",
						"keep one of them: unzipping fails",
					},
				)
				break
			}
		}

		key := strings.ToLower(e.Name)
		if other, ok := lower[key]; ok {
			found = append(
				found,
				Finding{
					e.Name,
					"paths",
					"differs from " + other + " in case only",
					"keep one: file systems that ignore case unpack one over the other",
				},
			)
		}

		lower[key] = e.Name
	}

	return found
}
