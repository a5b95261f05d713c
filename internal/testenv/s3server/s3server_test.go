package s3server_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/testenv/s3server"
)

// The conditions and checks that the product relies on, each with the answer that S3 documents for
// it.
func TestItIsAsStrictAsS3(t *testing.T) {
	t.Parallel()
	s, err := s3server.New("b")
	if err != nil {
		t.Fatal(err)
	}

	if err := s.Put("b", "dir/old", []byte("old")); err != nil {
		t.Fatal(err)
	}

	const etagOfOld = `"149603e6c03516362a8da23f624db945"`
	for name, c := range map[string]struct {
		method, key, header, value string
		status                     int
	}{
		"new bytes": {"PUT", "new", "", "", 200},
		"a promise that is not kept": {
			"PUT", "promised", "x-amz-checksum-sha256",
			"LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=", 400,
		},
		"only if it is absent, and is": {"PUT", "absent", "If-None-Match", "*", 200},
		"only if it is absent, is not": {"PUT", "dir/old", "If-None-Match", "*", 412},
		"only if it is as it was":      {"PUT", "dir/old", "If-Match", `"0123456789abcdef0123456789abcdef"`, 412},
		"read as it was":               {"GET", "dir/old", "If-Match", etagOfOld, 200},
		"read as it was not":           {"GET", "dir/old", "If-Match", `"0123456789abcdef0123456789abcdef"`, 412},
		"what is not there":            {"GET", "nothing", "", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/b/"+c.key, strings.NewReader("bytes"))
			r.Header.Set("Content-Length", "5")
			if c.method == http.MethodGet {
				r = httptest.NewRequest(c.method, "/b/"+c.key, nil)
			}

			if c.header != "" {
				r.Header.Set(c.header, c.value)
			}

			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != c.status {
				t.Errorf("status %d, want %d\n%s", w.Code, c.status, w.Body)
			}

			if version := w.Header().Get("x-amz-version-id"); c.status == 200 && version == "" {
				t.Error("no version")
			}
		})
	}

	if got, err := s.Get("b", "dir/old"); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}

	if keys, err := s.Keys("b", "dir/"); err != nil || !slices.Equal(keys, []string{"dir/old"}) {
		t.Errorf("%v, %v", keys, err)
	}

	if keys, err := s.Keys("b", ""); err != nil || !slices.Equal(keys, []string{"absent", "dir/old", "new"}) {
		t.Errorf("%v, %v", keys, err)
	}
}
