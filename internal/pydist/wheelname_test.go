package pydist

import (
	"slices"
	"strings"
	"testing"
)

func TestParseWheelName(t *testing.T) {
	const wantParts = "separated by dashes; expected 5, or 6 with a build number"
	for sentence, tt := range map[string]struct {
		in                                         string
		dist, version, build, pythons, abis, plats string
		err                                        string
	}{
		"two manylinux tags": {in: "numpy-2.5.5-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
			dist: "numpy", version: "2.5.5", pythons: "cp313", abis: "cp313",
			plats: "manylinux_2_27_x86_64 manylinux_2_28_x86_64"},
		"pure, for two Pythons": {in: "python_dateutil-2.9.0.post0-py2.py3-none-any.whl",
			dist: "python-dateutil", version: "2.9.0.post0", pythons: "py2 py3", abis: "none", plats: "any"},
		"abi3": {in: "cryptography-42.0.5-cp39-abi3-manylinux_2_28_aarch64.whl",
			dist: "cryptography", version: "42.0.5", pythons: "cp39", abis: "abi3", plats: "manylinux_2_28_aarch64"},
		"a local version": {in: "torch-2.3.0+cu118-cp311-cp311-linux_x86_64.whl",
			dist: "torch", version: "2.3.0+cu118", pythons: "cp311", abis: "cp311", plats: "linux_x86_64"},
		"a local version with an underscore for a dash": {in: "foo-1.0+ubuntu_1-py3-none-any.whl",
			dist: "foo", version: "1.0+ubuntu_1", pythons: "py3", abis: "none", plats: "any"},
		"a post release with an underscore for a dash": {in: "foo-1.0_1-py3-none-any.whl",
			dist: "foo", version: "1.0-1", pythons: "py3", abis: "none", plats: "any"},
		"an epoch": {in: "foo-1!2.0-py3-none-any.whl",
			dist: "foo", version: "1!2.0", pythons: "py3", abis: "none", plats: "any"},
		"a build number": {in: "distribution-1.0-1build_2-py27-none-any.whl",
			dist: "distribution", version: "1.0", build: "1build_2", pythons: "py27", abis: "none", plats: "any"},
		"a dot in the name and capitals": {in: "Ruamel.YAML-0.18-PY3-None-Any.whl",
			dist: "ruamel-yaml", version: "0.18", pythons: "py3", abis: "none", plats: "any"},
		"a source archive": {in: "foo-1.0.tar.gz", err: `wheel name "foo-1.0.tar.gz": does not end in .whl`},
		"a name with a dash": {
			in:  "scikit-learn-1.0-1-py3-none-any.whl",
			err: `wheel name "scikit-learn-1.0-1-py3-none-any.whl": has 7 parts ` + wantParts,
		},
		"too few parts": {
			in:  "foo-1.0-py3-none.whl",
			err: `wheel name "foo-1.0-py3-none.whl": has 4 parts ` + wantParts,
		},
		"a build without a number": {
			in:  "foo-1.0-beta-py3-none-any.whl",
			err: `wheel name "foo-1.0-beta-py3-none-any.whl": build number "beta" does not begin with a digit`,
		},
		"no version": {
			in: "foo-x-py3-none-any.whl",
			err: `wheel name "foo-x-py3-none-any.whl": version "x": ` +
				`not a PEP 440 version such as 1.2.3, 2.0rc1 or 1.0.post1`,
		},
		"an empty tag": {
			in: "foo-1-py3.-none-any.whl",
			err: `wheel name "foo-1-py3.-none-any.whl": tag "py3.": ` +
				`expected letters, digits and '_', with '.' between tags`,
		},
		"a directory is not part of the name": {
			in:  "x/foo-1-py3-none-any.whl",
			err: `wheel name "x/foo-1-py3-none-any.whl": name "x/foo": ` + nameRule,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			w, err := ParseWheelName(tt.in)
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if err != nil {
				return
			}

			got := []string{w.String(), w.Distribution().String(), w.Version().String(), w.Build(),
				strings.Join(w.Pythons(), " "), strings.Join(w.ABIs(), " "), strings.Join(w.Platforms(), " ")}
			want := []string{tt.in, tt.dist, tt.version, tt.build, tt.pythons, tt.abis, tt.plats}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

func FuzzParseWheelName(f *testing.F) {
	for _, s := range []string{
		"numpy-2.5.5-cp313-cp313-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
		"foo-1!1.0+l_1-1a-py2.py3-none-any.whl",
		"foo-1.0_1-py3-none-any.whl", "a-1-cp3-abi3-manylinux_2_99999999999999999999_x86_64.whl", "-----.whl",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWheelName(s)
		if err != nil {
			return
		}

		if again, err := ParseWheelName(w.String()); err != nil || again != w {
			t.Fatalf("%q again: %v, %v", s, again, err)
		}

		// The same wheel, spelled from its parts.
		parts := []string{
			strings.ReplaceAll(w.Distribution().String(), "-", "_"),
			strings.ReplaceAll(w.Version().Normalized(), "-", "_"),
		}
		if w.Build() != "" {
			parts = append(parts, w.Build())
		}

		parts = append(
			parts,
			strings.Join(w.Pythons(), "."),
			strings.Join(w.ABIs(), "."),
			strings.Join(w.Platforms(), "."),
		)
		built, err := ParseWheelName(strings.Join(parts, "-") + ".whl")
		if err != nil || built.Distribution() != w.Distribution() || built.Version().Compare(w.Version()) != 0 ||
			built.Build() != w.Build() {
			t.Fatalf("%q from its parts: %v, %v", s, built, err)
		}

		for _, target := range Targets() {
			if target.Supports(w) != target.Supports(built) {
				t.Fatalf("%s does not support both %q and %q", target, w, built)
			}
		}
	})
}
