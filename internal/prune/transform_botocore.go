package prune

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/layersmith/layersmith/internal/policy"
)

// maxModelBytes limits one inflated service model. The largest, that of ec2, has 3 MB.
const maxModelBytes = 64 << 20

// botocoreModels removes documentation and white space from AWS service models. botocore loads
// plain and gzipped models, so a gzipped one stays gzipped, without time or name: the same model
// always gives the same bytes.
var botocoreModels = Transform{
	ID:      "botocore-models",
	Version: "1",
	Rewrite: func(name string, in []byte, _ policy.Policy) ([]byte, error) {
		zipped := strings.HasSuffix(name, ".gz")
		model := in
		if zipped {
			var err error
			if model, err = gunzip(in); err != nil {
				return nil, err
			}
		}

		out, err := withoutDocumentation(model)
		if err != nil {
			return nil, err
		}

		if zipped {
			if out, err = gzipped(out); err != nil {
				return nil, err
			}
		}

		if len(out) >= len(in) {
			return in, nil
		}

		return out, nil
	},
	// Decoding both sides would cost more than the rewrite. A test covers every model of a real
	// botocore instead.
	Verify: func(string, []byte, []byte) error { return nil },
}

func gunzip(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}

	out, err := io.ReadAll(io.LimitReader(r, maxModelBytes+1))
	if err == nil && len(out) > maxModelBytes {
		err = fmt.Errorf("more than %d bytes", maxModelBytes)
	}

	return out, err
}

func gzipped(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}

	if _, err := w.Write(b); err != nil {
		return nil, err
	}

	err = w.Close()
	return out.Bytes(), err
}

// withoutDocumentation copies JSON token by token, without white space and without members named
// "documentation" whose value is a string. If the value is an object, the member is a field of an
// API structure with that name. Numbers and strings are copied as written. Members below
// clientContextParams are kept: botocore reads their documentation, and S3 calls fail without it.
func withoutDocumentation(model []byte) ([]byte, error) {
	if !json.Valid(model) {
		return nil, errors.New("not JSON")
	}

	c := modelCopier{in: model, out: make([]byte, 0, len(model)/2)}
	c.space()
	c.value(false)
	return c.out, nil
}

// modelCopier copies JSON, which must be valid. Its methods take keepDocs, which is true below
// clientContextParams.
type modelCopier struct {
	in  []byte
	pos int
	out []byte
}

// space skips white space.
func (c *modelCopier) space() {
	for c.pos < len(c.in) && (c.in[c.pos] == ' ' || c.in[c.pos] == '\n' || c.in[c.pos] == '\t' || c.in[c.pos] == '\r') {
		c.pos++
	}
}

func (c *modelCopier) value(keepDocs bool) {
	switch c.in[c.pos] {
	case '{':
		c.members(keepDocs)
	case '[':
		c.elements(keepDocs)
	case '"':
		c.out = append(c.out, c.str()...)
	default:
		start := c.pos
		for c.pos < len(c.in) && !bytes.ContainsRune([]byte(",]} \n\t\r"), rune(c.in[c.pos])) {
			c.pos++
		}

		c.out = append(c.out, c.in[start:c.pos]...)
	}

	c.space()
}

// str returns the string at the current position, with its quotes.
func (c *modelCopier) str() []byte {
	start := c.pos
	for c.pos++; c.in[c.pos] != '"'; c.pos++ {
		if c.in[c.pos] == '\\' {
			c.pos++
		}
	}

	c.pos++
	return c.in[start:c.pos]
}

func (c *modelCopier) members(keepDocs bool) {
	c.pos++
	c.out = append(c.out, '{')
	first := true
	for c.space(); c.in[c.pos] != '}'; c.space() {
		if c.in[c.pos] == ',' {
			c.pos++
			c.space()
		}

		key := c.str()
		c.space()
		c.pos++ // the colon
		c.space()
		if c.in[c.pos] == '"' && string(key) == `"documentation"` && !keepDocs {
			c.str()
			continue
		}

		if !first {
			c.out = append(c.out, ',')
		}

		first = false
		c.out = append(append(c.out, key...), ':')
		c.value(keepDocs || string(key) == `"clientContextParams"`)
	}

	c.pos++
	c.out = append(c.out, '}')
}

func (c *modelCopier) elements(keepDocs bool) {
	c.pos++
	c.out = append(c.out, '[')
	for c.space(); c.in[c.pos] != ']'; c.space() {
		if c.in[c.pos] == ',' {
			c.pos++
			c.out = append(c.out, ',')
			c.space()
		}

		c.value(keepDocs)
	}

	c.pos++
	c.out = append(c.out, ']')
}
