package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// cfn-lint knows CloudFormation's resources, IAM's policies and the Amazon States Language as AWS
// publishes them. W2531 is the end of provided.al2, which the stack warns of itself.
func TestTemplatesPassCfnLint(t *testing.T) {
	lint := tool(t, "LAYERSMITH_CFN_LINT", "cfn-lint/bin/cfn-lint")
	for name, a := range map[string]*assembly{"plain": plainStack(t), "all": allStack(t)} {
		file := filepath.Join(t.TempDir(), name+".template.json")
		if err := os.WriteFile(file, []byte(a.text), 0o644); err != nil {
			t.Fatal(err)
		}

		if out, err := exec.Command(lint, "--regions", "us-east-1", "--ignore-checks", "W2531", "--", file).
			CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}

	broken := filepath.Join(t.TempDir(), "broken.template.json")
	if err := os.WriteFile(
		broken,
		[]byte(`{"Resources": {"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"Buckets": 1}}}}`),
		0o644,
	); err != nil {
		t.Fatal(err)
	}

	if exec.Command(lint, "--", broken).Run() == nil {
		t.Error("it finds nothing wrong with a property that does not exist")
	}
}

// tool is a program that make tools has installed.
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
