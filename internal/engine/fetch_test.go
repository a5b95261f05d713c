package engine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
)

func TestFetch(t *testing.T) {
	ctx := context.Background()
	content := map[string][]byte{}
	setup := func(t *testing.T) (*factory, *memport.Wheels, map[digest.SHA256]string) {
		files := map[string][]string{}
		for _, n := range []string{"alpha", "beta", "gamma"} {
			files[n] = []string{n + ".py=x = 1\n"}
			content[n] = wheelOf(t, n, "1.0", files[n]...)
		}

		where := map[digest.SHA256]string{}
		for n, c := range content {
			where[digest.Of(c)] = n
		}

		return newFactory(t, files), &memport.Wheels{}, where
	}
	fetch := func(
		f *factory,
		store *memport.Wheels,
		where map[digest.SHA256]string,
		download engine.Download,
	) engine.Fetch {
		return engine.Fetch{
			Wheels:   store,
			Cache:    f.cache,
			Progress: silent{},
			Download: download,
			Resolver: resolver{
				locate: func(engine.LocateRequest) (map[digest.SHA256]string, error) { return where, nil },
			},
		}
	}
	serve := func(_ context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(content[url][offset:])), offset, nil
	}
	all := []string{"alpha", "beta", "gamma"}

	t.Run("what is missing is brought, what is there is not", func(t *testing.T) {
		f, store, where := setup(t)
		store.Add(wheelName("beta", "1.0"), content["beta"])
		s := fetch(f, store, where, serve)
		for want := 2; want >= 0; want -= 2 {
			got, err := s.Run(ctx, f.lock, f.ws, all, false)
			if err != nil || got.Wheels != 3 || got.Downloaded != want ||
				got.Bytes != int64(len(content["alpha"])+len(content["beta"])+len(content["gamma"])) {
				t.Fatalf("%+v, %v; want %d downloaded", got, err, want)
			}
		}

		s.Resolver = nil // all is there: nobody is asked
		if _, err := s.Run(ctx, f.lock, f.ws, all, true); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("only what the layers carry", func(t *testing.T) {
		f, store, where := setup(t)
		got, err := fetch(f, store, where, serve).Run(ctx, f.lock, f.ws, []string{"beta"}, false)
		if err != nil || got.Wheels != 1 || got.Downloaded != 1 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("offline, what is missing is named", func(t *testing.T) {
		f, store, _ := setup(t)
		s := fetch(f, store, nil, nil)
		s.Resolver = nil
		_, err := s.Run(ctx, f.lock, f.ws, all, true)
		wantFault(t, err, fault.Unreachable, "alpha==1.0")
		if fault.HintOf(err) != "run once without --offline" {
			t.Error(fault.HintOf(err))
		}
	})
	t.Run("an index without the hash is refused before anything is downloaded", func(t *testing.T) {
		f, store, where := setup(t)
		delete(where, digest.Of(content["gamma"]))
		var asked atomic.Int32
		_, err := fetch(
			f,
			store,
			where,
			func(ctx context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
				asked.Add(1)
				return serve(ctx, url, offset)
			},
		).Run(ctx, f.lock, f.ws, all, false)
		wantFault(t, err, fault.HashMismatch, "gamma==1.0")
		if !strings.Contains(fault.HintOf(err), "--upgrade-package gamma") {
			t.Error(fault.HintOf(err))
		}

		time.Sleep(20 * time.Millisecond) // whoever was left running
		if n := asked.Load(); n != 0 {
			t.Errorf("%d downloads", n)
		}
	})
	t.Run("an index with other bytes is refused, and nothing of them is kept", func(t *testing.T) {
		f, store, where := setup(t)
		_, err := fetch(f, store, where, func(_ context.Context, url string, _ int64) (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(bytes.ToUpper(content[url]))), 0, nil
		}).Run(ctx, f.lock, f.ws, []string{"alpha"}, false)
		wantFault(t, err, fault.HashMismatch, "alpha-1.0")
		if _, err := store.Open(ctx, digest.Of(content["alpha"])); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open: %v", err)
		}
	})
}
