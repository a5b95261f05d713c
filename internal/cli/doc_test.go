package cli

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

var update = flag.Bool("update", false, "write docs/cli.md")

const commandPage = "../../docs/cli.md"

// docs/cli.md is made from the commands: make golden.
func TestCommandPageIsThatOfTheCommands(t *testing.T) {
	root := (&app{Streams: Streams{Out: io.Discard, Err: io.Discard}}).root()
	want := page(root)
	if *update {
		if err := os.WriteFile(commandPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}

	got, err := os.ReadFile(commandPage)
	if err != nil {
		t.Fatal(err)
	}

	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s is not what the commands say; run: make golden\n%s", commandPage, d)
	}
}

// page is the reference of all commands in Markdown.
func page(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b,
		"# Commands\n\nMade from the commands by `make golden`. `layersmith COMMAND --help` prints the same.\n\n")
	fmt.Fprintf(&b, "%s\n\n## Flags of all commands\n\n", root.Long)
	writeFlags(&b, root.PersistentFlags())
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", strings.TrimSuffix(group.Title, ":"))
		for _, c := range root.Commands() {
			if c.GroupID == group.ID && c.IsAvailableCommand() {
				writeCommand(&b, c)
			}
		}
	}

	return b.Bytes()
}

func writeCommand(b *bytes.Buffer, c *cobra.Command) {
	fmt.Fprintf(b, "\n### %s\n\n%s.\n\n```\n%s\n```\n", c.Name(), c.Short, c.UseLine())
	if c.Long != "" {
		fmt.Fprintf(b, "\n%s\n", c.Long)
	}

	if c.Example != "" {
		fmt.Fprintf(b, "\n```\n%s\n```\n", c.Example)
	}

	if c.LocalFlags().HasAvailableFlags() {
		b.WriteByte('\n')
		writeFlags(b, c.LocalFlags())
	}
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	b.WriteString("| flag | meaning | default |\n|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" || f.Name == "version" {
			return
		}

		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}

		value := ""
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
			value = "`" + f.DefValue + "`"
		}

		fmt.Fprintf(b, "| %s | %s | %s |\n", name, strings.ReplaceAll(f.Usage, "|", "\\|"), value)
	})
}
