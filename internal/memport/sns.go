package memport

import (
	"context"
	"slices"
	"sync"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/workflow"
)

// Limits of a message. SNS refuses longer ones.
const (
	maxSubject   = 100 // ASCII characters
	maxTextBytes = 256 << 10
)

// Notices keeps the messages that were sent.
type Notices struct {
	mu   sync.Mutex
	sent []Notice
}

// Notice is a message.
type Notice struct{ Subject, Text string }

var _ workflow.Notify = (&Notices{}).Send

// Send is the port workflow.Notify.
func (m *Notices) Send(ctx context.Context, subject, text string) error {
	if err := ended(ctx, "notify", subject); err != nil {
		return err
	}

	if err := checkNotice(subject, text); err != nil {
		return err
	}

	m.mu.Lock()
	defer m.mu.Unlock()

	m.sent = append(m.sent, Notice{subject, text})

	return nil
}

func checkNotice(subject, text string) error {
	const op = "notify"
	if len(subject) > maxSubject {
		return refuse(fault.BadInput, op, subject, "a subject of %d characters, limit %d", len(subject), maxSubject)
	}

	for _, r := range subject {
		if r < ' ' || r > '~' {
			return refuse(fault.BadInput, op, subject, "the subject contains %q", r)
		}
	}

	if text == "" || len(text) > maxTextBytes {
		return refuse(fault.BadInput, op, subject, "a text of %d bytes, limit %d", len(text), maxTextBytes)
	}

	return nil
}

// Sent returns the messages, in order.
func (m *Notices) Sent() []Notice {
	m.mu.Lock()
	defer m.mu.Unlock()

	return slices.Clone(m.sent)
}
