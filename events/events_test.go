// Package events has inputs of executions: requests to paste into the console, and an event of AWS.
package events

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/layersmith/layersmith/internal/release"
)

// requests are the inputs of operators and of the schedule.
var requests = map[string]release.Request{
	"everything.json":       {},
	"one-layer-forced.json": {Layers: []string{"aws-utilities"}, Force: true},
	"refresh-dry-run.json":  {Refresh: true, DryRun: true},
	"rollback.json":         {Rollback: &release.Restore{Layer: "core-data-science", To: 41}},
	"schedule.json":         {Refresh: true, Trigger: "schedule"},
}

func TestRequestsDecodeStrictly(t *testing.T) {
	t.Parallel()
	for name, want := range requests {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}

		var got release.Request
		if err := release.Decode(b, &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}

		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// objectCreated is EventBridge's event for an upload (S3 user guide, "EventBridge event message
// structure").
type objectCreated struct {
	Version    string    `json:"version"`
	ID         string    `json:"id"`
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Account    string    `json:"account"`
	Time       time.Time `json:"time"`
	Region     string    `json:"region"`
	Resources  []string  `json:"resources"`
	Detail     struct {
		Version string `json:"version"`
		Bucket  struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
		RequestID string `json:"request-id"`
		Requester string `json:"requester"`
		SourceIP  string `json:"source-ip-address"`
		Reason    string `json:"reason"`
	} `json:"detail"`
}

func TestUploadIsWhatEventBridgeSends(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("upload.json")
	if err != nil {
		t.Fatal(err)
	}

	var e objectCreated
	if err := release.Decode(b, &e); err != nil {
		t.Fatal(err)
	}

	if e.Source != "aws.s3" || e.DetailType != "Object Created" || e.Detail.Reason != "PutObject" {
		t.Errorf("%s, %s, %s: not an upload", e.Source, e.DetailType, e.Detail.Reason)
	}

	o := e.Detail.Object
	if !strings.HasPrefix(o.Key, "layers/") || o.VersionID == "" || o.ETag == "" || e.Time.IsZero() {
		t.Errorf("%+v: the workflow would ignore it", o)
	}

	if !slices.Equal(e.Resources, []string{"arn:aws:s3:::" + e.Detail.Bucket.Name}) {
		t.Errorf("resources %v of bucket %s", e.Resources, e.Detail.Bucket.Name)
	}

	if err := release.Decode(b, &release.Request{}); err == nil {
		t.Error("it decodes as a request too")
	}
}

// docs/operations.md names every file, and shows each request as one line to paste.
func TestEveryFileIsKnownAndDocumented(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}

	found, err := filepath.Glob("*.json")
	if err != nil || len(found) == 0 {
		t.Fatal(err)
	}

	for _, name := range found {
		if !bytes.Contains(docs, []byte("events/"+name)) {
			t.Errorf("docs/operations.md does not name events/%s", name)
		}

		_, isRequest := requests[name]
		switch {
		case name == "upload.json":
			continue
		case !isRequest:
			t.Errorf("no test reads %s", name)
			continue
		}

		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}

		var line bytes.Buffer
		if err := json.Compact(&line, b); err != nil {
			t.Fatal(err)
		}

		if span := "`" + line.String() + "`"; !bytes.Contains(docs, []byte(span)) {
			t.Errorf("docs/operations.md does not show %s", span)
		}
	}
}
