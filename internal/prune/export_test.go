package prune

// Decisions are the plan's, for tests of plans that are not applied.
func (p Plan) Decisions() []Decision { return p.decisions }
