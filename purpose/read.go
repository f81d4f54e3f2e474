package purpose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/catalog"
)

// openPool prepares connections that can only read, in committed state, and not for long. It does not connect yet.
func openPool(reader *pgx.ConnConfig, o Options) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(reader.ConnString())
	if err != nil {
		return nil, fmt.Errorf("open the resolver's connections: %w", plain(err))
	}
	config.ConnConfig = reader.Copy()
	if config.ConnConfig.RuntimeParams == nil {
		config.ConnConfig.RuntimeParams = map[string]string{}
	}
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"application_name":              "sallyport",
		"default_transaction_read_only": "on",
		"default_transaction_isolation": "read committed",
		"statement_timeout":             strconv.FormatInt(o.Timeout.Milliseconds(), 10),
		"search_path":                   "",
		"datestyle":                     "ISO, YMD", // dates of tokens are looked up by their text
		"timezone":                      "UTC",
	})
	config.MaxConns, config.MinConns = o.Conns, 0
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("open the resolver's connections: %w", plain(err))
	}
	return pool, nil
}

// plain leaves of a database error what says nothing about values: a message may quote what was asked for.
func plain(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Errorf("the database refused with SQLSTATE %s", refused.Code)
	}
	return err
}

// queries are the texts for one snapshot. Every parameter is text or text[].
type queries struct {
	snapshot *catalog.Snapshot
	number   *catalog.Protected // of the ticket table; nil: the number is not protected

	tickets        string // the front of the next four; empty: there are no tickets
	byID, byNumber string // $1; forms of a number
	mine           string // $1 log-ins, $2 states
	mineAbout      string // and $3 a customer
	contactByID    string // $1 its id
	contactsByID   string // $1 ids of tickets, $2 directions; empty: there are no contacts
	contactsByNo   string // $1 forms of a number, $2 directions
	contactsAbout  string // $1 log-ins, $2 directions, $3 a customer
	open           string // for the baseline: $1 states
	recentContacts string // for the baseline
	values, names  []catalog.CustomerQuery
	config         *Config
	settle         func(p *catalog.Protected, stored string) string
	apart          func(p *catalog.Protected, stored, stands string) (Apart, bool)
}

// Bounds on what one look reads.
const (
	maxOwnTickets = 500 // of a work list, newest first
	maxContacts   = 1000
)

// queriesOf returns the queries for a snapshot, made once.
func (r *Resolver) queriesOf(s *catalog.Snapshot) (*queries, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queries != nil && r.queries.snapshot == s {
		return r.queries, nil
	}
	q, err := makeQueries(s, &r.config)
	if err != nil {
		return nil, err
	}
	q.settle, q.apart = r.settle, r.options.Apart
	r.queries = q
	return q, nil
}

// settle is the token of what is stored, which is one unless its column is moving.
func (r *Resolver) settle(p *catalog.Protected, stored string) string {
	if p == nil || !p.Moving || r.options.Settle == nil {
		return stored
	}
	return r.options.Settle(p, stored)
}

// forms are the texts by which a token's value may be stored.
func (r *Resolver) forms(p *catalog.Protected, token string) []string {
	if p != nil && p.Hidden { // nobody could tell what it is
		return nil
	}
	if p == nil || !p.Several() || r.options.Forms == nil {
		return []string{token}
	}
	return r.options.Forms(p, token)
}

func makeQueries(s *catalog.Snapshot, c *Config) (*queries, error) {
	q := &queries{snapshot: s, config: c}
	q.values, q.names = s.CustomerQueries(), s.CustomerQueries(sallyport.Name)
	if c.Ticket.Table == "" {
		return q, nil
	}
	t, err := newColumns(s, c.Ticket.Table, "t")
	if err != nil {
		return nil, err
	}
	number := "NULL"
	if c.Ticket.Number != "" {
		number = t.name(c.Ticket.Number)
		q.number = t.find(c.Ticket.Number).Protected
	}
	q.tickets = fmt.Sprintf("SELECT %s, %s, %s, %s, %s, (extract(epoch FROM now() - %s) / 60)::bigint::pg_catalog.text FROM %s t WHERE ",
		t.text(c.Ticket.ID), t.text(c.Ticket.Customer), t.text(c.Ticket.Assignee), t.text(c.Ticket.State), number, t.name(c.Ticket.OpenedAt), t.relation.SQL)
	if c.Ticket.Number != "" {
		q.byNumber = q.tickets + number + " = ANY ($1::pg_catalog.text[]) LIMIT 2"
	}
	q.byID = q.tickets + t.is(c.Ticket.ID, 1) + " LIMIT 2"
	q.mine = q.tickets + t.isAny(c.Ticket.Assignee, 1) + " AND " + t.isAny(c.Ticket.State, 2)
	q.open = q.tickets + t.isAny(c.Ticket.State, 1)
	newest := fmt.Sprintf(" ORDER BY %s DESC, %s DESC LIMIT %d", t.name(c.Ticket.OpenedAt), t.name(c.Ticket.ID), maxOwnTickets)
	q.mine, q.mineAbout = q.mine+newest, q.mine+" AND "+t.is(c.Ticket.Customer, 3)+newest
	if t.err != nil || c.Contact.Table == "" {
		return q, t.err
	}
	return q, q.addContacts(s, t)
}

// addContacts makes the queries that find contacts in time for some tickets.
func (q *queries) addContacts(s *catalog.Snapshot, t *columns) error {
	source, ticket := &q.config.Contact, &q.config.Ticket
	c, err := newColumns(s, source.Table, "c")
	if err != nil {
		return err
	}
	at, opened := c.name(source.At), t.name(ticket.OpenedAt)
	outputs := "SELECT " + strings.Join([]string{
		c.text(source.ID), c.text(source.Customer), c.text(source.Ticket), c.text(source.Staff), c.text(source.Direction), micros(at),
	}, ", ")
	q.recentContacts = fmt.Sprintf("%s FROM %s c WHERE %s >= (SELECT least(now(), max(%s)) FROM %s c) - interval '%d seconds'",
		outputs, c.relation.SQL, at, at, c.relation.SQL, int(baselineContacts.Seconds()))
	q.contactByID = fmt.Sprintf("%s, NULL FROM %s c WHERE %s LIMIT 2", outputs, c.relation.SQL, c.is(source.ID, 1))
	find := func(condition string) string {
		return fmt.Sprintf("%s, %s FROM %s c JOIN %s t ON %s = %s WHERE %s AND %s AND %s BETWEEN %s - interval '%d seconds' AND %s + interval '%d seconds'"+
			" ORDER BY %s DESC LIMIT %d",
			outputs, t.text(ticket.ID), c.relation.SQL, t.relation.SQL, c.name(source.Customer), t.name(ticket.Customer), condition,
			c.isAny(source.Direction, 2), at, opened, int(contactBefore.Seconds()), opened, int(contactAfter.Seconds()), at, maxContacts)
	}
	q.contactsByID = find(t.isAny(ticket.ID, 1))
	if ticket.Number != "" {
		q.contactsByNo = find(t.name(ticket.Number) + " = ANY ($1::pg_catalog.text[])")
	}
	q.contactsAbout = find(t.isAny(ticket.Assignee, 1) + " AND " + t.is(ticket.Customer, 3))
	return c.err
}

// micros is a time as microseconds since 1970, which do not depend on how a session prints times.
func micros(column string) string {
	return "(extract(epoch FROM " + column + ") * 1000000)::bigint"
}

// columns looks up the configured columns of one table and remembers the first that is not there.
type columns struct {
	table    string
	alias    string
	relation catalog.Relation
	err      error
}

func newColumns(s *catalog.Snapshot, table, alias string) (*columns, error) {
	relation, ok := s.Table(table)
	if !ok {
		return nil, fmt.Errorf("prepare to check reasons: there is no table %s", table)
	}
	return &columns{table: table, alias: alias, relation: relation}, nil
}

func (c *columns) find(name string) catalog.RelationColumn {
	column, ok := c.relation.Columns[name]
	if !ok && c.err == nil {
		c.err = fmt.Errorf("prepare to check reasons: the table %s has no column %q", c.table, name)
	}
	return column
}

func (c *columns) name(name string) string { return c.alias + "." + c.find(name).SQL }

// text is a column as a text without the padding of char(n), as facts have it.
func (c *columns) text(name string) string { return c.name(name) + "::pg_catalog.text" }

// is and isAny compare a column with a parameter of type text or text[], in the column's own type so that its index serves.
func (c *columns) is(name string, parameter int) string {
	return fmt.Sprintf("%s = $%d::pg_catalog.text::%s", c.name(name), parameter, c.find(name).Type)
}

func (c *columns) isAny(name string, parameter int) string {
	return fmt.Sprintf("%s = ANY ($%d::pg_catalog.text[]::%s[])", c.name(name), parameter, c.find(name).Type)
}

// batch gathers queries for one round trip; the server runs them in one transaction. Results come as text.
type batch struct {
	queries []string
	params  [][][]byte
}

func (b *batch) add(sql string, params ...string) {
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	b.queries, b.params = append(b.queries, sql), append(b.params, values)
}

// run prepares what this connection has not seen yet: planning costs more than running, and there are few queries.
func (b *batch) run(ctx context.Context, conn *pgx.Conn) ([]*pgconn.Result, error) {
	results, err := b.send(ctx, conn)
	if err == nil && len(results) != len(b.queries) {
		err = errors.New("the database did not answer everything")
	}
	if err != nil {
		// A table may have changed under a prepared query. The connection goes, and the next one prepares anew.
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("read reasons: %w", plain(err))
	}
	return results, nil
}

func (b *batch) send(ctx context.Context, conn *pgx.Conn) ([]*pgconn.Result, error) {
	var batch pgconn.Batch
	for i, sql := range b.queries {
		prepared, err := conn.Prepare(ctx, sql, sql)
		if err != nil {
			return nil, err
		}
		batch.ExecPrepared(prepared.Name, b.params[i], nil, nil)
	}
	results, err := conn.PgConn().ExecBatch(ctx, &batch).ReadAll()
	for _, result := range results {
		if err == nil {
			err = result.Err
		}
	}
	return results, err
}

// textArray writes an array as PostgreSQL reads it.
func textArray[T ~string](list []T) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, s := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(string(s)))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}

func readTickets(result *pgconn.Result) []ticketRow {
	rows := make([]ticketRow, 0, len(result.Rows))
	for _, f := range result.Rows {
		minutes, _ := strconv.ParseInt(string(f[5]), 10, 64) // a ticket that was never opened is new
		rows = append(rows, ticketRow{id: string(f[0]), customer: string(f[1]), assignee: string(f[2]), state: string(f[3]), number: string(f[4]), minutes: minutes})
	}
	return rows
}

// readContacts leaves out what has no time: it can support nothing.
func (q *queries) readContacts(result *pgconn.Result) []contactRow {
	rows := make([]contactRow, 0, len(result.Rows))
	for _, f := range result.Rows {
		at, err := strconv.ParseInt(string(f[5]), 10, 64)
		if err != nil {
			continue
		}
		rows = append(rows, contactRow{
			id: string(f[0]), customer: string(f[1]), ticket: string(f[2]), staff: string(f[3]),
			incoming: slices.Contains(q.config.Contact.Incoming, string(f[4])), at: at, about: string(f[6]),
		})
	}
	return rows
}

// parseSeconds reads seconds since 1970 as PostgreSQL prints them, with up to six decimals; empty is no time.
func parseSeconds(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.Abs(seconds) > 1e11 { // 1e11 seconds are beyond the year 5000; microseconds stay exact below
		return time.Time{}, errors.New("read a fact: no time")
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC(), nil
}
