package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport/catalog"
	"sallyport/gateway"
	"sallyport/protect"
	"sallyport/token"
)

// states are how far the configured columns are, by the record. The mark in the database, which a DBA can write, has no say.
func (g *guard) states() map[string]catalog.State {
	config := g.s.o.Config
	set, known := g.s.state.Protects(config.Upstream.Database)
	moving, leaving := g.s.state.Moving(config.Upstream.Database)
	states := map[string]catalog.State{}
	for name := range config.Protect.Columns {
		switch _, begun := set[name]; {
		case slices.Contains(moving, name):
			states[name] = catalog.Moving
		case slices.Contains(leaving, name):
			states[name] = catalog.Leaving
		case known && !begun && g.s.o.MovingIn:
			states[name] = catalog.Plain
		}
	}
	return states
}

// codecFor makes the codec of a column that is moving.
func (g *guard) codecFor(p *catalog.Protected) (*token.Codec, error) {
	return g.ring.Codec(token.Spec{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Prefixes: p.Prefixes})
}

// settle is the token that the gateway makes of what is stored in a column that is moving. What has none is nothing.
func (g *guard) settle(p *catalog.Protected, stored string) string {
	codec, err := g.codecFor(p)
	if err != nil {
		return ""
	}
	settled, err := codec.Settle(nil, []byte(stored))
	if err != nil {
		return ""
	}
	return string(settled)
}

// forms are the texts by which a token's value may be stored in a column that is moving.
func (g *guard) forms(p *catalog.Protected, tok string) []string {
	out := []string{tok}
	codec, err := g.codecFor(p)
	if err != nil || !codec.IsToken([]byte(tok)) {
		return out
	}
	plain, err := codec.Reveal(nil, []byte(tok))
	if err != nil {
		return out
	}
	return append(out, string(plain))
}

// vacate gives rows of a unique column that is moving the form in which a value is about to be written.
func (g *guard) vacate(ctx context.Context, v gateway.Vacate) error {
	return protect.Vacate(ctx, g.movers, protect.Vacancy{
		Column: v.Column, Becomes: v.Becomes, Forms: v.Forms, Key: v.Key, Except: v.Except,
	})
}

// hasProtected tells whether protect ever began with this database, by the record.
func (s *Server) hasProtected() bool {
	set, known := s.state.Protects(s.o.Config.Upstream.Database)
	return known && len(set) > 0
}

// isMoving tells whether anything is on its way in or out, by the record.
func (s *Server) isMoving() bool {
	moving, leaving := s.state.Moving(s.o.Config.Upstream.Database)
	return len(moving)+len(leaving) > 0
}

// awaitTimeout is how long enterStates waits for sessions before it says for which.
const awaitTimeout = 5 * time.Second

// enterStates makes the states hold that stand in the record, and waits until no session works by those before.
func (s *Server) enterStates(ctx context.Context) (waiting []string, err error) {
	s.mu.Lock()
	g, gw := s.guard, s.gateway
	s.mu.Unlock()
	if g == nil {
		return nil, errors.New("serve is still starting")
	}
	if err := g.catalog.Enter(ctx, g.states()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTimeout)
	defer cancel()
	return gw.Await(ctx), nil
}
