package control

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Token is one by which a program logs in to the api. Two people made it, each with half of its code, so neither of them has it.
type Token struct {
	ID     string
	Staff  sallyport.Staff
	Scopes []string
	Until  time.Time
	By     [2]sallyport.Staff // who proposed and who approved it
	halves [2][]byte
}

// The scopes of tokens. None lets a program approve, confirm who somebody is, break glass, open keys, or make tokens.
const (
	ScopeReveal      = "reveal"
	ScopeTokenise    = "tokenise"
	ScopeCalls       = "calls"
	ScopeReports     = "reports"
	ScopeWork        = "work" // what is one's own: status, requests, reviews
	ScopeInvestigate = "investigate"
	ScopeAdminister  = "administer"
)

// Scopes are all of them.
func Scopes() []string {
	return []string{ScopeReveal, ScopeTokenise, ScopeCalls, ScopeReports, ScopeWork, ScopeInvestigate, ScopeAdminister}
}

// TokenLifetime is how long a token may last.
const TokenLifetime = 366 * 24 * time.Hour

func mayMakeToken(o *sallyport.Order) error {
	t := o.APIToken
	switch {
	case o.About == "" || len(o.Code) == 0 || t == nil || len(t.Scopes) == 0 || t.Until.IsZero():
		return fmt.Errorf("%w: it must say for whom the token is, for what, and until when", ErrProposal)
	}
	for _, scope := range t.Scopes {
		if !slices.Contains(Scopes(), scope) {
			return fmt.Errorf("%w: a scope is none of %s", ErrProposal, strings.Join(Scopes(), ", "))
		}
	}
	return nil
}

// makeToken lets the two halves of a code log somebody in. A token lasts no longer than TokenLifetime from here, whatever was proposed.
func (k *keys) makeToken(p *Proposal, second []byte, now time.Time) {
	first := k.halves[p.ID]
	if p.Token == nil || len(first) != sha256.Size || len(second) != sha256.Size || subtle.ConstantTimeCompare(first, second) == 1 {
		return
	}
	until := p.Token.Until
	if last := now.Add(TokenLifetime); until.After(last) {
		until = last
	}
	for id, t := range k.tokens {
		if !t.Until.After(now) {
			delete(k.tokens, id)
		}
	}
	k.tokens[p.ID] = Token{ID: p.ID, Staff: p.About, Scopes: slices.Clone(p.Token.Scopes), Until: until, By: [2]sallyport.Staff{p.By, p.Decider}, halves: [2][]byte{first, second}}
}

// Token is the one of that id, if both halves of its code are right and it holds at this moment.
func (s *State) Token(id string, first, second [sha256.Size]byte, now time.Time) (Token, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.keys.tokens[id]
	if !ok {
		t.halves = [2][]byte{make([]byte, sha256.Size), make([]byte, sha256.Size)} // the same work for an id that nobody has
	}
	right := subtle.ConstantTimeCompare(t.halves[0], first[:]) & subtle.ConstantTimeCompare(t.halves[1], second[:])
	return t, ok && right == 1 && now.Before(t.Until)
}

// Tokens are those that hold, by id.
func (s *State) Tokens(now time.Time) (list []Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.keys.tokens {
		if now.Before(t.Until) {
			list = append(list, t)
		}
	}
	slices.SortFunc(list, func(a, b Token) int { return strings.Compare(a.ID, b.ID) })
	return list
}
