package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) initCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:     "init REQUIREMENT...",
		Short:   "Write a workspace with one layer for some requirements",
		Example: "  layersmith init pandas 'numpy>=2'\n  layersmith init boto3 --layer aws --workspace layers",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(_ *cobra.Command, requirements []string) error { return a.init(name, requirements) },
	}
	c.Flags().StringVar(&name, "layer", "main", "name of the layer")
	return c
}

func (a *app) init(name string, requirements []string) error {
	if err := workspace.CheckLayerName(name); err != nil {
		return fault.New(fault.BadInput, "init", "", err).WithHint("name it with --layer")
	}

	text := strings.Join(requirements, "\n") + "\n"
	read := func(string) ([]byte, error) { return []byte(text), nil }
	if _, err := pydist.ParseRequirements("requirements.txt", read); err != nil {
		return fault.New(fault.BadInput, "init", "", err).WithHint(fault.HintOf(err))
	}

	t, err := pydist.ParseTarget(cmp.Or(a.target, workspace.DefaultTarget))
	if err != nil {
		return fault.New(fault.BadInput, "init", "", err)
	}

	if entries, err := os.ReadDir(a.workspaceDir); err == nil && len(entries) > 0 {
		return fault.New(fault.BadInput, "init", a.workspaceDir, errors.New("the folder exists and is not empty")).
			WithHint("name another with --workspace")
	}

	if err := a.writeWorkspace(name, t, text); err != nil {
		return err
	}

	if _, err := workspace.Load(os.DirFS(a.workspaceDir), filepath.ToSlash(a.workspaceDir)); err != nil {
		return err
	}

	a.say("wrote   %s with the layer %s; next: layersmith build", a.workspaceDir, name)
	return nil
}

// writeWorkspace writes the files of a new workspace.
func (a *app) writeWorkspace(name string, t pydist.Target, requirements string) error {
	layer := filepath.Join(a.workspaceDir, name)
	if err := os.MkdirAll(layer, 0o755); err != nil {
		return fault.New(fault.BadInput, "init", layer, unwrapPath(err))
	}

	for file, content := range map[string]string{
		filepath.Join(a.workspaceDir, "workspace.yaml"): fmt.Sprintf(workspaceTemplate, schemas, t),
		filepath.Join(layer, "requirements.txt"):        requirements,
		filepath.Join(layer, "layer.yaml"):              fmt.Sprintf(layerTemplate, schemas),
	} {
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
