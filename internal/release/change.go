package release

import (
	"fmt"
	"slices"
)

// Change is the update of one consumer: runs/<run>/changes/<n>.json. It is stored with Before
// before the function is touched.
type Change struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`
	Sequence      int       `json:"sequence"`        // from 1; changes are undone in reverse order
	Function      string    `json:"function"`        // its ARN
	Alias         string    `json:"alias,omitempty"` // "" if only $LATEST moves
	Alarm         string    `json:"alarm,omitempty"`
	WindowSeconds int       `json:"windowSeconds,omitempty"` // how long the alarm is watched
	Replaces      []Replace `json:"replaces"`
	Before        State     `json:"before"`
	After         *State    `json:"after,omitempty"`   // nil until the function is about to be updated
	Undoing       bool      `json:"undoing,omitempty"` // a rollback has begun: an update must stop
	Undone        bool      `json:"undone,omitempty"`
}

// Replace is one layer of a consumer: the run's version replaces any other version of LayerName.
type Replace struct {
	Layer     string `json:"layer"`
	LayerName string `json:"layerName"`
	ARN       string `json:"arn,omitempty"` // of the new version; "" until it is published
}

// State is the part of a function that a change modifies, and its code.
type State struct {
	Layers       []string `json:"layers"`                 // version ARNs of $LATEST, in order
	CodeSHA256   string   `json:"codeSha256"`             // of $LATEST, base64 as Lambda returns it
	AliasVersion string   `json:"aliasVersion,omitempty"` // of the alias; "" in After until it is published
}

// Standing compares the state of a function with a change.
type Standing string

// The standings.
const (
	AtBefore Standing = "before"   // nothing to undo
	AtAfter  Standing = "after"    // can be undone
	Between  Standing = "between"  // was made in part: can be undone
	Diverged Standing = "diverged" // somebody else changed the function: must be left as it is
)

// Standing compares the current state of the function with the change.
func (c Change) Standing(now State) Standing {
	if now.CodeSHA256 != c.Before.CodeSHA256 {
		return Diverged
	}

	if c.After == nil {
		if slices.Equal(now.Layers, c.Before.Layers) && now.AliasVersion == c.Before.AliasVersion {
			return AtBefore
		}

		return Diverged
	}

	type part struct{ isBefore, isAfter bool }
	parts := []part{{slices.Equal(now.Layers, c.Before.Layers), slices.Equal(now.Layers, c.After.Layers)}}
	if c.Alias != "" {
		published := c.After.AliasVersion != ""
		parts = append(parts, part{
			isBefore: now.AliasVersion == c.Before.AliasVersion,
			isAfter:  published && now.AliasVersion == c.After.AliasVersion,
		})
	}

	before := 0
	after := 0
	for _, p := range parts {
		switch {
		case p.isBefore && p.isAfter: // the change leaves this part as it is
		case p.isBefore:
			before++
		case p.isAfter:
			after++
		default:
			return Diverged
		}
	}

	switch {
	case after == 0:
		return AtBefore
	case before == 0:
		return AtAfter
	}

	return Between
}

// WithLayers returns the layers of the function after the change. A new version takes the position
// of the old one; a layer that the function does not have yet is appended.
func (c Change) WithLayers() ([]string, error) {
	out := slices.Clone(c.Before.Layers)
	for _, r := range c.Replaces {
		if r.ARN == "" {
			return nil, fmt.Errorf("change of %s: layer %s is not published", c.Function, r.Layer)
		}

		at := slices.IndexFunc(out, func(arn string) bool { return SameLayer(arn, r.ARN) })
		if at < 0 {
			out = append(out, r.ARN)
			continue
		}

		out[at] = r.ARN
	}

	return out, nil
}
