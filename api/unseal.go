package api

import (
	"net/http"
	"strings"

	"sallyport"
)

// Unsealer takes shares of what opens the keys.
type Unsealer interface {
	// Check says whether Add would take a share, and what the share is called. Its error is a sentence without the share.
	Check(by, share string) (name string, err error)
	Add(by, share string) (name string, err error)
	Missing() int // shares that are still to come
	Need() int
}

// Unsealed is how far the shares are.
type Unsealed struct {
	Share   string `json:"share"` // what the one just taken is called
	Need    int    `json:"need"`
	Missing int    `json:"missing"`
}

// unseal takes a share from a person. Whoever has one may bring it; that he did is on record before it counts, and so is a wrong one.
func (s *Server) unseal(r *http.Request, me sallyport.Staff) (any, error) {
	var q struct {
		Share string `json:"share"`
	}
	if err := body(r, &q); err != nil {
		return nil, err
	}
	u := s.c.Unseal
	if u == nil {
		return nil, &Problem{http.StatusConflict, "no_quorum", "The keys of this serve are not opened by shares.", "See 'sallyport keys status'."}
	}
	s.unsealing.Lock()
	defer s.unsealing.Unlock()
	name, err := u.Check(string(me), q.Share)
	if err != nil {
		e := s.event(sallyport.UnsealBad, me, &sallyport.Order{Action: "unseal", By: me})
		e.Note = err.Error()
		if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
			return nil, err
		}
		return nil, &Problem{http.StatusConflict, "share_not_taken", sentence(err), "Nothing was changed."}
	}
	e := s.event(sallyport.Unsealing, me, &sallyport.Order{Action: "unseal", By: me, Details: name})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	if _, err := u.Add(string(me), q.Share); err != nil {
		return nil, err
	}
	return Unsealed{Share: name, Need: u.Need(), Missing: u.Missing()}, nil
}

// unsealRequest is its body.
func unsealRequest(share string) map[string]string {
	return map[string]string{"share": strings.TrimSpace(share)}
}
