package sallyport

import "time"

// RestatedKind is a kind of the access stream: what an erased entry said of others than the customer because of whom it was erased. Event.Restates.
const RestatedKind EventKind = "restated"

// Restated is in whose place an entry stands. Its other parts are those of the entry that is gone.
type Restated struct {
	Entry uint64    `cbor:"1,keyasint"` // of the same stream, that is erased
	Kind  EventKind `cbor:"2,keyasint"` // what that was
	Time  time.Time `cbor:"3,keyasint"` // and when; the entry's own is when it was written
}

// AsItWas is an entry that stands in another's place as that other one, at its time; any other entry as it is. Who counts what is new, such as budgets
// and detection, does not ask: it was counted when it was.
func (e *Event) AsItWas() *Event {
	if e.Kind != RestatedKind || e.Restates == nil {
		return e
	}
	was := *e
	was.Kind, was.Time = e.Restates.Kind, e.Restates.Time
	return &was
}

// Restate is what an entry says of others than one customer, to stand in its place once it is erased. What was asked, and why, stays.
func (e *Event) Restate(without Subject, now time.Time) *Event {
	was := e.AsItWas()
	r := *was
	r.Seq, r.Kind, r.Time, r.Restates = 0, RestatedKind, now, &Restated{Entry: e.Seq, Kind: was.Kind, Time: was.Time}
	if was.Statement != nil {
		s := *was.Statement
		s.Covers = others(s.Covers, without)
		r.Statement = &s
	}
	if was.Reveal != nil {
		x := *was.Reveal
		x.Values = Values{}
		for v := range was.Reveal.Values.All() {
			if v.Subject != without {
				x.Values.Add(v)
			}
		}
		r.Reveal = &x
	}
	if was.Touch != nil {
		t := *was.Touch
		t.Reached = others(t.Reached, without)
		r.Touch = &t
	}
	if was.Imported != nil {
		i := *was.Imported
		i.Access.Subjects, i.Access.Reached = others(i.Access.Subjects, without), others(i.Access.Reached, without)
		r.Imported = &i
	}
	return &r
}

func others(list []Subject, without Subject) (rest []Subject) {
	for _, s := range list {
		if s != without {
			rest = append(rest, s)
		}
	}
	return rest
}
