package serve

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestMoveBack undoes protection in the middle of moving in, cuts that too, and goes on: every row is what it was, and it moves in again from there.
func TestMoveBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, bonds, kinds)
	f.cutLive(t, func(*LiveOptions) {})
	moving, _ := f.server.State.Moving(f.database)
	if len(moving) == 0 {
		t.Fatal("it was cut before anything moved: this test proves nothing")
	}
	id, err := f.officer("o1").Undo(f.ctx, "not now")
	fatal(t, err)
	if _, err := f.moveIn(func(o *LiveOptions) { o.Undo, o.Proposal = true, id }); err == nil || !strings.Contains(err.Error(), "Two people") {
		t.Errorf("undone by one: %v", err)
	}
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	f.cutLive(t, func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
	k := &kinder{f: f, c: f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn}
	whileWorking(t, k.work, &k.done, func() error {
		_, err := f.moveIn(func(o *LiveOptions) { o.Undo = true })
		return err
	})
	f.checkKinds(t, false)
	f.plainCustomers(t)
	whileWorking(t, k.work, &k.done, func() error {
		_, err := f.moveIn()
		return err
	})
	f.checkKinds(t, true)
	plain := f.plain(t)
	newTenant(f, nil).check(t, func(stored string) string { return plain("email", stored) })
}

// plainCustomers holds the customers to be in plain what they were.
func (f *fort) plainCustomers(t *testing.T) {
	t.Helper()
	admin := f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(f.ctx)) }()
	rows, err := admin.Query(f.ctx, "SELECT id, full_name, lower(email), coalesce(phone, ''), coalesce(birth_date::text, '') FROM support.customers ORDER BY id")
	fatal(t, err)
	var id int64
	row := make([]string, 4)
	seen := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &row[0], &row[1], &row[2], &row[3]}, func() error {
		seen++
		c := f.org.Customer(id)
		want := []string{c.FullName, strings.ToLower(c.Email), c.Phone, c.BirthDate.Format("2006-01-02")}
		if c.BirthDate.IsZero() {
			want[3] = ""
		}
		if fmt.Sprint(row) != fmt.Sprint(want) {
			t.Errorf("customer %d is %q, want %q", id, row, want)
		}
		return nil
	})
	if err != nil || seen != fortCustomers {
		t.Errorf("%d customers, %v", seen, err)
	}
}
