package api

import (
	"net/http"

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
	return s.propose(me, sallyport.Order{Action: action, Reason: q.Reason, Details: q.Group}, func() error {
		for _, p := range s.state.Proposals() {
			if p.Action == action && p.Details == q.Group && p.Status == control.Open {
				return &Problem{http.StatusConflict, "proposed_already", "The same was proposed already, as " + p.ID + ".", "Approve or decline that."}
			}
		}
		return nil
	})
}
