package token

import (
	"errors"
	"fmt"

	"sallyport"
)

// Veil appends what is shown in the place of an integer or uuid of which nothing tells whether it is a token: another one of its type, by a key of its
// own that no epoch has. Equal texts have equal veils, and nobody without the key learns from one whether it hides a value or a token.
func (c *Codec) Veil(dst, stored []byte) ([]byte, error) {
	if c.veil == nil {
		return dst, errNoVeil
	}
	return c.veil.tokenise(dst, stored)
}

var errNoVeil = errors.New("tokens of the scheme are known by their form")

// newVeil is nil for schemes whose tokens are known by their form.
func (r *Ring) newVeil(spec Spec) (*fixedForm, error) {
	switch spec.Scheme {
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		f, err := r.fixedUnder(r.record, "veil", spec)
		if err != nil {
			return nil, fmt.Errorf("make codec of %s: %w", spec.Column, err)
		}
		return f, nil
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
	}
	return nil, nil
}
