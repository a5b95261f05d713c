package release

import "time"

// LeaseFor is how long a lease holds without being renewed. Every stage renews it; the longest time
// between two is a build, for which the state machine waits two hours.
const LeaseFor = 3 * time.Hour

// Lease says which run works: state/lease.json. The document stays when nobody holds it, with an
// empty run.
type Lease struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`
	Execution     string    `json:"execution"`
	Until         time.Time `json:"until"`
	Recovers      string    `json:"recovers,omitempty"` // a run that died and must be undone before anything else
}

// Claim is what a run may do about the lease.
type Claim string

// The claims.
const (
	Take     Claim = "take"      // it is free, or one's own
	TakeOver Claim = "take over" // its holder is dead; what it left must be undone first
	Wait     Claim = "wait"      // somebody works
)

// Decide says what a run may do. holderRuns tells whether the execution that holds the lease still
// runs; it matters only when there is one.
func (l Lease) Decide(run string, now time.Time, holderRuns bool) Claim {
	switch {
	case l.Run == "" || l.Run == run:
		return Take
	case !holderRuns || now.After(l.Until):
		return TakeOver
	}

	return Wait
}
