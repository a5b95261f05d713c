package pydist

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func opener(files map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if s, ok := files[name]; ok {
			return []byte(s), nil
		}

		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

var (
	hexA = strings.Repeat("ab", 32)
	hexB = strings.Repeat("12", 48)
)

// show prints position, text and hashes, one requirement a line.
func show(rs []Requirement) string {
	var b strings.Builder
	for _, r := range rs {
		fmt.Fprintf(&b, "%s:%d %s", r.File, r.Line, r)
		for _, h := range r.Hashes {
			b.WriteString(" " + h)
		}

		b.WriteString("\n")
	}

	return b.String()
}

func TestParseRequirementsReads(t *testing.T) {
	for sentence, tt := range map[string]struct {
		files               map[string]string
		direct, constraints string
		opened              string
	}{
		"names, blank lines, comments, CRLF and a byte order mark": {
			files: map[string]string{
				"r.txt": "\ufeff# tools\r\n\r\nSix  # why\r\nnumpy>=1,<3 ; python_version >= '3.9' # x\r\n  boto3[CRT]",
			},
			direct: "r.txt:3 six\nr.txt:4 numpy>=1,<3; python_version >= '3.9'\nr.txt:5 boto3[crt]\n",
		},
		"continuations, hashes in both spellings, once each": {
			files: map[string]string{
				"r.txt": "six==1.17.0 \\\n  --hash=sha256:" + strings.ToUpper(hexA) + " \\\n  --hash sha384:" + hexB +
					" --hash=sha256:" + hexA + "\nq\n",
			},
			direct: "r.txt:1 six==1.17.0 sha256:" + hexA + " sha384:" + hexB + "\nr.txt:4 q\n",
		},
		"a continuation at the end of the file": {
			files:  map[string]string{"r.txt": "six\\\n==1\\"},
			direct: "r.txt:1 six==1\n",
		},
		"a comment line ends a continuation": {
			files:  map[string]string{"r.txt": "six \\\n# c \\\nq\n"},
			direct: "r.txt:1 six\nr.txt:3 q\n",
		},
		"a hash sign inside a word is text": {
			files:  map[string]string{"r.txt": "./a-1-py3-none-any.whl#sha256=" + hexA},
			direct: "r.txt:1 a @ ./a-1-py3-none-any.whl#sha256=" + hexA + " sha256:" + hexA + "\n",
		},
		"wheels by path and URL": {
			files: map[string]string{
				"r.txt": "./wheels/Foo_x-1.0-py3-none-any.whl\nwheels/a-1-py3-none-any.whl[q] ; extra == 'b'\n" +
					"a-1-py3-none-any.whl;extra == 'b'\n" +
					"https://h/p/torch-2.0%2Bcu118-cp311-cp311-manylinux1_x86_64.whl?x=1\n" +
					"https://h/a-1-py3-none-any.whl; extra == 'b'\n" +
					"a @ https://h/a-1-py3-none-any.whl ; extra == 'b'\n" +
					"a[z] @ ../w/a-1-py3-none-any.whl\n",
			},
			direct: "r.txt:1 foo-x @ ./wheels/Foo_x-1.0-py3-none-any.whl\n" +
				"r.txt:2 a[q] @ wheels/a-1-py3-none-any.whl ; extra == 'b'\n" +
				"r.txt:3 a @ a-1-py3-none-any.whl ; extra == 'b'\n" +
				"r.txt:4 torch @ https://h/p/torch-2.0%2Bcu118-cp311-cp311-manylinux1_x86_64.whl?x=1\n" +
				"r.txt:5 a @ https://h/a-1-py3-none-any.whl ; extra == 'b'\n" +
				"r.txt:6 a @ https://h/a-1-py3-none-any.whl ; extra == 'b'\n" +
				"r.txt:7 a[z] @ ../w/a-1-py3-none-any.whl\n",
		},
		"includes are relative to the file that names them and read in place": {
			files: map[string]string{
				"l/r.txt":     "a\n-r sub/b.txt\n--constraint=../c.txt\nd\n",
				"l/sub/b.txt": "b\n-r../e.txt\n-c ../../c.txt",
				"l/e.txt":     "e",
				"c.txt":       "a<2\nb @ https://h/b-1-py3-none-any.whl\n",
			},
			direct:      "l/r.txt:1 a\nl/sub/b.txt:1 b\nl/e.txt:1 e\nl/r.txt:4 d\n",
			constraints: "c.txt:1 a<2\nc.txt:2 b @ https://h/b-1-py3-none-any.whl\n",
			opened:      "l/r.txt l/sub/b.txt l/e.txt c.txt",
		},
		"a file that is both is opened once": {
			files:  map[string]string{"r.txt": "-r b.txt\n-c b.txt\n--requirement b.txt", "b.txt": "b==1"},
			direct: "b.txt:1 b==1\n", constraints: "b.txt:1 b==1\n", opened: "r.txt b.txt",
		},
		"a quoted file name": {
			files:  map[string]string{"r.txt": `-r "my file.txt"`, "my file.txt": "b"},
			direct: "my file.txt:1 b\n",
			opened: "r.txt my file.txt",
		},
		"options that ask for what happens anyway": {
			files:  map[string]string{"r.txt": "--only-binary=:all:\n--only-binary numpy,scipy\n--prefer-binary\na"},
			direct: "r.txt:4 a\n",
		},
		"an empty file": {files: map[string]string{"r.txt": ""}},
	} {
		t.Run(sentence, func(t *testing.T) {
			name := "r.txt"
			if _, ok := tt.files[name]; !ok {
				name = "l/r.txt"
			}

			got, err := ParseRequirements(name, opener(tt.files))
			if err != nil {
				t.Fatal(err)
			}

			if tt.opened == "" {
				tt.opened = name
			}

			if d := cmp.Diff(tt.direct, show(got.Direct)); d != "" {
				t.Errorf("direct (-want +got):\n%s", d)
			}

			if d := cmp.Diff(tt.constraints, show(got.Constraints)); d != "" {
				t.Errorf("constraints (-want +got):\n%s", d)
			}

			if opened := strings.Join(got.Files, " "); opened != tt.opened {
				t.Errorf("opened %q, want %q", opened, tt.opened)
			}
		})
	}
}

func TestParseRequirementsRefuses(t *testing.T) {
	const relative = "write a relative path such as ./wheels/example-1.0-py3-none-any.whl"
	const knownOptions = "unknown; known: -r, -c, --only-binary, --prefer-binary and, after a requirement, --hash"
	for sentence, tt := range map[string]struct{ in, err, hint string }{
		"an editable install": {
			"a\n-e ./mine",
			"r.txt:2: -e: an editable install refers to a folder, which has no hash and cannot be reproduced",
			hintEditable,
		},
		"the first line of uv export": {
			"-e .\na",
			"r.txt:1: -e .: this is the project itself",
			"a layer has what the project requires, not the project: export with uv export --no-emit-project, " +
				"or remove the line",
		},
		"a long editable install": {
			"--editable=./x",
			"r.txt:1: --editable: an editable install refers to a folder, which has no hash and cannot be reproduced",
			hintEditable,
		},
		"version control": {
			"git+https://h/x.git@main#egg=x",
			"r.txt:1: version control: a checkout has no hash and is rebuilt each time",
			hintVCS,
		},
		"named version control": {
			"x @ git+ssh://git@h/x.git",
			"r.txt:1: version control: a checkout has no hash and is rebuilt each time",
			hintVCS,
		},
		"a folder":       {".", `r.txt:1: path or url ending in ".": not a wheel`, hintEditable},
		"a folder below": {"./src/x", `r.txt:1: path or url ending in "x": not a wheel`, hintEditable},
		"a source archive": {
			"x @ https://h/x-1.0.tar.gz",
			`r.txt:1: source archive "x-1.0.tar.gz": building it runs its code, and the wheel has no known hash`,
			hintEditable,
		},
		"a bare source archive": {
			"x-1.0.zip",
			`r.txt:1: source archive "x-1.0.zip": building it runs its code, and the wheel has no known hash`,
			hintEditable,
		},
		"http": {
			"x @ http://h/x-1-py3-none-any.whl",
			"r.txt:1: url: http does not protect the download from changes",
			"use https",
		},
		"file": {
			"file:///w/x-1-py3-none-any.whl",
			"r.txt:1: url: a file: URL works on one machine only",
			relative,
		},
		"an unknown scheme": {
			"x @ s3://b/x-1-py3-none-any.whl",
			`r.txt:1: url: unknown scheme "s3"; known: https`,
			"use https or a relative path",
		},
		"an absolute path": {
			"/w/x-1-py3-none-any.whl",
			`r.txt:1: path "/w/x-1-py3-none-any.whl": an absolute path works on one machine only`,
			relative,
		},
		"credentials": {
			"x @ https://me:secret@h/x-1-py3-none-any.whl",
			"r.txt:1: url: a committed file must not contain credentials",
			"remove the credentials; uv reads them from netrc or its configuration",
		},
		"no host": {"x @ https:x-1-py3-none-any.whl", "r.txt:1: url: host is missing", ""},
		"escapes without digits": {
			"x @ https://h/x%zz-1-py3-none-any.whl",
			"r.txt:1: url: malformed %-escape",
			"",
		},
		"another package's wheel": {
			"y @ ./x-1-py3-none-any.whl",
			`r.txt:1: requirement "y @ ./x-1-py3-none-any.whl": the wheel is for "x"`,
			"",
		},
		"a wheel with a bad name": {
			"./x-1.whl",
			`r.txt:1: wheel name "x-1.whl": has 2 parts separated by dashes; expected 5, or 6 with a build number`,
			"",
		},
		"an unknown fragment": {
			"./x-1-py3-none-any.whl#egg=x",
			`r.txt:1: url fragment "egg=x": unknown; known: sha256`,
			"write #sha256=<hex> or remove it",
		},
		"a word after a wheel": {
			"./x-1-py3-none-any.whl y",
			`r.txt:1: requirement "./x-1-py3-none-any.whl y": unexpected "y"; a marker begins with ' ;'`,
			"",
		},
		"a bad marker after a wheel": {
			"./x-1-py3-none-any.whl ;",
			`r.txt:1: requirement "./x-1-py3-none-any.whl ;": marker is empty`,
			"",
		},
		"a bad extra of a wheel": {
			"./x-1-py3-none-any.whl[-]",
			`r.txt:1: requirement "./x-1-py3-none-any.whl[-]": extras: name "-": ` +
				nameRule,
			"",
		},
		"an index": {
			"-i https://u:p@h/simple",
			"r.txt:1: -i: indexes are configured in uv; a committed file must not name a host",
			indexRefusal.hint,
		},
		"a long index": {
			"--extra-index-url=https://h",
			"r.txt:1: --extra-index-url: indexes are configured in uv; a committed file must not name a host",
			indexRefusal.hint,
		},
		"a folder of links": {
			"-fwheels",
			"r.txt:1: -f: indexes are configured in uv; a committed file must not name a host",
			indexRefusal.hint,
		},
		"a trusted host": {
			"--trusted-host h",
			"r.txt:1: --trusted-host: indexes are configured in uv; a committed file must not name a host",
			indexRefusal.hint,
		},
		"pre-releases of everything": {
			"--pre",
			"r.txt:1: --pre: allows pre-releases of every package",
			"name the pre-release in its specifier, such as example>=2.0rc1",
		},
		"builds from source": {
			"--no-binary=:all:",
			"r.txt:1: --no-binary: layers are built from wheels only",
			"remove the line",
		},
		"wheels only, switched off": {
			"--only-binary=:none:",
			"r.txt:1: --only-binary: expected :all: or package names; layers are built from wheels only",
			"write --only-binary=:all: or remove the line",
		},
		"a value for a switch": {
			"--prefer-binary x",
			"r.txt:1: --prefer-binary: takes no value",
			"put each option on its own line",
		},
		"hashes for everything": {
			"--require-hashes",
			"r.txt:1: --require-hashes: not needed, the lock contains a hash of every wheel",
			"remove the line",
		},
		"a hash without requirement": {
			"a \\\n# c\n  --hash=sha256:x",
			"r.txt:3: --hash: must follow a requirement on the same line",
			"end the previous line with a backslash, without a comment in between",
		},
		"an unknown option": {
			"--use-feature=x",
			`r.txt:1: option "--use-feature": ` + knownOptions,
			"remove it",
		},
		"an abbreviated option": {
			"--req b.txt",
			`r.txt:1: option "--req": ` + knownOptions,
			"remove it",
		},
		"a build option": {
			"a --global-option=x",
			`r.txt:1: option "--global-option": unknown after a requirement; known: --hash`,
			"remove it, or put it on its own line",
		},
		"text after options": {
			"a --hash=sha256:" + hexA + " b",
			`r.txt:1: unexpected "b" after the options of a requirement`,
			"",
		},
		"a hash without value": {"a --hash", "r.txt:1: --hash: value missing", ""},
		"a weak hash": {
			"a --hash=md5:ab",
			`r.txt:1: hash "md5:ab": unknown algorithm; known: sha256, sha384, sha512`,
			"",
		},
		"a short hash": {
			"a --hash=sha256:ab",
			`r.txt:1: hash "sha256:ab": sha256 has 64 hexadecimal digits`,
			"",
		},
		"a quote left open": {`a --hash="x`, `r.txt:1: quote " is not closed`, ""},
		"a variable": {
			"a @ https://${TOKEN}@h/a-1-py3-none-any.whl",
			"r.txt:1: variable ${TOKEN}: the result would depend on the environment",
			"name the distribution by its name and version; " + hintCredentials,
		},
		"a comment before a backslash": {
			"a # c \\\nb",
			"r.txt:1: backslash after a comment: tools disagree on whether the comment continues",
			"remove the backslash or move the comment to its own line",
		},
		"a form feed": {
			"a\n\fb",
			"r.txt:2: control character U+000C: tools disagree on whether it ends the line",
			"remove it",
		},
		"a line separator": {
			"# a\u2028b",
			"r.txt:1: control character U+2028: tools disagree on whether it ends the line",
			"remove it",
		},
		"a lone carriage return": {
			"a\rb",
			"r.txt:1: control character U+000D: tools disagree on whether it ends the line",
			"remove it",
		},
		"another encoding":        {"# \xe9", "r.txt:1: not UTF-8", "save it as UTF-8"},
		"another encoding, below": {"alpha\nbeta\n# \xe9\n", "r.txt:3: not UTF-8", "save it as UTF-8"},
		"a file that is too big": {
			strings.Repeat("#", maxRequirementsBytes+1),
			"r.txt: has 1048577 bytes, limit 1048576",
			"",
		},
		"a bad specifier": {
			"\n\na=1",
			`r.txt:3: requirement "a=1": specifier "=1": unknown operator; known: ===, ==, !=, ~=, <=, >=, <, >`,
			"",
		},
		"an include without name":    {"-r", "r.txt:1: -r: file name missing", ""},
		"an include with empty name": {"--requirement=", "r.txt:1: --requirement: file name missing", ""},
		"two includes on a line": {
			"-r b.txt -r c.txt",
			`r.txt:1: -r: unexpected "-r" after the file name`,
			"put each option on its own line",
		},
		"an include by URL": {
			"-r https://h/r.txt",
			"r.txt:1: -r: included files are paths, not URLs",
			"copy the file next to this one",
		},
		"an absolute include": {
			"-c /c.txt",
			"r.txt:1: -c /c.txt: an absolute path works on one machine only",
			"write the path relative to this file",
		},
		"an include that is missing": {"-r x/y.txt", "r.txt:1: -r x/y.txt: open x/y.txt: file does not exist", ""},
		"itself": {
			"-r ./r.txt",
			"r.txt:1: -r ./r.txt: files include each other: r.txt -> r.txt",
			"remove one of the includes",
		},
		"a circle": {
			"-r circle.txt",
			"circle.txt:2: -c r.txt: files include each other: r.txt -> circle.txt -> r.txt",
			"remove one of the includes",
		},
		"requirements by constraints": {
			"-c adds.txt",
			"adds.txt:1: -r: a constraints file cannot include requirements",
			"use -c, or move the line to a requirements file",
		},
		"a constraint with extras": {
			"-c extras.txt",
			`extras.txt:1: constraint "a[b]<2": constraints cannot have extras`,
			"remove the extras here; write them where the package is required",
		},
		"a constraint without name": {
			"-c bare.txt",
			`bare.txt:1: constraint "./x-1-py3-none-any.whl": a constraint must name its package`,
			"write x @ in front of it",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := ParseRequirements("r.txt", opener(map[string]string{
				"r.txt":      tt.in,
				"circle.txt": "a\n-c r.txt",
				"adds.txt":   "-r b.txt",
				"extras.txt": "a[b]<2",
				"bare.txt":   "./x-1-py3-none-any.whl",
			}))
			pe, ok := errors.AsType[*PositionError](err)
			if !ok || err.Error() != tt.err || pe.Hint != tt.hint {
				t.Errorf("error %v\n want %s\n hint %q\n want %q", err, tt.err, pe.Hint, tt.hint)
			}

			if ok && strings.Contains(err.Error()+pe.Hint, "secret") {
				t.Error("the message repeats a password")
			}
		})
	}
}

func TestParseRequirementsLimitsDepth(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 20 {
		files[fmt.Sprintf("%d.txt", i)] = &fstest.MapFile{Data: fmt.Appendf(nil, "-r %d.txt", i+1)}
	}

	_, err := ParseRequirements("0.txt", func(name string) ([]byte, error) { return fs.ReadFile(files, name) })
	if errText(err) != "7.txt:1: -r 8.txt: files are nested deeper than 8" {
		t.Errorf("error %v", err)
	}
}

func TestParseRequirementsKeepsTheCauseOfReadErrors(t *testing.T) {
	for in, want := range map[string]string{
		"-r x.txt": "r.txt:1: -r x.txt: open x.txt: file does not exist",
		"":         "read requirements r.txt: open r.txt: file does not exist",
	} {
		files := map[string]string{}
		if in != "" {
			files["r.txt"] = in
		}

		_, err := ParseRequirements("r.txt", opener(files))
		if errText(err) != want || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v\n want %s", err, want)
		}
	}
}

func FuzzParseRequirements(f *testing.F) {
	for _, s := range []string{
		"six>=1 # c\nnumpy[x,Y] (<2) ; python_version < '3' --hash=sha256:" + hexA,
		"-r b.txt\n-c c.txt\n./a-1-py3-none-any.whl[z] ; extra == 'b'\na@https://h/%61-1-py3-none-any.whl#sha256=" +
			hexA,
		"a \\\n  \\\n --hash 'sha512:x'", "\ufeff--pre", "-r \"\"", "a===x;",
		"https://h/a-1-py3-none-any.whl; extra=='x'",
	} {
		f.Add(s, "b\n-r r.txt", "c<2")
	}

	f.Fuzz(func(t *testing.T, r, b, c string) {
		got, err := ParseRequirements("r.txt", opener(map[string]string{"r.txt": r, "b.txt": b, "c.txt": c}))
		if err != nil {
			return
		}

		// Written again, one requirement a line, the files mean the same.
		write := func(rs []Requirement) string {
			var b strings.Builder
			for _, r := range rs {
				b.WriteString(r.String())
				for _, h := range r.Hashes {
					b.WriteString(" --hash=" + h)
				}

				b.WriteString("\n")
			}

			return b.String()
		}
		again, err := ParseRequirements(
			"r.txt",
			opener(map[string]string{"r.txt": "-c c.txt\n" + write(got.Direct), "c.txt": write(got.Constraints)}),
		)
		if err != nil {
			t.Fatalf("%q: %v", write(got.Direct), err)
		}

		if write(again.Direct) != write(got.Direct) || write(again.Constraints) != write(got.Constraints) {
			t.Fatalf("%q became %q", write(got.Direct), write(again.Direct))
		}

		for _, r := range got.Direct {
			if _, err := ParseName(r.Name.String()); err != nil || r.Line < 1 || r.Text == "" {
				t.Fatalf("%+v: %v", r, err)
			}
		}
	})
}
