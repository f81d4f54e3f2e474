package api

import (
	"bytes"
	"net/http"
	"slices"

	"sallyport"
	"sallyport/control"
)

// KeyChange says whether the keys of a join group can be changed; nil if they can. Its error is a sentence for people.
type KeyChange func(group string) error

// rotateKey proposes to give a join group a new key.
func (s *Server) rotateKey(r *http.Request, me sallyport.Staff) (any, error) {
	return s.changeKey(r, me, control.RotateKey, s.c.Rotate)
}

// destroyKey proposes to destroy the older key of a join group.
func (s *Server) destroyKey(r *http.Request, me sallyport.Staff) (any, error) {
	return s.changeKey(r, me, control.DestroyKey, s.c.Destroy)
}

// shred proposes to make the values of a customer unreadable.
func (s *Server) shred(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	if s.c.Shred == nil {
		return nil, &Problem{http.StatusConflict, "no_keys", "This serve protects nothing, so that there is nothing to shred.", ""}
	}
	if q.Customer == "" || len(q.Customer) > maxCustomer {
		return nil, &Problem{http.StatusBadRequest, "no_customer", "It must say which customer, by the key that the database has.", ""}
	}
	if err := s.c.Shred(string(q.Customer)); err != nil {
		return nil, &Problem{http.StatusConflict, "not_shredded", sentence(err), "See 'sallyport keys shred --list'."}
	}
	return s.propose(me, sallyport.Order{Action: control.Shred, Reason: q.Reason, Details: string(q.Customer)}, func() error {
		return s.proposedAlready(control.Shred, string(q.Customer))
	})
}

// shreddedTokens lists the digests of tokens that stand for nothing, for a protect beside serve, which must not take them for values.
func (s *Server) shreddedTokens(r *http.Request, _ sallyport.Staff) (any, error) {
	tokens := [][]byte{}
	for _, d := range s.state.DeadTokens() {
		tokens = append(tokens, d[:])
	}
	slices.SortFunc(tokens, bytes.Compare) // a cursor needs an order that stays
	return paged(r, "tokens", tokens, func(d *[]byte) string { return string(*d) })
}

// opening puts on record that somebody opens the keys with a share, in a command of his own beside serve. What he brings stays with him.
func (s *Server) opening(r *http.Request, me sallyport.Staff) (any, error) {
	var q openingRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if q.Share == "" || len(q.Share) > maxShare || q.For == "" || len(q.For) > maxShare {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "It must name the share and what for.", ""}
	}
	e := s.event(sallyport.Unsealing, me, &sallyport.Order{Action: "unseal", By: me, Details: q.Share})
	e.Note = "for " + q.For
	return map[string]bool{"recorded": true}, s.c.Orders.Give(s.stillFree(me), e)
}

// openingRequest is its body: the name of a share, not the share.
type openingRequest struct {
	Share string `json:"share"`
	For   string `json:"for"`
}

const maxShare = 100

// maxCustomer bounds a customer's key.
const maxCustomer = 200

// proposedAlready objects to a second open proposal of the same.
func (s *Server) proposedAlready(action, details string) error {
	for _, p := range s.state.Proposals() {
		if p.Action == action && p.Details == details && p.Status == control.Open {
			return &Problem{http.StatusConflict, "proposed_already", "The same was proposed already, as " + p.ID + ".", "Approve or decline that."}
		}
	}
	return nil
}

func (s *Server) changeKey(r *http.Request, me sallyport.Staff, action string, change KeyChange) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	if change == nil {
		return nil, &Problem{http.StatusConflict, "no_keys", "This serve protects nothing, so that it has no keys.", ""}
	}
	// Not in the moment of the order: it may ask the database, and locks must not wait for that.
	if err := change(q.Group); err != nil {
		return nil, &Problem{http.StatusConflict, "keys_stay", sentence(err), "See 'sallyport keys status'."}
	}
	return s.propose(me, sallyport.Order{Action: action, Reason: q.Reason, Details: q.Group}, func() error { return s.proposedAlready(action, q.Group) })
}
