package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/layersmith/layersmith/internal/engine"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/lock"
	"github.com/layersmith/layersmith/internal/memport"
	"github.com/layersmith/layersmith/internal/place"
	"github.com/layersmith/layersmith/internal/pydist"
)

// assembleFrom makes a layer from the wheels of a store.
func assembleFrom(t *testing.T, store *memport.Wheels, dists ...lock.Distribution) (engine.Artifact, error) {
	a, err := engine.Assemble{Wheels: store, Cache: &memport.Cache{}}.
		Run(t.Context(), testTarget(t), place.Layer, dists)
	t.Cleanup(a.Close)
	return a, err
}

// assemble makes a layer from wheels that are called a, b, c...
func assemble(t *testing.T, wheels ...[]string) (engine.Artifact, error) {
	store := &memport.Wheels{}
	var dists []lock.Distribution
	for i, files := range wheels {
		n := string(rune('a' + i))
		content := wheelOf(t, n, "1.0", files...)
		store.Add(wheelName(n, "1.0"), content)
		dists = append(dists, locked(t, n, "1.0", content))
	}

	return assembleFrom(t, store, dists...)
}

func TestAssemble(t *testing.T) {
	t.Run("the files of wheels are in python/", func(t *testing.T) {
		a, err := assemble(t, []string{"a/__init__.py=x"}, []string{"b.py=y"})
		if err != nil {
			t.Fatal(err)
		}

		if _, ok := a.Tree.Lookup("python/a/__init__.py"); !ok || len(a.Distributions) != 2 || len(a.Indexes) != 2 {
			t.Errorf("%d files, %d distributions", a.Tree.Len(), len(a.Distributions))
		}
	})
	t.Run("the same file in two wheels is one", func(t *testing.T) {
		one := []string{"ns/__init__.py=same", "ns/a.py=1"}
		other := []string{"ns/__init__.py=same", "ns/b.py=1"}
		a, err := assemble(t, one, other)
		if err != nil {
			t.Fatal(err)
		}

		if a.Tree.Len() != 3+2*3 {
			t.Errorf("%d files", a.Tree.Len())
		}
	})
	t.Run("a file that is no wheel is refused", func(t *testing.T) {
		store := &memport.Wheels{}
		store.Add("a", []byte("not a zip"))
		_, err := assembleFrom(t, store, locked(t, "a", "1.0", []byte("not a zip")))
		wantFault(t, err, fault.CorruptArchive, "a==1.0")
	})
	t.Run("a wheel that was not fetched is named", func(t *testing.T) {
		_, err := assembleFrom(t, &memport.Wheels{}, locked(t, "a", "1.0", nil))
		wantFault(t, err, fault.BadInput, "a-1.0-py3-none-any.whl: not in the wheel store")
	})
}

// Of different files of one name the layer has that of the wheel that pip installs last.
func TestAssembleSettlesClashes(t *testing.T) {
	// Among wheels that require nothing, pip goes from the last name to the first.
	a, err := assemble(t, []string{"ns/it.py=a"}, []string{"ns/it.py=b"}, []string{"ns/it.py=c"})
	if err != nil {
		t.Fatal(err)
	}

	e, _ := a.Tree.Lookup("python/ns/it.py")
	if b, err := e.Bytes(100); err != nil || string(b) != "a" {
		t.Errorf("%q, %v", b, err)
	}

	for i, d := range a.Distributions {
		if owns := slices.Contains(d.Files, "ns/it.py"); owns != (i == 0) {
			t.Errorf("%s owns it: %t", d.Name, owns)
		}
	}

	if len(a.Clashes) != 2 {
		t.Errorf("clashes %v", a.Clashes)
	}
}

// Every clash names the wheel whose file the layer has. Files of the same content are none.
func TestAssembleNamesClashes(t *testing.T) {
	store := &memport.Wheels{}
	var dists []lock.Distribution
	for _, w := range []struct{ dist, content, requires string }{
		{"a", "1", ""}, {"b", "2", "a"}, {"c", "1", "b"}, {"d", "3", ""},
	} {
		content := wheelOf(t, w.dist, "1.0", "it.py="+w.content)
		store.Add(wheelName(w.dist, "1.0"), content)
		d := locked(t, w.dist, "1.0", content)
		if w.requires != "" {
			d.Requires = []pydist.Name{name(t, w.requires)}
		}

		dists = append(dists, d)
	}

	for range 2 {
		a, err := assembleFrom(t, store, dists...)
		if err != nil {
			t.Fatal(err)
		}

		var losers []string
		for _, c := range a.Clashes {
			losers = append(losers, c.Loser.String())
			if c.Winner.String() != "c" || c.Site != "it.py" {
				t.Errorf("%s: the layer has that of %s", c.Site, c.Winner)
			}
		}

		e, _ := a.Tree.Lookup("python/it.py")
		b, err := e.Bytes(100)
		if slices.Sort(losers); fmt.Sprint(losers) != "[b d]" || err != nil || string(b) != "1" {
			t.Errorf("%v lose, the layer has %q, %v", losers, b, err)
		}

		slices.Reverse(dists) // the order of the lock does not matter
	}
}
