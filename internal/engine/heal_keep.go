package engine

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/heal"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// literally is a glob that matches one name only.
func literally(name string) string {
	var b strings.Builder
	for _, c := range name {
		if strings.ContainsRune(`*?[]{}\`, c) {
			b.WriteByte('\\')
		}

		b.WriteRune(c)
	}

	return b.String()
}

// fewestInFolder is how many files are written as one entry for their folder.
const fewestInFolder = 3

// entries are the entries of the keep list: one for each file, or for a folder that is needed as a
// whole.
func (h *healer) entries(m Made, rs []heal.Removal) []report.Healed {
	slices.SortFunc(rs, func(a, b heal.Removal) int { return strings.Compare(a.Site, b.Site) })
	mixed := m.foldersWithOthers(rs)
	var folders []string
	byFolder := map[string][]heal.Removal{}
	for _, r := range rs {
		folder := wholeFolder(r.Site, mixed)
		if folder == "" {
			folder = r.Site // no folder is needed as a whole: the file stands for itself
		}

		if byFolder[folder] == nil {
			folders = append(folders, folder)
		}

		byFolder[folder] = append(byFolder[folder], r)
	}

	var out []report.Healed
	for _, folder := range folders {
		files := byFolder[folder]
		if len(files) >= fewestInFolder {
			out = append(out, h.entry(m, literally(folder)+"/**", files))
			continue
		}

		for _, r := range files {
			out = append(out, h.entry(m, literally(r.Site), []heal.Removal{r}))
		}
	}

	return out
}

// foldersWithOthers are the folders that have other files than removals and their bytecode.
func (m Made) foldersWithOthers(rs []heal.Removal) map[string]bool {
	need := map[string]bool{}
	for _, r := range rs {
		need[r.Site] = true
	}

	mixed := map[string]bool{}
	for _, o := range m.Pruned.Decisions {
		source, isBytecode := pyc.Source(o.Site)
		if need[o.Site] || isBytecode && need[source] {
			continue
		}

		for dir := path.Dir(o.Site); dir != "." && dir != "/"; dir = path.Dir(dir) {
			mixed[dir] = true
		}
	}

	return mixed
}

// wholeFolder is the outermost folder of a file that is not mixed; "" for none.
func wholeFolder(site string, mixed map[string]bool) string {
	folder := ""
	for dir := path.Dir(site); dir != "." && dir != "/" && !mixed[dir]; dir = path.Dir(dir) {
		folder = dir
	}

	return folder
}

// entry is one entry of a keep list.
func (h *healer) entry(m Made, match string, files []heal.Removal) report.Healed {
	why := h.why[files[0]]
	e := report.Healed{
		Match:  match,
		Files:  len(files),
		Why:    why,
		Reason: why + "; healed " + h.Heal.Now().UTC().Format("2006-01-02"),
		File:   m.Spec.Name + "/layer.yaml",
	}
	for _, r := range files {
		e.Bytes += m.shippedBytes(r.Site)
		if !slices.Contains(e.Rules, r.Rule) {
			e.Rules = append(e.Rules, r.Rule)
		}
	}

	return e
}

// shippedBytes is the size of a file before pruning.
func (m Made) shippedBytes(site string) measure.Bytes {
	i := slices.IndexFunc(m.Pruned.Decisions, func(o prune.Applied) bool { return o.Site == site })
	if i < 0 {
		return 0
	}

	return measure.Bytes(m.Pruned.Decisions[i].Entry.Size)
}

// write adds entries to the layer's keep list, in layer.yaml and in memory.
func (h *healer) write(l *workspace.Layer, entries []report.Healed) ([]report.Healed, error) {
	file := l.Name + "/layer.yaml"
	read := func(name string) ([]byte, error) {
		b, err := h.round.in.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}

		return b, err
	}
	text, err := read(file)
	if err != nil {
		return nil, fault.New(fault.BadInput, "read", file, err)
	}

	var script []byte
	if l.Probe != "" {
		if script, err = read(l.Probe); err != nil {
			return nil, fault.New(fault.BadInput, "read", l.Probe, err)
		}
	}

	var add []policy.Choice
	for _, e := range entries {
		add = append(add, policy.Choice{Match: e.Match, Reason: e.Reason})
	}

	healed, text, err := l.WithKeep(text, script, add)
	if errors.Is(err, workspace.ErrChanged) {
		return nil, fault.New(fault.BadInput, "heal", file, err).WithHint("build again; nothing was written")
	}

	if err != nil {
		return nil, fault.New(fault.BadInput, "heal", file, err).
			WithHint("add the entries by hand, or build with --no-heal")
	}

	if err := h.Heal.Write(file, text); err != nil {
		return nil, fault.New(fault.BadInput, "write", file, err).WithHint("make it writable, or build with --no-heal")
	}

	*l = healed
	for _, e := range entries {
		if h.Heal.Told != nil {
			h.Heal.Told(l.Name, e)
		}
	}

	return entries, nil
}
