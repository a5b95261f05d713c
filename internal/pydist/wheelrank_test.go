package pydist

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"
)

// The order of packaging.tags, as packaging itself gives it. The file has the triples of
// python3.13 on glibc 2.34, best first: see testdata/tags.py.
func TestRankIsTheOrderOfPackaging(t *testing.T) {
	t.Parallel()
	target := mustTarget(t, "python3.13-x86_64")
	f, err := os.Open("testdata/tags-cp313-x86_64.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var wheels []WheelName
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w, err := ParseWheelName("a-1-" + lines.Text() + ".whl")
		if err != nil {
			t.Fatal(err)
		}

		if !target.Supports(w) {
			continue // what installers accept of old tools, and the target refuses
		}

		wheels = append(wheels, w)
	}

	if len(wheels) < 500 {
		t.Fatalf("only %d triples", len(wheels))
	}

	for i := 1; i < len(wheels); i++ {
		if target.rank(wheels[i-1]).compare(target.rank(wheels[i])) >= 0 {
			t.Errorf("%s ranks behind %s", wheels[i-1], wheels[i])
		}
	}
}

func mustTarget(t *testing.T, s string) Target {
	t.Helper()
	target, err := ParseTarget(s)
	if err != nil {
		t.Fatal(err)
	}

	return target
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		target string
		wheels string
		want   string
	}{
		"a native wheel before a pure one": {
			wheels: "a-1-py2.py3-none-any a-1-py2.py3-none-manylinux_2_17_x86_64 a-1-py2.py3-none-win32",
			want:   "a-1-py2.py3-none-manylinux_2_17_x86_64",
		},
		"the python of the target": {
			wheels: "a-1-py310-none-manylinux1_x86_64 a-1-py313-none-manylinux1_x86_64 " +
				"a-1-py314-none-manylinux1_x86_64",
			want: "a-1-py313-none-manylinux1_x86_64",
		},
		"the higher build": {
			wheels: "a-1-2-py3-none-any a-1-10-py3-none-any a-1-py3-none-any a-1-9zz-py3-none-any",
			want:   "a-1-10-py3-none-any",
		},
		"builds with text": {
			wheels: "a-1-1b-py3-none-any a-1-1-py3-none-any a-1-1a-py3-none-any",
			want:   "a-1-1b-py3-none-any",
		},
		"its own ABI before the stable one": {
			wheels: "a-1-cp39-abi3-manylinux_2_28_x86_64 a-1-cp313-cp313-manylinux_2_17_x86_64",
			want:   "a-1-cp313-cp313-manylinux_2_17_x86_64",
		},
		"the newest glibc that the runtime has": {
			wheels: "a-1-cp313-cp313-manylinux_2_17_x86_64 a-1-cp313-cp313-manylinux_2_28_x86_64 " +
				"a-1-cp313-cp313-manylinux_2_39_x86_64",
			want: "a-1-cp313-cp313-manylinux_2_28_x86_64",
		},
		"the best of a compressed set": {
			wheels: "a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64 " +
				"a-1-cp313-cp313-manylinux1_x86_64.manylinux_2_28_x86_64",
			want: "a-1-cp313-cp313-manylinux1_x86_64.manylinux_2_28_x86_64",
		},
		"no tags of other systems": {
			wheels: "a-1-cp313-cp313-musllinux_1_2_x86_64 a-1-cp313-cp313-macosx_11_0_universal2 " +
				"a-1-cp313-cp313t-manylinux_2_17_x86_64",
		},
		"another architecture": {
			target: "python3.11-arm64",
			wheels: "a-1-cp311-cp311-manylinux_2_17_x86_64 a-1-cp311-cp311-manylinux2014_aarch64 a-1-py3-none-any",
			want:   "a-1-cp311-cp311-manylinux2014_aarch64",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.target == "" {
				tt.target = "python3.13-x86_64"
			}

			var wheels []WheelName
			for _, s := range strings.Fields(tt.wheels) {
				w, err := ParseWheelName(s + ".whl")
				if err != nil {
					t.Fatal(err)
				}

				wheels = append(wheels, w)
			}

			for range 2 {
				got, ok := mustTarget(t, tt.target).Choose(wheels)
				if want := tt.want != ""; ok != want || ok && got.String() != tt.want+".whl" {
					t.Errorf("got %s, %t; want %s", got, ok, tt.want)
				}

				slices.Reverse(wheels) // the order of the index does not matter
			}
		})
	}
}
