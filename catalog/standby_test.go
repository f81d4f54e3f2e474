package catalog

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// TestStandby reads the catalogue on a server that follows another one, where a change becomes visible that its snapshot does not tell
// of: one between a transaction that began before and one that has ended already.
func TestStandby(t *testing.T) {
	super, reader := database(t, tables)
	follower, err := pgx.ParseConfig(standby(t, super))
	if err != nil {
		t.Fatal(err)
	}
	follower.User, follower.Password, follower.Database = reader.User, reader.Password, reader.Database
	c := open(t, follower, config())
	beside := connect(t, follower.ConnString()+" user="+reader.User+" password="+reader.Password+" dbname="+reader.Database)
	begin := func() *pgx.Conn {
		conn := connect(t, cluster.SuperDSN(reader.Database))
		run(t, conn, "BEGIN", "SELECT pg_current_xact_id()")
		return conn
	}
	replayed := func() (moment string) {
		t.Helper()
		var end string
		if err := super.QueryRow(t.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&end); err != nil {
			t.Fatal(err)
		}
		run(t, super, "SELECT pg_switch_wal()")
		for deadline := time.Now().Add(20 * time.Second); ; {
			var there bool
			if err := beside.QueryRow(t.Context(), "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn, pg_current_snapshot()::text", end).Scan(&there, &moment); err != nil {
				t.Fatal(err)
			}
			if there {
				return moment
			}
			if time.Now().After(deadline) {
				t.Fatal("the standby does not follow")
			}
			time.Sleep(time.Millisecond) // between two looks
		}
	}
	oldest, writer := begin(), begin()
	run(t, oldest, "CREATE TABLE support.oldest ()") // or the standby hears nothing of it
	run(t, writer, "CREATE VIEW support.mails AS SELECT email FROM support.customers")
	run(t, super, "CREATE TABLE support.later ()")
	before := replayed()
	if _, err := c.Fresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, writer, "COMMIT")
	if after := replayed(); after != before {
		t.Logf("the moment tells by itself: %s, then %s", before, after)
	}
	if changed, err := c.Fresh(t.Context()); err != nil || !changed {
		t.Errorf("a committed view: changed is %v, %v", changed, err)
	}
	run(t, oldest, "ROLLBACK")
}

// standby starts a server that follows the tests' own, and says how to reach it.
func standby(t *testing.T, super *pgx.Conn) string {
	t.Helper()
	folder, err := cluster.Folder("standby")
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	data := filepath.Join(folder, "data")
	source := fmt.Sprintf("host=%s port=%d user=%s password=%s", cluster.Host, cluster.Port, cluster.Superuser, cluster.Password)
	copied := exec.CommandContext(t.Context(), "pg_basebackup", "-D", data, "-R", "-X", "stream", "-c", "fast", "-d", source) //nolint:gosec // of our own server
	if err := cluster.RunAs(copied); err != nil {
		t.Fatal(err)
	}
	if out, err := copied.CombinedOutput(); err != nil {
		t.Skipf("no standby can be made here: %v: %s", err, out)
	}
	var bin string
	if err := super.QueryRow(t.Context(), "SELECT setting FROM pg_config WHERE name = 'BINDIR'").Scan(&bin); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	server := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "-D", data, "-c", "port="+strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", //nolint:gosec // likewise
		"-c", "unix_socket_directories=", "-c", "hot_standby_feedback=off", "-c", "primary_conninfo="+source) // pg_basebackup's own has words that an older server does not know
	if err := cluster.RunAs(server); err != nil {
		t.Fatal(err)
	}
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGQUIT) }
	server.Stdout = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = server.Wait() // it was told to quit
	})
	dsn := fmt.Sprintf("host=127.0.0.1 port=%d sslmode=disable", port)
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := pgx.Connect(t.Context(), dsn+" dbname=postgres user="+cluster.Superuser+" password="+cluster.Password)
		if err == nil {
			_ = conn.Close(t.Context())
			return dsn
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond) // between two looks whether it listens
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port //nolint:errcheck // it is one
}
