package token

import "bytes"

// Settle appends the token of a stored value that may be plain still: a token as it stands, and of a plain value the same token each time,
// also where Tokenise would make another one, so that who reads a row twice is told the same. The token is not for storing: equal
// texts show by it.
func (c *Codec) Settle(dst, stored []byte) ([]byte, error) {
	if c.IsToken(stored) {
		return append(dst, stored...), nil
	}
	// The nonce is drawn from value and column under a key of its own: one nonce never serves two texts.
	seed := c.TokenDigest(append([]byte("settle\x00"+c.spec.Column.String()+"\x00"), stored...))
	return c.Tokenise(dst, stored, bytes.NewReader(seed[:]))
}

// Forms are the texts by which a value may stand in a column that holds tokens beside plain values: its tokens, one for each key epoch and
// the newest first, or what the tokens of a name begin with; the value as it is given; and its canonical form where that is another
// one. A token stands for its value. While keys are rotated they are its tokens of both epochs and nothing else: then no plain
// value stands there.
func (c *Codec) Forms(value []byte) ([][]byte, error) {
	switch f := c.forms.Load(); {
	case f.older != nil:
		return c.Searches(value)
	case f.before != nil:
		return c.tokensOf(value)
	}
	plain := value
	if c.IsToken(value) {
		if c.Overflowed(value) { // only the vault knows what it stands for
			return nil, ErrNotToken
		}
		var err error
		if plain, err = c.Reveal(nil, value); err != nil {
			return nil, err
		}
	}
	searches, err := c.Searches(plain)
	if err != nil {
		return nil, err
	}
	out := append(searches, plain)
	if canonical, err := c.Canonical(nil, plain); err == nil && !bytes.Equal(canonical, plain) {
		out = append(out, canonical)
	}
	return out, nil
}
