// Package statemachine holds the workflow's definition in the Amazon States Language, as text for
// the deployment and parsed for programs that count or check its states.
//
// The definition uses JSONPath, not JSONata: all engines that the tests run support it. It is valid
// JSON as it stands: each placeholder, such as ${Prune}, is a whole string. A placeholder is the
// name of a folder of functions/ with a capital letter, and stands for that function's ARN. The one
// other placeholder is ${BuildProject}. A state is named after what it does or asks; its Comment
// says what the name cannot say.
package statemachine

import (
	_ "embed"
	"maps"
	"regexp"
	"slices"
)

//go:embed pipeline.asl.json
var definition string

// BuildProject is the placeholder for the name of the CodeBuild project. All other placeholders
// stand for functions.
const BuildProject = "BuildProject"

// Definition returns the definition with its placeholders.
func Definition() string { return definition }

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

// Placeholders returns the names of all placeholders, sorted.
func Placeholders() []string {
	names := map[string]bool{}
	for _, m := range placeholder.FindAllStringSubmatch(definition, -1) {
		names[m[1]] = true
	}

	return slices.Sorted(maps.Keys(names))
}

// Functions returns the placeholders that stand for the ARNs of Lambda functions, sorted: "Health",
// "Intake", ... The function's folder is the name in lower case.
func Functions() []string {
	return slices.DeleteFunc(Placeholders(), func(name string) bool { return name == BuildProject })
}

// Outcomes returns the names of the states in which an execution ends, from the best outcome to the
// worst.
func Outcomes() []string {
	return []string{"Released", "Unchanged", "RolledBack", "FailedClean", "FailedDirty"}
}
