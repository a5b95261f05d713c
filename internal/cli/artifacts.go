package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/stage"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// artifactsCommand is what CodeBuild runs. It does not read stack outputs: the run's address is all
// that it needs.
func (a *app) artifactsCommand() *cobra.Command {
	var prefix string
	c := &cobra.Command{
		Use:   "artifacts s3://STORE/runs/RUN",
		Short: "Build the unpruned artifacts that a run of the workflow asks for (CodeBuild runs this)",
		Long: `Reads what the run was asked for from the store bucket, locks, fetches and assembles the layers of its
workspace with bytecode, and stores one unpruned artifact for each layer and target, and a list of them.
When that cannot be done, the reason is stored too, for the run's report.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			bucket, name, err := runAddress(args[0])
			if err != nil {
				return err
			}

			cfg, err := awsport.Config(ctx, awsport.Options{Version: stage.Version})
			if err != nil {
				return err
			}

			client := s3.NewFromConfig(cfg)
			cache, err := a.cacheFolder()
			if err != nil {
				return err
			}

			temp := filepath.Join(cache, "temp")
			if err := os.MkdirAll(temp, 0o755); err != nil {
				return err
			}

			r := remote{
				app:       a,
				prefix:    prefix,
				registers: awsport.Registers{Client: client, Bucket: bucket},
				blobs:     awsport.Blobs{Client: client, Bucket: bucket, Temp: temp},
			}
			err = r.build(ctx, name, temp)
			if err != nil && ctx.Err() == nil {
				err = errors.Join(err, r.leave(ctx, name, err))
			}

			return err
		},
	}
	c.Flags().
		StringVar(&prefix, "prefix", os.Getenv("LAYERSMITH_PREFIX"),
			"of the layers' names in Lambda (default: $LAYERSMITH_PREFIX)")
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

// remote builds for a run whose workspace lies in a bucket.
type remote struct {
	*app
	prefix    string
	registers stage.Registers
	blobs     stage.Blobs
}

func (r remote) build(ctx context.Context, name, temp string) error {
	start := time.Now()
	var run release.Run
	if _, err := r.read(ctx, release.RunName(name), &run); err != nil {
		return err
	}

	var released release.Released
	if _, err := r.read(ctx, release.ReleasedName, &released); err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}

	dir, remove, err := r.unpack(ctx, run.Workspace, temp)
	if err != nil {
		return err
	}
	defer remove()
	// Messages name files as the people know them who pushed them: layers/NAME/requirements.txt:3.
	if err := os.Chdir(dir); err != nil {
		return err
	}

	r.workspaceDir = "layers"
	r.outputDir = "dist"
	w, _, err := r.open()
	if err != nil {
		return err
	}

	built := release.Built{
		SchemaVersion: release.SchemaVersion,
		Run:           name,
		Tool:          stage.Tool,
		Workspace:     run.Workspace.SHA256,
		Locks:         []release.Lock{},
		Layers:        []release.BuiltLayer{},
	}
	for _, t := range w.Targets {
		pushed, err := r.chooseLock(ctx, released, t)
		if err != nil {
			return err
		}

		m, err := r.machine(ctx, t)
		if err != nil {
			return err
		}

		rep, l, err := r.one(ctx, m, stage.LockInput{Workspace: w, Target: t, UpgradeAll: run.Request.Refresh})
		m.close()
		if err != nil {
			return err
		}

		b := l.Marshal()
		ref, err := r.blobs.Put(ctx, "locks/", ".toml",
			func(out io.Writer) error { _, err := out.Write(b); return err })
		if err != nil {
			return err
		}

		built.Locks = append(built.Locks, release.Lock{Target: t, File: ref, Pushed: pushed})
		for _, layer := range rep.Layers {
			below := w.Below(layer.Name)
			artifact, err := r.put(ctx, layer.Zip.Name)
			if err != nil {
				return err
			}

			r.say("stored  %s, %s MB", layer.Name, layer.Zip.Bytes.MB())
			built.Layers = append(built.Layers, release.BuiltLayer{
				Layer:     layer.Name,
				Target:    t,
				LayerName: release.LayerName(r.prefix, layer.Name, t, w.Targets[0]),
				Key:       layer.Key,
				Below:     below,
				Artifact:  artifact,
				Before:    layer.Before,
				Wheels:    layer.Inputs.Wheels,
				Bytecode:  layer.Bytecode,
			})
		}
	}

	built.Seconds = time.Since(start).Seconds()
	return r.store(ctx, release.BuiltName(name), built)
}

// one locks, fetches and assembles for one target.
func (r remote) one(ctx context.Context, m *machine, in stage.LockInput) (report.Report, lock.Lock, error) {
	l, err := r.lockAndFetch(ctx, m, in)
	if err != nil {
		return report.Report{}, lock.Lock{}, err
	}

	rep, _, err := r.buildStage(m).
		Run(ctx, stage.BuildInput{Workspace: in.Workspace, Lock: l, ReadProbe: r.app.read, PlanOnly: true})
	return rep, l, err
}

// chooseLock puts the lock of the last release into the workspace, unless another one was pushed
// since: a monthly refresh must not be undone by the next upload, which still has the lock from
// before it. It returns the digest of the pushed lock.
func (r remote) chooseLock(
	ctx context.Context,
	released release.Released,
	t pydist.Target,
) (pushed digest.SHA256, err error) {
	name := lock.FileName(t)
	b, err := r.app.read(name)
	switch {
	case err == nil:
		pushed = digest.Of(b)
	case !errors.Is(err, fs.ErrNotExist):
		return pushed, err
	}

	for _, l := range released.Locks {
		if l.Target != t || l.Pushed != pushed {
			continue
		}

		f, err := r.blobs.Open(ctx, l.File)
		if err != nil {
			return pushed, err
		}
		defer f.Close()
		b, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
		if err != nil {
			return pushed, err
		}

		return pushed, r.app.write(name, b)
	}

	return pushed, nil
}

// unpack makes a folder with the workspace's files below layers/.
func (r remote) unpack(ctx context.Context, ref blob.Ref, temp string) (dir string, remove func(), err error) {
	f, err := r.blobs.Open(ctx, ref)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	t, err := ziptree.Read(f, f.Size(), ref.Key)
	if err != nil {
		return "", nil, fault.New(fault.CorruptArchive, "open", ref.Key, err)
	}

	var entries []ziptree.Entry
	for _, e := range t.Entries() {
		entries = append(entries, e.Named("layers/"+e.Name))
	}

	if t, err = ziptree.New(entries); err != nil {
		return "", nil, err
	}

	return localport.Mounts{Dir: temp}.Mount(ctx, []ziptree.Tree{t}, true)
}

func (r remote) put(ctx context.Context, name string) (blob.Ref, error) {
	return r.blobs.Put(ctx, "artifacts/", ".zip", func(out io.Writer) error {
		f, err := os.Open(filepath.Join(r.outputDir, name))
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(out, f)
		return err
	})
}

func (r remote) read(ctx context.Context, name string, into any) (tag string, err error) {
	b, tag, err := r.registers.Load(ctx, name)
	if err != nil {
		return "", err
	}

	if err := release.Decode(b, into); err != nil {
		return "", fault.New(fault.ProvenanceMismatch, "read", name, err).
			WithHint("deploy the same version of Layersmith everywhere: make deploy")
	}

	return tag, nil
}

// store writes a document of the run; a build that is run again replaces it.
func (r remote) store(ctx context.Context, name string, doc any) error {
	b, err := release.Encode(doc)
	if err != nil {
		return err
	}

	_, tag, err := r.registers.Load(ctx, name)
	if err != nil && fault.CodeOf(err) != fault.NotFound {
		return err
	}

	_, err = r.registers.Store(ctx, name, b, tag)
	return err
}

// leave stores why there is no build, for the report of the run.
func (r remote) leave(ctx context.Context, name string, err error) error {
	return r.store(ctx, release.FailureName(name),
		release.Failure{Code: string(fault.CodeOf(err)), Message: err.Error(), Hint: fault.HintOf(err)})
}
