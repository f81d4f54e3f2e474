package serve

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"golang.org/x/sys/unix"

	"sallyport/internal/throwaway"
)

// manySessions is what is promised; each needs a process of PostgreSQL's, two or three megabytes of memory and three descriptors here.
const (
	manySessions  = 2000
	backendMemory = 3 << 20
	manyAgents    = 20
)

// sessionsHeld is how many sessions this machine holds.
func sessionsHeld(t *testing.T) int {
	t.Helper()
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		t.Fatal(err)
	}
	n := min(manySessions, int(files.Cur-500)/3) //nolint:gosec // thousands
	meminfo, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Skip("how much memory is free can be seen only where there is /proc/meminfo")
	}
	_, line, _ := strings.Cut(string(meminfo), "MemAvailable:")
	var free int
	if _, err := fmt.Sscan(line, &free); err != nil {
		t.Fatal(err)
	}
	return min(n, (free-2<<20)/(backendMemory>>10))
}

// TestLimitManySessions holds 2,000 live sessions, half of them guarded, half relayed: what each costs while it does nothing, and
// that all of them still work, that one can be cancelled, and that a lock ends exactly those of one person.
func TestLimitManySessions(t *testing.T) {
	if !large() {
		t.Skip("takes 4 GiB and two minutes, most of it PostgreSQL's: `make siege` runs it")
	}
	n := sessionsHeld(t)
	if n < 200 {
		t.Skipf("this machine has room for %d sessions", n)
	}
	if n < manySessions {
		t.Logf("this machine has room for %d sessions, not for %d", n, manySessions)
	}
	s, err := newStage(n + 100)
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	f := newFortOn(t, s, rich)
	for agent := range manyAgents { // what is kept for each person and reason does not count
		f.idle(t, agent, f.database)
		f.idle(t, agent, "postgres")
	}
	var talks []*talk
	for _, database := range []string{f.database, "postgres"} {
		t.Log(map[bool]string{true: "guarded", false: "relayed"}[database == f.database])
		began := time.Now()
		measured(t, n/6, func() {
			for range n / 6 {
				talks = append(talks, f.idle(t, len(talks)%manyAgents, database))
			}
		})
		t.Logf("%.1f ms to open one and work in it", float64(time.Since(began).Milliseconds())/float64(n/2))
	}
	if live := f.server.gateway.Sessions(); live < n {
		t.Errorf("%d sessions live, not %d", live, n)
	}
	began := time.Now()
	for i, k := range talks {
		k.answers(i)
	}
	t.Logf("each of %d answered, in %s", len(talks), time.Since(began).Round(time.Millisecond))

	c := f.connect(f.org.Agents()[0].ID)
	cancelled(t, c.Conn, func() error { return c.PgConn().CancelRequest(t.Context()) })

	at := f.lock(f.org.Agents()[1].ID)
	ended := 0
	for i, k := range talks {
		if i%manyAgents == 1 {
			k.ends()
			ended++
		}
	}
	took := time.Since(at)
	t.Logf("a lock ended %d sessions in %s", ended, took.Round(time.Millisecond))
	if took > stretched(time.Second) {
		t.Errorf("a lock took %s, more than a second", took)
	}
	for i, k := range talks {
		if i%manyAgents != 1 {
			k.answers(i)
		}
	}
}

// answers has a session that was idle say something.
func (k *talk) answers(i int) {
	k.t.Helper()
	k.front = pgproto3.NewFrontend(bufio.NewReader(k.conn), k.conn)
	if lines := strings.Join(k.say(sql(fmt.Sprintf("SELECT 'session %d'", i))), "\n"); !strings.Contains(lines, fmt.Sprintf("session %d", i)) {
		k.t.Fatalf("session %d answers %s", i, lines)
	}
	k.front = nil
}

// ends waits until a session is over.
func (k *talk) ends() {
	k.t.Helper()
	if err := k.conn.SetReadDeadline(time.Now().Add(stretched(10 * time.Second))); err != nil {
		k.t.Fatal(err)
	}
	buffer := make([]byte, 1024)
	for {
		_, err := k.conn.Read(buffer)
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			k.t.Fatal("a session of somebody who is locked goes on")
		}
		if err != nil {
			return
		}
	}
}
