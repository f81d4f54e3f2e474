package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport"
)

// Record is the access stream, as far as the past needs it.
type Record interface {
	ID() string
	Last() uint64
	Read(from uint64, fn func(*sallyport.Event) error) error
	// Pick reads those that are wanted, asked in ascending order, and gives nil for others that are there.
	Pick(from uint64, wanted func(seq uint64) bool, fn func(seq uint64, e *sallyport.Event) error) error
	Follow(ctx context.Context, from uint64, fn func(*sallyport.Event) error) error
}

// Past answers from the store and, for what the store has not taken in yet, from the record itself.
type Past struct {
	Record Record
	Lend   func() (Store, func())      // see Keeper.Lend; nil: everything is read from the record
	Tells  func(sallyport.Column) bool // equal values of this column mean the same customer; nil: none does
}

// WhoSaw lists the statements by which somebody could read values of a customer, in the order of the record, with real names.
func (p *Past) WhoSaw(ctx context.Context, customer sallyport.Subject) ([]*Sighting, error) {
	last := p.Record.Last()
	store, from, release, err := p.store(ctx)
	defer release()
	if err != nil {
		return nil, err
	}
	t := &tail{p: p, ctx: ctx, customer: customer, last: last, list: []*Sighting{}, values: map[sallyport.Digest]bool{}, found: map[Place]*Sighting{}}
	if err := t.valuesOf(from + 1); err != nil {
		return nil, err
	}
	if store == nil {
		list, err := t.sightings(1)
		return inOrder(list), err
	}
	// A value that the customer is known by only since a moment ago may have been seen under nobody's name long before; and a value that
	// was his then may just have been seen elsewhere.
	answer, err := store.Saw(ctx, Question{Customer: customer, Digests: t.digests()})
	if err != nil {
		return nil, fmt.Errorf("ask history: %w", err)
	}
	for _, d := range answer.Digests {
		t.values[d] = true
	}
	for _, s := range answer.Sightings {
		t.keep(s)
	}
	if answer.Position >= last {
		return inOrder(t.list), nil
	}
	list, err := t.sightings(answer.Position + 1)
	if err == nil && len(t.nameless) > 0 {
		err = t.describeFrom(store)
	}
	return inOrder(list), err
}

// inOrder sorts sightings as the record has them. The list is changed.
func inOrder(list []*Sighting) []*Sighting {
	slices.SortStableFunc(list, func(a, b *Sighting) int { return cmp.Compare(a.Entry, b.Entry) })
	return list
}

// store is the store and how far it is; nil where there is none, or where it is another record's.
func (p *Past) store(ctx context.Context) (_ Store, at uint64, release func(), _ error) {
	if p.Lend == nil {
		return nil, 0, func() {}, nil
	}
	store, release := p.Lend()
	if store == nil {
		return nil, 0, release, nil
	}
	position, err := store.Position(ctx)
	switch {
	case errors.Is(err, ErrBroken), errors.Is(err, ErrGone):
		return nil, 0, release, nil // it is being made or opened again; until then the record answers
	case err != nil:
		return nil, 0, release, fmt.Errorf("ask history how far it is: %w", err)
	case position.Record != p.Record.ID():
		return nil, 0, release, nil
	}
	return store, position.Entry, release, nil
}

// Person is whom a pseudonym stands for; empty: nobody on record.
func (p *Past) Person(ctx context.Context, pseudonym string, names *Names) (who sallyport.Staff, err error) {
	last := p.Record.Last()
	store, from, release, err := p.store(ctx)
	defer release()
	if err != nil {
		return "", err
	}
	if store != nil {
		answer, err := store.Saw(ctx, Question{Person: pseudonym})
		if err != nil {
			return "", fmt.Errorf("ask history: %w", err)
		}
		if answer.Person != "" {
			return answer.Person, nil
		}
	}
	t := &tail{p: p, ctx: ctx, last: last}
	seen := map[sallyport.Staff]bool{}
	return who, t.read(from+1, func(e *sallyport.Event) {
		if s := e.Who.Staff; !seen[s] {
			seen[s] = true
			if names.Person(s) == pseudonym {
				who = s
			}
		}
	})
}

// tail reads entries of the record. Memory follows what is found.
type tail struct {
	p        *Past
	ctx      context.Context //nolint:containedctx // of one question
	customer sallyport.Subject
	last     uint64 // where the record ended when the question was asked
	values   map[sallyport.Digest]bool
	found    map[Place]*Sighting
	list     []*Sighting
	nameless []Place        // statements whose own entry was not in the tail
	fresh    map[Place]bool // found in the tail, and not described yet
	lately   said
}

// keep adds a sighting, or to the one of the same statement.
func (t *tail) keep(s *Sighting) {
	if before := t.found[s.Place()]; before != nil {
		before.join(s)
		return
	}
	t.found[s.Place()] = s
	t.list = append(t.list, s)
}

func (t *tail) digests() []sallyport.Digest {
	list := make([]sallyport.Digest, 0, len(t.values))
	for d := range t.values {
		list = append(list, d)
	}
	return list
}

// valuesOf gathers the digests of what was revealed under the customer.
func (t *tail) valuesOf(from uint64) error {
	return t.read(from, func(e *sallyport.Event) {
		values(e, func(v sallyport.RevealedValue, _ sallyport.Column) {
			if v.Subject == t.customer && v.Digest != (sallyport.Digest{}) {
				t.values[v.Digest] = true
			}
		})
	})
}

// sightings reads the record from an entry on: every reveal of one of the customer's values, rows of his that were read while serve only
// observed, and the statements that these belong to.
func (t *tail) sightings(from uint64) ([]*Sighting, error) {
	t.fresh = map[Place]bool{}
	err := t.read(from, func(e *sallyport.Event) {
		t.says(e)
		values(e, func(v sallyport.RevealedValue, column sallyport.Column) {
			direct := v.Subject == t.customer
			if direct || t.values[v.Digest] && Tells(t.p.Tells, v.Subject, column) {
				t.sees(e, e.Reveal.Statement).Add(ColumnName(column), v.Subject, direct)
			}
		})
		if e.Kind == sallyport.ObservedKind && e.Touch != nil && slices.Contains(e.Touch.Reached, t.customer) {
			t.sees(e, e.Touch.Statement)
		}
	})
	if err == nil && len(t.fresh) > 0 && t.lately.forgot {
		err = t.describe(from)
	}
	for at := range t.fresh {
		t.nameless = append(t.nameless, at)
	}
	return t.list, err
}

// says takes what a statement's own entry says.
func (t *tail) says(e *sallyport.Event) {
	if e.Kind != sallyport.StatementKind || e.Statement == nil {
		return
	}
	at := Place{e.Who.Session, e.Statement.ID}
	if s := t.found[at]; s != nil {
		s.Describe(StatementOf(e.Statement))
		delete(t.fresh, at)
	}
	t.lately.note(at, e.Statement)
}

// sees is the sighting of a statement.
func (t *tail) sees(e *sallyport.Event, statement uint64) *Sighting {
	at := Place{e.Who.Session, statement}
	if t.found[at] != nil {
		return t.found[at]
	}
	t.keep(SightingOf(e))
	if of, known := t.lately.of(at); known { // a statement is on record before what it returns
		t.found[at].Describe(of)
	} else {
		t.fresh[at] = true
	}
	return t.found[at]
}

// describe looks for statements that were too many others ago to be remembered.
func (t *tail) describe(from uint64) error {
	return t.read(from, func(e *sallyport.Event) {
		if e.Kind != sallyport.StatementKind || e.Statement == nil {
			return
		}
		if at := (Place{e.Who.Session, e.Statement.ID}); t.fresh[at] {
			t.found[at].Describe(StatementOf(e.Statement))
			delete(t.fresh, at)
		}
	})
}

// said remembers the statements that came last: what they returned follows soon, and nearly always before many others.
type said struct {
	now, before map[Place]*sallyport.Statement
	forgot      bool // some are not remembered any more
}

// mostSaid bounds each half of it.
const mostSaid = 1 << 14

func (s *said) note(at Place, of *sallyport.Statement) {
	if s.now == nil || len(s.now) >= mostSaid {
		s.forgot = s.forgot || s.before != nil
		s.now, s.before = map[Place]*sallyport.Statement{}, s.now
	}
	s.now[at] = of
}

func (s *said) of(at Place) (Statement, bool) {
	of, ok := s.now[at]
	if !ok {
		of, ok = s.before[at]
	}
	if !ok {
		return Statement{}, false
	}
	return StatementOf(of), true
}

// describeFrom asks the store for statements whose results came after what it has taken in.
func (t *tail) describeFrom(store Store) error {
	answer, err := store.Saw(t.ctx, Question{Places: t.nameless})
	if err != nil {
		return fmt.Errorf("ask history: %w", err)
	}
	for at, of := range answer.Statements {
		t.found[at].Describe(of)
	}
	return nil
}

// StatementOf is what history keeps of a statement's entry for who asks later.
func StatementOf(s *sallyport.Statement) Statement {
	of := Statement{Verb: s.Verb}
	for _, c := range s.Columns {
		of.Columns = append(of.Columns, c.String())
	}
	return of
}

// Tells says whether a value equal to one of the customer's means the customer. Where nobody knows whose row carried it, it
// does. In another customer's row only identifying columns do: two people may well share a name or a birthday.
func Tells(identifies func(sallyport.Column) bool, under sallyport.Subject, column sallyport.Column) bool {
	return under == "" || identifies != nil && identifies(column)
}

// values walks every value that left in plain by an entry.
func values(e *sallyport.Event, fn func(sallyport.RevealedValue, sallyport.Column)) {
	if e.Kind != sallyport.RevealKind && e.Kind != sallyport.ObservedKind || e.Reveal == nil {
		return
	}
	for v := range e.Reveal.Values.All() {
		var column sallyport.Column
		if int(v.Column) < len(e.Reveal.Columns) {
			column = e.Reveal.Columns[v.Column]
		}
		fn(v, column)
	}
}

// errRead ends a walk where the question ended.
var errRead = errors.New("read so far") //nolint:gochecknoglobals // a sentinel

func (t *tail) read(from uint64, fn func(*sallyport.Event)) error {
	if from > t.last {
		return nil
	}
	err := t.p.Record.Read(from, func(e *sallyport.Event) error {
		if e.Seq > t.last {
			return errRead
		}
		fn(e)
		return t.ctx.Err()
	})
	if err != nil && !errors.Is(err, errRead) {
		return fmt.Errorf("read the access stream: %w", err)
	}
	return nil
}
