package sallyport

import "time"

// CanaryShown says that somebody was shown a contact detail of a customer who does not exist: one that nobody else is shown. Which customer that is
// stands sealed in the control stream, and the detail by a digest whose key is Sallyport's.
type CanaryShown struct {
	Statement uint64 `cbor:"1,keyasint"` // of the session; a Reveal entry behind this one has it, too
	Canary    []byte `cbor:"2,keyasint"` // random bytes that tell it from others
	Scheme    Scheme `cbor:"3,keyasint"` // email or phone
	Period    string `cbor:"4,keyasint"` // in which he is shown the same again
	Grant     string `cbor:"5,keyasint,omitempty"`
	Digest    Digest `cbor:"6,keyasint"`
}

// Planting is what was asked for of customers who do not exist.
type Planting struct {
	Count int           `cbor:"1,keyasint"`
	Over  time.Duration `cbor:"2,keyasint,omitempty"` // so long it takes, at random moments; 0: at once
	Drill bool          `cbor:"3,keyasint,omitempty"` // for drills alone
}

// CanaryHeard is a mail or a call that came to a contact detail of a customer who does not exist.
type CanaryHeard struct {
	ID     string    `cbor:"1,keyasint"`           // of the message, by who sent it; what was heard once is not heard again
	Scheme Scheme    `cbor:"2,keyasint"`           // email or phone
	Digest Digest    `cbor:"3,keyasint"`           // of the detail, as in CanaryShown
	At     time.Time `cbor:"4,keyasint"`           // when it came, as the sender says
	From   string    `cbor:"5,keyasint,omitempty"` // domain of a mail's sender, network of his machine; it proves nothing
	Own    bool      `cbor:"6,keyasint,omitempty"` // it came from a machine of the company's own
	Quoted bool      `cbor:"7,keyasint,omitempty"` // a caller knew the name
	// Suspects are those who were shown it before, with how likely each is the source, in millionths; what is missing to a million is somebody else.
	Suspects []CanarySuspect `cbor:"8,keyasint,omitempty"`
}

// CanarySuspect is somebody who was shown a detail at which somebody called or wrote.
type CanarySuspect struct {
	Staff     Staff     `cbor:"1,keyasint"`
	Shown     time.Time `cbor:"2,keyasint"` // the last time before
	Millionth int64     `cbor:"3,keyasint"`
	Grant     string    `cbor:"4,keyasint,omitempty"`
	Session   string    `cbor:"5,keyasint,omitempty"`
}
