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
	// maxPackageBytes is the limit of a zip from a server without range requests. Lambda accepts at
	// most 262,144,000 bytes unzipped.
	maxPackageBytes = 300_000_000
	// blockBytes is the size of a range request. The central directory of a zip with 10,000 files
	// fits into one.
	blockBytes = 1 << 20
)

// remoteZip reads the central directory of a zip, which is at its end, with HTTP range requests.
// The URL is presigned. It is a secret and must not appear in errors.
type remoteZip struct {
	client      *http.Client
	url         string
	op, subject string

	size  int64 // of the zip; 0 before the first response
	start int64 // offset of block in the zip
	block []byte
}

// unzippedAt returns the unzipped size of the zip at a presigned URL.
func unzippedAt(ctx context.Context, client *http.Client, address, op, subject string) (measure.Bytes, error) {
	if client == nil {
		client = http.DefaultClient
	}

	z := remoteZip{client: client, url: address, op: op, subject: subject}
	return z.unzipped(ctx)
}

// unzipped returns the sum of the sizes in the central directory. Lambda has unpacked the zip, so
// they are right.
func (z *remoteZip) unzipped(ctx context.Context) (measure.Bytes, error) {
	if err := z.fetch(ctx, fmt.Sprintf("bytes=-%d", blockBytes)); err != nil {
		return 0, err
	}

	r, err := zip.NewReader(readerAt(func(p []byte, at int64) (int, error) { return z.readAt(ctx, p, at) }), z.size)
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return 0, known
	case err != nil && !errors.Is(err, zip.ErrInsecurePath): // unusual names do not change the size
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
					errors.New("the server sent another range of its zip than requested"))
			}
		}

		n += copy(p[n:], z.block[here-z.start:])
	}

	return n, nil
}

// fetch requests a range and keeps it as the block. From a server without range requests, the block
// is the whole zip.
func (z *remoteZip) fetch(ctx context.Context, bytes string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, z.url, nil)
	if err != nil {
		return z.fault(fault.Internal, errors.New("invalid URL"))
	}

	req.Header.Set("Range", bytes)
	req.Header.Set("Accept-Encoding", "identity") // no compression: the range means bytes of the zip
	resp, err := z.client.Do(req)
	if err != nil {
		return z.broken(ctx, err)
	}
	defer resp.Body.Close()

	switch resp.StatusCode {
	case http.StatusPartialContent:
		return z.readRange(ctx, resp)
	case http.StatusOK:
		return z.readWhole(ctx, resp)
	case http.StatusRequestedRangeNotSatisfiable:
		return z.fault(fault.BadInput, errors.New("its zip is empty"))
	}

	return z.fault(fault.Unreachable, fmt.Errorf("its zip: %s", resp.Status))
}

// readRange reads the range that Content-Range announces.
func (z *remoteZip) readRange(ctx context.Context, resp *http.Response) error {
	var start, end, size int64 // end is inclusive
	header := resp.Header.Get("Content-Range")
	_, err := fmt.Sscanf(header, "bytes %d-%d/%d", &start, &end, &size)
	if err != nil || start < 0 || end < start || end-start >= blockBytes || size <= end {
		return z.fault(fault.Unreachable, fmt.Errorf("a range of its zip with Content-Range %q", header))
	}

	length := end - start + 1
	block, err := io.ReadAll(io.LimitReader(resp.Body, length))
	switch {
	case err != nil:
		return z.broken(ctx, err)
	case int64(len(block)) != length:
		return z.fault(fault.Unreachable, io.ErrUnexpectedEOF)
	case z.size != 0 && z.size != size:
		return z.fault(fault.Unreachable,
			fmt.Errorf("its zip changed from %d to %d bytes during the download", z.size, size))
	}

	z.start = start
	z.size = size
	z.block = block

	return nil
}

// readWhole reads the whole zip.
func (z *remoteZip) readWhole(ctx context.Context, resp *http.Response) error {
	block, err := io.ReadAll(io.LimitReader(resp.Body, maxPackageBytes+1))
	switch {
	case err != nil:
		return z.broken(ctx, err)
	case len(block) > maxPackageBytes:
		return z.fault(fault.OverLimit, fmt.Errorf("its zip has more than %d bytes", maxPackageBytes))
	}

	z.start = 0
	z.size = int64(len(block))
	z.block = block

	return nil
}

// broken returns the fault for an error of net/http, without the URL that the error contains.
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
