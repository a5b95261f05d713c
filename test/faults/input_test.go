package faults

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

// fault is one fault and what the user sees of it.
type fault struct {
	title   string
	prepare func(w *world)
	args    []string // "build" when there are none
	want    string   // all of stderr; … stands for anything within a line, $TARGET and the like for this machine's
	code    int      // 2 unless it says 3
	writes  bool     // it is built all the same, and the output says what is wrong with it: exit code 3
	allowed []string // what may be left in the cache beyond what caches hold
}

// section is one table of docs/bad-input.md.
type section struct {
	title  string
	faults []fault
}

// Hints of many faults.
const (
	hintYAML = "hint: correct that line; YAML is indented by spaces, and brackets and quotes are closed"
	hintKeys = "hint: docs/layer-yaml.md shows each key with an example"
)

// inWorkspace are faults in a workspace that was built before.
var inWorkspace = []section{
	{
		"Requirements and versions",
		[]fault{
			{
				title: "a name that no index has",
				want: "error: lock alpa (layers/main/requirements.txt:2): Because alpa was not found …\n" +
					"hint: correct the name or the version; is it on another index? Indexes are configured in " +
					"uv.toml or UV_INDEX",
				prepare: requires("alpha", "alpa"),
			},
			{
				title: "a version that there is not",
				want: "error: lock alpha>=9 (layers/main/requirements.txt:1): …only alpha==1.0 is available…\n" +
					"hint: correct the name or the version; is it on another index? Indexes are configured in " +
					"uv.toml or UV_INDEX",
				prepare: requires("alpha>=9"),
			},
			{
				title: "no wheel for the target",
				want: "error: lock beta (layers/main/requirements.txt:2): …no wheels with a matching…we only found " +
					"wheels for `beta` (v1.0) with the following…`cp36m`\n" +
					"hint: choose a version that has a wheel for $TARGET, or add --allow-source on a machine of that " +
					"platform",
				prepare: func(w *world) {
					w.tagged("beta", "1.0", "cp36-cp36m-win32", nil)
					w.tagged("beta", "1.0", "cp36-cp36m-manylinux2014_s390x", nil)
					requires("alpha", "beta")(w)
				},
			},
			{
				title: "no wheel for the target of the version that is asked for",
				want: "error: lock beta==1.0 (layers/main/requirements.txt:2): …no wheels with a matching…we only " +
					"found wheels for `beta` (v1.0) with the following…`cp36m`\n" +
					"hint: choose a version that has a wheel for $TARGET, or add --allow-source on a machine of that " +
					"platform",
				prepare: func(w *world) {
					w.tagged("beta", "1.0", "cp36-cp36m-win32", nil)
					w.wheel("beta", "0.9", nil)
					requires("alpha", "beta==1.0")(w)
				},
			},
			{
				title: "two layers that cannot have the same version",
				want: "error: lock new (layers/other/requirements.txt:1); old (layers/main/requirements.txt:2): …all " +
					"versions of new depend on shared>=2 and all versions of old depend on shared<2…\n" +
					"hint: change one of these requirements, or move one layer to a workspace of its own",
				prepare: func(w *world) {
					w.wheel("shared", "1.0", nil)
					w.wheel("shared", "2.0", nil)
					w.wheel("old", "1.0", []string{"shared<2"})
					w.wheel("new", "1.0", []string{"shared>=2"})
					requires("alpha", "old")(w)
					w.write("layers/other/requirements.txt", "new\n")
				},
			},
			{
				title: "a hash in the requirements that is not the file's",
				want: "error: lock main/requirements.txt:1: alpha==1.0: the file for this target, " +
					"alpha-1.0-py3-none-any.whl, has sha256 …, which is not among its hashes\n" +
					"hint: add the hash if you trust the file, or correct the requirement",
				prepare: requires("alpha==1.0 --hash=sha256:" + strings.Repeat("0", 64)),
			},
			{
				title: "a requirement without bytes that a hash could name",
				want: "error: layers/main/requirements.txt:2: version control: a checkout has no hash and is rebuilt " +
					"each time\n" +
					"hint: build a wheel from the commit and name the .whl file, or name a published version",
				prepare: requires("alpha", "beta @ git+https://example.invalid/beta.git", "-e ./mine"),
			},
			{
				title: "requirements that are not text",
				want: "error: layers/main/requirements.txt:2: not UTF-8\n" +
					"hint: save it as UTF-8",
				prepare: requires("alpha\x00", "\xff\xfe"),
			},
			{
				title: "a wheel that is not where its path says",
				want: "error: lock beta @ ./beta-1.0-py3-none-any.whl (layers/main/requirements.txt:2): Distribution " +
					"not found at: file://$WORK/layers/main/beta-1.0-py3-none-any.whl\n" +
					"hint: put the file there, or correct the requirement",
				prepare: requires("alpha", "beta @ ./beta-1.0-py3-none-any.whl"),
			},
		},
	},
	{
		"Workspace",
		[]fault{
			{
				title:   "YAML that is none",
				want:    "error: layers/main/layer.yaml:2: not YAML: ',' or ']' must be specified\n" + hintYAML,
				prepare: layerYAML("description: [unclosed\nbytecode: lean\n"),
			},
			{
				title: "YAML with a tab",
				want: "error: layers/main/layer.yaml:2: not YAML: found character '\t' that cannot start any token\n" +
					hintYAML,
				prepare: layerYAML("budget:\n\tunzipped: 1 MB\n"),
			},
			{
				title: "YAML that is not text",
				want: "error: layers/main/layer.yaml:1: not UTF-8 text\n" +
					"hint: save it as UTF-8",
				prepare: layerYAML("description: \xff\xfe\x00\n"),
			},
			{
				title: "YAML of two documents",
				want: "error: layers/main/layer.yaml: more than one YAML document\n" +
					"hint: keep only the first",
				prepare: layerYAML("description: a\n---\ndescription: b\n"),
			},
			{
				title:   "YAML that is nested without an end",
				want:    "error: layers/main/layer.yaml: nested 1000 deep, limit 32\n" + hintYAML,
				prepare: layerYAML("keep: " + strings.Repeat("[", 1000) + "\n"),
			},
			{
				title: "YAML that is too long",
				want: "error: layers/main/layer.yaml: 66574 bytes, limit 65536\n" +
					"hint: a spec has a few lines: move data into files of its own",
				prepare: layerYAML("description: " + strings.Repeat("a", 65<<10) + "\n"),
			},
			{
				title: "YAML that grows by aliases",
				want: "error: layers/main/layer.yaml:1: expected a mapping, for example { match: \"x/**\", reason: " +
					"... }\n" + hintKeys +
					"\nerror: layers/main/layer.yaml:2: YAML aliases are not supported\n" +
					"hint: repeat the value",
				prepare: layerYAML("keep: &a [x, x]\ndrop: [*a, *a]\n"),
			},
			{
				title: "an unknown key",
				want: "error: layers/main/layer.yaml:1: unknown key \"service\"\n" +
					`hint: did you mean "services"?`,
				prepare: layerYAML("service: [s3]\n"),
			},
			{
				title: "a key twice",
				want: `error: layers/main/layer.yaml:2: not YAML: mapping key "services" already defined at [1:1]` +
					"\n" + hintYAML,
				prepare: layerYAML("services: [s3]\nservices: [sqs]\n"),
			},
			{
				title: "a value of another kind",
				want: "error: layers/main/layer.yaml:1: expected a mapping, for example { unzipped: 140 MB }\n" +
					hintKeys +
					"\nerror: layers/main/layer.yaml:2: expected text\n" + hintKeys,
				prepare: layerYAML("budget: 12\nextends: { a: b }\n"),
			},
			{
				title: "a folder in the place of layer.yaml",
				want: "error: layers/main/layer.yaml: read main/layer.yaml: is a directory\n" +
					"hint: make it a file that can be read, or remove it",
				prepare: func(w *world) { w.write("layers/main/layer.yaml/x", "") },
			},
			{
				title: "layers that extend each other",
				want: "error: layers/main/layer.yaml:1: extends itself: main -> other -> main\n" +
					"hint: remove one of these",
				prepare: func(w *world) {
					layerYAML("extends: other\n")(w)
					w.write("layers/other/requirements.txt", "alpha\n")
					w.write("layers/other/layer.yaml", "extends: main\n")
				},
			},
			{
				title: "six layers in a stack",
				want: "error: layers/f/layer.yaml:1: needs 6 layers with those it extends; a Lambda function may " +
					"have 5\n" +
					"hint: merge some of the layers",
				prepare: func(w *world) {
					for i, name := range []string{"b", "c", "d", "e", "f"} {
						w.write("layers/"+name+"/requirements.txt", "alpha\n")
						w.write("layers/"+name+"/layer.yaml", "extends: "+[]string{"main", "b", "c", "d", "e"}[i]+"\n")
					}
				},
			},
			{
				title: "no workspace",
				want: "error: open workspace layers: no such folder\n" +
					"hint: run it in the folder that holds layers/, name one with --workspace, or begin with: " +
					"layersmith init pandas",
				prepare: func(w *world) { w.remove("layers") },
			},
			{
				title: "an unknown target",
				want: `error: read --target: target "$RUNTIME-mips": unknown architecture; known: arm64, x86_64` +
					"\nhint: choose one of: python3.9-arm64 python3.9-x86_64 python3.10-arm64 python3.10-x86_64 " +
					"python3.11-arm64 python3.11-x86_64 python3.12-arm64 python3.12-x86_64 " +
					"python3.13-arm64 python3.13-x86_64 python3.14-arm64 python3.14-x86_64",
				args: []string{"build", "--target", "python3.13-mips"},
			},
			{
				title: "a layer that there is not",
				want: "error: build mian: no such layer\n" +
					"hint: layers here: main",
				args: []string{"build", "mian"},
			},
		},
	},
	{
		"The lock, edited by hand",
		[]fault{
			{
				title: "a lock that is not TOML",
				want: "error: read lock $LOCK: line 6: toml: expected ']]' to close array table name\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "[[packages]]", "[[packages") },
			},
			{
				title: "a lock with an unknown key",
				want: "error: read lock $LOCK: line 7: unknown key packages.url\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "[[packages]]", "[[packages]]\nurl = \"x\"") },
			},
			{
				title: "a lock of another target",
				want: "error: read lock $LOCK: target \"python3.9\": architecture missing; write python3.9-arm64 or " +
					"python3.9-x86_64\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "target = \"python3.", "target = \"python3.9\" # ") },
			},
			{
				title: "a lock for another runtime",
				want: "error: read lock $LOCK: it is the lock of python3.12-arm64\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) {
					w.edit(w.lockName(), "target = \""+thisMachine().target.String(), "target = \"python3.12-arm64")
				},
			},
			{
				title: "a lock with a digest cut short",
				want: "error: read lock $LOCK: line 9: toml: sha256 \"0…\": 65 digits, want 64\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "sha256 = \"", "sha256 = \"0") },
			},
			{
				title: "a lock with another digest",
				want: "error: fetch alpha==1.0: the index has no alpha-1.0-py3-none-any.whl with sha256 aaaaaaaa…\n" +
					"hint: the file was replaced or your index does not mirror it; run: layersmith lock " +
					"--upgrade-package alpha",
				prepare: func(w *world) {
					lines := strings.Split(w.read(w.lockName()), "\n")
					for i, l := range lines {
						if at := strings.Index(l, `sha256 = "`); at >= 0 {
							lines[i] = l[:at+10] + strings.Repeat("a", 64) + l[at+74:]
						}
					}

					w.write(w.lockName(), strings.Join(lines, "\n"))
				},
			},
			{
				title: "a lock with another version than its file",
				want: "error: read lock $LOCK: alpha==2.0: alpha-1.0-py3-none-any.whl is another distribution\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "\nversion = \"1.0\"", "\nversion = \"2.0\"") },
			},
			{
				title: "a lock with a path in the place of a file",
				want: "error: read lock $LOCK: alpha==1.0: \"../alpha-1.0-py3-none-any.whl\" is not the name of a " +
					"file\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), `path = "`, `path = "../`) },
			},
			{
				title: "a lock with a distribution twice",
				want: "error: read lock $LOCK: alpha is locked twice\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) {
					text := w.read(w.lockName())
					from := strings.Index(text, "[[packages]]")
					to := strings.Index(text, "[tool.layersmith]")
					w.write(w.lockName(), text[:to]+text[from:to]+text[to:])
				},
			},
			{
				title: "a lock whose layer needs what is not locked",
				want: "error: read lock $LOCK: layer main needs beta, which is not locked\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), `["alpha"]`, `["alpha", "beta"]`) },
			},
			{
				title: "a lock whose layer lacks what it requires",
				want: "error: read lock $LOCK: alpha==1.0 is locked, but no layer needs it\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), `["alpha"]`, `[]`) },
			},
			{
				title: "a lock without the layer",
				want: "error: read lock $LOCK: alpha==1.0 is locked, but no layer needs it\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), `"main" = ["alpha"]`, ``) },
			},
			{
				title: "a lock with a merge conflict",
				want: "error: read lock $LOCK: line 6: toml: invalid character at start of key: U+003C '<'\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.edit(w.lockName(), "[[packages]]", "<<<<<<< HEAD\n[[packages]]") },
			},
			{
				title: "a lock that is too long",
				want: "error: read lock $LOCK: 18874368 bytes, limit 16777216\n" +
					"hint: restore it from version control, or remove it and run: layersmith lock",
				prepare: func(w *world) { w.write(w.lockName(), strings.Repeat("# \n", 6<<20)) },
			},
			{
				title: "a folder in the place of the lock",
				want: "error: read lock $LOCK: read layers/$LOCK: is a directory\nhint: restore it from version " +
					"control, or remove it and run: layersmith lock",
				prepare: func(w *world) {
					w.remove(w.lockName())
					w.write(w.lockName()+"/x", "")
				},
			},
		},
	},
	{
		"uv",
		[]fault{
			{
				title: "uv is missing",
				want: "error: find uv: not on PATH, not in $WORK/.tools/bin\n" +
					"hint: install uv (pip install uv), or run: make layers, which installs a pinned one for this " +
					"project",
				prepare: func(w *world) {
					w.remove("bin/uv")
					w.env["PATH"] = w.path("bin") // the machine may have its own in /usr/bin
					requires("alpha==1.0")(w)
				},
			},
			{
				title: "uv is too old",
				want: "error: run $WORK/bin/uv: it is version 0.4.30, at least 0.7.0 is needed\n" +
					"hint: upgrade uv (pip install --upgrade uv)",
				prepare: uv("echo 'uv 0.4.30'"),
			},
			{
				title: "uv is something else",
				want: "error: run $WORK/bin/uv: --version printed \"hello\\n\", not \"uv VERSION\"\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: uv("echo hello"),
			},
			{
				title: "uv cannot be started",
				want: "error: run $WORK/bin/uv: --version printed \"\", not \"uv VERSION\"\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: func(w *world) {
					uv("")(w)
					w.write("bin/uv", "\x7fELF")
				},
			},
			{
				title: "uv fails without a message",
				want: "error: run $WORK/bin/uv: it failed without a message: exit status 1\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: uv(answers + "exit 1"),
			},
			{
				title: "uv fails with words",
				want: "error: lock $TARGET: the moon is in the wrong place\n" +
					"hint: this is the message of uv",
				prepare: uv(answers + "echo 'error: the moon is in the wrong " +
					"place' >&2; exit 2"),
			},
			{
				title: "uv is killed",
				want: "error: run $WORK/bin/uv: it failed without a message: signal: killed\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: uv(answers + "kill -9 $$"),
			},
			{
				title: "uv prints garbage",
				want: "error: read the answer of $WORK/bin/uv: line \"}{ garbage\": name \"}{\": expected letters, " +
					"digits, '-', '_' and '.', with a letter or digit at both ends\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: uv(answers + `for last; do
	[ "$before" = --output-file ] && echo '}{ garbage' > "$last"
	before="$last"
done`),
			},
			{
				title: "uv says nothing and is content",
				want: "error: read the answer of $WORK/bin/uv: layers/main/requirements.txt:1: alpha is not in it\n" +
					"hint: install uv again (pip install --force-reinstall uv)",
				prepare: uv(answers + "exit 0"),
			},
		},
	},
	{
		"The interpreter",
		[]fault{
			{
				title: "no such interpreter",
				want: "error: find python9: exec: \"python9\": executable file not found in $PATH\n" +
					"hint: give --python the path of a $RUNTIME",
				args: []string{"build", "--python", "python9"},
			},
			{
				title: "an interpreter of another version",
				want: "error: run other: it is cpython 3.8.20, the target needs $VERSION\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "echo cpython 3.8 3.8.20 Linux-x86_64") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "another implementation of Python",
				want: "error: run other: it is pypy 3.13.0, the target needs $VERSION\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "echo pypy 3.13 3.13.0 Linux-x86_64") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "an interpreter that prints garbage",
				want: "error: run other: it printed \"}{ garbage\\n\" and is not a Python\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "echo '}{ garbage'") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "an interpreter that prints without an end",
				want: "error: run other: it printed \"" + strings.Repeat(`y\n`, 40) + "\" and is not a Python\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "exec yes") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "an interpreter that crashes",
				want: "error: run other: signal: segmentation fault\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "kill -SEGV $$") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "an interpreter that fails with words",
				want: "error: run other: exit status 127: no libpython here\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.program("other", "echo 'no libpython here' >&2; exit 127") },
				args:    []string{"build", "--python", "other"},
			},
			{
				title: "an interpreter that is no program",
				want: "error: find ./other: exec: \"./other\": permission denied\n" +
					"hint: give --python the path of a $RUNTIME",
				prepare: func(w *world) { w.write("other", "text") },
				args:    []string{"build", "--python", "./other"},
			},
			{
				title: "an interpreter that crashes when it compiles",
				want: "error: compile with $PYTHON: signal: segmentation fault\n" +
					"hint: install that Python again, or name another with --python",
				prepare: compiler("kill -SEGV $$"),
			},
			{
				title: "an interpreter that compiles to garbage",
				want: "error: compile with $PYTHON: an answer of 544434464 bytes, limit 268435456\n" +
					"hint: install that Python again, or name another with --python",
				prepare: compiler("echo this is no bytecode at all"),
			},
			{
				title: "an interpreter that prints answers without an end",
				want: "error: compile with $PYTHON: an answer of 2030729482 bytes, limit 268435456\n" +
					"hint: install that Python again, or name another with --python",
				prepare: compiler("exec yes"),
			},
			{
				title: "an interpreter that compiles nothing",
				want: "error: compile with $PYTHON: 0 answers for 1 sources\n" +
					"hint: install that Python again, or name another with --python",
				prepare: compiler("cat >/dev/null"),
			},
			{
				title: "an interpreter that does not probe",
				want: "error: run the probe with $WORK/bin/$RUNTIME: it ended without an answer\n" +
					"hint: install that Python again, or name another with --python",
				prepare: prober("kill -SEGV $$"),
			},
		},
	},
	{"The layer's own probe", []fault{
		{
			title: "a probe that fails",
			want: "error: probe main: script probe.py: AssertionError: alpha is too old\n" +
				"hint: it fails on the unpruned layer too: the package, or a requirement that it does not declare, " +
				"is at fault",
			prepare: probe("assert False, 'alpha is too old'"), code: 3, writes: true,
		},
		{
			title: "a probe that crashes",
			want: "error: probe main: script probe.py: signal: segmentation fault\n" +
				"hint: it fails on the unpruned layer too: the package, or a requirement that it does not declare, " +
				"is at fault",
			prepare: probe("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)"), code: 3, writes: true,
		},
		{
			title: "a probe that is no Python",
			want: "error: probe main: script probe.py: SyntaxError: unmatched '}'\n" +
				"hint: it fails on the unpruned layer too: the package, or a requirement that it does not declare, " +
				"is at fault",
			prepare: probe("}{ garbage"), code: 3, writes: true,
		},
		{
			title: "a probe that fills memory",
			want: "error: probe main: script probe.py: MemoryError\n" +
				"hint: it fails on the unpruned layer too: the package, or a requirement that it does not declare, " +
				"is at fault",
			prepare: probe("b = bytearray(11 << 30)"), code: 3, writes: true,
		},
		{
			title: "a probe that prints without an end",
			want: "error: probe main: script probe.py: enough\n" +
				"hint: it fails on the unpruned layer too: the package, or a requirement that it does not declare, " +
				"is at fault",
			prepare: probe("import sys\nfor n in range(200000): print('x' * 80, file=sys.stderr)\nraise " +
				"SystemExit('enough')"), code: 3, writes: true,
		},
	}},
	{
		"The wheel store",
		[]fault{
			{
				title: "a wheel of the store was cut short",
				want: "error: assemble alpha==1.0: read alpha-1.0-py3-none-any.whl: zip: not a valid zip file\n" +
					"hint: the file was damaged in the wheel store; run: layersmith clean --wheels, then build",
				prepare: store(func(w *world, p string) { w.write(p, w.read(p)[:100]) }),
				args:    []string{"build", "--clean"},
			},
			{
				title: "a wheel of the store is something else",
				want: "error: assemble alpha==1.0: read alpha-1.0-py3-none-any.whl: zip: not a valid zip file\n" +
					"hint: the file was damaged in the wheel store; run: layersmith clean --wheels, then build",
				prepare: store(func(w *world, p string) { w.write(p, "hello") }),
				args:    []string{"build", "--clean"},
			},
			{
				title: "a byte of a wheel of the store is another",
				want: "error: assemble alpha==1.0: index imports: read alpha/__init__.py: flate: corrupt input " +
					"before offset 7\n" +
					"hint: the file was damaged in the wheel store; run: layersmith clean --wheels, then build",
				prepare: store(func(w *world, p string) {
					b := []byte(w.read(p))
					const name = "alpha/__init__.py"
					at := strings.Index(string(b), name) + len(name) + 12 // after an extra field of 9 bytes
					b[at] ^= 0x55
					w.write(p, string(b))
				}),
				args: []string{"build", "--clean"},
			},
			{
				title: "a folder in the place of a wheel of the store",
				want: "error: open $WORK/cache/wheels/…: not a file\n" +
					"hint: make room and permission for the cache, or name another folder with --cache or " +
					"LAYERSMITH_CACHE",
				prepare: store(func(w *world, p string) {
					w.remove(p)
					w.write(p+"/x", "")
				}),
				args: []string{"build", "--clean"},
			},
			{
				title: "offline, and the store lacks a wheel",
				want: "error: fetch alpha==1.0: alpha-1.0-py3-none-any.whl and 0 more are not in the wheel store\n" +
					"hint: run once without --offline",
				prepare: func(w *world) { w.remove("cache/wheels") },
				args:    []string{"build", "--offline"},
			},
			{
				title: "the cache is a file",
				want: "error: make the cache folder: mkdir $WORK/in/file: not a directory\n" +
					"hint: name another with --cache or LAYERSMITH_CACHE",
				prepare: func(w *world) { w.write("in/file", "mine") },
				args:    []string{"build", "--cache", "in/file"},
			},
			{
				title: "the store is a file",
				want: "error: open $WORK/cache/wheels/…: not a directory\n" +
					"hint: make room and permission for the cache, or name another folder with --cache or " +
					"LAYERSMITH_CACHE",
				prepare: func(w *world) {
					w.remove("cache/wheels")
					w.write("cache/wheels", "mine")
				},
				args: []string{"build", "--clean"},
			},
			{
				title: "the output is a file",
				want: "error: write out/main-$TARGET.zip: not a directory\n" +
					"hint: make room and permission for it, or name another folder with --output",
				prepare: func(w *world) { w.write("out", "mine") },
				args:    []string{"build", "--output", "out"},
			},
			{
				title: "a folder in the place of a zip",
				want: "error: write $ZIP: file exists\n" +
					"hint: make room and permission for it, or name another folder with --output",
				prepare: func(w *world) {
					w.remove(w.zipName())
					w.write(w.zipName()+"/x", "")
				},
				args: []string{"build"},
			},
		},
	},
}

func requires(lines ...string) func(*world) {
	return func(w *world) { w.write("layers/main/requirements.txt", strings.Join(lines, "\n")+"\n") }
}

func layerYAML(content string) func(*world) {
	return func(w *world) { w.write("layers/main/layer.yaml", content) }
}

// answers is the part of a script that answers `uv --version`.
const answers = `case "$1" in --version) echo 'uv 0.13.0'; exit ;; esac; `

func uv(script string) func(*world) {
	return func(w *world) {
		w.program("uv", script)
		requires("alpha==1.0")(w)
	}
}

// interpreter wraps the target's interpreter in a script, which acts if the command line has a
// text.
func (w *world) interpreter(where, script string) {
	w.program(w.python(), `case "$*" in *'`+where+`'*) `+script+` ;; *) exec "`+thisMachine().python+`" "$@" ;; esac`)
}

// compiler is an interpreter that runs something else instead of compiling. The cache of bytecode
// is removed.
func compiler(script string) func(*world) {
	return func(w *world) {
		w.interpreter("Compiles sources", script)
		w.remove("cache/packs")
		layerYAML("description: changed\n")(w)
	}
}

func prober(script string) func(*world) {
	return func(w *world) {
		w.interpreter("Runs one probe job", script)
		layerYAML("description: changed\n")(w)
		probe("import alpha")(w)
	}
}

func probe(script string) func(*world) {
	return func(w *world) { w.write("layers/main/probe.py", script+"\n") }
}

// store changes the only file of the wheel store, and removes what was made of it.
func store(change func(w *world, path string)) func(*world) {
	return func(w *world) {
		w.remove("cache/packs")
		found, err := fs.Glob(os.DirFS(w.dir), "cache/wheels/*/*")
		if err != nil || len(found) != 1 {
			w.Fatalf("files of the store: %v, %v", found, err)
		}

		change(w, found[0])
	}
}

func (w *world) remove(name string) {
	w.Helper()
	if err := os.RemoveAll(w.path(name)); err != nil {
		w.Fatal(err)
	}
}

// here replaces the variables of a message with this machine's values.
func (w *world) here(text string) string {
	t := thisMachine().target
	return strings.NewReplacer("$TARGET", t.String(), "$RUNTIME", t.Runtime(), "$LOCK", w.lockName()[len("layers/"):],
		"$PYTHON", w.path("bin/"+w.python()), "$VERSION", t.PythonVersion(), "$ZIP", w.zipName(),
		"$WORK", w.dir).
		Replace(text)
}

// slow is the progress of a stage that took long because many tests run at once.
var slow = regexp.MustCompile(`(?m)^[a-z].*: [0-9.,]+ [a-zA-Z]+ in [0-9.]+m?s\n`)

// check causes a fault and compares message, exit code and files.
func (f fault) check(w *world) {
	w.Helper()
	if f.prepare != nil {
		f.prepare(w)
	}

	args := f.args
	code := f.code
	if args == nil {
		args = []string{"build"}
	}

	if code == 0 {
		code = 2
	}

	before := w.all()
	got := w.run(args...)
	got.stderr = slow.ReplaceAllString(got.stderr, "")
	if os.Getenv("FAULTS_SHOW") != "" {
		fmt.Printf("### %s [%d]\n%s", f.title, got.code, strings.ReplaceAll(got.stderr, w.dir, "$WORK"))
	}

	if got.code != code || !matches(w.here(f.want), got.stderr) {
		w.Errorf("exit code %d, want %d; stderr:\n%swant:\n%s", got.code, code, got.stderr, w.here(f.want))
	}

	if f.writes {
		f.wrote(w, before)
		return
	}

	if got.stdout != "" && !strings.HasPrefix(got.stdout, "lock ") {
		w.Errorf("stdout: %s", got.stdout)
	}

	w.unharmed(before, f.allowed...)
}

// wrote checks a build that ended with a verdict: its output is complete, and nothing else changed.
func (f fault) wrote(w *world, before map[string]string) {
	w.Helper()
	for name, what := range w.all() {
		if strings.HasPrefix(name, "dist") && !strings.Contains(name, "/.tmp-") {
			before[name] = what
		}
	}

	w.unharmed(before, w.lockName())
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for _, s := range inWorkspace {
		for _, f := range s.faults {
			t.Run(f.title, func(t *testing.T) {
				t.Parallel()
				f.check(built(t))
			})
		}
	}
}
