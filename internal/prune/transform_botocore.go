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

// maxModelBytes bounds one inflated service model; the largest, ec2's, has 3 MB.
const maxModelBytes = 64 << 20

// botocoreModels removes the documentation of AWS service models and writes them without white
// space. A model shipped gzipped stays gzipped (without time or name, so that the same model gives
// the same bytes): boto's loader reads both.
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
	// Verified by a test over every model of a real botocore: decoding both sides would cost more
	// than the rewrite.
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

// withoutDocumentation copies JSON token by token, without white space and without members whose
// key is "documentation" and whose value is a string. A structure may well have a member of that
// name: its value is an object. Numbers and strings are copied as they are written. Below
// clientContextParams botocore reads documentation, and S3 calls fail without.
func withoutDocumentation(model []byte) ([]byte, error) {
	if !json.Valid(model) {
		return nil, errors.New("not JSON")
	}

	c := modelCopier{in: model, out: make([]byte, 0, len(model)/2)}
	c.space()
	c.value(false)
	return c.out, nil
}

// modelCopier walks JSON that is known to be valid, so it needs no errors.
type modelCopier struct {
	in  []byte
	pos int
	out []byte
}

func (c *modelCopier) space() {
	for c.pos < len(c.in) && (c.in[c.pos] == ' ' || c.in[c.pos] == '\n' || c.in[c.pos] == '\t' || c.in[c.pos] == '\r') {
		c.pos++
	}
}

func (c *modelCopier) value(documented bool) {
	switch c.in[c.pos] {
	case '{':
		c.members(documented)
	case '[':
		c.elements(documented)
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

func (c *modelCopier) members(documented bool) {
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
		if c.in[c.pos] == '"' && string(key) == `"documentation"` && !documented {
			c.str()
			continue
		}

		if !first {
			c.out = append(c.out, ',')
		}

		first = false
		c.out = append(append(c.out, key...), ':')
		c.value(documented || string(key) == `"clientContextParams"`)
	}

	c.pos++
	c.out = append(c.out, '}')
}

func (c *modelCopier) elements(documented bool) {
	c.pos++
	c.out = append(c.out, '[')
	for c.space(); c.in[c.pos] != ']'; c.space() {
		if c.in[c.pos] == ',' {
			c.pos++
			c.out = append(c.out, ',')
			c.space()
		}

		c.value(documented)
	}

	c.pos++
	c.out = append(c.out, ']')
}
