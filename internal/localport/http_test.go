package localport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
)

func environment(pairs map[string]string) func(string) string {
	return func(key string) string { return pairs[key] }
}

func server(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func download(t *testing.T, h HTTP, address string, offset int64) (string, int64, error) {
	t.Helper()
	if h.Client == nil {
		h.Client = NewClient()
	}

	if h.Getenv == nil {
		h.Getenv = environment(map[string]string{"HOME": t.TempDir()})
	}

	b, at, err := h.Download(context.Background(), address, offset)
	if err != nil {
		return "", at, err
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	return string(got), at, err
}

func TestDownloadResumes(t *testing.T) {
	content := "0123456789"
	ranged := func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding %q", got)
		}

		http.ServeContent(w, r, "f", time.Time{}, strings.NewReader(content))
	}
	plain := func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, content) }
	other := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Range", "bytes 2-9/10")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, content[2:])
	}
	silent := func(w http.ResponseWriter, r *http.Request) {
		start, _ := strconv.Atoi(strings.Trim(r.Header.Get("Range"), "bytes=-"))
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, content[start:])
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		offset  int64
		want    string
		at      int64
	}{
		"from the start": {ranged, 0, content, 0},
		"from an offset": {ranged, 4, "456789", 4},
		"a server that ignores the offset says so":               {plain, 4, content, 0},
		"206 with another offset says which":                     {other, 4, "23456789", 2},
		"206 without Content-Range is what was asked for":        {silent, 4, "456789", 4},
		"an offset at the end, of a size not known, starts anew": {ranged, 10, content, 0},
		"an offset beyond the end starts anew":                   {ranged, 11, content, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, at, err := download(t, HTTP{}, server(t, c.handler)+"/f", c.offset)
			if err != nil || got != c.want || at != c.at {
				t.Errorf("got %q at %d, %v; want %q at %d", got, at, err, c.want, c.at)
			}
		})
	}
}

func TestDownloadRefused(t *testing.T) {
	for status, want := range map[int]struct {
		code fault.Code
		hint string
	}{
		401: {fault.BadInput, "credentials"}, 403: {
			fault.BadInput,
			"credentials",
		}, 404: {fault.BadInput, "gone from the index"}, 410: {fault.BadInput, "gone from the index"},
		400: {fault.BadInput, ""}, 429: {
			fault.Unreachable,
			"try again",
		}, 500: {fault.Unreachable, "try again"}, 503: {fault.Unreachable, "try again"},
	} {
		address := server(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, _, err := download(
			t,
			HTTP{},
			strings.Replace(address, "://", "://user:s3cret@", 1)+"/a/f.whl?token=s3cret",
			0,
		)
		if fault.CodeOf(err) != want.code || !strings.Contains(fault.HintOf(err), want.hint) ||
			!strings.Contains(err.Error(), strconv.Itoa(status)) {
			t.Errorf("%d: %v (%v), hint %q", status, err, fault.CodeOf(err), fault.HintOf(err))
		}

		if strings.Contains(fmt.Sprintf("%v %+v", err, err), "s3cret") {
			t.Errorf("%d: the error has credentials: %v", status, err)
		}
	}
}

func TestDownloadNeverNamesCredentials(t *testing.T) {
	loop := server(t,
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again?s3cret", http.StatusFound) })
	for name, address := range map[string]string{
		"nobody listens":      "http://user:s3cret@127.0.0.1:1/f",
		"redirects for ever":  strings.Replace(loop, "://", "://user:s3cret@", 1),
		"not a URL":           "https://user:s3cret%zz@host/f",
		"a space in the host": "https://user:s3cret@ho st/f",
		"an unknown scheme":   "ftp://user:s3cret@host/f",
		"a port of letters":   "https://user:s3cret@host:port/f",
	} {
		_, _, err := download(t, HTTP{}, address, 0)
		var f *fault.Error
		if !errors.As(err, &f) || strings.Contains(err.Error()+f.Hint, "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDownloadEndsASilentBody(t *testing.T) {
	done := make(chan struct{})
	defer close(done)
	address := server(t, func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "some")
		w.(http.Flusher).Flush()
		<-done
	})
	start := time.Now()
	got, _, err := download(t, HTTP{Silence: 100 * time.Millisecond}, address, 0)
	if got != "some" || err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("got %q, %v after %v", got, err, time.Since(start))
	}

	if err != nil && !strings.Contains(err.Error(), "no data for 100ms") {
		t.Errorf("the error does not say why: %v", err)
	}
}

func TestDownloadKeepsASlowBody(t *testing.T) {
	address := server(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 6 {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			time.Sleep(60 * time.Millisecond)
		}
	})
	if got, _, err := download(t, HTTP{Silence: 250 * time.Millisecond}, address, 0); got != "xxxxxx" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDownloadLocalFiles(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a b.whl"), []byte("0123456789"), 0o644); err != nil {
		t.Fatal(err)
	}

	for _, address := range []string{
		"a b.whl",
		filepath.Join(root, "a b.whl"),
		(&url.URL{Scheme: "file", Path: filepath.Join(root, "a b.whl")}).String(),
	} {
		if got, at, err := download(t, HTTP{Root: root}, address, 4); got != "456789" || at != 4 || err != nil {
			t.Errorf("%s: %q at %d, %v", address, got, at, err)
		}
	}

	if _, _, err := download(t, HTTP{Root: root}, "absent.whl", 0); fault.CodeOf(err) != fault.BadInput {
		t.Errorf("absent: %v", err)
	}
}

// authorized records the user and password of each request, ":" for none.
func authorized(seen *[]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		*seen = append(*seen, user+":"+password)
		io.WriteString(w, "ok")
	}
}

func TestDownloadCredentials(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".netrc"), []byte("machine 127.0.0.1 login nina password net\n"),
		0o600); err != nil {
		t.Fatal(err)
	}

	for name, c := range map[string]struct {
		env  func(base string) map[string]string
		user string
		want string
	}{
		"none":           {want: ":"},
		"in the address": {user: "ada:own", want: "ada:own"},
		"the address before netrc": {
			user: "ada:own",
			env:  func(string) map[string]string { return map[string]string{"HOME": home} },
			want: "ada:own",
		},
		"in the index": {env: func(b string) map[string]string {
			return map[string]string{"UV_INDEX_URL": with(b, "eve:idx") + "/simple"}
		}, want: "eve:idx"},
		"in one of several": {env: func(b string) map[string]string {
			return map[string]string{"UV_INDEX": "https://x.example/simple corp=" + with(b, "eve:idx")}
		}, want: "eve:idx"},
		"by the index's name": {env: func(b string) map[string]string {
			return map[string]string{
				"UV_INDEX":                    "my-corp.x=" + b + "/simple",
				"UV_INDEX_MY_CORP_X_USERNAME": "bob",
				"UV_INDEX_MY_CORP_X_PASSWORD": "pw",
			}
		}, want: "bob:pw"},
		"not by another index's name": {env: func(b string) map[string]string {
			return map[string]string{
				"UV_INDEX":            "a=" + b + "/simple b=https://x.example",
				"UV_INDEX_B_USERNAME": "bob",
				"UV_INDEX_B_PASSWORD": "pw",
			}
		}, want: ":"},
		"not those of another host": {env: func(string) map[string]string {
			return map[string]string{"UV_INDEX_URL": "http://eve:idx@x.example/simple"}
		}, want: ":"},
		"not those of another port": {env: func(string) map[string]string {
			return map[string]string{"UV_INDEX_URL": "http://eve:idx@127.0.0.1:1/simple"}
		}, want: ":"},
		"not those of another scheme": {env: func(b string) map[string]string {
			return map[string]string{"UV_INDEX_URL": strings.Replace(with(b, "eve:idx"), "http:", "https:", 1)}
		}, want: ":"},
		"netrc in the home folder": {
			env:  func(string) map[string]string { return map[string]string{"HOME": home} },
			want: "nina:net",
		},
		"netrc by its variable": {
			env:  func(string) map[string]string { return map[string]string{"NETRC": filepath.Join(home, ".netrc")} },
			want: "nina:net",
		},
		"the index before netrc": {env: func(b string) map[string]string {
			return map[string]string{"HOME": home, "UV_INDEX_URL": with(b, "eve:idx")}
		}, want: "eve:idx"},
		"escapes in the index are not": {
			env:  func(b string) map[string]string { return map[string]string{"UV_INDEX_URL": with(b, "eve:a%40b")} },
			want: "eve:a@b",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var seen []string
			base := server(t, authorized(&seen))
			env := map[string]string{}
			if c.env != nil {
				env = c.env(base)
			}

			address := base
			if c.user != "" {
				address = with(base, c.user)
			}

			if _, _, err := download(t, HTTP{Getenv: environment(env)}, address+"/f", 0); err != nil {
				t.Fatal(err)
			}

			if got := strings.Join(seen, " "); got != c.want {
				t.Errorf("the server saw %q, want %q", got, c.want)
			}
		})
	}
}

func with(base, user string) string { return strings.Replace(base, "://", "://"+user+"@", 1) }

func TestRedirectsToAnotherHostLoseCredentials(t *testing.T) {
	var seen []string
	elsewhere := strings.Replace(server(t, authorized(&seen)), "127.0.0.1", "localhost", 1)
	base := server(t,
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere+"/f", http.StatusFound) })
	got, _, err := download(t, HTTP{}, with(base, "ada:own")+"/f", 0)
	if err != nil || got != "ok" || strings.Join(seen, " ") != ":" {
		t.Errorf("got %q, %v; the other host saw %q", got, err, seen)
	}
}

func TestNetrc(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"one line":       {"machine h login u password p", "u:p"},
		"several lines":  {"machine h\n  login u\n  password p\n", "u:p"},
		"password first": {"machine h password p login u", "u:p"},
		"another host":   {"machine other login u password p", ""},
		"the second": {
			"machine other login x password y\nmachine h login u password p\nmachine z login q password r",
			"u:p",
		},
		"the first of two":           {"machine h login u password p machine h login x password y", "u:p"},
		"default":                    {"machine other login x password y default login u password p", "u:p"},
		"the machine before default": {"machine h login u password p default login x password y", "u:p"},
		"account is skipped":         {"machine h login u account a password p", "u:p"},
		"words that are keywords": {
			"machine machine login login password password machine h login u password machine",
			"u:machine",
		},
		"a name that only begins with it": {"machine h2 login x password y", ""},
		"no login":                        {"machine h password p", ""},
		"empty":                           {"", ""},
		"cut off":                         {"machine h login", ""},
		"a comment is not an entry": {
			"# machine h login old password old\nmachine h login u password p",
			"u:p",
		},
		"a sharp sign within a password":    {"machine h login u password p#q", "u:p#q"},
		"a machine without login, a second": {"machine h\nmachine other login x password y", ""},
	} {
		user, password, ok := netrc(strings.NewReader(c.in), "h")
		got := ""
		if ok {
			got = user + ":" + password
		}

		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func FuzzNetrc(f *testing.F) {
	f.Add("machine h login u password p\ndefault login a password b", "h")
	f.Add("# machine h\nmachine\nlogin", "login")
	f.Fuzz(func(t *testing.T, in, host string) {
		user, password, ok := netrc(strings.NewReader(in), host)
		if ok && (!strings.Contains(in, user) || !strings.Contains(in, password)) {
			t.Errorf("%q: %q %q are not in it", in, user, password)
		}

		if ok && !strings.Contains(in, "default") && (host == "" || !strings.Contains(in, host)) {
			t.Errorf("%q gives credentials for %q", in, host)
		}
	})
}
