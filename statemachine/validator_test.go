package statemachine_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/statemachine"
)

// asl-validator checks the definition against a schema of the States Language, and that every state
// can be reached.
func TestDefinitionPassesAslValidator(t *testing.T) {
	validator, err := filepath.Abs("../.tools/node/node_modules/.bin/asl-validator")
	if err == nil {
		_, err = os.Stat(validator)
	}

	if err != nil {
		t.Fatalf("%v\nhint: run: make tools", err)
	}

	values := []string{"${" + statemachine.BuildProject + "}", "layersmith-build"}
	for _, f := range statemachine.Functions() {
		values = append(values, "${"+f+"}", "arn:aws:lambda:us-east-1:123456789012:function:layersmith-"+f)
	}

	definition := strings.NewReplacer(values...).Replace(statemachine.Definition())
	if strings.Contains(definition, "${") {
		t.Fatalf("a placeholder is left in the definition:\n%s", definition)
	}

	for name, c := range map[string]struct {
		definition string
		good       bool
	}{
		"ours":                        {definition, true},
		"one without its first state": {`{"StartAt": "A", "States": {"B": {"Type": "Succeed"}}}`, false},
	} {
		file := filepath.Join(t.TempDir(), "pipeline.asl.json")
		if err := os.WriteFile(file, []byte(c.definition), 0o644); err != nil {
			t.Fatal(err)
		}

		out, err := exec.Command(validator, "--json-path", file).CombinedOutput()
		if (err == nil) != c.good {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}
