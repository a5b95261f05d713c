package release

import (
	"strings"
	"testing"
)

func TestParseGrantee(t *testing.T) {
	t.Parallel()

	for in, organization := range map[string]bool{
		"o-abcde12345":                 true,
		"o-" + strings.Repeat("a", 32): true,
		"123456789012":                 false,
		"000000000000":                 false,
	} {
		g, err := ParseGrantee(in)
		if err != nil || g.String() != in || g.IsOrganization() != organization {
			t.Errorf("%s: %s, organization %v, %v", in, g, g.IsOrganization(), err)
		}
	}

	for _, in := range []string{
		"", "*", "me",
		"o-", "o-abcde1234", "o-" + strings.Repeat("a", 33), "o-ABCDE12345", "O-abcde12345", "o-abcde12345\n",
		"12345678901", "1234567890123", " 123456789012", "arn:aws:iam::123456789012:root",
	} {
		if g, err := ParseGrantee(in); err == nil {
			t.Errorf("%q becomes %s", in, g)
		}
	}
}
