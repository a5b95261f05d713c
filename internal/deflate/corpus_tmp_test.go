package deflate_test

import (
	"bytes"
	"compress/flate"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/deflate"
)

func TestCorpus(t *testing.T) {
	for _, l := range []deflate.Level{0, 1, 9} {
		if v := os.Getenv("LV"); v != "" && int(v[0]-'0') != int(l) {
			continue
		}
		for _, d := range filepath.SplitList(os.Getenv("CORPUS")) {
			fs, _ := filepath.Glob(d + "/*")
			var in, out, ns atomic.Int64
			var wg sync.WaitGroup
			ch := make(chan string)
			for range 2 {
				wg.Go(func() {
					runtime.LockOSThread()
					for f := range ch {
						b, _ := os.ReadFile(f)
						t0 := cpu()
						z := enc(b, l)
						ns.Add(int64(cpu() - t0))
						in.Add(int64(len(b)))
						out.Add(int64(len(z)))
						g, err := io.ReadAll(flate.NewReader(bytes.NewReader(z)))
						if err != nil || !bytes.Equal(g, b) {
							t.Errorf("%s: %v", f, err)
						}
					}
				})
			}
			for _, f := range fs {
				ch <- f
			}
			close(ch)
			wg.Wait()
			t.Logf("%d %-20s %d -> %d  %.1f MB/s", l, filepath.Base(d), in.Load(), out.Load(), float64(in.Load())*1e3/float64(ns.Load()))
		}
	}
}

func cpu() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(1, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
