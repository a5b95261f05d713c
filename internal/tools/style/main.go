// Style measures how Go code reads: length and branching of functions, width of lines, air. With
// -check it only fails where a comment is too wide, which no linter holds.
//
//	style [-check] [FOLDER...]
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "fail on comments above 100 columns, and print nothing else")
	flag.Parse()
	folders := flag.Args()
	if len(folders) == 0 {
		folders = []string{"."}
	}

	if err := run(folders, *check); err != nil {
		fmt.Fprintln(os.Stderr, "style:", err)
		os.Exit(1)
	}
}

func run(folders []string, check bool) error {
	var all []counts
	for _, folder := range folders {
		c, err := measureFolder(os.DirFS(folder))
		if err != nil {
			return fmt.Errorf("read %s: %w", folder, err)
		}

		all = append(all, c)
	}

	if check {
		return wide(folders, all)
	}

	fmt.Print(table(folders, all))
	return nil
}

// wide is an error that names every comment above the limit.
func wide(folders []string, all []counts) error {
	var found []string
	for i, c := range all {
		for _, at := range c.wideComments {
			found = append(found, strings.TrimPrefix(folders[i]+"/"+at, "./"))
		}
	}

	if len(found) == 0 {
		return nil
	}

	slices.Sort(found)
	return fmt.Errorf("comments above %d columns, a tab counts as %d:\n%s", maxComment, tab, strings.Join(found, "\n"))
}
