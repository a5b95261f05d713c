package prune_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/policy"
	"github.com/layersmith/layersmith/internal/testenv/binaries"
)

// arrow is a distribution like pyarrow: Flight is large, and only functions ask for it.
func arrow(flightImporter string) source {
	elf := func(e binaries.ELF) string { e.Machine = "x86_64"; return string(e.Bytes()) }
	large := strings.Repeat("x", 11<<20)
	twin := elf(binaries.ELF{Soname: "libarrow.so.1"})
	const grpc, flight, base = "libgrpc.so.2", "libflight.so.1", "libarrow.so.1"
	return source{name: "arrow", version: "1.0", files: map[string]string{
		"arrow/__init__.py":     "from arrow._lib import x\n" + flightImporter,
		"arrow/flight.py":       "from arrow._flight import y\n",
		"arrow/_lib.abi3.so":    elf(binaries.ELF{Text: "PyInit__lib", Needed: []string{base}}),
		"arrow/_flight.abi3.so": elf(binaries.ELF{Text: "PyInit__flight", Needed: []string{flight, base}}),
		"arrow/libarrow.so.1":   twin,
		"arrow/libarrow.so":     twin,
		"arrow/libflight.so.1":  elf(binaries.ELF{Soname: flight, Text: large, Needed: []string{grpc}}),
		"arrow/libgrpc.so.2":    elf(binaries.ELF{Soname: grpc, Text: large}),
	}}
}

func TestOptionalPartsAreNoted(t *testing.T) {
	t.Parallel()
	const note = "arrow: 23 MB serve only arrow.flight, which nothing in the layer imports; if no function does: " +
		`drop: [{ match: "arrow/{flight.py,_flight.*,libflight.*,libgrpc.*}", reason: ... }]`
	for sentence, tt := range map[string]struct {
		importer string
		want     []string
	}{
		"nothing imports it":     {"", []string{note}},
		"the package imports it": {"import arrow.flight\n", nil},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			p := apply(t, planOf(t, layerOf(t, arrow(tt.importer)), policy.Settings{}), &memory{})
			if diff := cmp.Diff(tt.want, p.Notes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
