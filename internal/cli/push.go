package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/localport"
	"github.com/layersmith/layersmith/internal/operator"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) pushCommand() *cobra.Command {
	var in where
	var dryRun, remove bool
	c := &cobra.Command{
		Use:   "push",
		Short: "Upload changes of the workspace; the account releases them",
		Long: `Check the workspace as build does, and upload what changed to the bucket that the account watches.
The last upload starts an execution; follow it with: layersmith watch

The workspace is its own files (workspace.yaml, consumers.yaml, locks), the folders of its layers, and
what requirements name beside them: files that they include, and wheels by path. Other folders, hidden
files, __pycache__ and wheels that nothing names stay here.`,
		Example: `  layersmith push --dry-run
  layersmith push && layersmith watch`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, _, err := a.open()
			if err != nil {
				return err
			}

			root := filepath.Clean(a.workspaceDir)
			files, err := operator.Files(localport.Workspace{Dir: root}, w, filepath.ToSlash(root))
			if err != nil {
				return err
			}

			account, err := in.connect(cmd.Context())
			if err != nil {
				return err
			}

			p, err := account.Compare(cmd.Context(), files)
			if err != nil {
				return err
			}

			p.DryRun = dryRun
			if remove {
				p.DeleteOthers()
			}

			if !dryRun {
				if err := push(cmd.Context(), account, p, files); err != nil {
					return err
				}
			}

			if a.json {
				return a.printJSON(p)
			}

			a.sayPush(p)
			return nil
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "print what would be done")
	c.Flags().BoolVar(&remove, "delete", false, "delete files from the bucket that the workspace does not have")
	in.flags(c)
	return c
}

// push carries a push out. After Ctrl-C it says how far it came: a push can be repeated, and begins
// where it stopped.
func push(ctx context.Context, account operator.Account, p operator.Push, files map[string][]byte) error {
	done, err := account.Push(ctx, p, files)
	if err != nil && ctx.Err() != nil {
		total := len(p.Deleted) + len(p.Uploaded)
		return &interrupted{fmt.Sprintf("%d of %d files are pushed; run it again to push the rest", done, total)}
	}

	return err
}

func (a *app) sayPush(p operator.Push) {
	uploads, deletes := "uploaded", "deleted"
	if p.DryRun {
		uploads, deletes = "would upload", "would delete"
	}

	for _, name := range p.Deleted {
		a.say("%s %s", deletes, name)
	}

	for _, name := range p.Uploaded {
		a.say("%s %s", uploads, name)
	}

	bucket := "s3://" + p.Bucket + "/" + awsport.WorkspacePrefix
	uploaded := report.Count(len(p.Uploaded), "file")
	switch {
	case len(p.Uploaded)+len(p.Deleted) == 0:
		a.say("nothing changed: %s has %s", bucket, report.Count(p.Unchanged, "file"))
	case p.DryRun:
		a.say("nothing was done: %s would be uploaded to %s, %d deleted, %d are the same", uploaded, bucket,
			len(p.Deleted), p.Unchanged)
	default:
		a.say("pushed  %s (%s) to %s; %d deleted, %d are the same", uploaded, p.Bytes, bucket, len(p.Deleted),
			p.Unchanged)
		a.say("        %s", nextAfter(p))
	}

	a.sayOnlyThere(p.OnlyThere)
}

// nextAfter says what follows from a push.
func nextAfter(p operator.Push) string {
	if len(p.Uploaded) > 0 {
		return "an execution starts by itself; follow it with: layersmith watch"
	}

	return "a deletion starts no execution; run: layersmith start"
}

// maxShown is how many file names a note lists.
const maxShown = 5

func (a *app) sayOnlyThere(names []string) {
	if len(names) == 0 {
		return
	}

	shown := strings.Join(names[:min(len(names), maxShown)], ", ")
	if n := len(names) - maxShown; n > 0 {
		shown += fmt.Sprintf(" and %d more", n)
	}

	are := "are"
	if len(names) == 1 {
		are = "is"
	}

	a.say("note    %s %s in the bucket, not here: %s; --delete removes such files",
		report.Count(len(names), "file"), are, shown)
}
