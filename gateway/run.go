package gateway

import (
	"context"
	"time"

	"sallyport"
	"sallyport/purpose"
	"sallyport/query"
	"sallyport/wire/pg"
)

// run is one execution of one statement.
type run struct {
	id       uint64
	stmt     *query.Statement // what is executed; nil: a cursor that SQL made, of which nothing is known
	outer    *query.Statement // the statement as it stands: EXECUTE, where stmt is the prepared one
	cursor   string           // where stmt is nil
	prepares *prepared        // what becomes known once the server confirms SQL's PREPARE
	rewriting
	as       *acting // whose access it is; nil until it is needed
	sight    *sight  // nil until it is needed
	recorded bool    // its statement entry is on disk

	layout      *layout // of its result
	capture     *query.Capture
	bound       *pg.BindMessage                                                      // its parameters; nil: none
	types       []byte                                                               // that Parse declared for them, 4 bytes each; 0 or absent: none
	pinned      func(slot *query.Slot, stored []byte) bool                           // says whether the row that a slot goes to holds the token already
	held        func(slot *query.Slot) (string, bool)                                // what that row holds now
	heldApart   func(slot *query.Slot) (purpose.Apart, bool)                         // likewise, of a column on its way
	heldPlain   func(slot *query.Slot) (stored string, found bool, err error)        // likewise, of one whose protection was undone
	vacates     func(slot *query.Slot, token, value []byte) ([]byte, *query.Refusal) // makes room for a value in a unique column that is moving
	announces   func(slot *query.Slot, becomes, value []byte) *query.Refusal         // tells the database what is written into a column on its way
	lone        func(slot *query.Slot, value []byte) *query.Refusal                  // refuses a search that would find other values, too
	vaulted     vaulted                                                              // keeps values that their scheme has no token for; nil: nothing does
	copied      []sallyport.Column                                                   // of which tokens are on record as copied by it
	revealed    int                                                                  // values
	left        int                                                                  // protected values that left as tokens
	masked      int                                                                  // and as masks
	toldRulings [2]int                                                               // how many rulings an entry says already, and since when
	waited      bool                                                                 // at the second door
	spent       bool
	dropped     bool // rows of it were kept from the client
	limit       *sallyport.Limit
	overGrant   bool               // limit is that of a grant which was asked for
	hint        customer           // a customer whose row was reached: whose ticket would have helped
	stoodIn     []sallyport.Digest // details that were shown in the place of values, and are on record
	seenAt      time.Time          // when the first was
	leftToken   string             // the first token that was left, where the customer is not known
}

// rewriting is a text before and after, to carry the server's positions back to the client's text.
type rewriting struct {
	text, sent string
	edits      []applied
}

// touches says whether anything protected may be concerned.
func (r *run) touches() bool { return r.stmt != nil && r.stmt.Touches }

// quiet says that a statement needs nothing before it is forwarded but its place in the queue.
func quiet(st *query.Statement) bool {
	return !st.Touches && !st.Masks && len(st.Edits) == 0 && st.Refusal == nil && st.Prepare == nil && st.Execute == nil &&
		st.Capture == nil && st.Comment == nil && st.Actor == nil && len(st.Params) == 0 && len(st.Powers) == 0 && len(st.Copies) == 0
}

// changes says whether purpose or transaction may change with a statement.
func changes(st *query.Statement) bool { return st.Purpose != nil || st.Tx != nil || st.SetsActor }

// renames says whether a name of a prepared statement may mean something else after a statement.
func renames(st *query.Statement) bool {
	return st.Prepare != nil || st.Deallocate != nil || st.Purpose != nil && st.Purpose.All
}

// prepareRun does for one statement what must be done before it is forwarded: who, why, tokens, budget of probes.
// now is what it will find when the server reaches it. look: it is only parsed now, and executed later.
func (s *session) prepareRun(ctx context.Context, st *query.Statement, now *stance, look bool) (*run, *query.Refusal, error) {
	as, refused := s.speaker(ctx, st, now, look)
	if refused == nil && !look && as.service != nil && now.spoken != as {
		now.spoken, refused = as, s.speaks(as)
	}
	if refused != nil {
		s.silence(refused)
		return nil, refused, nil
	}
	if refused := s.actsOn(as, st); refused != nil {
		return nil, refused, nil
	}
	r := &run{id: s.statements.Add(1), stmt: st, capture: st.Capture, as: as}
	if st.Verb == "DECLARE" {
		s.noteCursor(st.Cursor, st)
		delete(s.portals, st.Cursor) // what the protocol's Bind made under the name is closed, or this fails
	}
	claimed := st.Comment
	if st.Purpose != nil {
		claimed = &st.Purpose.Value
	}
	if claimed != nil {
		if refused := s.probePurpose(ctx, r, *claimed); refused != nil {
			return nil, refused, nil
		}
	}
	if st.Touches || st.Comment != nil {
		sight, err := s.look(ctx, st, as, now.reason(as))
		if err != nil {
			return nil, refusal(codeAway, "the purpose cannot be checked now", "Try again in a moment."), nil
		}
		r.sight = sight
		if refused, err := s.mayAct(ctx, st, sight, look); refused != nil || err != nil {
			return nil, refused, err
		}
	}
	r.lone = s.lone(ctx)
	if st.Touches && s.gw.Protection.Vault != nil {
		r.vaulted = s.vaulting(ctx)
	}
	s.looksAtRows(ctx, r)
	return r, nil, nil
}

// looksAtRows prepares what a statement that writes asks of the rows that it goes to.
func (s *session) looksAtRows(ctx context.Context, r *run) {
	if r.stmt.Parted {
		r.heldPlain = s.holdingPlain(ctx, r)
	}
	if r.stmt.Touches && r.stmt.Writes {
		r.pinned, r.held, r.heldApart, r.vacates = s.pinning(ctx, r), s.holding(ctx, r), s.holdingApart(ctx, r), s.vacating(ctx, r)
		r.announces = s.announcing(ctx, r)
	}
}
