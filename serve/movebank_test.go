package serve

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/token"
)

const bankAccounts = 500

// bank is a table of accounts with integers and uuids that others refer to, at once, deferred and cascading, and itself. Which account a row is of stands in it twice: by its number, and by the
// account's id, which is not protected. What an account's number and device are its id tells, and of a device how often it was changed.
func bank(f *fort) {
	f.superExec(f.database, fmt.Sprintf(`
CREATE TABLE support.accounts (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, number bigint NOT NULL UNIQUE, device uuid UNIQUE, changed int NOT NULL DEFAULT 0,
	parent bigint CONSTRAINT parents REFERENCES support.accounts (number), owner bigint);
CREATE TABLE support.payments (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, owner bigint NOT NULL, account bigint NOT NULL CONSTRAINT pays REFERENCES support.accounts (number),
	device uuid CONSTRAINT sent_by REFERENCES support.accounts (device) ON UPDATE CASCADE, note text);
CREATE TABLE support.cards (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, owner bigint, payer bigint CONSTRAINT payer REFERENCES support.accounts (number) ON UPDATE RESTRICT,
	payee bigint CONSTRAINT payee REFERENCES support.accounts (number) DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON support.payments (account);
CREATE INDEX ON support.payments (owner);
CREATE FUNCTION number(id bigint) RETURNS bigint LANGUAGE sql AS 'SELECT id * 7919 - 1000000';
INSERT INTO support.accounts SELECT id, id, number(id), md5(id || ' 0')::uuid, 0, CASE WHEN id > 1 THEN number(id / 2) END, id / 2 FROM generate_series(1::bigint, %[1]d) AS id;
INSERT INTO support.payments SELECT id, 1 + id * 31 %% %[1]d, 1 + id * 31 %% %[1]d, number(1 + id * 31 %% %[1]d), CASE WHEN id %% 3 > 0 THEN md5((1 + id * 31 %% %[1]d) || ' 0')::uuid END, 'note' FROM generate_series(1::bigint, 3 * %[1]d) AS id;
INSERT INTO support.cards SELECT id, 1 + id * 17 %% %[1]d, 1 + id * 17 %% %[1]d, CASE WHEN id %% 4 > 0 THEN number(1 + id * 17 %% %[1]d) END, number(1 + id * 17 %% %[1]d) FROM generate_series(1::bigint, %[1]d) AS id;
DROP FUNCTION number;
GRANT SELECT, INSERT, UPDATE, DELETE ON support.accounts, support.payments, support.cards TO support_agents;
ANALYZE`, bankAccounts))
	lines := ""
	for _, c := range []string{"accounts.number", "accounts.parent", "payments.account", "cards.payer", "cards.payee"} {
		lines += "    support." + c + ": {class: identity, scheme: int8}\n"
	}
	f.edit("  paths:\n", lines+"    support.accounts.device: {class: identity, scheme: uuid}\n    support.payments.device: {class: identity, scheme: uuid}\n"+
		"  paths:\n    support.accounts: customer_id\n    support.payments: customer_id\n    support.cards: customer_id\n")
}

func bankNumber(id int64) int64 { return id*7919 - 1_000_000 }

func bankDevice(id int64, changed int) string {
	sum := md5.Sum([]byte(fmt.Sprintf("%d %d", id, changed))) //nolint:gosec // as the table has it
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:])
}

// checkBank holds every row to what its account's id tells.
func (f *fort) checkBank(t *testing.T, tokens bool) {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	defer opened.Close()
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	codecs := map[string]*token.Codec{}
	for _, c := range columns {
		codecs[c.Column.Table+"."+c.Column.Name] = c.Codec
	}
	admin := f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }()
	for _, c := range []struct{ name, owner, device string }{
		{"accounts.number", "id", ""},
		{"accounts.parent", "owner", ""},
		{"accounts.device", "id", "changed"},
		{"payments.account", "owner", ""},
		{"payments.device", "owner", "(SELECT a.changed FROM support.accounts a WHERE a.id = t.owner)"},
		{"cards.payer", "owner", ""},
		{"cards.payee", "owner", ""},
	} {
		table, column := c.name[:slices.Index([]byte(c.name), '.')], c.name[slices.Index([]byte(c.name), '.')+1:]
		changed := "0"
		if c.device != "" {
			changed = c.device
		}
		rows, err := admin.Query(t.Context(), fmt.Sprintf("SELECT t.id, coalesce(t.%s, 0), %s, t.%s::text FROM support.%s t WHERE t.%s IS NOT NULL", c.owner, changed, column, table, column))
		fatal(t, err)
		var id, owner int64
		var times, seen, wrong int
		var stored string
		_, err = pgx.ForEachRow(rows, []any{&id, &owner, &times, &stored}, func() error {
			seen++
			plain := []byte(stored)
			if tokens {
				var err error
				if plain, err = codecs[c.name].Reveal(nil, plain); err != nil {
					return err
				}
			}
			want := fmt.Sprint(bankNumber(owner))
			if c.device != "" {
				want = bankDevice(owner, times)
			}
			if string(plain) != want || tokens && stored == want {
				if wrong++; wrong < 4 {
					t.Errorf("%s of row %d of account %d is %s (stored %s), want %s", c.name, id, owner, plain, stored, want)
				}
			}
			return nil
		})
		if err != nil || seen < bankAccounts*3/4-1 {
			t.Errorf("%s: %d rows, %v", c.name, seen, err)
		}
		if wrong > 0 {
			t.Errorf("%s: %d of %d rows are wrong", c.name, wrong, seen)
		}
	}
	var kept int
	fatal(t, admin.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM support.accounts WHERE id BETWEEN 1 AND $1) + (SELECT count(*) FROM support.payments WHERE abs(id) <= 3 * $1) + (SELECT count(*) FROM support.cards WHERE abs(id) <= $1)", bankAccounts).Scan(&kept))
	if kept != 5*bankAccounts {
		t.Errorf("%d of the %d rows of before are there", kept, 5*bankAccounts)
	}
	var left int
	fatal(t, admin.QueryRow(t.Context(), "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'sallyport' AND relname IN ('ranges', 'formless', 'written', 'announced', 'written_as')").Scan(&left))
	if left > 0 {
		t.Errorf("%d tables of the way are left", left)
	}
}

// bankOwn is the first id of rows that an application adds.
const bankOwn = 1_000_000

// bankWork is what an application does to the bank in round n, each statement by itself. Whether one was done makes no difference to what its rows have to hold.
func bankWork(n int64) []bankStatement {
	account, id := 1+n*37%bankAccounts, bankOwn+n
	old := 1 + n*41%(3*bankAccounts)
	of := 1 + old*31%bankAccounts
	list := []bankStatement{
		{"INSERT INTO support.payments (id, owner, account, note) VALUES ($1, $2, $3, 'new')", []any{id, account, bankNumber(account)}, ""},
		{"INSERT INTO support.accounts (id, number, device, parent, owner) VALUES ($1, $2, $3, $4, $5)", []any{id, bankNumber(id), bankDevice(id, 0), bankNumber(account), account}, ""},
		{"INSERT INTO support.payments (id, owner, account, device) VALUES ($1, $2, $3, $4)", []any{id + 500_000, id, bankNumber(id), bankDevice(id, 0)}, ""},
		{"UPDATE support.payments SET account = $2, note = 'saved' WHERE owner = $1 AND id = $3", []any{of, bankNumber(of), old}, ""},
		{"UPDATE support.payments SET account = $2, owner = $1 WHERE id = $3", []any{account, bankNumber(account), id}, ""},
		{"INSERT INTO support.payments (id, owner, account) VALUES ($1, 0, $2)", []any{2 * id, bankNumber(-id)}, "23503"},
		{"INSERT INTO support.accounts (id, number) VALUES ($1, $2)", []any{-id, bankNumber(account)}, "23505"},
	}
	switch n % 4 {
	case 0:
		list = append(list, bankStatement{"UPDATE support.accounts SET device = $2, changed = 1 WHERE id = $1", []any{id, bankDevice(id, 1)}, ""}) // cascades to a payment
	case 1:
		list = append(list, bankStatement{fmt.Sprintf("BEGIN; INSERT INTO support.cards (id, owner, payee) VALUES (%[1]d, %[1]d, %[2]d); INSERT INTO support.accounts (id, number) VALUES (%[1]d, %[2]d); COMMIT", -id, bankNumber(-id)), nil, ""}) // what it refers to comes later
	case 2:
		list = append(list, bankStatement{"UPDATE support.payments SET id = -id WHERE id IN ($1, $2)", []any{old, -old}, ""})
	default:
		list = append(list, bankStatement{fmt.Sprintf("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM support.payments; INSERT INTO support.cards (id, owner, payer, payee) VALUES (%d, %d, %[3]d, %[3]d); COMMIT", id, account, bankNumber(account)), nil, ""})
	}
	return list
}

type bankStatement struct {
	sql   string
	args  []any
	fails string // the code that it has to fail with
}

// teller is an application that works with the bank, and knows whom each row is of.
type teller struct {
	c             *pgx.Conn
	n             int64
	done          atomic.Int64
	busy, refused int
}

func (w *teller) work(ctx context.Context) error {
	for ; ctx.Err() == nil; w.n++ {
		if err := w.step(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("step %d: %w", w.n, err)
		}
		w.done.Add(1)
	}
	return nil
}

func (w *teller) step(ctx context.Context) error {
	for _, s := range bankWork(w.n) {
		if err := w.do(ctx, s); err != nil {
			return err
		}
	}
	account := 1 + w.n*37%bankAccounts
	var joined, owned, found, grouped int
	err := w.c.QueryRow(ctx, `SELECT (SELECT count(*) FROM support.accounts a JOIN support.payments p ON p.account = a.number WHERE a.id = $1), (SELECT count(*) FROM support.payments WHERE owner = $1),
		(SELECT count(*) FROM support.payments WHERE account = $2), (SELECT count(*) FROM (SELECT account FROM support.payments WHERE owner = $1 GROUP BY account) AS g)`, account, bankNumber(account)).Scan(&joined, &owned, &found, &grouped)
	if err != nil || joined != owned || found != owned || grouped != 1 {
		return fmt.Errorf("account %d has %d payments, %d by a join, %d by its number, of %d numbers: %w", account, owned, joined, found, grouped, err)
	}
	var of int64
	if err := w.c.QueryRow(ctx, "SELECT id FROM support.accounts WHERE number = $1 AND device = $2", bankNumber(account), bankDevice(account, 0)).Scan(&of); err != nil || of != account {
		return fmt.Errorf("account %d is found as %d: %w", account, of, err)
	}
	return nil
}

// do tries a statement until nobody is in its way.
func (w *teller) do(ctx context.Context, s bankStatement) error {
	for {
		_, err := w.c.Exec(ctx, s.sql, s.args...)
		if w.c.PgConn().TxStatus() != 'I' {
			if _, err := w.c.Exec(ctx, "ROLLBACK"); err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
		}
		switch code := codeOf(err); {
		case code == s.fails:
			if err != nil && code == "" {
				return err
			}
			return nil
		case code == "55P03", code == "40P01", code == "40001":
			w.busy++
		case code == "55006":
			w.refused++
			return nil
		default:
			return fmt.Errorf("%s: %w", s.sql, errors.Join(err, fmt.Errorf("wanted %q", s.fails)))
		}
	}
}

// transacts works in transactions of several statements, so that some are open at any moment.
func (w *teller) transacts(ctx context.Context) error {
	for ; ctx.Err() == nil; w.n++ {
		ctx := context.WithoutCancel(ctx)
		err := pgx.BeginFunc(ctx, w.c, func(tx pgx.Tx) error {
			for _, s := range bankWork(w.n)[:5] {
				if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
					return fmt.Errorf("transaction %d: %s: %w", w.n, s.sql, err)
				}
			}
			return nil
		})
		switch code := codeOf(err); {
		case err == nil:
			w.done.Add(1)
		case code == "55P03", code == "40P01", code == "40001":
			w.busy++
		case code == "55006":
			w.refused++
		default:
			return err
		}
	}
	return nil
}

// TestMoveBank moves integers and uuids under foreign keys in and out while an application works on all sides of them.
func TestMoveBank(t *testing.T) {
	if !large() {
		t.Skip("three minutes: part of make siege")
	}
	f := newPlainFort(t, bank)
	constraints := f.ask(selectConstraints)
	indexes := f.ask("SELECT string_agg(indexdef, E'\n' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'support' AND indexname !~ 'sallyport_name'")
	w := &teller{c: f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn}
	all := []*teller{w}
	for i := range int64(3) {
		all = append(all, &teller{c: f.connect(f.org.Agents()[i%2].ID, pgx.QueryExecModeCacheStatement).Conn, n: 100_000 * (i + 1)})
	}
	run := func(do func() error) {
		t.Helper()
		whileWorking(t, func(ctx context.Context) error {
			ended := make(chan error, len(all))
			for _, other := range all[1:] {
				go func() { ended <- other.transacts(ctx) }()
			}
			err := w.work(ctx)
			for range all[1:] {
				err = errors.Join(err, <-ended)
			}
			return err
		}, &w.done, do)
		for _, w := range all {
			t.Logf("%d rounds, %d statements or transactions tried again", w.done.Load(), w.busy)
			if w.refused > 0 {
				t.Errorf("%d writes were refused", w.refused)
			}
		}
		if t.Failed() {
			t.Fatalf("serve says: %s", f.log.String()[max(0, len(f.log.String())-3000):])
		}
		if after := f.ask(selectConstraints); after != constraints {
			t.Errorf("the foreign keys are\n%s\nafterwards, before\n%s", after, constraints)
		}
	}
	slowly := func(o *LiveOptions) { o.Rate = 5000 }
	run(func() error { _, err := f.moveIn(slowly); return err })
	f.checkBank(t, true)
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(t.Context(), id)
	fatal(t, err)
	run(func() error {
		_, err := f.moveIn(slowly, func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		return err
	})
	f.checkBank(t, false)
	if after := f.ask("SELECT string_agg(indexdef, E'\n' ORDER BY indexdef) FROM pg_indexes WHERE schemaname = 'support'"); after != indexes {
		t.Errorf("the indexes are\n%s\nonce it is undone, before\n%s", after, indexes)
	}
}

// TestMoveBankInKilled kills protect and serve at random moments (kill -9) while such columns move in and an application works with them. SALLYPORT_SIEGE kills fifty times.
func TestMoveBankInKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 3
	if large() {
		kills = 50
	}
	for done := 0; done < kills && !t.Failed(); {
		f := newPlainFort(t, bank)
		done += moveInKilled(t, f, kills-done, "", killSomebody)
		f.checkBank(t, true)
	}
}

// TestMoveBankOutKilled is that on the way back.
func TestMoveBankOutKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 2
	if large() {
		kills = 50
	}
	for done := 0; done < kills && !t.Failed(); {
		f := newPlainFort(t, bank)
		_, err := f.moveIn()
		fatal(t, err)
		id, err := f.officer("o1").Undo(t.Context(), "moving out")
		fatal(t, err)
		_, err = f.officer("o2").Approve(t.Context(), id)
		fatal(t, err)
		done += moveInKilled(t, f, kills-done, id, killSomebody)
		f.checkBank(t, false)
	}
}

// bank is a round of an application whose connection may break at any statement.
func (w *survivor) bank(ctx context.Context, conn *pgx.Conn, n int64) bool {
	if _, there := w.p.f.config.Protect.Columns["support.accounts.number"]; !there {
		return true
	}
	for _, s := range bankWork(n) {
		_, err := conn.Exec(ctx, s.sql, s.args...)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Severity != "FATAL" {
			if conn.PgConn().TxStatus() != 'I' {
				if _, err := conn.Exec(ctx, "ROLLBACK"); !w.judge(conn, err) {
					return false
				}
			}
			switch {
			case refused.Code == s.fails:
				continue
			case slices.Contains([]string{"40001", "40P01"}, refused.Code):
				return false
			}
		} else if err == nil && s.fails != "" {
			w.problem("%s was done, wanted %s", s.sql, s.fails)
		}
		if !w.judge(conn, err) {
			return false
		}
	}
	return true
}
