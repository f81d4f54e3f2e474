package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	rnd "math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/canary"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/entrance"
)

// planter writes customers who do not exist, through the gateway, as the service does that makes customers anyway. What they look like it learns from
// rows that the reader reads: whatever is no personal value is copied from one of them, and personal values are made up in the likeness of several.
type planter struct {
	c      *canaries
	book   *canary.Book
	guard  *guard
	drill  bool // for drills alone
	reader *pgx.Conn
	writer *pgx.Conn // through the gateway
	named  catalog.Table
	table  string // quoted
	key    plantColumn
	cols   []plantColumn
	rows   [][]*string // samples, in the order of cols
	dice   *rnd.Rand
}

// plantColumn is a column of the customer table.
type plantColumn struct {
	name, typ      string // typ as SQL writes it, without a length
	made           bool   // the server makes its values
	unique, hasDef bool
	protected      *catalog.Protected
	masked         bool
}

// samples is how many rows are looked at.
const samples = 200

// newPlanter learns what customers look like, and logs in as who makes them.
func (c *canaries) newPlanter(ctx context.Context) (*planter, error) {
	customer := c.s.O.Config.Protect.Customer
	p, err := c.newLikeness(ctx, customer.Named(), customer.Key)
	if err != nil {
		return nil, err
	}
	if p.writer, err = c.connect(ctx, c.s.O.Config.Canary.Login, c.s.O.Config.Canary.PasswordFile); err != nil {
		p.close(ctx)
		return nil, err
	}
	return p, nil
}

// newLikeness learns what rows of a table look like.
func (c *canaries) newLikeness(ctx context.Context, named catalog.Table, key string) (p *planter, err error) {
	book := c.book.Load()
	c.s.mu.Lock()
	g := c.s.guard
	c.s.mu.Unlock()
	if book == nil || g == nil {
		return nil, errNotReady
	}
	p = &planter{c: c, book: book, guard: g, named: named, table: pgx.Identifier{named.Schema, named.Name}.Sanitize(), dice: newDice()}
	defer func() {
		if err != nil {
			p.close(ctx)
			p = nil
		}
	}()
	reader, err := entrance.Reader(c.s.O.Config, c.s.Upstream)
	if err != nil {
		return p, err
	}
	if p.reader, err = pgx.ConnectConfig(ctx, reader); err != nil {
		return p, fmt.Errorf("connect to look at customers: %w", err)
	}
	if err = p.describe(ctx, key); err != nil {
		return p, err
	}
	if p.rows, err = p.sample(ctx, ""); err != nil {
		return p, err
	}
	if len(p.rows) < 2 {
		return p, fmt.Errorf("there are fewer than two rows in %s, so nobody knows what one looks like", p.named)
	}
	return p, p.quiet(ctx)
}

// newDice are for what is made up; which customers they are does not follow from it.
func newDice() *rnd.Rand {
	var seed [32]byte
	_, _ = rand.Read(seed[:])            // never fails
	return rnd.New(rnd.NewChaCha8(seed)) //nolint:gosec // the generator is as strong as its seed, and no secret follows from it
}

// connect logs in through the gateway itself.
func (c *canaries) connect(ctx context.Context, login, passwordFile string) (*pgx.Conn, error) {
	password, err := config.ReadSecretFile(c.s.O.Config.Path(passwordFile))
	if err != nil {
		return nil, err
	}
	return c.connectAs(ctx, login, password, "")
}

func (c *canaries) connectAs(ctx context.Context, login, password, application string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig("host=127.0.0.1 sslmode=disable")
	if err != nil {
		return nil, errors.New("prepare a connection: the PG… variables of the environment are malformed")
	}
	at, shows, err := c.s.door(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect through the gateway as %s: %w", login, err)
	}
	config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, at.Network(), at.String())
	}
	if len(shows) > 0 {
		config.TLSConfig = &tls.Config{
			MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // it must be our very own certificate, see below
			VerifyConnection: func(s tls.ConnectionState) error {
				if len(s.PeerCertificates) == 0 || !bytes.Equal(digestOfCertificate(s.PeerCertificates[0].Raw), shows) {
					return errors.New("who answers on our own address is somebody else")
				}
				return nil
			},
		}
	}
	config.Database, config.User, config.Password, config.ConnectTimeout = c.s.O.Config.Upstream.Database, login, password, lookTimeout
	config.RuntimeParams = map[string]string{}
	if application != "" {
		config.RuntimeParams["application_name"] = application
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect through the gateway as %s: %w", login, err)
	}
	return conn, nil
}

func (p *planter) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for _, conn := range []*pgx.Conn{p.reader, p.writer} {
		if conn != nil {
			_ = conn.Close(ctx) // what was written is committed
		}
	}
}

// describe reads what columns the table has.
func (p *planter) describe(ctx context.Context, key string) error {
	rows, err := p.reader.Query(ctx, `
SELECT a.attname::text, pg_catalog.format_type(a.atttypid, NULL), a.attgenerated <> '' OR a.attidentity = 'a', a.atthasdef OR a.attidentity <> '',
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_catalog.pg_attribute a WHERE a.attrelid = pg_catalog.to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`, p.table)
	if err != nil {
		return fmt.Errorf("look at the columns of %s: %w", p.named, err)
	}
	snapshot := p.guard.catalog.Snapshot()
	var c plantColumn
	_, err = pgx.ForEachRow(rows, []any{&c.name, &c.typ, &c.made, &c.hasDef, &c.unique}, func() error {
		one, column := c, sallyport.Column{Schema: p.named.Schema, Table: p.named.Name, Name: c.name}
		for _, x := range snapshot.Columns() {
			if x.Column == column {
				one.protected = x
			}
		}
		for _, x := range snapshot.Masked() {
			one.masked = one.masked || x.Column == column && !x.Moving
		}
		switch {
		case one.name == key:
			p.key = one
		case !one.made:
			p.cols = append(p.cols, one)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at the columns of %s: %w", p.named, err)
	}
	if p.key.name == "" {
		return fmt.Errorf("the table %s has no column %s", p.named, key)
	}
	return nil
}

// enoughQuiet is how many customers without tickets there must be among those who are looked at, so that a canary is one of many.
const enoughQuiet = 20

// quiet has canaries look like customers who never had a ticket, since they have none themselves: no ticket about somebody who does not exist could be
// given to anybody without giving him a reason to come by one.
func (p *planter) quiet(ctx context.Context) error {
	config := p.c.s.O.Config
	t := &config.Purposes.Ticket
	tickets, ok := tableNamed(t.Table)
	if !ok || p.named != config.Protect.Customer.Named() {
		return nil
	}
	rows, err := p.sample(ctx, " WHERE NOT EXISTS (SELECT FROM "+pgx.Identifier{tickets.Schema, tickets.Name}.Sanitize()+" had WHERE had."+
		pgx.Identifier{t.Customer}.Sanitize()+" = one."+pgx.Identifier{p.key.name}.Sanitize()+")")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // such as keys of another type there than here
		p.c.s.log.Warn("nobody can tell which customers had no ticket, so canaries look like any", "why", oneLine(err))
	case len(rows) < enoughQuiet:
		p.c.s.log.Warn("nearly every customer had a ticket: canaries have none, so plant few", "without_tickets", len(rows), "of", len(p.rows))
	default:
		p.rows = rows
	}
	return nil
}

// sample reads rows as they stand there: personal values are tokens. Canaries among them are as good as any.
func (p *planter) sample(ctx context.Context, where string) (list [][]*string, err error) {
	var names []string
	for _, c := range p.cols {
		names = append(names, "one."+pgx.Identifier{c.name}.Sanitize()+"::text")
	}
	var about float32
	if err := p.reader.QueryRow(ctx, "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass($1)", p.table).Scan(&about); err != nil {
		return nil, fmt.Errorf("look at rows of the table: %w", err)
	}
	from := p.table + " one"
	if enough := float32(20 * samples); about > enough {
		from += fmt.Sprintf(" TABLESAMPLE SYSTEM (%f)", min(100, 100*5*enough/about))
	}
	sql := "SELECT " + strings.Join(names, ", ") + " FROM " + from + where + fmt.Sprintf(" ORDER BY pg_catalog.random() LIMIT %d", samples)
	rows, err := p.reader.Query(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, fmt.Errorf("look at rows of the table: %w", err)
	}
	list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]*string, error) {
		out := make([]*string, len(p.cols))
		into := make([]any, len(out))
		for i := range out {
			into[i] = &out[i]
		}
		return out, row.Scan(into...)
	})
	if err != nil {
		return nil, fmt.Errorf("look at rows of the table: %w", err)
	}
	return list, nil
}

// plant writes one. It is on record before its row is committed: one that is not there does no harm, and one that nobody knows would be a customer.
func (p *planter) plant(ctx context.Context, plan string) error {
	const attempts = 5 // a made-up value may be somebody's
	var err error
	for range attempts {
		if err = p.try(ctx, plan); err == nil || ctx.Err() != nil || p.writer.IsClosed() {
			return err
		}
	}
	return err
}

func (p *planter) try(ctx context.Context, plan string) error {
	one := &canary.Canary{Planted: p.c.s.O.Clock(), Drill: p.drill}
	_, _ = rand.Read(one.ID[:]) // never fails
	columns, values, err := p.row(one, nil)
	if err != nil {
		return err
	}
	if key, made, err := p.newKey(ctx, p.c.s.O.Config.Canary.Key); err != nil {
		return err
	} else if made {
		columns, values = append(columns, p.key), append(values, &key)
	}
	tx, err := p.writer.Begin(ctx)
	if err != nil {
		return fmt.Errorf("write a customer: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // after a commit it does nothing
	if one.Subject, err = p.insert(ctx, columns, values); err != nil {
		return err
	}
	sealed, err := p.book.Key().Seal(one, rand.Reader)
	if err != nil {
		return err
	}
	e := &sallyport.Event{Time: p.c.s.O.Clock(), Kind: sallyport.CanaryPlanted, Order: &sallyport.Order{ID: plan, Action: "plant", Sealed: sealed}}
	if err := p.c.s.orders.Give(nil, e); err != nil {
		return err
	}
	if err := p.book.Apply(e); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("write a customer: %w", err)
	}
	return nil
}

// insert writes the row, with parameters of whatever type the columns have, and returns its key as the record writes it.
func (p *planter) insert(ctx context.Context, columns []plantColumn, values []*string) (sallyport.Subject, error) {
	var names, slots []string
	var args [][]byte
	for i := range columns {
		names, args = append(names, pgx.Identifier{columns[i].name}.Sanitize()), append(args, []byte(*values[i]))
		slots = append(slots, fmt.Sprintf("$%d", len(args)))
	}
	sql := "INSERT INTO " + p.table + " (" + strings.Join(names, ", ") + ") VALUES (" + strings.Join(slots, ", ") + ") RETURNING " + pgx.Identifier{p.key.name}.Sanitize()
	result := p.writer.PgConn().ExecParams(ctx, sql, args, nil, nil, nil).Read()
	if result.Err != nil {
		return "", fmt.Errorf("write a customer: %w", result.Err)
	}
	if len(result.Rows) != 1 || len(result.Rows[0]) != 1 {
		return "", errors.New("write a customer: the server did not say what key it has")
	}
	return sallyport.Subject(result.Rows[0][0]), nil
}

// uuidText is a uuid as PostgreSQL writes it.
func uuidText(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// newKey is the key of a new customer; not made: the server makes it.
func (p *planter) newKey(ctx context.Context, expression string) (key string, made bool, err error) {
	column := pgx.Identifier{p.key.name}.Sanitize()
	switch {
	case expression != "":
	case p.key.made, p.key.hasDef:
		return "", false, nil
	case p.key.typ == "uuid":
		expression = "pg_catalog.gen_random_uuid()"
	case p.key.typ == "integer" || p.key.typ == "bigint":
		// A number that was left out or, where there is none near a random one, the next.
		var lowest, highest int64
		if err := p.reader.QueryRow(ctx, "SELECT pg_catalog.min("+column+"), pg_catalog.max("+column+") FROM "+p.table).Scan(&lowest, &highest); err != nil {
			return "", false, fmt.Errorf("look for a free key: %w", err)
		}
		const near = 64
		for range 8 {
			at := lowest + p.dice.Int64N(highest-lowest+1)
			var free *int64
			err := p.reader.QueryRow(ctx, "SELECT pg_catalog.min(n) FROM pg_catalog.generate_series($1::bigint, $2::bigint) n WHERE NOT EXISTS (SELECT FROM "+p.table+" t WHERE t."+column+" = n)",
				at, min(at+near, highest)).Scan(&free)
			if err != nil {
				return "", false, fmt.Errorf("look for a free key: %w", err)
			}
			if free != nil {
				return fmt.Sprint(*free), true, nil
			}
		}
		return fmt.Sprint(highest + 1), true, nil
	default:
		return "", false, fmt.Errorf("nobody knows how the key of a new customer of type %s is made: say so in canary.key", p.key.typ)
	}
	if err := p.reader.QueryRow(ctx, "SELECT ("+expression+")::text").Scan(&key); err != nil {
		return "", false, fmt.Errorf("make a key by canary.key: %w", err)
	}
	return key, true, nil
}

// row makes up a row: one sample for whatever is not personal, so that what goes together stays together, and others for the rest. What is given stands
// as it is given.
func (p *planter) row(one *canary.Canary, given map[string]string) (columns []plantColumn, values []*string, err error) {
	like := p.rows[p.dice.IntN(len(p.rows))]
	for i := range p.cols {
		c := &p.cols[i]
		if text, ok := given[c.name]; ok {
			columns, values = append(columns, *c), append(values, &text)
			continue
		}
		sample := like[i]
		if sample == nil {
			continue
		}
		text := *sample
		switch {
		case c.protected != nil:
			if text, err = p.personal(one, c, i, text); err != nil {
				return nil, nil, err
			}
		case strings.HasPrefix(c.typ, "timestamp"):
			text = p.moment(c, i, text)
		case c.masked, c.unique && (strings.Contains(c.typ, "char") || c.typ == "text"):
			text = canary.Reshape(text, 2, p.dice)
		case c.unique:
			return nil, nil, fmt.Errorf("the column %s is unique and of type %s, for which no value can be made up", c.name, c.typ)
		}
		columns, values = append(columns, *c), append(values, &text)
	}
	return columns, values, nil
}

// moment is one between two that stand there: no other row has the very same.
func (p *planter) moment(_ *plantColumn, _ int, text string) string {
	for _, layout := range []string{"2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999"} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at = at.Add(-time.Duration(p.dice.Int64N(int64(20 * time.Hour))))
		if !strings.Contains(text, ".") {
			at = at.Truncate(time.Second)
		}
		return at.Format(layout)
	}
	return text
}

// open is the value of a sample's token.
func (p *planter) open(c *plantColumn, stored string) (string, error) {
	codec, err := p.guard.codecFor(c.protected)
	if err != nil {
		return "", err
	}
	plain, err := codec.Reveal(nil, []byte(stored))
	if err != nil {
		return "", errors.New("a sample cannot be opened")
	}
	return string(plain), nil
}

// another is what stands in the column of another sample.
func (p *planter) another(i int) string {
	for range 50 {
		if s := p.rows[p.dice.IntN(len(p.rows))][i]; s != nil {
			return *s
		}
	}
	return ""
}

// personal makes up a personal value in the likeness of samples.
func (p *planter) personal(one *canary.Canary, c *plantColumn, i int, stored string) (string, error) {
	sample, err := p.open(c, stored)
	if err != nil {
		return "", err
	}
	switch c.protected.Scheme {
	case sallyport.Name:
		other, err := p.open(c, p.another(i))
		if err != nil {
			return "", err
		}
		return canary.Name(sample, other), nil
	case sallyport.Email:
		if domains := p.c.s.O.Config.Canary.Domains; len(domains) > 0 {
			sample = canary.Mailbox(domains, len(sample), p.dice)
		} else {
			sample = canary.Reshape(sample, 0, p.dice)
		}
		one.Email = sample
		return sample, p.known(one, c, sample)
	case sallyport.Phone:
		sample = canary.Reshape(sample, 5, p.dice)
		one.Phone = sample
		return sample, p.known(one, c, sample)
	case sallyport.Date:
		day, err := time.Parse(time.DateOnly, sample)
		if err != nil {
			return sample, nil //nolint:nilerr // of another calendar: as it stands
		}
		return day.AddDate(0, 0, p.dice.IntN(400)-200).Format(time.DateOnly), nil
	case sallyport.Timestamp, sallyport.Timestamptz:
		return p.moment(c, i, sample), nil
	case sallyport.Number:
		return canary.Reshape(sample, strings.IndexFunc(sample, func(r rune) bool { return r >= '0' && r <= '9' }), p.dice), nil
	case sallyport.Int4, sallyport.Int8:
		return canary.Reshape(sample, 1, p.dice), nil
	case sallyport.UUID:
		var b [16]byte
		binary.BigEndian.PutUint64(b[:], p.dice.Uint64())
		binary.BigEndian.PutUint64(b[8:], p.dice.Uint64())
		b[6], b[8] = b[6]&15|64, b[8]&63|128
		return uuidText(b), nil
	case sallyport.Text:
		return canary.Phrase(len(sample), p.dice), nil
	}
	return "", fmt.Errorf("no value can be made up for the column %s", c.name)
}

// known notes by which digests the value and its tokens are known.
func (p *planter) known(one *canary.Canary, c *plantColumn, value string) error {
	codec, err := p.guard.codecFor(c.protected)
	if err != nil {
		return err
	}
	one.Values = append(one.Values, codec.Digest([]byte(value)))
	all, err := codec.Searches([]byte(value))
	if err != nil {
		return fmt.Errorf("make the token of a value of %s: %w", c.name, err)
	}
	for _, tok := range all {
		one.Tokens = append(one.Tokens, codec.TokenDigest(tok))
	}
	return nil
}
