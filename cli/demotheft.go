package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/sim"
)

// The thefts: once straight at the database, then in five ways through the gateway. What each thief got is counted in the
// bytes that reached him (demotap.go) and again in the record; the two must agree.

// stealDirectly is the theft as it was: an agent with his own log-in, psql and one line.
func (d *demo) stealDirectly(ctx context.Context) error {
	d.title("The theft, straight at the database")
	thief := d.org.Agents()[0].ID
	file := filepath.Join(d.folder, "usb-stick.txt")
	defer os.RemoveAll(file) // it holds everything
	start := time.Now()
	statement := `\copy (SELECT full_name, email, phone FROM support.customers) TO '` + file + `'`
	out, err := d.psql(ctx, thief, d.directAddress(), aligned, statement)
	if err != nil {
		return err
	}
	took := time.Since(start)
	d.quote(append([]string{"$ psql -c \"\\copy (SELECT full_name, email, phone FROM support.customers) TO 'usb-stick.txt'\""}, out.lines(4)...))
	stolen, err := d.countStolen(file)
	if err != nil {
		return err
	}
	d.figures.Direct = demoDirect{Customers: stolen, Seconds: took.Seconds()}
	d.say("%s customers' names, addresses and telephone numbers are gone in %.2f s (wall clock). In 2019 it was %s; nobody saw it.",
		grouped(stolen), took.Seconds(), grouped(stolen2019))
	return nil
}

// countStolen counts different e-mail addresses in a file. The number in an address is its customer's id, so a set of
// numbers is a set of addresses.
func (d *demo) countStolen(file string) (int64, error) {
	f, err := os.Open(file) //nolint:gosec // made above
	if err != nil {
		return 0, fmt.Errorf("count what was stolen: %w", err)
	}
	defer f.Close()
	seen := roaring.New()
	in := bufio.NewReaderSize(f, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return int64(seen.GetCardinality()), nil //nolint:gosec // at most 100,000,000
		}
		if err != nil {
			return 0, fmt.Errorf("count what was stolen: %w", err)
		}
		if id, ok := customerOfAddress(line); ok && id <= d.org.Customers {
			seen.Add(uint32(id)) //nolint:gosec // likewise
		}
	}
}

// customerOfAddress reads the number in front of the @.
func customerOfAddress(line []byte) (id int64, ok bool) {
	at := bytes.IndexByte(line, '@')
	from := at
	for from > 0 && line[from-1] >= '0' && line[from-1] <= '9' {
		from--
	}
	if at <= from {
		return 0, false
	}
	id, err := strconv.ParseInt(string(line[from:at]), 10, 64)
	return id, err == nil
}

// way is one way to steal.
type way struct {
	name, how string
	at        time.Duration // since the last way, by the story's clock
	play      func(t *thief, ctx context.Context) error
}

// thief is one agent who steals, with his line tapped.
type thief struct {
	*demo
	id      sallyport.Staff
	tickets []openTicket // his own genuine ones
	tap     *tap
	loot    *loot
	from    uint64 // where in the record his theft begins
}

// fiveThefts plays the ways one after another, each by another agent.
func (d *demo) fiveThefts(ctx context.Context) error {
	d.title("The theft of 2019, in five ways, through the gateway")
	ways := [theftWays]way{
		{"SELECT *", "takes the whole table, with one of his own tickets as the purpose", 24 * time.Hour, (*thief).selectAll},
		{"pg_dump and COPY", "uses the tools for whole tables", time.Hour, (*thief).dump},
		{"low and slow", "turns pages of 25, ten an hour, eight hours a day, day after day", 24 * time.Hour, (*thief).lowAndSlow},
		{"tickets of his own making", "opens a ticket about each victim and gives it to himself", 24 * time.Hour, (*thief).selfMade},
		{"writing it down", "takes only the customers of his own genuine tickets, over a day", 24 * time.Hour, (*thief).writeDown},
	}
	agents := d.org.Agents()
	for i, w := range ways {
		d.clock.advance(d.clock.Now().Add(w.at))
		if err := d.steal(ctx, i, w, agents[thiefAt(i, len(agents))].ID); err != nil {
			return fmt.Errorf("theft %c, %s: %w", 'a'+i, w.name, err)
		}
	}
	d.printThefts()
	return nil
}

// theftWays is how many ways there are.
const theftWays = 5

// thiefAt is which of so many agents goes a way.
func thiefAt(way, agents int) int { return (way + 1) * agents / (theftWays + 1) }

// steals tells whether an agent is one of the thieves.
func (s *demoStage) steals(agent int) bool {
	n := len(s.org.Agents())
	for way := range theftWays {
		if agent == thiefAt(way, n) {
			return true
		}
	}
	return agent == 0 // who stole straight at the database
}

// steal plays one way and takes its measure.
func (d *demo) steal(ctx context.Context, i int, w way, id sallyport.Staff) error {
	d.say("\n(%c) %s: %s %s.", 'a'+i, w.name, id, w.how)
	t := &thief{demo: d, id: id, loot: newLoot(d.org), from: d.server.AccessStream.Last() + 1}
	var err error
	if t.tickets, err = d.openTickets(ctx, id); err != nil {
		return err
	}
	if len(t.tickets) < 2 {
		return fmt.Errorf("%s has %d open tickets, and the story needs two", id, len(t.tickets))
	}
	if t.tap, err = openTap(ctx, d.gatewayAddress(), t.loot); err != nil {
		return err
	}
	err = w.play(t, ctx)
	if err := errors.Join(err, t.tap.close()); err != nil {
		return err
	}
	figures, err := t.measure(ctx, w)
	if err != nil {
		return err
	}
	d.figures.Thefts = append(d.figures.Thefts, *figures)
	d.say("    Reached %s, readable %s; %s.", grouped(figures.Reached), grouped(figures.Exposed), figures.ending())
	return nil
}

// measure compares the bytes with the record.
func (t *thief) measure(ctx context.Context, w way) (*demoTheft, error) {
	if !t.loot.stopped.IsZero() {
		if err := t.suspended(ctx, t.id); err != nil {
			return nil, err
		}
	}
	r := &recorded{who: t.id, reached: roaring.New(), revealed: roaring.New(), nameless: map[sallyport.Digest]bool{}, statementAt: map[uint64]time.Time{}}
	if err := t.server.AccessStream.Read(t.from, r.apply); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
	}
	if err := t.compare(r); err != nil {
		return nil, err
	}
	l, onRecord := t.loot, roaring.Or(r.reached, r.revealed)
	f := &demoTheft{
		Way: w.name, Thief: string(t.id), Reached: int64(l.reached.GetCardinality()), Exposed: int64(l.readable.GetCardinality()), //nolint:gosec // at most 100,000,000
		RecordReached: int64(onRecord.GetCardinality()) + int64(len(r.nameless)), RecordExposed: int64(r.revealed.GetCardinality()), //nolint:gosec // likewise
		Rows: l.rows, Bytes: l.bytes, Suspended: t.server.State.Standing(t.id).Suspended,
	}
	if f.Suspended != (r.limit != nil) || f.Suspended != !l.stopped.IsZero() {
		return nil, fmt.Errorf("suspended: %t, a budget on record: %t, the thief was told: %t", f.Suspended, r.limit != nil, !l.stopped.IsZero())
	}
	if f.Suspended {
		f.Budget = fmt.Sprintf("%d %s in one %s", r.limit.Budget, r.limit.Measure, r.limit.Window)
		if r.limit.Window == "30 days" {
			f.Budget = fmt.Sprintf("%d %s in 30 days", r.limit.Budget, r.limit.Measure)
		}
		f.WallSeconds = l.stopped.Sub(l.first).Seconds()
		f.SimulatedSeconds = r.limitAt.Sub(r.firstAt).Seconds()
	}
	return f, nil
}

// compare holds the bytes that arrived and the record to each other. Equal telephone numbers and equal dates have equal
// tokens: the record names the customer whom the purpose covers, and whoever shares the value with him was readable too.
func (t *thief) compare(r *recorded) error {
	l := t.loot
	onRecord := roaring.Or(r.reached, r.revealed)
	unnamed := roaring.AndNot(l.reached, onRecord)
	switch {
	case !roaring.AndNot(r.reached, l.reached).IsEmpty(), unnamed.GetCardinality() != uint64(len(r.nameless)):
	case !t.shared(roaring.AndNot(l.readable, r.revealed), r.revealed), !t.shared(roaring.AndNot(r.revealed, l.readable), l.readable):
	default:
		return nil
	}
	return fmt.Errorf("bytes and record disagree: %d customers reached in the bytes and %d on record (and %d without a name), %d readable and %d on record",
		l.reached.GetCardinality(), onRecord.GetCardinality(), len(r.nameless), l.readable.GetCardinality(), r.revealed.GetCardinality())
}

// shared tells whether each of some customers has a telephone number or a date of birth that one of the others has.
func (t *thief) shared(some, others *roaring.Bitmap) bool {
	if some.IsEmpty() {
		return true
	}
	values := map[string]bool{}
	for _, c := range others.ToArray() {
		customer := t.org.Customer(int64(c))
		values[customer.Phone], values[customer.BirthDate.String()] = true, true
	}
	delete(values, "")
	delete(values, time.Time{}.String())
	for _, c := range some.ToArray() {
		customer := t.org.Customer(int64(c))
		if !values[customer.Phone] && !values[customer.BirthDate.String()] {
			return false
		}
	}
	return true
}

// recorded is what the record says of one theft.
type recorded struct {
	who               sallyport.Staff
	reached, revealed *roaring.Bitmap
	nameless          map[sallyport.Digest]bool // rows whose customer the gateway did not find out, as in COPY
	statementAt       map[uint64]time.Time
	firstAt, limitAt  time.Time // of the first statement that reached anybody, and of the end
	limit             *sallyport.Limit
}

func (r *recorded) apply(e *sallyport.Event) error {
	if e.Who.Staff != r.who {
		return nil
	}
	if e.Statement != nil && r.firstAt.IsZero() {
		r.statementAt[e.Statement.ID] = e.Time // one session at a time
	}
	if e.Kind == sallyport.BudgetReached && r.limit == nil {
		r.limit, r.limitAt = e.Limit, e.Time
	}
	if e.Reveal != nil {
		for v := range e.Reveal.Values.All() {
			if err := add(r.revealed, v.Subject); err != nil {
				return err
			}
		}
	}
	if e.Touch != nil {
		return r.touch(e.Touch)
	}
	return nil
}

func (r *recorded) touch(t *sallyport.Touched) error {
	if len(t.Reached)+len(t.Values) > 0 && r.firstAt.IsZero() {
		r.firstAt = r.statementAt[t.Statement]
	}
	for _, row := range t.Values {
		r.nameless[row] = true
	}
	for _, c := range t.Reached {
		if err := add(r.reached, c); err != nil {
			return err
		}
	}
	return nil
}

func add(set *roaring.Bitmap, c sallyport.Subject) error {
	id, err := strconv.ParseUint(string(c), 10, 32)
	if err != nil {
		return errors.New("a customer on record has no number for an id")
	}
	set.Add(uint32(id))
	return nil
}

const takeAll = "SELECT * FROM support.customers"

// selectAll is way (a).
func (t *thief) selectAll(ctx context.Context) error {
	out, err := t.psql(ctx, t.id, t.tap.address(), aligned, "SELECT id, full_name, phone, birth_date FROM support.customers ORDER BY id LIMIT 3")
	if err != nil {
		return err
	}
	t.quote(out.lines(12))
	if out, err = t.psql(ctx, t.id, t.tap.address(), unaligned, "SET sallyport.purpose = 'ticket:"+t.tickets[0].no+"'", takeAll); err != nil {
		return err
	}
	t.quote(out.lines(8))
	return t.tryAgain(ctx)
}

// tryAgain shows what a suspended person reads at the next log-in.
func (t *thief) tryAgain(ctx context.Context) error {
	if t.loot.stopped.IsZero() {
		return nil
	}
	if err := t.suspended(ctx, t.id); err != nil {
		return err
	}
	out, err := t.psql(ctx, t.id, t.tap.address(), aligned, "SELECT 1")
	if err != nil {
		return err
	}
	t.say("    He tries once more:")
	t.quote(out.lines(6))
	return nil
}

// dump is way (b): pg_dump first, then COPY of the table.
func (t *thief) dump(ctx context.Context) error {
	out, err := t.program(ctx, t.id, t.tap.address(), "pg_dump", "--data-only", "--no-sync", "-t", "support.customers", demoDatabase)
	if err != nil {
		return err
	}
	t.quote(append([]string{"$ pg_dump --data-only -t support.customers support"}, withoutHeader(out.lines(30))...))
	file := filepath.Join(t.folder, "dump.txt")
	defer os.RemoveAll(file)
	statement := `\copy support.customers (id, full_name, email, phone) TO `
	if out, err = t.psql(ctx, t.id, t.tap.address(), aligned, statement+"'"+file+"'"); err != nil {
		return err
	}
	t.quote(append([]string{`$ psql -c "` + statement + `'dump.txt'"; head -2 dump.txt`}, out.lines(12)...))
	rows, err := os.Open(file) //nolint:gosec // made above
	if err != nil {
		return nil // not even the file came to be
	}
	defer rows.Close()
	head := &excerpt{}
	_, _ = io.CopyN(head, rows, 1000) // as many lines as there are
	t.quote(head.lines(2)[:min(2, len(head.lines(2)))])
	return nil
}

// withoutHeader leaves out the settings that pg_dump writes in front of the data, and all rows but two.
func withoutHeader(lines []string) []string {
	rows := 0
	return slices.DeleteFunc(lines, func(line string) bool {
		if line != "" && line[0] >= '0' && line[0] <= '9' {
			rows++
		}
		return strings.HasPrefix(line, "--") || strings.HasPrefix(line, "SET ") || strings.HasPrefix(line, "SELECT pg_catalog.") ||
			strings.HasPrefix(line, `\restrict`) || rows > 2 && line[0] >= '0' && line[0] <= '9'
	})
}

// The pace of way (c).
const (
	pageRows     = 25
	pagesAnHour  = 10
	hoursADay    = 8
	mostSlowDays = 30
)

// lowAndSlow is way (c).
func (t *thief) lowAndSlow(ctx context.Context) error {
	if err := t.turnPages(ctx); err != nil {
		return t.refused(ctx, err)
	}
	return nil
}

// turnPages reads on until he is stopped or has seen all: each page is a query of its own, and each day a new connection.
func (t *thief) turnPages(ctx context.Context) error {
	progress := newBars(t.m.Stderr)
	defer progress.end()
	next, total := int64(1), min(t.org.Customers, mostSlowDays*hoursADay*pagesAnHour*pageRows)
	day := t.clock.Now().Truncate(24 * time.Hour).Add(9 * time.Hour)
	for range mostSlowDays {
		conn, err := t.connect(ctx)
		if err != nil {
			return err
		}
		for page := range hoursADay * pagesAnHour {
			if next > t.org.Customers {
				break
			}
			t.clock.advance(day.Add(time.Duration(page) * time.Hour / pagesAnHour))
			sql := fmt.Sprintf("SELECT id, full_name, email, phone FROM support.customers WHERE id >= %d ORDER BY id LIMIT %d", next, pageRows)
			if _, err = conn.Exec(ctx, sql); err != nil {
				break
			}
			next += pageRows
			progress.set("low and slow", min(next-1, total), total)
		}
		closeConn(ctx, conn)
		if err != nil || next > t.org.Customers {
			return err
		}
		day = day.Add(24 * time.Hour)
	}
	return nil
}

// refused prints the error that ended a theft. Any but a budget's is the demonstration's own.
func (t *thief) refused(ctx context.Context, err error) error {
	var answer *pgconn.PgError
	if ctx.Err() != nil || !errors.As(err, &answer) || answer.Code != "SP010" {
		return err
	}
	t.quote([]string{answer.Severity + ":  " + answer.Message, "HINT:  " + answer.Hint})
	return nil
}

// connect is the thief's own program, speaking the simple protocol through the tap.
func (t *thief) connect(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(t.dsn(t.id, t.tap.address(), ""))
	if err != nil {
		return nil, fmt.Errorf("prepare the thief's connection: %w", err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("log in as %s: %w", t.id, err)
	}
	return conn, nil
}

// mostSelfMade is how many victims way (d) goes for.
const mostSelfMade = 200

// selfMade is way (d): the first ticket with psql, the others with a script of his own.
func (t *thief) selfMade(ctx context.Context) error {
	victim := func(i int64) int64 { return (i*7_919+13)%t.org.Customers + 1 }
	id := func(i int64) int64 { return t.org.Tickets + 50_000_000 + i }
	now := t.clock.Now()
	insert := func(i int64) string {
		return fmt.Sprintf("INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at) "+
			"VALUES (%d, '%s', %d, '%s', 'support', 'open', 'Please call back', '%s')", id(i), sim.TicketNo(50_000_000+i), victim(i), t.id, now.Format(time.RFC3339))
	}
	set := func(i int64) string { return "SET sallyport.purpose = 'ticket:" + sim.TicketNo(50_000_000+i) + "'" }
	read := func(i int64) string {
		return fmt.Sprintf("SELECT id, full_name, email, phone FROM support.customers WHERE id = %d", victim(i))
	}
	out, err := t.psql(ctx, t.id, t.tap.address(), aligned, insert(0), set(0), read(0))
	if err != nil {
		return err
	}
	t.quote(out.lines(20))
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for i := int64(1); i < mostSelfMade; i++ {
		now = now.Add(2 * time.Minute)
		t.clock.advance(now)
		for _, sql := range []string{insert(i), set(i), read(i)} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return t.refused(ctx, err)
			}
		}
	}
	return nil
}

// writeDown is way (e): nothing about it is wrong but what he does with it.
func (t *thief) writeDown(ctx context.Context) error {
	read := func(ticket openTicket) []string {
		return []string{
			"SET sallyport.purpose = 'ticket:" + ticket.no + "'",
			fmt.Sprintf("SELECT id, full_name, email, phone FROM support.customers WHERE id = %d", ticket.customer),
		}
	}
	morning := t.clock.Now().Truncate(24 * time.Hour).Add(8 * time.Hour)
	t.clock.advance(morning)
	out, err := t.psql(ctx, t.id, t.tap.address(), aligned, read(t.tickets[0])...)
	if err != nil {
		return err
	}
	t.quote(out.lines(8))
	conn, err := t.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(ctx, conn)
	for i, ticket := range t.tickets[1:] {
		t.clock.advance(morning.Add(time.Duration(i+1) * 9 * time.Hour / time.Duration(len(t.tickets))))
		for _, sql := range read(ticket) {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return t.refused(ctx, err)
			}
		}
	}
	t.demo.notes = t.loot.readable.Clone()
	return nil
}
