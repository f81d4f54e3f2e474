package sallyport

// Known is what policies were told of a statement that the rest of the record does not say: what a replay under other policies needs.
type Known struct {
	Strength string        `cbor:"1,keyasint,omitempty"` // of the log-in
	Reasons  []KnownReason `cbor:"2,keyasint,omitempty"` // of the purposes, in their order
	// Proof is one more than the minutes since the person last proved who he is; 0: he never did.
	Proof int64 `cbor:"3,keyasint,omitempty"`
}

// KnownReason is a Reason, small.
type KnownReason struct {
	Is       Facts  `cbor:"1,keyasint,omitempty"`
	State    string `cbor:"2,keyasint,omitempty"`
	Team     string `cbor:"3,keyasint,omitempty"`
	Minutes  int64  `cbor:"4,keyasint,omitempty"`
	Looks    int64  `cbor:"5,keyasint,omitempty"`
	Lookers  int64  `cbor:"6,keyasint,omitempty"`
	OwnLooks int64  `cbor:"7,keyasint,omitempty"`

	Assignee          Staff  `cbor:"8,keyasint,omitempty"`
	OpenedBy          Staff  `cbor:"9,keyasint,omitempty"`
	OpenedByProgram   string `cbor:"10,keyasint,omitempty"`
	AssignedBy        Staff  `cbor:"11,keyasint,omitempty"`
	AssignedByProgram string `cbor:"12,keyasint,omitempty"`
}

// Facts are the yes and no of a reason.
type Facts uint8

// The facts. A bit once given keeps its meaning for ever.
const (
	FactCovers Facts = 1 << iota
	FactOpen
	FactMine
	FactOpenedBySelf
	FactAssignedBySelf
	FactContacted
)

// Know makes a reason small.
func Know(r *Reason) KnownReason {
	k := KnownReason{
		State: r.State, Team: r.Team, Minutes: r.Minutes, Looks: r.Looks, Lookers: r.Lookers, OwnLooks: r.OwnLooks,
		Assignee: r.Assignee, OpenedBy: r.OpenedBy, OpenedByProgram: r.OpenedByProgram, AssignedBy: r.AssignedBy, AssignedByProgram: r.AssignedByProgram,
	}
	for i, holds := range [...]bool{r.Covers, r.Open, r.Mine, r.OpenedBySelf, r.AssignedBySelf, r.Contacted} { // in the order of the facts
		if holds {
			k.Is |= 1 << i
		}
	}
	return k
}

// Reason is what was known of a purpose of that kind.
func (k *KnownReason) Reason(kind string) Reason {
	return Reason{
		Kind: kind, Covers: k.Is&FactCovers != 0, Open: k.Is&FactOpen != 0, Mine: k.Is&FactMine != 0, OpenedBySelf: k.Is&FactOpenedBySelf != 0,
		AssignedBySelf: k.Is&FactAssignedBySelf != 0, Contacted: k.Is&FactContacted != 0,
		State: k.State, Team: k.Team, Minutes: k.Minutes, Looks: k.Looks, Lookers: k.Lookers, OwnLooks: k.OwnLooks,
		Assignee: k.Assignee, OpenedBy: k.OpenedBy, OpenedByProgram: k.OpenedByProgram, AssignedBy: k.AssignedBy, AssignedByProgram: k.AssignedByProgram,
	}
}
