package engine

import (
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// ReportName is the file name of a build's report.
const ReportName = "report.json"

// ReportOf is the file name of the last report of a target, in a workspace of several. ReportName
// is the last of any target.
func ReportOf(target string) string { return "report." + target + ".json" }

// ZipName is the file name of a layer's zip.
func ZipName(layer string, t pydist.Target) string { return layer + "-" + t.String() + ".zip" }

// ManifestName is the file name of a layer's manifest.
func ManifestName(layer string, t pydist.Target) string { return layer + "-" + t.String() + ".json" }

// ArtifactName is the file name of an unpruned artifact.
func ArtifactName(layer string, t pydist.Target) string {
	return layer + "-" + t.String() + ".artifact.zip"
}

// parallelZips is how many zips are written at one time. Hashing each of them takes a processor.
const parallelZips = 2

// write stores the round's zips, their manifests and the report, in this order: a report never
// names a zip that is not there.
func (s Build) write(ctx context.Context, r round, old report.Report) (report.Report, error) {
	written, err := s.writeZips(ctx, r, old)
	if err != nil {
		return report.Report{}, err
	}

	rep := s.report(r, old)
	rep.Written = written
	for _, name := range r.names {
		l := rep.Layers[indexOf(rep.Layers, name)]
		if err := s.writeJSON(ctx, ManifestName(name, r.in.Lock.Target), l); err != nil {
			return report.Report{}, err
		}
	}

	return rep, s.writeReport(ctx, r.in, rep)
}

// again is the report of the last build with today's verdicts, which it stores when they differ.
func (s Build) again(ctx context.Context, in BuildInput, old report.Report) (report.Report, error) {
	rep := Judged(in.Workspace, old)
	if reflect.DeepEqual(rep, old) {
		return rep, nil
	}

	for _, l := range rep.Layers {
		if i := indexOf(old.Layers, l.Name); reflect.DeepEqual(l, old.Layers[i]) {
			continue
		}

		if err := s.writeJSON(ctx, ManifestName(l.Name, in.Lock.Target), l); err != nil {
			return report.Report{}, err
		}
	}

	return rep, s.writeReport(ctx, in, rep)
}

// writeReport stores the report, and as that of its target where the workspace has, or was given,
// others.
func (s Build) writeReport(ctx context.Context, in BuildInput, rep report.Report) error {
	targets := in.Workspace.Targets
	if len(targets) > 1 || len(targets) == 1 && targets[0].String() != rep.Target {
		if err := s.writeJSON(ctx, ReportOf(rep.Target), rep); err != nil {
			return err
		}
	}

	return s.writeJSON(ctx, ReportName, rep)
}

// writeZips stores the zips, and their sizes and digests in the round. A zip that is there with the
// same bytes stays as it is. written is how many have other bytes than before.
func (s Build) writeZips(ctx context.Context, r round, old report.Report) (written int, err error) {
	var total int64
	for _, name := range r.names {
		total += r.made[name].Pruned.Tree.ZipBytes()
	}

	task := s.Progress.Start("write", total, "bytes")
	defer task.Done()

	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelZips)
	for _, name := range r.names {
		g.Go(func() error {
			file, other, err := s.zipOf(ctx, r, r.made[name], old)
			if err != nil {
				return err
			}

			task.Add(int64(file.Bytes))
			mu.Lock()
			defer mu.Unlock()
			if other || r.in.Rebuild {
				written++
			}

			seen := r.tested[name]
			seen.Zip = file
			r.tested[name] = seen
			return nil
		})
	}

	err = g.Wait()
	return written, err
}

// zipOf writes the zip of a layer, unless that of the last build has the same key. other reports
// whether its bytes are others than before.
func (s Build) zipOf(
	ctx context.Context, r round, m Made, old report.Report,
) (file report.File, other bool, err error) {
	var was report.Layer
	name := ZipName(m.Spec.Name, r.in.Lock.Target)
	if i := indexOf(old.Layers, m.Spec.Name); i >= 0 && old.Target == r.in.Lock.Target.String() {
		was = old.Layers[i]
	}

	there := was.Zip.Name == name && s.inPlace(ctx, was.Zip) == nil
	if there && was.Key == m.Key && old.Tool == s.Tool && !r.in.Rebuild {
		return was.Zip, false, nil
	}

	file, err = s.writeZip(ctx, name, m.Pruned.Tree)
	return file, !there || file.SHA256 != was.Zip.SHA256, err
}

func (s Build) writeZip(ctx context.Context, name string, tree ziptree.Tree) (report.File, error) {
	var file report.File
	err := s.Outputs.Write(ctx, name, func(out io.Writer) error {
		var err error
		file, err = zipTo(ctx, out, name, tree)
		return err
	})

	return file, err
}

// zipTo writes a tree as a zip and returns its size and digest.
func zipTo(ctx context.Context, out io.Writer, name string, tree ziptree.Tree) (report.File, error) {
	written, err := ziptree.Write(ctx, out, tree)
	return report.File{Name: name, Bytes: measure.Bytes(written.Bytes), SHA256: written.SHA256}, err
}

func (s Build) writeJSON(ctx context.Context, name string, v any) error {
	return s.Outputs.Write(ctx, name, func(out io.Writer) error {
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(v)
	})
}

// artifacts writes unpruned artifacts, with the bytecode that fits, which the account prunes.
func (s Build) artifacts(ctx context.Context, in BuildInput, jobs []Job, names []string) (report.Report, error) {
	plans, err := s.plan(ctx, in, jobs)
	defer round{plans: plans}.close()
	if err != nil {
		return report.Report{}, err
	}

	if err := checkNames(in.Workspace, plans); err != nil {
		return report.Report{}, err
	}

	bare, bytecode, err := s.maker().parts(ctx, in.Workspace, plans)
	if err != nil {
		return report.Report{}, err
	}

	rep := report.Report{
		SchemaVersion: report.SchemaVersion,
		Tool:          s.Tool,
		Target:        in.Lock.Target.String(),
	}
	for i := range bare {
		bare[i].Bytecode = bytecode[i]
	}

	if err := setKeys(in.Workspace, bare); err != nil {
		return report.Report{}, err
	}

	for i, m := range bare {
		if !slices.Contains(names, m.Spec.Name) {
			continue
		}

		l, err := s.writeArtifact(ctx, m.Planned, bytecode[i])
		if err != nil {
			return report.Report{}, err
		}

		rep.Layers = append(rep.Layers, l)
	}

	return rep, nil
}

func (s Build) writeArtifact(ctx context.Context, p Planned, b Bytecode) (report.Layer, error) {
	in := p.Artifact.input()
	tree, err := unprunedWith(in.Tree, b)
	if err != nil {
		return report.Layer{}, err
	}

	in.Tree = tree
	file, err := s.writeZip(ctx, ArtifactName(p.Spec.Name, p.Artifact.Target), tree)
	if err != nil {
		return report.Layer{}, err
	}

	m := Made{Planned: p, Bytecode: b, Pruned: prune.Untouched(in)}
	l := m.Report(Seen{
		Interpreter: identity(s.Python),
		Probe:       report.Probe{Status: report.NotProbed, Reason: "not pruned yet"},
	})
	l.Zip = file
	l.Bytecode.Size = sizeOf(b.Entries)
	return l, nil
}

// unprunedWith adds bytecode to an artifact's tree; it replaces entries of the same name.
func unprunedWith(tree ziptree.Tree, b Bytecode) (ziptree.Tree, error) {
	if b.Mode == workspace.NoBytecode || len(b.Entries) == 0 {
		return tree, nil
	}

	compiled := map[string]bool{}
	for _, e := range b.Entries {
		compiled[e.Name] = true
	}

	entries := slices.Clone(b.Entries)
	for _, e := range tree.Entries() {
		if !compiled[e.Name] {
			entries = append(entries, e)
		}
	}

	return ziptree.New(entries)
}

// merge adds the layers of an earlier report that this build did not make. The order is that of the
// workspace.
func merge(ws workspace.Workspace, built []report.Layer, old report.Report, t pydist.Target) []report.Layer {
	var out []report.Layer
	for _, name := range ws.Names() {
		if i := indexOf(built, name); i >= 0 {
			out = append(out, built[i])
		} else if i := indexOf(old.Layers, name); i >= 0 && old.Target == t.String() {
			out = append(out, old.Layers[i])
		}
	}

	return out
}

// verifyAll inflates every entry, which checks its CRC-32.
func verifyAll(ctx context.Context, t ziptree.Tree) error {
	for _, e := range t.Entries() {
		if err := ctx.Err(); err != nil {
			return err
		}

		r, err := e.Open()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}

		if err != nil {
			return fault.New(fault.CorruptArchive, "verify", e.Origin, err).WithHint("run: layersmith clean --cache")
		}
	}

	return nil
}
