package awsport

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
)

// The tail of a log is what a function wrote, and Lambda's own line among it.
func FuzzReportLine(f *testing.F) {
	for _, s := range []string{
		"REPORT RequestId: 8f5\tDuration: 1.51 ms\tBilled Duration: 2 ms\tMemory Size: 128 MB\tMax Memory Used: 34 " +
			"MB\tInit Duration: 125.02 ms\t\n",
		"REPORT RequestId: \nREPORT RequestId: x Init Duration: . ms Max Memory Used: 99999999999999999999 MB\n",
		`{"time":"t","type":"platform.report","record":{"metrics":{"maxMemoryUsedMB":34,"initDurationMs":125.02}}}` +
			"\n", `{"type":"platform.report"}`, "{", "",
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, tail []byte) {
		before := bytes.Clone(tail)
		seconds, _ := parseReport(tail)
		if math.IsNaN(seconds) || !bytes.Equal(before, tail) {
			t.Errorf("%v seconds of %q", seconds, tail)
		}
	})
}

// ranges serves bytes as S3 does, without a network.
type ranges []byte

func (b ranges) RoundTrip(r *http.Request) (*http.Response, error) {
	out := httptest.NewRecorder()
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(b))
	return out.Result(), nil
}

// A directory that is read by ranges says what it says when the whole zip is at hand, and what is
// wrong with it is said without the address.
func FuzzRemoteZip(f *testing.F) {
	var whole bytes.Buffer
	z := zip.NewWriter(&whole)
	for _, name := range []string{"a", "b/c", "../d"} {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, strings.Repeat(name, 100))
		}

		if err != nil {
			f.Fatal(err)
		}
	}

	if err := z.Close(); err != nil {
		f.Fatal(err)
	}

	f.Add(whole.Bytes())
	f.Add(whole.Bytes()[:whole.Len()-1])
	f.Add(append([]byte("prefix"), whole.Bytes()...))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Add([]byte("PK\x06\x07\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f\x01\x00\x00\x00" +
		"PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := unzippedAt(
			context.Background(),
			&http.Client{Transport: ranges(b)},
			"http://host/secret",
			"weigh",
			"f",
		)
		if err != nil {
			if strings.Contains(err.Error(), "secret") || fault.CodeOf(err) == fault.Internal {
				t.Errorf("%v (%v)", err, fault.CodeOf(err))
			}

			return
		}

		local, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
			t.Fatalf("%d bytes from afar, but: %v", got, err)
		}

		var want measure.Bytes
		for _, file := range local.File {
			want += measure.Bytes(file.UncompressedSize64)
		}

		if got != want || got < 0 {
			t.Errorf("%d bytes from afar, %d at hand", got, want)
		}
	})
}
