package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// cfn-lint checks resources, policies and the state machine's definition by AWS's specifications.
// W2531 is the retirement of provided.al2, of which the stack warns itself.
func TestTemplatesPassCfnLint(t *testing.T) {
	lint := tool(t, "LAYERSMITH_CFN_LINT", "cfn-lint/bin/cfn-lint")
	for name, a := range map[string]*assembly{"plain": plainStack(t), "all": allStack(t)} {
		file := filepath.Join(t.TempDir(), name+".template.json")
		if err := os.WriteFile(file, []byte(a.text), 0o644); err != nil {
			t.Fatal(err)
		}

		command := exec.Command(lint, "--regions", "us-east-1", "--ignore-checks", "W2531", "--", file)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	broken := filepath.Join(t.TempDir(), "broken.template.json")
	template := `{"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"Buckets": 1}}}}`
	if err := os.WriteFile(broken, []byte(template), 0o644); err != nil {
		t.Fatal(err)
	}

	if exec.Command(lint, "--", broken).Run() == nil {
		t.Error("cfn-lint accepts a property that does not exist")
	}
}

// tool returns the path of a program that `make tools` installs, or the one in an environment
// variable.
func tool(t *testing.T, variable, below string) string {
	t.Helper()
	if path := os.Getenv(variable); path != "" {
		return path
	}

	path, err := filepath.Abs(filepath.Join("..", ".tools", below))
	if err == nil {
		_, err = os.Stat(path)
	}

	if err != nil {
		t.Fatalf("%v\nhint: run: make tools", err)
	}

	return path
}
