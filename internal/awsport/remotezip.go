package awsport

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
)

const (
	// maxPackageBytes is the largest zip that is taken whole, where a server does not give ranges.
	// Lambda takes none above 262,144,000 bytes unzipped.
	maxPackageBytes = 300_000_000
	// blockBytes is how much is asked for at a time. The end of a zip of some 10,000 files, which
	// is all that matters, fits into one.
	blockBytes = 1 << 20
)

// remoteZip reads a zip's directory, which stands at its end, over HTTP by ranges. The address is
// presigned: it is a secret, and appears in no error.
type remoteZip struct {
	client      *http.Client
	url         string
	op, subject string

	size  int64
	start int64 // of block
	block []byte
}

// unzippedAt is what the zip at an address weighs unzipped.
func unzippedAt(ctx context.Context, client *http.Client, address, op, subject string) (measure.Bytes, error) {
	if client == nil {
		client = http.DefaultClient
	}

	z := remoteZip{client: client, url: address, op: op, subject: subject}
	return z.unzipped(ctx)
}

// unzipped is the sum of what the entries weigh by the directory, which is what Lambda unpacked.
func (z *remoteZip) unzipped(ctx context.Context) (measure.Bytes, error) {
	if err := z.fetch(ctx, fmt.Sprintf("bytes=-%d", blockBytes)); err != nil {
		return 0, err
	}

	r, err := zip.NewReader(readerAt(func(p []byte, at int64) (int, error) { return z.readAt(ctx, p, at) }), z.size)
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return 0, known
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // odd names weigh as much
		return 0, z.fault(fault.BadInput, fmt.Errorf("its zip: %w", err))
	}

	var total measure.Bytes
	for _, f := range r.File {
		if f.UncompressedSize64 > 1<<40 {
			return 0, z.fault(fault.BadInput,
				fmt.Errorf("its zip: entry %q claims %d bytes", f.Name, f.UncompressedSize64))
		}

		total += measure.Bytes(f.UncompressedSize64)
	}

	return total, nil
}

type readerAt func(p []byte, at int64) (int, error)

func (r readerAt) ReadAt(p []byte, at int64) (int, error) { return r(p, at) }

func (z *remoteZip) readAt(ctx context.Context, p []byte, at int64) (n int, err error) {
	for n < len(p) {
		here := at + int64(n)
		if here >= z.size {
			return n, io.EOF
		}

		if here < z.start || here >= z.start+int64(len(z.block)) {
			if err := z.fetch(ctx, fmt.Sprintf("bytes=%d-%d", here, min(here+blockBytes, z.size)-1)); err != nil {
				return n, err
			}

			if here < z.start || here >= z.start+int64(len(z.block)) {
				return n, z.fault(fault.Unreachable,
					errors.New("the server gave another part of the zip than it was asked for"))
			}
		}

		n += copy(p[n:], z.block[here-z.start:])
	}

	return n, nil
}

// fetch gets a range into the block; from a server that knows no ranges, everything.
func (z *remoteZip) fetch(ctx context.Context, bytes string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, z.url, nil)
	if err != nil {
		return z.fault(fault.Internal, errors.New("an address that is no URL"))
	}

	req.Header.Set("Range", bytes)
	req.Header.Set("Accept-Encoding", "identity") // the bytes of the zip are meant, not of a body
	resp, err := z.client.Do(req)
	if err != nil {
		return z.broken(ctx, err)
	}
	defer resp.Body.Close()
	var start, end, size int64
	switch resp.StatusCode {
	case http.StatusPartialContent:
		if _, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &start, &end,
			&size); err != nil || start < 0 || end < start || end-start >= blockBytes ||
			size <= end {
			return z.fault(fault.Unreachable,
				fmt.Errorf("a part of the zip with Content-Range %q", resp.Header.Get("Content-Range")))
		}
	case http.StatusOK:
		end = maxPackageBytes // and one byte, to see that there is more
	case http.StatusRequestedRangeNotSatisfiable:
		return z.fault(fault.BadInput, errors.New("its zip is empty"))
	default:
		return z.fault(fault.Unreachable, fmt.Errorf("its zip: %s", resp.Status))
	}

	block, err := io.ReadAll(io.LimitReader(resp.Body, end-start+1))
	switch {
	case err != nil:
		return z.broken(ctx, err)
	case size == 0 && len(block) > maxPackageBytes:
		return z.fault(fault.OverLimit, fmt.Errorf("its zip has more than %d bytes", maxPackageBytes))
	case size == 0:
		size = int64(len(block))
	case int64(len(block)) != end-start+1:
		return z.fault(fault.Unreachable, io.ErrUnexpectedEOF)
	case z.size != 0 && z.size != size:
		return z.fault(fault.Unreachable,
			fmt.Errorf("its zip changed from %d to %d bytes while it was read", z.size, size))
	}

	z.start = start
	z.size = size
	z.block = block
	return nil
}

// broken is a fault for what net/http could not do, without the address that its errors begin with.
func (z *remoteZip) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return classify(z.op, z.subject, ctx.Err())
	}

	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}

	return z.fault(fault.Unreachable, err)
}

func (z *remoteZip) fault(code fault.Code, err error) error {
	return fault.New(code, z.op, z.subject, err)
}
