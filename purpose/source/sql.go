package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sallyport"
	"sallyport/purpose"
)

// database is another PostgreSQL database, asked each time by the configuration's own queries.
type database struct {
	pool    *pgxpool.Pool
	config  purpose.SQLConfig
	kinds   []string
	timeout time.Duration
}

// conns is how many connections there are at most.
const conns = 3

func openSQL(c *purpose.SQLConfig, timeout time.Duration, o Options) (*database, error) {
	var password string
	if c.PasswordFile != "" {
		var err error
		if password, err = o.Secret(o.Path(c.PasswordFile)); err != nil {
			return nil, err
		}
	}
	pool, err := ReadOnly(c.DSN, password, timeout)
	if err != nil {
		return nil, err
	}
	return &database{pool: pool, config: *c, kinds: o.Kinds, timeout: timeout}, nil
}

// ReadOnly are connections to another database that write nothing, wait no longer than timeout and see no less than all rows. An empty password leaves
// that of the dsn. Its errors repeat nothing of the dsn.
func ReadOnly(dsn, password string, timeout time.Duration) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the dsn is no address of a database") // the error would repeat it
	}
	if password != "" {
		config.ConnConfig.Password = password
	}
	if config.ConnConfig.RuntimeParams == nil {
		config.ConnConfig.RuntimeParams = map[string]string{}
	}
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"application_name":                    "sallyport",
		"default_transaction_read_only":       "on",
		"statement_timeout":                   strconv.FormatInt(timeout.Milliseconds(), 10),
		"idle_in_transaction_session_timeout": "5000",
		"datestyle":                           "ISO, YMD",
		"timezone":                            "UTC",
		"row_security":                        "off", // rows that are hidden from the role are an error, not missing tickets
	})
	config.MaxConns, config.MinConns = conns, 0
	config.ConnConfig.ConnectTimeout = timeout
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, Plain(err)
	}
	return pool, nil
}

// errNoValue says that a parameter is no value of the type that it is compared with.
var errNoValue = errors.New("the reference has another form than theirs")

// Plain leaves of a database's error what says nothing about values.
func Plain(err error) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code {
		case "57014":
			return context.DeadlineExceeded
		case "22P02", "22003", "22007", "22008":
			return errNoValue
		}
		return fmt.Errorf("the database refused with SQLSTATE %s", refused.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err) {
		return context.DeadlineExceeded
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return errors.New("the database cannot be reached")
	}
	return err
}

// Find asks for what a reference names.
func (d *database) Find(ctx context.Context, ref purpose.Ref) ([]purpose.Thing, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	things, err := d.ask(ctx, d.config.Find, ref.Asked(), 2)
	if errors.Is(err, errNoValue) {
		return nil, nil // no id of theirs looks like this
	}
	if err != nil || d.config.Customers == "" || len(things) != 1 {
		return things, err
	}
	rows, err := d.rows(ctx, d.config.Customers, things[0].ID, mostCustomers)
	if err != nil {
		return nil, err
	}
	things[0].Customers = nil
	for _, row := range rows.texts {
		if row[0] != "" {
			things[0].Customers = append(things[0].Customers, sallyport.Subject(row[0]))
		}
	}
	return things, nil
}

// mostCustomers is one more than a job may have.
const mostCustomers = 10_001

// Mine asks for what is assigned to somebody.
func (d *database) Mine(ctx context.Context, names []string, most int) ([]purpose.Thing, error) {
	if d.config.Mine == "" {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	return d.ask(ctx, d.config.Mine, names, most)
}

func (d *database) ask(ctx context.Context, sql string, by any, most int) ([]purpose.Thing, error) {
	rows, err := d.rows(ctx, sql, by, most)
	if err != nil {
		return nil, err
	}
	if err := checkColumns(rows.columns, d.kinds, "the answer"); err != nil {
		return nil, err
	}
	var things []purpose.Thing
	for _, row := range rows.texts {
		t, err := thingOf(rows.columns, row)
		if err != nil {
			return nil, err
		}
		things = append(things, t)
	}
	return things, nil
}

// answerRows are what a query returned, as texts; NULL is empty.
type answerRows struct {
	columns []string
	texts   [][]string
}

// rows runs one query with one parameter. The text is the configuration's, and goes through Parse alone: several statements are an error.
func (d *database) rows(ctx context.Context, sql string, by any, most int) (*answerRows, error) {
	rows, err := d.pool.Query(ctx, sql, pgx.QueryResultFormats{pgx.TextFormatCode}, by)
	if err != nil {
		return nil, Plain(err)
	}
	defer rows.Close()
	out := &answerRows{}
	for _, f := range rows.FieldDescriptions() {
		out.columns = append(out.columns, f.Name)
	}
	for len(out.texts) < most && rows.Next() {
		raw := rows.RawValues()
		texts := make([]string, len(raw))
		for i, value := range raw {
			texts[i] = string(value)
		}
		out.texts = append(out.texts, texts)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, Plain(err)
	}
	return out, nil
}

// mayWrite are tables and powers by which the role could change what it reads.
const mayWrite = `SELECT 'it is a superuser' FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper
	UNION ALL SELECT 'it may write ' || pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\_%'
		AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND (pg_catalog.has_table_privilege(c.oid, 'INSERT') OR pg_catalog.has_table_privilege(c.oid, 'UPDATE')
			OR pg_catalog.has_table_privilege(c.oid, 'DELETE') OR pg_catalog.has_table_privilege(c.oid, 'TRUNCATE')
			OR pg_catalog.has_any_column_privilege(c.oid, 'INSERT') OR pg_catalog.has_any_column_privilege(c.oid, 'UPDATE'))
	LIMIT 3`

// Check says what does not work: the way there, what the role may do, the queries and their columns.
func (d *database) Check(ctx context.Context) (found []string) {
	ctx, cancel := context.WithTimeout(ctx, 5*d.timeout)
	defer cancel()
	conn, err := d.pool.Acquire(ctx)
	if err != nil {
		return []string{"the source does not answer: " + Plain(err).Error()}
	}
	defer conn.Release()
	rows, err := conn.Query(ctx, mayWrite)
	if err == nil {
		var powers []string
		powers, err = pgx.CollectRows(rows, pgx.RowTo[string])
		for _, power := range powers {
			found = append(found, "its role could make reasons: "+power+"; expected a role that may only read")
		}
	}
	if err != nil {
		found = append(found, "what its role may do cannot be seen: "+Plain(err).Error())
	}
	began := time.Now() //nolint:forbidigo // how long the query takes here and now
	if _, err := d.Find(ctx, purpose.Ref{Text: "0"}); errors.Is(err, context.DeadlineExceeded) {
		found = append(found, fmt.Sprintf("the query find did not answer in %s, its timeout: an index may be missing", time.Since(began).Round(time.Millisecond)))
	}
	for _, q := range []struct{ name, sql, parameter string }{
		{"find", d.config.Find, "text"}, {"mine", d.config.Mine, "text[]"}, {"customers", d.config.Customers, "text"},
	} {
		if q.sql == "" {
			continue
		}
		if wrong := d.checkQuery(ctx, conn.Conn(), q.name, q.sql, q.parameter); wrong != "" {
			found = append(found, wrong)
		}
	}
	return found
}

// checkQuery has the server describe a query.
func (d *database) checkQuery(ctx context.Context, conn *pgx.Conn, name, sql, parameter string) string {
	described, err := conn.Prepare(ctx, "", sql)
	if err != nil {
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok { // the text is the configuration's: it holds no value of anybody
			return fmt.Sprintf("the query %s does not work: %s", name, refused.Message)
		}
		return fmt.Sprintf("the query %s does not work: %s", name, Plain(err))
	}
	if len(described.ParamOIDs) != 1 {
		return fmt.Sprintf("the query %s has %d parameters; expected one, $1 of type %s", name, len(described.ParamOIDs), parameter)
	}
	var columns []string
	for _, f := range described.Fields {
		columns = append(columns, f.Name)
	}
	if name == "customers" {
		if len(columns) != 1 {
			return fmt.Sprintf("the query customers returns %d columns; expected one, the customer's key", len(columns))
		}
		return ""
	}
	if err := checkColumns(columns, d.kinds, "the answer of "+name); err != nil {
		return err.Error()
	}
	return ""
}

// Close ends the connections.
func (d *database) Close() error {
	d.pool.Close()
	return nil
}
