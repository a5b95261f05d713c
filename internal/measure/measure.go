// Package measure has sizes of files and layers, and compares them with budgets and Lambda's
// limits.
//
// Lambda limits the unzipped bytes of a function package and all its layers together to
// 262,144,000, which is 250 MiB. Sizes in reports are in megabytes of 10^6 bytes (MB) or mebibytes
// of 2^20 (MiB), always with the unit.
package measure

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// MaxUnzippedBytes is Lambda's limit for a function with all its layers ("Lambda quotas" in the AWS
// Lambda Developer Guide).
const MaxUnzippedBytes = 250 << 20

// Units, in bytes.
const (
	kilo = 1000
	mega = 1000 * kilo
	giga = 1000 * mega
	kibi = 1 << 10
	mebi = 1 << 20
	gibi = 1 << 30
)

// Bytes is a size in bytes. Its text has a unit.
type Bytes int64

var units = []struct {
	name string
	size float64
}{
	{"MiB", mebi},
	{"KiB", kibi},
	{"GiB", gibi},
	{"MB", mega},
	{"kB", kilo},
	{"KB", kilo},
	{"GB", giga},
	{"B", 1},
}

// decimal excludes other numbers that ParseFloat accepts (NaN, 1e9, 0x1p4), and commas that do not
// separate thousands: 1,5 MB is not 15 MB.
var decimal = regexp.MustCompile(`^([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?$`)

// ParseBytes parses sizes such as "140 MB", "225MiB" and "262144000", from 1 byte to 2^50 bytes.
func ParseBytes(s string) (Bytes, error) {
	number := strings.TrimSpace(s)
	unit := 1.0
	for _, u := range units {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number = strings.TrimSpace(n)
			unit = u.size
			break
		}
	}

	if !decimal.MatchString(number) {
		return 0, fmt.Errorf("%q is not a size", s)
	}

	n, err := strconv.ParseFloat(strings.ReplaceAll(number, ",", ""), 64)
	if err != nil || math.Round(n*unit) < 1 || n*unit > 1<<50 {
		return 0, fmt.Errorf("%q is not a size", s)
	}

	return Bytes(math.Round(n * unit)), nil
}

// MB returns megabytes with one decimal, without the unit, for tables.
func (b Bytes) MB() string { return strconv.FormatFloat(float64(b)/mega, 'f', 1, 64) }

// String returns a size in MB, kB or B. Sizes are read in MiB too, and never printed so: one line
// has one unit.
func (b Bytes) String() string {
	switch {
	case b >= 100*kilo || b <= -100*kilo:
		return b.MB() + " MB"
	case b >= kilo || b <= -kilo:
		return strconv.FormatFloat(float64(b)/kilo, 'f', 1, 64) + " kB"
	}

	return strconv.FormatInt(int64(b), 10) + " B"
}

// Size is the number and size of some files.
type Size struct {
	Files    int   `json:"files"`
	Unzipped Bytes `json:"unzippedBytes"`
	Zipped   Bytes `json:"zippedBytes"` // compressed bytes and two headers per file
}

// Add returns the sum.
func (s Size) Add(o Size) Size {
	return Size{s.Files + o.Files, s.Unzipped + o.Unzipped, s.Zipped + o.Zipped}
}

// Of returns the size of one file with that name in a zip. Zipped is without headers.
func Of(name string, unzipped, zipped int64) Size {
	return Size{1, Bytes(unzipped), Bytes(zipped + 76 + 2*int64(len(name)))}
}

// Sizes are sizes by name of a package, kind of file or rule.
type Sizes map[string]Size

// Count adds a size to a name.
func (s Sizes) Count(name string, size Size) { s[name] = s[name].Add(size) }

// Largest returns the names by unzipped bytes, largest first. Equal sizes are sorted by name.
func (s Sizes) Largest() []string {
	return slices.SortedFunc(maps.Keys(s), func(a, b string) int {
		return cmp.Or(cmp.Compare(s[b].Unzipped, s[a].Unzipped), strings.Compare(a, b))
	})
}

// Kind returns the kind of a file by its name, for reports.
func Kind(name string) string {
	base := name[strings.LastIndexByte(name, '/')+1:]
	switch {
	case strings.Contains(name, ".dist-info/"):
		return "metadata"
	case strings.HasSuffix(base, ".py"):
		return "source"
	case strings.HasSuffix(base, ".pyc"), strings.HasSuffix(base, ".pyo"):
		return "bytecode"
	case strings.HasSuffix(base, ".so"), strings.Contains(base, ".so."):
		return "shared object"
	}

	return "data"
}

// Budget is the allowed size of a layer. Zero means only Lambda's limit applies.
type Budget struct {
	Unzipped Bytes `json:"unzippedBytes,omitempty"`
	Zipped   Bytes `json:"zippedBytes,omitempty"`
}

// Verdict is the result of comparing a size with its budget and with Lambda's limit.
type Verdict string

// The verdicts, from best to worst.
const (
	Within     Verdict = "within"
	OverBudget Verdict = "over budget"
	OverLimit  Verdict = "over limit"
)

// Judge compares a layer with its budget and with Lambda's limit.
func Judge(unzipped, zipped Bytes, b Budget) Verdict {
	switch {
	case unzipped > MaxUnzippedBytes:
		return OverLimit
	case b.Unzipped > 0 && unzipped > b.Unzipped, b.Zipped > 0 && zipped > b.Zipped:
		return OverBudget
	}

	return Within
}

// Stack is a set of layers that a function may use together.
type Stack struct {
	Layers   []string `json:"layers"`
	Unzipped Bytes    `json:"unzippedBytes"`
	Budget   Bytes    `json:"budgetBytes"`
	Verdict  Verdict  `json:"verdict"`
	Free     Bytes    `json:"freeBytes"` // left of Lambda's limit for the function's own code; negative above it
}

// JudgeStack compares a stack with the workspace's budget and with Lambda's limit.
func JudgeStack(layers []string, unzipped, budget Bytes) Stack {
	s := Stack{Layers: layers, Unzipped: unzipped, Budget: budget, Verdict: Within, Free: MaxUnzippedBytes - unzipped}
	switch {
	case unzipped > MaxUnzippedBytes:
		s.Verdict = OverLimit
	case budget > 0 && unzipped > budget:
		s.Verdict = OverBudget
	}

	return s
}
