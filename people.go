package sallyport

import "time"

// Listed is what one source says about somebody of the staff, whole: what it said of him before is replaced.
type Listed struct {
	Staff      Staff   `cbor:"1,keyasint" json:"staff"`
	Key        string  `cbor:"2,keyasint,omitempty" json:"key,omitempty"` // the source's own id of him
	Name       string  `cbor:"3,keyasint,omitempty" json:"name,omitempty"`
	UserName   string  `cbor:"4,keyasint,omitempty" json:"user_name,omitempty"` // at the identity provider
	External   string  `cbor:"5,keyasint,omitempty" json:"external,omitempty"`
	Mail       string  `cbor:"6,keyasint,omitempty" json:"mail,omitempty"`
	Number     string  `cbor:"7,keyasint,omitempty" json:"number,omitempty"` // the employer's
	Given      string  `cbor:"8,keyasint,omitempty" json:"given,omitempty"`
	Family     string  `cbor:"9,keyasint,omitempty" json:"family,omitempty"`
	Department string  `cbor:"10,keyasint,omitempty" json:"department,omitempty"`
	Manager    Staff   `cbor:"11,keyasint,omitempty" json:"manager,omitempty"`
	Groups     []Group `cbor:"12,keyasint,omitempty" json:"groups,omitempty"` // of the source, by their ids
	// Said are the roles that the source gives him itself, beside his groups.
	Said []string `cbor:"13,keyasint,omitempty" json:"said,omitempty"`
	// Place is what he has by the source's word alone; Want is what two people must agree on first. Either may be empty.
	Place Place `cbor:"14,keyasint,omitzero" json:"place,omitzero"`
	Want  Place `cbor:"15,keyasint,omitzero" json:"want,omitzero"`
	// Placed says that this source has given him a place at some time: since then it is the one that decides about it.
	Placed     bool      `cbor:"16,keyasint,omitempty" json:"placed,omitempty"`
	Employment string    `cbor:"17,keyasint,omitempty" json:"employment,omitempty"` // employed, notice, leave, left; empty: employed
	Inactive   bool      `cbor:"18,keyasint,omitempty" json:"inactive,omitempty"`   // he left, whatever Employment says
	Gone       bool      `cbor:"19,keyasint,omitempty" json:"gone,omitempty"`       // the source deleted him: he left, and this remembers who he was
	Notice     time.Time `cbor:"20,keyasint,omitzero" json:"notice,omitzero"`       // when he gave notice
	Leaves     time.Time `cbor:"21,keyasint,omitzero" json:"leaves,omitzero"`       // from when on he has left
	Version    uint64    `cbor:"22,keyasint,omitempty" json:"version,omitempty"`    // one more with each change
	Created    time.Time `cbor:"23,keyasint,omitzero" json:"created,omitzero"`
	Changed    time.Time `cbor:"24,keyasint,omitzero" json:"changed,omitzero"`
	Firm       string    `cbor:"25,keyasint,omitempty" json:"firm,omitempty"` // the outside firm that he is of; empty: none
}

// Place is where somebody stands in the company: what policies and orders go by.
type Place struct {
	Team string `cbor:"1,keyasint,omitempty" json:"team,omitempty"`
	Role string `cbor:"2,keyasint,omitempty" json:"role,omitempty"`
}

// Group is the id of a group at its source.
type Group string

// ListedGroup is what a source says about one of its groups; its members say themselves that they are in it.
type ListedGroup struct {
	Key      Group     `cbor:"1,keyasint" json:"key"`
	Name     string    `cbor:"2,keyasint" json:"name"`
	External string    `cbor:"3,keyasint,omitempty" json:"external,omitempty"`
	Gone     bool      `cbor:"4,keyasint,omitempty" json:"gone,omitempty"`
	Version  uint64    `cbor:"5,keyasint,omitempty" json:"version,omitempty"`
	Created  time.Time `cbor:"6,keyasint,omitzero" json:"created,omitzero"`
	Changed  time.Time `cbor:"7,keyasint,omitzero" json:"changed,omitzero"`
}
