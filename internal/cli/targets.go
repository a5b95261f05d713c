package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/report"
)

// allTargets is the --target that means all targets of the workspace.
const allTargets = "all"

// perTarget are the commands that work on several targets, one after the other.
const perTarget = "build lock status check report"

// oneTarget takes the value of --target. Commands that are not perTarget have at most one.
func (a *app) oneTarget(c *cobra.Command, _ []string) error {
	several := len(a.targets) > 1 || slices.Contains(a.targets, allTargets)
	if !several {
		a.target = strings.Join(a.targets, "")
		return nil
	}

	if strings.Contains(" "+perTarget+" ", " "+c.Name()+" ") {
		return nil
	}

	return fault.New(fault.BadInput, c.Name(), "", errors.New("it works on one target at a time")).
		WithHint("name one: --target python3.13-x86_64; " + perTarget + " take several")
}

// parseTarget reads the value of --target.
func parseTarget(s string) (pydist.Target, error) {
	t, err := pydist.ParseTarget(s)
	if err == nil {
		return t, nil
	}

	return t, fault.New(fault.BadInput, "read", "--target", err).WithHint("choose one of: " + knownTargets())
}

func knownTargets() string {
	var all []string
	for _, t := range pydist.Targets() {
		all = append(all, t.String())
	}

	return strings.Join(all, " ")
}

// chosen are the targets to work on: those that --target names, else all of the workspace. It is
// empty where the command is to choose: without a workspace.
func (a *app) chosen() ([]string, error) {
	if len(a.targets) > 0 && !slices.Contains(a.targets, allTargets) {
		for _, name := range a.targets {
			if _, err := parseTarget(name); err != nil {
				return nil, err
			}
		}

		return a.targets, nil
	}

	w, _, err := a.open()
	if err != nil {
		return nil, nil //nolint:nilerr // the command opens it again, and says what is wrong
	}

	var all []string
	for _, t := range w.Targets {
		all = append(all, t.String())
	}

	return all, nil
}

// eachTarget runs a command for each target. With --json and more than one, stdout is one document:
// the documents of the targets in a list. A verdict does not stop the others, another error does.
func (a *app) eachTarget(ctx context.Context, run func(a *app) error) error {
	targets, err := a.chosen()
	if err != nil {
		return err
	}

	if len(targets) < 2 {
		if len(targets) == 1 && len(a.targets) > 0 {
			a.target = targets[0]
		}

		return run(a)
	}

	docs := []json.RawMessage{}
	var last error
	for _, t := range targets {
		var out bytes.Buffer
		of := *a
		of.target = t
		if a.json {
			of.Out = &out
		}

		err := run(&of)
		if out.Len() > 0 {
			docs = append(docs, out.Bytes())
		}

		if err == nil {
			continue
		}

		if last != nil {
			a.complain(last.Error(), cmp.Or(fault.HintOf(last), hintFor(last)))
		}

		last = err
		if exitCode(err) != exitVerdict || ctx.Err() != nil {
			return err
		}
	}

	if a.json {
		last = errors.Join(a.printJSON(map[string]any{"schemaVersion": report.SchemaVersion, "targets": docs}), last)
	}

	return last
}

func completeTargets(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return append(strings.Fields(knownTargets()), allTargets), cobra.ShellCompDirectiveNoFileComp
}

func completeRules(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	book, err := policy.Builtin()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}

	return policy.IDs(book), cobra.ShellCompDirectiveNoFileComp
}

// completeLayersAndFiles completes what is a layer or a zip.
func (a *app) completeLayersAndFiles(c *cobra.Command, args []string, s string) ([]string, cobra.ShellCompDirective) {
	names, _ := a.completeLayers(c, args, s)
	return names, cobra.ShellCompDirectiveDefault
}

// completeFlag completes the value of a flag. The flag is there: an error is a defect that tests
// find.
func completeFlag(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err)
	}
}
