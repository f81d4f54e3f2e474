package gateway

import (
	"bytes"

	"sallyport"
	"sallyport/exposure"
	"sallyport/token"
)

// left is one token of a row that stays one.
type left struct {
	home     home
	stored   []byte // valid while the row is looked at
	codec    *token.Codec
	digest   sallyport.Digest // of stored, once somebody wants to know
	digested bool
}

// key is the token's digest. It is taken when it is needed: for a customer who is known by his key it mostly is not.
func (t *left) key() sallyport.Digest {
	if !t.digested {
		t.digest, t.digested = t.codec.TokenDigest(t.stored), true
	}
	return t.digest
}

// leave counts a token of a protected column.
func (s *session) leave(row *seen, c *column, stored []byte) {
	row.left++
	if c.codec == nil {
		return
	}
	if c.form != asText { // it stands in the session's scratch
		at := len(s.plain)
		s.plain = append(s.plain, stored...)
		stored = s.plain[at:len(s.plain):len(s.plain)]
	}
	row.tokens = append(row.tokens, left{home: c.home, stored: stored, codec: c.codec})
}

// leaveFormed counts a token that was recognised by form; any of the columns with such tokens may be its home.
func (s *session) leaveFormed(row *seen, scheme sallyport.Scheme, tok []byte) {
	row.left++
	name := scheme == "" && tok[len("tk1:")]&0x20 == 0 // the letter behind the mark is a capital
	if codec := s.gw.anyCodec(); codec != nil {
		row.tokens = append(row.tokens, left{home: s.gw.kin.formed(scheme, name), stored: tok, codec: codec})
	}
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
	tokens, a := row.tokens, s.accountsOf(r)
	if row.left == 0 && len(row.shown) > 0 {
		return nil // all that there is of him was shown, and counted as that
	}
	var owner exposure.Key
	switch {
	case row.customer.known():
		owner = s.lastKey.of(&row.customer)
		if r.sight.covered(&row.customer) {
			break
		}
		r.hint = row.customer
		if limit := s.reachOne(r, owner, &row.customer, sallyport.Digest{}); limit != nil {
			return limit
		}
	case len(tokens) > 0:
		digest := tokens[0].key()
		owner = exposure.Key(digest)
		if limit := s.reachOne(r, owner, nil, digest); limit != nil || len(tokens) == 1 {
			return limit
		}
	default:
		return nil
	}
	for i := range tokens {
		t := &tokens[i]
		if !row.customer.known() && i > 0 && exposure.Key(t.key()) == owner || s.gw.kin.belongs(a.kinship, t.home, owner, s.gw.kin.token(t.stored)) {
			continue
		}
		digest := t.key()
		if limit := s.reachOne(r, exposure.Key(digest), nil, digest); limit != nil {
			return limit
		}
	}
	return nil
}

// reachOne counts one customer, known by his key or, where who is nil, by a token.
func (s *session) reachOne(r *run, key exposure.Key, who *customer, digest sallyport.Digest) *sallyport.Limit {
	if s.of == r && s.reachedBefore(&key) {
		return nil
	}
	if s.gw.Shares != nil {
		s.borrowing.names(who, digest)
	}
	limit := s.accountsOf(r).reach(&key)
	if limit == nil || s.observing() {
		s.addReached(r, key, who, digest)
	}
	return limit
}
