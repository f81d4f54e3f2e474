package gateway

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport"
	"sallyport/catalog"
	"sallyport/purpose"
	"sallyport/record"
	"sallyport/token"
)

// Ties remember to which customer each token of a name or text in the customer table belongs: the one in whose row it was first
// seen committed. In another customer's row it is not revealed: somebody with SQL put it there. They are a fold of the access stream,
// so that no database can change them, and a restart knows them.
//
// Tokens elsewhere are not tied: a ticket may lawfully become another customer's, with the texts in it. Nor are those of a column that is
// moving: what stands for a plain value there is the same for everybody who has it.
type Ties struct {
	table  catalog.Table // of the customers
	access *record.Stream
	clock  func() time.Time
	log    *slog.Logger
	now    func() *catalog.Snapshot

	vetting sync.Mutex // held while a cover is vetted, so that of two first sights one is the first

	mu    sync.Mutex // guards what follows
	cells []tie
	used  int
	told  map[tie]struct{} // strays that are on record since the start
	full  bool
}

// tie is a token and its customer, 8 bytes of each. A free cell is zero.
type tie struct{ handle, subject uint64 }

const (
	smallestTies = 1 << 10
	// mostTies bounds the table, to 256 MiB: some 12 million tokens. What comes later is not tied, and the log says so.
	mostTies = 16 << 20
	// mostTold bounds how many strays are remembered as told; then they are told again.
	mostTold = 4096
)

// NewTies makes an empty memory; Restore fills it.
func NewTies(customers catalog.Table, access *record.Stream, clock func() time.Time, log *slog.Logger, now func() *catalog.Snapshot) *Ties {
	return &Ties{table: customers, access: access, clock: clock, log: log, now: now, cells: make([]tie, smallestTies), told: map[tie]struct{}{}}
}

// Restore folds one past event. Call it for all of them, in order.
func (t *Ties) Restore(e *sallyport.Event) {
	if e.Kind != sallyport.TieKind {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range e.Ties {
		if len(e.Ties[i].Handle) == token.HandleSize {
			who := customerOf(e.Ties[i].Subject)
			t.add(newTie([token.HandleSize]byte(e.Ties[i].Handle), &who))
		}
	}
}

// Vet takes out of a cover what belongs to somebody else, and ties what is seen for the first time. What is tied stands in the record
// in front of what reveals it.
func (t *Ties) Vet(who purpose.Person, cover *purpose.Cover) error {
	t.vetting.Lock()
	defer t.vetting.Unlock()
	var fresh, strays []sallyport.Tie
	moving := t.moving()
	t.mu.Lock()
	for stored, v := range cover.Values {
		handle, ok := t.handle(v.Column, v.Scheme, []byte(stored))
		if !ok || v.Subject == "" || moving[v.Column] {
			continue
		}
		owner := customerOf(v.Subject)
		at := newTie(handle, &owner)
		switch cell := t.cell(at.handle); {
		case cell.handle == 0:
			fresh = append(fresh, sallyport.Tie{Handle: handle[:], Subject: v.Subject})
		case cell.subject != at.subject:
			delete(cover.Values, stored)
			if t.tell(at) {
				strays = append(strays, sallyport.Tie{Handle: handle[:], Subject: v.Subject})
			}
		}
	}
	full := t.full
	t.mu.Unlock()
	if len(strays) > 0 {
		t.log.Warn("a token of one customer stands in another's row, and is not revealed there", "tokens", len(strays), "customer", string(strays[0].Subject))
		if err := t.put(sallyport.StrayKind, who, strays); err != nil {
			return err
		}
	}
	if len(fresh) == 0 || full {
		return nil
	}
	if err := t.put(sallyport.TieKind, who, fresh); err != nil {
		return err
	}
	t.Restore(&sallyport.Event{Kind: sallyport.TieKind, Ties: fresh})
	return nil
}

func (t *Ties) put(kind sallyport.EventKind, who purpose.Person, ties []sallyport.Tie) error {
	if _, err := t.access.Enqueue(&sallyport.Event{Kind: kind, Time: t.clock(), Who: sallyport.Who{Staff: who.Staff, Team: who.Team}, Ties: ties}); err != nil {
		return fmt.Errorf("record whose tokens are: %w", err)
	}
	return nil
}

// Stray tells whether a token is known to be another customer's.
func (t *Ties) Stray(c *catalog.Protected, stored []byte, who *customer) bool {
	handle, ok := t.handle(c.Column, c.Scheme, stored)
	if !ok || c.Moving || !who.known() {
		return false
	}
	at := newTie(handle, who)
	t.mu.Lock()
	defer t.mu.Unlock()
	cell := t.cell(at.handle)
	return cell.handle != 0 && cell.subject != at.subject
}

// Leaves are the keys that tokens of a customer have to themselves, if they have any: of all that are tied to him, also where they
// stand in no row any more.
func (t *Ties) Leaves(subject sallyport.Subject) (leaves []uint64) {
	who := customerOf(subject)
	of := newTie([token.HandleSize]byte{}, &who).subject
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.cells {
		if t.cells[i].handle != 0 && t.cells[i].subject == of {
			leaves = append(leaves, t.cells[i].handle)
		}
	}
	return leaves
}

// Foreign tells whether a token of the customer table is tied to another customer than this one.
func (t *Ties) Foreign(column sallyport.Column, scheme sallyport.Scheme, stored []byte, subject sallyport.Subject) bool {
	handle, ok := t.handle(column, scheme, stored)
	if !ok {
		return false
	}
	who := customerOf(subject)
	at := newTie(handle, &who)
	t.mu.Lock()
	defer t.mu.Unlock()
	cell := t.cell(at.handle)
	return cell.handle != 0 && cell.subject != at.subject
}

// handle is that of a token that is tied; false: tokens of the column are not.
func (t *Ties) handle(c sallyport.Column, scheme sallyport.Scheme, stored []byte) (h [token.HandleSize]byte, ok bool) {
	if scheme != sallyport.Name && scheme != sallyport.Text || c.Table != t.table.Name || c.Schema != t.table.Schema {
		return h, false
	}
	return token.Handle(stored)
}

// moving are the columns in which plain values stand beside tokens.
func (t *Ties) moving() map[sallyport.Column]bool {
	out := map[sallyport.Column]bool{}
	for _, c := range t.now().Columns() {
		if c.Moving {
			out[c.Column] = true
		}
	}
	return out
}

// newTie makes the cell of a token: its bytes are random, so eight of them are enough to tell it from others. They name its own key, too.
func newTie(handle [token.HandleSize]byte, who *customer) tie {
	key := who.key()
	return tie{token.LeafOf(handle), binary.LittleEndian.Uint64(key[:8])}
}

// tell tells whether a stray is new. The caller holds mu.
func (t *Ties) tell(at tie) bool {
	if _, known := t.told[at]; known {
		return false
	}
	if len(t.told) >= mostTold {
		clear(t.told)
	}
	t.told[at] = struct{}{}
	return true
}

// add keeps the first customer of a token. The caller holds mu.
func (t *Ties) add(at tie) {
	if 4*(t.used+1) > 3*len(t.cells) && !t.grow() {
		return
	}
	if cell := t.cell(at.handle); cell.handle == 0 {
		*cell = at
		t.used++
	}
}

// cell is where a token stands, or would. The caller holds mu.
func (t *Ties) cell(handle uint64) *tie {
	mask := uint64(len(t.cells) - 1) //nolint:gosec // a length
	at := handle >> 1 & mask
	for t.cells[at].handle != 0 && t.cells[at].handle != handle {
		at = (at + 1) & mask
	}
	return &t.cells[at]
}

// grow makes room; false at the bound. The caller holds mu.
func (t *Ties) grow() bool {
	if len(t.cells) >= mostTies {
		if !t.full {
			t.full = true
			t.log.Error("no more tokens are tied to their customers: the table is full", "tokens", t.used)
		}
		return false
	}
	old := t.cells
	t.cells = make([]tie, 2*len(old))
	for _, c := range old {
		if c.handle != 0 {
			*t.cell(c.handle) = c
		}
	}
	return true
}
