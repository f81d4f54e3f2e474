// Package purpose finds out what a reason covers: which customers, and which stored values are theirs. It reads tickets and
// contacts over its own read-only connections in committed state, and believes them only as far as the record says who wrote them.
//
// It refuses to take a reason as a string, to ask the client's session, and to let anybody be his own witness: what a person wrote
// himself proves nothing to him.
// What stands in other systems it has a Source asked for (package source): there each state says itself who did what.
// Its invariant: a write that the gateway did not see may narrow what a reason covers, never widen it; a database or a source that does not
// answer covers nothing.
package purpose

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/catalog"
)

// Person is who asks, as the directory knows him.
type Person struct {
	Staff   sallyport.Staff
	Logins  []string // all of them are the same person
	Names   []string // what sources outside the protected database call him; none: his id and his log-ins
	Team    string
	Role    string
	Service bool
}

// Cover is what one purpose covers. It is immutable and shared.
type Cover struct {
	Purpose  sallyport.Purpose
	Subjects []sallyport.Subject
	Reason   sallyport.Reason // what is known of it, where it is not refused
	Values   map[string]Value // the key of a stored token (catalog.Protected.Key) → what it is
	Refused  string           // not empty: it reveals nothing, and this sentence says why
	Help     string           // the exact line that would help, empty where there is none
	Checked  time.Time
}

// Value is what one stored token is.
type Value struct {
	Column  sallyport.Column
	Scheme  sallyport.Scheme
	Subject sallyport.Subject

	// Of an integer or a uuid on its way: what it stands for, and its token by the key of new ones. Both are empty where that cannot be told.
	Plain, Token string
}

// Options of a Resolver. The zero value is meant for serving.
type Options struct {
	TTL      time.Duration              // how long an answer holds; 0: 1 s
	Timeout  time.Duration              // of one look into the database; 0: 2 s
	Conns    int32                      // connections at most; 0: 3
	Services []sallyport.Staff          // ids that are programs and not people: what they write counts only where they are configured for it
	Team     func(Person) []string      // log-ins of colleagues whose tickets may be somebody's reason, too; nil: nobody's
	Logins   func(team string) []string // of a team's people, for grants that are for its tickets; nil: nobody's
	Vet      func(Person, *Cover) error // takes out of a fresh cover what it must not reveal; optional
	Now      func() time.Time           // nil: time.Now; only the age of answers is measured with it

	// What stands in other systems: for each configured source one that answers, whose a name is that stands there, and the number in plain
	// that a token stands for.
	Sources map[string]Source
	Named   func(name string) (Person, bool)
	Number  func(token string) (plain string, ok bool)
	Trouble func(source string, err error) // is told that a source did not answer; optional
	// Grant says whose customers a grant of this id covers for somebody; nil: there is no purpose of that kind.
	Grant func(ctx context.Context, who Person, id string) (GrantCover, error)
	Clock func() time.Time // of events, and of what has begun and ended; nil: Now

	// While a column is moving, plain values stand in it beside tokens. Settle is the token that the gateway makes of what is stored,
	// Forms the texts by which a token's value may be stored. nil: nothing is ever moving.
	Settle func(p *catalog.Protected, stored string) string
	Forms  func(p *catalog.Protected, token string) []string
	// Apart reads what is stored of an integer or a uuid on its way, by what the database says of its row (catalog.Stands). nil: nothing ever is.
	Apart func(p *catalog.Protected, stored, stands string) (Apart, bool)
}

// Resolver answers what purposes cover. It is safe for use by several goroutines.
type Resolver struct {
	pool    *pgxpool.Pool
	catalog func() *catalog.Snapshot
	config  Config
	facts   *Facts
	rules   rules
	outside map[string]*outside // by kind of purpose
	options Options

	renewals atomic.Uint64 // how often stored tokens were made anew

	mu      sync.Mutex // guards answers, swept, queries and bulk
	answers map[question]*answer
	swept   time.Time
	queries *queries // for the snapshot that it names
	bulk    map[question]*bulk
}

// mostAge is how old an answer may be when it is first given: a ticket that was closed two seconds ago covers nothing any more.
const mostAge = 2 * time.Second

// question is what is asked: the same person asks the same only once at a time.
type question struct {
	who     sallyport.Staff
	purpose sallyport.Purpose
}

// answer is ready when done is closed.
type answer struct {
	done    chan struct{}
	cover   *Cover
	err     error
	at      time.Time
	version uint64 // of the facts that it was judged by
	renewal uint64 // of the tokens that it holds
}

// New makes a resolver over connections of the role upstream.reader, which it opens when they are needed.
func New(reader *pgx.ConnConfig, snapshot func() *catalog.Snapshot, config Config, facts *Facts, o Options) (*Resolver, error) {
	if problems := config.Check(o.Services); len(problems) > 0 {
		return nil, fmt.Errorf("read the purposes' configuration: %w", catalog.Problems(problems))
	}
	o = o.withDefaults()
	pool, err := openPool(reader, o)
	if err != nil {
		return nil, err
	}
	r := &Resolver{
		pool: pool, catalog: snapshot, config: config, facts: facts, options: o, answers: map[question]*answer{},
		rules: newRules(config, facts, o), outside: map[string]*outside{}, bulk: map[question]*bulk{},
	}
	if err := r.openOutside(); err != nil {
		pool.Close()
		return nil, err
	}
	if _, err := r.queriesOf(snapshot()); err != nil {
		pool.Close()
		return nil, err
	}
	return r, nil
}

func (o Options) withDefaults() Options {
	if o.TTL <= 0 {
		o.TTL = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Conns <= 0 {
		o.Conns = 3
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = o.Now
	}
	return o
}

// TTL is how long an answer holds.
func (r *Resolver) TTL() time.Duration { return r.options.TTL }

// Renewed says that stored tokens were made anew: what was read of them before is not given again.
func (r *Resolver) Renewed() { r.renewals.Add(1) }

// Close ends the connections; it waits for those in use.
func (r *Resolver) Close() { r.pool.Close() }

// Resolve says what a purpose covers for a person, as of at most TTL ago. An error covers nothing.
func (r *Resolver) Resolve(ctx context.Context, who Person, p sallyport.Purpose) (*Cover, error) {
	if sentence := r.refusedKind(who, p); sentence != "" {
		return &Cover{Purpose: p, Refused: sentence, Checked: r.options.Now()}, nil
	}
	return r.ask(ctx, who, p)
}

// refusedKind refuses what needs no look anywhere.
func (r *Resolver) refusedKind(who Person, p sallyport.Purpose) string {
	_, unknown := strings.CutPrefix(string(who.Staff), string(sallyport.UnknownLogin("")))
	switch {
	case unknown || who.Staff == "":
		return "this log-in belongs to nobody whom the directory knows"
	case p.Kind == "work" && p.Ref != "mine":
		return "the work list has one form: work:mine"
	case p.Kind == "ticket" || p.Kind == "work" || r.outside[p.Kind] != nil || p.Kind == "grant" && r.options.Grant != nil:
		return ""
	case p.Kind == "call" || p.Kind == "job":
		return "no source of purposes of the kind " + p.Kind + " is configured: give ticket:NUMBER, ticket:ID or work:mine"
	}
	return "there is no purpose of this kind: give ticket:NUMBER, ticket:ID or work:mine"
}

// own is the kind of purpose by which OwnTicket asks; nobody can write it, because a purpose's kind is trimmed.
const own = " own"

// holding likewise: everything that the database holds of the customers of somebody's open tickets, never given out.
const holding = " holding"

// rowsOf likewise: everything that the database holds of one customer.
const rowsOf = " customer"

// HoldsOf tells whether a stored value, by the key that covers know it by, stands in a customer's own rows, as of at most TTL ago. Where the
// database does not answer nobody's are.
func (r *Resolver) HoldsOf(ctx context.Context, who Person, subject sallyport.Subject, key string) bool {
	cover, err := r.ask(ctx, who, sallyport.Purpose{Kind: rowsOf, Ref: string(subject)})
	if err != nil {
		return false
	}
	_, holds := cover.Values[key]
	return holds
}

// OwnTicket finds the newest open ticket of the person's own about a customer that would cover. ok is false where there is none and
// where the database does not answer.
func (r *Resolver) OwnTicket(ctx context.Context, who Person, subject sallyport.Subject) (ticketID string, ok bool) {
	if subject == "" || r.refusedKind(who, sallyport.Purpose{Kind: "work", Ref: "mine"}) != "" {
		return "", false
	}
	cover, err := r.ask(ctx, who, sallyport.Purpose{Kind: own, Ref: string(subject)})
	if err != nil || cover.Help == "" {
		return "", false
	}
	return cover.Help, true
}

// OwnTicketHolding finds the same by a text that the database holds of the customer, where a result does not tell whose it is.
func (r *Resolver) OwnTicketHolding(ctx context.Context, who Person, stored string) (ticketID string, ok bool) {
	if r.refusedKind(who, sallyport.Purpose{Kind: "work", Ref: "mine"}) != "" {
		return "", false
	}
	cover, err := r.ask(ctx, who, sallyport.Purpose{Kind: holding})
	if err != nil {
		return "", false
	}
	return r.OwnTicket(ctx, who, cover.Values[stored].Subject)
}

// TicketID finds the id of a ticket by its number as the database holds it, for people who read the record.
func (r *Resolver) TicketID(ctx context.Context, number string) (id string, ok bool) {
	if u := r.outside["ticket"]; u != nil {
		return r.outsideID(ctx, u, number)
	}
	q, err := r.queriesOf(r.catalog())
	if err != nil || q.byNumber == "" {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout+time.Second)
	defer cancel()
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return "", false
	}
	defer conn.Release()
	var b batch
	b.add(q.byNumber, textArray(r.forms(q.number, number)))
	results, err := b.run(ctx, conn.Conn())
	if err != nil {
		return "", false
	}
	tickets := readTickets(results[0])
	if len(tickets) != 1 {
		return "", false
	}
	return tickets[0].id, true
}

// ask answers from what is known already, waits for whoever is asking the same, or looks.
func (r *Resolver) ask(ctx context.Context, who Person, p sallyport.Purpose) (*Cover, error) {
	q := question{who.Staff, p}
	r.mu.Lock()
	known := r.answers[q]
	if known == nil || !r.holds(known) {
		known = &answer{done: make(chan struct{}), at: r.options.Now(), version: r.facts.Version(), renewal: r.renewals.Load()}
		r.sweep(known.at)
		r.answers[q] = known
		r.mu.Unlock()
		r.fill(ctx, known, who, p)
	} else {
		r.mu.Unlock()
	}
	select {
	case <-known.done:
	case <-ctx.Done():
		return nil, fmt.Errorf("resolve purpose: %w", ctx.Err())
	}
	if known.err != nil {
		return nil, known.err
	}
	return known.cover, nil
}

// holds tells whether an answer may be given again. A refusal does not outlive a new fact: who was just given a ticket reads at once.
// r.mu is held.
func (r *Resolver) holds(a *answer) bool {
	select {
	case <-a.done:
	default:
		return true // somebody is looking right now
	}
	if a.err != nil || r.options.Now().Sub(a.at) >= r.options.TTL || a.renewal != r.renewals.Load() {
		return false
	}
	return a.cover.Refused == "" || a.version == r.facts.Version()
}

// sweep forgets old answers, so that the values of covers do not pile up. r.mu is held.
func (r *Resolver) sweep(now time.Time) {
	if now.Sub(r.swept) < r.options.TTL {
		return
	}
	r.swept = now
	for q, a := range r.answers {
		if !r.holds(a) {
			delete(r.answers, q)
		}
	}
	for q, b := range r.bulk {
		if now.Sub(b.at) > bulkFor {
			delete(r.bulk, q)
		}
	}
}

// fill looks into the database. Others may be waiting for the answer, so the end of one asker's session does not stop it.
func (r *Resolver) fill(ctx context.Context, a *answer, who Person, p sallyport.Purpose) {
	defer close(a.done)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.Timeout+time.Second)
	defer cancel()
	a.cover, a.err = r.look(ctx, who, p)
	if a.err != nil {
		a.err = fmt.Errorf("resolve purpose: %w", a.err)
		return
	}
	a.cover.Purpose, a.cover.Checked = p, a.at
	if a.cover.Refused == "" {
		r.countLooks(who, a.cover)
	}
	if r.options.Vet != nil && p.Kind != own && p.Kind != holding && p.Kind != rowsOf {
		if err := r.options.Vet(who, a.cover); err != nil {
			a.cover, a.err = nil, fmt.Errorf("resolve purpose: %w", err)
			return
		}
	}
	if took := r.options.Now().Sub(a.at); took > mostAge {
		a.cover, a.err = nil, fmt.Errorf("resolve purpose: the answer took %s, and one that is older than %s covers nothing", took.Round(time.Millisecond), mostAge)
	}
}

// look resolves one purpose: one batch finds the reason, a second one what it covers or what would help.
func (r *Resolver) look(ctx context.Context, who Person, p sallyport.Purpose) (*Cover, error) {
	q, err := r.queriesOf(r.catalog())
	if err != nil {
		return nil, err
	}
	if p.Kind == rowsOf {
		return r.cover(ctx, q, who, p, sallyport.Reason{}, []sallyport.Subject{sallyport.Subject(p.Ref)})
	}
	if cover, err := r.lookOutside(ctx, q, who, p); cover != nil || err != nil {
		return cover, err
	}
	if q.tickets == "" {
		return &Cover{Refused: "no tickets are configured, so no reason can be checked"}, nil
	}
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to check a reason: %w", plain(err))
	}
	defer conn.Release()
	s := &search{queries: q, rules: &r.rules, conn: conn.Conn(), who: who, forms: r.forms}
	switch p.Kind {
	case "ticket":
		return s.ticket(ctx, p.Ref)
	case "work":
		return s.workList(ctx)
	case own:
		return s.ownTicket(ctx, p.Ref)
	case holding:
		return s.holding(ctx)
	}
	return nil, errors.New("unknown kind")
}

// Fact makes the fact of one captured row; wrote are the parts that the statement wrote. The texts of a ticket are id, customer,
// assignee, state and, where the row was there already, what stood there before (query.Capture says how); of a contact id, customer,
// staff, ticket, direction, at in seconds since 1970.
func (r *Resolver) Fact(contact bool, texts, wrote []string) (fact sallyport.Fact, ok bool) {
	switch {
	case !contact && (len(texts) == 4 || len(texts) == 5) && texts[0] != "":
		fact = sallyport.Fact{
			Table: TicketTable, ID: texts[0], Customer: sallyport.Subject(texts[1]), Assignee: texts[2],
			Open: slices.Contains(r.config.Ticket.Open, texts[3]), Wrote: wrote,
		}
		if len(texts) == 5 {
			fact.Wrote = r.changed(&fact, texts[4], wrote)
		}
		return fact, true
	case contact && len(texts) == 6 && texts[0] != "":
		at, err := parseSeconds(texts[5])
		return sallyport.Fact{
			Table: ContactTable, ID: texts[0], Customer: sallyport.Subject(texts[1]), Assignee: texts[2], Ticket: texts[3],
			Incoming: slices.Contains(r.config.Contact.Incoming, texts[4]), At: at, Wrote: wrote,
		}, err == nil
	}
	return sallyport.Fact{}, false
}

// changed leaves of what a statement wrote that which was something else before. Who writes what stands there already, as
// programs do that save whole rows, says nothing about it: it may be what somebody put there unseen. What is not known counts
// as unchanged.
func (r *Resolver) changed(fact *sallyport.Fact, before string, wrote []string) []string {
	var old []string // NULL is read as ""
	if json.Unmarshal([]byte(before), &old) != nil {
		return nil
	}
	switch len(old) {
	case 0: // there was no row
		return wrote
	case 3:
	default:
		return nil
	}
	same := map[string]bool{
		wroteCustomer: old[0] == string(fact.Customer), wroteAssignee: old[1] == fact.Assignee,
		wroteState: slices.Contains(r.config.Ticket.Open, old[2]) == fact.Open,
	}
	var out []string
	for _, part := range wrote {
		if !same[part] {
			out = append(out, part)
		}
	}
	return out
}
