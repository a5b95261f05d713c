package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Lock resolves a workspace for a target into a lock file, unless the lock that is there is fresh.
type Lock struct {
	Resolver Resolver
	Read     func(name string) ([]byte, error) // a file of the workspace; fs.ErrNotExist when absent
	Write    func(name string, b []byte) error // replaces a file of the workspace
	Progress Progress
}

// LockInput is what to lock, and which locked versions may change.
type LockInput struct {
	Workspace    workspace.Workspace
	Target       pydist.Target
	UpgradeAll   bool
	Upgrade      []string // names of distributions
	ExcludeNewer string   // uv's --exclude-newer
	AllowSource  bool
	Offline      bool
	Python       string // full version of the interpreter of this machine; "" for none
}

// upgrades reports whether a fresh lock is to be resolved again.
func (in LockInput) upgrades() bool {
	return in.UpgradeAll || len(in.Upgrade) > 0 || in.ExcludeNewer != ""
}

// Locked is a lock and what changed.
type Locked struct {
	Lock     lock.Lock
	Fresh    bool // nothing was resolved: the requirements are those of the lock
	Changes  []string
	Notes    []string // what users should know
	FileName string
}

// requirementsDigest is the digest of all that a resolution depends on in the workspace: which
// layers there are, and the requirements of each with the files that they include.
func requirementsDigest(
	read func(name string) ([]byte, error), w workspace.Workspace, t pydist.Target,
) (digest.SHA256, error) {
	type file struct {
		Name   string
		SHA256 digest.SHA256
	}
	layers := map[string][]file{}
	for _, l := range w.Layers {
		for _, f := range l.Requirements.Files {
			b, err := read(f)
			if err != nil {
				return digest.SHA256{}, err
			}

			layers[l.Name] = append(layers[l.Name], file{f, digest.Of(b)})
		}
	}

	return digest.Canonical("layersmith/requirements/v1", struct {
		Target pydist.Target
		Layers map[string][]file
	}{t, layers})
}

// Run reads the lock, and resolves and writes it when it is stale or an upgrade is asked for. A
// lock that cannot be read is a fault. It is never overwritten.
func (s Lock) Run(ctx context.Context, in LockInput) (Locked, error) {
	name := lock.FileName(in.Target)
	inputs, err := requirementsDigest(s.Read, in.Workspace, in.Target)
	if err != nil {
		return Locked{}, err
	}

	before, found, err := s.readLock(name, in.Target)
	if err != nil {
		return Locked{}, err
	}

	if err := checkUpgrades(in, before, found); err != nil {
		return Locked{}, err
	}

	if found && before.Inputs == inputs && !in.upgrades() {
		large, err := checkSizes(before, in.Workspace)
		return Locked{Lock: before, Fresh: true, Notes: large, FileName: name}, err
	}

	request := in.request()
	if found && !in.UpgradeAll {
		request.Locked = &before
	}

	after, notes, err := s.resolve(ctx, request, inputs)
	if err != nil {
		return Locked{}, err
	}

	large, err := checkSizes(after, in.Workspace)
	if err != nil {
		return Locked{}, err
	}

	if after, err = after.WithPython(in.python(before)); err != nil {
		return Locked{}, fault.New(fault.Internal, "lock", in.Target.String(), err)
	}

	if err := s.Write(name, after.Marshal()); err != nil {
		return Locked{}, err
	}

	return Locked{
		Lock:     after,
		Changes:  lock.Difference(before, after),
		Notes:    append(notes, large...),
		FileName: name,
	}, nil
}

// python is the release to lock: the locked one, unless all is upgraded.
func (in LockInput) python(before lock.Lock) string {
	if before.Python != "" && !in.UpgradeAll {
		return before.Python
	}

	return cmp.Or(in.Python, before.Python)
}

// readLock reads the lock of a target; found is false when there is none.
func (s Lock) readLock(name string, t pydist.Target) (l lock.Lock, found bool, err error) {
	b, err := s.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return lock.Lock{}, false, nil
	}

	if err != nil && fault.CodeOf(err) != fault.Internal {
		return lock.Lock{}, false, err
	}

	if err == nil {
		l, err = lock.Open(b)
	}

	if err == nil && l.Target != t {
		err = fmt.Errorf("it is the lock of %s", l.Target)
	}

	if err != nil {
		return lock.Lock{}, false, fault.New(fault.BadInput, "read lock", name, err).
			WithHint("restore it from version control, or remove it and run: layersmith lock")
	}

	return l, true, nil
}

// request asks for a resolution that is bound to no lock.
func (in LockInput) request() ResolveRequest {
	return ResolveRequest{
		Target:       in.Target,
		Workspace:    in.Workspace,
		ExcludeNewer: in.ExcludeNewer,
		Upgrade:      in.Upgrade,
		AllowSource:  in.AllowSource,
		Offline:      in.Offline,
	}
}

func (s Lock) resolve(
	ctx context.Context, q ResolveRequest, inputs digest.SHA256,
) (l lock.Lock, notes []string, err error) {
	task := s.Progress.Start("resolve", 1, "resolution")
	r, err := s.Resolver.Resolve(ctx, q)
	task.Done()
	if err != nil {
		return lock.Lock{}, nil, err
	}

	if err := checkHashes(q.Workspace, r.Distributions); err != nil {
		return lock.Lock{}, nil, err
	}

	if err := checkDirect(q, r.Distributions); err != nil {
		return lock.Lock{}, nil, err
	}

	l, err = lock.New(q.Target, inputs, r.Distributions, r.Closures)
	if err != nil {
		return lock.Lock{}, nil, fault.New(fault.Internal, "lock", q.Target.String(), err)
	}

	return l, r.Notes, nil
}

// checkUpgrades refuses to upgrade a distribution that is neither locked nor required, which is
// probably a typing mistake. The hint has the names to choose from.
func checkUpgrades(in LockInput, before lock.Lock, locked bool) error {
	for _, text := range in.Upgrade {
		name, err := pydist.ParseName(text)
		if err == nil && (isLocked(before, name) || isRequired(in.Workspace, name)) {
			continue
		}

		names := requiredNames(in.Workspace)
		if locked {
			names = lockedNames(before)
		}

		return fault.New(fault.BadInput, "upgrade", text, errors.New("nothing requires it")).
			WithHint("name one of: " + strings.Join(names, ", "))
	}

	return nil
}

func isLocked(l lock.Lock, name pydist.Name) bool {
	_, found := l.Find(name)
	return found
}

func isRequired(w workspace.Workspace, name pydist.Name) bool {
	return slices.Contains(requiredNames(w), name.String())
}

func lockedNames(l lock.Lock) []string {
	var names []string
	for _, d := range l.Distributions {
		names = append(names, d.Name.String())
	}

	return names
}

func requiredNames(w workspace.Workspace) []string {
	var names []string
	for _, l := range w.Layers {
		for _, r := range l.Requirements.Direct {
			names = append(names, r.Name.String())
		}
	}

	return names
}

// checkHashes compares the files that were chosen with the hashes that requirements files give with
// --hash.
func checkHashes(w workspace.Workspace, dists []lock.Distribution) error {
	byName := map[pydist.Name]lock.Distribution{}
	for _, d := range dists {
		byName[d.Name] = d
	}

	for _, l := range w.Layers {
		for _, r := range l.Requirements.Direct {
			d, chosen := byName[r.Name]
			if !chosen || len(r.Hashes) == 0 || hasHash(l.Requirements.Direct, d) {
				continue
			}

			return fault.New(fault.HashMismatch, "lock", fmt.Sprintf("%s:%d", r.File, r.Line),
				fmt.Errorf("%s==%s: the file for this target, %s, has sha256 %s, which is not among its hashes",
					d.Name, d.Version, d.File.Name, d.File.SHA256)).
				WithHint("add the hash if you trust the file, or correct the requirement")
		}
	}

	return nil
}

// checkDirect refuses a wheel for another platform that a requirement names by its URL or path: no
// resolver has a choice there.
func checkDirect(q ResolveRequest, dists []lock.Distribution) error {
	for _, d := range dists {
		if !d.Direct || d.File.IsSource() {
			continue
		}

		w, err := pydist.ParseWheelName(d.File.Name)
		if err == nil && q.Target.Supports(w) {
			continue
		}

		if err == nil {
			err = fmt.Errorf("%s does not run on %s", d.File.Name, q.Target)
		}

		return fault.New(fault.BadInput, "lock", required(q.Workspace, d.Name), err).
			WithHint("name a wheel for " + q.Target.String() + ", or the distribution by its name and version")
	}

	return nil
}

// required is the requirement of a distribution and its place: "alpha @ ...
// (main/requirements.txt:1)".
func required(w workspace.Workspace, n pydist.Name) string {
	for _, l := range w.Layers {
		for _, r := range l.Requirements.Direct {
			if r.Name == n {
				return fmt.Sprintf("%s (%s:%d)", r.Text, r.File, r.Line)
			}
		}
	}

	return n.String()
}

// hasHash reports whether requirements give the hash of a distribution's file. One name may have
// several lines, each with a marker and hashes of its own.
func hasHash(direct []pydist.Requirement, d lock.Distribution) bool {
	return slices.ContainsFunc(direct, func(r pydist.Requirement) bool {
		return r.Name == d.Name && slices.Contains(r.Hashes, "sha256:"+d.File.SHA256.String())
	})
}

// Stale returns why the lock of a target does not belong to the workspace; "" when it does.
func Stale(read func(name string) ([]byte, error), w workspace.Workspace, t pydist.Target) (string, error) {
	b, err := read(lock.FileName(t))
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no lock for " + t.String(), nil
	}

	if err != nil {
		return "", err
	}

	l, err := lock.Open(b)
	if err != nil {
		return "the lock cannot be read: " + err.Error(), nil
	}

	inputs, err := requirementsDigest(read, w, t)
	if err != nil {
		return "", err
	}

	if l.Inputs != inputs {
		return "requirements have changed since it was locked", nil
	}

	return "", nil
}

// wheelsOf returns the locked distributions that some layers carry, each once, sorted by name.
func wheelsOf(l lock.Lock, w workspace.Workspace, layers []string) []lock.Distribution {
	seen := map[pydist.Name]lock.Distribution{}
	for _, name := range layers {
		for _, d := range l.Carries(name, w.Below(name)) {
			seen[d.Name] = d
		}
	}

	out := make([]lock.Distribution, 0, len(seen))
	for _, d := range seen {
		out = append(out, d)
	}

	sort.Slice(out, func(i, j int) bool { return out[i].Name.String() < out[j].Name.String() })
	return out
}
