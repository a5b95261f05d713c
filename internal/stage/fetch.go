package stage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sync/errgroup"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/workspace"
)

// Fetch brings the locked files of some layers into the wheel store.
type Fetch struct {
	Wheels   WheelStore
	Resolver Resolver
	Download Download
	Progress Progress
}

// Fetched says what was there and what came.
type Fetched struct {
	Wheels     int
	Bytes      int64
	Downloaded int
	Came       int64 // bytes downloaded
}

// parallelDownloads keeps a line busy without being rude to the index.
const parallelDownloads = 8

// Run downloads what is missing, verified by hash. Offline, anything missing is a fault that names it.
func (s Fetch) Run(ctx context.Context, l lock.Lock, w workspace.Workspace, layers []string, offline bool) (Fetched, error) {
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
	if len(missing) == 0 {
		return out, nil
	}
	if offline {
		return Fetched{}, &fault.Error{Code: fault.Unreachable, Op: "fetch", Subject: fmt.Sprintf("%s==%s", missing[0].Name, missing[0].Version),
			Err: fmt.Errorf("%s and %d more are not in the wheel store", missing[0].File.Name, len(missing)-1), Hint: "run once without --offline"}
	}
	where, err := s.Resolver.Locate(ctx, LocateRequest{Lock: l, Workspace: w, Wanted: missing})
	if err != nil {
		return Fetched{}, err
	}
	task := s.Progress.Start("fetch", out.Came, "bytes")
	defer task.Done()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, d := range missing {
		url, ok := where[d.File.SHA256]
		if !ok {
			return Fetched{}, &fault.Error{Code: fault.HashMismatch, Op: "fetch", Subject: fmt.Sprintf("%s==%s", d.Name, d.Version),
				Err: fmt.Errorf("the index has no %s with sha256 %s", d.File.Name, d.File.SHA256), Hint: "the file was replaced or your index does not mirror it; run: layersmith lock --upgrade-package " + d.Name.String()}
		}
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
	return out, g.Wait()
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
