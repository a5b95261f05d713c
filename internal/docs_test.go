package internal_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Relative links and headings of a Markdown page.
var (
	inlineLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	absolute   = regexp.MustCompile(`^[a-z]+:`)
	inlineCode = regexp.MustCompile("`[^`]*`")
	headline   = regexp.MustCompile(`^#{1,6} (.*)$`)
	notAnchor  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// proseLines returns the lines of a Markdown page outside of code blocks.
func proseLines(text string) []string {
	var lines []string
	inCode := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inCode = !inCode
			continue
		}

		if !inCode {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
	}

	return lines
}

// links returns the targets of the relative links of a page, in order.
func links(text string) []string {
	var found []string
	for _, line := range proseLines(text) {
		for _, m := range inlineLink.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, "`"), -1) {
			if !absolute.MatchString(m[1]) {
				found = append(found, m[1])
			}
		}
	}

	return found
}

// anchors returns the anchors of a page's headings, as GitHub makes them: lower case, without
// punctuation, with hyphens for spaces. A repeated heading gets a number.
func anchors(text string) []string {
	var found []string
	count := map[string]int{}
	for _, line := range proseLines(text) {
		m := headline.FindStringSubmatch(line)
		if m == nil {
			continue
		}

		anchor := strings.ReplaceAll(notAnchor.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		n := count[anchor]
		count[anchor]++
		if n > 0 {
			anchor += "-" + strconv.Itoa(n)
		}

		found = append(found, anchor)
	}

	return found
}

// pages returns all Markdown pages of the repository, by path relative to root.
func pages(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, text := range texts(t, root) {
		if strings.HasSuffix(name, ".md") {
			rel, err := filepath.Rel(root, name)
			if err != nil {
				t.Fatal(err)
			}

			found[filepath.ToSlash(rel)] = text
		}
	}

	return found
}

func TestRelativeLinksLeadToFilesAndHeadings(t *testing.T) {
	t.Parallel()
	const root = ".."
	all := pages(t, root)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md"} {
		if all[name] == "" {
			t.Errorf("%s is missing", name)
		}
	}

	for name, text := range all {
		for _, link := range links(text) {
			file, anchor, _ := strings.Cut(link, "#")
			linked := name
			if file != "" {
				linked = path.Join(path.Dir(name), file)
			}

			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(linked))); err != nil {
				t.Errorf("%s: link to %s: no such file", name, link)
			} else if anchor != "" && !slices.Contains(anchors(all[linked]), anchor) {
				t.Errorf("%s: link to %s: no such heading", name, link)
			}
		}
	}
}

func TestIndexLinksEveryFileOfTheDocumentation(t *testing.T) {
	t.Parallel()
	const folder = "../docs"
	index, err := os.ReadFile(filepath.Join(folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}

	linked := links(string(index))
	err = fs.WalkDir(os.DirFS(folder), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != "README.md" && !slices.Contains(linked, name) {
			t.Errorf("docs/README.md does not link to %s", name)
		}

		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinksAndAnchorsAreFound(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		"# How it works",
		"See [this](a.md), [that](b/c.md#the-gate) and [the web](https://example.com/).",
		"`keep: [x](y)` is code.",
		"```",
		"[not a link](d.md)",
		"# not a heading",
		"```",
		"## `layer.yaml`: keys & values",
		"## How it works",
	}, "\n")
	if diff := cmp.Diff([]string{"a.md", "b/c.md#the-gate"}, links(text)); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}

	want := []string{"how-it-works", "layeryaml-keys--values", "how-it-works-1"}
	if diff := cmp.Diff(want, anchors(text)); diff != "" {
		t.Errorf("anchors (-want +got):\n%s", diff)
	}
}
