package sallyport

import "time"

// Origin says of an entry that it is a copy: which gateway wrote the entry, and where it stands in that gateway's own stream.
type Origin struct {
	Gateway string    `cbor:"1,keyasint"`
	Seq     uint64    `cbor:"2,keyasint"`
	Arrived time.Time `cbor:"3,keyasint"` // by the controller's clock, which alone moves the windows of shared budgets
}

// Charge is what an entry cost of the shares that a gateway borrowed. Whoever the entry shows counts in each of the accounts; those in
// Subjects and Digests are counted by it for the first time, whether or not they stand elsewhere in the entry.
type Charge struct {
	Measure  string    `cbor:"1,keyasint"`
	Accounts []Portion `cbor:"2,keyasint"`
	Subjects []Subject `cbor:"3,keyasint,omitempty"`
	Digests  []Digest  `cbor:"4,keyasint,omitempty"`
	// Telling are the columns of Reveal, by their places, that tell whose a value is: a second value of one under a customer is another customer.
	Telling []int `cbor:"5,keyasint,omitempty"`
}

// Portion is a number of units of one account.
type Portion struct {
	Scope   string `cbor:"1,keyasint,omitempty"` // empty: a person's
	Name    string `cbor:"2,keyasint"`
	Measure string `cbor:"3,keyasint,omitempty"` // of what is lent; of a Charge it stands there
	Units   int    `cbor:"4,keyasint,omitempty"`
	// Of what is lent: who counts already, so that he costs nothing.
	Subjects []Subject `cbor:"5,keyasint,omitempty"`
	Digests  []Digest  `cbor:"6,keyasint,omitempty"`
}

// Lent is what a controller lends to a gateway, or that one joined.
type Lent struct {
	Gateway  string    `cbor:"1,keyasint"`
	Life     string    `cbor:"2,keyasint,omitempty"` // of the gateway's process
	Start    uint64    `cbor:"3,keyasint,omitempty"` // of joined: how far the gateway's stream was when this life began
	Record   string    `cbor:"4,keyasint,omitempty"` // of joined: the id of that stream
	Portions []Portion `cbor:"5,keyasint,omitempty"`
}
