package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/report"
)

func (a *app) rulesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rules [ID]",
		Short:   "List the pruning rules, and what each saved in the last build",
		Example: "  layersmith rules\n  layersmith rules tests",
		Args:    cobra.MaximumNArgs(1),

		ValidArgsFunction: completeRules,
		RunE:              func(_ *cobra.Command, args []string) error { return a.rules(args) },
	}
}

// ruleRow is one rule in the output of rules --json.
type ruleRow struct {
	policy.Rule
	Saved measure.Size `json:"savedInLastBuild"`
}

func (a *app) rules(ids []string) error {
	book, err := policy.Builtin()
	if err != nil {
		return err
	}

	if len(ids) == 1 {
		i := slices.IndexFunc(book, func(r policy.Rule) bool { return r.ID == ids[0] })
		if i < 0 {
			return fault.New(fault.BadInput, "find rule", ids[0], errors.New("no such rule")).
				WithHint("known: " + strings.Join(policy.IDs(book), ", "))
		}

		book = book[i : i+1]
	}

	saved := a.savedByRule()
	if a.json {
		var rows []ruleRow
		for _, r := range book {
			rows = append(rows, ruleRow{r, saved[r.ID]})
		}

		return a.printJSON(rows)
	}

	if len(ids) == 1 {
		printRule(a.Out, book[0], saved[book[0].ID])
		return nil
	}

	table := [][]string{{"rule", "on", "saved MB", "removes or changes"}}
	for _, r := range book {
		table = append(table, []string{r.ID, switchText(r), saved[r.ID].Unzipped.MB(), r.Title})
	}

	report.Table(a.text(), table, map[int]bool{2: true})
	return nil
}

// savedByRule is what each rule saved in the last build; nothing when there was none.
func (a *app) savedByRule() measure.Sizes {
	saved := measure.Sizes{}
	r, err := a.lastReport("")
	if err != nil {
		return saved
	}

	for _, l := range r.Layers {
		for rule, s := range l.Removed {
			saved.Count(rule, s)
		}
	}

	return saved
}

func switchText(r policy.Rule) string {
	switch {
	case r.Select != nil:
		return "by " + r.Select.From
	case r.Default:
		return "yes"
	}

	return "opt-in"
}

func printRule(w io.Writer, r policy.Rule, saved measure.Size) {
	fmt.Fprintf(w, "%s: %s (on: %s, version %d)\n", r.ID, r.Title, switchText(r), r.Version)
	fmt.Fprintf(w, "  why      %s\n  risk     %s\n  remedy   %s\n", r.Why, r.Risk, r.Remedy)
	if len(r.Match) > 0 {
		fmt.Fprintf(w, "  files    %s\n", strings.Join(r.Match, " "))
	}

	if r.Content != "" {
		fmt.Fprintf(w, "  content  %s, whatever the name\n", r.Content)
	}

	if len(r.Only) > 0 {
		fmt.Fprintf(w, "  only     %s\n", strings.Join(r.Only, ", "))
	}

	for _, e := range r.Except {
		fmt.Fprintf(w, "  except   %s: %s\n", strings.TrimSpace(e.Distribution+e.Versions+" "+e.Match), e.Why)
	}

	fmt.Fprintf(w, "  saved    %s unzipped, %s zipped, %s in the last build\n", saved.Unzipped, saved.Zipped,
		report.Count(saved.Files, "file"))
}
