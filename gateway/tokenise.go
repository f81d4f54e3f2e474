package gateway

import (
	"crypto/rand"
	"errors"
	"slices"

	"sallyport"
	"sallyport/catalog"
	"sallyport/query"
	"sallyport/token"
)

// slot tokenises one value that a person wrote or compares. It counts the probe that this is where the value lies outside
// what the purpose covers (the tokeniser is a dictionary machine for whoever may write and read tokens).
func (s *session) slot(r *run, slot *query.Slot, value []byte) ([]byte, *query.Refusal) {
	codec, err := s.gw.codecOf(slot.Column)
	if err != nil {
		return nil, refusal(codeUnsupported, "a protected column was changed meanwhile", "Try again.")
	}
	if slot.Scheme == sallyport.Date {
		value = isoParameter(value)
	}
	value = s.stoodFor(r, slot, codec, value)
	if slot.Use == query.Store && (s.gw.Shares != nil || s.rotating(slot.Column) || s.hidden(slot.Column) || s.boundApart(slot.Column)) {
		if refused := s.stores(); refused != nil {
			return nil, refused
		}
	}
	held, known, same := s.heldApart(r, slot, codec, value)
	if same {
		return s.writeAgain(r, slot, held)
	}
	if !known {
		if stored, ok := s.kept(r, slot, codec, value); ok {
			return stored, nil
		}
	}
	if slot.Use == query.Store && s.leaving(slot.Column) {
		return s.writtenLeaving(r, slot, codec, value)
	}
	if codec.IsToken(value) || slot.Use == query.Store && s.gw.tokenShaped(value) {
		return s.token(r, slot, codec, value)
	}
	out, digest, refused := s.tokeniseSlot(r, slot, codec, value)
	if refused != nil {
		return nil, refused
	}
	if refused := s.probeUnknown(r, slot, codec, value, out, digest); refused != nil {
		return nil, refused
	}
	if slot.Use == query.Store && r.sight != nil && r.sight.good() {
		s.wrote(out, slot, r.sight)
	}
	return s.vacate(r, slot, out, value)
}

// probeUnknown counts the probe that a value's token is where the value lies outside what the purpose covers.
func (s *session) probeUnknown(r *run, slot *query.Slot, codec *token.Codec, value, tok []byte, digest sallyport.Digest) *query.Refusal {
	if !codec.Deterministic() && slot.Scheme != sallyport.Name {
		return nil
	}
	search := []byte(catalog.Key(slot.Scheme, slot.Group, string(tok)))
	if slot.Use == query.Store && slot.Scheme == sallyport.Name {
		search = tok[:token.NamePrefixLen]
	}
	if r.sight != nil && (r.sight.knows(search, slot.Scheme) || s.knowsOlder(r.sight, slot, codec, value)) {
		return nil
	}
	return s.probe(r, digest, slot.Scheme == sallyport.Date)
}

// knowsOlder is knows for a value whose tokens are of two key epochs: what the purpose covers may still stand there as the older one.
func (s *session) knowsOlder(v *sight, slot *query.Slot, codec *token.Codec, value []byte) bool {
	if !s.rotating(slot.Column) {
		return false
	}
	all, err := codec.Searches(value)
	return err == nil && slices.ContainsFunc(all, func(search []byte) bool { return v.knows(search, slot.Scheme) })
}

// token is a token that stands where a value could.
func (s *session) token(r *run, slot *query.Slot, codec *token.Codec, stored []byte) ([]byte, *query.Refusal) {
	switch {
	case slot.Use == query.Store:
		if refused := s.tokenWritten(r, slot, stored); refused != nil {
			if held, ok := s.shownBefore(r, slot, codec, stored); ok {
				return held, nil
			}
			return nil, refused
		}
		return s.tokenAnew(r, slot, codec, stored)
	case slot.Scheme == sallyport.Name:
		return stored[:token.NamePrefixLen], nil // the column side is its front, too
	}
	return stored, nil
}

// tokenised is the token of a value, or of a name what its tokens begin with where it is searched.
func tokenised(codec *token.Codec, slot *query.Slot, value []byte) ([]byte, error) {
	if slot.Use == query.Match {
		return codec.Search(nil, value)
	}
	return codec.Tokenise(nil, value, rand.Reader)
}

// reasonOf is the sentence of a token error, which never holds the value.
func reasonOf(err error) string {
	if errors.Is(err, token.ErrDomain) || errors.Is(err, token.ErrUnsearchable) {
		return err.Error()
	}
	return "it does not fit the column's scheme"
}

// literal tokenises a literal of the text: into one text, or as many forms as are wanted.
func (s *session) literal(r *run, slot *query.Slot) ([]string, *query.Refusal) {
	if slot.Actor {
		return []string{string(s.whose(r).person.Staff)}, nil // what the server may know of the assertion
	}
	if slot.Purpose {
		return []string{s.canonicalText(slot.Value)}, nil
	}
	if slot.Array {
		out, refused := s.arrayElements(r, slot, []byte(slot.Value), false)
		return []string{string(out)}, refused
	}
	if slot.Parted {
		out, refused := s.parted(r, slot, []byte(slot.Value))
		return []string{string(out)}, refused
	}
	forms, refused := s.forms(r, slot, []byte(slot.Value))
	out := make([]string, len(forms))
	for i := range forms {
		out[i] = string(forms[i])
	}
	return out, refused
}
