package workflow

import (
	"encoding/json"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
)

// The input of an execution is an event, a request, or neither, which is the fault BadInput with a
// hint.
func FuzzExecutionInput(f *testing.F) {
	for _, s := range []string{
		`{}`,
		` {"layers": ["a"], "force": true}`,
		`{"refresh": true, "dryRun": true, "trigger": "schedule"}`,
		`{"rollback": {"layer": "a", "to": 41}}`,
		`{"rollback": {"layer": "a"}, "force": true}`,
		`{"source": "aws.s3", "detail": {"object": {"key": "layers/a/b.txt", "etag": "e", "version-id": "v"}}}`,
		`{"source": "aws.s3", "detail": {}}`,
		`{"source": "aws.ec2"}`,
		`{"source": "aws.s3", "detail": {"object": {"key": 1}}}`,
		`{"Source": "aws.s3", "DETAIL": {"object": {"key": "k"}}}`,
		`[]`, `null`, `{"a": 1}`, `{} {}`, `{`, ``,
	} {
		f.Add([]byte(s))
	}

	f.Fuzz(func(t *testing.T, raw []byte) {
		r, event, err := readInput(json.RawMessage(raw))
		switch {
		case err != nil:
			if fault.CodeOf(err) != fault.BadInput || fault.HintOf(err) == "" || event != nil {
				t.Errorf("%v (%v, hint %q), event %v", err, fault.CodeOf(err), fault.HintOf(err), event)
			}
		case event != nil:
			if event.Detail.Object.Key == "" {
				t.Error("an event without an object")
			}
		case r.Rollback != nil && (len(r.Layers) > 0 || r.Force || r.Refresh || r.DryRun):
			t.Errorf("a rollback with other keys: %+v", r)
		}
	})
}
