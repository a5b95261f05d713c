package sharedobj

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Programs that this machine has, stripped, run as before: this test itself and the go command (not
// position-independent, static, with the tables of Go's runtime), a shell and, if there is one, uv
// (position-independent, of Rust).
func TestStrippedProgramsRun(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	stripped := 0
	for _, command := range [][]string{
		{own, "-test.run=^TestMachineIsNamedAsInWheelTags$"},
		{"go", "version"},
		{"sh", "-c", "echo works"},
		{"ls", "/"},
		{"uv", "--version"},
	} {
		file, err := exec.LookPath(command[0])
		if err != nil {
			t.Logf("%s: %v", command[0], err)
			continue
		}

		before, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}

		if !Is(before) {
			continue // a script
		}

		after, err := Strip(before)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}

		if err := SameLoaded(before, after); err != nil {
			t.Errorf("%s: %v", file, err)
		}

		t.Logf("%s: %d bytes to %d", file, len(before), len(after))
		if len(after) < len(before) {
			stripped++
		}

		run(t, after, command)
	}

	if stripped == 0 {
		t.Error("no program got smaller: the test shows nothing")
	}
}

// run compares what a stripped program prints with what the program prints.
func run(t *testing.T, program []byte, command []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), filepath.Base(command[0]))
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}

	want, err := exec.Command(command[0], command[1:]...).Output()
	if err != nil {
		t.Fatalf("%q does not run as it is: %v", command, err)
	}

	cmd := exec.Command(file, command[1:]...)
	if command[0] == "go" {
		cmd.Env = append(os.Environ(), "GOROOT="+goroot(t), "GOTOOLCHAIN=local")
	}

	got, err := cmd.CombinedOutput()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q stripped: %v\n%s\nbefore:\n%s", command, err, got, want)
	}
}

func goroot(t *testing.T) string {
	t.Helper()
	b, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}

	return string(bytes.TrimSpace(b))
}
