package awsport

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5" // S3's ETag is an MD5; it only decides whether a file is pushed again
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
	// maxMemoryBytes is the limit of a blob that Open keeps in memory. Documents are smaller,
	// archives are larger.
	maxMemoryBytes = 1 << 20
	// downloads is the limit of attempts to read a body. The SDK retries only until the response
	// begins.
	downloads = 3
	// uploads is the limit of attempts of Put if others write and delete the same key.
	uploads = 3
	// digestKey is the metadata key of the SHA-256, for stores without S3's checksums.
	digestKey = "sha256"
)

// Blobs keeps immutable objects in a bucket, at prefix + SHA-256 + suffix. It needs s3:GetObject,
// s3:GetObjectVersion and s3:PutObject. Put sends one request for an object that exists, and two
// for a new one. Objects above 1 MiB are kept in unlinked temporary files: nothing is left of them
// even if the process is killed.
type Blobs struct {
	Client *s3.Client
	Bucket string
	Temp   string // folder for temporary files; "" for the system's
}

var _ workflow.Blobs = Blobs{}

// Put writes the content to a temporary file and uploads it unless the object exists. S3 checks the
// SHA-256 before it stores the object.
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

// send uploads the file to key unless the object exists. The upload is conditional: of several
// concurrent ones, only one stores the object.
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
			in.IfMatch = head.ETag // other content has this key: replace only that
		case code == fault.NotFound,
			// without s3:ListBucket, S3 answers 403, not 404: the condition tells them apart
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
		// Changed: another writer stored it after our HeadObject, or our own upload did and its
		// response was lost. NotFound: it was deleted after our HeadObject.
		if c := fault.CodeOf(last); c != fault.Changed && !(c == fault.NotFound && in.IfMatch != nil) {
			return blob.Ref{}, last
		}
	}

	return blob.Ref{}, last
}

// Open downloads the object version that the reference names, and checks its size and digest. It
// reads at most one byte more than the size.
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

// withoutChecksum disables the SDK's check of a download: the caller checks the SHA-256.
func withoutChecksum(o *s3.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

func (b Blobs) receive(ctx context.Context, ref blob.Ref, out *s3.GetObjectOutput) (_ engine.Blob, err error) {
	where := address(b.Bucket, ref.Key)
	defer out.Body.Close()
	mismatch := func(format string, args ...any) error {
		return fault.New(fault.HashMismatch, "open", where, fmt.Errorf(format, args...)).
			WithHint("start a new run; allow nobody else to write to the bucket")
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

// temporary opens an unlinked file: it is gone when it is closed or when the process ends.
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

// spaceHint returns a fault with a hint for an error of a full disk, and other errors unchanged.
func spaceHint(err error) error {
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}

	return fault.New(fault.Internal, "use", "temporary files", err).
		WithHint("give the function more ephemeral storage, or free space in the temporary folder")
}

// Registers keeps small documents that change. The name of a register is its key, and its tag is
// the ETag. With S3's own encryption, equal content has an equal ETag: a document that was changed
// and changed back has its first tag again. It needs s3:GetObject, s3:PutObject and s3:ListBucket.
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

	in := &s3.GetObjectInput{Bucket: &r.Bucket, Key: &name}
	b, tag, err := get(ctx, r.Client, "load", where, in, release.MaxDocumentBytes)
	if err != nil {
		return nil, "", err
	}

	if tag == "" {
		return nil, "", fault.New(fault.Internal, "load", where, errors.New("a response without an ETag"))
	}

	return b, tag, nil
}

// Store writes a document if its tag did not change; tag "" means that it must not exist. If the
// response to an attempt is lost, the SDK's next attempt fails because of our own document. Store
// reports that as success.
func (r Registers) Store(ctx context.Context, name string, doc []byte, tag string) (string, error) {
	where := address(r.Bucket, name)
	if err := checkKey(name); err != nil {
		return "", fault.New(fault.Internal, "store", where, err)
	}

	if len(doc) > release.MaxDocumentBytes {
		return "", fault.New(fault.OverLimit, "store", where,
			fmt.Errorf("%d bytes, limit %d", len(doc), release.MaxDocumentBytes))
	}

	in := &s3.PutObjectInput{
		Bucket:         &r.Bucket,
		Key:            &name,
		Body:           bytes.NewReader(doc),
		ContentType:    contentType(name),
		ChecksumSHA256: aws.String(checksum(digest.Of(doc))),
	}
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
	case fault.NotFound: // If-Match, but the document does not exist
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

// List returns the names that begin with prefix, sorted. A request returns 1000.
func (r Registers) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	in := &s3.ListObjectsV2Input{Bucket: &r.Bucket, Prefix: &prefix}
	for pages := s3.NewListObjectsV2Paginator(r.Client, in); pages.HasMorePages(); {
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

// Sources is the pushed workspace below a prefix of a bucket. It needs s3:ListBucketVersions,
// s3:ListBucket, s3:GetObject and s3:GetObjectVersion.
type Sources struct {
	Client *s3.Client
	Bucket string
	Prefix string // "layers/"
}

var _ workflow.Sources = Sources{}

// List returns the newest versions of all files, sorted by name. It uses ListObjectVersions, which
// returns 1000 old and new versions in a request: no other listing has version IDs. Keys that end
// in a slash are left out; the console creates them for folders.
func (s Sources) List(ctx context.Context) ([]workflow.Source, error) {
	var all []workflow.Source
	in := &s3.ListObjectVersionsInput{Bucket: &s.Bucket, Prefix: &s.Prefix}
	for pages := s3.NewListObjectVersionsPaginator(s.Client, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, classify("list", address(s.Bucket, s.Prefix), err)
		}

		// without a marker, the paginator would start again and never end
		if aws.ToBool(page.IsTruncated) && aws.ToString(page.NextKeyMarker) == "" {
			return nil, fault.New(fault.Unreachable, "list", address(s.Bucket, s.Prefix),
				errors.New("a truncated listing without a marker of the next page"))
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

// Read returns the content of the listed version, or, in a bucket without versions, of the object
// if it still has the listed ETag.
func (s Sources) Read(ctx context.Context, from workflow.Source, limit int64) ([]byte, error) {
	key := s.Prefix + from.Name
	where := address(s.Bucket, key)
	if from.Size > limit {
		return nil, fault.New(fault.BadInput, "read", where,
			fmt.Errorf("%d bytes, limit %d", from.Size, limit)).
			WithHint("push a smaller file, or delete it")
	}

	in := &s3.GetObjectInput{Bucket: &s.Bucket, Key: &key, VersionId: versionParam(from.VersionID)}
	if in.VersionId == nil && from.ETag != "" {
		in.IfMatch = aws.String(`"` + from.ETag + `"`)
	}

	b, _, err := get(ctx, s.Client, "read", where, in, limit)
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

// Workspace is Sources with methods to push. It also needs s3:PutObject and s3:DeleteObject.
type Workspace struct{ Sources }

// Same reports whether a listed file has this content, so that only changed files are pushed.
//
// Most files need no request. Another size means other content. An ETag that is the MD5 of the
// content means the same content; it is the MD5 with S3's own encryption, but not with KMS or after
// a multipart upload. For the same size and another ETag, Same requests the SHA-256 that Put
// stored: with KMS for each unchanged file, else for each edit that kept the size. A file that was
// uploaded with another program may have no SHA-256, and counts as changed.
func (w Workspace) Same(ctx context.Context, listed workflow.Source, content []byte) (bool, error) {
	if listed.Size != int64(len(content)) {
		return false, nil
	}

	sum := md5.Sum(content)
	if listed.ETag == hex.EncodeToString(sum[:]) {
		return true, nil
	}

	head, err := head(ctx, w.Client, w.Bucket, w.Prefix+listed.Name)
	if fault.CodeOf(err) == fault.NotFound {
		return false, nil
	}

	return err == nil && holds(head, digest.Of(content), listed.Size), err
}

// Put stores a file, unconditionally. The bucket keeps the version before.
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

// Delete deletes a file from the workspace. The bucket keeps its versions. A missing file is no
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

// get downloads a small object and returns it with its ETag. Fault BadInput if it has more than
// limit bytes.
func get(
	ctx context.Context,
	c *s3.Client,
	op, where string,
	in *s3.GetObjectInput,
	limit int64,
) (content []byte, etag string, err error) {
	in.ChecksumMode = types.ChecksumModeEnabled // the SDK checks the download
	var last error
	for range downloads {
		out, err := c.GetObject(ctx, in)
		if err != nil {
			return nil, "", classify(op, where, err)
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
			return nil, "", fault.New(fault.BadInput, op, where, fmt.Errorf("it has more than %d bytes", limit)).
				WithHint("replace it by a smaller one")
		case err == nil:
			return b, aws.ToString(out.ETag), nil
		}

		if last = broken(ctx, op, where, err); fault.CodeOf(last) != fault.Unreachable {
			break
		}
	}

	return nil, "", last
}

// broken returns the fault for a body that ended early: that of the context if it ended, else
// Unreachable.
func broken(ctx context.Context, op, where string, err error) error {
	if ctx.Err() != nil {
		return classify(op, where, ctx.Err())
	}

	return classify(op, where, &interrupted{err})
}

// changed returns the fault Changed with the cause of another fault.
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

// holds reports whether an object has this size and digest. It compares the checksum that S3
// verified at the upload, or, in a store without checksums, the metadata.
func holds(head *s3.HeadObjectOutput, sum digest.SHA256, size int64) bool {
	if aws.ToInt64(head.ContentLength) != size {
		return false
	}

	if c := aws.ToString(head.ChecksumSHA256); c != "" && head.ChecksumType != types.ChecksumTypeComposite {
		return c == checksum(sum)
	}

	return head.Metadata[digestKey] == sum.String()
}

// checksum is a digest in the format of S3, Base64.
func checksum(sum digest.SHA256) string {
	raw, err := hex.DecodeString(sum.String())
	if err != nil {
		panic(err) // a SHA256 prints hexadecimal digits
	}

	return base64.StdEncoding.EncodeToString(raw)
}

// version converts a version ID for a reference: "" in a bucket without versions. S3 returns "null"
// if versioning is suspended.
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
		return fmt.Errorf("%q is not a valid name", name)
	}

	return nil
}

// checkSource refuses names that a listing could not return, or that do not work as a path. A
// listing is XML and has no control characters.
func checkSource(prefix, name string) error {
	control := func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }
	if checkKey(prefix+name) != nil || name == "" || path.Clean("/"+name) != "/"+name || strings.Contains(name, `\`) ||
		strings.ContainsFunc(name, control) {
		return fmt.Errorf("%q is not a valid name for a file of the workspace", name)
	}

	return nil
}

// contentType returns the media type of a key, so that the console shows a document instead of
// downloading it.
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

// counting counts the attempts of a request. The SDK reports them only for requests that succeed.
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

// checked is a writer that fails after its context ended.
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

// reading records read errors, so that after io.Copy they can be told from write errors.
type reading struct {
	r   io.Reader
	err error
}

func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
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
