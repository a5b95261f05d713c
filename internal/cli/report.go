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

// lastReport reads the report of the last build, of a target or, for "", of any.
func (a *app) lastReport(target string) (report.Report, error) {
	r, err := a.readReport(engine.ReportName)
	if target == "" || err == nil && r.Target == target {
		return r, err
	}

	if of, err := a.readReport(engine.ReportOf(target)); err == nil {
		return of, nil
	}

	return r, err
}

func (a *app) readReport(name string) (report.Report, error) {
	file := filepath.Join(a.outputDir, name)
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
		Long: `Show sizes of the last build by package, file type and rule; or those of any zips and folders, whatever
tool made them. Their target is found by their files, unless --target names it.`,
		Example: `  layersmith report
  layersmith report sam-layer.zip
  layersmith report --json | jq '.layers[].packages'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return a.reportOf(cmd.Context(), args)
			}

			return a.eachTarget(cmd.Context(), (*app).report)
		},
	}
}

func (a *app) report() error {
	r, err := a.lastReport(a.target)
	if err != nil {
		return err
	}

	if a.target != "" && r.Target != a.target {
		if len(a.targets) == 0 {
			a.say("target  %s: not built", a.target)
			return nil
		}

		return fault.New(fault.BadInput, "report", a.target, errors.New("is not built")).
			WithHint("run: layersmith build --target " + a.target)
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
}
