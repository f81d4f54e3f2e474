package gateway

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"unicode/utf8"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/token"
)

// codecs makes each column's codec once.
type codecs struct {
	ring *token.Ring
	mu   sync.Mutex // guards made
	made map[sallyport.Column]*token.Codec
}

func (g *Gateway) codec(p *catalog.Protected) (*token.Codec, error) {
	g.codecs.mu.Lock()
	defer g.codecs.mu.Unlock()
	if c, ok := g.codecs.made[p.Column]; ok {
		return c, nil
	}
	c, err := g.codecs.ring.Codec(token.Spec{Column: p.Column, Scheme: p.Scheme, Group: p.Group, Prefixes: p.Prefixes})
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

// applied is one edit as it was made: where in the client's text, where in the server's.
type applied struct{ from, to, at, length int }

// rewrite applies edits to text; slots were tokenised into tokens, by index of edit.
func rewrite(text string, edits []query.Edit, tokens map[int]string) (string, []applied) {
	if len(edits) == 0 {
		return text, nil
	}
	var out strings.Builder
	out.Grow(len(text) + 64*len(edits))
	made := make([]applied, 0, len(edits))
	at := 0
	for i, e := range edits {
		out.WriteString(text[at:e.Start])
		put := e.Text
		if e.Slot != nil {
			put = quote(tokens[i])
		}
		made = append(made, applied{from: e.Start, to: e.End, at: out.Len(), length: len(put)})
		out.WriteString(put)
		at = e.End
	}
	out.WriteString(text[at:])
	return out.String(), made
}

// quote makes a literal that means the same whatever standard_conforming_strings is: tokens hold no backslash, and a
// purpose that does is refused before.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// clientPosition carries a position in characters (from 1) in the server's text back to the client's.
func clientPosition(text, sent string, made []applied, position int) int {
	at := byteOffset(sent, position-1)
	shift := 0
	for _, a := range made {
		if at < a.at {
			break
		}
		if at < a.at+a.length {
			return utf8.RuneCountInString(text[:a.from]) + 1
		}
		shift = a.to - (a.at + a.length)
	}
	at = min(max(at+shift, 0), len(text))
	return utf8.RuneCountInString(text[:at]) + 1
}

// byteOffset is where character n (from 0) begins.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

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
	if codec.IsToken(value) || slot.Use == query.Store && s.gw.tokenShaped(value) {
		return s.token(r, slot, value)
	}
	out, err := tokenised(codec, slot, value)
	if err != nil {
		return nil, refusal(codeValue, "the value for "+slot.Column.String()+" does not fit: "+reasonOf(err), "Check the value's form; nothing was sent to the database.")
	}
	search := out
	if slot.Use == query.Store && slot.Scheme == sallyport.Name {
		search = out[:token.NamePrefixLen]
	}
	if (codec.Deterministic() || slot.Scheme == sallyport.Name) && (r.sight == nil || !r.sight.knows(search, slot.Scheme)) {
		if refused := s.probe(r, codec.Digest(value), slot.Scheme == sallyport.Date); refused != nil {
			return nil, refused
		}
	}
	if slot.Use == query.Store && r.sight != nil && r.sight.good() {
		s.wrote(out, slot, r.sight)
	}
	return out, nil
}

// token is a token that stands where a value could.
func (s *session) token(r *run, slot *query.Slot, stored []byte) ([]byte, *query.Refusal) {
	switch {
	case slot.Use == query.Store:
		return stored, s.tokenWritten(r, slot, stored)
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

// wrote makes a value that the person just wrote readable to him at once, also before it is committed.
func (s *session) wrote(stored []byte, slot *query.Slot, v *sight) {
	const most = 10000 // a session that writes more reads the oldest back through its purpose
	value := purpose.Value{Column: slot.Column, Scheme: slot.Scheme}
	if subjects := v.subjects(2); len(subjects) == 1 {
		value.Subject = subjects[0]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.written) >= most {
		clear(s.written)
	}
	s.written[string(stored)] = value
}

// readBack is a value that the person wrote himself in this session.
func (s *session) readBack(stored []byte) (purpose.Value, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.written[string(stored)]
	return v, ok
}

// dateWeight is how many probes one date is: a few tens of thousands of days are a whole dictionary of birth dates.
const dateWeight = 10

// dateKeys are the keys under which a date counts.
func dateKeys(digest sallyport.Digest) []exposure.Key {
	keys := make([]exposure.Key, dateWeight)
	for i := range keys {
		keys[i] = exposure.Key(digest)
		keys[i][len(digest)-1] ^= byte(i) //nolint:gosec // below 10
	}
	return keys
}

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
	limit := s.gw.Book.ReserveAll(s.gw.Clock(), s.person.Staff, exposure.Probed, keys, s.gw.Protection.Budgets(s.person).Probed)
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
		s.note(sallyport.Event{Kind: sallyport.TouchKind, Touch: touch})
	}
	if limit == nil {
		return nil
	}
	if s.gw.Observe != nil {
		s.observe(observedLimit(limit))
		return nil
	}
	sentence, hint := limitSentence(limit)
	s.end(fatal(codeBudget, sentence, hint)) // the first reason stands: the client reads the budget's name
	s.exceed(limit)
	return refusal(codeBudget, sentence, hint)
}

// reasonOf is the sentence of a token error, which never holds the value.
func reasonOf(err error) string {
	if errors.Is(err, token.ErrDomain) || errors.Is(err, token.ErrUnsearchable) {
		return err.Error()
	}
	return "it does not fit the column's scheme"
}

// arrayElements tokenises each element of a PostgreSQL array: the text form '{a,"b c"}' of one dimension, or the binary
// form of strings (array_recv, arrayfuncs.c).
func (s *session) arrayElements(r *run, slot *query.Slot, value []byte, binaryForm bool) ([]byte, *query.Refusal) {
	unreadable := refusal("SP001", "the array compared with "+slot.Column.String()+" cannot be read", "Give a one-dimensional array of strings.")
	if binaryForm {
		return s.binaryArray(r, slot, value, unreadable)
	}
	elements, nulls, ok := parseArray(string(value))
	if !ok {
		return nil, unreadable
	}
	out := []byte{'{'}
	for i, e := range elements {
		if i > 0 {
			out = append(out, ',')
		}
		if nulls[i] {
			out = append(out, "NULL"...)
			continue
		}
		tok, refused := s.slot(r, slot, []byte(e))
		if refused != nil {
			return nil, refused
		}
		out = append(append(append(out, '"'), tok...), '"')
	}
	return append(out, '}'), nil
}

func (s *session) binaryArray(r *run, slot *query.Slot, v []byte, unreadable *query.Refusal) ([]byte, *query.Refusal) {
	if len(v) < 12 {
		return nil, unreadable
	}
	dims := binary.BigEndian.Uint32(v)
	if dims == 0 {
		return v, nil
	}
	if dims != 1 || len(v) < 20 {
		return nil, unreadable
	}
	n, rest := binary.BigEndian.Uint32(v[12:]), v[20:]
	out := bytes.Clone(v[:20])
	for range n {
		if len(rest) < 4 {
			return nil, unreadable
		}
		size := int32(binary.BigEndian.Uint32(rest)) //nolint:gosec // −1 is NULL
		rest = rest[4:]
		if size < 0 {
			out = binary.BigEndian.AppendUint32(out, 0xffffffff)
			continue
		}
		if int(size) > len(rest) {
			return nil, unreadable
		}
		tok, refused := s.slot(r, slot, rest[:size])
		if refused != nil {
			return nil, refused
		}
		out = binary.BigEndian.AppendUint32(out, uint32(len(tok))) //nolint:gosec // a token is short
		out, rest = append(out, tok...), rest[size:]
	}
	if len(rest) != 0 {
		return nil, unreadable
	}
	return out, nil
}

// parseArray reads the text form of a one-dimensional array (section 8.15.6).
func parseArray(text string) (elements []string, nulls []bool, ok bool) {
	text = strings.TrimSpace(text)
	if len(text) < 2 || text[0] != '{' || text[len(text)-1] != '}' {
		return nil, nil, false
	}
	body := text[1 : len(text)-1]
	if strings.TrimSpace(body) == "" {
		return nil, nil, true
	}
	var word strings.Builder
	quoted, inQuotes := false, false
	finish := func() {
		e := word.String()
		if !quoted {
			e = strings.TrimSpace(e)
		}
		elements, nulls = append(elements, e), append(nulls, !quoted && strings.EqualFold(e, "NULL"))
		word.Reset()
		quoted = false
	}
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '\\' && i+1 < len(body):
			i++
			word.WriteByte(body[i])
			quoted = true
		case c == '"':
			inQuotes, quoted = !inQuotes, true
		case inQuotes:
			word.WriteByte(c)
		case c == '{' || c == '}':
			return nil, nil, false
		case c == ',':
			finish()
		case quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
		default:
			word.WriteByte(c)
		}
	}
	finish()
	return elements, nulls, !inQuotes
}
