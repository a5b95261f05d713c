package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Fetch brings the locked files of some layers into the wheel store, and builds wheels of source
// distributions.
type Fetch struct {
	Wheels   WheelStore
	Cache    Cache // of which wheel was built from which source
	Resolver Resolver
	Download Download
	Progress Progress
	// why this machine cannot build for the target; nil when it can
	Builds func(pydist.Target) error
	// a source distribution as a file with its name
	Unpack func(ctx context.Context, f lock.File, b Blob) (path string, done func(), err error)
}

// Fetched says what was there and what came.
type Fetched struct {
	Wheels     int
	Bytes      int64
	Downloaded int
	Came       int64 // bytes downloaded
	Built      int
	Lock       lock.Lock // with wheels in the place of source distributions
}

// parallelDownloads keeps a line busy without being rude to the index.
const parallelDownloads = 8

// Run downloads what is missing, verified by hash. Offline, anything missing is a fault that names
// it.
func (s Fetch) Run(
	ctx context.Context,
	l lock.Lock,
	w workspace.Workspace,
	layers []string,
	offline bool,
) (Fetched, error) {
	var out Fetched
	var missing []lock.Distribution
	for _, d := range wheelsOf(l, w, layers) {
		b, err := s.Wheels.Open(ctx, d.File.SHA256)
		switch {
		case err == nil:
			out.Bytes += b.Size()
			b.Close()
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, d)
			out.Bytes += d.File.Size
			out.Came += d.File.Size
		default:
			return Fetched{}, err
		}

		out.Wheels++
	}

	out.Downloaded = len(missing)
	if len(missing) > 0 {
		if err := s.bring(ctx, l, w, missing, out.Came, offline); err != nil {
			return Fetched{}, err
		}
	}

	var err error
	out.Lock, out.Built, err = s.build(ctx, l, wheelsOf(l, w, layers))
	return out, err
}

func (s Fetch) bring(
	ctx context.Context,
	l lock.Lock,
	w workspace.Workspace,
	missing []lock.Distribution,
	total int64,
	offline bool,
) error {
	if offline {
		return fault.New(fault.Unreachable, "fetch", fmt.Sprintf("%s==%s", missing[0].Name, missing[0].Version),
			fmt.Errorf("%s and %d more are not in the wheel store", missing[0].File.Name, len(missing)-1)).
			WithHint("run once without --offline")
	}

	where, err := s.Resolver.Locate(ctx, LocateRequest{Lock: l, Workspace: w, Wanted: missing})
	if err != nil {
		return err
	}

	for _, d := range missing {
		if _, ok := where[d.File.SHA256]; !ok {
			return fault.New(fault.HashMismatch, "fetch", fmt.Sprintf("%s==%s", d.Name, d.Version),
				fmt.Errorf("the index has no %s with sha256 %s", d.File.Name, d.File.SHA256)).
				WithHint("the file was replaced or your index does not mirror it; run: layersmith lock " +
					"--upgrade-package " + d.Name.String())
		}
	}

	task := s.Progress.Start("fetch", total, "bytes")
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, d := range missing {
		url := where[d.File.SHA256]
		g.Go(func() error {
			return s.Wheels.Put(ctx, d.File, func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
				body, at, err := s.Download(ctx, url, offset)
				if err != nil {
					return nil, 0, err
				}

				return counted{body, task}, at, nil
			})
		})
	}

	return g.Wait()
}

// build replaces source distributions by wheels, made on this machine or found in the cache. A
// wheel that is built here is not the same bytes as one that is built elsewhere; its digest is in
// the manifest.
func (s Fetch) build(ctx context.Context, l lock.Lock, dists []lock.Distribution) (lock.Lock, int, error) {
	built := map[pydist.Name]lock.File{}
	made := 0
	for _, d := range dists {
		if !d.File.IsSource() {
			continue
		}

		subject := fmt.Sprintf("%s==%s", d.Name, d.Version)
		key := d.File.SHA256.String() + "/built-" + l.Target.String()
		pack, err := s.Cache.Load(ctx, key)
		if err != nil {
			return lock.Lock{}, 0, err
		}

		if e, ok := pack.Lookup("wheel.json"); ok {
			var f lock.File
			b, err := e.Bytes(1 << 20)
			if err == nil {
				err = json.Unmarshal(b, &f)
			}

			if have, openErr := s.Wheels.Open(ctx, f.SHA256); err == nil && openErr == nil {
				have.Close()
				built[d.Name] = f
				continue
			}
		}

		if err := s.Builds(l.Target); err != nil {
			return lock.Lock{}, 0, fault.New(fault.WheelMissing, "build", subject, err).
				WithHint("build it on a machine of that platform, or choose a version that has a wheel")
		}

		f, err := s.buildOne(ctx, l.Target, d)
		if err != nil {
			return lock.Lock{}, 0, err
		}

		b, err := json.Marshal(f)
		if err != nil {
			return lock.Lock{}, 0, err
		}

		if _, err := s.Cache.Store(ctx, key,
			func(add func(ziptree.Entry) error) error { return add(ziptree.File("wheel.json", b, false, key)) }); err != nil {
			return lock.Lock{}, 0, err
		}

		built[d.Name] = f
		made++
	}

	if len(built) == 0 {
		return l, 0, nil
	}

	replaced := append([]lock.Distribution(nil), l.Distributions...)
	for i, d := range replaced {
		if f, ok := built[d.Name]; ok {
			replaced[i].File = f
		}
	}

	with, err := lock.New(l.Target, l.Inputs, replaced, l.Closures)
	if err != nil {
		return lock.Lock{}, 0, fault.New(fault.WheelMissing, "build", "", err).
			WithHint("the wheel that was built does not fit the target")
	}

	return with, made, nil
}

func (s Fetch) buildOne(ctx context.Context, t pydist.Target, d lock.Distribution) (lock.File, error) {
	task := s.Progress.Start("build "+d.File.Name, 1, "wheels")
	defer task.Done()
	blob, err := s.Wheels.Open(ctx, d.File.SHA256)
	if err != nil {
		return lock.File{}, err
	}
	defer blob.Close()
	path, done, err := s.Unpack(ctx, d.File, blob)
	if err != nil {
		return lock.File{}, err
	}
	defer done()
	wheel, err := s.Resolver.BuildWheel(ctx, path, t)
	if err != nil {
		return lock.File{}, err
	}

	name := wheel[strings.LastIndexAny(wheel, "/\\")+1:]
	open := func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		return s.Download(ctx, wheel, offset)
	}
	body, _, err := open(ctx, 0)
	if err != nil {
		return lock.File{}, err
	}

	sum, size, err := digest.Reader(body)
	body.Close()
	if err != nil {
		return lock.File{}, err
	}

	f := lock.File{Name: name, Size: size, SHA256: sum}
	return f, s.Wheels.Put(ctx, f, open)
}

type counted struct {
	io.ReadCloser
	task Task
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.task.Add(int64(n))
	return n, err
}
