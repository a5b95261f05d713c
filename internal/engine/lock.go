package engine

import (
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

// Lock resolves a workspace for a target into its lock, or finds that the lock is fresh.
type Lock struct {
	Resolver Resolver
	Read     func(name string) ([]byte, error) // of the workspace; fs.ErrNotExist when absent
	Write    func(name string, b []byte) error
	Progress Progress
}

// LockInput is what to lock, and how far to leave what is locked.
type LockInput struct {
	Workspace    workspace.Workspace
	Target       pydist.Target
	UpgradeAll   bool
	Upgrade      []string
	ExcludeNewer string
	AllowSource  bool
	Offline      bool
}

// Locked is a lock and what changed.
type Locked struct {
	Lock     lock.Lock
	Fresh    bool // nothing was resolved: the lock belongs to the requirements
	Changes  []string
	FileName string
}

// Inputs is the digest of all that a resolution depends on in the workspace: each layer's
// requirements with the files that they include, and which layers there are.
func Inputs(read func(name string) ([]byte, error), w workspace.Workspace, t pydist.Target) (digest.SHA256, error) {
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

const lockHint = "restore it from version control, or remove it and run: layersmith lock"

// Run reads the lock, and resolves when it is stale or an upgrade is wanted. A lock that cannot be
// read is a fault, never overwritten in silence.
func (s Lock) Run(ctx context.Context, in LockInput) (Locked, error) {
	name := lock.FileName(in.Target)
	inputs, err := Inputs(s.Read, in.Workspace, in.Target)
	if err != nil {
		return Locked{}, err
	}

	var before *lock.Lock
	b, err := s.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case fault.CodeOf(err) != fault.Internal:
		return Locked{}, err
	case err != nil:
		return Locked{}, fault.New(fault.BadInput, "read lock", name, err).WithHint(lockHint)
	default:
		old, err := lock.Open(b)
		if err == nil && old.Target != in.Target {
			err = fmt.Errorf("it is the lock of %s", old.Target)
		}

		if err != nil {
			return Locked{}, fault.New(fault.BadInput, "read lock", name, err).WithHint(lockHint)
		}

		before = &old
	}

	if err := known(in, before); err != nil {
		return Locked{}, err
	}

	upgrade := in.UpgradeAll || len(in.Upgrade) > 0 || in.ExcludeNewer != ""
	if before != nil && before.Inputs == inputs && !upgrade {
		return Locked{Lock: *before, Fresh: true, FileName: name}, nil
	}

	request := ResolveRequest{
		Target:       in.Target,
		Workspace:    in.Workspace,
		ExcludeNewer: in.ExcludeNewer,
		Upgrade:      in.Upgrade,
		AllowSource:  in.AllowSource,
		Offline:      in.Offline,
	}
	if !in.UpgradeAll {
		request.Locked = before
	}

	task := s.Progress.Start("resolve", 1, "resolution")
	r, err := s.Resolver.Resolve(ctx, request)
	task.Done()
	if err != nil {
		return Locked{}, err
	}

	if err := promised(in.Workspace, r.Distributions); err != nil {
		return Locked{}, err
	}

	after, err := lock.New(in.Target, inputs, r.Distributions, r.Closures)
	if err != nil {
		return Locked{}, fault.New(fault.Internal, "lock", in.Target.String(), err)
	}

	if err := s.Write(name, after.Marshal()); err != nil {
		return Locked{}, err
	}

	var old lock.Lock
	if before != nil {
		old = *before
	}

	return Locked{Lock: after, Changes: lock.Difference(old, after), FileName: name}, nil
}

// known refuses to upgrade what is neither locked nor required: it is a slip of the pen.
func known(in LockInput, before *lock.Lock) error {
	for _, text := range in.Upgrade {
		name, err := pydist.ParseName(text)
		found := false
		var names []string
		if before != nil {
			for _, d := range before.Distributions {
				names = append(names, d.Name.String())
			}
		}

		if before != nil && err == nil {
			_, found = before.Find(name)
		}

		for _, l := range in.Workspace.Layers {
			for _, r := range l.Requirements.Direct {
				found = found || r.Name == name
				if before == nil {
					names = append(names, r.Name.String())
				}
			}
		}

		if err != nil || !found {
			return fault.New(fault.BadInput, "upgrade", text, errors.New("nothing requires it")).
				WithHint("name one of: " + strings.Join(names, ", "))
		}
	}

	return nil
}

// promised checks the hashes that requirements files give with --hash against the file that was
// chosen.
func promised(w workspace.Workspace, dists []lock.Distribution) error {
	byName := map[pydist.Name]lock.Distribution{}
	for _, d := range dists {
		byName[d.Name] = d
	}

	for _, l := range w.Layers {
		for _, r := range l.Requirements.Direct {
			d, ok := byName[r.Name]
			if !ok || len(r.Hashes) == 0 {
				continue
			}

			found := false
			for _, same := range l.Requirements.Direct { // one name may have several lines, with a marker each
				found = found || same.Name == r.Name && slices.Contains(same.Hashes, "sha256:"+d.File.SHA256.String())
			}

			if !found {
				return fault.New(fault.HashMismatch, "lock", fmt.Sprintf("%s:%d", r.File, r.Line),
					fmt.Errorf("%s==%s: the file for this target, %s, has sha256 %s, which is not among its hashes",
						d.Name, d.Version, d.File.Name, d.File.SHA256)).
					WithHint("add the hash if you trust the file, or correct the requirement")
			}
		}
	}

	return nil
}

// Stale reports why a lock does not belong to the workspace; "" when it does.
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

	inputs, err := Inputs(read, w, t)
	if err != nil {
		return "", err
	}

	if l.Inputs != inputs {
		return "requirements have changed since it was locked", nil
	}

	return "", nil
}

// wheelsOf lists the locked files that some layers need, each once, by name.
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
