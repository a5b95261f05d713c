package localport

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/fault"
	"github.com/layersmith/layersmith/internal/pydist"
	"github.com/layersmith/layersmith/internal/workspace"
)

var (
	drawing       = strings.NewReplacer("╰─▶", "", "├─▶", "", "│", "", "×", "", "\n", " ")
	onlyAvailable = regexp.MustCompile(`only \S+ (is|are) available`)
	preamble      = regexp.MustCompile(`^(error: )?(No solution found when resolving dependencies:?( cause:)? ?)?`)
	spaces        = regexp.MustCompile(`\s+`)
)

// uvFailure is a kind of failure, recognized by the message of uv.
type uvFailure struct {
	texts   []string       // any of them is in the message
	pattern *regexp.Regexp // or it matches; nil for none

	code            fault.Code
	hint            string // $TARGET is replaced
	withHints       bool   // the hints of uv are added to the message
	targetIsSubject bool   // the failure is not about requirements
}

func (f uvFailure) matches(message string) bool {
	return slices.ContainsFunc(f.texts, func(text string) bool { return strings.Contains(message, text) }) ||
		f.pattern != nil && f.pattern.MatchString(message)
}

// uvFailures are tried in order.
var uvFailures = []uvFailure{
	{
		texts: []string{
			"error sending request",
			"Failed to fetch",
			"dns error",
			"Network connectivity is disabled",
			"was not found in the cache",
		},
		code: fault.Unreachable,
		hint: "check the network and your index configuration, then try again",
	},
	{
		texts: []string{
			"no usable wheels",
			"no wheels with a matching",
			"has no wheels",
			"building from source is disabled",
		},
		code:      fault.WheelMissing,
		hint:      "choose a version that has a wheel for $TARGET, or add --allow-source on a machine of that platform",
		withHints: true, // which wheels exist
	},
	{
		texts: []string{
			"was not found in the package registry",
			"was not found in the provided package locations",
			"there is no version of",
			"there are no versions of",
		},
		pattern: onlyAvailable,
		code:    fault.BadInput,
		hint: "correct the name or the version; is it on another index? Indexes are configured in uv.toml or " +
			"UV_INDEX",
	},
	{
		texts: []string{"has an invalid package format"},
		code:  fault.CorruptArchive,
		hint:  "the file is what its index serves; choose another version, or tell its maintainers",
	},
	{
		pattern: regexp.MustCompile("^Distribution not found at"),
		code:    fault.BadInput,
		hint:    "put the file there, or correct the requirement",
	},
	{
		texts:           []string{"No interpreter found"},
		code:            fault.ToolMissing,
		hint:            "install a Python 3, which uv needs to resolve with, or name one with --python",
		targetIsSubject: true,
	},
}

// explain turns a failure of uv into a fault whose subject is the lines of the requirements that
// the message mentions. Other errors stay as they are.
func explain(err error, w workspace.Workspace, t pydist.Target, root string) error {
	var u *uvError
	if !errors.As(err, &u) {
		return err
	}

	text := strings.TrimSpace(spaces.ReplaceAllString(drawing.Replace(u.text), " "))
	noSolution := strings.Contains(text, "No solution found")
	text, hints, _ := strings.Cut(preamble.ReplaceAllString(text, ""), " hint: ")
	if text == "" {
		return fault.New(fault.ToolMissing, "run", u.program, fmt.Errorf("it failed without a message: %w", u.err)).
			WithHint(reinstallUV)
	}

	f := fault.New(fault.LockConflict, "lock", mentioned(text, w, root), errors.New(text)).
		WithHint("change one of these requirements, or move one layer to a workspace of its own")
	if f.Subject == "" {
		f.Subject = t.String()
	}

	i := slices.IndexFunc(uvFailures, func(known uvFailure) bool { return known.matches(text) })
	switch {
	case i >= 0:
		uvFailures[i].apply(f, t, hints)
	case !noSolution:
		f.Code = fault.BadInput
		f.Hint = "this is the message of uv"
	}

	return f
}

func (f uvFailure) apply(to *fault.Error, t pydist.Target, hints string) {
	to.Code = f.code
	to.Hint = strings.ReplaceAll(f.hint, "$TARGET", t.String())
	if f.withHints && hints != "" {
		to.Err = errors.New(to.Err.Error() + " " + strings.ReplaceAll(hints, " hint: ", " "))
	}

	if f.targetIsSubject {
		to.Subject = t.String()
	}
}

// mentioned lists the requirements whose name or file is in a message of uv: "alpha>=1
// (layers/one/requirements.txt:3); ...".
func mentioned(text string, w workspace.Workspace, root string) string {
	var found []string
	lower := strings.ToLower(text)
	for _, l := range w.Layers {
		for _, q := range slices.Concat(l.Requirements.Direct, l.Requirements.Constraints) {
			if mentions(lower, q.Name.String()) || q.URL != "" && strings.Contains(text, path.Base(q.URL)) {
				found = append(found, fmt.Sprintf("%s (%s:%d)", q.Text, path.Join(root, q.File), q.Line))
			}
		}
	}

	slices.Sort(found)
	return strings.Join(slices.Compact(found), "; ")
}

// mentions finds a distribution's name as a whole word.
func mentions(text, name string) bool {
	for i := 0; ; {
		k := strings.Index(text[i:], name)
		if k < 0 {
			return false
		}

		start := i + k
		end := i + k + len(name)
		before := start == 0 || !wordByte(text[start-1])
		after := end == len(text) || !wordByte(text[end]) ||
			text[end] == '.' && (end+1 == len(text) || !wordByte(text[end+1])) // the end of a sentence
		if before && after {
			return true
		}

		i = end
	}
}

func wordByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b == '-' || b == '_' || b == '.'
}
