package porttest

import (
	"bytes"
	"context"
	"errors"
	"io"
)

// source is a server of one file, as WheelStore.Put uses it.
type source = func(ctx context.Context, offset int64) (body io.ReadCloser, at int64, err error)

// serve serves b from the offset.
func serve(b []byte) source {
	return func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		return io.NopCloser(bytes.NewReader(b[min(offset, int64(len(b))):])), offset, nil
	}
}

// serveFrom serves b from its own offset, whatever it is asked for.
func serveFrom(b []byte, at int64) source {
	return func(ctx context.Context, _ int64) (io.ReadCloser, int64, error) { return serve(b)(ctx, at) }
}

// dropAfter serves n bytes of b from the offset; then the connection breaks.
func dropAfter(b []byte, n int64) source {
	return func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		reset := failingReader{errors.New("connection reset by peer")}
		body := io.MultiReader(bytes.NewReader(b[offset:offset+n]), reset)

		return io.NopCloser(body), offset, nil
	}
}

// failing is a source that cannot be opened.
func failing(err error) source {
	return func(context.Context, int64) (io.ReadCloser, int64, error) { return nil, 0, err }
}

// ended is a source that fails because its context has ended.
func ended(ctx context.Context, _ int64) (io.ReadCloser, int64, error) { return nil, 0, ctx.Err() }

// turns uses another source for each call, and the last one from then on.
type turns struct {
	sources []source
	offsets []int64 // of the calls so far
}

func inTurn(sources ...source) *turns { return &turns{sources: sources} }

func (t *turns) open(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	n := min(len(t.offsets), len(t.sources)-1)
	t.offsets = append(t.offsets, offset)

	return t.sources[n](ctx, offset)
}

// pausedSource tells when it is asked, and answers when it may proceed. It can be asked once.
type pausedSource struct {
	from           source
	began, proceed chan struct{}
}

func paused(s source) pausedSource {
	return pausedSource{s, make(chan struct{}), make(chan struct{})}
}

func (p pausedSource) open(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
	close(p.began)
	<-p.proceed

	return p.from(ctx, offset)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// interrupt cancels a call when it is read, like a user who presses Ctrl-C.
type interrupt struct{ cancel func() }

func (i interrupt) Read([]byte) (int, error) {
	i.cancel()
	return 0, context.Canceled
}

// closing calls closed when it is closed.
type closing struct {
	io.ReadCloser
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return c.ReadCloser.Close()
}
