package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Fetch downloads the locked files of some layers into the wheel store, and builds wheels of source
// distributions.
type Fetch struct {
	Wheels   WheelStore
	Cache    Cache // of which wheel was built of which source distribution
	Resolver Resolver
	Download Download
	Progress Progress
	Builds   func(pydist.Target) error // why this machine cannot build wheels for a target; nil when it can

	// Unpack makes a file on disk of a source distribution, under its own name. done removes it.
	Unpack func(ctx context.Context, f lock.File, b Blob) (path string, done func(), err error)
}

// Fetched counts what the wheel store had and what was downloaded.
type Fetched struct {
	Wheels          int   // files of the layers, source distributions too
	Bytes           int64 // their size
	Downloaded      int   // of Wheels
	DownloadedBytes int64
	Built           int       // wheels built on this machine by this call
	Lock            lock.Lock // with the built wheels instead of their source distributions
}

// parallelDownloads keeps a fast connection busy without being a burden on the index.
const parallelDownloads = 8

// maxBuiltRecord bounds the cached entry for a built wheel, in bytes.
const maxBuiltRecord = 1 << 20

// Run downloads what the wheel store lacks, and verifies it by hash. Offline, a missing file is a
// fault that names it.
func (s Fetch) Run(
	ctx context.Context, l lock.Lock, w workspace.Workspace, layers []string, offline bool,
) (Fetched, error) {
	wanted := wheelsOf(l, w, layers)
	out := Fetched{Wheels: len(wanted)}
	missing, err := s.missing(ctx, wanted, &out)
	if err != nil {
		return Fetched{}, err
	}

	switch {
	case len(missing) == 0:
	case offline:
		return Fetched{}, offlineFault(missing)
	default:
		q := LocateRequest{Lock: l, Workspace: w, Wanted: missing}
		if err := s.download(ctx, q, out.DownloadedBytes); err != nil {
			return Fetched{}, err
		}
	}

	out.Lock, out.Built, err = s.build(ctx, l, wanted)
	return out, err
}

// missing returns the distributions whose files are not in the wheel store, and counts in out.
func (s Fetch) missing(ctx context.Context, wanted []lock.Distribution, out *Fetched) ([]lock.Distribution, error) {
	var missing []lock.Distribution
	for _, d := range wanted {
		b, err := s.Wheels.Open(ctx, d.File.SHA256)
		switch {
		case err == nil:
			out.Bytes += b.Size()
			b.Close()
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, d)
			out.Bytes += d.File.Size
			out.DownloadedBytes += d.File.Size
		default:
			return nil, err
		}
	}

	out.Downloaded = len(missing)
	return missing, nil
}

func offlineFault(missing []lock.Distribution) error {
	return fault.New(fault.Unreachable, "fetch", pinned(missing[0]),
		fmt.Errorf("%s and %d more are not in the wheel store", missing[0].File.Name, len(missing)-1)).
		WithHint("run once without --offline")
}

// pinned names a distribution as a requirement pins it: name==version.
func pinned(d lock.Distribution) string { return fmt.Sprintf("%s==%s", d.Name, d.Version) }

// download stores the wanted files, total bytes together. Nothing is downloaded when the index
// lacks one of them.
func (s Fetch) download(ctx context.Context, q LocateRequest, total int64) error {
	urls, err := s.Resolver.Locate(ctx, q)
	if err != nil {
		return err
	}

	for _, d := range q.Wanted {
		if _, ok := urls[d.File.SHA256]; !ok {
			return fault.New(fault.HashMismatch, "fetch", pinned(d),
				fmt.Errorf("the index has no %s with sha256 %s", d.File.Name, d.File.SHA256)).
				WithHint("the file was replaced or your index does not mirror it; run: layersmith lock " +
					"--upgrade-package " + d.Name.String())
		}
	}

	task := s.Progress.Start("fetch", total, "bytes")
	defer task.Done()

	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, d := range q.Wanted {
		g.Go(func() error { return s.Wheels.Put(ctx, d.File, s.source(urls[d.File.SHA256], task)) })
	}

	return g.Wait()
}

// source opens a URL, or the path of a built wheel, at an offset. task counts what is read.
func (s Fetch) source(url string, task Task) func(context.Context, int64) (io.ReadCloser, int64, error) {
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		body, at, err := s.Download(ctx, url, offset)
		if err != nil {
			return nil, 0, err
		}

		return counted{body, task}, at, nil
	}
}

// build replaces the source distributions of a lock by wheels, built on this machine or by an
// earlier call. Two machines build different bytes of the same source, so the digest of the wheel
// is in the layer's manifest. made is how many wheels were built now.
func (s Fetch) build(
	ctx context.Context, l lock.Lock, dists []lock.Distribution,
) (with lock.Lock, made int, err error) {
	wheels := map[pydist.Name]lock.File{}
	for _, d := range dists {
		if !d.File.IsSource() {
			continue
		}

		key := d.File.SHA256.String() + "/built-" + l.Target.String()
		wheel, found, err := s.builtBefore(ctx, key)
		if err != nil {
			return lock.Lock{}, 0, err
		}

		if !found {
			if wheel, err = s.buildNow(ctx, key, l.Target, d); err != nil {
				return lock.Lock{}, 0, err
			}

			made++
		}

		wheels[d.Name] = wheel
	}

	if len(wheels) == 0 {
		return l, 0, nil
	}

	with, err = withWheels(l, wheels)
	return with, made, err
}

// withWheels is a lock with wheels instead of source distributions.
func withWheels(l lock.Lock, wheels map[pydist.Name]lock.File) (lock.Lock, error) {
	dists := slices.Clone(l.Distributions)
	for i, d := range dists {
		if f, ok := wheels[d.Name]; ok {
			dists[i].File = f
		}
	}

	with, err := lock.New(l.Target, l.Inputs, dists, l.Closures)
	with.Python = l.Python
	if err != nil {
		return lock.Lock{}, fault.New(fault.WheelMissing, "build", "", err).
			WithHint("the wheel that was built does not fit the target")
	}

	return with, nil
}

// builtBefore returns the wheel that an earlier call built, if the store still has it. A cached
// entry that cannot be read counts as none.
func (s Fetch) builtBefore(ctx context.Context, key string) (f lock.File, found bool, err error) {
	pack, err := s.Cache.Load(ctx, key)
	if err != nil {
		return lock.File{}, false, err
	}

	e, ok := pack.Lookup("wheel.json")
	if !ok {
		return lock.File{}, false, nil
	}

	b, err := e.Bytes(maxBuiltRecord)
	if err != nil || json.Unmarshal(b, &f) != nil {
		return lock.File{}, false, nil
	}

	have, err := s.Wheels.Open(ctx, f.SHA256)
	if err != nil {
		return lock.File{}, false, nil
	}

	have.Close()
	return f, true, nil
}

// buildNow builds a wheel, stores it, and notes it in the cache.
func (s Fetch) buildNow(ctx context.Context, key string, t pydist.Target, d lock.Distribution) (lock.File, error) {
	if err := s.Builds(t); err != nil {
		return lock.File{}, fault.New(fault.WheelMissing, "build", pinned(d), err).
			WithHint("build it on a machine of that platform, or choose a version that has a wheel")
	}

	f, err := s.buildWheel(ctx, t, d)
	if err != nil {
		return lock.File{}, err
	}

	b, err := json.Marshal(f)
	if err != nil {
		return lock.File{}, err
	}

	return f, storeFile(ctx, s.Cache, key, "wheel.json", b)
}

// buildWheel builds a wheel of a source distribution in the store, and stores the wheel.
func (s Fetch) buildWheel(ctx context.Context, t pydist.Target, d lock.Distribution) (lock.File, error) {
	task := s.Progress.Start("build "+d.File.Name, 1, "wheels")
	defer task.Done()

	blob, err := s.Wheels.Open(ctx, d.File.SHA256)
	if err != nil {
		return lock.File{}, err
	}
	defer blob.Close()

	sdist, done, err := s.Unpack(ctx, d.File, blob)
	if err != nil {
		return lock.File{}, err
	}
	defer done()

	wheel, err := s.Resolver.BuildWheel(ctx, sdist, t)
	if err != nil {
		return lock.File{}, err
	}

	return s.storeWheel(ctx, wheel)
}

// storeWheel copies a wheel from a path of this machine, whose separator may be that of Windows.
func (s Fetch) storeWheel(ctx context.Context, path string) (lock.File, error) {
	open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return s.Download(ctx, path, offset)
	}
	body, _, err := open(ctx, 0)
	if err != nil {
		return lock.File{}, err
	}
	defer body.Close()

	sum, size, err := digest.Reader(body)
	if err != nil {
		return lock.File{}, err
	}

	f := lock.File{Name: path[strings.LastIndexAny(path, "/\\")+1:], Size: size, SHA256: sum}
	return f, s.Wheels.Put(ctx, f, open)
}

// counted is a download that adds to a task.
type counted struct {
	io.ReadCloser
	task Task
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.task.Add(int64(n))
	return n, err
}
