package internal_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	target = regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`)
	// A mention of a target in a code span, a hint, or after a prompt. In plain sentences "make" is
	// mostly the English verb.
	mention = regexp.MustCompile("(?:`|run: |run |with: |\\$ |# after |&& )make ([a-z][a-z0-9-]*)")
	command = regexp.MustCompile(`^\s*make ([a-z][a-z0-9-]*)`)
)

// mentions returns the make targets that a file tells its reader to run. In code blocks of Markdown
// and in scripts, a line that begins with make counts too.
func mentions(name, text string) []string {
	var found []string
	add := func(pattern *regexp.Regexp, line string) {
		for _, m := range pattern.FindAllStringSubmatch(line, -1) {
			found = append(found, m[1])
		}
	}

	isMarkdown := strings.HasSuffix(name, ".md")
	inCode := strings.HasPrefix(text, "#!")
	for line := range strings.Lines(text) {
		if isMarkdown && strings.HasPrefix(line, "```") {
			inCode = !inCode
		}

		add(mention, line)
		if inCode {
			add(command, line)
		}
	}

	return found
}

// texts returns the text files of the repository by path, without what .gitignore names.
func texts(t *testing.T, root string) map[string]string {
	t.Helper()
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	if err != nil {
		t.Fatal(err)
	}

	skipped := strings.Fields(string(ignored) + " /.git/")
	found := map[string]string{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skipped, strings.TrimPrefix(filepath.ToSlash(path), root)+"/"):
			return fs.SkipDir
		case !d.Type().IsRegular():
			return nil
		}

		text, err := os.ReadFile(path)
		if bytes.IndexByte(text, 0) < 0 { // not binary
			found[path] = string(text)
		}

		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	return found
}

func TestMentionedMakeTargetsExist(t *testing.T) {
	t.Parallel()
	const root = ".."
	files := texts(t, root)
	delete(files, filepath.Join(root, "internal", "makefile_test.go")) // its cases are not mentions

	targets := map[string]bool{}
	for _, m := range target.FindAllStringSubmatch(files[filepath.Join(root, "Makefile")], -1) {
		targets[m[1]] = true
	}

	found := map[string]bool{}
	for path, text := range files {
		for _, mentioned := range mentions(path, text) {
			found[mentioned] = true
			if !targets[mentioned] {
				t.Errorf("%s: make %s: the Makefile has no such target", path, mentioned)
			}
		}
	}

	for _, known := range []string{"layers", "test", "tools", "deploy", "fuzz"} {
		if !found[known] {
			t.Errorf("found no mention of make %s: the patterns of this test miss it", known)
		}
	}
}

func TestMentionsAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, text string
		want       []string
	}{
		"a code span":           {"a.md", "`make bench` measures, `make fuzz` tries", []string{"bench", "fuzz"}},
		"a hint":                {"a.go", `"x\nhint: run: make tools"`, []string{"tools"}},
		"a hint in a sentence":  {"a.go", `"deploy it with: make deploy; or"`, []string{"deploy"}},
		"a prompt":              {"a.md", "$ make layers\n", []string{"layers"}},
		"a code block":          {"a.md", "```\nmake test   # all tests\n```\nmake sense of it\n", []string{"test"}},
		"a script":              {"run", "#!/bin/sh\nmake test\n", []string{"test"}},
		"the English verb":      {"a.go", "// make room, or make it again\n", nil},
		"a verb in a hint":      {"a.go", `"hint: make room for it"`, nil},
		"a target with options": {"a.md", "`make layers TARGET=python3.13-arm64`", []string{"layers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, mentions(c.file, c.text)); diff != "" {
				t.Errorf("mentions (- want, + got):\n%s", diff)
			}
		})
	}
}
