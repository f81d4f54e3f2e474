package protect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// Shred puts random tokens in the place of all tokens of one customer, in one transaction. Nobody can tell what the former ones stood for
// from what it leaves: neither the database with all keys, nor whoever searches.
type Shred struct {
	Conn     *pgx.Conn // may read the tables and update the columns; its time zone is UTC and its dates are ISO
	Customer sallyport.Subject
	Rows     []CustomerRows
	Columns  []Column // all that are protected
	Random   io.Reader

	// Dead tells whether a token was drawn at random in a run before, and can stay.
	Dead func(c Column, tok string) bool
	// Buried tells what is on that list.
	Buried func(sallyport.Digest) bool
	// Foreign tells whether a token is known to be another customer's, into whose rows here somebody wrote it: it is replaced here and stays what
	// it is where it belongs. Optional.
	Foreign func(c Column, tok string) bool
	// List is given what is to be known of tokens before anything is committed, and makes it durable; then it destroys the keys.
	List func(ShredList) error
}

// ShredList is what the record keeps of a customer's tokens.
type ShredList struct {
	Dead   []sallyport.Digest // drawn at random, never to be revealed
	Buried []sallyport.Digest // were the customer's: names and texts are not to be revealed either, others only where they are known to be somebody else's
	Keys   []sallyport.Leaf   // of single names and texts, to be destroyed
	Bare   int                // names and texts that have no keys of their own
}

// CustomerRows are the rows of customers in one table.
type CustomerRows struct {
	SQL     string // its parameter are the customers' keys, its outputs customer, table, place and Columns, as texts; FOR UPDATE OF t0 can follow
	Columns []Column
}

// ShredDone is what was done.
type ShredDone struct {
	Rows   int
	Values int
	Keys   int      // of single names and texts among the values
	Bare   int      // names and texts without
	Vault  []string // tokens whose values are out of the vault
}

// ErrTaken says that a token that was drawn stands in a unique column already: drawn again, another will come.
var ErrTaken = errors.New("a random token stands there already")

// shredding is one attempt.
type shredding struct {
	*Shred
	tx    pgx.Tx
	done  ShredDone
	made  map[string]string // a former token with its scheme and group → the new one, so that what was equal stays so
	fresh map[string]bool   // the new ones, likewise
	list  ShredList
	kept  map[string]Column // tokens of the vault that stood there
}

// Run does it, or nothing.
func (s *Shred) Run(ctx context.Context) (ShredDone, error) {
	a := &shredding{Shred: s, made: map[string]string{}, fresh: map[string]bool{}, kept: map[string]Column{}}
	err := pgx.BeginFunc(ctx, s.Conn, func(tx pgx.Tx) error {
		a.tx = tx
		return a.run(ctx)
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == "23505" {
		return ShredDone{}, ErrTaken
	}
	if err != nil {
		return ShredDone{}, fmt.Errorf("shred a customer: %w", withoutValues(err))
	}
	return a.done, nil
}

func (a *shredding) run(ctx context.Context) error {
	if _, err := a.tx.Exec(ctx, "SET CONSTRAINTS ALL DEFERRED"); err != nil {
		return err
	}
	for _, rows := range a.Rows {
		if err := a.table(ctx, rows); err != nil {
			return err
		}
	}
	if a.done.Rows == 0 {
		return nil
	}
	if err := a.emptyVault(ctx); err != nil {
		return err
	}
	// Whatever the database might object to comes before the lists, so that a run that is refused again and again makes no entries.
	if _, err := a.tx.Exec(ctx, "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
		return err
	}
	a.done.Keys, a.done.Bare = len(a.list.Keys), a.list.Bare
	return a.List(a.list)
}

// table changes the rows of one table.
func (a *shredding) table(ctx context.Context, of CustomerRows) error {
	rows, err := a.tx.Query(ctx, of.SQL+" FOR UPDATE OF t0", []string{string(a.Customer)})
	if err != nil {
		return err
	}
	byPart := map[string][]stale{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		s := stale{old: make([]*string, len(of.Columns))}
		var who, part string
		into := []any{&who, &part, &s.at}
		for i := range s.old {
			into = append(into, &s.old[i])
		}
		if err := row.Scan(into...); err != nil {
			return struct{}{}, errors.New("read a row: it cannot be read as text") // the error might quote it
		}
		changes, err := a.row(of.Columns, &s)
		if changes {
			byPart[part] = append(byPart[part], s)
		}
		return struct{}{}, err
	})
	if err != nil {
		return err
	}
	for name, stales := range byPart {
		w := &Renewal{Conn: a.Conn, Columns: of.Columns}
		kinds, err := w.kinds(ctx, part{name: name})
		if err != nil {
			return err
		}
		tag, err := a.tx.Exec(ctx, w.updateSQL(part{name: name}, kinds), w.updateArgs(stales)...)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != int64(len(stales)) {
			return fmt.Errorf("%d of %d rows of %s stayed as they were: something in the database keeps them so", int64(len(stales))-tag.RowsAffected(), len(stales), name)
		}
		a.done.Rows += len(stales)
	}
	return nil
}

// row makes the new tokens of one row.
func (a *shredding) row(columns []Column, s *stale) (changes bool, err error) {
	s.new = append(s.new, s.old...)
	for i, c := range columns {
		if s.old[i] == nil || a.Dead(c, *s.old[i]) {
			continue
		}
		spec := c.Codec.Spec()
		kin := string(spec.Scheme) + "\x00" + spec.Group + "\x00"
		if a.fresh[kin+*s.old[i]] { // a foreign key brought it along
			continue
		}
		next, known := a.made[kin+*s.old[i]]
		if !known || !c.Codec.Deterministic() {
			if next, err = a.draw(c, *s.old[i]); err != nil {
				return false, err
			}
			a.made[kin+*s.old[i]], a.fresh[kin+next] = next, true
		}
		s.new[i], changes = &next, true
		a.done.Values++
	}
	return changes, nil
}

// draw makes one token and notes what goes on the lists.
func (a *shredding) draw(c Column, old string) (string, error) {
	tok, err := c.Codec.Dead(nil, []byte(old), a.Random)
	if err != nil {
		return "", err
	}
	a.list.Dead = append(a.list.Dead, c.Codec.ListDigest(tok))
	a.bury(&a.list, c, old)
	if c.Overflow != nil && c.Codec.Overflowed([]byte(old)) {
		a.kept[old] = c
	}
	return string(tok), nil
}

// bury adds the digests of a former token, in every key epoch, that are not on record, and its own key.
func (s *Shred) bury(list *ShredList, c Column, old string) {
	if !c.Codec.IsToken([]byte(old)) || s.Foreign != nil && s.Foreign(c, old) {
		return
	}
	tokens := [][]byte{[]byte(old)}
	switch c.Codec.Spec().Scheme {
	case sallyport.Name, sallyport.Text: // no other token has its handle
		if leaf, ok := c.Codec.Leaf([]byte(old)); ok {
			list.Keys = append(list.Keys, leaf)
		} else {
			list.Bare++
		}
	case sallyport.Email, sallyport.Phone, sallyport.Number:
		if all, err := c.Codec.Searches([]byte(old)); err == nil {
			tokens = append(tokens, all...)
		}
	case sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz, sallyport.Int4, sallyport.Int8, sallyport.UUID: // many have it
		return
	}
	for _, tok := range tokens {
		if d := c.Codec.ListDigest(tok); !s.Buried(d) && !slices.Contains(list.Buried[max(0, len(list.Buried)-4):], d) {
			list.Buried = append(list.Buried, d)
		}
	}
}

// Bury lists the customer's tokens, and destroys their keys, before any of them is replaced, however long that may have to wait for
// somebody's locks. known are keys of tokens that are known to be his and stand in no row any more.
func (s *Shred) Bury(ctx context.Context, known []sallyport.Leaf) error {
	list := ShredList{Keys: slices.Clone(known)}
	err := s.each(ctx, []string{string(s.Customer)}, func(_ sallyport.Subject, c Column, tok string) { s.bury(&list, c, tok) })
	if err != nil || len(list.Buried)+len(list.Keys) == 0 {
		return err
	}
	return s.List(list)
}

// emptyVault removes the customer's values from the vault, but those whose token somebody else has, too.
func (a *shredding) emptyVault(ctx context.Context) error {
	for tok, of := range a.kept {
		shared := false
		for _, c := range a.Columns {
			if c.Overflow == nil || c.Codec.Spec().Scheme != of.Codec.Spec().Scheme || c.Codec.Spec().Group != of.Codec.Spec().Group {
				continue
			}
			sql := fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE %s = $1::text)", pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), pgx.Identifier{c.Column.Name}.Sanitize())
			var found bool
			if err := a.tx.QueryRow(ctx, sql, tok).Scan(&found); err != nil {
				return err
			}
			shared = shared || found
		}
		if shared {
			continue
		}
		if _, err := a.tx.Exec(ctx, "DELETE FROM sallyport.vault WHERE token = $1", tok); err != nil {
			return err
		}
		a.done.Vault = append(a.done.Vault, tok)
	}
	return nil
}

// Unshredded are those of some customers who have tokens that were not drawn at random.
func (s *Shred) Unshredded(ctx context.Context, customers []string) (left map[sallyport.Subject]bool, err error) {
	left = map[sallyport.Subject]bool{}
	err = s.each(ctx, customers, func(who sallyport.Subject, _ Column, _ string) { left[who] = true })
	return left, err
}

// each reads the tokens of some customers that were not drawn at random.
func (s *Shred) each(ctx context.Context, customers []string, do func(who sallyport.Subject, c Column, tok string)) error {
	for _, of := range s.Rows {
		rows, err := s.Conn.Query(ctx, of.SQL, customers)
		if err != nil {
			return fmt.Errorf("look for tokens of shredded customers: %w", withoutValues(err))
		}
		values := make([]*string, 3+len(of.Columns))
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		_, err = pgx.ForEachRow(rows, into, func() error {
			for i, c := range of.Columns {
				if v := values[3+i]; v != nil && !s.Dead(c, *v) {
					do(sallyport.Subject(*values[0]), c, *v)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("look for tokens of shredded customers: %w", withoutValues(err))
		}
	}
	return nil
}

// ShredGrants are the statements that let a role shred.
func ShredGrants(columns []Column, role string) []string {
	var grants []string
	for _, c := range columns {
		grants = append(grants, fmt.Sprintf("GRANT SELECT, UPDATE (%s) ON %s TO %s", pgx.Identifier{c.Column.Name}.Sanitize(),
			pgx.Identifier{c.Column.Schema, c.Column.Table}.Sanitize(), pgx.Identifier{role}.Sanitize()))
	}
	for _, c := range columns {
		if c.Overflow != nil {
			return append(grants, "GRANT DELETE ON sallyport.vault TO "+pgx.Identifier{role}.Sanitize())
		}
	}
	return grants
}

// MissingToShred are the columns that the connection's role may not update, and the vault.
func MissingToShred(ctx context.Context, conn *pgx.Conn, columns []Column) (missing []string, err error) {
	vault := false
	for _, c := range columns {
		var may bool
		err := conn.QueryRow(ctx, "SELECT pg_catalog.has_column_privilege(pg_catalog.quote_ident($1) || '.' || pg_catalog.quote_ident($2), $3, 'UPDATE')",
			c.Column.Schema, c.Column.Table, c.Column.Name).Scan(&may)
		if err != nil {
			return nil, fmt.Errorf("look at the reader's privileges on %s: %w", c.Column, err)
		}
		if !may {
			missing = append(missing, c.Column.String())
		}
		vault = vault || c.Overflow != nil
	}
	if vault {
		var may bool
		if err := conn.QueryRow(ctx, "SELECT pg_catalog.has_table_privilege('sallyport.vault', 'DELETE')").Scan(&may); err != nil {
			return nil, fmt.Errorf("look at the reader's privileges on the vault: %w", err)
		}
		if !may {
			missing = append(missing, "sallyport.vault")
		}
	}
	return missing, nil
}

// Reached are the columns in which a customer is found.
func (s *Shred) Reached() []Column {
	var columns []Column
	for _, rows := range s.Rows {
		columns = append(columns, rows.Columns...)
	}
	return columns
}
