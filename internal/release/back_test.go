package release

import (
	"fmt"
	"strings"
	"testing"
)

func versionOf(n int64) ReleasedVersion {
	return ReleasedVersion{
		ARN:     fmt.Sprintf("arn:aws:lambda:us-east-1:123456789012:layer:base:%d", n),
		Version: n,
		Run:     fmt.Sprintf("run-%d", n),
	}
}

// layerOf has a current version and those before it, newest first.
func layerOf(current int64, earlier ...int64) ReleasedLayer {
	l := ReleasedLayer{Layer: "base", LayerName: "base", Current: versionOf(current)}
	for _, n := range earlier {
		l.Earlier = append(l.Earlier, versionOf(n))
	}

	return l
}

// numbers are a layer's versions: "4 <- 3 1".
func numbers(l ReleasedLayer) string {
	s := []string{fmt.Sprint(l.Current.Version), "<-"}
	for _, v := range l.Earlier {
		s = append(s, fmt.Sprint(v.Version))
	}

	return strings.Join(s, " ")
}

func TestBackFindsAnEarlierVersion(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		layer ReleasedLayer
		to    int64
		want  int64
		err   string
	}{
		"the one before the current": {layer: layerOf(4, 3, 1), to: 0, want: 3},
		"a number":                   {layer: layerOf(4, 3, 1), to: 1, want: 1},
		"after going back, the one before is the newer one": {layer: layerOf(3, 4, 1), to: 0, want: 4},
		"there is none before the first": {
			layer: layerOf(1),
			to:    0,
			err:   "there is no earlier version",
		},
		"the current one": {layer: layerOf(4, 3), to: 4, err: "version 4 is the current one"},
		"one that was trimmed": {
			layer: layerOf(4, 3),
			to:    2,
			err:   "version 2 was not released, or is not kept any more",
		},
		"one that is not there yet": {
			layer: layerOf(4, 3),
			to:    5,
			err:   "version 5 was not released, or is not kept any more",
		},
		"no version at all": {
			layer: layerOf(4, 3),
			to:    -1,
			err:   "version -1 was not released, or is not kept any more",
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got, err := tt.layer.Back(tt.to)
			if text := fmt.Sprint(err); tt.err != "" && text != tt.err || tt.err == "" && err != nil {
				t.Fatalf("error %q, want %q", text, tt.err)
			}

			if got.Version != tt.want || tt.err == "" && got.Run != fmt.Sprintf("run-%d", tt.want) {
				t.Errorf("version %d of %s, want %d", got.Version, got.Run, tt.want)
			}
		})
	}
}

func TestVersionsAreListedForPeople(t *testing.T) {
	t.Parallel()
	for want, l := range map[string]ReleasedLayer{"none": layerOf(4), "3": layerOf(4, 3), "3, 1": layerOf(4, 3, 1)} {
		if got := l.Versions(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWithKeepsWhatWasCurrent(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		before ReleasedLayer
		with   int64
		want   string
	}{
		"the first version":                             {ReleasedLayer{}, 1, "1 <-"},
		"a newer one":                                   {layerOf(1), 2, "2 <- 1"},
		"a newer one on top of several":                 {layerOf(3, 2, 1), 4, "4 <- 3 2 1"},
		"an earlier one is taken from where it was":     {layerOf(4, 3, 1), 3, "3 <- 4 1"},
		"the oldest":                                    {layerOf(4, 3, 1), 1, "1 <- 4 3"},
		"the current one again changes no earlier ones": {layerOf(4, 3, 1), 4, "4 <- 3 1"},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			was := numbers(tt.before)
			if got := numbers(tt.before.With(versionOf(tt.with))); got != tt.want {
				t.Errorf("%s with %d is %s, want %s", was, tt.with, got, tt.want)
			}

			if now := numbers(tt.before); now != was {
				t.Errorf("the layer that it was asked of became %s, was %s", now, was)
			}
		})
	}

	again := versionOf(4)
	again.Run = "another"
	if got := layerOf(4, 3).With(again); got.Current.Run != "another" {
		t.Errorf("the current version again is of run %s, want what was given", got.Current.Run)
	}
}
