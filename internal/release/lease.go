package release

import "time"

// LeaseFor is the lifetime of a lease. Every stage renews it. The longest stage is the build, for
// which the state machine waits two hours.
const LeaseFor = 3 * time.Hour

// Lease names the run that works: state/lease.json. Run is empty if no run holds the lease.
type Lease struct {
	SchemaVersion int       `json:"schemaVersion"`
	Run           string    `json:"run"`
	Execution     string    `json:"execution"`
	Until         time.Time `json:"until"`
	Recovers      string    `json:"recovers,omitempty"` // a run that died, which must be undone first
}

// Claim is what a run may do with the lease.
type Claim string

// The claims.
const (
	Take     Claim = "take"      // it is free, or the run holds it
	TakeOver Claim = "take over" // its holder is dead, and must be undone first
	Wait     Claim = "wait"      // another run holds it
)

// Decide returns what a run may do. holderRuns says whether the execution of the holder is running;
// it is ignored if there is no holder.
func (l Lease) Decide(run string, now time.Time, holderRuns bool) Claim {
	switch {
	case l.Run == "" || l.Run == run:
		return Take
	case !holderRuns || now.After(l.Until):
		return TakeOver
	}

	return Wait
}
