package probe

import (
	"fmt"
	"io/fs"
	"testing"

	"github.com/layersmith/layersmith/internal/pydist"
)

func TestScriptsSayForWhichVersionsTheySpeak(t *testing.T) {
	t.Parallel()
	err := fs.WalkDir(scripts, "scripts", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}

		b, err := fs.ReadFile(scripts, name)
		if err != nil {
			return err
		}

		if _, err := versionsOf(string(b)); err != nil {
			t.Errorf("%s: %v", name, err)
		}

		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	for source, want := range map[string]string{
		"\"\"\"x\"\"\"\n":                          "1.0 2.0 3.0rc1",
		"\"\"\"x\"\"\"\n# versions: >=2\nimport x": "2.0 3.0rc1",
		"\"\"\"x\"\"\"\n# versions:<2":             "1.0",
		"print('# versions: <2')":                  "1.0 2.0 3.0rc1",
	} {
		s, err := versionsOf(source)
		if err != nil {
			t.Errorf("%q: %v", source, err)
		}

		got := ""
		for _, text := range []string{"1.0", "2.0", "3.0rc1"} {
			v, err := pydist.ParseVersion(text)
			if err != nil {
				t.Fatal(err)
			}

			if s.Contains(v) {
				got += " " + text
			}
		}

		if got != " "+want {
			t.Errorf("%q speaks for%s, want %s", source, got, want)
		}
	}

	if _, err := versionsOf("# versions: new"); err == nil {
		t.Error("a line that is no specifier was accepted")
	}
}

func TestScriptsOfAVersion(t *testing.T) {
	t.Parallel()
	n, err := pydist.ParseName("pydantic")
	if err != nil {
		t.Fatal(err)
	}

	for version, want := range map[string]int{"1.9.0": 0, "2.12.0": 1} {
		v, err := pydist.ParseVersion(version)
		if err != nil {
			t.Fatal(err)
		}

		if got := Scripts(n, v); len(got) != want {
			t.Errorf("%d scripts speak for pydantic %s, want %d", len(got), version, want)
		}
	}

	if len(Scripts(n, pydist.Version{})) != 1 {
		t.Error("without a version, a script is missing")
	}
}

func TestWhatDecides(t *testing.T) {
	t.Parallel()
	got := ""
	for _, inherited := range []bool{false, true} {
		for _, j := range []Job{
			{Kind: Module, Name: "m"},
			{Kind: Script, Name: "numpy/arrays"},
			{Kind: Script, Name: "probe.py"},
		} {
			got += fmt.Sprint(Result{Job: j, Inherited: inherited}.Decides(), " ")
		}
	}

	if want := "true true true false false true "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
