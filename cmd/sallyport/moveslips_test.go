package main

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// slips is a table that refers to kinds by a bigint and twice by a uuid. Which rows it refers to is kept beside it, by their first keys.
func slips(f *fort) {
	f.superExec(f.database, `CREATE TABLE support.slips (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, account bigint CONSTRAINT slip_account REFERENCES support.kinds (account) ON UPDATE RESTRICT,
	device uuid NOT NULL REFERENCES support.kinds (device) DEFERRABLE INITIALLY DEFERRED, previous uuid REFERENCES support.kinds (device) ON UPDATE CASCADE, of_account bigint, of_device bigint, of_previous bigint);
INSERT INTO support.slips SELECT id, customer_id, account, device, md5((1 + id % 50)::text)::uuid, id, id, 1 + id % 50 FROM support.kinds WHERE id % 2 = 0 OR id < 100;
CREATE INDEX ON support.slips (previous);
GRANT SELECT, INSERT, UPDATE, DELETE ON support.slips TO support_agents;
ANALYZE`)
	lines := ""
	for _, c := range []string{"account: {class: identity, scheme: int8}", "device: {class: identity, scheme: uuid}", "previous: {class: identity, scheme: uuid}"} {
		lines += "    support.slips." + c + "\n"
	}
	f.edit("  paths:\n", lines+"  paths:\n    support.slips: customer_id\n")
}

const insertSlip = "INSERT INTO support.slips (id, account, device, previous, of_account, of_device, of_previous) VALUES ($1, $2, $3, $4, $5, $6, $7)"

func slipOf(id, account, device, previous int64) []any {
	return []any{id, account*7919 - 1_000_000, kindDevice(device), kindDevice(previous), account, device, previous}
}

// checkSlips holds each row to those that it referred to first, by what stands in the database, and every foreign key to being whole.
func (f *fort) checkSlips(t *testing.T, constraints string) {
	t.Helper()
	admin := f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }() // nobody may be around the gateway
	var rows, wrong int
	err := admin.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE coalesce(a.origin, a.id) IS DISTINCT FROM s.of_account OR coalesce(d.origin, d.id) IS DISTINCT FROM s.of_device OR coalesce(p.origin, p.id) IS DISTINCT FROM s.of_previous)
		FROM support.slips s LEFT JOIN support.kinds a USING (account) LEFT JOIN support.kinds d ON d.device = s.device LEFT JOIN support.kinds p ON p.device = s.previous`).Scan(&rows, &wrong)
	if err != nil || rows < kindRows/2 || wrong > 0 {
		t.Errorf("%d of %d slips refer to other rows than before, %v", wrong, rows, err)
	}
	if after := f.ask(selectConstraints); after != constraints {
		t.Errorf("the foreign keys are\n%s\nafterwards, before\n%s", after, constraints)
	}
}

// slips adds one that refers to a row, one that refers to none, and joins over the key.
func (k *kinder) slips(ctx context.Context, id int64) error {
	slip := 1_000_000 + k.i
	if err := k.tries(ctx, func() {}, insertSlip, slipOf(slip, id, id, 1+k.i%50)...); err != nil {
		return err
	}
	_, err := k.c.Exec(ctx, insertSlip, slip+500_000, 1, kindDevice(id), kindDevice(-slip), nil, nil, nil)
	if codeOf(err) != "23503" && !isBusy(err) {
		return fmt.Errorf("a slip that refers to nothing: %w", err)
	}
	for column, of := range map[string]string{"account": "of_account", "device": "of_device"} {
		var found, want int
		if err := k.c.QueryRow(ctx, "SELECT count(*) FROM support.slips WHERE "+of+" = $1", id).Scan(&want); err != nil {
			return err
		}
		sql := fmt.Sprintf("SELECT count(*) FROM support.slips s JOIN support.kinds k ON k.%s = s.%[1]s WHERE k.id = $1", column)
		if err := k.c.QueryRow(ctx, sql, id).Scan(&found); err != nil || found != want {
			return fmt.Errorf("%s of row %d: %d, want %d, %w", sql, id, found, want, err)
		}
	}
	return nil
}

// TestMoveSlips moves integers and uuids that foreign keys hold equal in and out again under work.
func TestMoveSlips(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds, slips)
	constraints := f.ask(selectConstraints)
	k := &kinder{f: f, bound: true, c: f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn}
	run := func(tokens bool, do func() error) {
		t.Helper()
		masked := k.masked
		whileWorking(t, k.work, &k.done, do)
		t.Logf("%d rounds, %d values hidden, %d writes done, %d held up, %d refused", k.done.Load(), k.masked, k.written, k.busy, k.denied)
		if t.Failed() {
			t.Fatalf("serve says: %s", f.log.String()[max(0, len(f.log.String())-3000):])
		}
		f.checkKinds(t, tokens)
		k.checkKept(t, tokens)
		f.checkSlips(t, constraints)
		if k.masked == masked || k.denied > 0 {
			t.Errorf("%d reads while they were on their way, %d writes refused", k.masked-masked, k.denied)
		}
	}
	slowly := func(o *LiveOptions) { o.Rate = 20_000 }
	run(true, func() error { _, err := f.moveIn(slowly); return err })
	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(t.Context(), id)
	fatal(t, err)
	run(false, func() error {
		_, err := f.moveIn(slowly, func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		return err
	})
}
