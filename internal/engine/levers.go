package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/layersmith/layersmith/internal/measure"
	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/workspace"
)

// lever is something that makes a layer smaller, by how much, and the line for it.
type lever struct {
	saves measure.Bytes
	text  string
}

// leversNamed is how many levers an error names.
const leversNamed = 3

// largestLevers are the largest levers of layers that are too large, in one sentence.
func largestLevers(layers []report.Layer) string {
	var all []lever
	for _, l := range layers {
		all = append(all, leversOf(l)...)
	}

	slices.SortStableFunc(all, func(a, b lever) int { return cmp.Compare(b.saves, a.saves) })
	if len(all) == 0 {
		return ""
	}

	var parts []string
	for _, l := range all[:min(len(all), leversNamed)] {
		parts = append(parts, fmt.Sprintf("%s with %s", l.saves, l.text))
	}

	return "what saves most: " + strings.Join(parts, "; ")
}

// bundled are the distributions that the rule boto-runtime removes.
var bundled = []string{"boto3", "botocore", "s3transfer"}

// leversOf are the levers of one layer.
func leversOf(l report.Layer) []lever {
	file := l.Name + "/layer.yaml"
	var out []lever
	if code := l.Bytecode.Size.Unzipped; code > 0 && l.Bytecode.Mode != string(workspace.Sourceless) {
		out = append(out, lever{code, fmt.Sprintf("`bytecode: none` in %s (about %.1f s more at a cold start)", file,
			float64(code)/1e6*secondsPerMB)})
	}

	var boto measure.Bytes
	for _, name := range bundled {
		boto += l.Packages[name].Unzipped
	}

	if boto > 0 {
		const line = "`rules: { boto-runtime: { enabled: true, reason: the runtime has it } }` in "
		out = append(out, lever{boto, line + file})
	}

	for _, p := range l.Parts {
		if !slices.ContainsFunc(bundled, func(name string) bool { return strings.HasPrefix(p.Name, name+"/") }) {
			line := fmt.Sprintf("`drop: [{ match: \"%s/**\", reason: not used }]` in %s", p.Name, file)
			out = append(out, lever{p.Unzipped, line})
		}
	}

	if names := l.Packages.Largest(); len(names) > 1 && !slices.Contains(bundled, names[0]) {
		line := names[0] + " in a layer of its own, for the functions that need it"
		out = append(out, lever{l.Packages[names[0]].Unzipped, line})
	}

	return out
}

// largestParts is how many parts of packages a report names.
const largestParts = 10

// partsOf are the largest folders directly in packages, by the sizes of their files.
func partsOf(sizes measure.Sizes) []report.Sized {
	var out []report.Sized
	for _, name := range sizes.Largest() {
		s := sizes[name]
		out = append(out, report.Sized{Name: name, Unzipped: s.Unzipped, Zipped: s.Zipped})
	}

	return out[:min(largestParts, len(out))]
}

// partOfPackage is the folder directly in a package that a file is in, relative to the site folder;
// "" for none, for metadata and for libraries that wheels bundle.
func partOfPackage(site string) string {
	parts := strings.SplitN(site, "/", 3)
	if len(parts) < 3 || strings.Contains(parts[0], ".") || parts[1] == "__pycache__" || strings.HasPrefix(site, "(") {
		return ""
	}

	return parts[0] + "/" + parts[1]
}
