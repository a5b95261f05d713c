package stage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever is needed, smallest finds exactly that, as the job's answers are all that it sees; and
// how many it asks for stays below what HealRuns promises.
func TestSmallestFindsWhatIsNeeded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 25 {
		n := 2 + random.IntN(16000)
		var all []removal
		for i := range n {
			all = append(all, removal{ruleIn{"layer", "rule"}, fmt.Sprintf("f/%05d", i)})
		}

		var need []removal
		for _, i := range random.Perm(n)[:1+random.IntN(min(3, n))] {
			need = append(need, all[i])
		}

		runs := 0
		got, err := smallest(func(rs []removal) (bool, error) {
			runs++
			return !slices.ContainsFunc(need, func(r removal) bool { return !slices.Contains(rs, r) }), nil
		}, nil, units(all, func(r removal) string { return r.site }))
		slices.SortFunc(need, func(a, b removal) int { return slices.Index(all, a) - slices.Index(all, b) })
		if err != nil || !slices.Equal(got, need) {
			t.Fatalf("of %d: %v, want %v, %v", n, got, need, err)
		}

		if len(need) == 1 && runs > 28 {
			t.Errorf("%d runs for one of %d", runs, n)
		}
	}
}

func TestSmallestTakesUnitsAsAWhole(t *testing.T) {
	rs := []removal{
		{ruleIn{"l", "r"}, "a/1"},
		{ruleIn{"l", "r"}, "b/1"},
		{ruleIn{"l", "r"}, "a/2"},
		{ruleIn{"m", "r"}, "a/1"},
	}
	got, err := smallest(func(have []removal) (bool, error) { return slices.Contains(have, rs[2]), nil }, nil,
		units(rs, func(r removal) string { return r.site[:1] }))
	if err != nil || !slices.Equal(got, []removal{rs[0], rs[2]}) {
		t.Errorf("%v, %v", got, err)
	}
}
