package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/layersmith/layersmith/internal/tools/batch"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// entry is one distribution of the survey, as in distributions.yaml.
type entry struct {
	Name    string   `yaml:"name"`
	Version string   `yaml:"version"` // where the list is one of versions; "" for the newest
	Extras  []string `yaml:"extras"`  // of the requirement: psycopg[binary]
	With    []string `yaml:"with"`    // further requirements: a namespace is more than one distribution
	Imports []string `yaml:"imports"` // modules whose import is timed, for a namespace without a top-level module
	Probe   string   `yaml:"probe"`   // the layer's own probe.py, where no built-in script tests enough
	Spread  bool     `yaml:"spread"`  // built by every test run
	Twice   bool     `yaml:"twice"`   // of the spread: built in two places, and the bytes compared
}

// ID is the distribution's name.
func (e entry) ID() string { return e.Name }

// Check refuses what no test would build.
func (e entry) Check() error {
	if e.Twice && !e.Spread {
		return errors.New("twice without spread")
	}

	return nil
}

// requirements is the layer's requirements.txt. The lock has the versions.
func (e entry) requirements() string {
	own := e.Name
	if len(e.Extras) > 0 {
		own += "[" + strings.Join(e.Extras, ",") + "]"
	}

	if e.Version != "" {
		own += "==" + e.Version
	}

	return strings.Join(append([]string{own}, e.With...), "\n") + "\n"
}

// layer is the distribution's workspace. spec is the beginning of its layer.yaml.
func (e entry) layer(spec string, lock []byte) onelayer.Layer {
	if len(e.Imports) > 0 {
		spec += "imports: [" + strings.Join(e.Imports, ", ") + "]\n"
	}

	return onelayer.Layer{Name: e.Name, Requirements: e.requirements(), Spec: spec, Probe: e.Probe, Lock: lock}
}

// choose returns part of the list in the list's order: the first ones, the spread, or named ones.
func choose(entries []entry, only string) ([]entry, error) {
	if only == "spread" {
		var spread []entry
		for _, e := range entries {
			if e.Spread {
				spread = append(spread, e)
			}
		}

		return spread, nil
	}

	n, err := strconv.Atoi(only)
	if err != nil {
		return batch.Select(entries, only)
	}

	if n < 1 || n > len(entries) {
		return nil, fmt.Errorf("-only %d: the list has %d", n, len(entries))
	}

	return entries[:n], nil
}
