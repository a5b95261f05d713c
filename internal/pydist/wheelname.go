package pydist

import (
	"fmt"
	"regexp"
	"strings"
)

// WheelName is the file name of a wheel as given:
//
//	{distribution}-{version}[-{build}]-{python tag}-{abi tag}-{platform tag}.whl
type WheelName struct {
	file                         string
	dist                         Name
	version                      Version
	build, python, abi, platform string // lower case; the tags still joined by '.'
}

var (
	buildPattern  = regexp.MustCompile(`^[0-9][A-Za-z0-9_.]*$`)
	tagSetPattern = regexp.MustCompile(`^[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*$`)
)

// ParseWheelName parses a file name without a directory.
func ParseWheelName(s string) (WheelName, error) {
	stem, ok := strings.CutSuffix(s, ".whl")
	if !ok {
		return WheelName{}, fmt.Errorf("wheel name %q: does not end in .whl", s)
	}

	parts := strings.Split(stem, "-")
	if len(parts) != 5 && len(parts) != 6 {
		const format = "wheel name %q: has %d parts separated by dashes; expected 5, or 6 with a build number"
		return WheelName{}, fmt.Errorf(format, s, len(parts))
	}

	w := WheelName{file: s}
	var err error
	if w.dist, err = ParseName(parts[0]); err != nil {
		return WheelName{}, fmt.Errorf("wheel name %q: %w", s, err)
	}

	if w.version, err = parseFileVersion(parts[1]); err != nil {
		return WheelName{}, fmt.Errorf("wheel name %q: %w", s, err)
	}

	tags := parts[2:]
	if len(parts) == 6 {
		if !buildPattern.MatchString(parts[2]) {
			return WheelName{}, fmt.Errorf("wheel name %q: build number %q does not begin with a digit", s, parts[2])
		}

		w.build = asciiLower(parts[2])
		tags = parts[3:]
	}

	for i, field := range []*string{&w.python, &w.abi, &w.platform} {
		if !tagSetPattern.MatchString(tags[i]) {
			const format = "wheel name %q: tag %q: expected letters, digits and '_', with '.' between tags"
			return WheelName{}, fmt.Errorf(format, s, tags[i])
		}

		*field = asciiLower(tags[i])
	}

	return w, nil
}

// parseFileVersion parses the version of a file name, where '-' is written as '_' because '-'
// separates the parts.
func parseFileVersion(s string) (Version, error) {
	v, err := ParseVersion(s)
	if err == nil || !strings.Contains(s, "_") {
		return v, err
	}

	if v, again := ParseVersion(strings.ReplaceAll(s, "_", "-")); again == nil {
		return v, nil
	}

	return v, err
}

func (w WheelName) Distribution() Name { return w.dist }
func (w WheelName) Version() Version   { return w.version }

// Build is the build number, lower case, or "" without one.
func (w WheelName) Build() string { return w.build }

// Pythons, ABIs and Platforms are the tags of each compressed set, lower case, in the order given.
func (w WheelName) Pythons() []string   { return splitTags(w.python) }
func (w WheelName) ABIs() []string      { return splitTags(w.abi) }
func (w WheelName) Platforms() []string { return splitTags(w.platform) }

// String is the file name as given.
func (w WheelName) String() string { return w.file }

func (w WheelName) MarshalText() ([]byte, error) { return []byte(w.file), nil }

func (w *WheelName) UnmarshalText(b []byte) (err error) {
	*w, err = ParseWheelName(string(b))
	return err
}

func splitTags(s string) []string {
	if s == "" {
		return nil
	}

	return strings.Split(s, ".")
}
