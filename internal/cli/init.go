package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// initFlags are the flags of init.
type initFlags struct {
	layer string
	files []string
}

func (a *app) initCommand() *cobra.Command {
	var flags initFlags
	c := &cobra.Command{
		Use:   "init REQUIREMENT...",
		Short: "Write a workspace with one layer for some requirements, or add a layer",
		Long: `Write a workspace with one layer for some requirements: names with or without versions, or the
requirements file of a project, which is copied. In an existing workspace this adds a layer.`,
		Example: `  layersmith init pandas 'numpy>=2'
  layersmith init -r requirements.txt
  layersmith init boto3 --layer aws --workspace layers`,
		RunE: func(_ *cobra.Command, requirements []string) error { return a.init(flags, requirements) },
	}
	c.Flags().StringVar(&flags.layer, "layer", "main", "name of the layer")
	c.Flags().StringArrayVarP(&flags.files, "requirement", "r", nil, "take the requirements of a file; repeatable")
	return c
}

func (a *app) init(flags initFlags, requirements []string) error {
	if err := workspace.CheckLayerName(flags.layer); err != nil {
		return fault.New(fault.BadInput, "init", "", err).WithHint("name it with --layer")
	}

	text, err := initialRequirements(flags.files, requirements)
	if err != nil {
		return err
	}

	t, err := pydist.ParseTarget(cmp.Or(a.target, workspace.DefaultTarget))
	if err != nil {
		return fault.New(fault.BadInput, "init", "", err)
	}

	fresh, err := a.checkPlace(flags.layer)
	if err != nil {
		return err
	}

	if err := a.writeWorkspace(flags.layer, t, text, fresh); err != nil {
		return err
	}

	root := filepath.ToSlash(a.workspaceDir)
	if _, err := workspace.Load(localport.Workspace{Dir: a.workspaceDir}, root); err != nil {
		return err
	}

	next := "layersmith build"
	if !fresh {
		next += " " + flags.layer
	}

	a.say("wrote   %s with the layer %s; next: %s", a.workspaceDir, flags.layer, next)
	return nil
}

// checkPlace reports whether the workspace is new. A folder of other things, and a layer that is
// there, are faults: init writes over nothing.
func (a *app) checkPlace(layer string) (fresh bool, err error) {
	entries, err := os.ReadDir(a.workspaceDir)
	if err != nil || len(entries) == 0 {
		return true, nil
	}

	if _, err := os.Stat(filepath.Join(a.workspaceDir, layer)); err == nil {
		return false, fault.New(fault.BadInput, "init", a.workspaceDir, fmt.Errorf("the layer %s exists", layer)).
			WithHint("name the new layer with --layer, or edit " +
				filepath.ToSlash(filepath.Join(a.workspaceDir, layer, "requirements.txt")))
	}

	root := filepath.ToSlash(a.workspaceDir)
	if _, err := workspace.Load(localport.Workspace{Dir: a.workspaceDir}, root); err != nil {
		return false, fault.New(fault.BadInput, "init", a.workspaceDir,
			errors.New("the folder exists, and is no workspace to add a layer to")).
			WithHint("name another with --workspace, or see what is wrong with: layersmith status")
	}

	return false, nil
}

// initialRequirements is the text of the new requirements.txt. Mistakes name the argument or the file
// and line.
func initialRequirements(files, requirements []string) (string, error) {
	if len(files)+len(requirements) == 0 {
		return "", fault.New(fault.BadInput, "init", "", errors.New("no requirements are given")).
			WithHint("name what the layer shall have (layersmith init pandas boto3), or a file " +
				"(layersmith init -r requirements.txt)")
	}

	var text strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fault.New(fault.BadInput, "init", file, unwrapPath(err)).
				WithHint("name a requirements file with -r")
		}

		if hint := exportHint(file); hint != "" {
			return "", fault.New(fault.BadInput, "init", file, errors.New("it is no requirements file")).WithHint(hint)
		}

		if err := parseRequirements(file, b); err != nil {
			return "", err
		}

		fmt.Fprintf(&text, "%s\n", strings.TrimRight(string(b), "\r\n"))
	}

	for _, r := range requirements {
		if _, err := os.Stat(r); err == nil && looksLikeFile(r) {
			const isFile = "is a file, and not the name of a distribution"
			return "", fault.New(fault.BadInput, "init", r, errors.New(isFile)).
				WithHint(cmp.Or(exportHint(r), "did you mean -r "+r+"?"))
		}

		fmt.Fprintln(&text, r)
	}

	return text.String(), parseRequirements("requirements.txt", []byte(text.String()))
}

// looksLikeFile reports whether an argument is written as the name of a file of requirements.
func looksLikeFile(arg string) bool {
	return slices.Contains([]string{".txt", ".in", ".toml", ".lock", ".cfg"}, filepath.Ext(arg)) ||
		filepath.Base(arg) == "Pipfile"
}

// exportHint is how the files of other tools become requirements; "" for other files.
func exportHint(file string) string {
	switch base := filepath.Base(file); {
	case base == "poetry.lock":
		return "run: poetry export -o requirements.txt, then: layersmith init -r requirements.txt"
	case base == "Pipfile", base == "Pipfile.lock":
		return "run: pipenv requirements > requirements.txt, then: layersmith init -r requirements.txt"
	case base == "uv.lock", base == "pyproject.toml":
		return "run: uv export --no-emit-project -o requirements.txt, then: layersmith init -r requirements.txt"
	case filepath.Ext(base) == ".toml", filepath.Ext(base) == ".lock":
		return "export it as requirements.txt, then: layersmith init -r requirements.txt"
	}

	return ""
}

// parseRequirements checks requirements. What they include must be beside the layer, where the copy
// will be.
func parseRequirements(name string, b []byte) error {
	_, err := pydist.ParseRequirements(name, func(file string) ([]byte, error) {
		if file == name || file == filepath.Clean(name) {
			return b, nil
		}

		return nil, errors.New("the requirements are copied, and what they include would be elsewhere; " +
			"give each file with -r")
	})
	if err != nil {
		return fault.New(fault.BadInput, "init", "", err).WithHint(cmp.Or(fault.HintOf(err), hintRequirement))
	}

	return nil
}

const hintRequirement = "write requirements as pip takes them: pandas, or 'pandas>=2,<3'"

// writeWorkspace writes the files of a new layer, and those of a new workspace if it is fresh.
func (a *app) writeWorkspace(name string, t pydist.Target, requirements string, fresh bool) error {
	layer := filepath.Join(a.workspaceDir, name)
	if err := os.MkdirAll(layer, 0o755); err != nil {
		return fault.New(fault.BadInput, "init", layer, unwrapPath(err))
	}

	files := map[string]string{
		filepath.Join(layer, "requirements.txt"): requirements,
		filepath.Join(layer, "layer.yaml"):       fmt.Sprintf(layerTemplate, schemas),
	}
	if fresh {
		files[filepath.Join(a.workspaceDir, "workspace.yaml")] = fmt.Sprintf(workspaceTemplate, schemas, t)
	}

	for file, content := range files {
		err := localport.WriteFile(file, func(w io.Writer) error {
			_, err := io.WriteString(w, content)
			return err
		})
		if err != nil {
			return fault.New(fault.BadInput, "init", file, unwrapPath(err))
		}
	}

	return nil
}

// schemas is where editors find the schemas of the workspace's files.
const schemas = "https://raw.githubusercontent.com/layersmith/layersmith/main/docs/schema"

const workspaceTemplate = `# yaml-language-server: $schema=%s/workspace.schema.json
# Settings of all layers. A layer is a folder beside this file with a requirements.txt.
targets: [%s] # runtime and architecture; the first is the default
budget:
  total: 225 MiB # for any set of layers that one function may use; Lambda allows 250 MiB with the function's own code
`

const layerTemplate = `# yaml-language-server: $schema=%s/layer.schema.json
# Settings of this layer. All of them are optional.
description: ""
# extends: other-layer            # leave out what that layer has
# budget: { unzipped: 140 MB, zipped: 50 MB }
bytecode: auto # auto | unchecked-hash | lean | sourceless | none
# compression: best              # smallest zip; the first build takes longer
# imports: [sklearn.ensemble]     # modules whose import time is measured
# services: [s3, dynamodb]        # AWS services that functions call (default: all)
# modules: { scipy: [linalg, sparse, special, stats] }
# rules:
#   sklearn-datasets: { enabled: true, reason: no sample data in production }
# keep:
#   - { match: "pandas/tests/data/**", reason: our probe reads it }
`
