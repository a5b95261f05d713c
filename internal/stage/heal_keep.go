package stage

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// needed is a removal that a job cannot do without.
type needed struct {
	removal
	why string
}

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

// keptFiles is one entry of a keep list that is to be.
type keptFiles struct {
	match string
	files []removal
}

// fewestInFolder is how many files make one entry for their folder, when nothing else is in it.
const fewestInFolder = 3

// entries are what to write for a layer: a file each, or a folder all of which is needed.
func (h *healer) entries(w *work, rs []removal, why map[removal]string) []report.Healed {
	sort.Slice(rs, func(i, j int) bool { return rs[i].site < rs[j].site })
	need := map[string]bool{}
	for _, r := range rs {
		need[r.site] = true
	}

	other := map[string]bool{} // folders that hold something else too
	sizes := map[string]int64{}
	for _, o := range w.pruned.Decisions {
		sizes[o.Site] = o.Entry.Size
		if source, isBytecode := pyc.Source(o.Site); need[o.Site] || isBytecode && need[source] {
			continue
		}

		for dir := path.Dir(o.Site); dir != "." && dir != "/"; dir = path.Dir(dir) {
			other[dir] = true
		}
	}

	var groups []keptFiles
	at := map[string]int{}
	for _, r := range rs {
		folder := ""
		for dir := path.Dir(r.site); dir != "." && dir != "/" && !other[dir]; dir = path.Dir(dir) {
			folder = dir
		}

		if i, ok := at[folder]; ok && folder != "" {
			groups[i].files = append(groups[i].files, r)
			continue
		}

		at[folder] = len(groups)
		groups = append(groups, keptFiles{literally(folder) + "/**", []removal{r}})
	}

	var out []report.Healed
	for _, g := range groups {
		parts := []keptFiles{g}
		if len(g.files) < fewestInFolder {
			parts = nil
			for _, r := range g.files {
				parts = append(parts, keptFiles{literally(r.site), []removal{r}})
			}
		}

		for _, p := range parts {
			e := report.Healed{
				Match: p.match,
				Files: len(p.files),
				Why:   why[p.files[0]],
				File:  w.spec.Name + "/layer.yaml",
			}
			for _, r := range p.files {
				e.Bytes += measure.Bytes(sizes[r.site])
				if !slices.Contains(e.Rules, r.rule) {
					e.Rules = append(e.Rules, r.rule)
				}
			}

			e.Reason = e.Why + "; healed " + h.Heal.Now().UTC().Format("2006-01-02")
			out = append(out, e)
		}
	}

	return out
}

// write puts entries into the layer's keep list, in its file and in memory.
func (h *healer) write(l *workspace.Layer, entries []report.Healed) ([]report.Healed, error) {
	file := l.Name + "/layer.yaml"
	read := func(name string) ([]byte, error) {
		b, err := h.in.ReadProbe(name)
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
