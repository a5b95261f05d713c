package memport_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/memport"
)

func TestNoticesRefuseWhatSNSRefuses(t *testing.T) {
	var notices memport.Notices
	for what, bad := range map[string]memport.Notice{
		"a subject of 101 characters": {strings.Repeat("a", 101), "t"},
		"a subject that is not ASCII": {"déjà vu", "t"},
		"a subject of two lines":      {"a\nb", "t"},
		"no text":                     {"s", ""},
		"a text above 256 KiB":        {"s", strings.Repeat("t", 256<<10+1)},
	} {
		if err := notices.Send(t.Context(), bad.Subject, bad.Text); fault.CodeOf(err) != fault.BadInput {
			t.Errorf("%s: %v", what, err)
		}
	}

	if err := notices.Send(t.Context(), "s", "t"); err != nil {
		t.Fatal(err)
	}

	if want := []memport.Notice{{"s", "t"}}; !slices.Equal(notices.Sent(), want) {
		t.Fatalf("sent %v, want %v", notices.Sent(), want)
	}
}
