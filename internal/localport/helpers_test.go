package localport

import (
	"io"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/pydist"
)

type body = io.ReadCloser

func text(s string) body { return io.NopCloser(strings.NewReader(s)) }

func fileOf(s string) lock.File {
	return lock.File{Name: "demo-1.0-py3-none-any.whl", Size: int64(len(s)), SHA256: digest.Of([]byte(s))}
}

func names(t testing.TB, list ...string) (out []pydist.Name) {
	t.Helper()
	for _, s := range list {
		n, err := pydist.ParseName(s)
		if err != nil {
			t.Fatal(err)
		}

		out = append(out, n)
	}

	return out
}
