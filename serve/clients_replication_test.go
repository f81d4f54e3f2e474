package serve

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"sallyport"
)

// TestClientReplication replicates with PostgreSQL's own programs as the role that the configuration names, and as others.
func TestClientReplication(t *testing.T) {
	f := newFort(t, "replication: [replica]\n")
	f.superExec("postgres", "DROP ROLE IF EXISTS replica; CREATE ROLE replica LOGIN REPLICATION PASSWORD 'replica'; DROP ROLE IF EXISTS stray; CREATE ROLE stray LOGIN REPLICATION PASSWORD 'stray'")
	f.superExec(f.database, "GRANT ALL ON SCHEMA support TO replica; GRANT ALL ON ALL TABLES IN SCHEMA support TO replica")
	dsn := func(role, more string) string { return f.dsnOf(sallyport.Staff(role), role, f.database) + more }
	bin := func(name string) string {
		path := filepath.Join("/usr/lib/postgresql/15/bin", name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("%s is not installed", name)
		}
		return path
	}

	folder := t.TempDir()
	if said, err := installed(t, nil, bin("pg_receivewal"), "-d", dsn("stray", ""), "-D", folder, "--no-loop"); err == nil || !strings.Contains(said, "not passed on for this role") {
		t.Errorf("somebody else: %v %s", err, said)
	}
	direct := f.direct()
	var lsn string
	if err := direct.QueryRow(t.Context(), "SELECT pg_create_physical_replication_slot('physical', true); ").Scan(new(any)); err != nil {
		t.Fatal(err)
	}
	defer f.superExec("postgres", "SELECT pg_drop_replication_slot('physical')")
	if err := direct.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	t.Run("physical", func(t *testing.T) {
		if said, err := installed(t, nil, bin("pg_receivewal"), "-d", dsn("replica", ""), "-D", folder, "-S", "physical", "--endpos", lsn, "--no-loop"); err != nil {
			t.Errorf("pg_receivewal: %v %s", err, said)
		}
		if list, _ := os.ReadDir(folder); len(list) == 0 {
			t.Error("pg_receivewal wrote nothing")
		}
	})

	// Logical: a change arrives, as a token.
	if said, err := installed(t, nil, bin("pg_recvlogical"), "-d", dsn("replica", ""), "-S", "logical", "--create-slot", "-P", "test_decoding"); err != nil {
		t.Fatalf("pg_recvlogical: %v %s", err, said)
	}
	f.superExec(f.database, "UPDATE support.customers SET plan = 'changed' WHERE id = 1")
	if err := direct.QueryRow(t.Context(), "SELECT pg_current_wal_lsn()::text").Scan(&lsn); err != nil {
		t.Fatal(err)
	}
	f.superExec(f.database, "SELECT pg_logical_emit_message(false, 'x', 'the end')")
	out := filepath.Join(folder, "changes")
	if said, err := installed(t, nil, bin("pg_recvlogical"), "-d", dsn("replica", ""), "-S", "logical", "--start", "-f", out, "--endpos", lsn, "--no-loop"); err != nil {
		t.Errorf("pg_recvlogical: %v %s", err, said)
	}
	changes, _ := os.ReadFile(out)
	if !strings.Contains(string(changes), "plan[") || strings.Contains(string(changes), f.org.Customer(1).Email) {
		t.Errorf("the changes: %q", changes)
	}
	if said, err := installed(t, nil, bin("pg_recvlogical"), "-d", dsn("replica", ""), "-S", "logical", "--drop-slot"); err != nil {
		t.Errorf("pg_recvlogical: %v %s", err, said)
	}

	// SQL on such a connection reads; what would write a value ends it, and the value does not reach the server.
	conn, err := pgconn.Connect(t.Context(), dsn("replica", "&replication=database"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"IDENTIFY_SYSTEM", "SHOW wal_level", "SELECT pg_catalog.set_config('search_path', '', false)", "COPY support.customers (id, email) TO STDOUT"} {
		if _, err := conn.Exec(t.Context(), text).ReadAll(); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	_ = conn.Close(t.Context())
	for _, text := range []string{
		"UPDATE support.customers SET email = 'qq7r@wal.example' WHERE id = 1", "SELECT 1 FROM support.customers WHERE email = 'qq7r@wal.example'",
		"IDENTIFY_SYSTEMS; UPDATE support.customers SET email = 'qq7r@wal.example'", "/* */ DO 'BEGIN PERFORM 1; END'",
	} {
		if conn, err = pgconn.Connect(t.Context(), dsn("replica", "&replication=database")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), text).ReadAll(); err == nil || !strings.Contains(err.Error(), "that only read") {
			t.Errorf("%s: %v", text, err)
		}
	}
	config, err := pgconn.ParseConfig(dsn("replica", ""))
	if err != nil {
		t.Fatal(err)
	}
	wrapDial(config, func(conn net.Conn) net.Conn {
		return &meddler{Conn: conn, change: func(p []string) []string { return append(p, "replication", "database", "replication", "true") }}
	})
	if conn, err = pgconn.ConnectConfig(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "UPDATE support.customers SET email = 'qq7r@wal.example' WHERE id = 1").ReadAll(); err == nil || !strings.Contains(err.Error(), "that only read") {
		t.Errorf("with the parameter twice: %v", err)
	}
	if strings.Contains(f.heard.String(), "qq7r@wal.example") {
		t.Error("the server heard of a value")
	}
	starts, ends, bytes := 0, 0, uint64(0)
	within(t, 10*time.Second, "each beginning has an end on record", func() bool {
		starts, ends = 0, 0
		for _, e := range f.events() {
			if e.Kind == sallyport.ReplicationStart {
				starts++
			}
			if e.Kind == sallyport.ReplicationEnd {
				ends++
				bytes = max(bytes, e.Counters.BytesOut)
			}
		}
		return starts > 0 && starts == ends
	})
	if bytes < 10000 {
		t.Errorf("%d bytes at most", bytes)
	}
}

// TestInvariant3ReplicationMoving: while columns are moving nobody gets at their plain values by replicating, also over a connection that was
// there before.
func TestInvariant3ReplicationMoving(t *testing.T) {
	f := newFort(t, "replication: [mover]\n")
	f.superExec("postgres", "DROP ROLE IF EXISTS mover; CREATE ROLE mover LOGIN REPLICATION PASSWORD 'mover'")
	f.superExec(f.database, "GRANT USAGE ON SCHEMA support TO mover; GRANT SELECT ON ALL TABLES IN SCHEMA support TO mover")
	dsn := f.dsnOf("mover", "mover", f.database) + "&replication=database"
	victim := f.org.Customer(1)
	read := func(conn *pgconn.PgConn, sql string) string {
		results, err := conn.Exec(t.Context(), sql).ReadAll()
		said := ""
		for _, r := range results {
			for _, row := range r.Rows {
				said += string(row[0])
			}
		}
		if err != nil {
			said += err.Error()
		}
		return said
	}
	conn, err := pgconn.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	const sql = "SELECT email FROM support.customers WHERE id = 1"
	if got := read(conn, sql); !strings.HasSuffix(got, ".k1.invalid") {
		t.Errorf("before: %q", got)
	}
	stream, err := pgconn.Connect(t.Context(), f.dsnOf("mover", "mover", f.database)+"&replication=true")
	if err != nil {
		t.Fatal(err)
	}
	identified, err := stream.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	stream.Frontend().Send(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + string(identified[0].Rows[0][2])})
	if err := stream.Frontend().Flush(); err != nil {
		t.Fatal(err)
	}
	f.enter(f.movingSet(), nil)
	f.makePlain(f.direct(), victim)
	if got := read(conn, sql); got == "" || strings.Contains(strings.ToLower(got), strings.ToLower(victim.Email)) || !conn.IsClosed() {
		t.Errorf("over a connection that was there before: %q", got)
	}
	ended := ""
	for deadline := time.Now().Add(10 * time.Second); ended == "" && stream.Conn().SetReadDeadline(deadline) == nil; {
		switch m, err := stream.Frontend().Receive(); m := m.(type) {
		case *pgproto3.ErrorResponse:
			ended = m.Message
		default:
			if err != nil {
				ended = err.Error()
			}
		}
	}
	if !strings.Contains(ended, "while columns are moving") {
		t.Errorf("a stream that was there before ends with %q", ended)
	}
	if _, err := pgconn.Connect(t.Context(), dsn); err == nil || !strings.Contains(err.Error(), "while columns are moving") {
		t.Errorf("a new connection: %v", err)
	}
	f.enter(nil, nil)
	if conn, err = pgconn.Connect(t.Context(), dsn); err != nil {
		t.Fatalf("when nothing moves any more: %v", err)
	}
	_ = conn.Close(t.Context())
}
