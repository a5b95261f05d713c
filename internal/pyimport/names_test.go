package pyimport

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Literals name modules by whole names, or by the package of a name that is computed.
func TestNamesInLiterals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		source          string
		named, computed []string
	}{
		{`x = {"a": "plug.sql", "b": ".near", "c": "..up.it"}`, []string{"plug.sql", ".near", "..up.it"}, nil},
		{`x = "plug.sql:Dialect"`, []string{"plug.sql"}, nil},
		{`x = "plug", "a b.c", "1.5", "a..b", "...", ".", "plug.sql/x"`, nil, nil},
		{`"plug.documentation"`, nil, nil},
		{`x = "plug.%s" % n, "plug.{}".format(n), "more." + n`, nil, []string{"plug", "more"}},
		{`x = f"plug.{n}", f".sub.{n}", f"{n}.plug"`, nil, []string{"plug", ".sub"}},
		{`x = ".%s" % n`, nil, []string{"."}},
		{`x = "%s.plug" % n, "Ends with a dot."`, nil, nil},
	} {
		scan, err := Source([]byte(c.source + "\n"))
		if err != nil {
			t.Fatal(err)
		}

		if diff := cmp.Diff(c.named, scan.Named); diff != "" {
			t.Errorf("%s: names (-want +got):\n%s", c.source, diff)
		}

		if diff := cmp.Diff(c.computed, scan.Computed); diff != "" {
			t.Errorf("%s: packages of computed names (-want +got):\n%s", c.source, diff)
		}
	}
}
