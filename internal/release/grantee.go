package release

import (
	"fmt"
	"regexp"
)

// Grantee is an organization or an account that may use a layer version.
type Grantee struct{ id string }

// The patterns of IDs of the AWS Organizations API (Organization.Id, Account.Id).
var (
	organizationID = regexp.MustCompile(`^o-[a-z0-9]{10,32}$`)
	accountID      = regexp.MustCompile(`^[0-9]{12}$`)
)

// ParseGrantee parses the ID of an organization (o-...) or of an account (12 digits).
func ParseGrantee(s string) (Grantee, error) {
	if !organizationID.MatchString(s) && !accountID.MatchString(s) {
		return Grantee{}, fmt.Errorf("%q is neither an organization (o-...) nor an account (12 digits)", s)
	}

	return Grantee{s}, nil
}

// String is the ID.
func (g Grantee) String() string { return g.id }

// IsOrganization tells an organization from an account.
func (g Grantee) IsOrganization() bool { return organizationID.MatchString(g.id) }
