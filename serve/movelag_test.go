package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/internal/throwaway"
)

// TestMaxLag has a real replica stop replaying while rows move: protect notices, moves no row, and goes on when the replica does.
func TestMaxLag(t *testing.T) {
	t.Parallel() // it waits more than it works
	s, err := newStage(60)
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cluster.Stop() })
	f := newPlainFortOn(t, s)
	replica := follow(t, s)
	primary, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = primary.Close(context.Background()) })
	within(t, 20*time.Second, "the replica is streaming", func() bool {
		var n int
		return primary.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL").Scan(&n) == nil && n == 1
	})
	command := func(c *pgx.Conn, sql string) {
		t.Helper()
		if _, err := c.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	command(replica, "SELECT pg_wal_replay_pause()")
	var ranges atomic.Int64 // that were done with
	waits, moved := 0, int64(0)
	report, err := f.moveIn(func(o *LiveOptions) {
		o.MaxLag, o.Rate = time.Second, 3000
		o.Progress = func(string, int64, int64) { ranges.Add(1) }
		o.Tell = func(sentence string) {
			if !strings.Contains(sentence, "waiting for a replica") {
				return
			}
			if waits++; waits > 1 {
				return
			}
			within(t, 20*time.Second, "the other connection stands still too", func() bool {
				var n int
				return primary.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sallyport protect' AND state <> 'idle'").Scan(&n) == nil && n == 0
			})
			moved = ranges.Load()
			command(primary, "SELECT pg_sleep(1.5)")
			if now := ranges.Load(); now != moved {
				t.Errorf("%d ranges moved while the replica stood still", now-moved)
			}
			command(replica, "SELECT pg_wal_replay_resume()")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if waits == 0 || ranges.Load() <= moved {
		t.Errorf("it waited %d times, with %d ranges done before and %d at the end", waits, moved, ranges.Load())
	}
	found := false
	for _, left := range report.Remains {
		found = found || strings.Contains(left.What, "the replica")
	}
	if !found {
		t.Errorf("what still holds old values does not tell of the replica: %v", report.Remains)
	}
	f.checkMoved(t)
}

// follow starts a server that replicates the stage's, and connects to it.
func follow(t *testing.T, s *stage) *pgx.Conn {
	t.Helper()
	folder, err := s.cluster.Folder("standby")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	data := filepath.Join(folder, "data")
	source := fmt.Sprintf("host=%s port=%d user=%s password=%s application_name=replica", s.cluster.Host, s.cluster.Port, s.cluster.Superuser, s.cluster.Password)
	bin, err := throwaway.FindBin()
	if err != nil {
		t.Skip(err)
	}
	copied := exec.CommandContext(t.Context(), filepath.Join(bin, "pg_basebackup"), "-D", data, "-R", "-X", "stream", "-c", "fast", "-d", source) //nolint:gosec // of our own server
	if err := s.cluster.RunAs(copied); err != nil {
		t.Fatal(err)
	}
	if out, err := copied.CombinedOutput(); err != nil {
		t.Skipf("no standby can be made here: %v: %s", err, out)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	server := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "-D", data, "-c", "port="+port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=") //nolint:gosec // likewise
	if err := s.cluster.RunAs(server); err != nil {
		stop()
		t.Fatal(err)
	}
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGQUIT) }
	if err := server.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = server.Wait() // it was told to quit
	})
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	var conn *pgx.Conn
	within(t, 60*time.Second, "the standby answers", func() bool {
		conn, err = pgx.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/postgres?sslmode=disable", s.cluster.Superuser, s.cluster.Password, number))
		return err == nil
	})
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
