package token

import (
	"errors"
	"strconv"
	"strings"

	"sallyport"
)

// Tokens of integers and uuids show no epoch. So while their keys are rotated nothing but a list of rows tells of which key a stored one is
// (protect.Turn keeps it): the codec makes and reveals those of the first key, and Turn leads from the other key to that.

// Turning tells between which epochs Turn leads; false where the scheme's tokens show their epoch, or there is one key.
func (c *Codec) Turning() (from, to int, ok bool) {
	f := c.forms.Load()
	if f.fixed == nil || f.before == nil {
		return 0, f.epoch, false
	}
	return f.before.epoch, f.epoch, true
}

// Turn appends the token that a token of the other key's becomes. It is one to one: what was different stays so, and what was drawn at random
// becomes what no value does. Whoever calls MUST know that tok is of that key.
func (c *Codec) Turn(dst, tok []byte) ([]byte, error) {
	f := c.forms.Load()
	if f.fixed == nil || f.before == nil {
		return dst, errNotTurning
	}
	var room [40]byte
	plain, err := f.before.fixed.reveal(room[:0], tok)
	if err != nil {
		return dst, err
	}
	defer clear(plain)
	return f.fixed.tokenise(dst, plain)
}

var errNotTurning = errors.New("there is one key, or its tokens show their epoch")

// RevealEpoch appends the value of a token of which it is known otherwise that it is of an epoch, one of the two.
func (c *Codec) RevealEpoch(dst, tok []byte, epoch int) ([]byte, error) {
	for f := c.forms.Load(); f != nil && f.fixed != nil; f = f.before {
		if f.epoch == epoch {
			return f.fixed.reveal(dst, tok)
		}
	}
	return dst, ErrNotToken
}

// TokenEpoch appends the token of a value by the key of an epoch, one of the two.
func (c *Codec) TokenEpoch(dst, plain []byte, epoch int) ([]byte, error) {
	for f := c.forms.Load(); f != nil && f.fixed != nil; f = f.before {
		if f.epoch == epoch {
			return f.fixed.tokenise(dst, plain)
		}
	}
	return dst, ErrNotToken
}

// KeyEpochs are those of which the codec has keys, where tokens show no epoch; the one of new tokens first.
func (c *Codec) KeyEpochs() (epochs []int) {
	for f := c.forms.Load(); f != nil && f.fixed != nil; f = f.before {
		epochs = append(epochs, f.epoch)
	}
	return epochs
}

// tokensOf are the tokens of a value by both keys, that of new ones first.
func (c *Codec) tokensOf(value []byte) ([][]byte, error) {
	var all [][]byte
	for f := c.forms.Load(); f != nil; f = f.before {
		tok, err := f.fixed.tokenise(nil, value)
		if err != nil {
			return nil, err
		}
		all = append(all, tok)
	}
	return all, nil
}

// BeforeDigest is ListDigest of a token that is of the other key, which Turn leads away from.
func (c *Codec) BeforeDigest(tok []byte) sallyport.Digest {
	f := c.forms.Load()
	if f.before == nil {
		return c.ListDigest(tok)
	}
	return c.ring.formlessDigest(c.spec, f.before.epoch, tok)
}

// KeyDigest is ListDigest of a token of the scheme by what a cover knows it by: of one without a form scheme, group and token, with a zero byte between.
func (r *Ring) KeyDigest(scheme sallyport.Scheme, key string) sallyport.Digest {
	switch scheme {
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		parts := strings.SplitN(key, "\x00", 3)
		if len(parts) != 3 {
			break
		}
		r.mu.Lock()
		epoch := 1
		if live := r.keys.of(parts[1]); len(live) > 0 {
			epoch = live[0].Epoch
		}
		r.mu.Unlock()
		return r.formlessDigest(Spec{Scheme: scheme, Group: parts[1]}, epoch, []byte(parts[2]))
	case sallyport.Name, sallyport.Text:
		if h, ok := Handle([]byte(key)); ok {
			return r.HandleDigest(h)
		}
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
	}
	return r.TokenDigest([]byte(key))
}

// formlessDigest is of the first epoch without a number: lists had none when there was no other.
func (r *Ring) formlessDigest(spec Spec, epoch int, tok []byte) sallyport.Digest {
	text := string(spec.Scheme) + "\x00" + spec.Group + "\x00" + string(tok)
	if epoch > 1 {
		text += "\x00" + strconv.Itoa(epoch)
	}
	return r.TokenDigest([]byte(text))
}
