package memport

import (
	"context"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

const maxPayloadBytes = 6 << 20 // of a synchronous invocation

type sandboxes struct{ *Account }

func (s sandboxes) Create(ctx context.Context, box workflow.Sandbox) error {
	const op = "Sandboxes.Create"
	leave, err := s.enter(ctx, writes, op, box.Name)
	if err != nil {
		return err
	}
	defer leave()

	delete(s.functions, box.Name)
	f, err := s.add(op, newFunction{
		NewFunction: NewFunction{
			Name:   box.Name,
			Target: box.Target,
			Zip:    append([]byte{}, box.Zip...), // never nil, which would be a container image
			Layers: box.Layers,
		},
		handler: box.Handler,
		memory:  box.Memory,
		timeout: box.Timeout,
	})
	if err != nil {
		return err
	}

	f.sandbox = &box

	return nil
}

func (s sandboxes) Invoke(ctx context.Context, name string, payload []byte) (workflow.Invocation, error) {
	const op = "Sandboxes.Invoke"
	leave, err := s.enter(ctx, writes, op, name)
	if err != nil {
		return workflow.Invocation{}, err
	}

	f, err := s.function(op, name)
	leave() // Run may use the account

	switch {
	case err != nil:
		return workflow.Invocation{}, err
	case len(payload) > maxPayloadBytes:
		return workflow.Invocation{}, refuse(fault.BadInput, op, name,
			"a payload of %d bytes, limit %d", len(payload), maxPayloadBytes)
	case f.sandbox == nil:
		return workflow.Invocation{}, refuse(fault.BadInput, op, name, "not a sandbox: only sandboxes can be run")
	case s.Run == nil:
		return workflow.Invocation{Payload: []byte("null")}, nil
	}

	return s.Run(ctx, *f.sandbox, payload)
}

func (s sandboxes) Delete(ctx context.Context, name string) error {
	leave, err := s.enter(ctx, writes, "Sandboxes.Delete", name)
	if err != nil {
		return err
	}
	defer leave()

	delete(s.functions, name)

	return nil
}
