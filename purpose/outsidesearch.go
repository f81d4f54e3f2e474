package purpose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"sallyport"
	"sallyport/catalog"
)

// GrantCover is what a grant covers that somebody gives as his purpose.
type GrantCover struct {
	Subjects []sallyport.Subject
	Reason   sallyport.Reason // Kind and Covers are filled in
	Refused  string           // not empty: it covers nobody, and this sentence says why
}

// openOutside finds the source of each kind that has one.
func (r *Resolver) openOutside() error {
	for kind, k := range r.config.Kinds {
		source := r.options.Sources[k.Source]
		if k.Source == OwnContacts {
			source = noSource{}
		} else if source == nil {
			return fmt.Errorf("prepare to check reasons of kind %s: its source %q was not opened", kind, k.Source)
		}
		u, err := newOutside(kind, k, source, r.options)
		if err != nil {
			return err
		}
		u.now = r.options.Clock
		r.outside[kind] = u
	}
	return nil
}

// Outside tells whether purposes of a kind are checked by a system outside the protected database, which has its own form of ids.
func (r *Resolver) Outside(kind string) bool { return r.outside[kind] != nil }

// lookOutside resolves what another system has to be asked for; nil: it is none of that.
func (r *Resolver) lookOutside(ctx context.Context, q *queries, who Person, p sallyport.Purpose) (*Cover, error) {
	if p.Kind == "grant" {
		return r.lookGrant(ctx, q, who, p)
	}
	kind := p.Kind
	if kind == "work" || kind == own || kind == holding {
		kind = "ticket"
	}
	u := r.outside[kind]
	if u == nil {
		return nil, nil
	}
	if u.kind.Source == OwnContacts {
		return r.ownCall(ctx, q, u, who, p)
	}
	s := &abroad{Resolver: r, outside: u, queries: q, who: who}
	switch p.Kind {
	case "work":
		return s.workList(ctx)
	case own:
		return s.ownTicket(ctx, p.Ref)
	case holding:
		return s.holding(ctx)
	}
	return s.thing(ctx, p)
}

// abroad is one look into another system on behalf of one person.
type abroad struct {
	*Resolver
	*outside
	queries *queries
	who     Person
}

// thing resolves one ticket, call or job.
func (s *abroad) thing(ctx context.Context, p sallyport.Purpose) (*Cover, error) {
	things, err := s.source.Find(ctx, s.ref(p.Ref))
	switch {
	case err != nil:
		return s.silent(err), nil
	case len(things) == 0:
		return &Cover{Refused: "there is no such " + p.Kind}, nil
	case len(things) > 1:
		return &Cover{Refused: "several have this number: give the id of the " + p.Kind}, nil
	}
	t := &things[0]
	known, refused := s.judge(p.Kind, s.who, t)
	if refused != "" {
		cover := &Cover{Refused: refused}
		if p.Kind == "ticket" && len(t.Customers) == 1 {
			if better := s.newestAbout(ctx, t.Customers[0]); better != "" {
				cover.Help = "SET sallyport.purpose = 'ticket:" + better + "';"
			}
		}
		return cover, nil
	}
	return s.cover(ctx, s.queries, s.who, p, known, t.Customers)
}

// ref is what a source is asked by. The number behind a token is known to nobody but it.
func (s *abroad) ref(text string) Ref {
	ref := Ref{Text: text}
	if s.options.Number != nil {
		ref.Number, _ = s.options.Number(text)
	}
	return ref
}

// silent says that a source did not answer. It covers nothing, and other purposes beside it still may.
func (s *abroad) silent(err error) *Cover {
	name := s.kind.Source
	if s.options.Trouble != nil {
		s.options.Trouble(name, err)
	}
	why := "cannot be asked now"
	switch {
	case errors.Is(err, ErrSilent):
		why = ErrSilent.Error()
	case errors.Is(err, context.DeadlineExceeded):
		why = "did not answer in time"
	}
	return &Cover{Refused: fmt.Sprintf("the source %s %s, so nothing says that this is a reason", name, why)}
}

// newestAbout finds the id of the person's newest ticket about a customer that is a reason, empty where there is none.
func (s *abroad) newestAbout(ctx context.Context, customer sallyport.Subject) string {
	things, err := s.mine(ctx)
	if err != nil {
		return ""
	}
	for i := range things {
		if slices.Contains(things[i].Customers, customer) {
			if _, refused := s.judge("ticket", s.who, &things[i]); refused == "" {
				return things[i].ID
			}
		}
	}
	return ""
}

func (s *abroad) mine(ctx context.Context) ([]Thing, error) {
	return s.source.Mine(ctx, namesOf(s.who), maxOwnTickets)
}

// ownTicket is the newest ticket about a customer that would help.
func (s *abroad) ownTicket(ctx context.Context, customer string) (*Cover, error) {
	if id := s.newestAbout(ctx, sallyport.Subject(customer)); id != "" {
		return &Cover{Help: id}, nil
	}
	return &Cover{Refused: "no ticket of one's own is about this customer"}, nil
}

// holding reads what the database holds of the customers of one's own tickets, whether these are reasons or not.
func (s *abroad) holding(ctx context.Context) (*Cover, error) {
	things, err := s.mine(ctx)
	if err != nil {
		return s.silent(err), nil
	}
	var subjects []sallyport.Subject
	for i := range things {
		for _, subject := range things[i].Customers {
			if !slices.Contains(subjects, subject) {
				subjects = append(subjects, subject)
			}
		}
	}
	cover := &Cover{Values: map[string]Value{}}
	return cover, s.read(ctx, s.queries, s.queries.values, cover, subjects)
}

// workList resolves work:mine: the names of the customers of one's own tickets that are reasons themselves.
func (s *abroad) workList(ctx context.Context) (*Cover, error) {
	things, err := s.mine(ctx)
	if err != nil {
		return s.silent(err), nil
	}
	if len(things) == 0 {
		return &Cover{Refused: "you have no open ticket"}, nil
	}
	var subjects []sallyport.Subject
	first := ""
	for i := range things {
		_, refused := s.judge("ticket", s.who, &things[i])
		switch {
		case refused == "" && !slices.Contains(subjects, things[i].Customers[0]):
			subjects = append(subjects, things[i].Customers[0])
		case refused != "" && first == "":
			first = refused
		}
	}
	if len(subjects) == 0 {
		return &Cover{Refused: "none of your open tickets counts: " + first}, nil
	}
	cover := &Cover{
		Reason: sallyport.Reason{Kind: "work", Covers: true, Open: true, Mine: true, Team: s.who.Team, Assignee: s.who.Staff}, Values: map[string]Value{},
	}
	return cover, s.read(ctx, s.queries, s.queries.names, cover, subjects)
}

// lookGrant resolves grant:ID.
func (r *Resolver) lookGrant(ctx context.Context, q *queries, who Person, p sallyport.Purpose) (*Cover, error) {
	g, err := r.options.Grant(ctx, who, p.Ref)
	if err != nil {
		return nil, err
	}
	if g.Refused != "" {
		return &Cover{Refused: g.Refused}, nil
	}
	g.Reason.Kind, g.Reason.Covers = p.Kind, true
	return r.cover(ctx, q, who, p, g.Reason, g.Subjects)
}

// bulk is what many customers have, as it was read last.
type bulk struct {
	at       time.Time
	renewal  uint64
	snapshot *catalog.Snapshot
	subjects []sallyport.Subject
	values   map[string]Value
}

// Whether a job is a reason is asked each second. What its customers have is read anew for many of them after bulkFor only.
const (
	bulkMany = 100
	bulkFor  = 30 * time.Second
)

// cover reads what the customers of a reason have.
func (r *Resolver) cover(ctx context.Context, q *queries, who Person, p sallyport.Purpose, known sallyport.Reason, subjects []sallyport.Subject) (*Cover, error) {
	cover := &Cover{Reason: known, Values: map[string]Value{}}
	if len(subjects) < bulkMany {
		return cover, r.read(ctx, q, q.values, cover, subjects)
	}
	at, renewal := r.options.Now(), r.renewals.Load()
	asked := question{who.Staff, p}
	r.mu.Lock()
	b := r.bulk[asked]
	r.mu.Unlock()
	if b != nil && at.Sub(b.at) < bulkFor && b.renewal == renewal && b.snapshot == q.snapshot && slices.Equal(b.subjects, subjects) {
		cover.Subjects, cover.Values = subjects, maps.Clone(b.values) // who vets it takes out of it
		return cover, nil
	}
	if err := r.read(ctx, q, q.values, cover, subjects); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.bulk[asked] = &bulk{at, renewal, q.snapshot, subjects, maps.Clone(cover.Values)}
	r.mu.Unlock()
	return cover, nil
}

// read adds what customers have in the protected database.
func (r *Resolver) read(ctx context.Context, q *queries, of []catalog.CustomerQuery, cover *Cover, subjects []sallyport.Subject) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("connect to check a reason: %w", plain(err))
	}
	defer conn.Release()
	s := &search{queries: q, rules: &r.rules, conn: conn.Conn(), forms: r.forms}
	return s.addValues(ctx, cover, of, subjects)
}

// outsideID is the id of a ticket of another system, for people who read the record.
func (r *Resolver) outsideID(ctx context.Context, u *outside, number string) (string, bool) {
	s := &abroad{Resolver: r, outside: u}
	things, err := u.source.Find(ctx, s.ref(number))
	if err != nil || len(things) != 1 {
		return "", false
	}
	return things[0].ID, true
}
