package prune

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLibraryNames(t *testing.T) {
	t.Parallel()
	in := []byte("\x00/usr/lib/libjvm.so\x00%s/lib-a+b.so.1.2\x00x.sol\x00.so\x00libx.so\x00libx.so.so\x00libx.so\x00" +
		"ends in liby.so.3")
	want := []string{"lib-a+b.so.1.2", "libjvm.so", "libx.so", "libx.so.so", "liby.so.3"}
	if diff := cmp.Diff(want, libraryNames(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	long := append(make([]byte, 0, 2000), "\x00"...)
	for range 500 {
		long = append(long, "a.b"...)
	}

	libraryNames(append(long, ".so"...)) // linear, and no name
}

func TestWordsOfSources(t *testing.T) {
	t.Parallel()
	words := map[string]bool{}
	addWords(words, []byte("CDLL(f\"{folder}/lib{name}.so.1\", 'liby.so.2') # z\nload(\"openblas\")"))
	for _, want := range []string{"CDLL", "folder", "lib", "name", "liby", "z", "openblas", "load"} {
		if !words[want] {
			t.Errorf("%q is not among %q", want, slices.Sorted(maps.Keys(words)))
		}
	}

	if words["liby.so.2"] || words[""] {
		t.Errorf("%q", slices.Sorted(maps.Keys(words)))
	}
}
