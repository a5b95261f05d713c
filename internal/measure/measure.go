// Package measure says what a layer weighs, what it may weigh, and whether that is well.
//
// Lambda counts bytes unzipped, of a function's package and all its layers together: at most
// 262,144,000, which is 250 MiB. Sizes in reports are megabytes of 10^6 bytes (MB) or mebibytes of
// 2^20 (MiB), always with the unit.
package measure

import (
	"fmt"
	"math"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// Limits of Lambda (docs: "Lambda quotas").
const (
	MaxUnzippedBytes       = 250 << 20 // a function and all its layers together
	mebi                   = 1 << 20
	mega                   = 1_000_000
	kilo, kibi             = 1000, 1024
	giga             int64 = 1_000_000_000
)

// Bytes is a size; its text has a unit.
type Bytes int64

var units = []struct {
	name string
	size float64
}{
	{"MiB", mebi},
	{"KiB", kibi},
	{"GiB", 1 << 30},
	{"MB", mega},
	{"kB", kilo},
	{"KB", kilo},
	{"GB", float64(giga)},
	{"B", 1},
}

// decimal leaves out what else ParseFloat reads (NaN, 1e9, 0x1p4), and commas that do not part
// thousands: 1,5 MB is not 15 MB.
var decimal = regexp.MustCompile(`^([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?$`)

// ParseBytes reads "140 MB", "225MiB", "262144000".
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

// MB prints megabytes with one decimal and without the unit, as tables want it.
func (b Bytes) MB() string { return strconv.FormatFloat(float64(b)/mega, 'f', 1, 64) }

// String prints a whole number of MiB as such, and everything else in MB, kB or B.
func (b Bytes) String() string {
	switch {
	case b >= mebi && b%mebi == 0:
		return fmt.Sprintf("%s MB (%d MiB)", b.MB(), b/mebi)
	case b >= 100*kilo || b <= -100*kilo:
		return b.MB() + " MB"
	case b >= kilo || b <= -kilo:
		return strconv.FormatFloat(float64(b)/kilo, 'f', 1, 64) + " kB"
	}

	return strconv.FormatInt(int64(b), 10) + " B"
}

// Size is unzipped and zipped bytes of some files.
type Size struct {
	Files    int   `json:"files"`
	Unzipped Bytes `json:"unzippedBytes"`
	Zipped   Bytes `json:"zippedBytes"` // compressed bytes and the files' two headers
}

// Add returns the sum.
func (s Size) Add(o Size) Size {
	return Size{s.Files + o.Files, s.Unzipped + o.Unzipped, s.Zipped + o.Zipped}
}

// Of is the size of one file in a zip below that name.
func Of(name string, unzipped, zipped int64) Size {
	return Size{1, Bytes(unzipped), Bytes(zipped + 76 + 2*int64(len(name)))}
}

// Sizes is a table of sizes by some name: package, kind of file, rule.
type Sizes map[string]Size

// Count adds to one row.
func (s Sizes) Count(name string, size Size) { s[name] = s[name].Add(size) }

// Largest returns the names by unzipped bytes, largest first; equal ones by name.
func (s Sizes) Largest() []string {
	names := make([]string, 0, len(s))
	for n := range s {
		names = append(names, n)
	}

	sort.Slice(names, func(i, j int) bool {
		a := s[names[i]].Unzipped
		b := s[names[j]].Unzipped
		return a > b || a == b && names[i] < names[j]
	})
	return names
}

// Kind is what sort of file a name is: the rows of the report by kind.
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

// Budget is what a layer may weigh; zero means no budget of its own.
type Budget struct {
	Unzipped Bytes `json:"unzippedBytes,omitempty"`
	Zipped   Bytes `json:"zippedBytes,omitempty"`
}

// Verdict is how a size stands to its budget and to Lambda's limit.
type Verdict string

// The verdicts, from good to bad.
const (
	Within     Verdict = "within"
	OverTarget Verdict = "over target"
	OverLimit  Verdict = "over limit"
)

// Judge compares a layer with its budget and with Lambda's limit.
func Judge(unzipped, zipped Bytes, b Budget) Verdict {
	switch {
	case unzipped > MaxUnzippedBytes:
		return OverLimit
	case b.Unzipped > 0 && unzipped > b.Unzipped, b.Zipped > 0 && zipped > b.Zipped:
		return OverTarget
	}

	return Within
}

// Stack is a set of layers that a function may use together.
type Stack struct {
	Layers   []string `json:"layers"`
	Unzipped Bytes    `json:"unzippedBytes"`
	Budget   Bytes    `json:"budgetBytes"`
	Verdict  Verdict  `json:"verdict"`
	Free     Bytes    `json:"freeBytes"` // of Lambda's limit, for the function's own code; negative when over
}

// JudgeStack compares a stack with the workspace's budget and with Lambda's limit.
func JudgeStack(layers []string, unzipped, budget Bytes) Stack {
	s := Stack{Layers: layers, Unzipped: unzipped, Budget: budget, Verdict: Within, Free: MaxUnzippedBytes - unzipped}
	switch {
	case unzipped > MaxUnzippedBytes:
		s.Verdict = OverLimit
	case budget > 0 && unzipped > budget:
		s.Verdict = OverTarget
	}

	return s
}
