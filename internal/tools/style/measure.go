package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// Limits of .golangci.yml, and the one of comments. A tab counts as four columns.
const (
	maxCode    = 120
	maxComment = 100
	tab        = 4
)

// counts is what was measured in a tree of Go files. Tests are counted apart.
type counts struct {
	functions     []function // of production code
	code          lines
	tests         lines
	commentWidths []int    // of lines that are comments as a whole, in production code
	wideComments  []string // file:line, in tests too
	assignments   int      // that assign several values in parallel, in production code
}

type function struct{ lines, complexity int }

type lines struct{ code, blank, long int }

// measureFolder measures all Go files, but those of hidden folders, testdata and vendor.
func measureFolder(root fs.FS) (counts, error) {
	var c counts
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		base := path.Base(name)
		if d.IsDir() {
			hidden := strings.HasPrefix(base, ".") && name != "."
			if hidden || base == "testdata" || base == "vendor" || base == "build" {
				return fs.SkipDir
			}

			return nil
		}

		if !strings.HasSuffix(name, ".go") {
			return nil
		}

		b, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}

		return c.add(name, b)
	})

	return c, err
}

// add measures one file.
func (c *counts) add(name string, b []byte) error {
	if isGenerated(b) {
		return nil
	}

	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, b, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}

	test := strings.HasSuffix(name, "_test.go")
	c.addLines(name, b, test)
	if test {
		return nil
	}

	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			from, to := set.Position(n.Pos()).Line, set.Position(n.End()).Line
			c.functions = append(c.functions, function{lines: to - from + 1, complexity: complexity(n)})
		case *ast.AssignStmt:
			if len(n.Lhs) > 1 && len(n.Lhs) == len(n.Rhs) {
				c.assignments++
			}
		}

		return true
	})

	return nil
}

func isGenerated(b []byte) bool {
	head, _, _ := bytes.Cut(b, []byte("\npackage "))
	return bytes.Contains(head, []byte("Code generated ")) && bytes.Contains(head, []byte(" DO NOT EDIT."))
}

func (c *counts) addLines(name string, b []byte, test bool) {
	l := &c.code
	if test {
		l = &c.tests
	}

	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		text := strings.TrimRight(line, "\r\n")
		width := columns(text)
		switch {
		case strings.TrimSpace(text) == "":
			l.blank++
		case strings.HasPrefix(strings.TrimSpace(text), "//"):
			if !test {
				c.commentWidths = append(c.commentWidths, width)
			}

			if width > maxComment && !isDirective(text) {
				c.wideComments = append(c.wideComments, fmt.Sprintf("%s:%d", name, n))
			}
		default:
			l.code++
			if width > maxCode {
				l.long++
			}
		}
	}
}

// isDirective reports whether a comment is for a tool, which does not read it over two lines, or is
// one word, like an address.
func isDirective(text string) bool {
	text = strings.TrimSpace(text)
	return !strings.HasPrefix(text, "// ") || len(strings.Fields(text)) == 2
}

func columns(text string) int {
	return utf8.RuneCountInString(text) + (tab-1)*strings.Count(text, "\t")
}

// complexity is cyclomatic complexity as gocyclo counts it: 1, and 1 for each if, for, case, && and
// ||.
func complexity(f *ast.FuncDecl) int {
	n := 1
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}

		return true
	})

	return n
}
