package engine

import (
	"testing"

	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/ziptree"
)

func TestGuessTarget(t *testing.T) {
	t.Parallel()
	elf := func(machine byte) string {
		return "\x7fELF\x02\x01\x01" + string(make([]byte, 11)) + string([]byte{machine, 0})
	}
	def, err := pydist.ParseTarget("python3.13-x86_64")
	if err != nil {
		t.Fatal(err)
	}

	type files map[string]string
	for sentence, tt := range map[string]struct {
		files files
		want  string
		told  bool
	}{
		"sources only":       {files{"python/a.py": ""}, "python3.13-x86_64", false},
		"an extension":       {files{"_a.cpython-311-aarch64-linux-gnu.so": elf(183)}, "python3.11-arm64", true},
		"the stable ABI":     {files{"_a.abi3.so": elf(183)}, "python3.13-arm64", true},
		"bytecode":           {files{"__pycache__/a.cpython-312.pyc": ""}, "python3.12-x86_64", true},
		"a folder":           {files{"python/lib/python3.11/site-packages/a.py": ""}, "python3.11-x86_64", true},
		"a Python of no use": {files{"__pycache__/a.cpython-36.pyc": "", "a.so": elf(183)}, "python3.13-arm64", true},
		"another processor":  {files{"a.so": elf(40)}, "python3.13-x86_64", false},
		"the most files": {
			map[string]string{"a.cpython-311.pyc": "", "b.cpython-311.pyc": "", "c.cpython-312.pyc": ""},
			"python3.11-x86_64", true,
		},
	} {
		var entries []ziptree.Entry
		for name, content := range tt.files {
			entries = append(entries, ziptree.File(name, []byte(content), "test"))
		}

		tree, err := ziptree.New(entries)
		if err != nil {
			t.Fatal(err)
		}

		if got, told := GuessTarget(tree, def); got.String() != tt.want || told != tt.told {
			t.Errorf("%s: %s %v, want %s %v", sentence, got, told, tt.want, tt.told)
		}
	}
}
