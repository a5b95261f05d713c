package cli

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"text/template"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/layersmith/layersmith/internal/engine"
)

// Help is wrapped to the terminal, within these widths. Elsewhere it has defaultColumns.
const (
	minColumns     = 60
	defaultColumns = 100
)

// columns is the width of the terminal that a stream is.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return defaultColumns
	}

	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return defaultColumns
	}

	return min(max(width, minColumns), defaultColumns)
}

// wrapFlagUsages makes cobra's help wrap the descriptions of flags. The template is cobra's own.
func wrapFlagUsages(root *cobra.Command, width int) {
	text := strings.NewReplacer(
		".LocalFlags.FlagUsages", "wrapped .LocalFlags",
		".InheritedFlags.FlagUsages", "wrapped .InheritedFlags",
	).Replace(root.UsageTemplate())
	usage := template.Must(template.New("usage").Funcs(template.FuncMap{
		"rpad":                    func(s string, n int) string { return fmt.Sprintf("%-*s", n, s) },
		"trimTrailingWhitespaces": func(s string) string { return strings.TrimRightFunc(s, unicode.IsSpace) },
		"wrapped":                 func(f *pflag.FlagSet) string { return f.FlagUsagesWrapped(width) },
	}).Parse(text))

	root.SetUsageFunc(func(c *cobra.Command) error { return usage.Execute(c.OutOrStdout(), c) })
}

// versionText is the version of the program: the tag and the commit that it was built from, where
// the build recorded them (go help buildvcs).
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return engine.Version
	}

	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}

	commit := settings["vcs.revision"]
	if commit == "" {
		return engine.Version
	}

	text := engine.Version + " (commit " + commit[:min(len(commit), 12)]
	if settings["vcs.modified"] == "true" {
		text += ", modified"
	}

	return text + ")"
}
