package gateway

import (
	"context"
	"errors"

	"sallyport"
	"sallyport/query"
	"sallyport/token"
)

// Values that a column's scheme has no token for stand in the vault, where the column says so.

// overflow is what keeps such values of a column; nil: the column has no vault.
func (g *Gateway) overflow(column sallyport.Column) (*token.Overflow, error) {
	p := g.protectedColumn(column)
	if p == nil {
		p = g.Protection.Catalog.Snapshot().Parted(column)
	}
	if p == nil || !p.Overflow || g.Protection.Vault == nil {
		return nil, nil
	}
	g.codecs.mu.Lock()
	o := g.codecs.overflows[column]
	g.codecs.mu.Unlock()
	if o != nil {
		return o, nil
	}
	codec, err := g.codec(p)
	if err != nil {
		return nil, err
	}
	if o, err = codec.Overflow(); err != nil {
		return nil, err
	}
	g.codecs.mu.Lock()
	defer g.codecs.mu.Unlock()
	g.codecs.overflows[column] = o
	return o, nil
}

// vaulted is the token of a value that a scheme has none for: one that is kept where it is written, and looked for where it is searched. In a column that is moving in
// it is kept then, too: the row may become that token before the statement comes to it, which would find nothing.
// canonical is nil where the column has no vault.
type vaulted func(slot *query.Slot, value []byte) (tok, canonical []byte, err error)

// vaulting asks the vault for one run. What it keeps is committed before the statement is sent.
func (s *session) vaulting(ctx context.Context) vaulted {
	return func(slot *query.Slot, value []byte) (tok, canonical []byte, err error) {
		o, err := s.gw.overflow(slot.Column)
		switch {
		case o == nil || err != nil:
			return nil, nil, err
		case slot.Use == query.Match && !s.movingIn(slot.Column):
			return s.gw.Protection.Vault.Find(ctx, o, value)
		}
		return s.gw.Protection.Vault.Keep(ctx, o, value)
	}
}

// movingIn tells whether plain values of a column become tokens.
func (s *session) movingIn(column sallyport.Column) bool {
	p := s.gw.protectedColumn(column)
	return p != nil && p.Moving && !p.Leaving
}

// tokeniseSlot is the token of a value and the digest under which it counts as a probe.
func (s *session) tokeniseSlot(r *run, slot *query.Slot, codec *token.Codec, value []byte) ([]byte, sallyport.Digest, *query.Refusal) {
	if slot.Use == query.Match && r.lone != nil {
		if refused := r.lone(slot, value); refused != nil {
			return nil, sallyport.Digest{}, refused
		}
	}
	out, err := tokenised(codec, slot, value)
	if err == nil {
		return out, codec.Digest(value), s.standsForNothing(slot, codec, out)
	}
	if errors.Is(err, token.ErrDomain) && r.vaulted != nil {
		if refused := s.probeKept(r, slot, codec, value); refused != nil {
			return nil, sallyport.Digest{}, refused
		}
		tok, canonical, kept := r.vaulted(slot, value)
		switch {
		case kept == nil && canonical != nil:
			return tok, codec.DigestRevealed(canonical), nil
		case kept != nil && !errors.Is(kept, token.ErrDomain):
			s.gw.Log.Warn("a value cannot be kept in the vault", "reason", serverReason(kept))
			return nil, sallyport.Digest{}, refusal(codeAway, "the value for "+slot.Column.String()+" has no token of its scheme, and the vault cannot be reached now", "Try again in a moment; nothing was sent to the database.")
		case kept != nil:
			err = kept
		}
	}
	return nil, sallyport.Digest{}, refusal(codeValue, "the value for "+slot.Column.String()+" does not fit: "+reasonOf(err), "Check the value's form; nothing was sent to the database.")
}

// probeKept counts the probe that a value is which the vault is about to keep: once it is kept, that is committed. What goes wrong here goes wrong
// again when it is kept.
func (s *session) probeKept(r *run, slot *query.Slot, codec *token.Codec, value []byte) *query.Refusal {
	if slot.Use != query.Store {
		return nil
	}
	look := *slot
	look.Use = query.Match
	tok, canonical, err := r.vaulted(&look, value)
	if err != nil || canonical == nil {
		return nil
	}
	return s.probeUnknown(r, slot, codec, value, tok, codec.DigestRevealed(canonical))
}

// revealOverflow appends the value of a token that no scheme made.
func (g *Gateway) revealOverflow(column sallyport.Column, codec *token.Codec, dst, stored []byte) ([]byte, error) {
	if !codec.Overflowed(stored) {
		return dst, token.ErrNotToken
	}
	o, err := g.overflow(column)
	if err != nil || o == nil {
		return dst, token.ErrNotToken
	}
	return g.Protection.Vault.Reveal(context.Background(), o, dst, stored) // it bounds its own time
}

// settleOverflow is the token of a value that is stored in plain still, in a column that is moving, and that the vault keeps: it is kept there now.
func (g *Gateway) settleOverflow(column sallyport.Column, stored []byte) ([]byte, error) {
	o, err := g.overflow(column)
	if err != nil || o == nil {
		return nil, token.ErrDomain
	}
	tok, _, err := g.Protection.Vault.Keep(context.Background(), o, stored) // it bounds its own time
	return tok, err
}

// overflowForms are the texts by which a value that the vault keeps, or its token, may stand in a column that is moving.
func (g *Gateway) overflowForms(ctx context.Context, column sallyport.Column, codec *token.Codec, value []byte) ([][]byte, error) {
	o, err := g.overflow(column)
	if err != nil || o == nil {
		return nil, token.ErrDomain
	}
	if codec.Overflowed(value) {
		if value, err = g.Protection.Vault.Reveal(ctx, o, nil, value); err != nil {
			return nil, err
		}
	}
	tok, canonical, err := g.Protection.Vault.Find(ctx, o, value)
	if err != nil {
		return nil, err
	}
	return [][]byte{tok, value, canonical}, nil
}
