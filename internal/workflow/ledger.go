package workflow

import (
	"archive/zip"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workspace"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Ledger stores the state of the workflow: registers, which change, and documents, which do not.
// The lease in it says which run may work. Every stage has a Ledger.
type Ledger struct {
	Registers Registers
	Blobs     Blobs
	Now       engine.Clock
}

// load reads a register strictly. found is false if it does not exist.
func load[T any](ctx context.Context, r Registers, name string) (doc T, tag string, found bool, err error) {
	b, tag, err := r.Load(ctx, name)
	if fault.CodeOf(err) == fault.NotFound {
		return doc, "", false, nil
	}

	if err != nil {
		return doc, "", false, err
	}

	if err := release.Decode(b, &doc); err != nil {
		return doc, "", false, fault.New(fault.ProvenanceMismatch, "read", name, err).
			WithHint("it was written by another version of Layersmith, or by hand; " +
				"restore an earlier version of the object")
	}

	return doc, tag, true, nil
}

// store writes a register if it still has the tag that load returned, and returns the new tag.
func store(ctx context.Context, r Registers, name string, doc any, tag string) (string, error) {
	b, err := release.Encode(doc)
	if err != nil {
		return "", err
	}

	return r.Store(ctx, name, b, tag)
}

// putDocument stores a value as a document, which never changes.
func (l Ledger) putDocument(ctx context.Context, doc any) (blob.Ref, error) {
	b, err := release.Encode(doc)
	if err != nil {
		return blob.Ref{}, err
	}

	return l.Blobs.Put(ctx, "documents/", ".json", func(w io.Writer) error { _, err := w.Write(b); return err })
}

// readDocument reads a document, which never changes.
func readDocument[T any](ctx context.Context, blobs Blobs, ref blob.Ref) (doc T, err error) {
	b, err := readAll(ctx, blobs, ref)
	if err != nil {
		return doc, err
	}

	if err := release.Decode(b, &doc); err != nil {
		return doc, fault.New(fault.ProvenanceMismatch, "read", ref.Key, err).
			WithHint("start a new execution; this one belongs to another version of Layersmith")
	}

	return doc, nil
}

// readAll reads an object of at most release.MaxDocumentBytes.
func readAll(ctx context.Context, blobs Blobs, ref blob.Ref) ([]byte, error) {
	if ref.Size > release.MaxDocumentBytes {
		return nil, fault.New(fault.ProvenanceMismatch, "read", ref.Key,
			fmt.Errorf("%d bytes, a document has at most %d", ref.Size, release.MaxDocumentBytes))
	}

	f, err := blobs.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	return io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
}

// resume reads a run that has not ended, and renews its lease. Every stage begins with it: a stage
// whose run has lost the lease must not change anything. Faults: NotFound, LeaseLost.
func (l Ledger) resume(ctx context.Context, name string) (release.Run, error) {
	r, err := l.readRun(ctx, name)
	if err != nil {
		return release.Run{}, err
	}

	if r.Ending != nil {
		return release.Run{}, fault.New(fault.LeaseLost, "continue", name,
			fmt.Errorf("the run has ended: %s", r.Ending.Outcome)).
			WithHint("start a new execution")
	}

	return r, l.renewLease(ctx, r)
}

// readRun reads the document of a run, ended or not. Fault NotFound if there is none.
func (l Ledger) readRun(ctx context.Context, name string) (release.Run, error) {
	if err := release.CheckRun(name); err != nil {
		return release.Run{}, fault.New(fault.BadInput, "read", "run", err).
			WithHint("start an execution whose name has only letters, digits, . - and _")
	}

	r, _, found, err := load[release.Run](ctx, l.Registers, release.RunName(name))
	if err != nil {
		return release.Run{}, err
	}

	if !found {
		return release.Run{}, fault.New(fault.NotFound, "read", release.RunName(name), errors.New("no such run")).
			WithHint("start a new execution")
	}

	return r, nil
}

// endRun stores the ending of a run, unless it has one: the next run will not recover it.
func (l Ledger) endRun(ctx context.Context, name string, end release.Ending) (release.Ending, error) {
	run, tag, found, err := load[release.Run](ctx, l.Registers, release.RunName(name))
	if err != nil || !found {
		return end, err
	}

	if run.Ending == nil {
		run.Ending = &end
		if _, err = store(ctx, l.Registers, release.RunName(name), run, tag); err != nil {
			return end, err
		}
	}

	return end, nil
}

// renewLease extends the lease of a run that holds it. Fault LeaseLost if another run does.
func (l Ledger) renewLease(ctx context.Context, r release.Run) error {
	lease, tag, err := l.holdsLease(ctx, r)
	if err != nil {
		return err
	}

	// Stages of a Map run at the same time. Renewing late keeps them from racing for the document.
	now := l.Now()
	if lease.Until.Sub(now) > release.LeaseFor/2 {
		return nil
	}

	lease.Until = now.Add(release.LeaseFor)
	_, err = store(ctx, l.Registers, release.LeaseName, lease, tag)
	if fault.CodeOf(err) == fault.Changed { // another stage of the run renewed it, or another run took it
		_, _, err = l.holdsLease(ctx, r)
	}

	return err
}

// holdsLease reads the lease and its tag. Fault LeaseLost unless the run holds it.
func (l Ledger) holdsLease(ctx context.Context, r release.Run) (release.Lease, string, error) {
	lease, tag, _, err := load[release.Lease](ctx, l.Registers, release.LeaseName)
	if err == nil && lease.Run != r.Run {
		err = fault.New(fault.LeaseLost, "continue", r.Run, fmt.Errorf("execution %q has taken over", lease.Run)).
			WithHint("wait for that execution, then start a new one if anything is left to do")
	}

	return lease, tag, err
}

// freeLease ends the lease of a run; without effect if the run does not hold it. recovers is a run
// that the next execution must undo first, "" for none.
func (l Ledger) freeLease(ctx context.Context, run, recovers string) error {
	lease, tag, found, err := load[release.Lease](ctx, l.Registers, release.LeaseName)
	if err != nil || !found || lease.Run != run {
		return err
	}

	free := release.Lease{
		SchemaVersion: release.SchemaVersion,
		Until:         l.Now().UTC(),
		Recovers:      cmp.Or(lease.Recovers, recovers),
	}

	_, err = store(ctx, l.Registers, release.LeaseName, free, tag)
	if fault.CodeOf(err) == fault.Changed {
		return nil // another run holds it by now
	}

	return err
}

// readReleased reads the promoted versions and the register's tag; the zero Released and "" before
// the first release.
func (l Ledger) readReleased(ctx context.Context) (release.Released, string, error) {
	r, tag, _, err := load[release.Released](ctx, l.Registers, release.ReleasedName)
	return r, tag, err
}

// workspaceRoot is the folder of the workspace in messages.
const workspaceRoot = "layers"

// openWorkspace opens the zip of the workspace that a run started with. The files are readable
// until closeFiles is called.
func openWorkspace(
	ctx context.Context, blobs Blobs, ref blob.Ref,
) (w workspace.Workspace, files fs.FS, closeFiles func(), err error) {
	f, err := blobs.Open(ctx, ref)
	if err != nil {
		return workspace.Workspace{}, nil, nil, err
	}

	z, err := zip.NewReader(f, f.Size())
	if err == nil {
		w, err = workspace.Load(z, workspaceRoot)
	}

	if err != nil {
		f.Close()
		return workspace.Workspace{}, nil, nil, err
	}

	return w, z, func() { f.Close() }, nil
}

// readWorkspace reads the workspace that a run started with, without its files.
func readWorkspace(ctx context.Context, blobs Blobs, ref blob.Ref) (workspace.Workspace, error) {
	w, _, closeFiles, err := openWorkspace(ctx, blobs, ref)
	if err != nil {
		return workspace.Workspace{}, err
	}

	closeFiles()
	return w, nil
}

// openZip opens a zip of the store as a tree. The tree is readable until the blob is closed.
func openZip(ctx context.Context, blobs Blobs, ref blob.Ref) (ziptree.Tree, engine.Blob, error) {
	f, err := blobs.Open(ctx, ref)
	if err != nil {
		return ziptree.Tree{}, nil, err
	}

	t, err := ziptree.Read(f, f.Size(), ref.Key)
	if err != nil {
		f.Close()
		return ziptree.Tree{}, nil, fault.New(fault.CorruptArchive, "open", ref.Key, err)
	}

	return t, f, nil
}
