package awsport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/layersmith/layersmith/internal/awsport"
	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/porttest"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/testenv/s3server"
	"github.com/layersmith/layersmith/internal/workflow"
)

const testBucket = "store"

// s3Client is the real client, against a server here, which tries three times without waiting.
func s3Client(url string) *s3.Client {
	return s3.New(s3.Options{
		Region:       "eu-central-1",
		BaseEndpoint: &url,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider("id", "secret", ""),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
}

func serveS3(t *testing.T, h http.Handler) *s3.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that went away
	server.Start()
	t.Cleanup(server.Close)
	return s3Client(server.URL)
}

// fakeS3 is a server with an empty bucket.
func fakeS3(t *testing.T, versions bool) (http.Handler, *s3mem.Backend) {
	t.Helper()
	start := s3server.NewUnversioned
	if versions {
		start = s3server.New
	}

	s, err := start(testBucket)
	if err != nil {
		t.Fatal(err)
	}

	return s, s.Backend
}

// counted counts requests by method.
type counted struct {
	next http.Handler
	mu   sync.Mutex
	by   map[string]int
}

func (c *counted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	if c.by == nil {
		c.by = map[string]int{}
	}

	c.by[r.Method]++
	c.mu.Unlock()
	c.next.ServeHTTP(w, r)
}

func (c *counted) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.TrimPrefix(fmt.Sprint(c.by), "map")
}

func wantFault(t *testing.T, err error, want fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want fault %s", want)
	}

	if got := fault.CodeOf(err); got != want {
		t.Fatalf("fault %s (%v), want %s", got, err, want)
	}
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the temporary folder has %v, %v", left, err)
	}
}

func writing(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// refOf is the reference to bytes that are stored below documents/.
func refOf(b []byte) blob.Ref {
	sum := digest.Of(b)
	return blob.Ref{Key: "documents/" + sum.String() + ".json", SHA256: sum, Size: int64(len(b))}
}

func eachBucket(t *testing.T, test func(t *testing.T, versions bool)) {
	for name, versions := range map[string]bool{"a bucket with versions": true, "a bucket without": false} {
		t.Run(name, func(t *testing.T) { t.Parallel(); test(t, versions) })
	}
}

func TestBlobs(t *testing.T) {
	t.Parallel()
	eachBucket(t, func(t *testing.T, versions bool) {
		porttest.Blobs(t, func(t *testing.T) workflow.Blobs {
			h, _ := fakeS3(t, versions)
			dir := t.TempDir()
			t.Cleanup(func() { wantEmpty(t, dir) })
			return awsport.Blobs{Client: serveS3(t, h), Bucket: testBucket, Temp: dir}
		})
	})
}

func TestRegisters(t *testing.T) {
	t.Parallel()
	eachBucket(t, func(t *testing.T, versions bool) {
		porttest.Registers(t, func(t *testing.T) workflow.Registers {
			h, _ := fakeS3(t, versions)
			return awsport.Registers{Client: serveS3(t, h), Bucket: testBucket}
		})
	})
}

func TestSources(t *testing.T) {
	t.Parallel()
	eachBucket(t, func(t *testing.T, versions bool) {
		porttest.Sources(t, func(t *testing.T) porttest.PushedSources {
			h, mem := fakeS3(t, versions)
			putDirectly(t, mem, "elsewhere/x", "never listed")
			putDirectly(t, mem, "layers/", "")
			return workspace(serveS3(t, h))
		})
	})
}

func workspace(c *s3.Client) awsport.Workspace {
	return awsport.Workspace{Sources: awsport.Sources{Client: c, Bucket: testBucket, Prefix: "layers/"}}
}

func putDirectly(t *testing.T, mem *s3mem.Backend, key, content string) {
	t.Helper()
	if _, err := mem.PutObject(testBucket, key, map[string]string{}, strings.NewReader(content),
		int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

func TestBlobsSendOnlyWhatIsNotThere(t *testing.T) {
	t.Parallel()
	h, _ := fakeS3(t, true)
	requests := &counted{next: h}
	b := awsport.Blobs{Client: serveS3(t, requests), Bucket: testBucket, Temp: t.TempDir()}
	for _, want := range []string{"[HEAD:1 PUT:1]", "[HEAD:2 PUT:1]", "[HEAD:3 PUT:1]"} {
		if _, err := b.Put(t.Context(), "documents/", ".json", writing("{}")); err != nil {
			t.Fatal(err)
		}

		if requests.String() != want {
			t.Errorf("requests %s, want %s", requests, want)
		}
	}
}

func TestBlobsReplaceWhatIsNotWhatItsKeySays(t *testing.T) {
	t.Parallel()
	for name, foreign := range map[string]string{"another size": "foreign", "the same size": "!!"} {
		t.Run(name, func(t *testing.T) {
			h, mem := fakeS3(t, true)
			b := awsport.Blobs{Client: serveS3(t, h), Bucket: testBucket, Temp: t.TempDir()}
			putDirectly(t, mem, refOf([]byte("{}")).Key, foreign)
			ref, err := b.Put(t.Context(), "documents/", ".json", writing("{}"))
			if err != nil {
				t.Fatal(err)
			}

			opened, err := b.Open(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}

			opened.Close()
		})
	}
}

func TestBlobsReplaceOnlyWhatTheySaw(t *testing.T) {
	t.Parallel()
	h, mem := fakeS3(t, true)
	good := []byte("{}")
	var once sync.Once
	b := awsport.Blobs{
		Bucket: testBucket,
		Temp:   t.TempDir(),
		Client: serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut { // another one was faster to replace it
				once.Do(func() {
					meta := map[string]string{"X-Amz-Meta-Sha256": digest.Of(good).String()}
					if _, err := mem.PutObject(testBucket, refOf(good).Key, meta, bytes.NewReader(good),
						int64(len(good)), nil); err != nil {
						t.Error(err)
					}
				})
			}

			h.ServeHTTP(w, r)
		})),
	}
	putDirectly(t, mem, refOf(good).Key, "foreign")
	if _, err := b.Put(t.Context(), "documents/", ".json", writing(string(good))); err != nil {
		t.Fatal(err)
	}

	if versions, err := mem.ListBucketVersions(testBucket, nil, nil); err != nil || len(versions.Versions) != 2 {
		t.Errorf("%d versions, %v; want the foreign and the good one", len(versions.Versions), err)
	}
}

func TestBlobsOpenTheVersionThatWasPut(t *testing.T) {
	t.Parallel()
	h, mem := fakeS3(t, true)
	b := awsport.Blobs{Client: serveS3(t, h), Bucket: testBucket, Temp: t.TempDir()}
	ref, err := b.Put(t.Context(), "documents/", ".json", writing("{}"))
	if err != nil || ref.VersionID == "" {
		t.Fatal(ref, err)
	}

	putDirectly(t, mem, ref.Key, "overwritten")
	if opened, err := b.Open(t.Context(), ref); err != nil {
		t.Error(err)
	} else {
		opened.Close()
	}

	ref.VersionID = ""
	_, err = b.Open(t.Context(), ref)
	wantFault(t, err, fault.HashMismatch)
}

// raceServer is an S3 that changes or refuses requests.
type raceServer struct {
	heads, puts atomic.Int32
	http.Handler
}

// putRaces intercept requests of Blobs.Put. An interceptor that returns false passes the request
// on.
var putRaces = map[string]struct {
	exists    bool // before Put
	intercept func(s *raceServer, w http.ResponseWriter, r *http.Request) bool
	code      fault.Code // "" for success
}{
	"another writer stored it after our HeadObject": {
		exists: true,
		intercept: func(s *raceServer, w http.ResponseWriter, r *http.Request) bool {
			first := r.Method == http.MethodHead && s.heads.Add(1) == 1
			if first {
				w.WriteHeader(404)
			}

			return first
		},
	},
	"S3 reports a conflict of two writers": {
		intercept: func(s *raceServer, w http.ResponseWriter, r *http.Request) bool {
			first := r.Method == http.MethodPut && s.puts.Add(1) == 1
			if first {
				s3server.Refuse(w, 409, "ConditionalRequestConflict", "again")
			}

			return first
		},
	},
	"conflicts never end": {
		code: fault.Changed,
		intercept: func(_ *raceServer, w http.ResponseWriter, r *http.Request) bool {
			put := r.Method == http.MethodPut
			if put {
				s3server.Refuse(w, 409, "ConditionalRequestConflict", "again")
			}

			return put
		},
	},
	"the response to our first upload is lost": {
		intercept: func(s *raceServer, w http.ResponseWriter, r *http.Request) bool {
			first := r.Method == http.MethodPut && s.puts.Add(1) == 1
			if first {
				s.Handler.ServeHTTP(httptest.NewRecorder(), r)
				s3server.Refuse(w, 500, "InternalError", "we are sorry")
			}

			return first
		},
	},
	"without s3:ListBucket a missing object is denied": {intercept: denyHead},
	"without s3:GetObject an object is denied":         {exists: true, code: fault.NotAllowed, intercept: denyHead},
	"S3 refuses an upload that was damaged": {
		code: fault.Unreachable,
		intercept: func(_ *raceServer, _ http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				r.Body = io.NopCloser(strings.NewReader("[]"))
			}

			return false
		},
	},
}

func denyHead(_ *raceServer, w http.ResponseWriter, r *http.Request) bool {
	head := r.Method == http.MethodHead
	if head {
		w.WriteHeader(403)
	}

	return head
}

// The answer to HeadObject may be outdated at the time of the upload. The upload's condition
// decides.
func TestBlobsPutHandlesRacesAndGrants(t *testing.T) {
	t.Parallel()
	content := []byte("{}")
	for name, c := range putRaces {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, mem := fakeS3(t, true)
			s := &raceServer{Handler: h}
			if c.exists {
				meta := map[string]string{"X-Amz-Meta-Sha256": digest.Of(content).String()}
				if _, err := mem.PutObject(testBucket, refOf(content).Key, meta, bytes.NewReader(content),
					int64(len(content)), nil); err != nil {
					t.Fatal(err)
				}
			}

			client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !c.intercept(s, w, r) {
					s.Handler.ServeHTTP(w, r)
				}
			}))

			b := awsport.Blobs{Client: client, Bucket: testBucket, Temp: t.TempDir()}
			ref, err := b.Put(t.Context(), "documents/", ".json", writing(string(content)))
			if c.code != "" {
				wantFault(t, err, c.code)
				return
			}

			if err != nil {
				t.Fatal(err)
			}

			opened, err := b.Open(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}

			opened.Close()
			versions, err := mem.ListBucketVersions(testBucket, nil, nil)
			if err != nil || len(versions.Versions) != 1 {
				t.Errorf("%d versions are stored, %v", len(versions.Versions), err)
			}
		})
	}
}

func TestBlobsNeedLittleMemory(t *testing.T) {
	const size = 64 << 20
	sum := sha256.Sum256(make([]byte, size))
	c := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodHead:
			w.WriteHeader(404)
		case http.MethodPut:
			if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil ||
				r.Header.Get("x-amz-checksum-sha256") != base64.StdEncoding.EncodeToString(sum[:]) {
				w.WriteHeader(400)
			}
		case http.MethodGet:
			io.CopyN(w, zeros{}, size)
		}
	}))
	b := awsport.Blobs{Client: c, Bucket: testBucket, Temp: t.TempDir()}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	ref, err := b.Put(t.Context(), "artifacts/", ".zip", func(w io.Writer) error {
		_, err := io.CopyN(w, zeros{}, size)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	opened, err := b.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("%d bytes were allocated to store and open %d", got, size)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestBlobsOpenRefusesWhatIsNotAsReferred(t *testing.T) {
	t.Parallel()
	small := []byte("0123456789")
	large := bytes.Repeat([]byte("0123456789"), 300_000)
	full := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body)
		}
	}
	truncated := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.Write(body[:len(body)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	flip := func(body []byte) []byte { c := bytes.Clone(body); c[len(c)/2] ^= 1; return c }
	cases := map[string]struct {
		ref   blob.Ref
		first http.HandlerFunc // answers the first request
		serve http.HandlerFunc
		code  fault.Code
		text  string
		gets  int
	}{
		"other bytes": {
			ref:   refOf(small),
			serve: full(flip(small)),
			code:  fault.HashMismatch,
			text:  "the reference says " + refOf(small).SHA256.String(),
			gets:  1,
		},
		"other bytes of a large object": {
			ref:   refOf(large),
			serve: full(flip(large)),
			code:  fault.HashMismatch,
			text:  "the reference says " + refOf(large).SHA256.String(),
			gets:  1,
		},
		"a shorter object": {
			ref:   refOf(small),
			serve: full(small[:9]),
			code:  fault.HashMismatch,
			text:  "9 bytes, the reference says 10",
			gets:  1,
		},
		"a longer object": {
			ref:   refOf(small),
			serve: full(large),
			code:  fault.HashMismatch,
			text:  "3000000 bytes, the reference says 10",
			gets:  1,
		},
		"a body that always breaks off": {
			ref:   refOf(small),
			serve: truncated(small),
			code:  fault.Unreachable,
			text:  "the response ended early: unexpected EOF",
			gets:  3,
		},
		"a large body that breaks off": {
			ref:   refOf(large),
			serve: truncated(large),
			code:  fault.Unreachable,
			text:  "the response ended early: unexpected EOF",
			gets:  3,
		},
		"a body that breaks off once":       {ref: refOf(small), first: truncated(small), serve: full(small), gets: 2},
		"a large body that breaks off once": {ref: refOf(large), first: truncated(large), serve: full(large), gets: 2},
		"bytes without end": {
			ref:  refOf(small),
			code: fault.HashMismatch,
			text: "more than the 10 bytes that the reference says",
			gets: 1,
			serve: func(w http.ResponseWriter, r *http.Request) {
				for r.Context().Err() == nil {
					if _, err := w.Write(large); err != nil {
						return
					}
				}
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var gets atomic.Int32
			client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if gets.Add(1) == 1 && c.first != nil {
					c.first(w, r)
					return
				}

				c.serve(w, r)
			}))
			dir := t.TempDir()
			opened, err := awsport.Blobs{Client: client, Bucket: testBucket, Temp: dir}.Open(t.Context(), c.ref)
			if err == nil {
				opened.Close()
			}

			if int(gets.Load()) != c.gets {
				t.Errorf("asked %d times, want %d", gets.Load(), c.gets)
			}

			wantEmpty(t, dir)
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}

				return
			}

			wantFault(t, err, c.code)
			if !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %q, want %q in it", err, c.text)
			}
		})
	}
}

func TestCanceledBlobsLeaveNoFile(t *testing.T) {
	t.Parallel()
	large := bytes.Repeat([]byte("0123456789"), 300_000)
	t.Run("while it comes", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(large)))
			w.Write(large[:2<<20])
			w.(http.Flusher).Flush()
			cancel()
			<-r.Context().Done()
		}))
		dir := t.TempDir()
		_, err := awsport.Blobs{Client: client, Bucket: testBucket, Temp: dir}.Open(ctx, refOf(large))
		wantFault(t, err, fault.Canceled)
		wantEmpty(t, dir)
	})
	t.Run("while it goes", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				cancel()
				io.Copy(io.Discard, r.Body) // until the client ends it
				return
			}

			w.WriteHeader(404)
		}))
		dir := t.TempDir()
		_, err := awsport.Blobs{
			Client: client,
			Bucket: testBucket,
			Temp:   dir,
		}.Put(ctx, "documents/", ".json", writing(string(large)))
		wantFault(t, err, fault.Canceled)
		wantEmpty(t, dir)
	})
	t.Run("a deadline", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		client := serveS3(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		_, err := awsport.Blobs{Client: client, Bucket: testBucket, Temp: t.TempDir()}.Open(ctx, refOf(large))
		wantFault(t, err, fault.TimedOut)
	})
}

func TestBlobsSayWhichFolderIsMissing(t *testing.T) {
	t.Parallel()
	h, _ := fakeS3(t, true)
	missing := filepath.Join(t.TempDir(), "missing")

	blobs := awsport.Blobs{Client: serveS3(t, h), Bucket: testBucket, Temp: missing}
	_, err := blobs.Put(t.Context(), "documents/", ".json", writing("{}"))
	if err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("error %v", err)
	}
}

// The SDK sends a request again when no answer came; S3 then refuses what the first attempt wrote.
// Taking that for somebody else's change would end a run that has just got its lease.
func TestRegistersKnowTheirOwnWriting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		foreign string // what another one writes between our attempts
		code    fault.Code
	}{
		"our own document":        {},
		"somebody else's instead": {foreign: `{"run":"other"}`, code: fault.Changed},
	} {
		for _, exists := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, over an old one: %v", name, exists), func(t *testing.T) {
				t.Parallel()
				h, mem := fakeS3(t, true)
				var lose atomic.Bool
				r := awsport.Registers{
					Bucket: testBucket,
					Client: serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if r.Method == http.MethodPut && lose.CompareAndSwap(true, false) {
							h.ServeHTTP(httptest.NewRecorder(), r)
							if c.foreign != "" {
								putDirectly(t, mem, "state/lease.json", c.foreign)
							}

							panic(http.ErrAbortHandler)
						}

						h.ServeHTTP(w, r)
					})),
				}
				tag := ""
				if exists {
					var err error
					if tag, err = r.Store(t.Context(), "state/lease.json", []byte("old"), ""); err != nil {
						t.Fatal(err)
					}
				}

				lose.Store(true)
				stored, err := r.Store(t.Context(), "state/lease.json", []byte(`{"run":"ours"}`), tag)
				if c.code != "" {
					wantFault(t, err, c.code)
					return
				}

				if err != nil {
					t.Fatal(err)
				}

				if _, err := r.Store(t.Context(), "state/lease.json", []byte("next"), stored); err != nil {
					t.Errorf("the tag is of no use: %v", err)
				}
			})
		}
	}
}

func TestRegistersNeverTakeAWriteForUnsureThatS3Refused(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{
		412: "PreconditionFailed",
		409: "ConditionalRequestConflict",
		404: "NoSuchKey",
	} {
		requests := &counted{
			next: http.HandlerFunc(
				func(w http.ResponseWriter, _ *http.Request) { s3server.Refuse(w, status, code, "no") },
			),
		}
		_, err := awsport.Registers{
			Client: serveS3(t, requests),
			Bucket: testBucket,
		}.Store(t.Context(), "state/lease.json", []byte("x"), `"tag"`)
		wantFault(t, err, fault.Changed)
		if requests.String() != "[PUT:1]" {
			t.Errorf("%s: requests %s, want one PUT", code, requests)
		}
	}
}

func TestRegistersReadNoMoreThanADocument(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	c := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		for r.Context().Err() == nil && sent.Load() < 1<<30 {
			n, err := w.Write(make([]byte, 1<<20))
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	_, _, err := awsport.Registers{Client: c, Bucket: testBucket}.Load(t.Context(), "state/released.json")
	wantFault(t, err, fault.BadInput)
	if got := sent.Load(); got > 2*release.MaxDocumentBytes {
		t.Errorf("%d bytes were taken", got)
	}
}

func TestDamagedRegistersAreNotBelieved(t *testing.T) {
	t.Parallel()
	h, _ := fakeS3(t, true)
	var damage atomic.Bool
	r := awsport.Registers{
		Bucket: testBucket,
		Client: serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if damage.Load() && r.Method == http.MethodGet {
				answer := httptest.NewRecorder()
				h.ServeHTTP(answer, r)
				for k, v := range answer.Header() {
					w.Header()[k] = v
				}

				w.Write(bytes.ToUpper(answer.Body.Bytes()))
				return
			}

			h.ServeHTTP(w, r)
		})),
	}
	if _, err := r.Store(t.Context(), "state/lease.json", []byte(`{"run":"1"}`), ""); err != nil {
		t.Fatal(err)
	}

	damage.Store(true)
	_, _, err := r.Load(t.Context(), "state/lease.json")
	wantFault(t, err, fault.Unreachable)
}

func TestListsHaveMoreThanOnePage(t *testing.T) {
	t.Parallel()
	const n = 2500
	t.Run("of registers", func(t *testing.T) {
		t.Parallel()
		h, mem := fakeS3(t, true)
		var want []string
		for i := range n {
			want = append(want, fmt.Sprintf("runs/%04d.json", i))
			putDirectly(t, mem, want[i], "{}")
		}

		requests := &counted{next: h}
		got, err := awsport.Registers{Client: serveS3(t, requests), Bucket: testBucket}.List(t.Context(), "runs/")
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d names, %v", len(got), err)
		}

		if requests.String() != "[GET:3]" {
			t.Errorf("requests %s", requests)
		}
	})
	t.Run("of sources, among old versions and deleted files", func(t *testing.T) {
		t.Parallel()
		var entries []string
		var want []workflow.Source
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		version := func(kind, key, id string, latest bool) string {
			return fmt.Sprintf("<%s><Key>%s</Key><VersionId>%s</VersionId><IsLatest>%v</IsLatest>"+
				"<LastModified>2026-03-01T12:00:00.000Z</LastModified><ETag>&quot;e%s&quot;</ETag><Size>7</Size></%s>",
				kind, key, id, latest, id, kind)
		}
		for i := range n {
			name := fmt.Sprintf("%04d.txt", i)
			if i%10 == 9 {
				entries = append(entries, version("DeleteMarker", "layers/"+name, "d"+name, true))
			} else {
				entries = append(entries, version("Version", "layers/"+name, "n"+name, true))
				want = append(want,
					workflow.Source{Name: name, VersionID: "n" + name, ETag: "en" + name, Size: 7, Modified: at})
			}

			entries = append(entries, version("Version", "layers/"+name, "o"+name, false))
		}

		c := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			from := 0
			if m := q.Get("version-id-marker"); m != "" {
				from = 1 + slices.IndexFunc(entries, func(e string) bool {
					return strings.Contains(e, "<VersionId>"+m+"</VersionId>") &&
						strings.Contains(e, "<Key>"+q.Get("key-marker")+"</Key>")
				})
			}

			to := min(from+1000, len(entries))
			fmt.Fprintf(w, "<ListVersionsResult><IsTruncated>%v</IsTruncated>", to < len(entries))
			if to < len(entries) {
				i := (to - 1) / 2
				id := map[bool]string{true: "o", false: "n"}[to%2 == 0]
				fmt.Fprintf(w, "<NextKeyMarker>layers/%04d.txt</NextKeyMarker>", i)
				fmt.Fprintf(w, "<NextVersionIdMarker>%s%04d.txt</NextVersionIdMarker>", id, i)
			}

			io.WriteString(w, strings.Join(entries[from:to], "")+"</ListVersionsResult>")
		}))
		got, err := workspace(c).List(t.Context())
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a truncated page without a marker is an error", func(t *testing.T) {
		t.Parallel()
		c := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "<ListVersionsResult><IsTruncated>true</IsTruncated></ListVersionsResult>")
		}))
		_, err := workspace(c).List(t.Context())
		wantFault(t, err, fault.Unreachable)
	})
}

func TestSourcesReadWhatWasListed(t *testing.T) {
	t.Parallel()
	// Once a bucket kept versions and no longer does, its newest are called "null".
	for _, id := range []string{"", "null"} {
		h, mem := fakeS3(t, false)
		s := workspace(serveS3(t, h))
		putDirectly(t, mem, "layers/a", "one")
		all, err := s.List(t.Context())
		if err != nil || len(all) != 1 || all[0].VersionID != "" {
			t.Fatal(all, err)
		}

		all[0].VersionID = id
		if b, err := s.Read(t.Context(), all[0], 10); err != nil || string(b) != "one" {
			t.Errorf("%q, %v", b, err)
		}

		putDirectly(t, mem, "layers/a", "two")
		_, err = s.Read(t.Context(), all[0], 10)
		wantFault(t, err, fault.Changed)
	}
}

func TestWorkspaceKnowsWhatIsTheSame(t *testing.T) {
	t.Parallel()
	const kms = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f" // what KMS makes of an ETag is not of the content
	cases := map[string]struct {
		etag      string // instead of the listed one
		direct    bool   // uploaded by other means than push
		deleted   bool   // since it was listed
		content   string
		same      bool
		requested string
	}{
		"the same bytes, by their MD5":   {content: "one", same: true, requested: "[]"},
		"another length":                 {content: "four", requested: "[]"},
		"other bytes of the same length": {content: "two", requested: "[HEAD:1]"},
		"the same bytes below a KMS key": {
			content:   "one",
			etag:      kms,
			same:      true,
			requested: "[HEAD:1]",
		},
		"the same bytes in several parts": {
			content:   "one",
			etag:      kms + "-2",
			same:      true,
			requested: "[HEAD:1]",
		},
		"other bytes of the same length below a KMS key": {content: "two", etag: kms, requested: "[HEAD:1]"},
		"the same bytes below a KMS key, but not sent by push": {
			content:   "one",
			etag:      kms,
			direct:    true,
			requested: "[HEAD:1]",
		},
		"the same bytes that push did not send": {
			content:   "one",
			direct:    true,
			same:      true,
			requested: "[]",
		},
		"deleted since": {content: "two", deleted: true, requested: "[HEAD:1]"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, mem := fakeS3(t, true)
			requests := &counted{next: h}
			w := workspace(serveS3(t, requests))
			quiet := workspace(serveS3(t, h))
			if c.direct {
				putDirectly(t, mem, "layers/a", "one")
			} else if err := quiet.Put(t.Context(), "a", []byte("one")); err != nil {
				t.Fatal(err)
			}

			all, err := quiet.List(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}

			if c.etag != "" {
				all[0].ETag = c.etag
			}

			if c.deleted {
				if err := quiet.Delete(t.Context(), "a"); err != nil {
					t.Fatal(err)
				}
			}

			same, err := w.Same(t.Context(), all[0], []byte(c.content))
			if err != nil || same != c.same {
				t.Errorf("same: %v, %v; want %v", same, err, c.same)
			}

			if requests.String() != c.requested {
				t.Errorf("requests %s, want %s", requests, c.requested)
			}
		})
	}
}

func TestS3ErrorsAreFaults(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		status   int
		code     string
		want     fault.Code
		hint     string // part of it
		attempts int
		text     string // the whole of it
	}{
		"asked to slow down, longer than we wait": {
			503,
			"SlowDown",
			fault.Throttled,
			"",
			3,
			"load s3://store/state/lease.json: SlowDown: no (S3 GetObject, status 503, request REQ1, 3 attempts)",
		},
		"out of order": {
			500,
			"InternalError",
			fault.Unreachable,
			"",
			3,
			"load s3://store/state/lease.json: InternalError: no (S3 GetObject, status 500, request REQ1, 3 attempts)",
		},
		"a gateway's error": {
			502,
			"Whatever",
			fault.Unreachable,
			"",
			3,
			"load s3://store/state/lease.json: Whatever: no (S3 GetObject, status 502, request REQ1, 3 attempts)",
		},
		"a grant lacks": {
			403,
			"AccessDenied",
			fault.NotAllowed,
			"allow the role s3:GetObject",
			1,
			"load s3://store/state/lease.json: AccessDenied: no (S3 GetObject, status 403, request REQ1)",
		},
		"old credentials": {
			400,
			"ExpiredToken",
			fault.NotAllowed,
			"sign in to AWS",
			1,
			"load s3://store/state/lease.json: ExpiredToken: no (S3 GetObject, status 400, request REQ1)",
		},
		"wrong credentials": {
			403,
			"InvalidAccessKeyId",
			fault.NotAllowed,
			"sign in to AWS",
			1,
			"load s3://store/state/lease.json: InvalidAccessKeyId: no (S3 GetObject, status 403, request REQ1)",
		},
		"no such document": {
			404,
			"NoSuchKey",
			fault.NotFound,
			"",
			1,
			"load s3://store/state/lease.json: NoSuchKey: no (S3 GetObject, status 404, request REQ1)",
		},
		"no such bucket is no missing document": {
			404,
			"NoSuchBucket",
			fault.BadInput,
			"outputs of the stack",
			1,
			"load s3://store/state/lease.json: NoSuchBucket: no (S3 GetObject, status 404, request REQ1)",
		},
		"another region": {
			301,
			"PermanentRedirect",
			fault.BadInput,
			"--region",
			1,
			"load s3://store/state/lease.json: PermanentRedirect: no (S3 GetObject, status 301, request REQ1)",
		},
		"a refusal that nobody foresaw": {
			400,
			"InvalidArgument",
			fault.BadInput,
			"",
			1,
			"load s3://store/state/lease.json: InvalidArgument: no (S3 GetObject, status 400, request REQ1)",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var attempts atomic.Int32
			client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				attempts.Add(1)
				s3server.Refuse(w, c.status, c.code, "no")
			}))
			_, _, err := awsport.Registers{Client: client, Bucket: testBucket}.Load(t.Context(), "state/lease.json")
			wantFault(t, err, c.want)
			if err.Error() != c.text {
				t.Errorf("error %q\nwant  %q", err, c.text)
			}

			if int(attempts.Load()) != c.attempts {
				t.Errorf("%d attempts, want %d", attempts.Load(), c.attempts)
			}

			if hint := fault.HintOf(err); !strings.Contains(hint, c.hint) || c.hint == "" && hint != "" {
				t.Errorf("hint %q, want %q in it", hint, c.hint)
			}
		})
	}
}

func TestASlowDownThatEndsIsNoFault(t *testing.T) {
	t.Parallel()
	h, _ := fakeS3(t, true)
	var asked atomic.Int32
	client := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1)%3 != 0 {
			s3server.Refuse(w, 503, "SlowDown", "Please reduce your request rate.")
			return
		}

		h.ServeHTTP(w, r)
	}))
	b := awsport.Blobs{Client: client, Bucket: testBucket, Temp: t.TempDir()}
	large := strings.Repeat("0123456789", 300_000) // whose upload begins again from the start
	ref, err := b.Put(t.Context(), "artifacts/", ".zip", writing(large))
	if err != nil {
		t.Fatal(err)
	}

	opened, err := b.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}

	opened.Close()
}

func TestNobodyAtTheAddressIsUnreachable(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	_, _, err := awsport.Registers{Client: s3Client(gone.URL), Bucket: testBucket}.Load(t.Context(), "state/lease.json")
	wantFault(t, err, fault.Unreachable)
	if !strings.HasPrefix(err.Error(), "load s3://store/state/lease.json: Get ") ||
		!strings.HasSuffix(err.Error(), "connection refused (S3 GetObject, 3 attempts)") {
		t.Errorf("error %q", err)
	}

	page := serveS3(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "<html>Sign in to the airport's network")
	}))
	_, err = awsport.Registers{Client: page, Bucket: testBucket}.List(t.Context(), "runs/")
	wantFault(t, err, fault.Unreachable)
}
