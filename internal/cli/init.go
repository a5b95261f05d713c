package cli

import (
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
		Short:   "Write a commented workspace with one layer for these requirements",
		Example: "  layersmith init pandas 'numpy>=2'\n  layersmith init boto3 --layer aws --workspace layers",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, reqs []string) error {
			if err := workspace.CheckLayerName(name); err != nil {
				return fault.New(fault.BadInput, "init", "", err).WithHint("name it with --layer")
			}

			text := strings.Join(reqs, "\n") + "\n"
			if _, err := pydist.ParseRequirements("requirements.txt",
				func(string) ([]byte, error) { return []byte(text), nil }); err != nil {
				return fault.New(fault.BadInput, "init", "", err).WithHint(fault.HintOf(err))
			}

			if a.target == "" {
				a.target = workspace.DefaultTarget
			}

			t, err := pydist.ParseTarget(a.target)
			if err != nil {
				return fault.New(fault.BadInput, "init", "", err)
			}

			if entries, err := os.ReadDir(a.workspaceDir); err == nil && len(entries) > 0 {
				return fault.New(fault.BadInput, "init", a.workspaceDir,
					errors.New("the folder is there and not empty")).
					WithHint("name another with --workspace")
			}

			layer := filepath.Join(a.workspaceDir, name)
			if err := os.MkdirAll(layer, 0o755); err != nil {
				return fault.New(fault.BadInput, "init", layer, unwrapPath(err))
			}

			for file, content := range map[string]string{
				filepath.Join(a.workspaceDir, "workspace.yaml"): fmt.Sprintf(workspaceTemplate, t),
				filepath.Join(layer, "requirements.txt"):        text,
				filepath.Join(layer, "layer.yaml"):              layerTemplate,
			} {
				if err := localport.WriteFile(file,
					func(w io.Writer) error { _, err := io.WriteString(w, content); return err }); err != nil {
					return fault.New(fault.BadInput, "init", file, unwrapPath(err))
				}
			}

			if _, err := workspace.Load(os.DirFS(a.workspaceDir), filepath.ToSlash(a.workspaceDir)); err != nil {
				return err
			}

			a.say("wrote   %s with the layer %s; next: layersmith build", a.workspaceDir, name)
			return nil
		},
	}
	c.Flags().StringVar(&name, "layer", "main", "name of the layer")
	return c
}

const workspaceTemplate = `# yaml-language-server: $schema=https://raw.githubusercontent.com/layersmith/layersmith/main/docs/schema/workspace.schema.json
# What all layers share. Layers are the folders beside this file that hold a requirements.txt.
targets: [%s] # runtime and architecture; the first is built when none is named
budget:
  total: 225 MiB # any set of layers that one function may use; Lambda allows 250 MiB with the function's own code
`

const layerTemplate = `# yaml-language-server: $schema=https://raw.githubusercontent.com/layersmith/layersmith/main/docs/schema/layer.schema.json
# Everything about this layer that is not a requirement. All of it may go.
description: ""
# extends: other-layer            # never carries what that layer carries
# budget: { unzipped: 140 MB, zipped: 50 MB }
bytecode: auto # auto | unchecked-hash | lean | sourceless | none
# compression: best              # the smallest zip; the first build takes longer
# imports: [sklearn.ensemble]     # what import time is measured on
# services: [s3, dynamodb]        # AWS services that functions call; all when absent
# modules: { scipy: [linalg, sparse, special, stats] }
# rules:
#   sklearn-datasets: { enabled: true, reason: no sample data in production }
# keep:
#   - { match: "pandas/tests/data/**", reason: our probe reads it }
`
