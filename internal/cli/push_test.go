package cli

import (
	"context"
	"errors"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
)

func TestAPushThatBreaksOffSaysHowFarItCame(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	denied := fault.New(fault.NotAllowed, "push", "s3://work/layers/x", errors.New("no")).WithHint("ask")
	for name, c := range map[string]struct {
		ctx         context.Context
		done, total int
		want        string
		interrupted bool
	}{
		"by Ctrl-C": {canceled, 3, 7, "3 of 7 files are pushed; run it again to push the rest", true},
		"by a refusal": {
			t.Context(),
			3,
			7,
			"push s3://work/layers/x: no; 3 of 7 files were pushed before",
			false,
		},
		"at once: there is no more": {t.Context(), 0, 7, "push s3://work/layers/x: no", false},
	} {
		err := halfPushed(c.ctx, denied, c.done, c.total)
		var i *interrupted
		if err.Error() != c.want || errors.As(err, &i) != c.interrupted {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}

		if !c.interrupted && (fault.CodeOf(err) != fault.NotAllowed || fault.HintOf(err) != "ask") {
			t.Errorf("%s: %s, hint %q", name, fault.CodeOf(err), fault.HintOf(err))
		}
	}

	if denied.Err.Error() != "no" {
		t.Error("the fault itself was changed")
	}
}
