package serve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// readRow is what an application without a reason reads of a row, and writes back as it read it.
type readRow struct {
	account int64
	tax     *int32
	device  string
	nick    string
	name    string
	email   string
	phone   *string
}

// saver is a program that saves whole rows.
type saver struct {
	f    *fort
	c    *pgx.Conn
	rows map[int64]readRow
}

func (s *saver) read(ctx context.Context, ids ...int64) error {
	for _, id := range ids {
		var r readRow
		err := s.c.QueryRow(ctx, "SELECT account, tax, device, nick FROM support.kinds WHERE id = $1", id).Scan(&r.account, &r.tax, &r.device, &r.nick)
		if err != nil {
			return fmt.Errorf("read row %d: %w", id, err)
		}
		if err := s.c.QueryRow(ctx, "SELECT full_name, email, phone FROM support.customers WHERE id = $1", id).Scan(&r.name, &r.email, &r.phone); err != nil {
			return fmt.Errorf("read customer %d: %w", id, err)
		}
		s.rows[id] = r
	}
	return nil
}

func (s *saver) write(ctx context.Context) error {
	for id, r := range s.rows {
		if _, err := s.c.Exec(ctx, "UPDATE support.kinds SET account = $2, tax = $3, device = $4, nick = $5, note = 'as read' WHERE id = $1", id, r.account, r.tax, r.device, r.nick); err != nil {
			return fmt.Errorf("write row %d: %w", id, err)
		}
		if _, err := s.c.Exec(ctx, "UPDATE support.customers SET full_name = $2, email = $3, phone = $4 WHERE id = $1", id, r.name, r.email, r.phone); err != nil {
			return fmt.Errorf("write customer %d: %w", id, err)
		}
	}
	return nil
}

// every gives each of a few savers rows of its own, all over the table.
func every(n, of int64) (ids []int64) {
	for id := 1 + n; id <= 300; id += of {
		ids = append(ids, id)
	}
	return ids
}

// TestMoveOutWrittenBack: a program without a reason reads rows while their columns are protected, and while they leave, and saves them as it read them while they leave, and
// once they are plain: no row becomes another one by it.
func TestMoveOutWrittenBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds)
	f.superExec(f.database, "UPDATE support.customers SET email = upper(email) WHERE id % 4 = 0") // as somebody spells it
	_, err := f.moveIn()
	fatal(t, err)
	who := f.org.Agents()[0].ID
	var savers []*saver
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		for range 3 {
			savers = append(savers, &saver{f: f, c: f.connect(who, mode).Conn, rows: map[int64]readRow{}})
		}
	}
	early, twice, late := []*saver{savers[0], savers[3]}, []*saver{savers[1], savers[4]}, []*saver{savers[2], savers[5]}
	each := func(list []*saver, do func(n int64, s *saver) error) error {
		for _, s := range list {
			for n, other := range savers {
				if s == other {
					if err := do(int64(n), s); err != nil {
						return fmt.Errorf("saver %d: %w", n, err)
					}
				}
			}
		}
		return nil
	}
	read := func(n int64, s *saver) error { return s.read(f.ctx, every(n, 7)...) }
	write := func(_ int64, s *saver) error { return s.write(f.ctx) }
	fatal(t, each(early, read))
	fatal(t, each(twice, read))
	id, err := f.officer("o1").Undo(f.ctx, "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	read2 := 0
	_, err = f.moveIn(func(o *LiveOptions) {
		o.Undo, o.Proposal, o.RangeRows = true, id, 50
		o.Progress = func(table string, done, _ int64) {
			if moving, leaving := f.server.State.Moving(f.database); table != "support.kinds" || done < 100 || len(leaving) == 0 || len(moving) > 0 || read2 > 0 {
				return
			}
			read2++
			if err := each(twice, write); err != nil {
				t.Errorf("while they leave: %v", err)
			}
			if err := each(late, read); err != nil {
				t.Errorf("while they leave: %v", err)
			}
		}
	})
	fatal(t, err)
	if read2 != 1 {
		t.Fatalf("rows were read %d times on their way: this test proves nothing", read2)
	}
	for n, s := range late {
		if r, ok := s.rows[3+3*int64(n)]; !ok || r.account == (3+3*int64(n))*7919-1_000_000 {
			t.Error("a program without a reason read a number")
		}
	}
	fatal(t, each(early, write))
	f.restart() // which remembers no session
	for _, s := range late {
		mode := s.c.Config().DefaultQueryExecMode
		s.c = f.connect(who, mode).Conn
	}
	fatal(t, each(late, write))
	f.checkKinds(t, false)
	f.plainCustomers(t)
	if left := f.ask("SELECT count(*)::text FROM support.customers WHERE email LIKE '%.invalid' OR full_name LIKE 'tk1:%'"); left != "0" && !strings.HasPrefix(left, "0") {
		t.Errorf("%s customers hold tokens", left)
	}
}

// TestMoveInWrittenBack is that on the way in: what was read of plain rows, and of rows on their way, is saved while the columns move and once they are protected.
func TestMoveInWrittenBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds)
	f.superExec(f.database, "UPDATE support.customers SET email = upper(email) WHERE id % 4 = 0") // as somebody spells it
	who := f.org.Agents()[0].ID
	var savers []*saver
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeSimpleProtocol} {
		for range 3 {
			savers = append(savers, &saver{f: f, c: f.connect(who, mode).Conn, rows: map[int64]readRow{}})
		}
	}
	read := func(list ...int) (err error) {
		for _, n := range list {
			err = errors.Join(err, savers[n].read(f.ctx, every(int64(n), 7)...))
		}
		return err
	}
	write := func(list ...int) (err error) {
		for _, n := range list {
			err = errors.Join(err, savers[n].write(f.ctx))
		}
		return err
	}
	fatal(t, read(0, 3))
	met := 0
	_, err := f.moveIn(func(o *LiveOptions) {
		o.RangeRows = 50
		o.Progress = func(table string, done, _ int64) {
			if moving, _ := f.server.State.Moving(f.database); len(moving) == 0 {
				return
			}
			var err error
			switch {
			case met == 0: // nearly all is plain
				met, err = 1, read(2, 5)
			case met == 1 && table == "support.kinds" && done > kindRows+100: // half of it is tokens
				met, err = 2, errors.Join(write(0, 3), read(1, 4), write(1, 4))
			}
			if err != nil {
				t.Errorf("while they move: %v", err)
			}
		}
	})
	fatal(t, err)
	if met != 2 {
		t.Fatalf("rows were read %d times on their way: this test proves nothing", met)
	}
	fatal(t, write(2, 5))
	f.checkKinds(t, true)
	f.checkMoved(t)
}

// TestMoveOutBoundWrittenBack is that of columns that foreign keys hold equal: each holds at every moment, and in the end every row refers to what it did.
func TestMoveOutBoundWrittenBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, bonds)
	_, err := f.moveIn()
	fatal(t, err)
	n := newTenant(f, f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn)
	type place struct {
		table, column string
		id            int64
	}
	read := func(first int64) (map[place]string, error) {
		rows := map[place]string{}
		for id := first; id <= 300; id += 14 {
			for _, at := range []place{{"customers", "email", id}, {"subscriptions", "customer_email", id}, {"subscriptions", "referrer", id}, {"logins", "email", id}, {"devices", "login", id*10 + 1}} {
				var text string
				if err := n.c.QueryRow(f.ctx, fmt.Sprintf("SELECT %s FROM support.%s WHERE id = $1", at.column, at.table), at.id).Scan(&text); err != nil {
					return nil, fmt.Errorf("%v: %w", at, err)
				}
				if !strings.HasSuffix(text, ".invalid") {
					return nil, fmt.Errorf("%v is shown to who has no reason", at)
				}
				rows[at] = text
			}
		}
		return rows, nil
	}
	write := func(rows map[place]string) error {
		for at, text := range rows {
			if err := n.try(f.ctx, fmt.Sprintf("UPDATE support.%s SET %s = $2 WHERE id = $1", at.table, at.column), at.id, text); err != nil {
				return fmt.Errorf("%v: %w", at, err)
			}
		}
		return nil
	}
	before, err := read(2)
	fatal(t, err)
	early, err := read(4)
	fatal(t, err)
	id, err := f.officer("o1").Undo(f.ctx, "moving out")
	fatal(t, err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	var late map[place]string
	_, err = f.moveIn(func(o *LiveOptions) {
		o.Undo, o.Proposal, o.RangeRows = true, id, 50
		o.Progress = func(string, int64, int64) {
			if moving, leaving := f.server.State.Moving(f.database); len(moving) > 0 || len(leaving) == 0 || late != nil {
				return
			}
			var err error
			if late, err = read(6); err != nil || write(early) != nil {
				t.Errorf("while they leave: %v, %v", err, write(early))
			}
		}
	})
	fatal(t, err)
	fatal(t, errors.Join(write(before), write(late)))
	if len(late) == 0 {
		t.Fatal("nothing was read on its way: this test proves nothing")
	}
	n.check(t, strings.ToLower)
}
