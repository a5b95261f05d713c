package cli

import (
	"errors"
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
		Short: "Remove outputs and, when asked, caches; says what that freed",
		Example: `  layersmith clean                    the outputs of this workspace
  layersmith clean --cache            and what can be made again
  layersmith clean --cache --wheels   and downloaded wheels`,
		ValidArgsFunction: a.completeLayers,
		RunE: func(cmd *cobra.Command, layers []string) error {
			w, _, err := a.open()
			if err != nil {
				return err
			}

			names := layers
			if len(names) == 0 {
				names = w.Names()
			}

			var remove []string
			for _, n := range names {
				if _, ok := w.Layer(n); !ok {
					return fault.New(fault.BadInput, "clean", n, errors.New("no such layer")).
						WithHint(suggestLayer(w.Names()))
				}

				for _, t := range pydist.Targets() {
					for _, f := range []string{
						engine.ZipName(n, t),
						engine.ManifestName(n, t),
						engine.ArtifactName(n, t),
					} {
						remove = append(remove, filepath.Join(a.outputDir, f))
					}
				}
			}

			if len(layers) == 0 {
				remove = append(remove, filepath.Join(a.outputDir, engine.ReportName))
			}

			dir, err := a.cacheFolder()
			if err != nil {
				return err
			}

			if cache {
				remove = append(remove, filepath.Join(dir, "packs"), filepath.Join(dir, "temp"),
					filepath.Join(dir, "interpreters.json"))
			}

			if wheels {
				remove = append(remove, filepath.Join(dir, "wheels"))
			}

			var files int
			var bytes int64
			for _, p := range remove {
				n, b := weigh(p)
				if n == 0 {
					continue
				}

				if err := os.RemoveAll(p); err != nil {
					return fault.New(fault.BadInput, "remove", p, unwrapPath(err))
				}

				files = files + n
				bytes = bytes + b
			}

			if a.json {
				return a.printJSON(
					map[string]any{"schemaVersion": report.SchemaVersion, "files": files, "freedBytes": bytes},
				)
			}

			a.say("removed %d files, %s", files, measure.Bytes(bytes))
			return nil
		},
	}
	c.Flags().BoolVar(&cache, "cache", false, "also what can be made again: bytecode, stripped files, indexes")
	c.Flags().BoolVar(&wheels, "wheels", false, "also the wheel store")
	return c
}

func weigh(path string) (files int, bytes int64) {
	filepath.WalkDir(path, func(_ string, d fs.DirEntry, err error) error { // what cannot be read weighs nothing
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
