// Package report is what a build says of itself: the stored document (report.json, one schema
// version), each layer's manifest, and the text that people read. Everything that is printed is in
// the document.
package report

import (
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
)

// SchemaVersion is raised when a reader of the old form would misunderstand the new one.
const SchemaVersion = 1

// Report is dist/report.json: one build.
type Report struct {
	SchemaVersion int             `json:"schemaVersion"`
	Tool          string          `json:"tool"` // "layersmith 0.1.0"
	Target        string          `json:"target"`
	Lock          digest.SHA256   `json:"lockSha256,omitzero"`
	Layers        []Layer         `json:"layers"`
	Stacks        []measure.Stack `json:"stacks"`
}

// Layer is one layer's part of the report, and its manifest dist/<layer>-<target>.json.
type Layer struct {
	SchemaVersion int             `json:"schemaVersion"`
	Name          string          `json:"name"`
	Target        string          `json:"target"`
	Description   string          `json:"description,omitempty"`
	Extends       []string        `json:"extends,omitempty"`
	Key           digest.SHA256   `json:"key,omitzero"` // of everything that decides the zip's bytes
	Inputs        Inputs          `json:"inputs,omitzero"`
	Zip           File            `json:"zip"`
	Before        measure.Size    `json:"before"` // as an installer would leave it, without bytecode
	After         measure.Size    `json:"after"`
	Removed       measure.Sizes   `json:"removed"` // by rule: what dropped files weighed and what transforms saved
	Bytecode      Bytecode        `json:"bytecode"`
	Packages      measure.Sizes   `json:"packages"` // by distribution
	Kinds         measure.Sizes   `json:"kinds"`
	Largest       []Sized         `json:"largest"`
	Budget        measure.Budget  `json:"budget"`
	Verdict       measure.Verdict `json:"verdict"`
	Gate          []gate.Finding  `json:"gate"`
	Allowed       []Allowed       `json:"allowed,omitempty"`
	Probe         Probe           `json:"probe"`
	// what layer.yaml keeps, drops and switches, with its reasons
	Choices []Choice `json:"choices,omitempty"`
	// what this build restored by itself; it is in layer.yaml now
	Healed    []Healed   `json:"healed,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
	Explained *Explained `json:"explained,omitempty"` // by check --explain
}

// Inputs are the digests of everything that the layer was made from.
type Inputs struct {
	Wheels       []Wheel           `json:"wheels"`
	LayerSpec    digest.SHA256     `json:"layerSpecSha256,omitzero"`
	Policy       digest.SHA256     `json:"policySha256,omitzero"`
	Rules        map[string]int    `json:"rules"` // versions of those that were on
	Transforms   map[string]string `json:"transforms"`
	Compression  string            `json:"compression"`
	Interpreter  string            `json:"interpreter,omitempty"`
	BytecodeMode string            `json:"bytecodeMode"`
}

// Wheel is one distribution that the layer carries.
type Wheel struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	File    string        `json:"file"`
	SHA256  digest.SHA256 `json:"sha256,omitzero"`
}

// File is a finished zip.
type File struct {
	Name   string        `json:"name"`
	Bytes  measure.Bytes `json:"bytes"`
	SHA256 digest.SHA256 `json:"sha256,omitzero"`
}

// Bytecode says which mode was taken, why, and what it weighs.
type Bytecode struct {
	Partial bool         `json:"partial,omitempty"` // some or all of it was given up
	Mode    string       `json:"mode"`
	Reason  string       `json:"reason,omitempty"`
	Size    measure.Size `json:"size"`
}

// Sized is a file and its size.
type Sized struct {
	Name     string        `json:"name"`
	Unzipped measure.Bytes `json:"unzippedBytes"`
	Zipped   measure.Bytes `json:"zippedBytes"`
}

// Allowed is a gate finding that layer.yaml accepts.
type Allowed struct {
	gate.Finding
	Reason string `json:"reason"`
}

// Choice is what a layer decided against the rule book.
type Choice struct {
	What   string `json:"what"` // keep, drop, rule on, rule off
	Which  string `json:"which"`
	Reason string `json:"reason"`
}

// Healed is something that pruning removed or changed, that a probe turned out to need, and that
// the build wrote into a layer's keep list.
type Healed struct {
	Match  string        `json:"match"` // as the keep list has it
	Files  int           `json:"files"`
	Bytes  measure.Bytes `json:"unzippedBytes"` // of those files
	Rules  []string      `json:"rules"`         // what had removed or changed them
	Why    string        `json:"why"`           // "script probe.py fails without it"
	Reason string        `json:"reason"`        // as the keep list has it: why, and when
	File   string        `json:"file"`          // that was written, relative to the workspace
}

// Healing is what was tried to make a probe pass.
type Healing struct {
	Runs  int    `json:"runs"`            // of the interpreter
	Why   string `json:"why,omitempty"`   // why it did not help, with what was tried; "" when it did
	Cause string `json:"cause,omitempty"` // what would help, when that was found
}

// Probe is what the interpreter said.
type Probe struct {
	Status      ProbeStatus `json:"status"`
	Interpreter string      `json:"interpreter,omitempty"`
	Reason      string      `json:"reason,omitempty"` // why it was not probed
	// of the stack, the jobs and the interpreter: the same key need not be asked again
	Key      digest.SHA256  `json:"key,omitzero"`
	Stack    []string       `json:"stack,omitempty"`
	Modules  int            `json:"modules"`
	Metadata int            `json:"metadata"`
	Scripts  int            `json:"scripts"`
	Failures []probe.Result `json:"failures,omitempty"`
	Skipped  []probe.Result `json:"skipped,omitempty"` // they need what the layer chose to leave out
	// "kind name" of a failure that is there unpruned too -> the distribution that it comes from:
	// "lxml 6.1.0"
	Causes  map[string]string `json:"causes,omitempty"`
	Healing *Healing          `json:"healing,omitempty"`
	Import  *ImportComparison `json:"import,omitempty"`
}

// Cause is the distribution that a failure comes from, "" when it is not known or when pruning is
// at fault.
func (p Probe) Cause(f probe.Result) string { return p.Causes[string(f.Kind)+" "+f.Name] }

// ProbeStatus is the outcome of a probe.
type ProbeStatus string

// The outcomes.
const (
	NotProbed   ProbeStatus = "not probed"
	ProbePassed ProbeStatus = "passed"
	ProbeFailed ProbeStatus = "failed"
)

// ImportComparison is the import time of the layer's entry modules without and with bytecode.
type ImportComparison struct {
	Modules        []string      `json:"modules"`
	WithoutSeconds float64       `json:"withoutBytecodeSeconds"`
	WithSeconds    float64       `json:"withBytecodeSeconds"`
	PeakBytes      measure.Bytes `json:"peakBytes"`
}
