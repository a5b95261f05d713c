package workflow

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/tools/page"
)

var update = flag.Bool("update", false, "write the tables of docs/failure-modes.md")

const failureModes = "../../docs/failure-modes.md"

// way is a path as text, without the states that it shares with the good path.
func way(path []string) string {
	switch {
	case slices.Equal(path, released):
		return "the good path"
	case len(path) > len(released) && slices.Equal(path[len(path)-len(released):], released):
		return strings.Join(path[:len(path)-len(released)], " -> ") + " -> the good path"
	}

	shared := 0
	for shared < len(path) && shared < len(released) && path[shared] == released[shared] {
		shared++
	}

	if shared < 3 {
		return strings.Join(path, " -> ")
	}

	return "... " + strings.Join(path[shared-1:], " -> ")
}

// subtest is the name of a subtest in code quotes.
func subtest(test, name string) string {
	return "`" + test + "/" + strings.ReplaceAll(name, " ", "_") + "`"
}

type table struct {
	title string
	head  []string
	rows  [][]string
}

func (t table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| %s |\n|%s\n", t.title, strings.Join(t.head, " | "), strings.Repeat("---|", len(t.head)))
	for _, r := range t.rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(r, " | "))
	}

	return b.String()
}

func last(path []string) string { return "`" + path[len(path)-1] + "`" }

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func tables() string {
	columns := []string{"fault", "path", "outcome", "left behind", "test"}
	good := table{title: "Without a fault", head: append([]string{"what happens"}, columns[1:]...)}
	for _, s := range ways {
		good.rows = append(good.rows,
			[]string{capital(s.name), way(s.path), last(s.path), s.left, subtest("TestWays", s.name)})
	}

	declared := table{title: "A function fails", head: columns}
	for _, k := range tasks {
		also := ""
		for _, c := range k.declares {
			also += ", `" + string(c) + "`"
		}

		if k.lease {
			also += ", `LeaseLost`"
		}

		declared.rows = append(declared.rows, []string{
			k.state + ": a common error" + also,
			way(k.path),
			last(k.path),
			k.left,
			subtest("TestDeclaredErrors", k.state) + ", " + subtest("TestTimeouts", k.state) + ", " +
				subtest("TestAnswersOverTheLimit", k.state),
		})
	}

	other := table{title: "Something else fails", head: columns}
	other.rows = append(other.rows, []string{
		"The build takes too long", way(build.path), last(build.path), build.left,
		subtest("TestTimeouts", build.state),
	})
	for _, s := range faults {
		other.rows = append(other.rows,
			[]string{capital(s.name), way(s.path), last(s.path), s.left, subtest("TestFaults", s.name)})
	}

	hard := table{title: "The execution itself ends", head: columns}
	for _, h := range hardEnds {
		status := strings.ReplaceAll(strings.ToLower(string(h.status)), "_", " ")
		if h.error != "" {
			status += ", `" + h.error + "`"
		}

		hard.rows = append(hard.rows, []string{
			capital(h.name), "... " + h.path[len(h.path)-1] + ", and no further", status, h.left,
			subtest("TestHardEnds", h.name),
		})
	}

	return strings.Join([]string{good.String(), declared.String(), other.String(), hard.String()}, "\n")
}

// The tables of docs/failure-modes.md are generated from the scenarios.
func TestFailureModesAreWhatIsTested(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(failureModes)
	if err != nil {
		t.Fatal(err)
	}

	document := string(b)
	const (
		begin = "<!-- tables: go test ./test/workflow -run FailureModes -update -->\n"
		end   = "<!-- end of the tables -->"
	)
	before, rest, ok := strings.Cut(document, begin)
	old, after, alsoOk := strings.Cut(rest, end)
	if !ok || !alsoOk {
		t.Fatalf("%s has no tables", failureModes)
	}

	made := "\n" + tables() + "\n"
	if *update {
		if err := os.WriteFile(failureModes, []byte(before+begin+made+end+after), 0o644); err != nil {
			t.Fatal(err)
		}

		return
	}

	if diff := cmp.Diff(made, old); diff != "" {
		t.Errorf("the tables of %s (- scenarios, + page):\n%s\n"+
			"hint: run: go test ./test/workflow -run FailureModes -update", failureModes, diff)
	}

	for _, want := range []string{
		page.Broken(strings.Join(released, " -> ") + "\n"),
		fmt.Sprintf("%d layers and %d consumers", fits, fits),
		page.Broken("- The common errors, which every function can give: `" + joined(common) + "`.\n"),
	} {
		if !strings.Contains(document, want) {
			t.Errorf("%s does not say: %s", failureModes, want)
		}
	}

	known := testNames(t)
	for _, m := range regexp.MustCompile("`(Test[^`]*)`").FindAllStringSubmatch(document, -1) {
		if !known[m[1]] {
			t.Errorf("%s names the test %s, which does not exist", failureModes, m[1])
		}
	}
}

func joined[T ~string](all []T) string {
	var s []string
	for _, v := range all {
		s = append(s, string(v))
	}

	return strings.Join(s, "`, `")
}

// testNames are the tests of this folder, and the subtests of scenarios.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	add := func(test, name string) {
		unquoted, err := strconv.Unquote(subtest(test, name))
		if err != nil {
			t.Fatal(err)
		}

		known[unquoted] = true
	}
	for _, s := range ways {
		add("TestWays", s.name)
	}

	for _, s := range faults {
		add("TestFaults", s.name)
	}

	for _, h := range hardEnds {
		add("TestHardEnds", h.name)
	}

	for _, k := range tasks {
		add("TestDeclaredErrors", k.state)
		add("TestTimeouts", k.state)
		add("TestAnswersOverTheLimit", k.state)
		add("TestRetriesHelp", k.state)
	}

	add("TestTimeouts", build.state)
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}

	for _, f := range files {
		if !strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}

		parsed, err := parser.ParseFile(token.NewFileSet(), f.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}

		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
				known[fn.Name.Name] = true
			}
		}
	}

	return known
}

func TestWayLeavesOutTheGoodPath(t *testing.T) {
	t.Parallel()
	for want, path := range map[string][]string{
		"the good path":                  released,
		"Recover -> the good path":       append(names("Recover"), released...),
		"Intake -> Nothing touched":      names("Intake, Nothing touched"),
		"... Build -> Nothing touched":   after("Build", "Nothing touched"),
		"... Quiet? -> Settle -> Health": after("Quiet?", "Settle, Health"),
		"... Outcome? -> FailedDirty":    instead("Released", "FailedDirty"),
		"... Select":                     released[:4],
		"Intake -> What next? -> Report": names("Intake, What next?, Report"),
	} {
		if got := way(path); got != want {
			t.Errorf("way(%v) = %q, want %q", path, got, want)
		}
	}
}
