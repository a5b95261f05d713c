package localport

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
)

// HTTP downloads files. Proxies and certificates come from the environment as Go reads it
// (HTTPS_PROXY, SSL_CERT_FILE); credentials for an index from where uv has them: the address
// itself, UV_INDEX_<NAME>_USERNAME and _PASSWORD, or a netrc file.
type HTTP struct {
	Client *http.Client
	Agent  string
	Getenv func(string) string
	Root   string // local wheels are relative to it

	Silence time.Duration // how long a body may deliver nothing; 0 for silence
}

// NewClient is a client that gives up on silence, not on size.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxIdleConnsPerHost = 8
	return &http.Client{Transport: t}
}

// silence is how long a body may deliver nothing.
const silence = 60 * time.Second

// Download opens an address at an offset. See engine.Download.
func (h HTTP) Download(ctx context.Context, address string, offset int64) (io.ReadCloser, int64, error) {
	u, err := url.Parse(address)
	if err != nil && strings.Contains(address, "://") {
		return nil, 0, fault.New(fault.BadInput, "fetch", "",
			errors.New("an address that is no URL")) // it may hold credentials
	}

	if err != nil || u.Scheme == "" || u.Scheme == "file" {
		path := address
		if err == nil && u.Scheme == "file" {
			path = u.Path
		}

		if !filepath.IsAbs(path) {
			path = filepath.Join(h.Root, path)
		}

		return openAt(path, offset)
	}

	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, 0, fault.New(fault.BadInput, "fetch", u.Redacted(), fmt.Errorf("unknown scheme %q", u.Scheme))
	}

	bodyCtx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(bodyCtx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}

	req.Header.Set("User-Agent", h.Agent)
	req.Header.Set("Accept-Encoding", "identity") // a Content-Encoding would break resuming
	if offset > 0 {
		req.Header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
	}

	if u.User == nil {
		if user, password, ok := h.credentials(u); ok {
			req.SetBasicAuth(user, password)
		}
	}

	resp, err := h.Client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, 0, fault.New(fault.Unreachable, "fetch", u.Host, trim(err)).
			WithHint("check the network and your index configuration")
	}

	at := int64(0)
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		at = offset
		if start, _, ok := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "-"); ok {
			if n, err := strconv.ParseInt(start, 10, 64); err == nil {
				at = n
			}
		}
	case resp.StatusCode == http.StatusOK:
	// all of it is here, or it became shorter
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		resp.Body.Close()
		cancel(nil)
		return h.Download(ctx, address, 0)
	default:
		resp.Body.Close()
		cancel(nil)
		return nil, 0, h.refused(u, resp.StatusCode)
	}

	quiet := cmp.Or(h.Silence, silence)
	w := &watched{ReadCloser: resp.Body, cancel: cancel, quiet: quiet}
	w.timer = time.AfterFunc(quiet, func() { cancel(fmt.Errorf("no byte for %v", quiet)) })
	return w, at, nil
}

func (h HTTP) refused(u *url.URL, status int) error {
	f := fault.New(fault.Unreachable, "fetch", u.Host+u.Path, fmt.Errorf("%d %s", status, http.StatusText(status))).
		WithHint("try again later")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Code = fault.BadInput
		f.Hint = "give credentials as uv takes them: UV_INDEX_<NAME>_USERNAME and _PASSWORD, or a netrc file"
	case status == http.StatusNotFound || status == http.StatusGone:
		f.Code = fault.BadInput
		f.Hint = "the file is gone from the index; run: layersmith lock --upgrade-package NAME"
	case status != http.StatusTooManyRequests && status/100 == 4:
		f.Code = fault.BadInput
		f.Hint = ""
	}

	return f
}

// trim drops the address from errors of net/http: it may hold credentials.
func trim(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}

	return err
}

func openAt(path string, offset int64) (io.ReadCloser, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fault.New(fault.BadInput, "fetch", path, err).
			WithHint("put the file there, or correct the requirement")
	}

	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		f.Close()
		return nil, 0, err
	}

	return f, offset, nil
}

// watched ends a body that says nothing for too long.
type watched struct {
	io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
	quiet  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.timer.Reset(w.quiet)
	}

	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// credentials finds a user and password for an address: those of an index at the same scheme, host
// and port, or of its host in a netrc file.
func (h HTTP) credentials(wanted *url.URL) (user, password string, ok bool) {
	for _, key := range []string{
		"UV_INDEX_URL",
		"UV_DEFAULT_INDEX",
		"UV_INDEX",
		"UV_EXTRA_INDEX_URL",
		"UV_FIND_LINKS",
	} {
		for _, field := range strings.Fields(h.Getenv(key)) {
			name, address, named := strings.Cut(field, "=")
			if !named || strings.Contains(name, ":") {
				name = ""
				address = field
			}

			u, err := url.Parse(address)
			if err != nil || u.Scheme != wanted.Scheme || !strings.EqualFold(u.Host, wanted.Host) {
				continue
			}

			if u.User != nil {
				password, _ := u.User.Password()
				return u.User.Username(), password, true
			}

			prefix := "UV_INDEX_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name)) + "_"
			if user := h.Getenv(prefix + "USERNAME"); name != "" && user != "" {
				return user, h.Getenv(prefix + "PASSWORD"), true
			}
		}
	}

	path := h.Getenv("NETRC")
	if path == "" {
		path = filepath.Join(h.Getenv("HOME"), ".netrc")
	}

	f, err := os.Open(path)
	if err != nil {
		return "", "", false
	}
	defer f.Close()
	return netrc(io.LimitReader(f, 1<<20), wanted.Hostname())
}

var netrcComment = regexp.MustCompile(`(?m)^[ \t]*#.*$`)

// netrc finds the entry of a host in the format of ftp(1): words machine, login, password, default;
// lines that begin with # are comments.
func netrc(r io.Reader, host string) (user, password string, ok bool) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", "", false
	}

	words := bufio.NewScanner(bytes.NewReader(netrcComment.ReplaceAll(b, nil)))
	words.Split(bufio.ScanWords)
	in := false
	for words.Scan() {
		switch words.Text() {
		case "machine":
			if ok {
				return user, password, true
			}

			words.Scan()
			in = words.Text() == host
		case "default":
			if ok {
				return user, password, true
			}

			in = true
		case "login":
			if words.Scan() && in {
				user = words.Text()
				ok = true
			}
		case "password":
			if words.Scan() && in {
				password = words.Text()
			}
		}
	}

	return user, password, ok
}
