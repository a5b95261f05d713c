// Package batch runs a tool over a list of distributions. It reads the list, stores results so that
// an interrupted run can continue, reports progress and writes the page.
package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/layersmith/layersmith/internal/localport"
)

// Options are the flags that all such tools have.
type Options struct {
	Only   string // part of the list; "" for all
	Out    string // file of the page; "-" for standard output
	Keep   string // folder of stored results; "" for none
	Cache  string // folder of wheels and caches; "" for that of layersmith
	Python string // the target's interpreter; "" for the one layersmith finds
	Relock bool   // resolve again and write the locks
}

// Register defines the flags. page is the file that the tool writes, only describes -only.
func (o *Options) Register(page, only string) {
	flag.StringVar(&o.Only, "only", "", only+"; default all")
	flag.StringVar(&o.Out, "out", page, "file to write; - for standard output")
	flag.StringVar(&o.Keep, "keep", "", "folder of results: stored ones are used, new ones are added, so that an "+
		"interrupted run can continue; use another folder for other rules")
	flag.StringVar(&o.Cache, "cache", "", "folder of wheels and caches (default: that of layersmith)")
	flag.StringVar(&o.Python, "python", "", "the target's interpreter (default: the one layersmith finds)")
	flag.BoolVar(&o.Relock, "relock", false, "resolve today's versions and write the locks again")
}

// Main runs a tool until it ends or a signal asks it to, and sets the exit code.
func Main(tool string, run func(context.Context) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()

	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", tool, err)
		os.Exit(1)
	}
}

// Entry is a distribution in the list.
type Entry interface {
	ID() string // normalized name (PEP 503)
	Check() error
}

var normalized = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// Read reads a list in YAML. Unknown keys, repeated names and entries that fail their check are
// errors.
func Read[E Entry](file string) ([]E, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}

	var entries []E
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&entries); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}

	seen := map[string]bool{}
	for i, e := range entries {
		if err := check(e, seen); err != nil {
			return nil, fmt.Errorf("read %s: entry %d: %w", file, i+1, err)
		}

		seen[e.ID()] = true
	}

	return entries, nil
}

func check(e Entry, seen map[string]bool) error {
	switch {
	case !normalized.MatchString(e.ID()):
		return fmt.Errorf("%q is not a normalized name: lowercase letters, digits and single hyphens", e.ID())
	case seen[e.ID()]:
		return fmt.Errorf("%s is listed twice", e.ID())
	}

	return e.Check()
}

// Select returns the named entries in the order of the list. names are separated by commas; "" is
// all.
func Select[E Entry](entries []E, names string) ([]E, error) {
	if names == "" {
		return entries, nil
	}

	wanted := map[string]bool{}
	for _, name := range strings.Split(names, ",") {
		wanted[name] = true
	}

	var selected []E
	for _, e := range entries {
		if wanted[e.ID()] {
			selected = append(selected, e)
			delete(wanted, e.ID())
		}
	}

	for name := range wanted {
		return nil, fmt.Errorf("-only: %q is not in the list", name)
	}

	return selected, nil
}

// Result is what came of one entry.
type Result interface {
	Name() string       // of the distribution
	Summary() string    // for the line of progress
	Problems() []string // what makes the tool fail
}

// Run makes a result of each entry and reports progress on standard error. one also reports whether
// the result was stored by an earlier run. An error ends the run; problems is the number of all
// problems.
func Run[E Entry, R Result](
	ctx context.Context, tool string, entries []E, one func(context.Context, E) (r R, stored bool, err error),
) (results []R, problems int, err error) {
	for i, e := range entries {
		start := time.Now()
		r, stored, err := one(ctx, e)
		if err != nil {
			return nil, 0, err
		}

		results = append(results, r)
		duration := time.Since(start).Round(time.Second).String()
		if stored {
			duration = "stored"
		}

		fmt.Fprintf(os.Stderr, "%s: %d of %d, %s (%s)\n", tool, i+1, len(entries), r.Summary(), duration)
		for _, p := range r.Problems() {
			fmt.Fprintf(os.Stderr, "        %s\n", p)
			problems++
		}
	}

	return results, problems, nil
}

// Lines are what of says of all results, each cleaned and behind the distribution's name.
func Lines[R Result](results []R, of func(R) []string, clean func(string) string) []string {
	var lines []string
	for _, r := range results {
		for _, line := range of(r) {
			lines = append(lines, r.Name()+": "+clean(line))
		}
	}

	return lines
}

// Load reads a stored result into v. It reports false if there is none.
func Load(file string, v any) (bool, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}

	if err != nil {
		return false, err
	}

	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("read %s: %w", file, err)
	}

	return true, nil
}

// Store writes a result, and the folder if it is missing.
func Store(file string, v any) error {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}

	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}

	return WriteFile(file, append(b, '\n'))
}

// ReadLock reads a committed lock. A missing one is nil: Build resolves then.
func ReadLock(file string) ([]byte, error) {
	lock, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}

	return lock, err
}

// WritePage writes a page to a file, or to standard output if the name is "-".
func WritePage(file, text string) error {
	if file == "-" {
		_, err := fmt.Print(text)
		return err
	}

	return WriteFile(file, []byte(text))
}

// WriteFile replaces a regular file only when the new content is written.
func WriteFile(name string, content []byte) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: not a regular file", name) // the rename would replace a device
	}

	return localport.WriteFile(name, func(w io.Writer) error { _, err := w.Write(content); return err })
}
