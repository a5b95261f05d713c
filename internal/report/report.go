// Package report describes a build: the stored document report.json, each layer's manifest, and the
// text for people. The text is printed from the document alone.
package report

import (
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/gate"
	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/probe"
)

// SchemaVersion is raised when a program that knows the old version would misread the new one.
const SchemaVersion = 1

// Report is one build: dist/report.json.
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
	Key           digest.SHA256   `json:"key,omitzero"` // digest of all inputs: the same key gives the same zip
	Inputs        Inputs          `json:"inputs,omitzero"`
	Zip           File            `json:"zip"`
	Before        measure.Size    `json:"before"` // installed, without bytecode
	After         measure.Size    `json:"after"`
	Removed       measure.Sizes   `json:"removed"` // by rule: dropped files, and bytes saved by transforms
	Bytecode      Bytecode        `json:"bytecode"`
	Packages      measure.Sizes   `json:"packages"` // by distribution
	Kinds         measure.Sizes   `json:"kinds"`
	Largest       []Sized         `json:"largest"`
	Budget        measure.Budget  `json:"budget"`
	Verdict       measure.Verdict `json:"verdict"`
	Gate          []gate.Finding  `json:"gate"`
	Allowed       []Allowed       `json:"allowed,omitempty"`
	Probe         Probe           `json:"probe"`
	Choices       []Choice        `json:"choices,omitempty"`
	Healed        []Healed        `json:"healed,omitempty"`   // by this build
	Warnings      []string        `json:"warnings,omitempty"` // always printed; Notes with --verbose
	Remarks       []string        `json:"remarks,omitempty"`  // what its users should know or do
	Notes         []string        `json:"notes,omitempty"`
	Explained     *Explained      `json:"explained,omitempty"` // by check --explain
}

// Inputs are the digests and settings that decide the bytes of a layer.
type Inputs struct {
	Wheels       []Wheel           `json:"wheels"`
	LayerSpec    digest.SHA256     `json:"layerSpecSha256,omitzero"`
	Policy       digest.SHA256     `json:"policySha256,omitzero"`
	Rules        map[string]int    `json:"rules"` // versions of the enabled rules
	Transforms   map[string]string `json:"transforms"`
	Compression  string            `json:"compression"`
	Interpreter  string            `json:"interpreter,omitempty"`
	BytecodeMode string            `json:"bytecodeMode"`
}

// Wheel is one distribution in the layer.
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

// Bytecode is the bytecode mode of a layer, the reason for it, and the size of its .pyc files.
type Bytecode struct {
	Partial bool         `json:"partial,omitempty"` // some or all of it was left out: no interpreter, or over budget
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

// Choice is an entry of layer.yaml that overrides the policy.
type Choice struct {
	What   string `json:"what"` // keep, drop, rule on, rule off
	Which  string `json:"which"`
	Reason string `json:"reason"`
}

// Healed is one entry that healing added to a layer's keep list: pruning had removed or changed the
// files, and a probe failed without them.
type Healed struct {
	Match  string        `json:"match"` // pattern in the keep list
	Files  int           `json:"files"`
	Bytes  measure.Bytes `json:"unzippedBytes"` // of those files
	Rules  []string      `json:"rules"`         // that removed or changed them
	Why    string        `json:"why"`           // "script probe.py fails without it"
	Reason string        `json:"reason"`        // in the keep list: why, and the date
	File   string        `json:"file"`          // the changed file, relative to the workspace
}

// Healing is an attempt to make a probe pass.
type Healing struct {
	Runs  int    `json:"runs"`            // of the interpreter
	Why   string `json:"why,omitempty"`   // why it failed, with what was tried; "" when it helped
	Cause string `json:"cause,omitempty"` // the change that would help, if known
}

// Probe is the outcome of running the target's interpreter against a layer.
type Probe struct {
	Status      ProbeStatus `json:"status"`
	Interpreter string      `json:"interpreter,omitempty"`
	Reason      string      `json:"reason,omitempty"` // why it was not probed
	// digest of the stack, the jobs and the interpreter, under which the outcome is cached
	Key      digest.SHA256  `json:"key,omitzero"`
	Stack    []string       `json:"stack,omitempty"`
	Modules  int            `json:"modules"`
	Metadata int            `json:"metadata"`
	Scripts  int            `json:"scripts"`
	Swept    int            `json:"swept,omitempty"`  // further modules of distributions that pruning changed
	Broken   []string       `json:"broken,omitempty"` // of these, modules that the unpruned layer cannot import either
	World    string         `json:"world,omitempty"`  // what of Lambda's world this machine could not give
	Failures []probe.Result `json:"failures,omitempty"`
	Skipped  []probe.Result `json:"skipped,omitempty"` // they need what the layer excludes
	// of failures that the unpruned layer has too: "kind name" -> distribution, "lxml 6.1.0"
	Causes  map[string]string `json:"causes,omitempty"`
	Healing *Healing          `json:"healing,omitempty"`
	Import  *ImportComparison `json:"import,omitempty"`
}

// Cause is the distribution that causes a failure; "" when it is unknown or when pruning is the
// cause.
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
