package gateway

import (
	"context"
	"strings"

	"sallyport"
	"sallyport/exposure"
	"sallyport/query"
)

// probe counts one distinct value, a date tenfold. Over the budget the person is suspended, and the statement is not sent.
func (s *session) probe(r *run, digest sallyport.Digest, date bool) *query.Refusal {
	l := s.loading
	if l != nil {
		if _, again := l.known[digest]; again {
			return nil
		}
	}
	keys := []exposure.Key{exposure.Key(digest)}
	if date {
		keys = dateKeys(digest)
	}
	as := s.whose(r)
	limit, over := s.reserveProbes(as, keys)
	touch := &sallyport.Touched{Statement: r.id}
	if l != nil { // recorded with its batch
		l.known[digest] = struct{}{}
		touch = &l.probes
	}
	if date {
		touch.Dates = append(touch.Dates, digest)
	} else {
		touch.Probes = append(touch.Probes, digest)
	}
	if l == nil {
		s.note(sallyport.Event{Kind: sallyport.TouchKind, Who: as.who, Touch: touch, Charged: s.borrowing.take(exposure.Probed)})
	}
	if limit == nil {
		return nil
	}
	if s.observing() {
		s.observe(observedLimit(limit))
		return nil
	}
	sentence, hint := limitSentence(limit)
	s.end(fatal(limitCode(limit), sentence, hint)) // the first reason stands: the client reads the budget's name
	s.exceed(as, over, limit)
	return refusal(limitCode(limit), sentence, hint)
}

// dateKeys are the keys under which a date counts.
func dateKeys(digest sallyport.Digest) []exposure.Key {
	var keys []exposure.Key
	for _, d := range exposure.DateKeys(digest) {
		keys = append(keys, exposure.Key(d))
	}
	return keys
}

// probePurpose counts the numbers of tickets in a purpose that do not cover anybody: like any other value that is tokenised for a
// person, they could be guesses, and SHOW would tell the token.
func (s *session) probePurpose(ctx context.Context, r *run, text string) *query.Refusal {
	list, err := sallyport.ParsePurposes(text)
	if err != nil {
		return nil
	}
	for _, p := range list {
		if p.Kind != "ticket" || strings.Trim(p.Ref, "0123456789") == "" {
			continue // an id is not tokenised
		}
		for _, codec := range s.gw.numbers() {
			tok, err := codec.Search(nil, []byte(p.Ref))
			if err != nil || codec.IsToken([]byte(p.Ref)) {
				continue
			}
			cover, err := s.gw.Protection.Resolver.Resolve(ctx, s.placed(s.whose(r)), sallyport.Purpose{Kind: p.Kind, Ref: string(tok)})
			if err == nil && cover.Refused == "" {
				break
			}
			if refused := s.probe(r, codec.Digest([]byte(p.Ref)), false); refused != nil {
				return refused
			}
			break
		}
	}
	return nil
}
