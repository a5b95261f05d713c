package page

import (
	"strings"
	"testing"
)

func TestProseIsBrokenAndTablesAreNot(t *testing.T) {
	long := strings.Repeat("word ", 30) + "end."
	sentence := "Word " + strings.Repeat("word ", 19) + "end."
	for name, c := range map[string]struct{ in, want string }{
		"short lines stay": {"One. Two.\n", "One. Two.\n"},
		"long lines break at sentence": {
			"The first of two. " + sentence + " Second.\n",
			"The first of two.\n" + sentence + "\nSecond.\n",
		},
		"tables stay": {"| " + long + " | x |\n", "| " + long + " | x |\n"},
		"code stays":  {"```\n" + long + "\n```\n", "```\n" + long + "\n```\n"},
		"a list item keeps its indent": {
			"- The first of two. " + sentence + "\n",
			"- The first of two.\n  " + sentence + "\n",
		},
		"a long sentence breaks at a word": {
			long + "\n",
			strings.TrimSpace(strings.Repeat("word ", 24)) + "\n" + strings.Repeat("word ", 6) + "end.\n",
		},
	} {
		if got := Broken(c.in); got != c.want {
			t.Errorf("%s:\n%q\nwant\n%q", name, got, c.want)
		}
	}
}
