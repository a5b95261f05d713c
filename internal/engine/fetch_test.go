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
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/pydist"
)

// mirror is an index in memory and an empty wheel store. The workspace has three layers, each with
// the distribution of its name.
type mirror struct {
	*factory
	store   *memport.Wheels
	content map[string][]byte        // wheels, by distribution
	urls    map[digest.SHA256]string // of the index; a URL is the name of the distribution
}

var mirrored = []string{"alpha", "beta", "gamma"}

func newMirror(t *testing.T) *mirror {
	m := &mirror{store: &memport.Wheels{}, content: map[string][]byte{}, urls: map[digest.SHA256]string{}}
	files := map[string][]string{}
	for _, n := range mirrored {
		files[n] = []string{n + ".py=x = 1\n"}
		m.content[n] = wheelOf(t, n, "1.0", files[n]...)
		m.urls[digest.Of(m.content[n])] = n
	}

	m.factory = newFactory(t, files)
	return m
}

// serve is an engine.Download that resumes.
func (m *mirror) serve(_ context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
	b, ok := m.content[url]
	if !ok {
		return nil, 0, fs.ErrNotExist
	}

	return io.NopCloser(bytes.NewReader(b[offset:])), offset, nil
}

func (m *mirror) fetch(download engine.Download) engine.Fetch {
	locate := func(engine.LocateRequest) (map[digest.SHA256]string, error) { return m.urls, nil }
	return engine.Fetch{
		Wheels:   m.store,
		Cache:    m.cache,
		Progress: silent{},
		Download: download,
		Resolver: resolver{locate: locate},
	}
}

func TestFetchDownloadsOnlyWhatIsMissing(t *testing.T) {
	m := newMirror(t)
	m.store.Add(wheelName("beta", "1.0"), m.content["beta"])
	s := m.fetch(m.serve)
	size := int64(len(m.content["alpha"]) + len(m.content["beta"]) + len(m.content["gamma"]))
	for _, want := range []int{2, 0} {
		got, err := s.Run(t.Context(), m.lock, m.ws, mirrored, false)
		if err != nil || got.Wheels != 3 || got.Downloaded != want || got.Bytes != size {
			t.Fatalf("%+v, %v; want %d downloaded", got, err, want)
		}
	}

	s.Resolver = nil // must not be asked
	if _, err := s.Run(t.Context(), m.lock, m.ws, mirrored, true); err != nil {
		t.Fatal(err)
	}
}

func TestFetchDownloadsOnlyWhatTheLayersCarry(t *testing.T) {
	m := newMirror(t)
	got, err := m.fetch(m.serve).Run(t.Context(), m.lock, m.ws, []string{"beta"}, false)
	if err != nil || got.Wheels != 1 || got.Downloaded != 1 || got.DownloadedBytes != int64(len(m.content["beta"])) {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestFetchOfflineNamesWhatIsMissing(t *testing.T) {
	m := newMirror(t)
	s := m.fetch(nil)
	s.Resolver = nil
	_, err := s.Run(t.Context(), m.lock, m.ws, mirrored, true)
	wantFault(t, err, fault.Unreachable, "alpha==1.0")
	if fault.HintOf(err) != "run once without --offline" {
		t.Error(fault.HintOf(err))
	}
}

func TestFetchDownloadsNothingFromAnIndexThatLacksAFile(t *testing.T) {
	m := newMirror(t)
	delete(m.urls, digest.Of(m.content["gamma"]))
	var asked atomic.Int32
	count := func(ctx context.Context, url string, offset int64) (io.ReadCloser, int64, error) {
		asked.Add(1)
		return m.serve(ctx, url, offset)
	}
	_, err := m.fetch(count).Run(t.Context(), m.lock, m.ws, mirrored, false)
	wantFault(t, err, fault.HashMismatch, "gamma==1.0")
	if !strings.Contains(fault.HintOf(err), "--upgrade-package gamma") {
		t.Error(fault.HintOf(err))
	}

	time.Sleep(20 * time.Millisecond) // for downloads that were left running
	if n := asked.Load(); n != 0 {
		t.Errorf("%d downloads", n)
	}
}

func TestFetchKeepsNothingOfAFileWithAnotherHash(t *testing.T) {
	m := newMirror(t)
	shout := func(_ context.Context, url string, _ int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(bytes.ToUpper(m.content[url]))), 0, nil
	}
	_, err := m.fetch(shout).Run(t.Context(), m.lock, m.ws, []string{"alpha"}, false)
	wantFault(t, err, fault.HashMismatch, "alpha-1.0")
	if _, err := m.store.Open(t.Context(), digest.Of(m.content["alpha"])); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
}

// withSource has a source distribution of alpha instead of its wheel.
func (m *mirror) withSource() {
	for i, d := range m.lock.Distributions {
		if d.Name.String() == "alpha" {
			m.lock.Distributions[i].File = m.store.Add("alpha-1.0.tar.gz", []byte("sources"))
		}
	}
}

func TestFetchBuildsAWheelOnce(t *testing.T) {
	m := newMirror(t)
	m.withSource()
	path := "/sdists/" + wheelName("alpha", "1.0")
	m.content[path] = m.content["alpha"]
	s := m.fetch(m.serve)
	s.Builds = func(pydist.Target) error { return nil }
	unpacked := 0
	s.Unpack = func(_ context.Context, f lock.File, _ engine.Blob) (string, func(), error) {
		unpacked++
		return "/sdists/" + f.Name, func() { unpacked-- }, nil
	}
	s.Resolver = resolver{build: func(sdist string) (string, error) {
		if sdist != "/sdists/alpha-1.0.tar.gz" || unpacked != 1 {
			t.Errorf("build of %s, %d unpacked", sdist, unpacked)
		}

		return path, nil
	}}
	for _, want := range []int{1, 0} {
		got, err := s.Run(t.Context(), m.lock, m.ws, []string{"alpha"}, false)
		if err != nil || got.Built != want || unpacked != 0 {
			t.Fatalf("%+v, %v; want %d built; %d left unpacked", got, err, want, unpacked)
		}

		d, _ := got.Lock.Find(name(t, "alpha"))
		if d.File.Name != wheelName("alpha", "1.0") || d.File.SHA256 != digest.Of(m.content["alpha"]) {
			t.Errorf("locked %+v", d.File)
		}

		if _, err := m.store.Open(t.Context(), d.File.SHA256); err != nil {
			t.Error(err)
		}
	}
}

func TestFetchBuildsAgainWhatTheStoreHasLost(t *testing.T) {
	m := newMirror(t)
	m.withSource()
	s := m.fetch(m.serve)
	s.Builds = func(pydist.Target) error { return nil }
	s.Unpack = func(context.Context, lock.File, engine.Blob) (string, func(), error) { return "", func() {}, nil }
	s.Resolver = resolver{build: func(string) (string, error) { return wheelName("alpha", "1.0"), nil }}
	m.content[wheelName("alpha", "1.0")] = m.content["alpha"]
	for range 2 {
		got, err := s.Run(t.Context(), m.lock, m.ws, []string{"alpha"}, false)
		if err != nil || got.Built != 1 {
			t.Fatalf("%+v, %v", got, err)
		}

		m.store = &memport.Wheels{} // with the source only
		m.withSource()
		s.Wheels = m.store
	}
}

func TestFetchNamesASourceDistributionThatThisMachineCannotBuild(t *testing.T) {
	m := newMirror(t)
	m.withSource()
	s := m.fetch(nil)
	s.Builds = func(pydist.Target) error { return errors.New("it has another architecture") }
	_, err := s.Run(t.Context(), m.lock, m.ws, []string{"alpha"}, false)
	wantFault(t, err, fault.WheelMissing, "build alpha==1.0: it has another architecture")
}
