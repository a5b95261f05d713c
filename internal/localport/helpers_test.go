package localport

import (
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/lock"
)

type body = io.ReadCloser

func text(s string) body { return io.NopCloser(strings.NewReader(s)) }

func fileOf(s string) lock.File {
	return lock.File{Name: "demo-1.0-py3-none-any.whl", Size: int64(len(s)), SHA256: digest.Of([]byte(s))}
}
