// Package s3server is for tests and benchmarks only: S3 on this machine, in memory, as strict as
// the product needs it. It is gofakes3 and what that leaves out:
//   - The SHA-256 that a PutObject promises is compared before anything is stored, and given back with ChecksumMode.
//   - GetObject keeps If-Match. If-Match and If-None-Match of PutObject are gofakes3's own.
//
// Buckets keep all versions, as those of a deployed stack do, unless they are asked not to.
package s3server

import (
	"bytes"
	"crypto/md5" //nolint:gosec // what S3 calls an ETag
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

// Server is the handler of all requests, and the way to its objects without any.
type Server struct {
	Backend *s3mem.Backend // what it stores
	next    http.Handler
	plain   bool     // without versions
	sums    sync.Map // ETag -> x-amz-checksum-sha256
}

// New makes a server with empty buckets.
func New(buckets ...string) (*Server, error) {
	s, err := NewUnversioned(buckets...)
	if err != nil {
		return nil, err
	}

	s.plain = false
	for _, b := range buckets {
		if err := s.Backend.SetVersioningConfiguration(
			b,
			gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled},
		); err != nil {
			return nil, err
		}
	}

	return s, nil
}

// NewUnversioned makes a server with empty buckets that keep the newest version only.
func NewUnversioned(buckets ...string) (*Server, error) {
	mem := s3mem.New()
	for _, b := range buckets {
		if err := mem.CreateBucket(b); err != nil {
			return nil, err
		}
	}

	return &Server{Backend: mem, next: gofakes3.New(mem).Server(), plain: true}, nil
}

// Put stores an object, with its checksum, as the SDK does.
func (s *Server) Put(bucket, key string, content []byte) error {
	r := httptest.NewRequest(http.MethodPut, (&url.URL{Path: "/" + bucket + "/" + key}).String(),
		bytes.NewReader(content))
	r.Header.Set("Content-Length", fmt.Sprint(len(content)))
	sum := sha256.Sum256(content)
	r.Header.Set("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:]))
	r.Header.Set(
		"x-amz-meta-sha256",
		hex.EncodeToString(sum[:]),
	) // gofakes3 gives a new version the metadata of the old one where it has none of its own
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
	switch r.Method {
	case http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}

		if promised := r.Header.Get("x-amz-checksum-sha256"); promised != "" {
			sum := sha256.Sum256(body)
			etag := md5.Sum(body) //nolint:gosec // see above
			if promised != base64.StdEncoding.EncodeToString(sum[:]) {
				Refuse(w, http.StatusBadRequest, "BadDigest",
					"The SHA256 you specified did not match the calculated checksum.")
				return
			}

			s.sums.Store(`"`+hex.EncodeToString(etag[:])+`"`, promised)
		}

		r.Body = io.NopCloser(bytes.NewReader(body))
	case http.MethodGet:
		if want := r.Header.Get("If-Match"); want != "" {
			head := httptest.NewRecorder()
			q := r.Clone(r.Context())
			q.Method = http.MethodHead
			s.next.ServeHTTP(head, q)
			if head.Code == http.StatusOK && head.Header().Get("ETag") != want {
				Refuse(w, http.StatusPreconditionFailed, "PreconditionFailed",
					"At least one of the pre-conditions you specified did not hold")
				return
			}
		}
	}

	a := &answer{ResponseWriter: w, server: s, checksum: r.Header.Get("x-amz-checksum-mode") == "ENABLED"}
	s.next.ServeHTTP(a, r)
	if !a.done { // HeadObject
		a.WriteHeader(http.StatusOK)
	}
}

// answer adds the checksum.
type answer struct {
	http.ResponseWriter
	server         *Server
	checksum, done bool
}

func (a *answer) WriteHeader(status int) {
	if a.server.plain {
		a.Header().Del("x-amz-version-id") // gofakes3's HeadObject tells one where there are none
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

// Refuse answers a request as S3 does when it does not do what it is asked.
func Refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("x-amz-request-id", "REQ1")
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>REQ1</RequestId></Error>", code, message)
}
