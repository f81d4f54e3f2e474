package protect_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	dice "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// rotating is a protected database whose keys are of one epoch, and then of two.
type rotating struct {
	database string
	ring     *token.Ring
	columns  []protect.Column
	before   map[string]string // every value, by table, row and column
}

func (r *rotating) keys(tb testing.TB, epochs ...int) token.Keys {
	tb.Helper()
	keys := token.Keys{Groups: map[string][]token.DataKey{}}
	for _, epoch := range epochs {
		secret, err := token.NewSecret(bytes.Repeat([]byte{byte(epoch)}, 32))
		if err != nil {
			tb.Fatal(err)
		}
		keys.Record = secret
		for _, group := range []string{"name", "email", "phone", "date", "text", "number"} {
			keys.Groups[group] = append(keys.Groups[group], token.DataKey{Epoch: epoch, Secret: secret})
		}
	}
	return keys
}

func newRotating(tb testing.TB, customers int64) *rotating {
	tb.Helper()
	r := &rotating{}
	r.database, _ = newDatabase(tb, customers)
	var err error
	if r.ring, err = token.NewKeyedRing(r.keys(tb, 1), token.Settings{}); err != nil {
		tb.Fatal(err)
	}
	o := options(tb, r.database)
	for _, c := range o.Columns {
		spec := c.Codec.Spec()
		if spec.Scheme == sallyport.Number {
			spec.NextPrefixes = map[string]string{"CS": "ZX"}
		}
		codec, err := r.ring.Codec(spec)
		if err != nil {
			tb.Fatal(err)
		}
		r.columns = append(r.columns, protect.Column{Column: c.Column, Codec: codec})
	}
	o.Columns = r.columns
	if _, err := protect.Run(tb.Context(), o); err != nil {
		tb.Fatal(err)
	}
	r.before = r.values(tb)
	return r
}

// values reveals everything.
func (r *rotating) values(tb testing.TB) map[string]string {
	tb.Helper()
	conn := connect(tb, cluster.SuperDSN(r.database))
	defer conn.Close(tb.Context())
	all := map[string]string{}
	for _, c := range r.columns {
		rows, err := conn.Query(tb.Context(), fmt.Sprintf("SELECT id, %s::text FROM %s.%s", c.Column.Name, c.Column.Schema, c.Column.Table))
		if err != nil {
			tb.Fatal(err)
		}
		for rows.Next() {
			var id int64
			var stored *string
			if err := rows.Scan(&id, &stored); err != nil {
				tb.Fatal(err)
			}
			value := "NULL"
			if stored != nil {
				plain, err := c.Codec.Reveal(nil, []byte(*stored))
				if err != nil {
					tb.Fatalf("%s of row %d cannot be read", c.Column, id)
				}
				value = string(plain)
			}
			all[fmt.Sprintf("%s %d", c.Column, id)] = value
		}
		if rows.Err() != nil {
			tb.Fatal(rows.Err())
		}
	}
	return all
}

// renewals are one for each table.
func (r *rotating) renewals(tb testing.TB) []*protect.Renewal {
	tb.Helper()
	var list []*protect.Renewal
	for _, table := range []string{"customers", "tickets", "messages"} {
		w := &protect.Renewal{Conn: connect(tb, cluster.SuperDSN(r.database)), Table: protect.Table{Schema: "support", Name: table}, Random: rand.Reader, Pages: 3}
		for _, c := range r.columns {
			if c.Column.Table == table {
				w.Columns = append(w.Columns, c)
			}
		}
		list = append(list, w)
	}
	return list
}

// rest goes on until a pass has nothing to do.
func rest(tb testing.TB, w *protect.Renewal) (rows int64) {
	tb.Helper()
	for pass := 1; ; pass++ {
		done, err := w.Pass(tb.Context())
		if err != nil {
			tb.Fatal(err)
		}
		rows += done.Rows
		if done.Broken > 0 || done.Stuck > 0 {
			tb.Fatalf("%+v", done)
		}
		if done.Done() {
			return rows
		}
		if pass == 20 {
			tb.Fatalf("after 20 passes there are still old tokens: %+v", done)
		}
	}
}

// older counts the tokens of older epochs, by form.
func (r *rotating) older(tb testing.TB) (n int) {
	tb.Helper()
	conn := connect(tb, cluster.SuperDSN(r.database))
	defer conn.Close(tb.Context())
	for _, c := range r.columns {
		rows, err := conn.Query(tb.Context(), fmt.Sprintf("SELECT %s::text FROM %s.%s WHERE %[1]s IS NOT NULL", c.Column.Name, c.Column.Schema, c.Column.Table))
		if err != nil {
			tb.Fatal(err)
		}
		stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			tb.Fatal(err)
		}
		for _, s := range stored {
			if c.Codec.Epoch([]byte(s)) != c.Codec.Epochs()[0] {
				n++
			}
		}
	}
	return n
}

func (r *rotating) unchanged(tb testing.TB) {
	tb.Helper()
	after := r.values(tb)
	if len(after) != len(r.before) {
		tb.Fatalf("%d values, want %d", len(after), len(r.before))
	}
	for where, value := range r.before {
		if after[where] != value {
			tb.Fatalf("%s is another value", where)
		}
	}
}

// TestRenew gives every token a new epoch, twice, and each value stays what it was; without the older key too.
func TestRenew(t *testing.T) {
	r := newRotating(t, 300)
	for epoch := 2; epoch <= 3; epoch++ {
		if err := r.ring.Rekey(r.keys(t, epoch, epoch-1)); err != nil {
			t.Fatal(err)
		}
		if r.older(t) == 0 {
			t.Fatal("nothing to do: this test would prove nothing")
		}
		for _, w := range r.renewals(t) {
			if rest(t, w) == 0 {
				t.Errorf("nothing was renewed in %s", w.Table.Name)
			}
		}
		if n := r.older(t); n != 0 {
			t.Errorf("%d tokens are of an older epoch", n)
		}
		if err := r.ring.Rekey(r.keys(t, epoch)); err != nil {
			t.Fatal(err)
		}
		r.unchanged(t)
	}
}

// TestRenewCut cuts the run at random moments, as a crash does, and begins anew: no value is lost, none is renewed for nothing.
func TestRenewCut(t *testing.T) {
	r := newRotating(t, 300)
	if err := r.ring.Rekey(r.keys(t, 2, 1)); err != nil {
		t.Fatal(err)
	}
	roll := dice.New(dice.NewPCG(1, 2))
	for range 30 {
		list := r.renewals(t)
		w := list[roll.IntN(len(list))]
		ctx, cancel := context.WithCancel(t.Context())
		steps := roll.IntN(4)
		w.Pause = func(context.Context, int) error {
			if steps--; steps < 0 {
				time.AfterFunc(time.Duration(roll.IntN(3000))*time.Microsecond, cancel)
			}
			return nil
		}
		if _, err := w.Pass(ctx); err == nil {
			cancel()
		}
		cancel()
	}
	r.unchanged(t)
	for _, w := range r.renewals(t) {
		rest(t, w)
		if done, err := w.Pass(t.Context()); err != nil || done.Rows != 0 {
			t.Errorf("what is new was renewed: %+v, %v", done, err)
		}
	}
	r.unchanged(t)
}

// TestRenewBeside lets others change, insert, delete and lock rows meanwhile: what they write stays.
func TestRenewBeside(t *testing.T) {
	r := newRotating(t, 300)
	if err := r.ring.Rekey(r.keys(t, 2, 1)); err != nil {
		t.Fatal(err)
	}
	email := r.columns[slices.IndexFunc(r.columns, func(c protect.Column) bool { return c.Column.Name == "email" })]
	locked := connect(t, cluster.SuperDSN(r.database))
	if _, err := locked.Exec(t.Context(), "BEGIN; SELECT FROM support.customers WHERE id = 5 FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	wrote := map[string]string{}
	group.Go(func() {
		conn := connect(t, cluster.SuperDSN(r.database))
		for i := int64(10); ctx.Err() == nil && i < 290; i++ {
			value := fmt.Sprintf("new.%d@example.com", i)
			tok, err := email.Codec.Tokenise(nil, []byte(value), nil)
			if err == nil {
				_, err = conn.Exec(t.Context(), "UPDATE support.customers SET email = $1 WHERE id = $2", string(tok), i)
			}
			if err != nil {
				t.Error(err)
				return
			}
			wrote[fmt.Sprintf("%s %d", email.Column, i)] = value
		}
	})
	list := r.renewals(t)
	for _, w := range list {
		if _, err := w.Conn.Exec(t.Context(), "SET lock_timeout = '50ms'"); err != nil {
			t.Fatal(err)
		}
	}
	done, err := list[0].Pass(t.Context())
	if err != nil || done.Left == 0 {
		t.Errorf("a locked row is left for the next pass: %+v, %v", done, err)
	}
	group.Wait()
	if _, err := locked.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	for _, w := range list {
		rest(t, w)
	}
	maps.Copy(r.before, wrote)
	r.unchanged(t)
}

// TestRenewStuck meets a row that the database will not have changed: the others are renewed, and it is told which constraint it was.
func TestRenewStuck(t *testing.T) {
	r := newRotating(t, 60)
	conn := connect(t, cluster.SuperDSN(r.database))
	if _, err := conn.Exec(t.Context(), "ALTER TABLE support.customers ADD CONSTRAINT held CHECK (id <> 7 OR email LIKE '%k1.invalid')"); err != nil {
		t.Fatal(err)
	}
	if err := r.ring.Rekey(r.keys(t, 2, 1)); err != nil {
		t.Fatal(err)
	}
	done, err := r.renewals(t)[0].Pass(t.Context())
	if err != nil || done.Stuck != 1 || done.Why == nil || !strings.Contains(done.Why.Error(), "held") || done.Rows != 59 {
		t.Errorf("%+v, %v", done, err)
	}
	if strings.Contains(fmt.Sprint(done.Why), "@") {
		t.Errorf("the reason quotes a value: %v", done.Why)
	}
	r.unchanged(t)
}

// TestRenewPartitions looks into partitions and children.
func TestRenewPartitions(t *testing.T) {
	r := newRotating(t, 60)
	conn := connect(t, cluster.SuperDSN(r.database))
	_, err := conn.Exec(t.Context(), `ALTER TABLE support.customers RENAME TO former;
		CREATE TABLE support.customers (LIKE support.former) PARTITION BY RANGE (id);
		CREATE TABLE support.low PARTITION OF support.customers FOR VALUES FROM (0) TO (30);
		CREATE TABLE support."High er" PARTITION OF support.customers DEFAULT;
		INSERT INTO support.customers SELECT * FROM support.former`)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.ring.Rekey(r.keys(t, 2, 1)); err != nil {
		t.Fatal(err)
	}
	list := r.renewals(t)
	if rows := rest(t, list[0]); rows != 60 {
		t.Errorf("%d rows were renewed, want 60", rows)
	}
	if err := errors.Join(list[1].Conn.Close(t.Context()), list[2].Conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	r.unchanged(t)
}
