package cli

import (
	"regexp"

	"github.com/layersmith/layersmith/internal/fault"
)

// hints are what to do about each code of a fault that has no hint of its own.
var hints = map[fault.Code]string{
	fault.BadInput:           "mend what the error names; layersmith COMMAND --help says what a command takes",
	fault.LockConflict:       "loosen one of the requirements that the error names",
	fault.WheelMissing:       "choose a version that has a wheel for the target, or add --allow-source",
	fault.HashMismatch:       "do not use the file; if it was replaced on purpose: layersmith lock --upgrade",
	fault.CorruptArchive:     "get or build the file again",
	fault.ProvenanceMismatch: "build again: layersmith build --clean",
	fault.Unreachable:        "check the network and the address of the index, then run it again",
	fault.ToolMissing:        "install uv and the target's Python (uv python install), or name one with --python",
	fault.GateFailed:         "see what was checked: layersmith check --explain",
	fault.ProbeFailed:        "see all of the output: run it again with --verbose",
	fault.NotProbed:          "get the target's interpreter: uv python install, or build without --strict",
	fault.OverLimit:          "see the largest packages and files: layersmith report",
	fault.Throttled:          "wait a minute, and run it again",
	fault.NotAllowed:         "compare the permissions of your role with docs/iam.md",
	fault.NotFound:           "check the name, the account and the region",
	fault.Changed:            "look at what changed, then run it again",
	fault.LeaseLost:          "wait until the other execution has ended: layersmith executions",
	fault.Unhealthy:          "look at the alarm and the function's log",
	fault.TimedOut:           "run it again; if it ends so again, look at the log",
	fault.Canceled:           "run it again to go on",
	fault.Internal:           "this is a defect of layersmith: please report it with the command and this error",
}

// yamlSyntax is how errors of the YAML parser begin, after the place.
var yamlSyntax = regexp.MustCompile(`\.yaml(:[0-9]+)?: `)

// hintFor is the hint of an error that has none.
func hintFor(err error) string {
	if isUsage(err) {
		return "run: layersmith --help"
	}

	return hints[fault.CodeOf(err)]
}

// hintForFinding is the hint of a finding in a file of the workspace that has none.
func hintForFinding(text string) string {
	if yamlSyntax.MatchString(text) {
		return "docs/layer-yaml.md has the keys and their values; values with \": \" or \"#\" need quotes"
	}

	return hints[fault.BadInput]
}
