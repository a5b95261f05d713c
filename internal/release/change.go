package release

import (
	"fmt"
	"slices"
)

// Change is one consumer's before and after: runs/<run>/changes/<n>.json. Before is stored before
// anything is touched.
type Change struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`
	Sequence      int       `json:"sequence"`        // changes are undone from the highest down
	Function      string    `json:"function"`        // its ARN
	Alias         string    `json:"alias,omitempty"` // "" when only $LATEST is moved
	Alarm         string    `json:"alarm,omitempty"`
	WindowSeconds int       `json:"windowSeconds,omitempty"`
	Replaces      []Replace `json:"replaces"` // which layers get which version
	Before        State     `json:"before"`
	After         *State    `json:"after,omitempty"` // nil until the function is about to be touched
	// a rollback has begun: whoever still works on the update must stop
	Undoing bool `json:"undoing,omitempty"`
	Undone  bool `json:"undone,omitempty"`
}

// Replace is one layer of a consumer: all versions of LayerName that it has give way to the run's.
type Replace struct {
	Layer     string `json:"layer"`
	LayerName string `json:"layerName"`
	ARN       string `json:"arn,omitempty"` // of the new version; "" until it is published
}

// State is what a change changes of a function, and what tells whether somebody else did.
type State struct {
	Layers     []string `json:"layers"`     // version ARNs of $LATEST, in order
	CodeSHA256 string   `json:"codeSha256"` // of $LATEST, base64 as Lambda gives it
	// what the alias points to; "" in After until the version is published
	AliasVersion string `json:"aliasVersion,omitempty"`
}

// Standing is how a function's state stands to a change.
type Standing string

// The standings.
const (
	AtBefore Standing = "before"  // nothing to undo
	AtAfter  Standing = "after"   // can be undone
	Between  Standing = "between" // some of it was done: can be undone
	Foreign  Standing = "foreign" // somebody else changed it: must be left alone
)

// Standing compares the function as it is now with the change. A part is before, after or foreign;
// parts of both kinds are "between".
func (c Change) Standing(now State) Standing {
	if now.CodeSHA256 != c.Before.CodeSHA256 {
		return Foreign
	}

	if c.After == nil {
		if slices.Equal(now.Layers, c.Before.Layers) && now.AliasVersion == c.Before.AliasVersion {
			return AtBefore
		}

		return Foreign
	}

	before := 0
	after := 0
	count := func(isBefore, isAfter bool) bool {
		switch {
		case isBefore && isAfter:
		case isBefore:
			before++
		case isAfter:
			after++
		default:
			return false
		}

		return true
	}
	if !count(slices.Equal(now.Layers, c.Before.Layers), slices.Equal(now.Layers, c.After.Layers)) {
		return Foreign
	}

	if c.Alias != "" &&
		!count(
			now.AliasVersion == c.Before.AliasVersion,
			c.After.AliasVersion != "" && now.AliasVersion == c.After.AliasVersion,
		) {
		return Foreign
	}

	switch {
	case after == 0:
		return AtBefore
	case before == 0:
		return AtAfter
	}

	return Between
}

// WithLayers is the list of layers after the change: each version of a replaced layer gives way to
// the new one at its place; a layer that the function did not have yet comes last.
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
