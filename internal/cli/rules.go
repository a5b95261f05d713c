package cli

import (
	"errors"
	"fmt"
	"io"
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
		Short:   "The rules: why, risk, remedy, and what each saved in the last build",
		Example: "  layersmith rules\n  layersmith rules tests",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			book, err := policy.Builtin()
			if err != nil {
				return err
			}

			saved := measure.Sizes{}
			if r, err := a.lastReport(); err == nil {
				for _, l := range r.Layers {
					for rule, s := range l.Removed {
						saved.Count(rule, s)
					}
				}
			}

			if len(args) == 1 {
				for _, r := range book {
					if r.ID == args[0] {
						book = []policy.Rule{r}
					}
				}

				if len(book) != 1 {
					return fault.New(fault.BadInput, "find rule", args[0], errors.New("no such rule")).
						WithHint("known: " + strings.Join(policy.IDs(book), ", "))
				}
			}

			if a.json {
				type row struct {
					policy.Rule
					Saved measure.Size `json:"savedInLastBuild"`
				}
				var rows []row
				for _, r := range book {
					rows = append(rows, row{r, saved[r.ID]})
				}

				return a.printJSON(rows)
			}

			if len(args) == 1 {
				printRule(a.Out, book[0], saved[book[0].ID])
				return nil
			}

			rows := [][]string{{"rule", "on", "saved MB", "what it is about"}}
			for _, r := range book {
				rows = append(rows, []string{r.ID, switchText(r), saved[r.ID].Unzipped.MB(), r.Title})
			}

			report.Table(a.Out, rows, map[int]bool{2: true})
			return nil
		},
	}
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
	fmt.Fprintf(w, "  files    %s\n", strings.Join(r.Match, " "))
	if len(r.Only) > 0 {
		fmt.Fprintf(w, "  only     %s\n", strings.Join(r.Only, ", "))
	}

	for _, e := range r.Except {
		fmt.Fprintf(w, "  except   %s: %s\n", strings.TrimSpace(e.Distribution+e.Versions+" "+e.Match), e.Why)
	}

	fmt.Fprintf(w, "  saved    %s unzipped, %s zipped, %d files in the last build\n", saved.Unzipped, saved.Zipped,
		saved.Files)
}
