package cli

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) lockCommand() *cobra.Command {
	var in engine.LockInput
	c := &cobra.Command{
		Use:   "lock",
		Short: "Resolve the requirements of all layers into one lock",
		Long: `Resolve the requirements of all layers together and write layers/pylock.<target>.toml (PEP 751):
names, versions, sizes and hashes, no addresses. Commit it. A lock that matches the requirements is
left as it is.`,
		Example: `  layersmith lock
  layersmith lock --upgrade-package pandas
  layersmith lock --upgrade --exclude-newer 2026-11-01`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.eachTarget(cmd.Context(), func(a *app) error { return a.lock(cmd.Context(), in) })
		},
	}
	f := c.Flags()
	f.BoolVar(&in.UpgradeAll, "upgrade", false, "upgrade all distributions, within the requirements")
	f.StringSliceVar(&in.Upgrade, "upgrade-package", nil, "upgrade this distribution (repeatable)")
	f.StringVar(&in.ExcludeNewer, "exclude-newer", "", "ignore files uploaded after this date, for example 2026-11-01")
	f.BoolVar(&in.AllowSource, "allow-source", false,
		"allow source distributions where there is no wheel; they are built on this machine")
	return c
}

func (a *app) lock(ctx context.Context, in engine.LockInput) error {
	w, t, m, err := a.start(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	in.Workspace = w
	in.Target = t
	in.Offline = a.offline
	in.Python = m.release()
	locked, err := a.locker(m).Run(ctx, in)
	if err != nil {
		return err
	}

	if a.json {
		return a.printJSON(map[string]any{
			"schemaVersion": report.SchemaVersion,
			"file":          filepath.Join(a.workspaceDir, locked.FileName),
			"fresh":         locked.Fresh,
			"distributions": len(locked.Lock.Distributions),
			"changes":       locked.Changes,
			"notes":         locked.Notes,
		})
	}

	a.sayLock(locked)
	return nil
}

func (a *app) sayLock(l engine.Locked) {
	state := "fresh"
	if !l.Fresh {
		state = "written to " + filepath.Join(a.workspaceDir, l.FileName)
	}

	a.say("lock    %s: %s, %s", l.Lock.Target, report.Count(len(l.Lock.Distributions), "distribution"), state)
	for _, c := range l.Changes {
		a.say("        %s", c)
	}

	for _, n := range l.Notes {
		a.say("note    %s", n)
	}
}
