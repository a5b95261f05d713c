package probe

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/layersmith/layersmith/internal/pydist"
)

// Scripts are the built-in functional scripts of a distribution that speak for a version of it. A
// script may say which versions it speaks for in a line of its own: "# versions: >=2,<4". Without
// one it speaks for all. No version is known as the zero Version, for which all scripts speak.
func Scripts(n pydist.Name, v pydist.Version) []Job {
	files, err := fs.Glob(scripts, path.Join("scripts", n.String(), "*.py"))
	if err != nil {
		return nil
	}

	var jobs []Job
	for _, f := range files {
		b, err := fs.ReadFile(scripts, f)
		if err != nil {
			continue
		}

		if versions, err := versionsOf(string(b)); err != nil || v.String() != "" && !versions.Contains(v) {
			continue
		}

		name := n.String() + "/" + strings.TrimSuffix(path.Base(f), ".py")
		jobs = append(jobs, Job{Kind: Script, Name: name, Source: string(b)})
	}

	return jobs
}

var versionsLine = regexp.MustCompile(`(?m)^# versions:(.*)$`)

// versionsOf reads which versions of its distribution a script speaks for.
func versionsOf(source string) (pydist.Specifier, error) {
	m := versionsLine.FindStringSubmatch(source)
	if m == nil {
		return pydist.Specifier{}, nil
	}

	s, err := pydist.ParseSpecifier(strings.TrimSpace(m[1]))
	if err != nil {
		return s, fmt.Errorf("read the line %q: %w", m[0], err)
	}

	return s, nil
}

// BuiltIn reports whether a job is a built-in script. Its name is distribution/topic.
func (j Job) BuiltIn() bool { return j.Kind == Script && strings.Contains(j.Name, "/") }

// Decides reports whether a failed job fails the probe. What fails on the unpruned layer too is
// only a note: the package is published so, or our own script does not fit this version. The script
// of a user says what must work, whatever the cause.
func (r Result) Decides() bool { return !r.Inherited || r.Kind == Script && !r.BuiltIn() }
