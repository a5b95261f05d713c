package workflow_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/blob"
	"github.com/layersmith/layersmith/internal/digest"
	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/release"
	"github.com/layersmith/layersmith/internal/workflow"
)

// lost publishes, and loses the answer.
type lost struct{ workflow.LayerVersions }

func (l lost) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	if _, err := l.LayerVersions.Publish(ctx, v); err != nil {
		return workflow.LayerVersion{}, err
	}

	return workflow.LayerVersion{}, fault.New(fault.Unreachable, "publish", v.LayerName, io.ErrUnexpectedEOF)
}

func TestAVersionWhoseAnswerWasLostIsFoundAgain(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	candidate := func(run string) (c release.Candidate) {
		t.Helper()
		f.read(release.CandidateName(run, "layersmith-base"), &c)
		return c
	}
	if _, err := f.publish("first", layer, lost{f.account.LayerVersions()}); fault.CodeOf(err) != fault.Unreachable {
		t.Fatalf("%v, want Unreachable", err)
	}

	if c := candidate("first"); c.ARN != "" || c.Key != digest.Of([]byte("key of 1.0")) {
		t.Errorf("before the answer it is stored as %+v", c)
	}

	for range 2 { // the second time, the candidate is stored
		item, err := f.publish("first", layer, f.account.LayerVersions())
		if err != nil || item.Summary != "layersmith-base:1" {
			t.Fatalf("%+v %v", item, err)
		}

		var c release.Candidate
		f.document(item.Doc, &c)
		d := cmp.Diff(candidate("first"), c, cmp.AllowUnexported(digest.SHA256{}, pydist.Target{}))
		if d != "" || c.ARN != arnOf(1) || c.Version != 1 || c.Reused {
			t.Errorf("found as %+v; register against document:\n%s", c, d)
		}
	}

	if got := f.published("base"); !slices.Equal(got, []string{"base:1"}) {
		t.Errorf("there are %v", got)
	}
}

func TestPublishReusesOnlyWhatIsTheSame(t *testing.T) {
	t.Parallel()
	key := digest.Of([]byte("key of 1.0"))
	earlier := workflow.Description(key, "before")
	own := workflow.Description(key, "first")
	otherKey := workflow.Description(digest.Of([]byte("x")), "before")
	const (
		force = `{"force": true}`
		one   = "layersmith-base:1" // the version that exists
		two   = "layersmith-base:2"
	)
	for sentence, tt := range map[string]struct {
		description string // of the version that exists
		otherBytes  bool
		input       string
		want        string
		reused      bool
	}{
		"the same key and bytes, of an earlier run": {earlier, false, `{}`, one, true},
		"the same key, but other bytes":             {earlier, true, `{}`, two, false},
		"the same bytes, but another key":           {otherKey, false, `{}`, two, false},
		"the same bytes, published by hand":         {"numpy and friends", false, `{}`, two, false},
		"force does not reuse an earlier run's":     {earlier, false, force, two, false},
		"force finds its own after a lost answer":   {own, false, force, one, false},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			f := newFlow(t)
			layer := f.measured("first", tt.input)[0]
			var m release.Measured
			f.document(layer.Doc, &m)
			zip := m.Zip
			if tt.otherBytes {
				zip = f.store("other/", zipOf(t, map[string]string{"python/other.py": ""}))
			}

			exists := workflow.NewLayerVersion{
				LayerName:   "layersmith-base",
				Description: tt.description,
				Target:      target,
				Zip:         zip,
			}
			if _, err := f.account.LayerVersions().Publish(t.Context(), exists); err != nil {
				t.Fatal(err)
			}

			item, err := f.publish("first", layer, f.account.LayerVersions())
			if err != nil {
				t.Fatal(err)
			}

			var c release.Candidate
			f.document(item.Doc, &c)
			if item.Summary != tt.want || c.Reused != tt.reused {
				t.Errorf("%s, reused %v; want %s, %v", item.Summary, c.Reused, tt.want, tt.reused)
			}
		})
	}
}

func TestVersionsAreSharedWithEverybodyWhoMayUseThem(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	f.must("whole", `{}`, release.Promoted)
	if got := f.account.Grants(arnOf(1)); !slices.Equal(got, []string{"o-abcdefghij"}) {
		t.Errorf("shared with %v", got)
	}

	f = newFlow(t)
	layer := f.measured("first", `{}`)[0]
	f.account.Fail = func(method, subject string) error {
		if method == "LayerVersions.Share" && strings.HasSuffix(subject, " 210987654321") {
			return fault.New(fault.Throttled, "share", subject, errors.New("slow down"))
		}

		return nil
	}
	share := []string{"o-abcdefghij", "210987654321"}
	if _, err := f.publish("first", layer, f.account.LayerVersions(), share...); fault.CodeOf(err) != fault.Throttled {
		t.Fatalf("%v, want Throttled", err)
	}

	f.account.Fail = nil
	if _, err := f.publish("first", layer, f.account.LayerVersions(), share...); err != nil {
		t.Fatal(err)
	}

	if got := f.account.Grants(arnOf(1)); !slices.Equal(got, []string{"210987654321", "o-abcdefghij"}) ||
		len(f.published("base")) != 1 {
		t.Errorf("shared with %v, there are %v", got, f.published("base"))
	}
}

// swapped publishes other bytes than it was given.
type swapped struct {
	workflow.LayerVersions
	zip blob.Ref
}

func (s swapped) Publish(ctx context.Context, v workflow.NewLayerVersion) (workflow.LayerVersion, error) {
	v.Zip = s.zip
	return s.LayerVersions.Publish(ctx, v)
}

func TestAVersionWithOtherBytesIsNotACandidate(t *testing.T) {
	t.Parallel()
	f := newFlow(t)
	layer := f.measured("first", `{}`)[0]
	other := f.store("other/", zipOf(t, map[string]string{"python/other.py": ""}))
	_, err := f.publish("first", layer, swapped{f.account.LayerVersions(), other})
	if fault.CodeOf(err) != fault.HashMismatch ||
		!strings.HasPrefix(err.Error(), "publish "+arnOf(1)+": its bytes have sha256 ") {
		t.Errorf("%v, want HashMismatch", err)
	}

	if _, err := f.rollback("first"); err != nil {
		t.Fatal(err)
	}

	if got := f.published("base"); len(got) > 0 {
		t.Errorf("left are %v", got)
	}
}
