package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/workflow"
	"github.com/layersmith/layersmith/statemachine"
)

// Repository is what the model reads from other files of the repository.
type Repository struct {
	Machine   statemachine.Machine
	Functions []Function // in the order of infra/functions.go
	Layers    []Layer    // in the order of docs/benchmarks.md
	// Durations of functions, in seconds, as far as docs/benchmarks.md has them, and the number of
	// processors that they were measured on.
	Measured   map[string]float64
	Processors int

	// Settings of cdk.json.
	KeepVersions, NoncurrentDays, LogRetentionDays int

	// Constants of the source.
	ArtifactDays   int // infra/buckets.go
	LookSeconds    int // polling interval of an alarm
	ProbeMiB       int // functions/verify/main.go: memory of the throw-away function
	Alarms         int // infra/alarms.go: number of alarms
	WorkspaceFiles int // below layers/
}

// Function is a row of functionTable in infra/functions.go.
type Function struct {
	Name                string
	MemoryMiB, TempMiB  int
	GigaBytes, ExtraGiB float64 // as billed: memory, and /tmp above the free 512 MiB
}

// Layer is what docs/benchmarks.md says of an example layer.
type Layer struct {
	Name                          string
	ArtifactBytes, PrunedBytes    float64 // of the zips
	ImportBefore, ImportAfter     float64 // seconds
	PruneCPU, BuildCPU, BuildWall float64 // seconds, of a cold build: without bytecode, with
}

const (
	freeTempMiB = 512 // of a function's /tmp (AWS Lambda Pricing)
	mebi        = 1 << 20
	gibi        = 1 << 30
)

// ReadRepository reads all of it. A value that is not found is an error.
func ReadRepository(root string) (Repository, error) {
	var r Repository
	file := func(name string) string { return filepath.Join(root, filepath.FromSlash(name)) }
	var wrong []error
	constant := func(name, ident string) int {
		n, err := constantOf(file(name), ident)
		wrong = append(wrong, err)
		return n
	}
	r.ArtifactDays = constant("infra/buckets.go", "artifactDays")
	r.LookSeconds = workflow.AlarmPollSeconds
	r.ProbeMiB = constant("functions/verify/main.go", "memory")

	var err error
	r.Machine, err = statemachine.Parse(statemachine.Definition())
	wrong = append(wrong, err)
	r.Functions, err = functionsOf(file("infra/functions.go"))
	wrong = append(wrong, err)
	r.Alarms, err = alarmsOf(file("infra/alarms.go"))
	wrong = append(wrong, err)
	wrong = append(wrong, r.settings(file("cdk.json")))
	r.WorkspaceFiles, err = filesBelow(file("layers"))
	wrong = append(wrong, err)
	doc, err := os.ReadFile(file("docs/benchmarks.md"))
	wrong = append(wrong, err)
	if err == nil {
		r.Layers, err = layersOf(string(doc))
		wrong = append(wrong, err)
		r.Measured = measuredFunctions(string(doc))
		r.Processors, err = processorsOf(string(doc))
		wrong = append(wrong, err)
	}

	return r, errors.Join(wrong...)
}

func (r *Repository) settings(file string) error {
	doc, err := os.ReadFile(file)
	if err != nil {
		return err
	}

	var cdk struct {
		Context struct {
			Layersmith struct{ KeepVersions, NoncurrentDays, LogRetentionDays int }
		}
	}
	if err := json.Unmarshal(doc, &cdk); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}

	s := cdk.Context.Layersmith
	r.KeepVersions = s.KeepVersions
	r.NoncurrentDays = s.NoncurrentDays
	r.LogRetentionDays = s.LogRetentionDays
	if s.KeepVersions <= 0 || s.NoncurrentDays <= 0 || s.LogRetentionDays <= 0 {
		return fmt.Errorf("read %s: keepVersions, noncurrentDays or logRetentionDays is missing", file)
	}

	return nil
}

func filesBelow(dir string) (n int, err error) {
	err = filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}

		return err
	})
	return n, err
}

// constantOf reads an integer constant of a Go file.
func constantOf(file, ident string) (int, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return 0, err
	}

	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}

		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			for i, n := range v.Names {
				if n.Name == ident && i < len(v.Values) {
					if b, ok := v.Values[i].(*ast.BasicLit); ok && b.Kind == token.INT {
						return strconv.Atoi(b.Value)
					}
				}
			}
		}
	}

	return 0, fmt.Errorf("read %s: no constant %s that is a number", file, ident)
}

// functionsOf reads functionTable in the source of infra, which is a program and cannot be
// imported.
func functionsOf(file string) ([]Function, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return nil, err
	}

	var out []Function
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != "functionTable" || len(v.Values) != 1 {
			return true
		}

		table, _ := v.Values[0].(*ast.CompositeLit)
		if table == nil {
			return false
		}

		for _, row := range table.Elts { // name, memory, seconds, storage, does
			c, ok := row.(*ast.CompositeLit)
			if !ok || len(c.Elts) != 5 {
				err = fmt.Errorf("read %s: a row of functionTable does not have 5 columns", file)
				return false
			}

			name, e1 := strconv.Unquote(literal(c.Elts[0]))
			memory, e2 := strconv.Atoi(literal(c.Elts[1]))
			temp, e3 := strconv.Atoi(literal(c.Elts[3]))
			if err = errors.Join(err, e1, e2, e3); err != nil {
				return false
			}

			out = append(out,
				Function{name, memory, temp, float64(memory) / 1024, float64(max(0, temp-freeTempMiB)) / 1024})
		}

		return false
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("read %s: no functionTable", file)
	}

	return out, err
}

func literal(e ast.Expr) string {
	if b, ok := e.(*ast.BasicLit); ok {
		return b.Value
	}

	return ""
}

// alarmsOf counts the calls of alarm() in a file, in a loop over a list once for each element.
func alarmsOf(file string) (int, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		return 0, err
	}

	var count func(n ast.Node, times int) int
	count = func(n ast.Node, times int) (sum int) {
		ast.Inspect(n, func(c ast.Node) bool {
			switch c := c.(type) {
			case *ast.RangeStmt:
				if list, ok := c.X.(*ast.CompositeLit); ok {
					sum += count(c.Body, times*len(list.Elts))
					return false
				}
			case *ast.CallExpr:
				if id, ok := c.Fun.(*ast.Ident); ok && id.Name == "alarm" {
					sum += times
				}
			}

			return true
		})
		return sum
	}
	n := count(f, 1)
	if n == 0 {
		return 0, fmt.Errorf("read %s: it has no calls of alarm", file)
	}

	return n, nil
}

// tableOf is the first table below a heading whose first column is named first.
func tableOf(doc, heading, first string) (header []string, rows [][]string) {
	_, section, found := strings.Cut(doc, "\n## "+heading+"\n")
	if !found {
		return nil, nil
	}

	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		cells, isRow := strings.CutPrefix(line, "|")
		if !isRow {
			if header != nil {
				return header, rows
			}

			continue
		}

		row := strings.Split(strings.TrimSuffix(cells, "|"), "|")
		for i := range row {
			row[i] = strings.Trim(strings.TrimSpace(row[i]), "`")
		}

		switch {
		case header == nil && row[0] == first:
			header = row
		case header != nil && !strings.HasPrefix(row[0], "---") && len(row) == len(header):
			rows = append(rows, row)
		}
	}

	return header, rows
}

var number = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)

// column reads the nth number of the cells of a column, by the first word of each row.
func column(doc, heading, title string, nth int) (map[string]float64, error) {
	header, rows := tableOf(doc, heading, "layer")
	for i, h := range header {
		if h != title {
			continue
		}

		out := map[string]float64{}
		for _, row := range rows {
			numbers := number.FindAllString(row[i], -1)
			if len(numbers) <= nth {
				return nil, fmt.Errorf("read docs/benchmarks.md: %s, %q of %s: %q has no number %d",
					heading, title, row[0], row[i], nth+1)
			}

			key, _, _ := strings.Cut(row[0], " ")
			out[key], _ = strconv.ParseFloat(numbers[nth], 64)
		}

		return out, nil
	}

	return nil, fmt.Errorf("read docs/benchmarks.md: section %q has no table of layers with a column %q; "+
		"run: make bench", heading, title)
}

// layersOf reads the measurements of each example layer.
func layersOf(doc string) ([]Layer, error) {
	var wrong []error
	read := func(heading, title string, nth int) map[string]float64 {
		c, err := column(doc, heading, title, nth)
		wrong = append(wrong, err)
		return c
	}
	const mega = 1e6 // the page's MB
	installed := read("Sizes", "wheels as installed", 0)
	bare := read("Sizes", "no bytecode", 0)
	full := read("Sizes", "unchecked-hash", 0)
	before := read("Import time", "without bytecode", 0)
	after := read("Import time", "with", 0)
	pruneCPU := read("CPU, wall and memory", "cold, no bytecode CPU / wall s", 0)
	buildCPU := read("CPU, wall and memory", "cold with bytecode CPU / wall s", 0)
	buildWall := read("CPU, wall and memory", "cold with bytecode CPU / wall s", 1)
	if err := errors.Join(wrong...); err != nil {
		return nil, err
	}

	var layers []Layer
	_, rows := tableOf(doc, "Sizes", "layer")
	for _, row := range rows {
		k, name, _ := strings.Cut(row[0], " ")
		for _, c := range []map[string]float64{installed, bare, full, before, after, pruneCPU, buildCPU, buildWall} {
			if c[k] <= 0 {
				return nil, fmt.Errorf("read docs/benchmarks.md: layer %s is not in all tables", row[0])
			}
		}

		layers = append(layers, Layer{
			Name:          name,
			ArtifactBytes: (installed[k] + full[k] - bare[k]) * mega,
			PrunedBytes:   full[k] * mega,
			ImportBefore:  before[k],
			ImportAfter:   after[k],
			PruneCPU:      pruneCPU[k],
			BuildCPU:      buildCPU[k],
			BuildWall:     buildWall[k],
		})
	}

	if len(layers) == 0 {
		return nil, errors.New("read docs/benchmarks.md: no layers")
	}

	return layers, nil
}

var (
	durations = regexp.MustCompile(`(?i)\b(duration|wall|warm)\b`)
	seconds   = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?) ?(ms|s)\b`)
	unit      = regexp.MustCompile(`\b(ms|s)\b`)
)

// measuredFunctions reads the durations of functions, in seconds, from the section Functions: the
// longest of a function's rows. The section and any function may be missing. A cell without a unit
// has that of its column.
func measuredFunctions(doc string) map[string]float64 {
	out := map[string]float64{}
	header, rows := tableOf(doc, "Functions", "function")
	for i, h := range header {
		if !durations.MatchString(h) {
			continue
		}

		for _, row := range rows {
			name, _, _ := strings.Cut(row[0], " ")
			cell := row[i]
			if !seconds.MatchString(cell) {
				if u := unit.FindString(h); u != "" && number.MatchString(cell) {
					cell = number.FindString(cell) + " " + u
				}
			}

			if m := seconds.FindStringSubmatch(cell); m != nil {
				s, _ := strconv.ParseFloat(m[1], 64)
				if m[2] == "ms" {
					s /= 1000
				}

				out[name] = max(out[name], s)
			}
		}
	}

	return out
}

var processors = regexp.MustCompile(`\b([0-9]+) processors?\b`)

func processorsOf(doc string) (int, error) {
	m := processors.FindStringSubmatch(doc)
	if m == nil {
		return 0, errors.New("read docs/benchmarks.md: it does not say how many processors the machine has")
	}

	return strconv.Atoi(m[1])
}
