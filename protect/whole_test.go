package protect_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
)

// TestUnfindable tells in which columns of large tables no index finds a value.
func TestUnfindable(t *testing.T) {
	database, _ := newDatabase(t, 10)
	conn := connect(t, cluster.SuperDSN(database))
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE support.large (id int, email text, wide text);
		INSERT INTO support.large SELECT i, 'a' || i, repeat('x', 1000) FROM generate_series(1, 24000) i;
		CREATE TABLE support.parted (id int, email text, wide text) PARTITION BY RANGE (id);
		CREATE TABLE support.part_1 PARTITION OF support.parted FOR VALUES FROM (0) TO (12000); CREATE TABLE support.part_2 PARTITION OF support.parted DEFAULT;
		INSERT INTO support.parted SELECT id, email, wide FROM support.large`)
	column := func(table string) sallyport.Column {
		return sallyport.Column{Schema: "support", Table: table, Name: "email"}
	}
	find := func(table string, want bool) {
		t.Helper()
		bare, err := protect.Unfindable(t.Context(), conn, []sallyport.Column{column(table)})
		if err != nil || len(bare) > 0 == want {
			t.Errorf("%s: %v, %v", table, bare, err)
		}
	}
	find("customers", true) // small
	find("large", false)
	exec("CREATE INDEX large_other ON support.large (id, email); CREATE INDEX large_some ON support.large (email) WHERE id > 5; CREATE INDEX large_made ON support.large (lower(email))")
	find("large", false)
	exec("CREATE INDEX ON support.large USING hash (email)")
	find("large", true)
	exec("CREATE INDEX ON support.part_1 (email)")
	find("parted", false)
	exec("CREATE INDEX ON support.part_2 (email, id)")
	find("parted", true)
}

// TestWriters tells of transactions that wrote and have not ended, and of no others.
func TestWriters(t *testing.T) {
	database, _ := newDatabase(t, 10)
	conn, other := connect(t, cluster.SuperDSN(database)), connect(t, cluster.SuperDSN(database))
	exec := func(conn *pgx.Conn, sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	writers := func(want int) []protect.Writer {
		t.Helper()
		found, err := protect.Writers(t.Context(), conn, []protect.Table{{Schema: "support", Name: "customers"}, {Schema: "support", Name: "parted"}})
		if err != nil || len(found) != want {
			t.Errorf("%d writers, %v, want %d", len(found), err, want)
		}
		return found
	}
	exec(conn, `CREATE TABLE support.parted (id int) PARTITION BY RANGE (id); CREATE TABLE support.part_1 PARTITION OF support.parted DEFAULT`)
	exec(other, "BEGIN; SELECT FROM support.customers FOR UPDATE; UPDATE support.tickets SET queue = queue")
	writers(0)
	exec(other, "UPDATE support.customers SET country = country WHERE id = 1")
	if w := writers(1); len(w) == 1 && w[0].Prepared {
		t.Error("an open transaction passes for a prepared one")
	}
	exec(other, "ROLLBACK; BEGIN; INSERT INTO support.part_1 VALUES (1)")
	writers(1)
	exec(other, "ROLLBACK")
	writers(0)
}
