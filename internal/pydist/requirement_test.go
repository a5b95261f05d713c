package pydist

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseRequirement(t *testing.T) {
	const operators = "===, ==, !=, ~=, <=, >=, <, >"
	for sentence, tt := range map[string]struct {
		in, want, err string // want is String()
	}{
		"a name":                           {in: "NumPy", want: "numpy"},
		"old parentheses":                  {in: "botocore (<1.45.0,>=1.44.5)", want: "botocore<1.45.0,>=1.44.5"},
		"space before the operator":        {in: "six >=1.5", want: "six>=1.5"},
		"extras are normalized and sorted": {in: "a[Z_z, b,b] >=1", want: "a[b,z-z]>=1"},
		"no extras in brackets":            {in: "a[]", want: "a"},
		"a marker": {
			in:   "a>=1;python_version<'3.9'and(os_name=='nt' or extra == \"x\")",
			want: "a>=1; python_version<'3.9'and(os_name=='nt' or extra == \"x\")",
		},
		"membership": {
			in:   "a; 'linux' not  in sys_platform",
			want: "a; 'linux' not  in sys_platform",
		},
		"an old variable": {in: "a; sys.platform == 'win32'", want: "a; sys.platform == 'win32'"},
		"a URL and a marker": {
			in:   "a@https://h/a.whl ; extra == 'x'",
			want: "a @ https://h/a.whl ; extra == 'x'",
		},
		"a URL that contains a semicolon": {in: "a @ https://h/a;b.whl", want: "a @ https://h/a;b.whl"},
		"empty":                           {in: "", err: `requirement "": name is empty`},
		"one equals sign": {
			in:  "a=1",
			err: `requirement "a=1": specifier "=1": unknown operator; known: ` + operators,
		},
		"two words": {
			in:  "a b",
			err: `requirement "a b": specifier "b": unknown operator; known: ` + operators,
		},
		"extras that do not end": {in: "a[b", err: `requirement "a[b": extras: ']' is missing`},
		"an empty extra":         {in: "a[b,]", err: `requirement "a[b,]": extras: name is empty`},
		"a parenthesis that does not end": {
			in:  "a (>=1",
			err: `requirement "a (>=1": specifier "(>=1": ')' is missing`,
		},
		"no URL": {in: "a @ ", err: `requirement "a @": url is empty`},
		"a marker without space after a URL": {
			in: "a @ https://h/a.whl; extra == 'x'",
			err: `requirement "a @ https://h/a.whl; extra == 'x'": url: unexpected "extra == 'x'" after it; ` +
				`a marker begins with ' ;'`,
		},
		"an empty marker": {in: "a;", err: `requirement "a;": marker is empty`},
		"a misspelled variable": {
			in: "a; python_versoin < '3'",
			err: `requirement "a; python_versoin < '3'": marker "python_versoin < '3'": ` +
				`unknown variable "python_versoin"; known: python_version, python_full_version, os_name, ` +
				`sys_platform, platform_release, platform_system, platform_version, platform_machine, ` +
				`platform_python_implementation, implementation_name, implementation_version, extra`,
		},
		"a marker that ends early": {
			in:  "a; extra ==",
			err: `requirement "a; extra ==": marker "extra ==": ends early, expected a variable or a quoted string`,
		},
		"a marker without operator": {
			in: "a; extra 'x'",
			err: `requirement "a; extra 'x'": marker "extra 'x'": unexpected "'x'", expected an operator: ` +
				operators + `, in, not in`,
		},
		"not without in": {
			in: "a; 'x' not extra",
			err: `requirement "a; 'x' not extra": marker "'x' not extra": unexpected "extra", ` +
				`expected "in" after "not"`,
		},
		"a marker that goes on": {
			in:  "a; extra == 'x' )",
			err: `requirement "a; extra == 'x' )": marker "extra == 'x' )": unexpected ")"`,
		},
		"a marker's parenthesis left open": {
			in:  "a; (extra == 'x'",
			err: `requirement "a; (extra == 'x'": marker "(extra == 'x'": ends early, expected ")"`,
		},
		"a quote left open": {
			in:  "a; extra == 'x",
			err: `requirement "a; extra == 'x": marker "extra == 'x": quote ' is not closed`,
		},
		"a newline": {in: "a\n>=1", err: `requirement "a\n>=1": has a control character`},
		"parentheses without end stop at limit": {
			in: "a;" + strings.Repeat("(", 33),
			err: `requirement "a;` + strings.Repeat("(", 33) + `": marker "` + strings.Repeat("(", 33) +
				`": parentheses are nested deeper than 32`,
		},
	} {
		t.Run(sentence, func(t *testing.T) {
			got, err := ParseRequirement(tt.in)
			if errText(err) != tt.err {
				t.Fatalf("error %v\n want %s", err, tt.err)
			}

			if err != nil {
				return
			}

			if got.String() != tt.want || got.Text != strings.TrimSpace(tt.in) {
				t.Errorf("got  %s (%q)\nwant %s", got, got.Text, tt.want)
			}

			again, err := ParseRequirement(got.String())
			again.Text = got.Text
			if d := cmp.Diff(got, again, leaves); err != nil || d != "" {
				t.Error(err, d)
			}
		})
	}
}
