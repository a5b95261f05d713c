// Package s3server is S3 in memory, for tests and benchmarks. It adds to gofakes3:
//   - PutObject compares x-amz-checksum-sha256 with the content before it stores it, and responses
//     have it with ChecksumMode.
//   - GetObject supports If-Match. (gofakes3 supports If-Match and If-None-Match in PutObject.)
//
// Buckets are versioned, as those of a deployed stack, unless they are made by NewUnversioned.
package s3server

import (
	"bytes"
	"crypto/md5" //nolint:gosec // S3's ETag
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Server handles requests. Its methods give access to the objects without one.
type Server struct {
	Backend   *s3mem.Backend
	next      http.Handler
	versioned bool
	sums      sync.Map // ETag to x-amz-checksum-sha256
}

// New makes a server with empty, versioned buckets.
func New(buckets ...string) (*Server, error) {
	s, err := NewUnversioned(buckets...)
	if err != nil {
		return nil, err
	}

	s.versioned = true
	enabled := gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}
	for _, b := range buckets {
		if err := s.Backend.SetVersioningConfiguration(b, enabled); err != nil {
			return nil, err
		}
	}

	return s, nil
}

// NewUnversioned makes a server with empty buckets that keep only the newest version.
func NewUnversioned(buckets ...string) (*Server, error) {
	mem := s3mem.New()
	for _, b := range buckets {
		if err := mem.CreateBucket(b); err != nil {
			return nil, err
		}
	}

	return &Server{Backend: mem, next: gofakes3.New(mem).Server()}, nil
}

// Put stores an object with its checksum, as the SDK does.
func (s *Server) Put(bucket, key string, content []byte) error {
	r := httptest.NewRequest(http.MethodPut, (&url.URL{Path: "/" + bucket + "/" + key}).String(),
		bytes.NewReader(content))
	r.Header.Set("Content-Length", fmt.Sprint(len(content)))
	sum := sha256.Sum256(content)
	r.Header.Set("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:]))

	// gofakes3 copies the metadata of the old version to a new one without metadata.
	r.Header.Set("x-amz-meta-sha256", hex.EncodeToString(sum[:]))
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusOK {
		return fmt.Errorf("put %s/%s: %s", bucket, key, w.Body)
	}

	return nil
}

// Get returns the newest version of an object.
func (s *Server) Get(bucket, key string) ([]byte, error) {
	o, err := s.Backend.GetObject(bucket, key, nil)
	if err != nil {
		return nil, fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	defer o.Contents.Close()
	return io.ReadAll(o.Contents)
}

// Keys returns the keys that begin with prefix, sorted.
func (s *Server) Keys(bucket, prefix string) ([]string, error) {
	list, err := s.Backend.ListBucket(bucket, &gofakes3.Prefix{HasPrefix: true, Prefix: prefix},
		gofakes3.ListBucketPage{})
	if err != nil {
		return nil, err
	}

	var keys []string
	for _, o := range list.Contents {
		keys = append(keys, o.Key)
	}

	slices.Sort(keys)
	return keys, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodPut && !s.checksum(r):
		Refuse(w, http.StatusBadRequest, "BadDigest",
			"The SHA256 you specified did not match the calculated checksum.")
		return
	case r.Method == http.MethodGet && !s.matches(r):
		Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed",
			"At least one of the pre-conditions you specified did not hold")
		return
	}

	a := &answer{ResponseWriter: w, server: s, checksum: r.Header.Get("x-amz-checksum-mode") == "ENABLED"}
	s.next.ServeHTTP(a, r)
	if !a.done { // HeadObject
		a.WriteHeader(http.StatusOK)
	}
}

// checksum reads the body, keeps its checksum, and reports whether that is the one in the header.
func (s *Server) checksum(r *http.Request) bool {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}

	r.Body = io.NopCloser(bytes.NewReader(body))
	promised := r.Header.Get("x-amz-checksum-sha256")
	if promised == "" {
		return true
	}

	sum := sha256.Sum256(body)
	if promised != base64.StdEncoding.EncodeToString(sum[:]) {
		return false
	}

	etag := md5.Sum(body) //nolint:gosec // S3's ETag
	s.sums.Store(`"`+hex.EncodeToString(etag[:])+`"`, promised)

	return true
}

// matches reports whether If-Match, if it is set, is the ETag of the object, or there is no object.
func (s *Server) matches(r *http.Request) bool {
	want := r.Header.Get("If-Match")
	if want == "" {
		return true
	}

	head := httptest.NewRecorder()
	q := r.Clone(r.Context())
	q.Method = http.MethodHead
	s.next.ServeHTTP(head, q)

	return head.Code != http.StatusOK || head.Header().Get("ETag") == want
}

// answer adds the checksum to a response.
type answer struct {
	http.ResponseWriter
	server         *Server
	checksum, done bool
}

func (a *answer) WriteHeader(status int) {
	if !a.server.versioned {
		a.Header().Del("x-amz-version-id") // gofakes3's HeadObject has one without versioning
	}

	if sum, ok := a.server.sums.Load(a.Header().Get("ETag")); ok && a.checksum && status == http.StatusOK && !a.done {
		a.Header().Set("x-amz-checksum-sha256", sum.(string))
		a.Header().Set("x-amz-checksum-type", "FULL_OBJECT")
	}

	a.done = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.done {
		a.WriteHeader(http.StatusOK)
	}

	return a.ResponseWriter.Write(p)
}

// Refuse answers a request with an error of S3.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("x-amz-request-id", "REQ1")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>REQ1</RequestId></Error>", code, message)
}
