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
requirements file of a project. The file is copied; one that includes others is included, and must be
in the workspace's repository. In an existing workspace this adds a layer.`,
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

	text, err := a.initialRequirements(flags, requirements)
	if err != nil {
		return err
	}

	t, err := parseTarget(cmp.Or(a.target, workspace.DefaultTarget))
	if err != nil {
		return err
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
	hidden := func(d os.DirEntry) bool { return strings.HasPrefix(d.Name(), ".") } // such as .gitkeep
	if err != nil || len(slices.DeleteFunc(entries, hidden)) == 0 {
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

func noRequirements() error {
	return fault.New(fault.BadInput, "init", "", errors.New("no requirements are given")).
		WithHint("name what the layer shall have (layersmith init pandas boto3), or a file " +
			"(layersmith init -r requirements.txt)")
}

// initialRequirements is the text of the new requirements.txt. Mistakes name the argument or the
// file and line.
func (a *app) initialRequirements(flags initFlags, requirements []string) (string, error) {
	if len(flags.files)+len(requirements) == 0 {
		return "", noRequirements()
	}

	var text strings.Builder
	for _, file := range flags.files {
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fault.New(fault.BadInput, "init", file, unwrapPath(err)).
				WithHint("name a requirements file with -r")
		}

		if hint := exportHint(file); hint != "" {
			return "", fault.New(fault.BadInput, "init", file, errors.New("it is no requirements file")).WithHint(hint)
		}

		copied, err := a.requirementsOf(file, b, flags.layer)
		if err != nil {
			return "", err
		}

		fmt.Fprintf(&text, "%s\n", strings.TrimRight(copied, "\r\n"))
	}

	for _, r := range requirements {
		if err := checkIsNoFile(r); err != nil {
			return "", err
		}

		if err := parseRequirements(r); err != nil {
			return "", err
		}

		fmt.Fprintln(&text, r)
	}

	if strings.TrimSpace(text.String()) == "" {
		return "", noRequirements()
	}

	return text.String(), nil
}

// requirementsOf is the text for the new layer of a requirements file: a copy, or a line that
// includes it if it includes others.
func (a *app) requirementsOf(file string, b []byte, layer string) (string, error) {
	included := false
	_, err := pydist.ParseRequirements(filepath.ToSlash(file), func(name string) ([]byte, error) {
		if name == filepath.ToSlash(filepath.Clean(file)) {
			return b, nil
		}

		included = true
		return os.ReadFile(filepath.FromSlash(name))
	})
	if err != nil {
		return "", requirementFault("", err)
	}

	if !included {
		return strings.TrimPrefix(string(b), "\ufeff"), nil
	}

	return a.including(file, layer)
}

// including is the line with which the new layer includes a file.
func (a *app) including(file, layer string) (string, error) {
	fromLayer, err := relative(filepath.Join(a.workspaceDir, layer), file)
	if err != nil {
		return "", fault.New(fault.BadInput, "init", file, err)
	}

	line := "-r " + fromLayer
	files := localport.Workspace{Dir: a.workspaceDir}
	name := layer + "/requirements.txt"
	_, err = pydist.ParseRequirements(name, func(f string) ([]byte, error) {
		if f == name {
			return []byte(line), nil
		}

		return workspace.ReadFile(files, f)
	})
	if err != nil {
		return "", fault.New(fault.BadInput, "init", file,
			errors.New("it includes other files, and a layer may include only files of the repository that it is in")).
			WithHint("make the workspace in the same git repository, or write what it includes into the file")
	}

	return line, nil
}

// relative is the path from a folder to a file, with slashes.
func relative(folder, file string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return "", err
	}

	if file, err = filepath.Abs(file); err != nil {
		return "", err
	}

	way, err := filepath.Rel(folder, file)
	return filepath.ToSlash(way), err
}

// checkIsNoFile refuses the name of a file where the name of a distribution is expected.
func checkIsNoFile(arg string) error {
	_, err := os.Stat(arg)
	there := err == nil && (looksLikeFile(arg) || filepath.Ext(arg) == ".py")
	if !there && !looksLikeFile(arg) {
		return nil
	}

	reason, hint := "is a file, and not the name of a distribution", "did you mean -r "+arg+"?"
	switch {
	case !there:
		reason, hint = "there is no such file, and no distribution has such a name", "name a file that is there with -r"
	case filepath.Ext(arg) == ".py":
		hint = "name what it imports from other distributions: layersmith init pandas boto3"
	}

	return fault.New(fault.BadInput, "init", arg, errors.New(reason)).WithHint(cmp.Or(exportHint(arg), hint))
}

// looksLikeFile reports whether an argument is written as the name of a file of requirements.
func looksLikeFile(arg string) bool {
	return slices.Contains([]string{".txt", ".toml", ".lock", ".cfg"}, filepath.Ext(arg)) ||
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

// parseRequirements checks a requirement that is an argument.
func parseRequirements(arg string) error {
	_, err := pydist.ParseRequirements("requirements.txt", func(file string) ([]byte, error) {
		if file == "requirements.txt" {
			return []byte(arg), nil
		}

		return nil, errors.New("name the file with -r, outside of quotes")
	})
	if err != nil {
		return requirementFault(arg, err)
	}

	return nil
}

// requirementFault is the fault of a mistake in a file, or of an argument.
func requirementFault(arg string, err error) error {
	hint := hintRequirement
	if at, ok := errors.AsType[*pydist.PositionError](err); ok {
		hint = cmp.Or(at.Hint, hint)
		if arg != "" {
			err = errors.New(at.Msg)
		}
	}

	return fault.New(fault.BadInput, "init", arg, err).WithHint(hint)
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
