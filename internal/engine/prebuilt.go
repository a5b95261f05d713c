package engine

import (
	"cmp"
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
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/pyimport"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Installed opens a layer of installed packages. The artifact has no import index, which a plan
// needs.
func Installed(t pydist.Target, at place.Place, tree ziptree.Tree) (Artifact, error) {
	a := Artifact{Target: t, Place: at, Tree: tree}
	var err error
	if a.Distributions, err = wheel.Installed(tree, at.Prefix); err != nil {
		return Artifact{}, fault.New(fault.CorruptArchive, "open", "", err)
	}

	return a, nil
}

// Prebuilt opens a layer of installed packages: one that another tool built, or the zip that an
// earlier step of the workflow wrote.
func Prebuilt(ctx context.Context, t pydist.Target, at place.Place, tree ziptree.Tree) (Artifact, error) {
	a, err := Installed(t, at, tree)
	if err != nil {
		return Artifact{}, err
	}

	return a.indexed(ctx)
}

// openPrebuilt opens a layer that another tool built, without an import index. It reads every file,
// and replaces the hashes in RECORD that are wrong, with a note.
func openPrebuilt(ctx context.Context, t pydist.Target, tree ziptree.Tree) (Artifact, error) {
	at := placeOf(tree, t)
	if err := misplaced(tree, t, at); err != nil {
		return Artifact{}, err
	}

	sums, err := recordHashes(ctx, tree)
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

// placeOf finds the site folder of a prebuilt zip or folder: python/lib/pythonX.Y/site-packages/ or
// python/ in a layer, else the root, as in a function's own package and in a folder that pip filled
// with --target.
func placeOf(t ziptree.Tree, target pydist.Target) place.Place {
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

// misplaced refuses a zip or folder that resembles a layer although Python would not find its
// packages: a pex, a layer for another Python, a layer that was zipped with the folder around it.
func misplaced(t ziptree.Tree, target pydist.Target, at place.Place) error {
	if t.Len() == 0 {
		return nil
	}

	refuse := func(hint, format string, args ...any) error {
		return fault.New(fault.BadInput, "open", t.Entries()[0].Origin, fmt.Errorf(format, args...)).WithHint(hint)
	}
	if _, ok := t.Lookup("PEX-INFO"); ok {
		return refuse("install the same requirements with pip install --target, or write them into a "+
			"requirements.txt and run: layersmith build",
			"it is a pex (it has PEX-INFO): its packages lie in .deps/, which Lambda does not put on sys.path")
	}

	runtime := target.Runtime()
	found := locate(t, runtime, at)
	switch {
	case found.otherRuntime != "" && at != place.SitePackages(runtime):
		return refuse(otherRuntimeHint(found.otherRuntime, target), "its packages lie in %s, where %s does not look",
			place.SitePackages(found.otherRuntime).Prefix, runtime)
	case !found.importable && found.elsewhere != "":
		return refuse(elsewhereHint(found.elsewhere), "its packages lie in %s, where Lambda does not look",
			found.elsewhere)
	}

	return nil
}

// otherRuntimeHint names the target of a runtime, if Layersmith supports it.
func otherRuntimeHint(runtime string, target pydist.Target) string {
	hint := "install for " + target.Runtime()
	if t, err := pydist.ParseTarget(runtime + "-" + target.Arch()); err == nil {
		hint += ", or name its runtime: --target " + t.String()
	}

	return hint
}

func elsewhereHint(folder string) string {
	if outer, ok := strings.CutSuffix(folder, "/python/"); ok {
		return "zip the content of " + outer + "/ without the folder itself: cd " + outer +
			" && zip -r ../layer.zip python"
	}

	return "put the packages into python/ at the root of the zip"
}

// location is where a zip or folder has packages.
type location struct {
	importable   bool   // Python finds something in the site folder
	elsewhere    string // the first folder outside of sys.path that has distributions or a layer
	otherRuntime string // the first other Python that has a site folder: "python3.12"
}

func locate(t ziptree.Tree, runtime string, at place.Place) location {
	var l location
	for _, e := range t.Entries() {
		if l.otherRuntime == "" {
			l.otherRuntime = otherRuntime(e.Name, runtime)
		}

		if site, inside := at.Site(e.Name); inside && importable(site) {
			l.importable = true
		} else if l.elsewhere == "" {
			l.elsewhere = folderAround(e.Name, at)
		}
	}

	return l
}

// otherRuntime returns the Python whose site folder a file is in; "" for none, and for runtime.
func otherRuntime(name, runtime string) string {
	below, ok := strings.CutPrefix(name, "python/lib/")
	version, rest, _ := strings.Cut(below, "/")
	if !ok || version == runtime || !strings.HasPrefix(rest, "site-packages/") {
		return ""
	}

	return version
}

// folderAround returns the folder that a file shows to hold distributions or a layer; "" for none.
func folderAround(name string, at place.Place) string {
	dir, file := path.Split(name)
	if file == "METADATA" && strings.HasSuffix(dir, ".dist-info/") {
		return path.Dir(path.Clean(dir)) + "/"
	}

	before, _, ok := strings.Cut(name, "/python/")
	if !ok || at.Prefix != "" {
		return ""
	}

	return before + "/python/"
}

// importable reports whether Python can import a file of the site folder as a top-level module, or
// find a distribution by it.
func importable(site string) bool {
	module, _, ok := pyimport.ModuleName(strings.TrimSuffix(site, "c")) // a .pyc file counts as its .py file
	if ok && !strings.Contains(module, ".") {
		return true
	}

	dir, file := path.Split(site)
	return file == "METADATA" && strings.HasSuffix(dir, ".dist-info/") && strings.Count(dir, "/") == 1
}

// recordHashes inflates every file of a prebuilt layer and returns their SHA-256 as RECORD writes
// them, by name. Most members are copied into the pruned zip as they are, and no lock has a digest
// to compare them with.
func recordHashes(ctx context.Context, t ziptree.Tree) (map[string]string, error) {
	sums := make([]string, t.Len())
	faults := make([]error, t.Len())
	g := new(errgroup.Group)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i, e := range t.Entries() {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}

			sums[i], faults[i] = recordHash(e)
			return nil
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	byName := make(map[string]string, t.Len())
	for i, e := range t.Entries() {
		if faults[i] != nil { // the first by name, in whichever order they were read
			return nil, fault.New(fault.CorruptArchive, "open", e.Origin, faults[i]).
				WithHint("the file is damaged: make it again, or fetch it again")
		}

		byName[e.Name] = sums[i]
	}

	return byName, nil
}

// recordHash is unpadded URL-safe base64 (PyPA, "Recording installed projects").
func recordHash(e ziptree.Entry) (string, error) {
	r, err := e.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()

	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}

	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}

// correct replaces the hashes in RECORD that are not those of the files, and notes where it did:
// those files were changed after they had been installed.
func (a *Artifact) correct(sums map[string]string) {
	for _, d := range a.Distributions {
		n := 0
		first := ""
		for _, f := range d.Files {
			is := sums[a.Place.Prefix+f]
			if was := d.Record[f]; was == "" || was == is {
				continue
			}

			d.Record[f] = is
			first = cmp.Or(first, f)
			n++
		}

		if n > 0 {
			a.Notes = append(a.Notes, fmt.Sprintf(
				"%s/RECORD has another hash than the file for %s, %s first: changed after it was installed",
				d.DistInfo, report.Count(n, "file"), first))
		}
	}
}
