package localport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// UV resolves with uv. Which index, with which credentials and certificates, is uv's own
// configuration: environment, uv.toml, netrc.
type UV struct {
	Path   string // of the program; looked up on PATH when it has no slash
	Root   string // the workspace's folder
	Python string // an interpreter for uv's own use; "" lets uv choose
	Tools  string // a folder where make puts a pinned uv
}

var _ engine.Resolver = UV{}

// MinimumUV is the first version that writes pylock.toml as this package reads it.
const MinimumUV = "0.7.0"

var uvVersion = regexp.MustCompile(`^uv (\d+\.\d+\.\d+)`)

func (u UV) program(ctx context.Context) (string, error) {
	found, err := exec.LookPath(u.Path)
	where := "not on PATH"
	if err != nil && u.Tools != "" {
		found, err = exec.LookPath(filepath.Join(u.Tools, "uv"))
		where += ", not in " + u.Tools
	}

	if err != nil {
		return "", fault.New(fault.ToolMissing, "find", "uv", errors.New(where)).
			WithHint("install uv (pip install uv), or run: make layers, which installs a pinned one for this project")
	}

	out, err := ask(ctx, found, "--version")
	if ctx.Err() != nil {
		return "", ctx.Err()
	}

	m := uvVersion.FindSubmatch(out)
	if err != nil || m == nil {
		problem := fmt.Errorf("it does not answer as uv does: %.80q", out)
		if errors.Is(err, errNoAnswer) {
			problem = err
		}

		return "", fault.New(fault.ToolMissing, "run", found, problem).WithHint(reinstallUV)
	}

	have, err1 := pydist.ParseVersion(string(m[1]))
	want, err2 := pydist.ParseVersion(MinimumUV)
	if err1 != nil || err2 != nil || have.Compare(want) < 0 {
		return "", fault.New(fault.ToolMissing, "run", found,
			fmt.Errorf("it is version %s, at least %s is needed", m[1], MinimumUV)).
			WithHint("upgrade uv (pip install --upgrade uv)")
	}

	return found, nil
}

const reinstallUV = "install uv again (pip install --force-reinstall uv)"

// resolveTimeout bounds one run of uv.
const resolveTimeout = 10 * time.Minute

func (u UV) run(ctx context.Context, program string, args ...string) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	cmd := exec.CommandContext(limit, program, args...)
	cmd.Dir = u.Root
	cmd.Env = append(os.Environ(), "UV_PYTHON_DOWNLOADS=never", "NO_COLOR=1", "UV_NO_PROGRESS=1",
		"UV_CUSTOM_COMPILE_COMMAND=layersmith")
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = child(false)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	var out bytes.Buffer
	var diagnostics limited
	cmd.Stdout = &out
	cmd.Stderr = &diagnostics
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit.Err() != nil:
		return nil, fault.New(fault.Unreachable, "resolve", "", fmt.Errorf("uv did not end within %v", resolveTimeout)).
			WithHint("check the network and your index configuration")
	case err != nil:
		return nil, &uvError{program: program, text: diagnostics.String(), err: err}
	}

	return out.Bytes(), nil
}

// unreadable is an answer of uv that this package cannot make sense of.
func unreadable(program string, err error) error {
	return fault.New(fault.ToolMissing, "read the answer of", program, err).WithHint(reinstallUV)
}

// uvError is uv's own account of what went wrong.
type uvError struct {
	program string
	text    string
	err     error
}

func (e *uvError) Error() string { return e.text }

func (u UV) flags(t pydist.Target, allowSource, offline bool) []string {
	args := []string{
		"--python-version",
		t.PythonVersion(),
		"--python-platform",
		t.UVPlatform(),
		"--no-header",
		"--quiet",
	}
	if !allowSource {
		args = append(args, "--only-binary", ":all:")
	}

	if offline {
		args = append(args, "--offline")
	}

	if u.Python != "" {
		args = append(args, "--python", u.Python)
	}

	return args
}

// unwritten is what keeps questions to uv from being written down.
func unwritten(err error) error {
	return ours("write a temporary file in", os.TempDir(),
		"make room and permission for it, or name another folder with TMPDIR", err)
}

// Resolve asks uv three times: for one resolution of all layers, for each layer's part of it (which
// gives closures and who requires what), and for the files.
func (u UV) Resolve(ctx context.Context, r engine.ResolveRequest) (engine.Resolution, error) {
	program, err := u.program(ctx)
	if err != nil {
		return engine.Resolution{}, err
	}

	temp, err := os.MkdirTemp("", "layersmith-lock-")
	if err != nil {
		return engine.Resolution{}, unwritten(err)
	}
	defer os.RemoveAll(temp)
	flags := u.flags(r.Target, r.AllowSource, r.Offline)
	if r.ExcludeNewer != "" {
		flags = append(flags, "--exclude-newer", r.ExcludeNewer)
	}

	pins := filepath.Join(temp, "pins.txt")
	if r.Locked != nil { // uv prefers the versions of an output file that is there
		if err := os.WriteFile(pins, pinned(r.Locked.Distributions), 0o644); err != nil {
			return engine.Resolution{}, unwritten(err)
		}
	}

	args := append([]string{"pip", "compile"}, flags...)
	for _, name := range r.Upgrade {
		args = append(args, "--upgrade-package", name)
	}

	args = append(args, "--no-annotate", "--output-file", pins)
	for _, l := range r.Workspace.Layers {
		if err := u.flatten(temp, l); err != nil {
			return engine.Resolution{}, unwritten(err)
		}

		args = append(args, filepath.Join(temp, l.Name+".txt"), "--constraints",
			filepath.Join(temp, l.Name+"-constraints.txt"))
	}

	if _, err := u.run(ctx, program, args...); err != nil {
		return engine.Resolution{}, explain(err, r.Workspace, r.Target, filepath.ToSlash(u.Root))
	}

	res := engine.Resolution{Closures: map[string][]pydist.Name{}}
	requires := map[pydist.Name]map[pydist.Name]bool{}
	for _, l := range r.Workspace.Layers {
		out, err := u.run(
			ctx,
			program,
			append(append([]string{"pip", "compile"}, flags...), "--constraints", pins, "--annotation-style",
				"split", filepath.Join(temp, l.Name+".txt"))...)
		if err != nil {
			return engine.Resolution{}, explain(err, r.Workspace, r.Target, filepath.ToSlash(u.Root))
		}

		names, err := closure(out, requires)
		if err == nil {
			err = complete(filepath.ToSlash(u.Root), l, names)
		}

		if err != nil {
			return engine.Resolution{}, unreadable(program, err)
		}

		res.Closures[l.Name] = names
	}

	files, err := u.files(ctx, program, pins, flags)
	if err != nil {
		return engine.Resolution{}, explain(err, r.Workspace, r.Target, filepath.ToSlash(u.Root))
	}

	needed := map[pydist.Name]bool{}
	for _, names := range res.Closures {
		for _, n := range names {
			needed[n] = true
		}
	}

	for _, f := range files {
		d := f.Distribution
		if !needed[d.Name] {
			continue
		}

		for n := range requires[d.Name] {
			d.Requires = append(d.Requires, n)
		}

		if d.File.SHA256.IsZero() { // a local wheel: uv gives no hash for it
			if d.File, err = u.local(f.address); err != nil {
				return engine.Resolution{}, err
			}
		}

		res.Distributions = append(res.Distributions, d)
	}

	return res, nil
}

// flatten writes what a layer's requirements files say as two files without includes. A relative
// path of a wheel is relative to the layer's folder; uv would read it from wherever it was started.
func (u UV) flatten(temp string, l workspace.Layer) error {
	write := func(name string, reqs []pydist.Requirement) error {
		var b bytes.Buffer
		for _, q := range reqs {
			if q.URL != "" && !strings.Contains(q.URL, "://") {
				abs, err := filepath.Abs(filepath.Join(u.Root, l.Name, filepath.FromSlash(q.URL)))
				if err != nil {
					return err
				}

				q.URL = (&url.URL{Scheme: "file", Path: filepath.ToSlash(abs)}).String()
			}

			fmt.Fprintln(&b, q.String())
		}

		return os.WriteFile(filepath.Join(temp, name), b.Bytes(), 0o644)
	}
	if err := write(l.Name+".txt", l.Requirements.Direct); err != nil {
		return err
	}

	return write(l.Name+"-constraints.txt", l.Requirements.Constraints)
}

func (u UV) local(address string) (lock.File, error) {
	name := u.localPath(address)
	f, err := os.Open(name)
	if err != nil {
		return lock.File{}, fault.New(fault.BadInput, "lock", address, err)
	}
	defer f.Close()
	sum, n, err := digest.Reader(f)
	return lock.File{Name: filepath.Base(name), Size: n, SHA256: sum}, err
}

func (u UV) localPath(address string) string {
	if parsed, err := url.Parse(address); err == nil && parsed.Scheme == "file" {
		return parsed.Path
	}

	if filepath.IsAbs(address) {
		return address
	}

	return filepath.Join(u.Root, address)
}

func pinned(dists []lock.Distribution) []byte {
	var b bytes.Buffer
	for _, d := range dists {
		if !d.Direct {
			fmt.Fprintf(&b, "%s==%s\n", d.Name, d.Version)
		}
	}

	return b.Bytes()
}

// closure reads uv's annotated requirements: a line for each distribution, below it comments that
// say via what it came.
func closure(out []byte, requires map[pydist.Name]map[pydist.Name]bool) ([]pydist.Name, error) {
	var names []pydist.Name
	var current pydist.Name
	for _, line := range strings.Split(string(out), "\n") {
		text := strings.TrimSpace(line)
		if via, ok := strings.CutPrefix(text, "#"); ok {
			via = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(via)+" ", "via "))
			via, _, _ = strings.Cut(via, "[")
			by, err := pydist.ParseName(via)
			if err != nil || current == (pydist.Name{}) {
				continue // "-r requirements.txt", "-c pins.txt"
			}

			if requires[by] == nil {
				requires[by] = map[pydist.Name]bool{}
			}

			requires[by][current] = true
			continue
		}

		if text == "" || strings.HasPrefix(text, "-") {
			continue
		}

		end := strings.IndexAny(text, "=<>!~ @[;")
		if end < 0 {
			end = len(text)
		}

		name, err := pydist.ParseName(text[:end])
		if err != nil {
			return nil, fmt.Errorf("line %.80q: %w", text, err)
		}

		current = name
		names = append(names, name)
	}

	return names, nil
}

// complete checks that an answer has all that a layer requires: a program that ends well and says
// nothing would give a layer without anything in it.
func complete(root string, l workspace.Layer, names []pydist.Name) error {
	for _, q := range l.Requirements.Direct {
		if q.Marker == "" && !slices.Contains(names, q.Name) {
			return fmt.Errorf("%s:%d: %s is not in it", path.Join(root, q.File), q.Line, q.Name)
		}
	}

	return nil
}

type located struct {
	lock.Distribution
	address string
}

type uvFile struct {
	Name   string            `toml:"name"`
	URL    string            `toml:"url"`
	Path   string            `toml:"path"`
	Size   int64             `toml:"size"`
	Hashes map[string]string `toml:"hashes"`
}

// files asks for the files of pins, without resolving anything.
func (u UV) files(ctx context.Context, program, pins string, flags []string) ([]located, error) {
	out, err := u.run(
		ctx,
		program,
		append(append([]string{"pip", "compile"}, flags...), "--no-deps", "--format", "pylock.toml", pins)...)
	if err != nil {
		return nil, err
	}

	var answer struct {
		Packages []struct {
			Name      string   `toml:"name"`
			Version   string   `toml:"version"`
			Wheels    []uvFile `toml:"wheels"`
			Sdist     *uvFile  `toml:"sdist"`
			Archive   *uvFile  `toml:"archive"`
			Directory any      `toml:"directory"`
			VCS       any      `toml:"vcs"`
		} `toml:"packages"`
	}
	if err := toml.Unmarshal(out, &answer); err != nil {
		return nil, unreadable(program, err)
	}

	var found []located
	for _, p := range answer.Packages {
		var l located
		if l.Name, err = pydist.ParseName(p.Name); err != nil {
			return nil, unreadable(program, err)
		}

		files := p.Wheels
		switch {
		case p.Archive != nil:
			files = []uvFile{*p.Archive}
			l.Direct = true
		case p.VCS != nil || p.Directory != nil:
			return nil, fault.New(fault.BadInput, "lock", p.Name,
				errors.New("comes from a repository or a folder, which no hash can name")).
				WithHint("build a wheel of it and name the wheel")
		case len(files) == 0 && p.Sdist != nil:
			files = []uvFile{*p.Sdist}
		}

		if len(files) == 0 {
			return nil, fault.New(fault.WheelMissing, "lock", p.Name+"=="+p.Version,
				errors.New("uv names no file for it")).
				WithHint("choose another version")
		}

		f := best(files)
		l.address = f.URL
		if l.address == "" {
			l.address = f.Path
		}

		name := f.Name
		if name == "" {
			name = path.Base(strings.SplitN(l.address, "#", 2)[0])
			if parsed, err := url.Parse(l.address); err == nil {
				name = path.Base(parsed.Path)
			}
		}

		l.File = lock.File{Name: name, Size: f.Size}
		if sum, ok := f.Hashes["sha256"]; ok {
			if l.File.SHA256, err = digest.Parse(sum); err != nil {
				return nil, unreadable(program, err)
			}
		}

		version := p.Version
		if version == "" {
			if w, err := pydist.ParseWheelName(name); err == nil {
				version = w.Version().String()
			}
		}

		if l.Version, err = pydist.ParseVersion(version); err != nil {
			return nil, unreadable(program, fmt.Errorf("%s: %w", p.Name, err))
		}

		found = append(found, l)
	}

	return found, nil
}

// best is the file that uv would install: it names one for a target, but says so only by the order.
func best(files []uvFile) uvFile { return files[0] }

// Locate asks uv where the files of a lock are.
func (u UV) Locate(ctx context.Context, r engine.LocateRequest) (map[digest.SHA256]string, error) {
	program, err := u.program(ctx)
	if err != nil {
		return nil, err
	}

	temp, err := os.MkdirTemp("", "layersmith-fetch-")
	if err != nil {
		return nil, unwritten(err)
	}
	defer os.RemoveAll(temp)
	where := map[digest.SHA256]string{}
	var lines bytes.Buffer
	source := false
	indexed := 0
	for _, d := range r.Wanted {
		source = source || d.File.IsSource()
		if !d.Direct {
			fmt.Fprintf(&lines, "%s==%s\n", d.Name, d.Version)
			indexed++
			continue
		}

		for _, l := range r.Workspace.Layers {
			for _, q := range l.Requirements.Direct {
				if q.Name == d.Name && q.URL != "" {
					address, _, _ := strings.Cut(q.URL, "#")
					where[d.File.SHA256] = relative(address, l.Name)
				}
			}
		}
	}

	if indexed == 0 {
		return where, nil
	}

	pins := filepath.Join(temp, "pins.txt")
	if err := os.WriteFile(pins, lines.Bytes(), 0o644); err != nil {
		return nil, unwritten(err)
	}

	files, err := u.files(ctx, program, pins, u.flags(r.Lock.Target, source, false))
	if err != nil {
		return nil, explain(err, r.Workspace, r.Lock.Target, filepath.ToSlash(u.Root))
	}

	for _, f := range files {
		if !f.File.SHA256.IsZero() {
			where[f.File.SHA256] = f.address
		}
	}

	return where, nil
}

// relative makes a local path of a layer's requirements relative to the workspace.
func relative(address, dir string) string {
	if strings.Contains(address, "://") || strings.HasPrefix(address, "/") {
		return address
	}

	return path.Join(dir, address)
}

// BuildWheel builds a source distribution, beside it.
func (u UV) BuildWheel(ctx context.Context, sdist string, t pydist.Target) (string, error) {
	dir := filepath.Dir(sdist)
	program, err := u.program(ctx)
	if err != nil {
		return "", err
	}

	python := u.Python
	if python == "" {
		python = t.PythonVersion()
	}

	if _, err := u.run(ctx, program, "build", "--wheel", "--quiet", "--python", python, "--out-dir", dir,
		sdist); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}

		return "", fault.New(fault.WheelMissing, "build", filepath.Base(sdist), errors.New(lastLines(err.Error(), 5))).
			WithHint("install what it needs to compile, or choose a version that has a wheel")
	}

	wheels, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err != nil || len(wheels) != 1 {
		return "", fmt.Errorf("build %s: %d wheels, want 1", filepath.Base(sdist), len(wheels))
	}

	return wheels[0], nil
}

var (
	drawing       = strings.NewReplacer("╰─▶", "", "├─▶", "", "│", "", "×", "", "\n", " ")
	onlyAvailable = regexp.MustCompile(`only \S+ (is|are) available`)
	preamble      = regexp.MustCompile(`^(error: )?(No solution found when resolving dependencies:?( cause:)? ?)?`)
	spaces        = regexp.MustCompile(`\s+`)
)

// explain turns uv's account into a fault that names the lines of the workspace's requirements.
func explain(err error, w workspace.Workspace, t pydist.Target, root string) error {
	var u *uvError
	if !errors.As(err, &u) {
		return err
	}

	text := strings.TrimSpace(spaces.ReplaceAllString(drawing.Replace(u.text), " "))
	noSolution := strings.Contains(text, "No solution found")
	text, hints, _ := strings.Cut(preamble.ReplaceAllString(text, ""), " hint: ")
	if text == "" {
		return fault.New(fault.ToolMissing, "run", u.program, fmt.Errorf("it failed without a word: %w", u.err)).
			WithHint(reinstallUV)
	}

	// The requirements that the account speaks of, where they stand.
	var where []string
	lower := strings.ToLower(text)
	for _, l := range w.Layers {
		for _, q := range append(append([]pydist.Requirement(nil), l.Requirements.Direct...), l.Requirements.Constraints...) {
			if mentions(lower, q.Name.String()) || q.URL != "" && strings.Contains(text, path.Base(q.URL)) {
				where = append(where, fmt.Sprintf("%s (%s:%d)", q.Text, path.Join(root, q.File), q.Line))
			}
		}
	}

	sort.Strings(where)
	where = dedupe(where)
	f := fault.New(fault.LockConflict, "lock", strings.Join(where, "; "), errors.New(text)).
		WithHint("change one of these requirements, or move one layer to a workspace of its own")
	if f.Subject == "" {
		f.Subject = t.String()
	}

	switch {
	case strings.Contains(text, "error sending request"),
		strings.Contains(text, "Failed to fetch"),
		strings.Contains(text, "dns error"),
		strings.Contains(text, "Network connectivity is disabled"),
		strings.Contains(text, "was not found in the cache"):
		f.Code = fault.Unreachable
		f.Hint = "check the network and your index configuration, then try again"
	case strings.Contains(text, "no usable wheels"),
		strings.Contains(text, "no wheels with a matching"),
		strings.Contains(text, "has no wheels"),
		strings.Contains(text, "building from source is disabled"):
		if hints != "" { // which wheels there are
			f.Err = errors.New(text + " " + strings.ReplaceAll(hints, " hint: ", " "))
		}

		f.Code = fault.WheelMissing
		f.Hint = fmt.Sprintf(
			"choose a version that has a wheel for %s, or add --allow-source on a machine of that platform",
			t,
		)
	case strings.Contains(text, "was not found in the package registry"),
		strings.Contains(text, "was not found in the provided package locations"),
		strings.Contains(text, "there is no version of"),
		strings.Contains(text, "there are no versions of"),
		onlyAvailable.MatchString(text):
		f.Code = fault.BadInput
		f.Hint = "correct the name or the version; is it on another index? Indexes are configured in uv.toml or " +
			"UV_INDEX"
	case strings.Contains(text, "has an invalid package format"):
		f.Code = fault.CorruptArchive
		f.Hint = "the file is what its index serves; choose another version, or tell its maintainers"
	case strings.HasPrefix(text, "Distribution not found at"):
		f.Code = fault.BadInput
		f.Hint = "put the file there, or correct the requirement"
	case strings.Contains(text, "No interpreter found"):
		f.Code = fault.ToolMissing
		f.Subject = t.String()
		f.Hint = "install a Python 3, which uv needs to resolve with, or name one with --python"
	case !noSolution:
		f.Code = fault.BadInput
		f.Hint = "uv's own words are above"
	}

	return f
}

// mentions finds a distribution's name as a whole word.
func mentions(text, name string) bool {
	for i := 0; ; {
		k := strings.Index(text[i:], name)
		if k < 0 {
			return false
		}

		start := i + k
		end := i + k + len(name)
		before := start == 0 || !wordByte(text[start-1])
		after := end == len(text) || !wordByte(text[end]) ||
			text[end] == '.' && (end+1 == len(text) || !wordByte(text[end+1])) // the end of a sentence
		if before && after {
			return true
		}

		i = end
	}
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.'
}

func dedupe(sorted []string) []string {
	out := sorted[:0]
	for i, s := range sorted {
		if i == 0 || s != sorted[i-1] {
			out = append(out, s)
		}
	}

	return out
}
