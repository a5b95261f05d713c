package operator

import (
	"errors"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
)

func TestAPushThatBreaksOffSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	denied := fault.New(fault.NotAllowed, "push", "s3://work/layers/x", errors.New("no")).WithHint("ask")
	p := Push{Uploaded: make([]string, 6), Deleted: make([]string, 1)}
	for done, want := range map[int]string{
		3: "push s3://work/layers/x: no; 3 of 7 files were pushed before",
		0: "push s3://work/layers/x: no",
	} {
		err := p.halfDone(denied, done)
		if err.Error() != want || fault.CodeOf(err) != fault.NotAllowed || fault.HintOf(err) != "ask" {
			t.Errorf("after %d: %v (%s, hint %q), want %s", done, err, fault.CodeOf(err), fault.HintOf(err), want)
		}
	}

	if denied.Err.Error() != "no" {
		t.Error("the fault itself was changed")
	}
}
