package gateway

import (
	"errors"
	"sync"

	"sallyport"
	"sallyport/catalog"
	"sallyport/token"
)

// codecs makes each column's codec once.
type codecs struct {
	ring *token.Ring
	mu   sync.Mutex // guards made and overflows
	made map[sallyport.Column]*token.Codec

	overflows map[sallyport.Column]*token.Overflow
}

func (g *Gateway) codec(p *catalog.Protected) (*token.Codec, error) {
	g.codecs.mu.Lock()
	defer g.codecs.mu.Unlock()
	if c, ok := g.codecs.made[p.Column]; ok {
		return c, nil
	}
	c, err := g.codecs.ring.Codec(token.Spec{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Prefixes: p.Prefixes, NextPrefixes: p.NextPrefixes, Region: p.Region, Shred: p.Shred})
	if err != nil {
		return nil, err
	}
	g.codecs.made[p.Column] = c
	return c, nil
}

// codecOf is the codec of a protected column of the present catalogue.
func (g *Gateway) codecOf(column sallyport.Column) (*token.Codec, error) {
	if p := g.protectedColumn(column); p != nil {
		return g.codec(p)
	}
	return nil, errUnknownColumn
}

func (g *Gateway) protectedColumn(column sallyport.Column) *catalog.Protected {
	for _, p := range g.Protection.Catalog.Snapshot().Columns() {
		if p.Column == column {
			return p
		}
	}
	return nil
}

var errUnknownColumn = errors.New("the column is not protected any more")

// anyCodec is that of some column, to digest a token whose column is not known: all columns share that key.
func (g *Gateway) anyCodec() *token.Codec {
	for _, c := range g.Protection.Catalog.Snapshot().Columns() {
		if codec, err := g.codec(c); err == nil {
			return codec
		}
	}
	return nil
}

// numbers are the codecs of columns with reference numbers.
func (g *Gateway) numbers() []*token.Codec {
	var out []*token.Codec
	for _, p := range g.Protection.Catalog.Snapshot().Columns() {
		if p.Scheme == sallyport.Number {
			if c, err := g.codec(p); err == nil {
				out = append(out, c)
			}
		}
	}
	return out
}

// tokenShaped says whether a value is, as a whole, a token of any scheme that has a form: one of another column is no value either.
func (g *Gateway) tokenShaped(value []byte) bool {
	b, e, _, ok := g.Protection.Ring.Find(value, 0)
	return ok && b == 0 && e == len(value)
}

func (s *session) holdsToken(text []byte) bool {
	_, _, _, found := s.gw.Protection.Ring.Find(text, 0)
	return found
}
