package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"path"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Installed makes an artifact of a layer as it is, without the import indexes that a plan needs.
func Installed(t pydist.Target, at place.Place, tree ziptree.Tree) (Artifact, error) {
	a := Artifact{Target: t, Place: at, Tree: tree}
	var err error
	if a.Distributions, err = wheel.Installed(tree, at.Prefix); err != nil {
		return Artifact{}, fault.New(fault.CorruptArchive, "open", "", err)
	}

	return a, nil
}

// Prebuilt makes an artifact of a layer that another tool built, or that an earlier step wrote as a
// zip.
func Prebuilt(ctx context.Context, t pydist.Target, at place.Place, tree ziptree.Tree) (Artifact, error) {
	a, err := Installed(t, at, tree)
	if err != nil {
		return Artifact{}, err
	}

	return a.indexed(ctx)
}

// indexed adds the import index that a plan needs.
func (a Artifact) indexed(ctx context.Context) (Artifact, error) {
	var site []ziptree.Entry
	for _, e := range a.Tree.Entries() {
		if name, inside := a.Place.Site(e.Name); inside {
			site = append(site, e.Named(name))
		}
	}

	x, err := prune.NewIndex(ctx, site)
	if err != nil {
		return Artifact{}, fault.New(fault.CorruptArchive, "open", "", err)
	}

	a.Indexes = []prune.Index{x}
	return a, nil
}

// openPrebuilt makes an artifact of a layer that another tool built, without an import index. It
// reads every file, and corrects and notes what a RECORD says wrongly.
func openPrebuilt(ctx context.Context, t pydist.Target, tree ziptree.Tree) (Artifact, error) {
	at := PlaceOf(tree, t)
	if err := misplaced(tree, t, at); err != nil {
		return Artifact{}, err
	}

	sums, err := verified(ctx, tree)
	if err != nil {
		return Artifact{}, err
	}

	a, err := Installed(t, at, tree)
	if err != nil {
		return Artifact{}, err
	}

	a.correct(sums)
	return a, nil
}

// PlaceOf finds the site folder of a prebuilt zip or folder: python/lib/pythonX.Y/site-packages/ or
// python/ in a layer, else the root, as in a function's own package and in a folder that pip filled
// with --target.
func PlaceOf(t ziptree.Tree, target pydist.Target) place.Place {
	deep := place.SitePackages(target.Runtime())
	layer := false
	for _, e := range t.Entries() {
		if strings.HasPrefix(e.Name, deep.Prefix) {
			return deep
		}

		layer = layer || strings.HasPrefix(e.Name, place.Layer.Prefix)
	}

	if layer {
		return place.Layer
	}

	return place.Function
}

// misplaced says that Python would not find what is there: a pex, packages of another Python's
// folder, a layer zipped together with the folder around it. Each looks like a layer to whoever
// does not try to import from it.
func misplaced(t ziptree.Tree, target pydist.Target, at place.Place) error {
	if t.Len() == 0 {
		return nil
	}

	bad := func(hint, format string, args ...any) error {
		return fault.New(fault.BadInput, "open", t.Entries()[0].Origin, fmt.Errorf(format, args...)).WithHint(hint)
	}
	if _, ok := t.Lookup("PEX-INFO"); ok {
		return bad(
			"install the same requirements with pip install --target, or write them into a requirements.txt and run: "+
				"layersmith build",
			"it is a pex (it has PEX-INFO): its packages lie in .deps/, which Lambda does not put on sys.path",
		)
	}

	found := false  // there is something that Python would find
	elsewhere := "" // the first folder that holds distributions, or a layer, where Python does not look
	other := ""
	runtime := "" // the site folder of another Python
	for _, e := range t.Entries() {
		if dir, ok := strings.CutPrefix(e.Name, "python/lib/"); ok && other == "" {
			if version, rest, _ := strings.Cut(dir, "/"); version != target.Runtime() &&
				strings.HasPrefix(rest, "site-packages/") {
				other = place.SitePackages(version).Prefix
				runtime = version
			}
		}

		site, inside := at.Site(e.Name)
		dir := path.Dir(path.Dir(e.Name)) // of the folder that holds METADATA
		switch {
		case inside && directly(site):
			found = true
		case elsewhere != "":
		case path.Base(e.Name) == "METADATA" && strings.HasSuffix(path.Dir(e.Name), ".dist-info"):
			elsewhere = dir + "/"
		default:
			if before, _, ok := strings.Cut(e.Name, "/python/"); ok && at.Prefix == "" {
				elsewhere = before + "/python/"
			}
		}
	}

	switch {
	case other != "" && at.Prefix != place.SitePackages(target.Runtime()).Prefix:
		hint := "install for " + target.Runtime()
		if t, err := pydist.ParseTarget(runtime + "-" + target.Arch()); err == nil {
			hint += ", or name its runtime: --target " + t.String()
		}

		return bad(hint, "its packages lie in %s, where %s does not look", other, target.Runtime())
	case !found && elsewhere != "":
		hint := "let the packages lie in python/ at the root of the zip"
		if outer, ok := strings.CutSuffix(elsewhere, "/python/"); ok {
			hint = "zip what is in " + outer + "/, not the folder itself: cd " + outer + " && zip -r ../layer.zip " +
				"python"
		}

		return bad(hint, "its packages lie in %s, where Lambda does not look", elsewhere)
	}

	return nil
}

// directly reports whether a file of the site folder can be imported, or is a distribution's
// METADATA, without a folder in between.
func directly(site string) bool {
	module, _, ok := pyimport.ModuleName(strings.TrimSuffix(site, "c")) // .pyc stands for .py
	if ok && !strings.Contains(module, ".") {
		return true
	}

	dir, file := path.Split(site)
	return file == "METADATA" && strings.HasSuffix(dir, ".dist-info/") && strings.Count(dir, "/") == 1
}

// verified reads every file of a layer that something else built, and returns their SHA-256 as
// RECORD writes them, by name. No digest vouches for such a layer, and most of its bytes would
// otherwise be copied unseen.
func verified(ctx context.Context, t ziptree.Tree) (map[string]string, error) {
	sums := make([]string, t.Len())
	faults := make([]error, t.Len())
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range t.Entries() {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}

			h := sha256.New()
			r, err := e.Open()
			if err == nil {
				_, err = io.Copy(h, r)
				r.Close()
			}

			sums[i] = base64.RawURLEncoding.EncodeToString(h.Sum(nil))
			faults[i] = err
			return nil
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	byName := make(map[string]string, t.Len())
	for i, e := range t.Entries() {
		if faults[i] != nil { // the first by name, whichever was read first
			return nil, fault.New(fault.CorruptArchive, "open", e.Origin, faults[i]).
				WithHint("the file is damaged: make it again, or fetch it again")
		}

		byName[e.Name] = sums[i]
	}

	return byName, nil
}

// correct makes RECORDs say the hashes that files have, and notes where they said others: something
// has changed those files after they were installed.
func (a *Artifact) correct(sums map[string]string) {
	for _, d := range a.Distributions {
		n := 0
		first := ""
		for _, f := range d.Files {
			if was := d.Record[f]; was != "" && was != sums[a.Place.Prefix+f] {
				if d.Record[f] = sums[a.Place.Prefix+f]; n == 0 {
					first = f
				}

				n++
			}
		}

		if n > 0 {
			a.Notes = append(
				a.Notes,
				fmt.Sprintf("%s/RECORD has another hash than the file for %s, %s first: changed after it was installed",
					d.DistInfo, report.Count(n, "file"), first),
			)
		}
	}
}
