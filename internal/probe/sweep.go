package probe

import (
	"regexp"
	"sort"
	"strings"

	"github.com/layersmith/layersmith/internal/wheel"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// Everything lists a job for every module of the named distributions, beside those that Jobs lists:
// also private modules and those deep in packages, but no program (__main__) and no test.
func Everything(tree ziptree.Tree, prefix string, dists []wheel.Distribution, named map[string]bool) []Job {
	listed := modulesToImport(tree, prefix, dists)
	var jobs []Job
	for m, f := range modulesOf(tree, prefix, dists) {
		if _, known := listed[m]; !known && named[f.owner] && !isTestOrProgram(m) && !isFolderOfFiles(m) {
			jobs = append(jobs, Job{Kind: Module, Name: m, Group: f.owner, Loose: true})
		}
	}

	sort.Slice(jobs, func(i, j int) bool { return jobs[i].Name < jobs[j].Name })
	return jobs
}

// isTestOrProgram reports whether a module is not meant for import: a program, or code that only a
// test runner imports.
func isTestOrProgram(m string) bool {
	for _, part := range strings.Split(m, ".") {
		switch {
		case part == "__main__", part == "conftest", part == "test", part == "tests", part == "setup",
			strings.HasPrefix(part, "test_"):
			return true
		}
	}

	return false
}

// removed are modules that newer versions of Python lack, with the distribution that has them.
// Source: "What's New in Python" 3.12 (distutils, imp, asynchat, asyncore, smtpd) and 3.13
// (PEP 594).
var removed = map[string]string{
	"distutils": "setuptools", "pkg_resources": "setuptools<81", "imp": "", "asyncore": "pyasyncore",
	"asynchat": "pyasynchat", "smtpd": "", "aifc": "standard-aifc", "audioop": "audioop-lts", "cgi": "legacy-cgi",
	"cgitb": "legacy-cgi", "chunk": "standard-chunk", "crypt": "", "imghdr": "standard-imghdr",
	"mailcap": "standard-mailcap", "nntplib": "standard-nntplib", "pipes": "standard-pipes",
	"sndhdr": "standard-sndhdr", "sunau": "standard-sunau", "telnetlib": "standard-telnetlib",
	"uu": "standard-uu", "xdrlib": "standard-xdrlib", "msilib": "", "nis": "", "ossaudiodev": "", "spwd": "",
}

var readOnly = regexp.MustCompile(`Read-only file system|no locator available|Permission denied: '/(opt|var/task|home)`)

// Advice is what to try about a job that fails as published; "" when nothing is known.
func (r Result) Advice() string {
	if r.Library != "" {
		return "take a build that has " + r.Library + " in its wheel, or put the library below lib/ of a layer"
	}

	missing := r.Missing()
	top, _, _ := strings.Cut(missing, ".")
	if by, known := removed[top]; known && by != "" {
		return "add " + by + " to requirements.txt, which has " + top + ", or take another version"
	} else if known {
		return "take a newer version: Python no longer has " + top
	}

	switch {
	case missing != "":
		return "add the distribution that has " + missing + " to requirements.txt, or take another version"
	case readOnly.MatchString(r.Detail) && strings.Contains(r.Detail, "numba"):
		return "only /tmp can be written on Lambda: set NUMBA_CACHE_DIR=/tmp, see docs/how-we-prove-it.md"
	case readOnly.MatchString(r.Detail):
		return "only /tmp can be written on Lambda: name a folder there, by the variable or setting of the package"
	}

	return "take another version"
}
