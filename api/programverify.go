package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sallyport"
	"sallyport/program/rotation"
)

// VerifiedDraw is a draw that was repeated from its file, and what the record says against it.
type VerifiedDraw struct {
	Result     *rotation.Result `json:"result"`
	Commitment string           `json:"commitment"`
	Beacon     string           `json:"beacon"`
	Committed  time.Time        `json:"committed,omitzero"` // when it was committed to; zero: the record has no such draw
	Due        time.Time        `json:"due,omitzero"`       // when the beacon's value was there
	Drawn      time.Time        `json:"drawn,omitzero"`
	Found      []string         `json:"found"` // empty: it was committed to in time, and is the only one
}

// verifyRotation repeats a draw from its file, whoever made it, and holds it to the record. One at a time: a large plan takes seconds.
func (s *Server) verifyRotation(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	var q drawRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if err := s.asked(me, "rotation_verify", "", "repeated a draw"); err != nil {
		return nil, err
	}
	if !s.repeating.TryLock() {
		return nil, &Problem{http.StatusTooManyRequests, "busy", "A draw is being repeated already.", "One at a time: ask again in a moment."}
	}
	reveal, result, err := rotation.Verify([]byte(q.File))
	s.repeating.Unlock()
	if err != nil {
		return nil, &Problem{http.StatusBadRequest, "bad_rotation", sentence(err), "The file is the one that 'sallyport program rotate draw' wrote for everybody."}
	}
	list := statuses(book.Rotations(), s.c.Now())
	out := &VerifiedDraw{Result: result, Commitment: reveal.Commitment, Beacon: reveal.Beacon, Found: AgainstDraw(reveal, result, list)}
	if i := slices.IndexFunc(list, func(x RotationStatus) bool { return x.Name == result.Name && x.Commitment == reveal.Commitment }); i >= 0 {
		out.Committed, out.Due, out.Drawn = list[i].At, list[i].Due, list[i].Drawn
	}
	return out, nil
}

// AgainstDraw is what a record says against a draw that was repeated; nothing where it was committed to in time and is the only one of its name.
func AgainstDraw(reveal *rotation.Reveal, result *rotation.Result, list []RotationStatus) []string {
	found, on := []string{}, false
	text, err := reveal.Encode()
	if err != nil {
		return append(found, err.Error())
	}
	sum := sha256.Sum256(text)
	for _, r := range list {
		switch {
		case r.Name != result.Name:
		case r.Commitment == reveal.Commitment && r.File == hex.EncodeToString(sum[:]):
			on = true
			if !r.At.Before(r.Due) {
				found = append(found, fmt.Sprintf("it was committed to on %s, when the beacon of %s was known", r.At.Format(time.RFC3339), r.Due.Format(time.RFC3339)))
			}
		case r.State == "lapsed":
			found = append(found, fmt.Sprintf("%s committed to another draw of this name on %s, and nobody drew it", r.By, r.At.Format(time.RFC3339)))
		}
	}
	if !on {
		found = append(found, "this draw is not on record")
	}
	return found
}

// VerifyRotation has a draw repeated from its file and held to the record.
func (c *Client) VerifyRotation(ctx context.Context, file string) (*VerifiedDraw, error) {
	out := &VerifiedDraw{}
	err := c.call(ctx, http.MethodPost, "/v1/program/rotations/verify", drawRequest{file}, out)
	return out, err
}
