package deflate_test

import (
	"bytes"

	"github.com/klauspost/compress/flate"
	"github.com/layersmith/layersmith/internal/deflate"
)

func enc(b []byte, l deflate.Level) []byte {
	if l < 2 {
		return deflate.Encode(nil, b, l)
	}
	var o bytes.Buffer
	w, _ := flate.NewWriter(&o, 9)
	w.Write(b)
	w.Close()
	return o.Bytes()
}
