package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/report"
)

// lastReport reads dist/report.json.
func (a *app) lastReport() (report.Report, error) {
	file := filepath.Join(a.outputDir, engine.ReportName)
	var r report.Report
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}

	if err == nil && r.SchemaVersion != report.SchemaVersion {
		err = fmt.Errorf("schema version %d; known: %d", r.SchemaVersion, report.SchemaVersion)
	}

	if err != nil {
		return r, fault.New(fault.BadInput, "read", file, unwrapPath(err)).WithHint("run: layersmith build")
	}

	return r, nil
}

// unwrapPath drops "open FILE:" from an error whose subject names the file already.
func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}

	return err
}

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "report [ZIP_OR_FOLDER...]",
		Short: "Show sizes of the last build by package, file type and rule",
		Long: `Show sizes of the last build by package, file type and rule; or those of any zips and folders, whatever tool
made them. Their target is found by their files, unless --target names it.`,
		Example: `  layersmith report
  layersmith report sam-layer.zip
  layersmith report --json | jq '.layers[].packages'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return a.reportOf(cmd.Context(), args)
			}

			r, err := a.lastReport()
			if err != nil {
				return err
			}

			if w, _, err := a.open(); err == nil {
				r = engine.Judged(w, r)
			}

			if a.json {
				return a.printJSON(r)
			}

			fmt.Fprintf(a.Out, "target  %s\n", r.Target)
			report.Text(a.text(), r, report.TextOptions{Verbose: a.verbose})
			fmt.Fprintln(a.Out)
			report.Details(a.text(), r)
			return nil
		},
	}
}
