package pydist

// OperatingSystem is the Linux distribution of a Lambda runtime's image.
type OperatingSystem string

const (
	AmazonLinux2    OperatingSystem = "Amazon Linux 2"
	AmazonLinux2023 OperatingSystem = "Amazon Linux 2023"
)

// lambdaRuntime holds what differs between Lambda's Python runtimes.
type lambdaRuntime struct {
	name       string // Lambda's runtime identifier
	system     OperatingSystem
	glibcMinor int    // of the operating system's C library; its major version is 2
	magic      uint16 // of the interpreter's bytecode files
}

// runtimes lists the supported runtimes, oldest first. A new runtime needs one new row. Sources:
//   - name and operating system: "Lambda runtimes" in the AWS Lambda Developer Guide;
//   - glibc: the package glibc of that operating system;
//   - magic number: the value of the released CPython, MAGIC_NUMBER in
//     Lib/importlib/_bootstrap_external.py up to 3.13, PYC_MAGIC_NUMBER in
//     Include/internal/pycore_magic_number.h from 3.14.
var runtimes = []lambdaRuntime{
	{"python3.9", AmazonLinux2, 26, 3425},
	{"python3.10", AmazonLinux2, 26, 3439},
	{"python3.11", AmazonLinux2, 26, 3495},
	{"python3.12", AmazonLinux2023, 34, 3531},
	{"python3.13", AmazonLinux2023, 34, 3571},
	{"python3.14", AmazonLinux2023, 34, 3627},
}

// findRuntime returns the row of a runtime.
func findRuntime(name string) (lambdaRuntime, bool) {
	for _, r := range runtimes {
		if r.name == name {
			return r, true
		}
	}

	return lambdaRuntime{}, false
}

func runtimeNames() (names []string) {
	for _, r := range runtimes {
		names = append(names, r.name)
	}

	return names
}

// OperatingSystem is that of the runtime's image, "" for the zero Target.
func (t Target) OperatingSystem() OperatingSystem {
	r, _ := findRuntime(t.runtime)
	return r.system
}

// Glibc is the version of the C library of the runtime's operating system, 0.0 for the zero Target.
func (t Target) Glibc() (major, minor int) {
	r, ok := findRuntime(t.runtime)
	if !ok {
		return 0, 0
	}

	return 2, r.glibcMinor
}

// MagicNumber is the number at the start of the bytecode files (.pyc) that the runtime's
// interpreter loads, 0 for the zero Target.
func (t Target) MagicNumber() uint16 {
	r, _ := findRuntime(t.runtime)
	return r.magic
}
