package measure

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func errText(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		in   string
		want Bytes
		err  string
	}{
		"bytes without a unit":        {in: "262144000", want: 262144000},
		"bytes with one":              {in: "1 B", want: 1},
		"megabytes":                   {in: "140 MB", want: 140_000_000},
		"mebibytes, no space":         {in: "225MiB", want: 225 << 20},
		"kibibytes":                   {in: "2 KiB", want: 2048},
		"gibibytes":                   {in: "1 GiB", want: 1 << 30},
		"gigabytes":                   {in: "1 GB", want: 1_000_000_000},
		"both spellings of kilobytes": {in: "3 kB", want: 3000},
		"and the other":               {in: "3KB", want: 3000},
		"decimals":                    {in: "22.5 MB", want: 22_500_000},
		"decimals are rounded":        {in: "0.0006 kB", want: 1},
		"thousands":                   {in: "262,144,000 B", want: 262144000},
		"space around":                {in: "\t 7 MB ", want: 7_000_000},
		"the largest":                 {in: "1048576 GiB", want: 1 << 50},
		"larger than that":            {in: "1048577 GiB", err: `"1048577 GiB" is not a size`},
		"far larger": {
			in:  strings.Repeat("9", 400),
			err: `"` + strings.Repeat("9", 400) + `" is not a size`,
		},
		"nothing":                      {in: "", err: `"" is not a size`},
		"a unit alone":                 {in: "MB", err: `"MB" is not a size`},
		"zero":                         {in: "0 MB", err: `"0 MB" is not a size`},
		"less than a byte":             {in: "0.4 B", err: `"0.4 B" is not a size`},
		"negative":                     {in: "-1 MB", err: `"-1 MB" is not a size`},
		"a comma for a point":          {in: "1,5 MB", err: `"1,5 MB" is not a size`},
		"commas anywhere":              {in: "26,21,44,000", err: `"26,21,44,000" is not a size`},
		"not a number":                 {in: "NaN", err: `"NaN" is not a size`},
		"infinite":                     {in: "inf MB", err: `"inf MB" is not a size`},
		"an exponent":                  {in: "1e3", err: `"1e3" is not a size`},
		"hexadecimal":                  {in: "0x1p4", err: `"0x1p4" is not a size`},
		"an unknown unit":              {in: "5 TB", err: `"5 TB" is not a size`},
		"a unit in lower case":         {in: "5 mb", err: `"5 mb" is not a size`},
		"two units":                    {in: "5 MB MB", err: `"5 MB MB" is not a size`},
		"words":                        {in: "a lot", err: `"a lot" is not a size`},
		"digits of another script":     {in: "٣ MB", err: `"٣ MB" is not a size`},
		"a sign":                       {in: "+3 MB", err: `"+3 MB" is not a size`},
		"a point without decimals":     {in: "3. MB", err: `"3. MB" is not a size`},
		"decimals without a whole":     {in: ".5 MB", err: `".5 MB" is not a size`},
		"a line that goes on after it": {in: "5 MB\n6 MB", err: `"5 MB\n6 MB" is not a size`},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got, err := ParseBytes(tt.in)
			if got != tt.want || errText(err) != tt.err {
				t.Errorf("%d, %v\nwant %d, %s", got, err, tt.want, tt.err)
			}
		})
	}
}

func TestBytesStringHasAUnit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   Bytes
		want string
	}{
		{0, "0 B"}, {999, "999 B"}, {-999, "-999 B"},
		{1000, "1.0 kB"}, {99_949, "99.9 kB"}, {-1500, "-1.5 kB"},
		{100_000, "0.1 MB"}, {-100_000, "-0.1 MB"}, {22_549_999, "22.5 MB"},
		{1 << 20, "1.0 MB"}, {1<<20 + 1, "1.0 MB"}, {-1 << 20, "-1.0 MB"},
		{MaxUnzippedBytes, "262.1 MB"},
	} {
		if got := tt.in.String(); got != tt.want {
			t.Errorf("%d: %q, want %q", int64(tt.in), got, tt.want)
		}
	}

	if got := Bytes(70_849_999).MB(); got != "70.8" {
		t.Error(got)
	}
}

func TestSizesAreSummedByName(t *testing.T) {
	t.Parallel()
	s := Sizes{}
	s.Count("numpy", Of("numpy/a.py", 10, 5))
	s.Count("numpy", Of("numpy/b.py", 20, 5))
	s.Count("scipy", Of("s", 31, 0))
	s.Count("b", Of("", 30, 0))
	s.Count("a", Of("", 30, 0))
	// A file's two headers in a zip have 30 and 46 bytes, and each has its name.
	if want := (Size{2, 30, 5 + 5 + 2*(76+2*10)}); s["numpy"] != want {
		t.Errorf("%+v, want %+v", s["numpy"], want)
	}

	if got, want := s.Largest(), []string{"scipy", "a", "b", "numpy"}; !slices.Equal(got, want) {
		t.Errorf("largest first: %q, want %q", got, want)
	}

	if got := (Sizes{}).Largest(); len(got) != 0 {
		t.Errorf("nothing has rows %q", got)
	}
}

func TestKind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, want string }{
		{"python/a/b.py", "source"},
		{"a.py", "source"},
		{"a/__pycache__/b.cpython-313.pyc", "bytecode"},
		{"a.pyo", "bytecode"},
		{"numpy/_core/_x.cpython-313-x86_64-linux-gnu.so", "shared object"},
		{"numpy.libs/libgfortran-040039e1.so.5.0.0", "shared object"},
		{"a-1.dist-info/METADATA", "metadata"},
		{"a-1.dist-info/licenses/setup.py", "metadata"},
		{"a/_vendor/b-2.dist-info/RECORD", "metadata"},
		{"a.dist-info", "data"},
		{"a/data.json.gz", "data"},
		{"a/b.pyi", "data"},
		{"x.so.d/readme", "data"},
		{"", "data"},
	} {
		if got := Kind(tt.name); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		unzipped, zipped Bytes
		budget           Budget
		want             Verdict
	}{
		"no budget":                       {unzipped: MaxUnzippedBytes, zipped: 1 << 40, want: Within},
		"one byte more than Lambda takes": {unzipped: MaxUnzippedBytes + 1, want: OverLimit},
		"Lambda's limit comes before budgets": {
			unzipped: MaxUnzippedBytes + 1,
			budget:   Budget{Unzipped: 1},
			want:     OverLimit,
		},
		"exactly the budget":        {unzipped: 10, zipped: 5, budget: Budget{10, 5}, want: Within},
		"a byte unzipped too many":  {unzipped: 11, zipped: 5, budget: Budget{10, 5}, want: OverBudget},
		"a byte zipped too many":    {unzipped: 10, zipped: 6, budget: Budget{10, 5}, want: OverBudget},
		"a budget of the zip alone": {unzipped: 100, zipped: 6, budget: Budget{Zipped: 5}, want: OverBudget},
		"nothing":                   {budget: Budget{1, 1}, want: Within},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			if got := Judge(tt.unzipped, tt.zipped, tt.budget); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}

func TestJudgeStack(t *testing.T) {
	t.Parallel()
	for sentence, tt := range map[string]struct {
		unzipped, budget Bytes
		want             Verdict
		free             Bytes
	}{
		"no budget":          {unzipped: 200 << 20, want: Within, free: 50 << 20},
		"exactly the budget": {unzipped: 225 << 20, budget: 225 << 20, want: Within, free: 25 << 20},
		"over the budget": {
			unzipped: 225<<20 + 1,
			budget:   225 << 20,
			want:     OverBudget,
			free:     25<<20 - 1,
		},
		"exactly Lambda's limit":          {unzipped: MaxUnzippedBytes, budget: MaxUnzippedBytes, want: Within},
		"over the limit, free is below 0": {unzipped: MaxUnzippedBytes + 5, budget: 1, want: OverLimit, free: -5},
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			got := JudgeStack([]string{"a", "b"}, tt.unzipped, tt.budget)
			want := Stack{
				Layers:   []string{"a", "b"},
				Unzipped: tt.unzipped,
				Budget:   tt.budget,
				Verdict:  tt.want,
				Free:     tt.free,
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{
		"140 MB", "225MiB", "262,144,000", "0.5 GiB", "NaN", "1e9", "0x1p4", "1,5 MB", "-0",
		"+1", "1_000", "9999999999999999999999 GB", "3kB B", "\u00a07 MB",
	} {
		f.Add(s)
	}

	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseBytes(s)
		if err != nil {
			if n != 0 || err.Error() != fmt.Sprintf("%q is not a size", s) {
				t.Fatalf("%d, %v", n, err)
			}

			return
		}

		if n < 1 || n > 1<<50 {
			t.Fatalf("%q is %d", s, n)
		}

		if again, err := ParseBytes(fmt.Sprintf("%d B", int64(n))); again != n || err != nil {
			t.Fatalf("%q is %d, that is %d, %v", s, n, again, err)
		}

		if strings.ContainsAny(s, "eExXpPnN-+_") {
			t.Fatalf("%q is %d", s, n)
		}
	})
}
