package workflow

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/release"
)

// Publish makes a layer version of a measured layer, or finds that there is one:
// PublishLayerVersion has no idempotency token, so what the version was made of is in its
// description, and what is intended is written down first.
type Publish struct {
	Ledger
	Versions LayerVersions
	Account  Account
}

// Description is what a layer version says of itself: layers cannot be tagged. It is at most 256
// characters (API: PublishLayerVersion).
func Description(key digest.SHA256, run string) string {
	return "layersmith key=" + key.String() + " run=" + run
}

// Run publishes.
func (s Publish) Run(ctx context.Context, in LayerInput) (Item, error) {
	run, err := s.run(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	m, err := open[release.Measured](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.names(m.Built.Layer, m.Built.Target); err != nil {
		return Item{}, err
	}

	name := release.CandidateName(run.Run, m.Built.LayerName)
	c, tag, found, err := load[release.Candidate](ctx, s.Registers, name)
	if err != nil {
		return Item{}, err
	}

	if !found {
		c = release.Candidate{
			SchemaVersion: release.SchemaVersion,
			Run:           run.Run,
			Layer:         m.Built.Layer,
			Target:        m.Built.Target,
			LayerName:     m.Built.LayerName,
			Key:           m.Built.Key,
			Measured:      in.Layer.Doc,
		}
		if tag, err = store(ctx, s.Registers, name, c, ""); err != nil {
			return Item{}, err
		}
	}

	if c.ARN == "" {
		v, reused, err := s.publish(ctx, run, m)
		if err != nil {
			return Item{}, err
		}

		c.ARN = v.ARN
		c.Version = v.Version
		c.Reused = reused
		if _, err := store(ctx, s.Registers, name, c, tag); err != nil {
			return Item{}, err
		}
	}

	for _, with := range s.Account.Share {
		if err := s.Versions.Share(ctx, LayerVersion{ARN: c.ARN, LayerName: c.LayerName, Version: c.Version},
			with); err != nil {
			return Item{}, err
		}
	}

	ref, err := s.document(ctx, c)
	return in.Layer.next(ref, fmt.Sprintf("%s:%d", c.LayerName, c.Version)), err
}

func (s Publish) publish(
	ctx context.Context,
	run release.Run,
	m release.Measured,
) (v LayerVersion, reused bool, err error) {
	sum, err := base64SHA256(m.Zip)
	if err != nil {
		return v, false, err
	}

	versions, err := s.Versions.List(ctx, m.Built.LayerName)
	if err != nil {
		return v, false, err
	}

	for _, v := range versions {
		key, by := madeOf(v.Description)
		if key != m.Built.Key.String() || run.Request.Force && by != run.Run {
			continue
		}

		if v, err = s.Versions.Get(ctx, v.ARN); err != nil {
			return v, false, err
		}

		if v.CodeSHA256 == sum {
			return v, by != run.Run, nil
		}
	}

	v, err = s.Versions.Publish(ctx, NewLayerVersion{
		LayerName:   m.Built.LayerName,
		Description: Description(m.Built.Key, run.Run),
		Target:      m.Built.Target,
		Zip:         m.Zip,
	})
	if err == nil && v.CodeSHA256 != "" && v.CodeSHA256 != sum {
		// Written down by the description, so the rollback finds it.
		err = fault.New(fault.HashMismatch, "publish", v.ARN,
			fmt.Errorf("its bytes have sha256 %s, the zip has %s", v.CodeSHA256, sum)).
			WithHint("start again; if it happens twice, somebody writes to the store bucket")
	}

	return v, false, err
}

// madeOf reads a description; both are "" when it is not ours.
func madeOf(description string) (key, run string) {
	rest, ok := strings.CutPrefix(description, "layersmith key=")
	if !ok {
		return "", ""
	}

	key, run, _ = strings.Cut(rest, " run=")
	return key, run
}

// base64SHA256 is a digest as Lambda writes CodeSha256.
func base64SHA256(ref blob.Ref) (string, error) {
	b, err := hex.DecodeString(ref.SHA256.String())
	if err != nil || len(b) == 0 {
		return "", errors.Join(errors.New("publish: no digest"), err)
	}

	return base64.StdEncoding.EncodeToString(b), nil
}
