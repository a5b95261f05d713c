package awsport

import (
	"bufio"
	"bytes"
	"context"
	//nolint:gosec // what S3 calls an ETag; nothing is trusted for it but "same size, same ETag: not pushed again"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

const (
	// maxMemoryBytes is the largest blob that Open holds in memory: documents are below it,
	// archives above.
	maxMemoryBytes = 1 << 20
	// downloads is how often a body is asked for. The SDK retries until the answer begins; a body
	// that breaks off is ours.
	downloads = 3
	// uploads is how often Put looks and sends while others write and delete the same key.
	uploads = 3
	// digestKey is the metadata that carries the SHA-256 beside S3's own checksum, for stores that
	// have none.
	digestKey = "sha256"
)

// Blobs keeps immutable objects in a bucket, at prefix + SHA-256 + suffix. Its needs: s3:GetObject,
// s3:GetObjectVersion, s3:PutObject; one request for what is there already, two for what is new. It
// holds at most 1 MiB of an object in memory; the rest goes through files in Temp that have no
// name, so that nothing is left of them whatever happens to the process.
type Blobs struct {
	Client *s3.Client
	Bucket string
	// folder for temporary files; "" for the system's. A function has 512 MB in /tmp unless it is
	// given more.
	Temp string
}

var _ workflow.Blobs = Blobs{}

// Put spools what write gives to a file, and sends it unless the object is there. S3 compares the
// SHA-256 before it stores anything.
func (b Blobs) Put(ctx context.Context, prefix, suffix string, write func(io.Writer) error) (blob.Ref, error) {
	if err := ctx.Err(); err != nil {
		return blob.Ref{}, classify("store", address(b.Bucket, prefix), err)
	}

	if _, err := blob.New(prefix+digest.Of(nil).String()+suffix, "", digest.Of(nil), 0); err != nil {
		return blob.Ref{}, fault.New(fault.Internal, "store", address(b.Bucket, prefix), err)
	}

	f, err := b.temporary()
	if err != nil {
		return blob.Ref{}, err
	}
	defer f.Close()
	h := digest.NewHasher()
	w := bufio.NewWriterSize(io.MultiWriter(f, h), 1<<16)
	if err := write(&checked{ctx: ctx, w: w}); err != nil {
		if ctx.Err() != nil {
			return blob.Ref{}, classify("store", address(b.Bucket, prefix), ctx.Err())
		}

		return blob.Ref{}, spaceHint(err)
	}

	if err := w.Flush(); err != nil {
		return blob.Ref{}, spaceHint(fmt.Errorf("write %s: %w", f.Name(), err))
	}

	size, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return blob.Ref{}, fmt.Errorf("write %s: %w", f.Name(), err)
	}

	return b.send(ctx, prefix+h.Sum().String()+suffix, h.Sum(), f, size)
}

// send uploads the file to key unless it is there. The condition on the upload makes of several
// that send it at once one that stores it.
func (b Blobs) send(ctx context.Context, key string, sum digest.SHA256, f *os.File, size int64) (blob.Ref, error) {
	where := address(b.Bucket, key)
	var last error
	for range uploads {
		in := &s3.PutObjectInput{
			Bucket:         &b.Bucket,
			Key:            &key,
			Body:           io.NewSectionReader(f, 0, size),
			ContentType:    contentType(key),
			ChecksumSHA256: aws.String(checksum(sum)),
			Metadata:       map[string]string{digestKey: sum.String()},
		}
		head, err := head(ctx, b.Client, b.Bucket, key)
		switch code := fault.CodeOf(err); {
		case err == nil && holds(head, sum, size):
			return blob.New(key, version(head.VersionId), sum, size)
		case err == nil:
			in.IfMatch = head.ETag // something else has this name: replace it, and only it
		case code == fault.NotFound,
			// without s3:ListBucket what is absent is denied, too: the condition finds out
			code == fault.NotAllowed && last == nil:
			in.IfNoneMatch = aws.String("*")
		default:
			return blob.Ref{}, err
		}

		out, err := b.Client.PutObject(ctx, in)
		if err == nil {
			return blob.New(key, version(out.VersionId), sum, size)
		}

		last = classify("store", where, err)
		// Changed: another one stored it between the question and the upload, or our own first
		// attempt did and its answer got lost. NotFound: it was deleted.
		if c := fault.CodeOf(last); c != fault.Changed && !(c == fault.NotFound && in.IfMatch != nil) {
			return blob.Ref{}, last
		}
	}

	return blob.Ref{}, last
}

// Open fetches the version that the reference means, and gives it out when size and digest are
// right; never more than one byte beyond the size is read.
func (b Blobs) Open(ctx context.Context, ref blob.Ref) (engine.Blob, error) {
	where := address(b.Bucket, ref.Key)
	in := &s3.GetObjectInput{Bucket: &b.Bucket, Key: &ref.Key, VersionId: versionParam(ref.VersionID)}
	var last error
	for range downloads {
		out, err := b.Client.GetObject(ctx, in, withoutChecksum)
		if err != nil {
			return nil, classify("open", where, err)
		}

		opened, err := b.receive(ctx, ref, out)
		if err == nil {
			return opened, nil
		}

		if last = err; fault.CodeOf(err) != fault.Unreachable {
			break
		}
	}

	return nil, last
}

// withoutChecksum leaves out the SDK's own check of what comes back: the caller makes a stronger
// one.
func withoutChecksum(o *s3.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func (b Blobs) receive(ctx context.Context, ref blob.Ref, out *s3.GetObjectOutput) (_ engine.Blob, err error) {
	where := address(b.Bucket, ref.Key)
	defer out.Body.Close()
	mismatch := func(format string, args ...any) error {
		return fault.New(fault.HashMismatch, "open", where, fmt.Errorf(format, args...)).
			WithHint("start a new run; keep others from writing to the bucket")
	}
	if n := out.ContentLength; n != nil && *n >= 0 && *n != ref.Size {
		return nil, mismatch("%d bytes, the reference says %d", *n, ref.Size)
	}

	h := digest.NewHasher()
	body := &reading{r: io.LimitReader(out.Body, ref.Size+1)}
	var n int64
	var opened engine.Blob
	if ref.Size <= maxMemoryBytes {
		var buf bytes.Buffer
		n, err = io.Copy(io.MultiWriter(&buf, h), body)
		opened = memory{bytes.NewReader(buf.Bytes())}
	} else {
		f, ferr := b.temporary()
		if ferr != nil {
			return nil, ferr
		}

		defer func() {
			if err != nil {
				f.Close()
			}
		}()
		n, err = io.Copy(io.MultiWriter(f, h), body)
		opened = file{File: f, size: ref.Size}
	}

	switch {
	case body.err != nil:
		return nil, broken(ctx, "open", where, body.err)
	case err != nil:
		return nil, spaceHint(fmt.Errorf("open %s: %w", where, err))
	case n > ref.Size:
		return nil, mismatch("more than the %d bytes that the reference says", ref.Size)
	case n < ref.Size:
		return nil, mismatch("%d bytes, the reference says %d", n, ref.Size)
	case h.Sum() != ref.SHA256:
		return nil, mismatch("sha256 %s, the reference says %s", h.Sum(), ref.SHA256)
	}

	return opened, nil
}

// temporary opens a file that loses its name at once: it is gone when it is closed, or when the
// process ends.
func (b Blobs) temporary() (*os.File, error) {
	f, err := os.CreateTemp(b.Temp, "layersmith-")
	if err != nil {
		return nil, spaceHint(err)
	}

	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}

	return f, nil
}

// spaceHint tells what to do about a full disk.
func spaceHint(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}

	return fault.New(fault.Internal, "use", "temporary files", err).
		WithHint("give the function more ephemeral storage, or the machine more room in its temporary folder")
}

// Registers keeps small documents that change, a register's name being its key. A tag is an ETag:
// of the content with S3's own encryption, so that a document that was changed there and back has
// its first tag again. Its needs: s3:GetObject, s3:PutObject, s3:ListBucket.
type Registers struct {
	Client *s3.Client
	Bucket string
}

var _ workflow.Registers = Registers{}

// Load returns the newest version.
func (r Registers) Load(ctx context.Context, name string) ([]byte, string, error) {
	where := address(r.Bucket, name)
	if err := checkKey(name); err != nil {
		return nil, "", fault.New(fault.Internal, "load", where, err)
	}

	var tag string
	b, err := get(ctx, r.Client, "load", where, &s3.GetObjectInput{Bucket: &r.Bucket, Key: &name},
		release.MaxDocumentBytes, &tag)
	if err == nil && tag == "" {
		err = fault.New(fault.Internal, "load", where, errors.New("it came without an ETag"))
	}

	if err != nil {
		return nil, "", err
	}

	return b, tag, nil
}

// Store writes under a condition. When the answer to a first attempt gets lost, the second one
// meets our own document: that is no change of somebody else.
func (r Registers) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	where := address(r.Bucket, name)
	if err := checkKey(name); err != nil {
		return "", fault.New(fault.Internal, "store", where, err)
	}

	if len(doc) > release.MaxDocumentBytes {
		return "", fault.New(fault.OverLimit, "store", where,
			fmt.Errorf("%d bytes, at most %d are stored", len(doc), release.MaxDocumentBytes))
	}

	in := &s3.PutObjectInput{Bucket: &r.Bucket, Key: &name, Body: bytes.NewReader(doc), ContentType: contentType(name),
		ChecksumSHA256: aws.String(checksum(digest.Of(doc)))}
	if tag == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = &tag
	}

	var attempts atomic.Int32
	out, err := r.Client.PutObject(ctx, in, counting(&attempts))
	if err == nil {
		return aws.ToString(out.ETag), nil
	}

	err = classify("store", where, err)
	switch fault.CodeOf(err) {
	case fault.NotFound: // If-Match on what is not there
		return "", changed("store", where, err)
	case fault.Changed:
		if attempts.Load() > 1 {
			if now, tag, lerr := r.Load(ctx, name); lerr == nil && bytes.Equal(now, doc) {
				return tag, nil
			}
		}
	}

	return "", err
}

// List returns the names that begin with prefix, 1000 a request.
func (r Registers) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	for pages := s3.NewListObjectsV2Paginator(r.Client, &s3.ListObjectsV2Input{
		Bucket: &r.Bucket,
		Prefix: &prefix,
	}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classify("list", address(r.Bucket, prefix), err)
		}

		for _, o := range page.Contents {
			names = append(names, aws.ToString(o.Key))
		}
	}

	slices.Sort(names)
	return names, nil
}

// Sources is the pushed workspace below a prefix of a bucket. Its needs: s3:ListBucketVersions,
// s3:ListBucket, s3:GetObject, s3:GetObjectVersion.
type Sources struct {
	Client *s3.Client
	Bucket string
	Prefix string // "layers/"
}

var _ workflow.Sources = Sources{}

// List returns the newest versions, 1000 old or new ones a request; only this listing tells their
// IDs. Folders that the console makes (keys that end in a slash) are no files.
func (s Sources) List(ctx context.Context) ([]workflow.Source, error) {
	var all []workflow.Source
	for pages := s3.NewListObjectVersionsPaginator(s.Client,
		&s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: &s.Prefix}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classify("list", address(s.Bucket, s.Prefix), err)
		}

		if aws.ToBool(page.IsTruncated) &&
			aws.ToString(page.NextKeyMarker) == "" { // the paginator would begin again, and never end
			return nil, fault.New(fault.Unreachable, "list", address(s.Bucket, s.Prefix),
				errors.New("the listing breaks off without saying where it goes on"))
		}

		for _, v := range page.Versions {
			name, below := strings.CutPrefix(aws.ToString(v.Key), s.Prefix)
			if !aws.ToBool(v.IsLatest) || !below || name == "" || strings.HasSuffix(name, "/") {
				continue
			}

			all = append(all, workflow.Source{
				Name:      name,
				VersionID: version(v.VersionId),
				ETag:      strings.Trim(aws.ToString(v.ETag), `"`),
				Size:      aws.ToInt64(v.Size),
				Modified:  aws.ToTime(v.LastModified),
			})
		}
	}

	slices.SortFunc(all, func(a, b workflow.Source) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// Read returns the version that was listed. Where the bucket keeps none, what has the listed ETag
// by now.
func (s Sources) Read(ctx context.Context, from workflow.Source, limit int64) ([]byte, error) {
	key := s.Prefix + from.Name
	where := address(s.Bucket, key)
	if from.Size > limit {
		return nil, fault.New(fault.BadInput, "read", where,
			fmt.Errorf("%d bytes, at most %d are read", from.Size, limit)).
			WithHint("push a smaller file, or none")
	}

	in := &s3.GetObjectInput{Bucket: &s.Bucket, Key: &key, VersionId: versionParam(from.VersionID)}
	if in.VersionId == nil && from.ETag != "" {
		in.IfMatch = aws.String(`"` + from.ETag + `"`)
	}

	b, err := get(ctx, s.Client, "read", where, in, limit, nil)
	switch {
	case fault.CodeOf(err) == fault.NotFound:
		return nil, changed("read", where, err)
	case err != nil:
		return nil, err
	case int64(len(b)) != from.Size:
		return nil, changed("read", where, fmt.Errorf("%d bytes, %d were listed", len(b), from.Size))
	}

	return b, nil
}

// Workspace is Sources for whoever pushes. Besides, it needs s3:PutObject and s3:DeleteObject.
type Workspace struct{ Sources }

// Same reports whether a listed file has this content, so that only what changed is pushed.
//
// Size and ETag decide most of it without a request: an ETag is the MD5 of the content where S3
// encrypts with its own key, and cannot equal it by accident where KMS or a multipart upload makes
// another one. Only for a file of the same size and another ETag S3 is asked for the SHA-256 that
// Put sent: with KMS that is one HeadObject for each file that did not change, else one for each
// edit that kept the length. A file that somebody uploaded by other means has no SHA-256, and is
// pushed once more.
func (w Workspace) Same(ctx context.Context, listed workflow.Source, content []byte) (bool, error) {
	if listed.Size != int64(len(content)) {
		return false, nil
	}

	sum := md5.Sum(content) //nolint:gosec // see above
	if listed.ETag == hex.EncodeToString(sum[:]) {
		return true, nil
	}

	head, err := head(ctx, w.Client, w.Bucket, w.Prefix+listed.Name)
	if fault.CodeOf(err) == fault.NotFound {
		return false, nil
	}

	return err == nil && holds(head, digest.Of(content), listed.Size), err
}

// Put stores a file, whatever was there; the bucket keeps the version before.
func (w Workspace) Put(ctx context.Context, name string, content []byte) error {
	key := w.Prefix + name
	where := address(w.Bucket, key)
	if err := checkSource(w.Prefix, name); err != nil {
		return fault.New(fault.BadInput, "push", where, err).WithHint("rename the file")
	}

	sum := digest.Of(content)
	_, err := w.Client.PutObject(ctx, &s3.PutObjectInput{
		Bucket:         &w.Bucket,
		Key:            &key,
		Body:           bytes.NewReader(content),
		ChecksumSHA256: aws.String(checksum(sum)),
		Metadata:       map[string]string{digestKey: sum.String()},
	})
	return classify("push", where, err)
}

// Delete removes a file from the workspace; the bucket keeps its versions. One that is gone is no
// error.
func (w Workspace) Delete(ctx context.Context, name string) error {
	key := w.Prefix + name
	where := address(w.Bucket, key)
	if err := checkSource(w.Prefix, name); err != nil {
		return fault.New(fault.BadInput, "delete", where, err)
	}

	_, err := w.Client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &w.Bucket, Key: &key})
	if err = classify("delete", where, err); fault.CodeOf(err) == fault.NotFound {
		return nil
	}

	return err
}

// get reads a small object whole, at most limit bytes of it: fault BadInput for a larger one. tag
// receives its ETag.
func get(
	ctx context.Context,
	c *s3.Client,
	op, where string,
	in *s3.GetObjectInput,
	limit int64,
	tag *string,
) ([]byte, error) {
	in.ChecksumMode = types.ChecksumModeEnabled // the SDK compares what comes with what was stored
	var last error
	for range downloads {
		out, err := c.GetObject(ctx, in)
		if err != nil {
			return nil, classify(op, where, err)
		}

		tooLarge := aws.ToInt64(out.ContentLength) > limit
		var b []byte
		if !tooLarge {
			b, err = io.ReadAll(io.LimitReader(out.Body, limit+1))
			tooLarge = int64(len(b)) > limit
		}

		out.Body.Close()
		switch {
		case tooLarge:
			return nil, fault.New(fault.BadInput, op, where, fmt.Errorf("it is larger than %d bytes", limit)).
				WithHint("put a smaller one in its place")
		case err == nil:
			if tag != nil {
				*tag = aws.ToString(out.ETag)
			}

			return b, nil
		}

		if last = broken(ctx, op, where, err); fault.CodeOf(last) != fault.Unreachable {
			break
		}
	}

	return nil, last
}

// broken is the fault of a body that ended early: the context's when that ended, else the
// network's.
func broken(ctx context.Context, op, where string, err error) error {
	if ctx.Err() != nil {
		return classify(op, where, ctx.Err())
	}

	return classify(op, where, &interrupted{err})
}

func changed(op, where string, err error) error {
	var f *fault.Error
	if errors.As(err, &f) {
		err = f.Err
	}

	return fault.New(fault.Changed, op, where, err)
}

func head(ctx context.Context, c *s3.Client, bucket, key string) (*s3.HeadObjectOutput, error) {
	out, err := c.HeadObject(ctx,
		&s3.HeadObjectInput{Bucket: &bucket, Key: &key, ChecksumMode: types.ChecksumModeEnabled})
	return out, classify("find", address(bucket, key), err)
}

// holds reports whether an object is these bytes, by the checksum that S3 verified when it took
// them, or, where a store has none, by what the writer noted.
func holds(head *s3.HeadObjectOutput, sum digest.SHA256, size int64) bool {
	if aws.ToInt64(head.ContentLength) != size {
		return false
	}

	if c := aws.ToString(head.ChecksumSHA256); c != "" && head.ChecksumType != types.ChecksumTypeComposite {
		return c == checksum(sum)
	}

	return head.Metadata[digestKey] == sum.String()
}

// checksum is S3's form of a digest.
func checksum(sum digest.SHA256) string {
	raw, err := hex.DecodeString(sum.String())
	if err != nil {
		panic(err) // a SHA256 prints hexadecimal digits
	}

	return base64.StdEncoding.EncodeToString(raw)
}

// version is a version ID as references carry it: "" where the bucket keeps no versions, which S3
// calls "null" when it once did.
func version(id *string) string {
	if v := aws.ToString(id); v != "null" {
		return v
	}

	return ""
}

func versionParam(id string) *string {
	if id == "" || id == "null" {
		return nil
	}

	return &id
}

func address(bucket, key string) string { return "s3://" + bucket + "/" + key }

func checkKey(name string) error {
	if _, err := blob.New(name, "", digest.Of(nil), 0); err != nil || strings.HasSuffix(name, "/") {
		return fmt.Errorf("%q is not a name", name)
	}

	return nil
}

// checkSource refuses what would not come back under its name: a listing is XML, which has no
// control characters, and a path is made of it later.
func checkSource(prefix, name string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }
	if checkKey(prefix+name) != nil || name == "" || path.Clean("/"+name) != "/"+name || strings.Contains(name, `\`) ||
		strings.ContainsFunc(name, control) {
		return fmt.Errorf("%q is not a name for a file of the workspace", name)
	}

	return nil
}

// contentType lets the console show a document instead of downloading it.
func contentType(key string) *string {
	switch path.Ext(key) {
	case ".json":
		return aws.String("application/json")
	case ".zip":
		return aws.String("application/zip")
	case ".toml", ".txt":
		return aws.String("text/plain; charset=utf-8")
	case ".html":
		return aws.String("text/html; charset=utf-8")
	}

	return nil
}

// counting counts the attempts of a request, which the SDK tells only of those that succeed.
func counting(n *atomic.Int32) func(*s3.Options) {
	attempt := middleware.FinalizeMiddlewareFunc(
		"CountAttempts",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler,
		) (middleware.FinalizeOutput, middleware.Metadata, error) {
			n.Add(1)
			return next.HandleFinalize(ctx, in)
		},
	)
	return s3.WithAPIOptions(
		func(s *middleware.Stack) error { return s.Finalize.Insert(attempt, "Retry", middleware.After) },
	)
}

// checked stops a writer whose context ended.
type checked struct {
	ctx context.Context
	w   io.Writer
}

func (c *checked) Write(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}

	return c.w.Write(p)
}

// reading remembers that reading failed, so that it is not taken for the failure of what was
// written to.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF { //nolint:errorlint // io.Reader returns it bare
		r.err = err
	}

	return n, err
}

type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

type file struct {
	*os.File
	size int64
}

func (f file) Size() int64 { return f.size }
