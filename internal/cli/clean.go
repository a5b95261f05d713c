package cli

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) cleanCommand() *cobra.Command {
	var cache, wheels bool
	c := &cobra.Command{
		Use:   "clean [LAYER...]",
		Short: "Remove outputs and, on request, caches",
		Example: `  layersmith clean                    the outputs of this workspace
  layersmith clean --cache            and caches of earlier builds
  layersmith clean --cache --wheels   and downloaded wheels`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(_ *cobra.Command, layers []string) error {
			paths, err := a.outputs(layers)
			if err != nil {
				return err
			}

			dir, err := a.cacheFolder()
			if err != nil {
				return err
			}

			if cache {
				for _, name := range []string{"packs", "temp", "interpreters.json"} {
					paths = append(paths, filepath.Join(dir, name))
				}
			}

			if wheels {
				paths = append(paths, filepath.Join(dir, "wheels"))
			}

			return a.remove(paths)
		},
	}
	c.Flags().BoolVar(&cache, "cache", false, "remove caches too: bytecode, stripped files, indexes")
	c.Flags().BoolVar(&wheels, "wheels", false, "remove downloaded wheels too")
	return c
}

// outputs are the paths that builds of some layers write, for all targets; no layers are all, and
// the report.
func (a *app) outputs(layers []string) ([]string, error) {
	w, _, err := a.open()
	if err != nil {
		return nil, err
	}

	names, err := layerNames("clean", w, layers)
	if err != nil {
		return nil, err
	}

	var files []string
	for _, n := range names {
		for _, t := range pydist.Targets() {
			files = append(files, engine.ZipName(n, t), engine.ManifestName(n, t), engine.ArtifactName(n, t))
		}
	}

	if len(layers) == 0 {
		files = append(files, engine.ReportName)
		for _, t := range pydist.Targets() {
			files = append(files, engine.ReportOf(t.String()))
		}
	}

	for i := range files {
		files[i] = filepath.Join(a.outputDir, files[i])
	}

	return files, nil
}

// remove removes files and folders, and prints what that freed.
func (a *app) remove(paths []string) error {
	var files int
	var bytes int64
	for _, p := range paths {
		n, b := weigh(p)
		if n == 0 {
			continue
		}

		if err := os.RemoveAll(p); err != nil {
			return fault.New(fault.BadInput, "remove", p, unwrapPath(err))
		}

		files += n
		bytes += b
	}

	if a.json {
		return a.printJSON(map[string]any{"schemaVersion": report.SchemaVersion, "files": files, "freedBytes": bytes})
	}

	a.say("removed %s, %s", report.Count(files, "file"), measure.Bytes(bytes))
	return nil
}

func weigh(path string) (files int, bytes int64) {
	// Errors are ignored: what cannot be read counts as nothing.
	filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				files++
				bytes += info.Size()
			}
		}

		return nil
	})
	return files, bytes
}
