package memport

import (
	"cmp"
	"maps"
	"time"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workflow"
)

// This file is what other people and programs do in the account. They make what the ports only
// read: objects, functions, aliases. They change functions while a release runs.

// uploadVersion is the S3 version of what Upload stored.
const uploadVersion = "v1"

// NewFunction is a function to add. Without a zip it is a container image.
type NewFunction struct {
	Name   string
	Target pydist.Target
	Zip    []byte
	Layers []string // ARNs of layer versions
	Tags   map[string]string
}

// Upload stores a zip to publish a layer from.
func (a *Account) Upload(zip []byte) (blob.Ref, error) {
	sum := digest.Of(zip)
	ref, err := blob.New("uploads/"+sum.String()+".zip", uploadVersion, sum, int64(len(zip)))
	if err != nil {
		return blob.Ref{}, err
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	if a.uploads == nil {
		a.uploads = map[string][]byte{}
	}

	a.uploads[ref.Key] = zip

	return ref, nil
}

// AddFunction makes a function with handler "app.handler", 128 MiB and 3 seconds. Fault Changed if
// there is one of that name.
func (a *Account) AddFunction(n NewFunction) error {
	a.mu.Lock()
	defer a.mu.Unlock()

	_, err := a.add("add function", newFunction{
		NewFunction: n,
		handler:     "app.handler",
		memory:      128,
		timeout:     3 * time.Second,
	})

	return err
}

// AddAlias makes an alias of a function, or replaces it.
func (a *Account) AddAlias(name string, alias workflow.Alias) error {
	const op = "add alias"
	a.mu.Lock()
	defer a.mu.Unlock()

	f, err := a.function(op, name)
	if err != nil {
		return err
	}

	if _, err := f.version(op, alias.Version); err != nil {
		return err
	}

	alias.RevisionID = a.revision()
	f.aliases[alias.Name] = alias

	return nil
}

// SetMemory changes the configuration of a function's $LATEST.
func (a *Account) SetMemory(name string, mib int) error {
	return a.change(name, func(v *FunctionVersion) { v.MemoryMiB = mib })
}

// SetCode changes the code of a function's $LATEST.
func (a *Account) SetCode(name string, zip []byte) error {
	return a.change(name, func(v *FunctionVersion) {
		v.Zip = zip
		v.CodeBytes = measure.Bytes(len(zip))
		v.CodeSHA256 = codeSHA256(zip)
	})
}

func (a *Account) change(name string, change func(*FunctionVersion)) error {
	a.mu.Lock()
	defer a.mu.Unlock()

	f, err := a.function("change", name)
	if err != nil {
		return err
	}

	change(&f.latest)
	a.write(&f.latest)

	return nil
}

type newFunction struct {
	NewFunction
	handler string
	memory  int // MiB
	timeout time.Duration
}

// add makes a function. The account is locked.
func (a *Account) add(op string, n newFunction) (*function, error) {
	if a.functions[n.Name] != nil {
		return nil, refuse(fault.Changed, op, n.Name, "a function of that name exists")
	}

	f := &function{aliases: map[string]workflow.Alias{}, tags: maps.Clone(n.Tags)}
	f.latest = FunctionVersion{
		Function: workflow.Function{
			ARN:        functionARN(n.Name),
			Name:       n.Name,
			Version:    latest,
			Arch:       cmp.Or(n.Target.Arch(), "x86_64"),
			CodeBytes:  measure.Bytes(len(n.Zip)),
			CodeSHA256: codeSHA256(n.Zip),
		},
		Handler:        n.handler,
		MemoryMiB:      n.memory,
		TimeoutSeconds: int(n.timeout.Seconds()),
		Zip:            n.Zip,
	}

	if n.Zip != nil {
		attached, err := a.attach(op, n.Name, n.Zip, n.Layers)
		if err != nil {
			return nil, err
		}

		f.latest.Runtime = n.Target.Runtime()
		f.latest.Layers = attached
	}

	a.write(&f.latest)
	if a.functions == nil {
		a.functions = map[string]*function{}
	}

	a.functions[n.Name] = f

	return f, nil
}
