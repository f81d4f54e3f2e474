package purpose

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"sallyport"
)

// The tables of sallyport.Fact.
const (
	TicketTable  = "ticket"
	ContactTable = "contact"
)

// The parts of a ticket in sallyport.Fact.Wrote: those that the statement made what they are. A contact's fact lists all of them when
// the whole row was inserted.
const (
	wroteCustomer = "customer"
	wroteAssignee = "assignee"
	wroteState    = "state"
)

// BaselineNote marks the events that say what stood in the database when protection began. Such an event has no Who.Staff.
const BaselineNote = "baseline"

// contactMemory is how long a contact can support a ticket that somebody opened himself.
const contactMemory = 31 * 24 * time.Hour

// Facts is what the gateway saw committed about tickets and contacts, and who wrote it: a fold of FactKind events, so that a restart
// arrives at the same. Each part of a ticket is attested by its last writer, or by nobody where it changed around the gateway.
// It takes about 60 bytes a ticket. It is safe for use by several goroutines.
type Facts struct {
	mu       sync.RWMutex // guards everything below
	version  uint64
	tickets  map[ref]ticketFact
	contacts map[ref]contactFact
	day      int64 // of the last event, in days since 1970: contacts are forgotten when it changes
	texts    table // what is no plain number
	names    table // of staff and log-ins

	looks *looks
}

// NewFacts returns facts about nothing.
func NewFacts() *Facts {
	f := &Facts{tickets: map[ref]ticketFact{}, contacts: map[ref]contactFact{}, looks: newLooks()}
	f.names.intern("")                    // nobody
	f.names.intern("\x00" + BaselineNote) // no id of the directory begins like this
	f.texts.intern("")
	return f
}

// writer is who attests something: an index of names.
type writer uint32

const (
	nobody   writer = 0
	baseline writer = 1
)

// ticketFact is what is attested of a ticket. The parts have a writer each, because a statement writes some of them.
type ticketFact struct {
	customer               ref
	assignee               uint32 // index of names
	byCustomer, byAssignee writer
	byStateAndOpen         uint32 // the writer of the state, doubled, and 1 if the ticket is open
	changed                int64  // when customer, assignee or openness last changed, in microseconds since 1970; 0: before protection began
}

// contactFact is what is attested of a contact, as one.
type contactFact struct {
	customer, ticket ref
	at               int64  // microseconds since 1970
	staff            uint32 // index of names
	byAndIncoming    uint32 // the writer, doubled, and 1 if the customer began
}

// Apply folds one event of the access stream; other kinds than FactKind and RevealKind change nothing.
func (f *Facts) Apply(e *sallyport.Event) {
	switch e.Kind {
	case sallyport.RevealKind:
		f.looks.apply(e)
		return
	case sallyport.FactKind:
	default:
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	by := nobody
	switch {
	case e.Who.Staff != "":
		by = writer(f.names.intern(string(e.Who.Staff)))
	case e.Note == BaselineNote:
		by = baseline
	}
	for i := range e.Facts {
		switch fact := &e.Facts[i]; fact.Table {
		case TicketTable:
			f.ticket(fact, by, e.Time)
		case ContactTable:
			f.contact(fact, by)
		}
	}
	f.forget(e.Time)
	f.version++
}

// Version changes with each fact.
func (f *Facts) Version() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.version
}

// ticket folds one write of a ticket. f.mu is held.
func (f *Facts) ticket(fact *sallyport.Fact, by writer, at time.Time) {
	id := f.ref(fact.ID)
	old, known := f.tickets[id]
	next := ticketFact{customer: f.ref(string(fact.Customer)), assignee: f.names.intern(fact.Assignee)}
	attest := func(part string, same bool, before writer) writer {
		return attested(known, same, slices.Contains(fact.Wrote, part), before, by)
	}
	next.byCustomer = attest(wroteCustomer, next.customer == old.customer, old.byCustomer)
	next.byAssignee = attest(wroteAssignee, next.assignee == old.assignee, old.byAssignee)
	open, byState := split(old.byStateAndOpen)
	next.byStateAndOpen = join(fact.Open, attest(wroteState, fact.Open == open, byState))
	next.changed = old.changed
	if by != baseline && (!known || next.customer != old.customer || next.assignee != old.assignee || fact.Open != open) {
		next.changed = at.UnixMicro()
	}
	f.tickets[id] = next
}

// attested says who attests a part after a write. Writing the same value again changes no writer: otherwise a colleague's program
// that writes whole rows would launder what somebody gave himself. Resolver.Fact leaves out of wrote what stood there already; here
// the last fact has its say, too, since what stood there for a moment may have been written unseen.
func attested(known, same, wrote bool, before, by writer) writer {
	switch {
	case wrote && known && same && before != nobody:
		return before
	case wrote:
		return by
	case known && same:
		return before
	}
	return nobody // it changed without the gateway
}

// contact folds one write of a contact. Only whoever inserts the whole row attests it; a later write keeps that as long as it changes
// nothing, since a part of a row says nothing about the rest. f.mu is held.
func (f *Facts) contact(fact *sallyport.Fact, by writer) {
	id := f.ref(fact.ID)
	old, known := f.contacts[id]
	next := contactFact{
		customer: f.ref(string(fact.Customer)), ticket: f.ref(fact.Ticket), at: fact.At.UnixMicro(), staff: f.names.intern(fact.Assignee),
	}
	incoming, before := split(old.byAndIncoming)
	whole := slices.Contains(fact.Wrote, wroteCustomer) && slices.Contains(fact.Wrote, wroteAssignee) && slices.Contains(fact.Wrote, wroteState)
	same := next.customer == old.customer && next.ticket == old.ticket && next.at == old.at && next.staff == old.staff && fact.Incoming == incoming
	next.byAndIncoming = join(fact.Incoming, attested(known, same, whole, before, by))
	f.contacts[id] = next
}

// forget drops contacts that are too old to support anything, once a day of the events' time. f.mu is held.
func (f *Facts) forget(now time.Time) {
	day := now.Unix() / (24 * 60 * 60)
	if day == f.day {
		return
	}
	f.day = day
	oldest := now.Add(-contactMemory).UnixMicro()
	for id, c := range f.contacts {
		if c.at < oldest {
			delete(f.contacts, id)
		}
	}
}

// attestedTicket is what the facts say of a ticket, spelled out.
type attestedTicket struct {
	customer, assignee              string
	open                            bool
	byCustomer, byAssignee, byState attestor
	changed                         int64
}

// attestor is who attested something. The zero value is nobody.
type attestor struct {
	staff    sallyport.Staff
	baseline bool
}

func (a attestor) none() bool { return a == attestor{} }

// lookUpTicket returns what is attested of a ticket; ok is false where nothing ever was.
func (f *Facts) lookUpTicket(id string) (t attestedTicket, ok bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	key, known := f.known(id)
	fact, ok := f.tickets[key]
	if !known || !ok {
		return attestedTicket{}, false
	}
	open, byState := split(fact.byStateAndOpen)
	return attestedTicket{
		customer: f.text(fact.customer), assignee: f.names.text(fact.assignee), open: open,
		byCustomer: f.attestor(fact.byCustomer), byAssignee: f.attestor(fact.byAssignee), byState: f.attestor(byState),
		changed: fact.changed,
	}, true
}

// lookUpContact tells whether a contact stands as it was attested, and by whom.
func (f *Facts) lookUpContact(c contactRow) (by attestor, same bool) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	key, known := f.known(c.id)
	fact, ok := f.contacts[key]
	if !known || !ok {
		return attestor{}, false
	}
	incoming, w := split(fact.byAndIncoming)
	same = f.text(fact.customer) == c.customer && f.text(fact.ticket) == c.ticket && f.names.text(fact.staff) == c.staff &&
		fact.at == c.at && incoming == c.incoming
	return f.attestor(w), same
}

func (f *Facts) attestor(w writer) attestor {
	switch w {
	case nobody:
		return attestor{}
	case baseline:
		return attestor{baseline: true}
	}
	return attestor{staff: sallyport.Staff(f.names.text(uint32(w)))}
}

// join keeps a truth value and a writer in one number.
func join(flag bool, w writer) uint32 {
	if flag {
		return uint32(w)<<1 | 1
	}
	return uint32(w) << 1
}

func split(n uint32) (flag bool, w writer) { return n&1 == 1, writer(n >> 1) }

// ref is an id or a key in eight bytes: a plain number as itself, anything else as an index of texts.
type ref uint64

const isText ref = 1 << 63

// number reads plain decimal numbers: what another text could mean too (007, +7) is not one.
func number(s string) (ref, bool) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, false
	}
	return ref(n), true
}

// ref is the reference for a text, made if need be. f.mu is held for writing.
func (f *Facts) ref(s string) ref {
	if n, ok := number(s); ok {
		return n
	}
	return isText | ref(f.texts.intern(s))
}

// known is the reference for a text that is known already.
func (f *Facts) known(s string) (ref, bool) {
	if n, ok := number(s); ok {
		return n, true
	}
	i, ok := f.texts.index[s]
	return isText | ref(i), ok
}

func (f *Facts) text(r ref) string {
	if r&isText == 0 {
		return strconv.FormatUint(uint64(r), 10)
	}
	return f.texts.text(uint32(r &^ isText)) //nolint:gosec // an index that intern gave out
}

// table keeps each text once.
type table struct {
	list  []string
	index map[string]uint32
}

func (t *table) intern(s string) uint32 {
	if i, ok := t.index[s]; ok {
		return i
	}
	if t.index == nil {
		t.index = map[string]uint32{}
	}
	i := uint32(len(t.list)) //nolint:gosec // 4 G names do not fit into memory
	t.list = append(t.list, s)
	t.index[s] = i
	return i
}

func (t *table) text(i uint32) string { return t.list[i] }
