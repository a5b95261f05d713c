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

// Publish publishes a version of a measured layer, or finds one that exists. PublishLayerVersion
// has no idempotency token. So the description of a version contains its key and run, and the
// candidate is stored before the version is published.
type Publish struct {
	Ledger
	Versions LayerVersions
	Account  Account
}

// Description is the description of a published layer version, which identifies it: layers cannot
// have tags. It has at most 256 characters (API: PublishLayerVersion).
func Description(key digest.SHA256, run string) string {
	return "layersmith key=" + key.String() + " run=" + run
}

// parseDescription returns the parts of a Description, "" and "" if it is not one.
func parseDescription(s string) (key, run string) {
	rest, ok := strings.CutPrefix(s, "layersmith key=")
	if !ok {
		return "", ""
	}

	key, run, _ = strings.Cut(rest, " run=")
	return key, run
}

// Run publishes and shares.
func (s Publish) Run(ctx context.Context, in LayerInput) (Item, error) {
	run, err := s.resume(ctx, in.Run)
	if err != nil {
		return Item{}, err
	}

	m, err := readDocument[release.Measured](ctx, s.Blobs, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	if err := in.Layer.checkBelongs(m.Built.Layer, m.Built.Target); err != nil {
		return Item{}, err
	}

	c, err := s.candidate(ctx, run, m, in.Layer.Doc)
	if err != nil {
		return Item{}, err
	}

	published := LayerVersion{ARN: c.ARN, LayerName: c.LayerName, Version: c.Version}
	for _, with := range s.Account.Share {
		if err := s.Versions.Share(ctx, published, with); err != nil {
			return Item{}, err
		}
	}

	ref, err := s.putDocument(ctx, c)
	return in.Layer.next(ref, fmt.Sprintf("%s:%d", c.LayerName, c.Version)), err
}

// candidate returns the published candidate of a measured layer. It stores the candidate before and
// after publishing, and does not repeat what an earlier call has done.
func (s Publish) candidate(
	ctx context.Context, run release.Run, m release.Measured, ref blob.Ref,
) (release.Candidate, error) {
	name := release.CandidateName(run.Run, m.Built.LayerName)
	c, tag, found, err := load[release.Candidate](ctx, s.Registers, name)
	if err != nil {
		return c, err
	}

	if !found {
		c = release.Candidate{
			SchemaVersion: release.SchemaVersion,
			Run:           run.Run,
			Layer:         m.Built.Layer,
			Target:        m.Built.Target,
			LayerName:     m.Built.LayerName,
			Key:           m.Built.Key,
			Measured:      ref,
		}
		if tag, err = store(ctx, s.Registers, name, c, ""); err != nil {
			return c, err
		}
	}

	if c.ARN != "" {
		return c, nil
	}

	v, reused, err := s.findOrPublish(ctx, run, m)
	if err != nil {
		return c, err
	}

	c.ARN = v.ARN
	c.Version = v.Version
	c.Reused = reused
	_, err = store(ctx, s.Registers, name, c, tag)
	return c, err
}

// findOrPublish returns a version with the same key and bytes, or publishes one. reused is true for
// the version of another run, which a forced run does not use.
func (s Publish) findOrPublish(
	ctx context.Context, run release.Run, m release.Measured,
) (v LayerVersion, reused bool, err error) {
	sum, err := lambdaSHA256(m.Zip)
	if err != nil {
		return v, false, err
	}

	versions, err := s.Versions.List(ctx, m.Built.LayerName)
	if err != nil {
		return v, false, err
	}

	for _, v := range versions {
		key, by := parseDescription(v.Description)
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
		// The rollback finds this version by its description.
		err = fault.New(fault.HashMismatch, "publish", v.ARN,
			fmt.Errorf("its bytes have sha256 %s, the zip has %s", v.CodeSHA256, sum)).
			WithHint("start again; if it happens again, check what else writes to the store bucket")
	}

	return v, false, err
}

// lambdaSHA256 is a digest in the format of CodeSha256 in the Lambda API: base64.
func lambdaSHA256(ref blob.Ref) (string, error) {
	b, err := hex.DecodeString(ref.SHA256.String())
	if err != nil || len(b) == 0 {
		return "", errors.Join(errors.New("publish: no digest"), err)
	}

	return base64.StdEncoding.EncodeToString(b), nil
}
