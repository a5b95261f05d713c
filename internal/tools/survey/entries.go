package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/layersmith/layersmith/internal/tools/onelayer"
)

// entry is one distribution of the survey, as distributions.yaml has it.
type entry struct {
	Name    string   `yaml:"name"`
	Extras  []string `yaml:"extras"`  // of the requirement: psycopg[binary]
	With    []string `yaml:"with"`    // requirements besides: a namespace is more than one distribution
	Imports []string `yaml:"imports"` // what import time is measured on, where a namespace has no module at the top
	Probe   string   `yaml:"probe"`   // the layer's own probe.py: what no built-in script asks
	Spread  bool     `yaml:"spread"`  // built by every test run
	Twice   bool     `yaml:"twice"`   // of the spread: built in two places, for equal bytes
}

// requirements is the layer's requirements.txt. Versions are the lock's.
func (e entry) requirements() string {
	own := e.Name
	if len(e.Extras) > 0 {
		own += "[" + strings.Join(e.Extras, ",") + "]"
	}

	return strings.Join(append([]string{own}, e.With...), "\n") + "\n"
}

var entryName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// readEntries reads the list, strictly.
func readEntries(file string) ([]entry, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}

	var entries []entry
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(&entries); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}

	seen := map[string]bool{}
	for i, e := range entries {
		switch {
		case !entryName.MatchString(e.Name):
			return nil, fmt.Errorf(
				"read %s: entry %d: %q is not a normalized name: small letters, digits and single hyphens",
				file,
				i+1,
				e.Name,
			)
		case seen[e.Name]:
			return nil, fmt.Errorf("read %s: %s is there twice", file, e.Name)
		case e.Twice && !e.Spread:
			return nil, fmt.Errorf("read %s: %s is built twice and not in the spread", file, e.Name)
		}

		seen[e.Name] = true
	}

	return entries, nil
}

// choose takes a part of the list, in the list's order.
func choose(entries []entry, only string) ([]entry, error) {
	if only == "" {
		return entries, nil
	}

	if n, err := strconv.Atoi(only); err == nil {
		if n < 1 || n > len(entries) {
			return nil, fmt.Errorf("-only %d: the list has %d", n, len(entries))
		}

		return entries[:n], nil
	}

	wanted := map[string]bool{}
	if only != "spread" {
		for _, name := range strings.Split(only, ",") {
			wanted[name] = true
		}
	}

	var some []entry
	for _, e := range entries {
		if only == "spread" && e.Spread || wanted[e.Name] {
			some = append(some, e)
			delete(wanted, e.Name)
		}
	}

	for name := range wanted {
		return nil, fmt.Errorf("-only: %q is not in the list", name)
	}

	return some, nil
}

// layer is the workspace of the distribution; more is what else layer.yaml says.
func (e entry) layer(more string, lock []byte) onelayer.Layer {
	if len(e.Imports) > 0 {
		more += "imports: [" + strings.Join(e.Imports, ", ") + "]\n"
	}

	return onelayer.Layer{Name: e.Name, Requirements: e.requirements(), Spec: more, Probe: e.Probe, Lock: lock}
}
