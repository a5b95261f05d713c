package faults

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// index is a package index on a loopback address. It serves the wheels of a world, or what a test
// sets.
type index struct {
	*httptest.Server
	pages, files atomic.Pointer[func(http.ResponseWriter, *http.Request, []byte)]
	asked        atomic.Int64 // requests for files
}

type answer = func(http.ResponseWriter, *http.Request, []byte)

// serve serves the world's index over HTTP.
func (w *world) serve() *index {
	w.Helper()
	x := &index{}
	x.Server = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		answer := &x.pages
		var body []byte
		switch {
		case strings.HasPrefix(r.URL.Path, "/simple/"):
			name := path.Base(r.URL.Path)
			files, err := os.ReadDir(w.path("index"))
			if err != nil {
				http.Error(out, err.Error(), http.StatusInternalServerError)
				return
			}

			for _, f := range files {
				if strings.HasPrefix(f.Name(), name+"-") {
					b, err := os.ReadFile(w.path("index/" + f.Name()))
					if err != nil {
						http.Error(out, err.Error(), http.StatusInternalServerError)
						return
					}

					body = fmt.Appendf(body, "<a href=\"/files/%s#sha256=%x\">%s</a>\n", f.Name(), sha256.Sum256(b),
						f.Name())
				}
			}

			if body == nil {
				http.NotFound(out, r)
				return
			}

			out.Header().Set("Content-Type", "text/html")
		default:
			var err error
			if body, err = os.ReadFile(w.path("index/" + path.Base(r.URL.Path))); err != nil {
				http.NotFound(out, r)
				return
			}

			answer = &x.files
			x.asked.Add(1)
		}

		if do := answer.Load(); do != nil {
			(*do)(out, r, body)
			return
		}

		http.ServeContent(out, r, path.Base(r.URL.Path), time.Time{}, strings.NewReader(string(body)))
	}))
	w.Cleanup(func() {
		x.CloseClientConnections()
		x.Close()
	})
	w.write("uv.toml", "")
	delete(w.env, "UV_FIND_LINKS")
	w.env["UV_DEFAULT_INDEX"] = x.URL + "/simple"
	w.env["UV_HTTP_TIMEOUT"] = "1"
	return x
}

func status(code int) answer {
	return func(out http.ResponseWriter, _ *http.Request, _ []byte) { http.Error(out, http.StatusText(code), code) }
}

// part announces a whole file and closes the connection after a part of it.
func part(n int) answer {
	return func(out http.ResponseWriter, r *http.Request, body []byte) {
		out.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = out.Write(body[:n])
		out.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
}

func instead(change func([]byte) []byte) answer {
	return func(out http.ResponseWriter, _ *http.Request, body []byte) { _, _ = out.Write(change(body)) }
}

const (
	networkHint = "hint: check the network and your index configuration, then try again"
	againHint   = "hint: try again: the download will be resumed"
)

// indexFaults are those of an index that worked before: alpha is locked; beta is not, or its file
// is not in the store.
var indexFaults = []struct {
	title string
	do    func(x *index)
	lock  string // what build says when beta has to be locked; "" when that goes well
	fetch string // what it says when the file of beta has to be fetched
}{
	{"an index that is down", func(x *index) { x.Close() },
		"error: lock … (layers/main/requirements.txt:…): Failed to fetch: …\n" + networkHint,
		"error: lock beta==1.0 (layers/main/requirements.txt:2): Failed to fetch: …\n" + networkHint},
	{
		"an index that answers 500",
		func(x *index) { x.both(status(500)) },
		"error: lock … (layers/main/requirements.txt:…): Failed to fetch: …500…\n" + networkHint,
		"error: fetch beta-1.0-py3-none-any.whl: gave up after 5 tries: fetch $HOST/files/beta-1.0-py3-none-any.whl: " +
			"500 Internal Server Error\n" + againHint,
	},
	{
		"an index that answers 429",
		func(x *index) { x.both(status(429)) },
		"error: lock … (layers/main/requirements.txt:…): Failed to fetch: …429…\n" + networkHint,
		"error: fetch beta-1.0-py3-none-any.whl: gave up after 5 tries: fetch $HOST/files/beta-1.0-py3-none-any.whl: " +
			"429 Too Many Requests\n" + againHint,
	},
	{
		"an index that wants credentials",
		func(x *index) { x.both(status(401)) },
		"error: lock beta==1.0 (layers/main/requirements.txt:2): …beta was not found in the package registry…\nhint: " +
			"correct the name or the version; is it on another index? Indexes are configured in uv.toml or UV_INDEX",
		"error: fetch $HOST/files/beta-1.0-py3-none-any.whl: 401 Unauthorized\n" +
			"hint: set the credentials that uv reads: UV_INDEX_<NAME>_USERNAME and _PASSWORD, or a netrc file",
	},
	{"an index that never answers", func(x *index) {
		x.both(func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
	},
		"error: lock … (layers/main/requirements.txt:…): Failed to fetch: …\n" + networkHint, ""},
	{
		"an index that serves pages of something else",
		func(x *index) { x.both(instead(func([]byte) []byte { return []byte("<html>log in here</html>") })) },
		"error: lock beta==1.0 (layers/main/requirements.txt:2): …there is no version of beta==1.0…\nhint: correct " +
			"the name or the version; is it on another index? Indexes are configured in uv.toml or UV_INDEX",
		"error: fetch beta-1.0-py3-none-any.whl: got 24 B with sha256 …, expected …\nhint: do not trust " +
			"this index; if the file was replaced on purpose, lock again",
	},
	{
		"a file that is gone",
		func(x *index) { x.set(&x.files, status(404)) },
		"",
		"error: fetch $HOST/files/beta-1.0-py3-none-any.whl: 404 Not Found\nhint: the file is gone from the index; " +
			"run: layersmith lock --upgrade-package NAME",
	},
	{"a file that always breaks off", func(x *index) { x.set(&x.files, part(100)) }, "",
		"error: fetch beta-1.0-py3-none-any.whl: gave up after 5 tries: read: unexpected EOF\n" + againHint},
	{
		"a file with bytes too few",
		func(x *index) { x.set(&x.files, instead(func(b []byte) []byte { return b[:len(b)-1] })) },
		"",
		"error: fetch beta-1.0-py3-none-any.whl: got … B with sha256 …, expected …\nhint: do not trust " +
			"this index; if the file was replaced on purpose, lock again",
	},
	{
		"a file with bytes too many",
		func(x *index) { x.set(&x.files, instead(func(b []byte) []byte { return append(b, 0) })) },
		"",
		"error: fetch beta-1.0-py3-none-any.whl: got … B with sha256 …, expected …\nhint: do not trust " +
			"this index; if the file was replaced on purpose, lock again",
	},
	{
		"a file with another byte",
		func(x *index) {
			x.set(&x.files, instead(func(b []byte) []byte { b[50] ^= 1; return b }))
		},
		"",
		"error: fetch beta-1.0-py3-none-any.whl: got … B with sha256 …, expected …\nhint: do not trust " +
			"this index; if the file was replaced on purpose, lock again",
	},
}

func (x *index) both(do answer) { x.set(&x.pages, nil); x.set(&x.files, do); x.pages.Store(&do) }

func (x *index) set(at *atomic.Pointer[answer], do answer) { at.Store(&do) }

func TestIndexFails(t *testing.T) {
	t.Parallel()
	for _, f := range indexFaults {
		t.Run(f.title, func(t *testing.T) {
			t.Parallel()
			if f.lock != "" {
				t.Run("when it locks", func(t *testing.T) {
					t.Parallel()
					w := built(t)
					x := w.serve()
					w.wheel("beta", "1.0", nil)
					f.do(x)
					requires("alpha", "beta==1.0")(w)
					fault{want: f.lock}.check(w)
				})
			}

			if f.fetch != "" {
				t.Run("when it fetches", func(t *testing.T) {
					t.Parallel()
					w := built(t)
					x := w.serve()
					w.wheel("beta", "1.0", nil)
					requires("alpha", "beta==1.0")(w)
					w.must("lock")
					if strings.Contains(f.fetch, "$HOST") ||
						!strings.HasPrefix(f.fetch, "error: lock") { // uv has to find it again
						pages := x.pages.Load()
						f.do(x)
						x.pages.Store(pages)
					} else {
						f.do(x)
					}

					fault{
						want:    strings.ReplaceAll(f.fetch, "$HOST", strings.TrimPrefix(x.URL, "http://")),
						allowed: []string{"cache/wheels/*/*.partial"},
					}.check(w)
					// Whatever it was, when it is over the next build succeeds without help.
					if f.title == "an index that is down" {
						return
					}

					x.files.Store(nil)
					w.must("build")
				})
			}
		})
	}
}

// An index that is only slow does not fail a build.
func TestIndexThatIsSlowOrDropsConnections(t *testing.T) {
	t.Parallel()
	for title, do := range map[string]func(x *index) answer{
		"a file that comes byte by byte": func(*index) answer {
			return func(out http.ResponseWriter, _ *http.Request, body []byte) {
				for i := range body {
					_, _ = out.Write(body[i : i+1])
					out.(http.Flusher).Flush()
				}
			}
		},
		"a file that breaks off twice": func(x *index) answer {
			var n atomic.Int64
			return func(out http.ResponseWriter, r *http.Request, body []byte) {
				if n.Add(1) <= 2 {
					part(len(body)/2)(out, r, body)
				}

				http.ServeContent(out, r, "", time.Time{}, strings.NewReader(string(body)))
			}
		},
		"a server that is busy twice": func(x *index) answer {
			var n atomic.Int64
			return func(out http.ResponseWriter, r *http.Request, body []byte) {
				if n.Add(1) <= 2 {
					status(429)(out, r, body)
					return
				}

				http.ServeContent(out, r, "", time.Time{}, strings.NewReader(string(body)))
			}
		},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			w := built(t)
			x := w.serve()
			w.wheel("beta", "1.0", nil)
			requires("alpha", "beta==1.0")(w)
			w.must("lock")
			x.set(&x.files, do(x))
			w.must("build")
			if left := w.snapshot("cache/wheels"); strings.Contains(fmt.Sprint(left), ".partial") {
				t.Errorf("left: %v", left)
			}
		})
	}
}
