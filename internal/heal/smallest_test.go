package heal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// smallest finds exactly what is needed, in fewer runs than the comment of engine.HealRuns says.
func TestSmallestFindsWhatIsNeeded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		n := 2 + random.IntN(16000)
		var all []Removal
		for i := range n {
			all = append(all, Removal{"layer", "rule", fmt.Sprintf("f/%05d", i)})
		}

		var need []Removal
		for _, i := range random.Perm(n)[:1+random.IntN(min(3, n))] {
			need = append(need, all[i])
		}

		runs := 0
		got, err := smallest(func(rs []Removal) (bool, error) {
			runs++
			return !slices.ContainsFunc(need, func(r Removal) bool { return !slices.Contains(rs, r) }), nil
		}, nil, units(all, func(r Removal) string { return r.Site }))
		slices.SortFunc(need, func(a, b Removal) int { return slices.Index(all, a) - slices.Index(all, b) })
		if err != nil || !slices.Equal(got, need) {
			t.Fatalf("of %d: %v, want %v, %v", n, got, need, err)
		}

		if len(need) == 1 && runs > 28 {
			t.Errorf("%d runs for one of %d", runs, n)
		}
	}
}

func TestSmallestTakesUnitsAsAWhole(t *testing.T) {
	rs := []Removal{
		{"l", "r", "a/1"},
		{"l", "r", "b/1"},
		{"l", "r", "a/2"},
		{"m", "r", "a/1"},
	}
	got, err := smallest(func(have []Removal) (bool, error) { return slices.Contains(have, rs[2]), nil }, nil,
		units(rs, func(r Removal) string { return r.Site[:1] }))
	if err != nil || !slices.Equal(got, []Removal{rs[0], rs[2]}) {
		t.Errorf("%v, %v", got, err)
	}
}
