package prune_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pyc"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// source describes a wheel: its files except those in dist-info, which openWheel adds.
type source struct {
	name, version string
	entryPoints   string
	files         map[string]string
	executable    map[string]bool // beside .so files
}

func (s source) distInfo() string { return s.name + "-" + s.version + ".dist-info" }

// openWheel makes a wheel with a correct RECORD and opens it as the fetch stage does.
func openWheel(t testing.TB, s source) wheel.Wheel {
	t.Helper()
	files := maps.Clone(s.files)
	if files == nil {
		files = map[string]string{}
	}

	info := s.distInfo()
	files[info+"/METADATA"] = "Metadata-Version: 2.1\nName: " + s.name + "\nVersion: " + s.version + "\n"
	files[info+"/WHEEL"] = "Wheel-Version: 1.0\n"
	if s.entryPoints != "" {
		files[info+"/entry_points.txt"] = s.entryPoints
	}

	record := []pydist.RecordEntry{{Path: info + "/RECORD", Size: -1}}
	var entries []ziptree.Entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content := []byte(files[name])
		row := pydist.RecordEntry{Path: name, SHA256: digest.Of(content).Record(), Size: int64(len(content))}
		record = append(record, row)
		e := ziptree.File(name, content, s.name)
		e.Exec = strings.HasSuffix(name, ".so") || s.executable[name]
		entries = append(entries, e)
	}

	entries = append(entries, ziptree.File(info+"/RECORD", pydist.FormatRecord(record), s.name))
	tree, err := ziptree.New(entries)
	if err != nil {
		t.Fatal(err)
	}

	name, err := pydist.ParseWheelName(s.name + "-" + s.version + "-py3-none-any.whl")
	if err != nil {
		t.Fatal(err)
	}

	w, err := wheel.Open(tree, name, digest.Of([]byte(fmt.Sprint(s.name, s.version, s.files))).String())
	if err != nil {
		t.Fatal(err)
	}

	return w
}

const prefix = "python/"

func target(t testing.TB) pydist.Target {
	t.Helper()
	x, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	return x
}

// layerOf is the layer of these wheels. Indexes are encoded and decoded, as by the cache.
func layerOf(t testing.TB, sources ...source) prune.Input {
	t.Helper()
	var allLinks []prune.Links
	in := prune.Input{Target: target(t), Prefix: prefix, Links: func() ([]prune.Links, error) { return allLinks, nil }}
	var entries []ziptree.Entry
	for _, s := range sources {
		w := openWheel(t, s)
		for _, e := range w.Tree.Entries() {
			entries = append(entries, e.Named(prefix+e.Name))
		}

		x, err := prune.NewIndex(context.Background(), w.Tree.Entries())
		if err != nil {
			t.Fatal(err)
		}

		b, err := x.Encode()
		if err != nil {
			t.Fatal(err)
		}

		if x, err = prune.DecodeIndex(b); err != nil {
			t.Fatal(err)
		}

		programs, links := binariesOf(t, w)
		in.Binaries = append(in.Binaries, programs)
		allLinks = append(allLinks, links)
		in.Distributions = append(in.Distributions, w.Distribution)
		in.Indexes = append(in.Indexes, x)
	}

	var err error
	if in.Tree, err = ziptree.New(entries); err != nil {
		t.Fatal(err)
	}

	return in
}

// binariesOf returns what a wheel's programs and libraries are, encoded and decoded as by the
// cache.
func binariesOf(t testing.TB, w wheel.Wheel) (prune.Binaries, prune.Links) {
	t.Helper()
	b, err := prune.NewBinaries(context.Background(), w.Tree.Entries())
	if err != nil {
		t.Fatal(err)
	}

	links, err := prune.NewLinks(context.Background(), w.Tree.Entries(), b)
	if err != nil {
		t.Fatal(err)
	}

	encoded, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}

	if b, err = prune.DecodeBinaries(encoded); err != nil {
		t.Fatal(err)
	}

	if encoded, err = links.Encode(); err != nil {
		t.Fatal(err)
	}

	if links, err = prune.DecodeLinks(encoded); err != nil {
		t.Fatal(err)
	}

	return b, links
}

func policyOf(t testing.TB, s policy.Settings) policy.Policy {
	t.Helper()
	book, err := policy.Builtin()
	if err != nil {
		t.Fatal(err)
	}

	p, err := policy.New(book, s)
	if err != nil {
		t.Fatal(err)
	}

	return p
}

func planOf(t testing.TB, in prune.Input, s policy.Settings) prune.Plan {
	t.Helper()
	p, err := prune.NewPlan(in, policyOf(t, s))
	if err != nil {
		t.Fatal(err)
	}

	return p
}

// bytecode is a .pyc for the target. Flags (PEP 552): 0 timestamp, 1 unchecked hash, 3 checked
// hash.
func bytecode(t testing.TB, target string, flags byte) string {
	t.Helper()
	x, err := pydist.ParseTarget(target)
	if err != nil {
		t.Fatal(err)
	}

	magic := pyc.Magic(x)
	return string(magic[:]) + string([]byte{flags, 0, 0, 0}) + "12345678" + "code"
}

// show prints decisions, one per line, without dist-info.
func show(decisions []prune.Decision) string {
	var b strings.Builder
	for _, d := range decisions {
		if !strings.Contains(d.Site, ".dist-info/") {
			b.WriteString(line(d) + "\n")
		}
	}

	return b.String()
}

// showPruned prints the decisions about a pruned layer, in the same form.
func showPruned(p prune.Pruned) string {
	var decisions []prune.Decision
	for _, o := range p.Decisions {
		decisions = append(decisions, o.Decision)
	}

	return show(decisions)
}

// line prints a decision as fixtures do: the fate, the path, the rule unless the file is kept, and
// the reason if there is one.
func line(d prune.Decision) string {
	words := []string{d.Fate.String(), d.Site}
	if d.Fate != prune.Kept {
		words = append(words, d.Rule)
	}

	if d.Why != "" {
		words = append(words, d.Why)
	}

	return strings.Join(words, " ")
}
