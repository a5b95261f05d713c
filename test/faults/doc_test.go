package faults

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the tables of docs/bad-input.md")

const page = "../../docs/bad-input.md"

// row is a row of a table.
type row struct {
	fault, sees, code, test string
}

// elsewhere are faults that only tests of single packages can cause.
var elsewhere = []row{
	{
		"every field of an ELF header, of its program headers, dynamic table and version records, with 22 values each",
		"`error: check main: …: read elf: …`, or the file is left as it is",
		"3",
		"internal/sharedobj TestEveryFieldMayLie",
	},
	{"an ELF file cut after every byte", "the same", "3", "internal/sharedobj TestEveryLengthMayBeCut"},
	{
		"a zip in which everything that a header can say is a lie",
		"`error: read x.whl: entry …`",
		"2",
		"internal/ziptree TestReadRefuses",
	},
	{
		"more than 200,000 entries",
		"`error: read x.whl: 200001 entries, limit 200000`",
		"2",
		"internal/ziptree TestReadCountsEntriesBeforeItChecksThem",
	},
	{
		"more than 4 GiB unzipped in all",
		"`error: read x.whl: entry … unzipped sizes add up to more than 4294967296 bytes`",
		"2",
		"internal/ziptree TestReadRefusesTooManyBytesInAll",
	},
	{
		"a file that delivers nothing for a minute",
		"`no data for 1m0s`, tried again",
		"2",
		"internal/localport TestDownloadEndsASilentBody",
	},
	{
		"an interpreter that hangs when it compiles",
		"`error: compile with …: no answer for 5m0s`",
		"2",
		"internal/localport TestInterpreterThatDoesNotCompile",
	},
	{
		"a probe that never ends",
		"`did not end within 2m0s`; what it started is ended too",
		"3",
		"internal/localport TestInterpreter",
	},
	{
		"an index that serves another file than was locked",
		"`error: fetch alpha==1.0: the index has no … with sha256 …`",
		"2",
		"internal/cli TestScript",
	},
	{
		"whatever a fuzzer thinks of: zip, ELF, names of wheels, versions, requirements, RECORD, METADATA, entry " +
			"points, workspace, lock, documents and events of the pipeline",
		"an error, or the same value when it is written and read again",
		"",
		"internal/ziptree FuzzRead",
	},
}

// examples are values of the variables in messages.
var examples = strings.NewReplacer(
	"$TARGET", "python3.13-x86_64",
	"$RUNTIME", "python3.13",
	"$VERSION", "3.13",
	"$LOCKFILE", "layers/pylock.python3_13-x86_64.toml",
	"$LOCK", "pylock.python3_13-x86_64.toml",
	"$PYTHON", "…/python3.13",
	"$ZIP", "dist/main-python3.13-x86_64.zip",
	"$WORK", "…",
	"$HOST", "127.0.0.1:…",
	"$TMP", "/tmp",
	"$ARCHIVE", "layer.zip",
)

// shown is a message as the page has it.
func shown(want string) string {
	var parts []string
	for line := range strings.SplitSeq(want, "\n") {
		line = strings.ReplaceAll(strings.ReplaceAll(line, "`", "'"), "\t", " ")
		parts = append(parts, "`"+strings.ReplaceAll(line, "|", "\\|")+"`")
	}

	text := strings.Join(parts, "<br>")
	return examples.Replace(text)
}

// named is the name that go test gives a subtest.
func named(test string, names ...string) string {
	for _, n := range names {
		test += "/" + strings.ReplaceAll(n, " ", "_")
	}

	return "`" + test + "`"
}

func capital(s string) string {
	if strings.HasPrefix(s, "uv") {
		return s
	}

	return strings.ToUpper(s[:1]) + s[1:]
}

// pageTables are the tables of the page, in its order.
func pageTables() string {
	var b strings.Builder
	table := func(title string, rows []row) {
		fmt.Fprintf(&b, "## %s\n\n| fault | what the user sees | exit code | test |\n|---|---|---|---|\n", title)
		for _, r := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", capital(r.fault), r.sees, r.code, r.test)
		}

		b.WriteString("\n")
	}

	for _, s := range inWorkspace {
		table(s.title, workspaceRows(s))
	}

	table("Wheels and other archives", archiveRows())
	table("The index", indexRows())
	table("The disk", diskRows())
	table("Stopped, killed, twice", stopRows())

	var rows []row
	for _, r := range elsewhere {
		folder, test, _ := strings.Cut(r.test, " ")
		r.test = "`" + test + "` in `" + folder + "`"
		rows = append(rows, r)
	}

	table("In the packages", rows)

	return b.String()
}

func workspaceRows(s section) (rows []row) {
	for _, f := range s.faults {
		r := row{f.title, shown(f.want), "2", named("TestBadInput", f.title)}
		if f.code != 0 {
			r.code = fmt.Sprint(f.code)
		}

		rows = append(rows, r)
	}

	return rows
}

func archiveRows() (rows []row) {
	for _, f := range archiveFaults {
		sees := shown(f.message("", "layer.zip", cmp.Or(f.hint, zipHint)))
		if f.byUV {
			sees += "; of a wheel uv says that it has an invalid package format"
		}

		rows = append(rows, row{f.title, sees, "2", named("TestBadArchives", f.title)})
	}

	for _, l := range lies {
		message := "error: open layer.zip: read python/data.bin: " + l.reason + "\n" + brokenHint
		rows = append(rows, row{l.title, shown(message), "2", named("TestLyingArchives", l.title)})
	}

	for _, f := range wheelFaults {
		message := "error: assemble beta==1.0: " + f.want + "\n" + indexHint
		rows = append(rows, row{f.title, shown(message), "2", named("TestBadWheels", f.title)})
	}

	for _, f := range gateFaults {
		rows = append(rows, row{f.title, shown(f.want), "3", named("TestWhatTheGateRefuses", f.title)})
	}

	return append(rows, row{
		"forty thousand entries, seventy thousand entries, sizes in zip64 fields",
		"nothing: they are taken",
		"0",
		"`TestLargeAndUnusualArchives`",
	})
}

func indexRows() (rows []row) {
	for _, f := range indexFaults {
		for _, c := range []struct{ when, message string }{{"when it locks", f.lock}, {"when it fetches", f.fetch}} {
			if c.message != "" {
				test := named("TestIndexFails", f.title, c.when)
				rows = append(rows, row{f.title + ", " + c.when, shown(c.message), "2", test})
			}
		}
	}

	return append(rows, row{
		"a file that comes byte by byte, that breaks off twice, a server that is busy twice",
		"nothing: it is tried again, from where it broke off",
		"0",
		"`TestIndexThatIsSlowOrDropsConnections`",
	})
}

func diskRows() (rows []row) {
	for _, f := range diskFaults {
		for _, c := range []struct{ how, message string }{{" is full", f.full}, {" is read-only", f.locked}} {
			test := named("TestDiskFullOrReadOnly", f.title+c.how)
			rows = append(rows, row{f.title + c.how, shown(c.message), "2", test})
		}
	}

	return append(rows, row{
		"a disk that fills up while a file is written",
		"the same; when there is room the next build succeeds",
		"2",
		"`TestDiskFillsUp`",
	})
}

func stopRows() (rows []row) {
	for _, m := range moments {
		rows = append(rows,
			row{
				"SIGINT or SIGTERM while it does: " + m.title,
				"`interrupted: no file was left half-written`",
				"130",
				named("TestStopped", m.title+" SIGINT") + ", " + named("TestStopped", m.title+" SIGTERM"),
			},
			row{
				"SIGKILL while it does: " + m.title,
				"nothing. Finished files are as they were; temporary ones (`.tmp-…`) stay, are not read, and are " +
					"swept after a day",
				"",
				named("TestStopped", m.title+" SIGKILL"),
			},
		)
	}

	return append(rows,
		row{"SIGKILL at twenty moments of a build", "the same", "", "`TestKilledAtAnyMoment`"},
		row{
			"four builds at once in one workspace",
			"nothing: each succeeds, and the bytes are those of one",
			"0",
			"`TestBuildsAtOnce`",
		},
		row{
			"a probe that leaves twenty processes running",
			"nothing: they are ended with it",
			"0",
			"`TestProbeThatForks`",
		},
	)
}

// The tables of the page are made from the tested faults; the text around them is not.
func TestThePageIsWhatIsTested(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}

	const begin = "<!-- tables: go test ./test/faults -run ThePage -update -->\n"
	const end = "<!-- end of the tables -->"
	before, rest, ok := strings.Cut(string(b), begin)
	old, after, alsoOk := strings.Cut(rest, end)
	if !ok || !alsoOk {
		t.Fatalf("%s has no tables", page)
	}

	made := "\n" + pageTables()
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+made+end+after), 0o644); err != nil {
			t.Fatal(err)
		}

		return
	}

	if d := gocmp.Diff(made, old); d != "" {
		t.Errorf("the tables of %s (- faults, + page):\n%s\nhint: run: go test ./test/faults -run ThePage -update",
			page, d)
	}

	for _, m := range testName.FindAllStringSubmatch(string(b), -1) {
		folder := m[2]
		if folder == "" {
			folder = "test/faults"
		}

		if !declares(t, folder, m[1]) {
			t.Errorf("%s names %s in %s, which is not there", page, m[1], folder)
		}
	}
}

// testName is a test on the page, with its folder unless that is this one.
var testName = regexp.MustCompile("`((?:Test|Fuzz)\\w+)(?:/[^`]*)?`(?: in `([^`]+)`)?")

// declares reports whether a folder has a test of that name.
func declares(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", folder, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", folder, err)
	}

	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}

		if strings.Contains(string(b), "\nfunc "+name+"(") {
			return true
		}
	}

	return false
}
