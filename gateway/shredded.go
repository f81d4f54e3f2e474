package gateway

import (
	"slices"
	"strconv"

	"sallyport"
	"sallyport/catalog"
	"sallyport/control"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/token"
)

// Of a customer whom two people agreed to shred nothing is revealed: not by a reason, not under a grant, and not what a session wrote
// itself. What is on the lists of the record is not revealed in anybody's row.

// VetShredded takes out of a cover what must not be revealed any more.
func VetShredded(state *control.State, ring *token.Ring, cover *purpose.Cover) {
	if !state.Shreds() {
		return
	}
	for stored, v := range cover.Values {
		gone := state.Barred(v.Subject)
		if digest := ring.KeyDigest(v.Scheme, stored); v.Scheme == sallyport.Name || v.Scheme == sallyport.Text {
			gone = gone || state.Buried(digest)
		} else {
			gone = gone || state.Dead(digest)
		}
		if gone {
			delete(cover.Values, stored)
		}
	}
	before := len(cover.Subjects)
	cover.Subjects = slices.DeleteFunc(slices.Clone(cover.Subjects), state.Barred)
	if before > 0 && len(cover.Subjects) == 0 && cover.Refused == "" {
		cover.Refused = "the customer's data were shredded"
	}
}

// shredded tells whether a stored token must not be revealed in a customer's row, or in one of which nothing tells whose it is.
func (g *Gateway) shredded(of *catalog.Protected, codec *token.Codec, who *customer, stored []byte) bool {
	state := g.Standing
	if !state.Shreds() {
		return false
	}
	known := who.known()
	if known && g.barred(who) {
		return true
	}
	switch of.Scheme {
	case sallyport.Name, sallyport.Text: // no two customers have one
		return state.Buried(codec.ListDigest(stored))
	case sallyport.Number, sallyport.Int4, sallyport.Int8, sallyport.UUID:
		if state.Dead(codec.ListDigest(stored)) {
			return true
		}
	case sallyport.Email, sallyport.Phone, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz: // a dead one decrypts to nothing
	}
	return !known && state.Buried(codec.ListDigest(stored))
}

func (g *Gateway) barred(who *customer) bool {
	if !who.numbered {
		return g.Standing.Barred(who.subject())
	}
	var room [20]byte
	return g.Standing.BarredText(strconv.AppendUint(room[:0], who.number, 10))
}

// standsForNothing refuses a value whose token is one that was drawn for a shredded customer: it would be written never to be read, and
// searching for it would find that customer.
func (s *session) standsForNothing(slot *query.Slot, codec *token.Codec, tokens ...[]byte) *query.Refusal {
	if !s.gw.Standing.Shreds() || !codec.Total() {
		return nil
	}
	for _, tok := range tokens {
		if s.gw.Standing.Dead(codec.ListDigest(tok)) || s.gw.Standing.Dead(codec.BeforeDigest(tok)) {
			return refusal(codeValue, "the value for "+slot.Column.String()+" has a token that was drawn at random for a customer who was shredded", "It can be neither written nor searched: take the next one.")
		}
	}
	return nil
}
