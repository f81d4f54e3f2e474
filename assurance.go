package sallyport

import "time"

// AssuredKind is a kind of the control stream: a call to a customer was scheduled, called off, or checked by who had its code. Order.Assured.
const AssuredKind EventKind = "assured_call"

// AssuredCall is a call that somebody is going to make. Whoever has its code learns when, by whom and about what; the record has the code's digest.
type AssuredCall struct {
	ID       string    `cbor:"1,keyasint" json:"id"`
	Do       string    `cbor:"2,keyasint" json:"do"` // schedule, cancel, check; ask, told, untold
	Customer Subject   `cbor:"3,keyasint,omitempty" json:"customer,omitempty"`
	Code     []byte    `cbor:"4,keyasint,omitempty" json:"-"` // SHA-256
	From     time.Time `cbor:"5,keyasint,omitzero" json:"from,omitzero"`
	Until    time.Time `cbor:"6,keyasint,omitzero" json:"until,omitzero"`
	Caller   Staff     `cbor:"7,keyasint,omitempty" json:"caller,omitempty"`
	Name     string    `cbor:"8,keyasint,omitempty" json:"name,omitempty"`      // his first name, which the customer is told
	Team     string    `cbor:"9,keyasint,omitempty" json:"team,omitempty"`      // likewise
	About    string    `cbor:"10,keyasint,omitempty" json:"about,omitempty"`    // a word of a list, so that it tells nothing of the customer
	Reason   string    `cbor:"11,keyasint,omitempty" json:"reason,omitempty"`   // the ticket that it is about
	Language string    `cbor:"12,keyasint,omitempty" json:"language,omitempty"` // in which a customer asked, and is answered
}

// LinkKind is a kind of the control stream: a link that shows a customer who has seen his data was issued, opened or ended. Order.Link.
const LinkKind EventKind = "customer_link"

// CustomerLink is one such link. Its text, by which it is opened, stands nowhere.
type CustomerLink struct {
	ID       string    `cbor:"1,keyasint" json:"id"`
	Do       string    `cbor:"2,keyasint" json:"do"` // issue, open, end
	Customer Subject   `cbor:"3,keyasint,omitempty" json:"customer,omitempty"`
	Until    time.Time `cbor:"4,keyasint,omitzero" json:"until,omitzero"`
}
