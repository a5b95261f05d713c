package pydist

import (
	"fmt"
	"regexp"
	"strings"
)

// Name is the normalized name of a project or an extra: "Ruamel.YAML" and "ruamel-yaml" are the
// same value.
type Name struct{ n string }

var (
	namePattern    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	nameSeparators = regexp.MustCompile(`[-_.]+`)
)

// ParseName accepts any spelling of a name and normalizes it.
func ParseName(s string) (Name, error) {
	if s == "" {
		return Name{}, fmt.Errorf("name is empty")
	}

	if !namePattern.MatchString(s) {
		const format = "name %q: expected letters, digits, '-', '_' and '.', with a letter or digit at both ends"
		return Name{}, fmt.Errorf(format, s)
	}

	return Name{nameSeparators.ReplaceAllString(strings.ToLower(s), "-")}, nil
}

// String is the normalized name.
func (n Name) String() string { return n.n }

func (n Name) MarshalText() ([]byte, error) { return []byte(n.n), nil }

func (n *Name) UnmarshalText(b []byte) (err error) {
	*n, err = ParseName(string(b))
	return err
}
