package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// artifactsCommand is what CodeBuild runs. The run's address is all that it needs.
func (a *app) artifactsCommand() *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use:    "artifacts s3://STORE/runs/RUN",
		Short:  "Build the unpruned artifacts of a run of the workflow (CodeBuild runs this)",
		Hidden: true,
		Long: `Reads what the run was asked for from the store bucket, locks, fetches and assembles the layers of its
workspace with bytecode, and stores one unpruned artifact for each layer and target, and a list of them.
When that cannot be done, the reason is stored too, for the run's report.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			bucket, name, err := runAddress(args[0])
			if err != nil {
				return err
			}

			b, err := a.artifactsBuild(cmd.Context(), bucket, prefix)
			if err != nil {
				return err
			}

			return b.Run(cmd.Context(), name)
		},
	}
	c.Flags().StringVar(&prefix, "prefix", os.Getenv("LAYERSMITH_PREFIX"),
		"prefix of the layers' names in Lambda (default: $LAYERSMITH_PREFIX)")
	return c
}

func runAddress(address string) (bucket, run string, err error) {
	rest, ok := strings.CutPrefix(address, "s3://")
	bucket, run, _ = strings.Cut(rest, "/runs/")
	if !ok || bucket == "" || release.CheckRun(run) != nil {
		return "", "", fault.New(fault.BadInput, "read", address, errors.New("is not the address of a run")).
			WithHint("write s3://STORE/runs/RUN")
	}

	return bucket, run, nil
}

// artifactsBuild composes the use case with the store bucket and this machine.
func (a *app) artifactsBuild(ctx context.Context, bucket, prefix string) (workflow.Build, error) {
	cfg, err := awsport.Config(ctx, awsport.Options{Version: engine.Version})
	if err != nil {
		return workflow.Build{}, err
	}

	cache, err := a.cacheFolder()
	if err != nil {
		return workflow.Build{}, err
	}

	temp := filepath.Join(cache, "temp")
	if err := os.MkdirAll(temp, 0o755); err != nil {
		return workflow.Build{}, err
	}

	client := s3.NewFromConfig(cfg)
	return workflow.Build{
		Ledger: workflow.Ledger{
			Registers: awsport.Registers{Client: client, Bucket: bucket},
			Blobs:     awsport.Blobs{Client: client, Bucket: bucket, Temp: temp},
			Now:       time.Now,
		},
		Tool:   engine.Tool,
		Prefix: prefix,
		Site: func(ctx context.Context, files ziptree.Tree) (workflow.Site, func(), error) {
			return a.site(ctx, files, temp)
		},
	}, nil
}

// site is a workspace that was unpacked for one run.
type site struct {
	*app
	dir string
}

func (a *app) site(ctx context.Context, files ziptree.Tree, temp string) (workflow.Site, func(), error) {
	dir, remove, err := localport.Mounts{Dir: temp}.Mount(ctx, []ziptree.Tree{files}, engine.MountOptions{})
	if err != nil {
		return nil, nil, err
	}

	of := *a
	of.workspaceDir = filepath.Join(dir, "layers")
	of.outputDir = filepath.Join(dir, "dist")
	return site{app: &of, dir: dir}, remove, nil
}

func (s site) Workspace() (workspace.Workspace, error) {
	return workspace.Load(localport.Workspace{Dir: s.workspaceDir}, "layers")
}

func (s site) Read(name string) ([]byte, error)  { return s.read(name) }
func (s site) Write(name string, b []byte) error { return s.write(name, b) }
func (s site) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(s.outputDir, name))
}

func (s site) Artifacts(
	ctx context.Context, w workspace.Workspace, t pydist.Target, refresh bool,
) (report.Report, lock.Lock, error) {
	m, err := s.withPython(ctx, t, true)
	if err != nil {
		return report.Report{}, lock.Lock{}, s.shown(err)
	}
	defer m.close()

	l, err := s.lockAndFetch(ctx, m, engine.LockInput{Workspace: w, Target: t, UpgradeAll: refresh})
	if err != nil {
		return report.Report{}, lock.Lock{}, s.shown(err)
	}

	in := engine.BuildInput{Workspace: w, Lock: l, ReadFile: s.read, PlanOnly: true}
	rep, _, err := s.builder(m).Run(ctx, in)
	return rep, l, s.shown(err)
}

// shown is an error that names files as the people who pushed them know them, without the folder
// that they are unpacked in.
func (s site) shown(err error) error {
	if err == nil {
		return nil
	}

	short := strings.NewReplacer(filepath.ToSlash(s.dir)+"/", "")
	return fault.New(fault.CodeOf(err), "", "", errors.New(short.Replace(err.Error()))).
		WithHint(short.Replace(fault.HintOf(err)))
}
