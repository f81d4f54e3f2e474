package gateway

import (
	"bytes"
	"hash/maphash"
	"sync"

	"sallyport"
	"sallyport/catalog"
	"sallyport/exposure"
)

// left is one token of a row that stays one.
type left struct {
	home   home
	digest sallyport.Digest
}

// home is where a token belongs: a column, or for one that was recognised by its form what the form says: the scheme, and of
// names and texts which of them it is.
type home struct {
	column *catalog.Protected
	scheme sallyport.Scheme
	name   bool
}

// leave counts a token of a protected column.
func (s *session) leave(row *seen, c *column, stored []byte) {
	row.left++
	if c.codec != nil {
		row.tokens = append(row.tokens, left{home{column: c.protected}, c.codec.TokenDigest(stored)})
	}
}

// leaveFormed counts a token that was recognised by form; any of the columns with such tokens may be its home.
func (s *session) leaveFormed(row *seen, scheme sallyport.Scheme, tok []byte) {
	row.left++
	name := scheme == "" && tok[len("tk1:")]&0x20 == 0 // the letter behind the mark is a capital
	row.tokens = append(row.tokens, left{home{scheme: scheme, name: name}, s.gw.formDigest(tok)})
}

// leaveSealed counts the tokens inside a field that is in a form which nobody knows. In front of a text stands its length there:
// its first bytes are zero, and its last ones, up to two, may look like letters of the text.
func (s *session) leaveSealed(row *seen, field []byte) {
	ring := s.gw.Protection.Ring
	for len(field) > 0 {
		part, rest, _ := bytes.Cut(field, []byte{0})
		field = rest
		for skip := 1; skip <= 2 && skip < len(part); skip++ {
			if b, e, scheme, ok := ring.Find(part[skip:], 0); ok && b == 0 {
				s.leaveFormed(row, scheme, part[skip:skip+e])
			}
		}
		for from := 0; ; {
			b, e, scheme, ok := ring.Find(part, from)
			if !ok {
				break
			}
			s.leaveFormed(row, scheme, part[b:e])
			from = e
		}
	}
}

// countReach counts the customers of a row that was returned outside the purpose. The row is its customer's whose key stands in
// it, or one of whose values it shows, else that of its first token. The database is not believed about more than this:
// one token of each home is his, and always the same one; every other token is another customer, wherever it stands.
func (s *session) countReach(r *run, row *seen) *sallyport.Limit {
	tokens := row.tokens
	var owner exposure.Key
	switch {
	case row.subject != "":
		owner = subjectKey(row.subject)
		if r.sight.covered(row.subject) || row.left == 0 && len(row.shown) > 0 {
			break
		}
		r.hint = row.subject
		if limit := s.reachOne(r, owner, row.subject, sallyport.Digest{}); limit != nil {
			return limit
		}
	case len(tokens) > 0:
		owner = exposure.Key(tokens[0].digest)
		if limit := s.reachOne(r, owner, "", tokens[0].digest); limit != nil || len(tokens) == 1 {
			return limit
		}
	default:
		return nil
	}
	for i := range tokens {
		t := &tokens[i]
		if exposure.Key(t.digest) == owner && i > 0 || s.gw.kin.belongs(s.person.Staff, owner, t) {
			continue
		}
		if limit := s.reachOne(r, exposure.Key(t.digest), "", t.digest); limit != nil {
			return limit
		}
	}
	return nil
}

// reachOne counts one customer, known by his id or by a token.
func (s *session) reachOne(r *run, key exposure.Key, subject sallyport.Subject, digest sallyport.Digest) *sallyport.Limit {
	if _, again := s.reachedKeys[key]; again && s.of == r {
		return nil
	}
	limit := s.gw.Book.Reserve(s.gw.Clock(), s.person.Staff, exposure.Reached, key, s.gw.Protection.Budgets(s.person).Reached)
	if limit == nil || s.gw.Observe != nil {
		s.addReached(r, key, subject, digest)
	}
	return limit
}

// kin remembers for each person the first token of each home that came with a customer. It holds hashes only.
type kin struct {
	seed  maphash.Seed
	mu    sync.Mutex // guards first
	first map[uint64]uint64
}

// mostKin bounds what kin remembers, to some 100 MB. Who fills it may have one token of each home once more.
const mostKin = 4 << 20

func newKin() *kin { return &kin{seed: maphash.MakeSeed(), first: map[uint64]uint64{}} }

// belongs tells whether a token is the first of its home that came with this customer, to this person.
func (k *kin) belongs(who sallyport.Staff, owner exposure.Key, t *left) bool {
	var h maphash.Hash
	h.SetSeed(k.seed)
	_, _ = h.WriteString(string(who)) // a hash never fails
	_, _ = h.Write(owner[:])
	if c := t.home.column; c != nil {
		for _, part := range []string{c.Column.Schema, c.Column.Table, c.Column.Name} {
			_, _ = h.WriteString(part)
			_ = h.WriteByte(0)
		}
	} else {
		_, _ = h.WriteString(string(t.home.scheme))
		if t.home.name {
			_ = h.WriteByte('A')
		}
	}
	key, token := h.Sum64(), maphash.Bytes(k.seed, t.digest[:])
	k.mu.Lock()
	defer k.mu.Unlock()
	first, known := k.first[key]
	if !known {
		if len(k.first) >= mostKin {
			clear(k.first)
		}
		k.first[key] = token
	}
	return !known || first == token
}
