package internal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/layersmith/layersmith"

// A room is what one package may import. Everything that is not allowed is forbidden, so that a new
// import is a decision that is made here.
type room struct {
	why     string // what the package is, in one line: the reason for its walls
	own     string // packages of this module that it may import, without the path to internal/
	allowed string // what it may import of the watched packages
}

// watched are the packages that only some rooms may import: what touches the machine, the network
// or the clock, and the SDKs. Other packages of the standard library are free.
const watched = `os os/exec os/signal os/user path/filepath net net/http net/url time syscall math/rand
	math/rand/v2 runtime/debug plugin unsafe golang.org/x/sys/unix github.com/spf13/cobra
	github.com/vbauerster/mpb/v8 github.com/aws/aws-sdk-go-v2 github.com/aws/smithy-go
	github.com/aws/aws-lambda-go github.com/aws/aws-cdk-go github.com/aws/jsii-runtime-go`

// The floors of docs/architecture.md, from the ground up. Packages of the ground and pure floors
// are functions over values, io/fs and io.ReaderAt.
var rooms = map[string]room{
	// ground
	"digest":  {why: "one hash value; everybody uses it"},
	"fault":   {why: "one error; everybody uses it"},
	"deflate": {why: "bytes to bytes"},
	"place":   {why: "where a package of files lies; everybody uses it"},
	"blob":    {why: "a reference to bytes elsewhere", own: "digest"},

	// pure
	"pydist":    {why: "names, versions, tags: parsers of text"},
	"pyimport":  {why: "what Python source imports: a parser of bytes"},
	"pyc":       {why: "headers and names of bytecode, which belong to a target", own: "pydist"},
	"sharedobj": {why: "ELF over bytes"},
	"ziptree":   {why: "trees of entries in zips, written with their digest", own: "digest deflate"},
	"wheel":     {why: "what an installer makes of a zip tree", own: "pydist ziptree"},
	"policy":    {why: "the rules as data, with a digest", own: "digest pydist"},
	"prune": {
		why: "a plan from policy and wheels, and its application by transforms",
		own: "digest policy pyc pydist pyimport sharedobj wheel ziptree",
	},
	"heal":      {why: "a search over what rules removed; it is given a function that tries"},
	"measure":   {why: "sizes and verdicts: arithmetic"},
	"gate":      {why: "static checks of a layer", own: "measure pydist sharedobj wheel ziptree"},
	"lock":      {why: "a document of distributions with digests", own: "digest pydist"},
	"workspace": {why: "the specs, over io/fs", own: "digest measure place policy pydist"},
	"probe":     {why: "which questions to ask of a layer", own: "digest pyc pydist pyimport wheel ziptree"},
	"report":    {why: "the document of all of it", own: "digest gate measure probe", allowed: "time"},
	"release": {
		why:     "documents and decisions between an artifact and the functions that use it",
		own:     "blob digest measure pydist report",
		allowed: "time",
	},

	// use cases
	"engine": {
		why: "requirements to tested layers; no adapter, no machine, no account",
		own: `digest fault gate heal lock measure place policy probe prune pyc pydist pyimport report sharedobj wheel
			workspace ziptree`,
		allowed: "time",
	},
	"workflow": {
		why:     "a release in an account: one use case for each function; knows the engine, never the other way",
		own:     "blob digest engine fault lock measure probe pydist release report workspace ziptree",
		allowed: "time",
	},
	"operator": {
		why:     "what the commands that steer a release decide; the command line prints it",
		own:     "fault measure pydist release workflow workspace",
		allowed: "time",
	},

	// edges
	"localport": {
		why:     "the engine's ports on a laptop: files, programs, HTTP",
		own:     "digest engine fault gate lock measure probe pydist sharedobj workspace ziptree",
		allowed: "os os/exec path/filepath net/http net/url time syscall golang.org/x/sys/unix",
	},
	"awsport": {
		why:     "the ports in an account: one file a port or service, errors classified in one place",
		own:     "blob digest engine fault measure operator release workflow",
		allowed: "os net net/http net/url time syscall github.com/aws/aws-sdk-go-v2 github.com/aws/smithy-go",
	},
	"memport": {
		why:     "an account in memory that passes the same suites as the adapters for AWS; for tests",
		own:     "blob digest engine fault lock measure pydist release workflow ziptree",
		allowed: "time",
	},
	"porttest": {
		why:     "one suite for each port, which all of its adapters pass; needs no adapter",
		own:     "blob digest engine fault lock measure probe pyc pydist release workflow ziptree",
		allowed: "os path/filepath syscall time",
	},

	// doors
	"cli": {
		why: "flags, composition, printing: knows use cases and adapters",
		own: `awsport engine fault localport lock measure operator policy prune pydist release report workflow workspace
			ziptree`,
		allowed: `os os/exec os/signal path/filepath time syscall runtime/debug github.com/spf13/cobra
			github.com/vbauerster/mpb/v8 github.com/aws/aws-sdk-go-v2/service/s3`,
	},
	"lambdamain": {
		why:     "the door of every function: decode, log, deadline, errors; what all of them compose",
		own:     "awsport engine fault localport release workflow",
		allowed: "os net/url time runtime/debug github.com/aws/aws-sdk-go-v2 github.com/aws/aws-lambda-go",
	},
	"functions": {
		why:     "mains that compose one use case each",
		own:     "awsport engine lambdamain release workflow",
		allowed: "time github.com/aws/aws-sdk-go-v2",
	},
	"infra": {
		why:     "the app that the CDK synthesizes; of release only the parser of a setting that functions read too",
		own:     "release statemachine",
		allowed: "os path/filepath github.com/aws/aws-cdk-go github.com/aws/jsii-runtime-go",
	},
	"statemachine": {why: "the definition of the state machine, for the deployment and the cost model"},
	".":            {why: "main only composes", own: "cli", allowed: "os"},
	"events":       {why: "inputs to paste and samples, with tests only"},

	// tests of finished things: they have no code of their own
	"test":           {why: "the finished layers"},
	"test/e2e":       {why: "the deployed product"},
	"test/faults":    {why: "the command line on bad input and on a failing machine"},
	"test/functions": {why: "the deployed functions' bootstraps"},
	"test/prebuilt":  {why: "layers and zips that other tools built"},
	"test/reports":   {why: "what users reported, each as a script"},
	"test/workflow":  {why: "every path through the state machine"},

	// fixtures for tests
	"testenv/binaries": {why: "programs and libraries without code, for tests"},
	"testenv/emulator": {
		why:     "an AWS account in an emulator",
		own:     "testenv/host",
		allowed: "os os/exec net net/http path/filepath time github.com/aws/aws-sdk-go-v2",
	},
	"testenv/functions": {
		why:     "the functions' bootstraps on an S3 server, to test and to measure them",
		own:     "release workflow testenv/runtimeapi testenv/s3server",
		allowed: "os os/exec net/http path/filepath time github.com/aws/smithy-go",
	},
	"testenv/host": {
		why:     "uv and Python of this machine, and clean environments to run them in",
		own:     "pydist",
		allowed: "os os/exec path/filepath time",
	},
	"testenv/loaded": {
		why:     "compares what a process loads from two layers; imports nothing of what it checks",
		own:     "pyc ziptree",
		allowed: "os/exec",
	},
	"testenv/runtimeapi": {
		why:     "Lambda's Runtime API",
		allowed: "os os/exec net net/http path/filepath time syscall",
	},
	"testenv/scripts": {
		why:     "testscript files with the real command line, uv and Python",
		own:     "cli pydist testenv/binaries testenv/host",
		allowed: "os os/exec path/filepath time syscall",
	},
	"testenv/s3server": {why: "S3 in memory", allowed: "net net/http net/url time"},

	// tools of this repository: they run the product as a user does and write pages of docs/
	"tools/batch": {
		why:     "runs a tool over a list of distributions, for survey and suites",
		own:     "localport",
		allowed: "os os/signal path/filepath time syscall",
	},
	"tools/bench": {
		why:     "measures the product and other tools from outside; writes docs/benchmarks.md",
		own:     "report testenv/functions tools/onelayer tools/page workflow",
		allowed: "os os/exec path/filepath time syscall",
	},
	"tools/cost": {
		why:     "models the cost of a run and writes docs/cost.md; reads the state machine and runs the report",
		own:     "blob digest fault pydist release statemachine tools/page workflow",
		allowed: "os path/filepath time",
	},
	"tools/onelayer": {
		why:     "builds one layer by the command line, for survey and suites",
		own:     "cli localport measure pydist report ziptree",
		allowed: "os path/filepath",
	},
	"tools/page":  {why: "pages in Markdown: values to text", own: "measure"},
	"tools/style": {why: "measures how code reads; parses Go files", allowed: "os path/filepath"},
	"tools/suites": {
		why:     "runs packages' own tests on pruned layers and writes docs/suites.md",
		own:     "digest localport lock measure policy report tools/batch tools/onelayer tools/page wheel ziptree",
		allowed: "os os/exec path/filepath time syscall",
	},
	"tools/survey": {
		why:     "builds a hundred distributions and writes docs/survey.md",
		own:     "gate measure probe report testenv/loaded tools/batch tools/onelayer tools/page ziptree",
		allowed: "os path/filepath time",
	},
}

// nameOf is a package's name in rooms: "prune" for <module>/internal/prune, "." for main,
// "tools/bench" for <module>/internal/tools/bench.
func nameOf(path string) (string, bool) {
	if path == module {
		return ".", true
	}

	name, ours := strings.CutPrefix(path, module+"/")
	if strings.HasPrefix(name, "functions/") {
		return "functions", ours
	}

	return strings.TrimPrefix(name, "internal/"), ours
}

// breaches says which imports the rooms do not allow, each with the shortest chain of imports from
// a door to it.
func breaches(imports map[string][]string, rooms map[string]room) []string {
	var found []string
	for _, path := range sorted(imports) {
		name, ours := nameOf(path)
		r, known := rooms[name]
		if !ours || !known {
			found = append(found, fmt.Sprintf("%s has no room: add it to rooms with a reason", path))
			continue
		}

		for _, imported := range imports[path] {
			other, ours := nameOf(imported)
			switch {
			case ours && slices.Contains(strings.Fields(r.own), other):
			case !ours && !isWatched(imported, r.allowed):
			default:
				found = append(
					found,
					fmt.Sprintf(
						"%s may not import %s (%s): %s",
						name,
						imported,
						r.why,
						strings.Join(chain(imports, path, imported), " -> "),
					),
				)
			}
		}
	}

	return found
}

// unused says which imports of this module are allowed, but not made: a wall that is lower than it
// has to be.
func unused(imports map[string][]string, rooms map[string]room) []string {
	made := map[string]bool{}
	for path, all := range imports {
		from, _ := nameOf(path)
		for _, imported := range all {
			if to, ours := nameOf(imported); ours {
				made[from+" "+to] = true
			}
		}
	}

	var found []string
	for _, name := range slices.Sorted(maps.Keys(rooms)) {
		for _, to := range strings.Fields(rooms[name].own) {
			if !made[name+" "+to] {
				found = append(found, fmt.Sprintf("%s may import %s, but does not: take it off its list", name, to))
			}
		}
	}

	return found
}

func isWatched(path, allowed string) bool {
	below := func(p string) bool {
		return path == p || strings.Contains(p, ".") && strings.HasPrefix(path, p+"/")
	}

	return slices.ContainsFunc(strings.Fields(watched), below) &&
		!slices.ContainsFunc(strings.Fields(allowed), below)
}

// chain is the shortest way from main to the package, and the import.
func chain(imports map[string][]string, path, imported string) []string {
	from := map[string]string{module: ""}
	for queue := []string{module}; len(queue) > 0; queue = queue[1:] {
		for _, next := range imports[queue[0]] {
			if _, seen := from[next]; !seen {
				from[next] = queue[0]
				queue = append(queue, next)
			}
		}
	}

	way := []string{imported}
	for p := path; p != ""; p = from[p] {
		way = append(way, p)
	}

	slices.Reverse(way)
	for i := range way {
		if name, ours := nameOf(way[i]); ours {
			way[i] = name
		}
	}

	return way
}

func sorted(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }

func TestPackagesKeepToTheirRooms(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}

	imports := map[string][]string{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}

		if p.ImportPath != module+"/internal" { // this test's own folder
			imports[p.ImportPath] = p.Imports
		}
	}

	if len(imports) < 15 {
		t.Fatalf("go list knows %d packages only", len(imports))
	}

	for _, b := range breaches(imports, rooms) {
		t.Error(b)
	}

	for _, u := range unused(imports, rooms) {
		t.Error(u)
	}

	for name := range rooms {
		if !slices.ContainsFunc(sorted(imports), func(p string) bool { n, _ := nameOf(p); return n == name }) {
			t.Errorf("%s has a room, but is not there", name)
		}

		if rooms[name].why == "" {
			t.Errorf("%s has no reason", name)
		}
	}
}

func TestBreachesAreFound(t *testing.T) {
	in := module + "/internal/"
	rooms := map[string]room{
		".":    {why: "main", own: "door"},
		"door": {why: "a door", own: "plan", allowed: "os github.com/spf13/cobra"},
		"plan": {why: "pure", own: "base"},
		"base": {why: "ground"},
	}
	sound := func() map[string][]string {
		return map[string][]string{
			module:      {in + "door"},
			in + "door": {in + "plan", "os", "github.com/spf13/cobra", "fmt"},
			in + "plan": {in + "base", "strings"},
			in + "base": {"io/fs"},
		}
	}
	for name, c := range map[string]struct {
		from, to string
		want     string
	}{
		"nothing is wrong":          {},
		"a pure package that reads": {in + "plan", "os", "plan may not import os (pure): . -> door -> plan -> os"},
		"an import upward": {
			in + "base",
			in + "plan",
			"base may not import " + in + "plan (ground): . -> door -> plan -> base -> plan",
		},
		"a clock": {
			in + "base",
			"time",
			"base may not import time (ground): . -> door -> plan -> base -> time",
		},
		"the network": {
			in + "plan",
			"net/http",
			"plan may not import net/http (pure): . -> door -> plan -> net/http",
		},
		"the command line in a plan": {
			in + "plan",
			"github.com/spf13/cobra",
			"plan may not import github.com/spf13/cobra (pure): . -> door -> plan -> github.com/spf13/cobra",
		},
		"a package of an SDK in a door": {
			in + "door",
			"github.com/aws/aws-sdk-go-v2/service/s3",
			"door may not import github.com/aws/aws-sdk-go-v2/service/s3 (a door): . -> door -> " +
				"github.com/aws/aws-sdk-go-v2/service/s3",
		},
		"a new package": {in + "utils", "fmt", in + "utils has no room: add it to rooms with a reason"},
		"a package outside internal": {
			module + "/pkg",
			"fmt",
			module + "/pkg has no room: add it to rooms with a reason",
		},
		"harmless standard packages": {in + "base", "bytes", ""},
	} {
		graph := sound()
		if c.from != "" {
			graph[c.from] = append(graph[c.from], c.to)
		}

		if got := strings.Join(breaches(graph, rooms), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestUnusedAllowancesAreFound(t *testing.T) {
	rooms := map[string]room{"door": {why: "a door", own: "plan base"}, "plan": {why: "pure"}, "base": {why: "ground"}}
	imports := map[string][]string{module + "/internal/door": {module + "/internal/plan", "os"}}
	want := []string{"door may import base, but does not: take it off its list"}
	if got := unused(imports, rooms); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
