package gateway

import (
	"sallyport"
	"sallyport/canary"
	"sallyport/catalog"
	"sallyport/query"
	"sallyport/token"
)

// standIn is what a viewer is shown of a customer who does not exist: a contact detail of his own, in the place of what the token stands for. That is
// told by the value, so that a token of it is known wherever somebody copied it. The token stays what it is, and so does all that is counted.
type standIn struct {
	text  string
	event *sallyport.CanaryShown
}

// standsIn says what is shown in the place of a value; nil: the value itself. It is asked for each value that is revealed.
func (s *session) standsIn(of *catalog.Protected, g *decided, digest sallyport.Digest) *standIn {
	book := s.gw.Protection.Canaries
	if book == nil || of.Scheme != sallyport.Email && of.Scheme != sallyport.Phone {
		return nil
	}
	c := book.ByValue(digest)
	if c == nil {
		return nil
	}
	r := s.sees
	if r == nil {
		return nil
	}
	v := canary.View{Viewer: s.whose(r).person.Staff, Time: s.gw.Clock()}
	if r.seenAt.IsZero() {
		r.seenAt = v.Time
	}
	v.Time = r.seenAt // one result shows one detail, however long it takes
	if g != nil && g.grant != nil {
		v.Grant = g.grant.ID
	}
	text, e := book.Show(c, of.Scheme, v)
	if e == nil {
		return nil
	}
	e.Statement = r.id
	return &standIn{text, e}
}

// noteStandIn puts on record who is shown what, once a statement. It stands in front of the batch that carries it, so it is durable when that leaves.
func (s *session) noteStandIn(r *run, x *standIn) {
	for _, d := range r.stoodIn {
		if d == x.event.Digest {
			return
		}
	}
	e := &sallyport.Event{Kind: sallyport.CanaryShownKind, Time: s.gw.Clock(), Who: s.whose(r).who, Canary: x.event}
	seq, err := s.gw.Access.Enqueue(e)
	if err != nil {
		return // nor can the batch be recorded: it does not leave
	}
	r.stoodIn = append(r.stoodIn, x.event.Digest)
	noted := *e
	noted.Seq = seq
	_ = s.gw.Protection.Canaries.Apply(&noted) // only of what is sealed it may fail
}

// stoodFor is the value that a viewer means by a detail that was shown in its place: whoever searches by it finds the row, and whoever writes it back
// changes nothing.
func (s *session) stoodFor(r *run, slot *query.Slot, codec *token.Codec, value []byte) []byte {
	book := s.gw.Protection.Canaries
	if book == nil || slot.Scheme != sallyport.Email && slot.Scheme != sallyport.Phone {
		return value
	}
	text := value
	if c, err := codec.Canonical(nil, value); err == nil {
		text = c
	}
	if base, ok := book.Base(s.whose(r).person.Staff, slot.Scheme, string(text)); ok {
		return []byte(base)
	}
	return value
}

// plays tells whether somebody plays a theft.
func (g *Gateway) plays(who sallyport.Staff) bool {
	p := g.Protection
	return p != nil && p.Drilling != nil && p.Drilling(who)
}

// playing tells whether the viewer of the present row does.
func (s *session) playing() bool {
	return s.gw.Protection.Drilling != nil && s.sees != nil && s.gw.plays(s.whose(s.sees).person.Staff)
}

// drillsOn tells whether a customer is one of the drills'. Who plays a theft is shown nobody else, whatever his reasons: his password lies in a file.
func (s *session) drillsOn(who *customer) bool {
	book := s.gw.Protection.Canaries
	if book == nil {
		return false
	}
	c := book.Subject(who.subject())
	return c != nil && c.Drill
}

// drillsOnValue is drillsOn of a value that tells by itself whose it is: the database is not believed about that.
func (s *session) drillsOnValue(of *catalog.Protected, digest sallyport.Digest) bool {
	if of.Scheme != sallyport.Email && of.Scheme != sallyport.Phone {
		return true
	}
	c := s.gw.Protection.Canaries.ByValue(digest)
	return c != nil && c.Drill
}
