package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/internal/workspace"
)

func (a *app) pushCommand() *cobra.Command {
	var in where
	var dryRun, remove bool
	c := &cobra.Command{
		Use:   "push",
		Short: "Upload what changed in the workspace; the account releases it by itself",
		Long: `Check the workspace as build does, and upload what changed to the bucket that the account watches.
The last upload starts an execution; follow it with: layersmith watch

The workspace is its own files (workspace.yaml, consumers.yaml, locks), the folders of its layers, and
what requirements name beside them: files that they include, and wheels by path. Other folders, hidden
files, __pycache__ and wheels that nothing names stay here.`,
		Example: `  layersmith push --dry-run
  layersmith push && layersmith watch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			w, _, err := a.open()
			if err != nil {
				return err
			}

			local, err := a.workspaceFiles(w)
			if err != nil {
				return err
			}

			account, err := in.connect(ctx)
			if err != nil {
				return err
			}

			p, err := compare(ctx, account.Workspace, local)
			if err != nil {
				return err
			}

			p.Bucket = account.WorkspaceBucket
			p.DryRun = dryRun
			if remove {
				p.Deleted = p.OnlyThere
				p.OnlyThere = []string{}
			}

			if !dryRun {
				if err := p.run(ctx, account.Workspace, local); err != nil {
					return err
				}
			}

			if a.json {
				return a.printJSON(p)
			}

			p.say(a)
			return nil
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done")
	c.Flags().BoolVar(&remove, "delete", false, "delete files from the bucket that are gone here")
	in.flags(c)
	return c
}

// pushed is what a push did, or would do.
type pushed struct {
	SchemaVersion int           `json:"schemaVersion"`
	Bucket        string        `json:"bucket"`
	DryRun        bool          `json:"dryRun"`
	Uploaded      []string      `json:"uploaded"`
	Deleted       []string      `json:"deleted"`
	OnlyThere     []string      `json:"onlyThere"` // in the bucket, and not here
	Unchanged     int           `json:"unchanged"`
	Bytes         measure.Bytes `json:"bytes"` // uploaded
}

// compares is how many files are compared at the same time: with a KMS key each takes a request.
const compares = 8

// compare says what a push has to do. Requirements come last among the uploads: an execution acts
// on the newest upload and takes the workspace as it is then, so everything that they need must be
// there before.
func compare(ctx context.Context, remote awsport.Workspace, local map[string][]byte) (pushed, error) {
	p := pushed{SchemaVersion: 1, Uploaded: []string{}, Deleted: []string{}, OnlyThere: []string{}}
	listed, err := remote.List(ctx)
	if err != nil {
		return p, err
	}

	same := make([]bool, len(listed))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(compares)
	for i, there := range listed {
		content, here := local[there.Name]
		if !here {
			p.OnlyThere = append(p.OnlyThere, there.Name)
			continue
		}

		g.Go(func() (err error) {
			same[i], err = remote.Same(ctx, there, content)
			return err
		})
	}

	if err := g.Wait(); err != nil {
		return p, err
	}

	unchanged := map[string]bool{}
	for i, there := range listed {
		if same[i] {
			unchanged[there.Name] = true
		}
	}

	for name, content := range local {
		if !unchanged[name] {
			p.Uploaded = append(p.Uploaded, name)
			p.Bytes += measure.Bytes(len(content))
		}
	}

	p.Unchanged = len(unchanged)
	slices.SortFunc(p.Uploaded, func(a, b string) int {
		last := func(name string) int {
			if path.Base(name) == "requirements.txt" {
				return 1
			}

			return 0
		}
		if c := last(a) - last(b); c != 0 {
			return c
		}

		return strings.Compare(a, b)
	})
	return p, nil
}

// run deletes first: a deletion starts nothing, and the upload that starts an execution must find
// the workspace complete. Uploads go one after the other, so that the last one is the newest.
func (p *pushed) run(ctx context.Context, remote awsport.Workspace, local map[string][]byte) error {
	total := len(p.Deleted) + len(p.Uploaded)
	for i, name := range p.Deleted {
		if err := remote.Delete(ctx, name); err != nil {
			return halfPushed(ctx, err, i, total)
		}
	}

	for i, name := range p.Uploaded {
		if err := remote.Put(ctx, name, local[name]); err != nil {
			return halfPushed(ctx, err, len(p.Deleted)+i, total)
		}
	}

	return nil
}

// halfPushed says how far a push came. It can be repeated: it begins where it stopped.
func halfPushed(ctx context.Context, err error, done, total int) error {
	if ctx.Err() != nil {
		return &interrupted{fmt.Sprintf("%d of %d files are pushed; run it again to push the rest", done, total)}
	}

	if done == 0 {
		return err
	}

	var f *fault.Error
	if !errors.As(err, &f) {
		return err
	}

	g := *f
	g.Err = fmt.Errorf("%w; %d of %d files were pushed before", f.Err, done, total)
	return &g
}

func (p *pushed) say(a *app) {
	uploads := "uploaded"
	deletes := "deleted"
	if p.DryRun {
		uploads = "would upload"
		deletes = "would delete"
	}

	for _, name := range p.Deleted {
		a.say("%s %s", deletes, name)
	}

	for _, name := range p.Uploaded {
		a.say("%s %s", uploads, name)
	}

	bucket := "s3://" + p.Bucket + "/" + awsport.WorkspacePrefix
	switch {
	case len(p.Uploaded)+len(p.Deleted) == 0:
		a.say("nothing changed: %s has %s", bucket, report.Count(p.Unchanged, "file"))
	case p.DryRun:
		a.say("nothing was done: %s would be uploaded to %s, %d deleted, %d are the same",
			report.Count(len(p.Uploaded), "file"), bucket, len(p.Deleted), p.Unchanged)
	default:
		a.say("pushed  %s (%s) to %s; %d deleted, %d are the same", report.Count(len(p.Uploaded), "file"), p.Bytes,
			bucket, len(p.Deleted), p.Unchanged)
		if len(p.Uploaded) > 0 {
			a.say("        an execution starts by itself; follow it with: layersmith watch")
		} else {
			a.say("        a deletion starts nothing by itself; run: layersmith start")
		}
	}

	if n := len(p.OnlyThere); n > 0 {
		shown := strings.Join(p.OnlyThere[:min(n, 5)], ", ")
		if n > 5 {
			shown += fmt.Sprintf(" and %d more", n-5)
		}

		a.say("note    %s in the bucket, not here: %s; --delete removes such files", verb(n, "is", "are"), shown)
	}
}

func verb(n int, one, many string) string {
	if n == 1 {
		return "1 file " + one
	}

	return fmt.Sprintf("%d files %s", n, many)
}

// workspaceFiles reads what belongs to the workspace, by name relative to it. What the account
// would refuse as too large is refused here.
func (a *app) workspaceFiles(w workspace.Workspace) (map[string][]byte, error) {
	root := filepath.Clean(a.workspaceDir)
	fsys := os.DirFS(root)
	named, err := namedFiles(w, filepath.ToSlash(root))
	if err != nil {
		return nil, err
	}

	names := slices.Clone(named)
	err = fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case name == ".":
		case d.IsDir():
			_, isLayer := w.Layer(name)
			if strings.HasPrefix(base, ".") || base == "__pycache__" || !isLayer && !strings.Contains(name, "/") {
				return fs.SkipDir
			}
		case strings.HasPrefix(base, "."), strings.HasSuffix(base, ".whl"), strings.HasSuffix(base, ".pyc"):
		default:
			if info, err := fs.Stat(fsys, name); err != nil {
				return err
			} else if info.Mode().IsRegular() {
				names = append(names, name)
			}
		}

		return nil
	})
	if err != nil {
		return nil, fault.New(fault.BadInput, "read workspace", root, err)
	}

	slices.Sort(names)
	names = slices.Compact(names)
	const smaller = "keep data and wheels outside of the workspace; name a wheel by an https URL"
	if len(names) > workflow.MaxWorkspaceFiles {
		return nil, fault.New(fault.BadInput, "push", root,
			fmt.Errorf("%d files, at most %d", len(names), workflow.MaxWorkspaceFiles)).
			WithHint(smaller)
	}

	files := make(map[string][]byte, len(names))
	var total int64
	for _, name := range names {
		where := path.Join(filepath.ToSlash(root), name)
		info, err := fs.Stat(fsys, name)
		if err == nil && info.Size() > workflow.MaxWorkspaceFileBytes {
			return nil, fault.New(fault.BadInput, "push", where,
				fmt.Errorf("%s, at most %s", measure.Bytes(info.Size()), measure.Bytes(workflow.MaxWorkspaceFileBytes))).
				WithHint(smaller)
		}

		if err == nil {
			files[name], err = fs.ReadFile(fsys, name)
		}

		if err != nil {
			return nil, fault.New(fault.BadInput, "read", where, err)
		}

		if total += int64(len(files[name])); total > workflow.MaxWorkspaceBytes {
			return nil, fault.New(fault.BadInput, "push", root,
				fmt.Errorf("more than %s", measure.Bytes(workflow.MaxWorkspaceBytes))).
				WithHint(smaller)
		}
	}

	return files, nil
}

// namedFiles are those that requirements name, wherever they lie in the workspace.
func namedFiles(w workspace.Workspace, root string) ([]string, error) {
	var names []string
	for _, l := range w.Layers {
		names = append(names, l.Requirements.Files...)
		for _, r := range slices.Concat(l.Requirements.Direct, l.Requirements.Constraints) {
			if r.URL == "" || strings.Contains(r.URL, "://") {
				continue
			}

			file, _, _ := strings.Cut(r.URL, "#") // the hash
			name := path.Join(l.Name, file)
			if !fs.ValidPath(name) {
				return nil, fault.New(fault.BadInput, "push", fmt.Sprintf("%s:%d", path.Join(root, r.File), r.Line),
					fmt.Errorf("%s is outside of the workspace", file)).
					WithHint("put the wheel below " + root + "/, where the account gets it too")
			}

			names = append(names, name)
		}
	}

	return names, nil
}
