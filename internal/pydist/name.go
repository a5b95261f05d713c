package pydist

import (
	"fmt"
	"regexp"
	"strings"
)

// Name is a project's or an extra's name, normalized: "Ruamel.YAML" and "ruamel-yaml" are one
// value.
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
		return Name{}, fmt.Errorf(
			"name %q: legal are letters, digits, '-', '_' and '.', with a letter or digit at both ends",
			s,
		)
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
