package pydist

import (
	"fmt"
	"testing"
)

func TestParseTarget(t *testing.T) {
	const runtimes = "known: python3.9, python3.10, python3.11, python3.12, python3.13, python3.14"
	for sentence, tt := range map[string]struct{ in, err string }{
		"a runtime and an architecture": {in: "python3.13-x86_64"},
		"unknown architecture names the known ones": {
			in:  "python3.13-mips",
			err: `target "python3.13-mips": unknown architecture; known: arm64, x86_64`,
		},
		"Linux's name for arm64 is not Lambda's": {
			in:  "python3.13-aarch64",
			err: `target "python3.13-aarch64": unknown architecture; known: arm64, x86_64`,
		},
		"a bare runtime suggests architectures": {
			in:  "python3.13",
			err: `target "python3.13": architecture missing; write python3.13-arm64 or python3.13-x86_64`,
		},
		"a dash without an architecture": {
			in:  "python3.13-",
			err: `target "python3.13-": unknown architecture; known: arm64, x86_64`,
		},
		"unknown runtime names the known ones": {
			in:  "python3.8-arm64",
			err: `target "python3.8-arm64": unknown runtime; ` + runtimes,
		},
		"runtimes of other languages are refused": {
			in:  "nodejs22.x",
			err: `target "nodejs22.x": unknown runtime; ` + runtimes,
		},
		"empty is refused": {in: "", err: `target "": unknown runtime; ` + runtimes},
		"capitals are refused: one value, one text": {
			in:  "Python3.13-x86_64",
			err: `target "Python3.13-x86_64": unknown runtime; ` + runtimes,
		},
		"space around it is refused for the same reason": {
			in:  "python3.13-x86_64 ",
			err: `target "python3.13-x86_64 ": unknown architecture; known: arm64, x86_64`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseTarget(tt.in)
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if err == nil && got.String() != tt.in {
				t.Errorf("String() = %q, want %q", got, tt.in)
			}
		})
	}
}

func TestTargetFacts(t *testing.T) {
	want := map[string]string{
		"python3.9-arm64":   "python3.9 3.9 arm64 2.26 aarch64-manylinux_2_17 cpython-39 3425 Amazon Linux 2",
		"python3.9-x86_64":  "python3.9 3.9 x86_64 2.26 x86_64-manylinux_2_17 cpython-39 3425 Amazon Linux 2",
		"python3.10-arm64":  "python3.10 3.10 arm64 2.26 aarch64-manylinux_2_17 cpython-310 3439 Amazon Linux 2",
		"python3.10-x86_64": "python3.10 3.10 x86_64 2.26 x86_64-manylinux_2_17 cpython-310 3439 Amazon Linux 2",
		"python3.11-arm64":  "python3.11 3.11 arm64 2.26 aarch64-manylinux_2_17 cpython-311 3495 Amazon Linux 2",
		"python3.11-x86_64": "python3.11 3.11 x86_64 2.26 x86_64-manylinux_2_17 cpython-311 3495 Amazon Linux 2",
		"python3.12-arm64":  "python3.12 3.12 arm64 2.34 aarch64-manylinux_2_34 cpython-312 3531 Amazon Linux 2023",
		"python3.12-x86_64": "python3.12 3.12 x86_64 2.34 x86_64-manylinux_2_34 cpython-312 3531 Amazon Linux 2023",
		"python3.13-arm64":  "python3.13 3.13 arm64 2.34 aarch64-manylinux_2_34 cpython-313 3571 Amazon Linux 2023",
		"python3.13-x86_64": "python3.13 3.13 x86_64 2.34 x86_64-manylinux_2_34 cpython-313 3571 Amazon Linux 2023",
		"python3.14-arm64":  "python3.14 3.14 arm64 2.34 aarch64-manylinux_2_34 cpython-314 3627 Amazon Linux 2023",
		"python3.14-x86_64": "python3.14 3.14 x86_64 2.34 x86_64-manylinux_2_34 cpython-314 3627 Amazon Linux 2023",
	}
	all := Targets()
	if len(all) != len(want) {
		t.Errorf("%d targets, want %d", len(all), len(want))
	}

	for _, target := range all {
		if again, err := ParseTarget(target.String()); err != nil || again != target {
			t.Errorf("%s again: %s, %v", target, again, err)
		}

		major, minor := target.Glibc()
		got := fmt.Sprintf("%s %s %s %d.%d %s %s %d %s",
			target.Runtime(), target.PythonVersion(), target.Arch(), major, minor, target.UVPlatform(),
			target.CacheTag(), target.MagicNumber(), target.OperatingSystem())
		if got != want[target.String()] {
			t.Errorf("%s: %s\nwant %s", target, got, want[target.String()])
		}
	}

	var zero Target
	if zero.String()+zero.Runtime()+zero.PythonVersion()+zero.Arch()+zero.UVPlatform()+zero.CacheTag() != "" {
		t.Error("the zero target has facts")
	}

	major, minor := zero.Glibc()
	if major != 0 || minor != 0 || zero.MagicNumber() != 0 || zero.OperatingSystem() != "" {
		t.Error("the zero target has a runtime")
	}
}

func TestTargetSupports(t *testing.T) {
	const x86, arm, old = "python3.13-x86_64", "python3.13-arm64", "python3.11-x86_64"
	for sentence, tt := range map[string]struct {
		target, tags string
		want         bool
	}{
		"pure":                    {x86, "py3-none-any", true},
		"pure for two Pythons":    {arm, "py2.py3-none-any", true},
		"pure for Python 2":       {x86, "py2-none-any", false},
		"pure for an older minor": {x86, "py39-none-any", true},
		"pure for a newer minor":  {x86, "py314-none-any", false},
		"own interpreter and ABI": {
			x86, "cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64", true,
		},
		"another interpreter":                      {x86, "cp312-cp312-manylinux_2_17_x86_64", false},
		"free-threaded ABI":                        {x86, "cp313-cp313t-manylinux_2_17_x86_64", false},
		"PyPy":                                     {x86, "pp310-pypy310_pp73-manylinux_2_17_x86_64", false},
		"stable ABI of an older minor":             {arm, "cp39-abi3-manylinux_2_28_aarch64", true},
		"stable ABI of a newer minor":              {old, "cp312-abi3-manylinux_2_17_x86_64", false},
		"stable ABI before there was one":          {x86, "cp31-abi3-manylinux_2_17_x86_64", false},
		"several interpreters with the stable ABI": {x86, "cp38.cp39.cp310-abi3-manylinux2014_x86_64", true},
		"no ABI, own interpreter":                  {x86, "cp313-none-any", true},
		"no ABI, older interpreter":                {x86, "cp312-none-any", false},
		"a binary without Python's ABI":            {x86, "py3-none-manylinux_2_17_x86_64", true},
		"an ABI with the platform any":             {x86, "cp313-cp313-any", false},
		"glibc equal to the runtime's":             {x86, "cp313-cp313-manylinux_2_34_x86_64", true},
		"glibc newer than the runtime's":           {x86, "cp313-cp313-manylinux_2_35_x86_64", false},
		"glibc of Amazon Linux 2":                  {old, "cp311-cp311-manylinux_2_26_x86_64", true},
		"glibc newer than Amazon Linux 2":          {old, "cp311-cp311-manylinux_2_28_x86_64", false},
		"one of two glibcs is enough": {
			old, "cp311-cp311-manylinux_2_28_x86_64.manylinux_2_17_x86_64", true,
		},
		"manylinux1":                        {x86, "cp313-cp313-manylinux1_x86_64", true},
		"manylinux2010":                     {x86, "cp313-cp313-manylinux2010_x86_64", true},
		"manylinux2014":                     {arm, "cp313-cp313-manylinux2014_aarch64", true},
		"manylinux1 never was on arm":       {arm, "cp313-cp313-manylinux1_aarch64", false},
		"the other architecture":            {arm, "cp313-cp313-manylinux2014_x86_64", false},
		"32 bits":                           {x86, "cp313-cp313-manylinux2014_i686", false},
		"plain linux promises no C library": {x86, "cp313-cp313-linux_x86_64", false},
		"musl":                              {x86, "cp313-cp313-musllinux_1_2_x86_64", false},
		"macOS on the same chip":            {arm, "cp313-cp313-macosx_11_0_arm64", false},
		"a number with a leading zero":      {x86, "cp313-cp313-manylinux_2_017_x86_64", false},
		"a signed number":                   {x86, "cp313-cp313-manylinux_2__17_x86_64", false},
	} {
		t.Run(sentence, func(t *testing.T) {
			target, err := ParseTarget(tt.target)
			if err != nil {
				t.Fatal(err)
			}

			w, err := ParseWheelName("example-1.0-" + tt.tags + ".whl")
			if err != nil {
				t.Fatal(err)
			}

			if got := target.Supports(w); got != tt.want {
				t.Errorf("%s supports %s: %t, want %t", tt.target, tt.tags, got, tt.want)
			}

			if (Target{}).Supports(w) {
				t.Error("the zero target supports it")
			}
		})
	}
}
