package gateway

import (
	"context"
	"slices"
	"strings"

	"sallyport"
	"sallyport/query"
	"sallyport/wire/pg"
)

// What the server says of its own accord is a result too: NOTIFY and application_name carry any text from one session to
// another, so that a token in it is looked at, counted and recorded as one in a row is.

// answerNotification passes a notification on through the doors: process, channel and payload.
func (s *session) answerNotification(ctx context.Context, m []byte) error {
	process, channel, payload, err := pg.ParseNotification(m)
	if err != nil {
		return err
	}
	texts, err := s.aside(ctx, channel, payload)
	if err != nil {
		return err
	}
	s.out = pg.AppendNotification(s.out, process, texts[0], texts[1])
	return nil
}

// answerParameter passes the report of a setting on in the same way.
func (s *session) answerParameter(ctx context.Context, m []byte) error {
	if err := s.noteParameter(m); err != nil {
		return err
	}
	name, value, err := pg.ParseParameterStatus(m)
	if err != nil {
		return err
	}
	texts, err := s.aside(ctx, value)
	if err != nil {
		return err
	}
	s.out = pg.Append(s.out, pg.ParameterStatus, string(name), "\x00", string(texts[0]), "\x00")
	return nil
}

// aside takes texts through the doors that belong to no statement.
func (s *session) aside(ctx context.Context, texts ...[]byte) ([][]byte, error) {
	if !slices.ContainsFunc(texts, s.holdsToken) {
		return texts, nil
	}
	if err := s.record(); err != nil { // of the statement that is under way
		return nil, err
	}
	r := &run{}
	out := make([][]byte, len(texts))
	for i, text := range texts {
		out[i] = s.throughDoors(ctx, r, text)
	}
	if err := s.record(); err != nil {
		return nil, err
	}
	s.of = nil
	return out, nil
}

func (s *session) holdsToken(text []byte) bool {
	_, _, _, found := s.gw.Protection.Ring.Find(text, 0)
	return found
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
			cover, err := s.gw.Protection.Resolver.Resolve(ctx, s.person, sallyport.Purpose{Kind: p.Kind, Ref: string(tok)})
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
