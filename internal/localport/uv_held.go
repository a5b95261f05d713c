package localport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
)

// maxAsked is how many old versions are asked about: each costs a run of uv.
const maxAsked = 8

// withoutWheel is the distribution in a message of uv that has no wheel.
var withoutWheel = regexp.MustCompile(
	"Wheels are required for `([^`]+)`|([A-Za-z0-9._-]+?)[=<>!][^ ]* has no usable wheels")

// heldBack explains old versions: a requirement that was resolved to less than its newest version
// because that needs something without a wheel. uv says nothing about it.
func (r *resolveRun) heldBack(ctx context.Context, locked []lock.Distribution) ([]string, error) {
	if r.options.offline || r.options.allowSource {
		return nil, nil
	}

	newest, err := r.newest(ctx)
	if err != nil {
		return nil, err
	}

	var old []lock.Distribution
	for _, d := range locked {
		version, ok := newest[d.Name]
		if ok && version.Compare(d.Version) > 0 && !r.heldByLock(d) && len(old) < maxAsked {
			old = append(old, d)
		}
	}

	blockers := make([]string, len(old))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelRuns)
	for i, d := range old {
		g.Go(func() (err error) {
			blockers[i], err = r.blocker(ctx, d.Name, newest[d.Name])
			return err
		})
	}

	if err := g.Wait(); err != nil {
		return nil, err
	}

	var notes []string
	for i, d := range old {
		if blockers[i] != "" {
			notes = append(notes, fmt.Sprintf("%s %s needs %s, which has no wheel: %s is locked; "+
				"--allow-source takes the newer one", d.Name, newest[d.Name], blockers[i], d.Version))
		}
	}

	return notes, nil
}

// heldByLock reports whether the lock already had this version: it was explained when it was
// chosen.
func (r *resolveRun) heldByLock(d lock.Distribution) bool {
	if r.request.Locked == nil || slices.Contains(r.request.Upgrade, d.Name.String()) {
		return false
	}

	before, ok := r.request.Locked.Find(d.Name)
	return ok && before.Version.Compare(d.Version) == 0
}

// newest returns the newest versions of what the layers require themselves, within the constraints,
// whatever those versions need.
func (r *resolveRun) newest(ctx context.Context) (map[pydist.Name]pydist.Version, error) {
	args := []string{"--no-deps", "--no-annotate"}
	for _, l := range r.request.Workspace.Layers {
		args = append(args, r.requirements(l), "--constraints", r.constraints(l))
	}

	out, err := r.compile(ctx, r.program, r.options, args...)
	var failed *uvError
	if errors.As(err, &failed) {
		return nil, nil // two layers ask for different versions only through what others need
	}

	if err != nil {
		return nil, err
	}

	newest := map[pydist.Name]pydist.Version{}
	for line := range strings.Lines(string(out)) {
		name, version, ok := strings.Cut(strings.TrimSpace(line), "==")
		n, nameErr := pydist.ParseName(name)
		v, versionErr := pydist.ParseVersion(version)
		if ok && nameErr == nil && versionErr == nil {
			newest[n] = v
		}
	}

	return newest, nil
}

// blocker is the distribution without a wheel that a version needs; "" when it is held back for
// another reason, or only by the lock.
func (r *resolveRun) blocker(ctx context.Context, n pydist.Name, v pydist.Version) (string, error) {
	file := filepath.Join(r.temp, "newest-"+n.String()+".txt")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s==%s\n", n, v), 0o644); err != nil {
		return "", unwritten(err)
	}

	_, err := r.compile(ctx, r.program, r.options, "--no-annotate", file)
	var failed *uvError
	if !errors.As(err, &failed) {
		return "", err
	}

	m := withoutWheel.FindStringSubmatch(spaces.ReplaceAllString(failed.text, " "))
	i := slices.IndexFunc(m[min(1, len(m)):], func(s string) bool { return s != "" })
	if i < 0 {
		return "", nil
	}

	return m[i+1], nil
}
