package workflow

import (
	"archive/zip"
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

// Ledger is where the workflow writes down what it does: documents that change, documents that do
// not, and who may write at all. Every stage of the workflow has one.
type Ledger struct {
	Registers Registers
	Blobs     Blobs
	Now       engine.Clock
}

// load reads a register strictly. found is false when there is none.
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
			WithHint("it was written by another version of Layersmith, or by hand; restore an earlier version of the " +
				"object")
	}

	return doc, tag, true, nil
}

// store writes a register if nobody else has since it was loaded.
func store(ctx context.Context, r Registers, name string, doc any, tag string) (string, error) {
	b, err := release.Encode(doc)
	if err != nil {
		return "", err
	}

	return r.Store(ctx, name, b, tag)
}

// document stores a value that will not change.
func (l Ledger) document(ctx context.Context, doc any) (blob.Ref, error) {
	b, err := release.Encode(doc)
	if err != nil {
		return blob.Ref{}, err
	}

	return l.Blobs.Put(ctx, "documents/", ".json", func(w io.Writer) error { _, err := w.Write(b); return err })
}

// open reads a document that does not change.
func open[T any](ctx context.Context, blobs Blobs, ref blob.Ref) (doc T, err error) {
	b, err := contents(ctx, blobs, ref)
	if err != nil {
		return doc, err
	}

	if err := release.Decode(b, &doc); err != nil {
		return doc, fault.New(fault.ProvenanceMismatch, "read", ref.Key, err).
			WithHint("start a new execution; this one belongs to another version of Layersmith")
	}

	return doc, nil
}

func contents(ctx context.Context, blobs Blobs, ref blob.Ref) ([]byte, error) {
	if ref.Size > release.MaxDocumentBytes {
		return nil, fault.New(fault.ProvenanceMismatch, "read", ref.Key,
			fmt.Errorf("%d bytes are no document", ref.Size))
	}

	f, err := blobs.Open(ctx, ref)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
}

// run opens a run that is not over, and renews its lease: whoever cannot renew it must not touch
// anything any more.
func (l Ledger) run(ctx context.Context, name string) (release.Run, error) {
	r, err := l.known(ctx, name)
	if err != nil {
		return release.Run{}, err
	}

	if r.Ending != nil {
		return release.Run{}, fault.New(fault.LeaseLost, "continue", name,
			fmt.Errorf("the run is over: %s", r.Ending.Outcome)).
			WithHint("start a new execution")
	}

	return r, l.renew(ctx, r)
}

// known reads what a run was asked for.
func (l Ledger) known(ctx context.Context, name string) (release.Run, error) {
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

func (l Ledger) renew(ctx context.Context, r release.Run) error {
	lease, tag, _, err := load[release.Lease](ctx, l.Registers, release.LeaseName)
	if err != nil {
		return err
	}

	lost := func(to string) error {
		return fault.New(fault.LeaseLost, "continue", r.Run, fmt.Errorf("execution %q has taken over", to)).
			WithHint("wait for that execution, then start a new one if anything is left to do")
	}
	if lease.Run != r.Run {
		return lost(lease.Run)
	}

	now := l.Now()
	if lease.Until.Sub(now) > release.LeaseFor/2 {
		return nil // far enough: stages of a Map must not race for the same document
	}

	lease.Until = now.Add(release.LeaseFor)
	_, err = store(ctx, l.Registers, release.LeaseName, lease, tag)
	if fault.CodeOf(err) == fault.Changed { // a neighbour in the same Map renewed it, or somebody took over
		if lease, _, _, err = load[release.Lease](ctx, l.Registers, release.LeaseName); err == nil &&
			lease.Run != r.Run {
			err = lost(lease.Run)
		}
	}

	return err
}

// free gives the lease back, if the run has it. A run that could not be undone is left for the next
// execution to recover.
func (l Ledger) free(ctx context.Context, run string, undone bool) error {
	lease, tag, found, err := load[release.Lease](ctx, l.Registers, release.LeaseName)
	if err != nil || !found || lease.Run != run {
		return err
	}

	free := release.Lease{SchemaVersion: release.SchemaVersion, Until: l.Now().UTC(), Recovers: lease.Recovers}
	if !undone && free.Recovers == "" {
		free.Recovers = run
	}

	_, err = store(ctx, l.Registers, release.LeaseName, free, tag)
	if fault.CodeOf(err) == fault.Changed {
		return nil // somebody has it by now
	}

	return err
}

// released reads what is promoted; nothing is.
func (l Ledger) released(ctx context.Context) (release.Released, string, error) {
	r, tag, _, err := load[release.Released](ctx, l.Registers, release.ReleasedName)
	return r, tag, err
}

// workspaceRoot is how the pushed workspace is called in messages.
const workspaceRoot = "layers"

// openWorkspace opens the zip that the run began with. The files stay readable until close.
func openWorkspace(
	ctx context.Context,
	blobs Blobs,
	ref blob.Ref,
) (w workspace.Workspace, files fs.FS, closeIt func(), err error) {
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

// openZip opens a zip of the store as a tree.
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
