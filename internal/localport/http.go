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
// (HTTPS_PROXY, SSL_CERT_FILE). Credentials for an index come from where uv reads them: the address
// itself, UV_INDEX_<NAME>_USERNAME and _PASSWORD, or a netrc file.
type HTTP struct {
	Client *http.Client
	Agent  string              // the User-Agent header
	Getenv func(string) string // the environment: credentials
	Root   string              // local paths are relative to it

	Silence time.Duration // longest time without data in a body; 0 for silence
}

// NewClient is a client that limits the time without data, but not the time of a whole download.
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = 60 * time.Second
	t.MaxIdleConnsPerHost = 8
	return &http.Client{Transport: t}
}

// silence is the longest time without data in a body.
const silence = 60 * time.Second

// Download opens an address (https, http, file, or a path) at an offset in bytes. See
// engine.Download.
func (h HTTP) Download(ctx context.Context, address string, offset int64) (io.ReadCloser, int64, error) {
	u, err := url.Parse(address)
	if err != nil && strings.Contains(address, "://") {
		// The text of err has the address, which may have credentials.
		return nil, 0, fault.New(fault.BadInput, "fetch", "", errors.New("invalid URL"))
	}

	switch {
	case err != nil || u.Scheme == "":
		return h.openLocal(address, offset)
	case u.Scheme == "file":
		return h.openLocal(u.Path, offset)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, 0, fault.New(fault.BadInput, "fetch", u.Redacted(), fmt.Errorf("unknown scheme %q", u.Scheme))
	}

	body, at, err := h.get(ctx, u, offset)
	if errors.Is(err, errRange) {
		return h.get(ctx, u, 0)
	}

	return body, at, err
}

// errRange is status 416: the file is shorter than the offset.
var errRange = errors.New("range not satisfiable")

func (h HTTP) get(ctx context.Context, u *url.URL, offset int64) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := h.request(ctx, u, offset)
	if err != nil {
		cancel(nil)
		return nil, 0, err
	}

	resp, err := h.Client.Do(req)
	if err != nil {
		cancel(nil)
		return nil, 0, fault.New(fault.Unreachable, "fetch", u.Host, withoutAddress(err)).
			WithHint("check the network and your index configuration")
	}

	at, err := startOf(resp, u, offset)
	if err != nil {
		resp.Body.Close()
		cancel(nil)
		return nil, 0, err
	}

	limit := cmp.Or(h.Silence, silence)
	w := &watched{ReadCloser: resp.Body, cancel: cancel, limit: limit}
	w.timer = time.AfterFunc(limit, func() { cancel(fmt.Errorf("no data for %v", limit)) })
	return w, at, nil
}

func (h HTTP) request(ctx context.Context, u *url.URL, offset int64) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}

	req.Header.Set("User-Agent", h.Agent)
	req.Header.Set("Accept-Encoding", "identity") // offsets are those of the file, not of compressed data
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}

	if u.User == nil {
		if user, password, ok := h.credentials(u); ok {
			req.SetBasicAuth(user, password)
		}
	}

	return req, nil
}

// startOf is the offset at which the body starts. A server may ignore the request's offset.
func startOf(resp *http.Response, u *url.URL, offset int64) (int64, error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return 0, nil
	case http.StatusPartialContent:
		// "bytes 200-999/1000" (RFC 9110, 14.4)
		start, _, isRange := strings.Cut(strings.TrimPrefix(resp.Header.Get("Content-Range"), "bytes "), "-")
		if n, err := strconv.ParseInt(start, 10, 64); err == nil && isRange {
			return n, nil
		}

		return offset, nil
	case http.StatusRequestedRangeNotSatisfiable:
		if offset > 0 {
			return 0, errRange
		}
	}

	return 0, refused(u, resp.StatusCode)
}

// refused is a fault for a status other than success.
func refused(u *url.URL, status int) error {
	f := fault.New(fault.Unreachable, "fetch", u.Host+u.Path, fmt.Errorf("%d %s", status, http.StatusText(status))).
		WithHint("try again later")
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		f.Code = fault.BadInput
		f.Hint = "set the credentials that uv reads: UV_INDEX_<NAME>_USERNAME and _PASSWORD, or a netrc file"
	case status == http.StatusNotFound || status == http.StatusGone:
		f.Code = fault.BadInput
		f.Hint = "the file is gone from the index; run: layersmith lock --upgrade-package NAME"
	case status != http.StatusTooManyRequests && status/100 == 4:
		f.Code = fault.BadInput
		f.Hint = ""
	}

	return f
}

// withoutAddress removes the address from an error of net/http: it may have credentials.
func withoutAddress(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}

	return err
}

func (h HTTP) openLocal(path string, offset int64) (io.ReadCloser, int64, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(h.Root, path)
	}

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

// watched ends a body that delivers no data for too long.
type watched struct {
	io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
	limit  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 {
		w.timer.Reset(w.limit)
	}

	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// indexVariables of uv have addresses of indexes, which may have a name in front and credentials
// inside: "corp=https://user:password@index.example/simple".
var indexVariables = []string{
	"UV_INDEX_URL",
	"UV_DEFAULT_INDEX",
	"UV_INDEX",
	"UV_EXTRA_INDEX_URL",
	"UV_FIND_LINKS",
}

// credentials finds a user and password for an address: those of an index with the same scheme,
// host and port, else those of its host in a netrc file.
func (h HTTP) credentials(wanted *url.URL) (user, password string, ok bool) {
	for _, variable := range indexVariables {
		for _, index := range strings.Fields(h.Getenv(variable)) {
			if user, password, ok := h.indexCredentials(index, wanted); ok {
				return user, password, true
			}
		}
	}

	f, err := os.Open(cmp.Or(h.Getenv("NETRC"), filepath.Join(h.Getenv("HOME"), ".netrc")))
	if err != nil {
		return "", "", false
	}
	defer f.Close()

	return netrc(io.LimitReader(f, 1<<20), wanted.Hostname())
}

func (h HTTP) indexCredentials(index string, wanted *url.URL) (user, password string, ok bool) {
	name, address, named := strings.Cut(index, "=")
	if !named || strings.Contains(name, ":") { // the equals sign is in the address
		name = ""
		address = index
	}

	u, err := url.Parse(address)
	if err != nil || u.Scheme != wanted.Scheme || !strings.EqualFold(u.Host, wanted.Host) {
		return "", "", false
	}

	if u.User != nil {
		password, _ := u.User.Password()
		return u.User.Username(), password, true
	}

	prefix := "UV_INDEX_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name)) + "_"
	user = h.Getenv(prefix + "USERNAME")
	if name == "" || user == "" {
		return "", "", false
	}

	return user, h.Getenv(prefix + "PASSWORD"), true
}

var netrcComment = regexp.MustCompile(`(?m)^[ \t]*#.*$`)

// netrc finds the entry of a host in the format of ftp(1). Lines that begin with # are comments.
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
