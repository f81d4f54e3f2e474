package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/keys"
)

// TestGatewaysRotate: a controller exchanges a key while clients write and read at both gateways. Whatever was written is read at both afterwards, no value that has to be
// unique stands there twice, no token of the older key is left, and all have one ring.
func TestGatewaysRotate(t *testing.T) {
	t.Parallel()
	s := newCampus(t, "detect: {off: true}\nkeys: {rate: 100000}\nbudgets: {default: {reached: {hour: 100000, day: 100000, month: 100000}, probed: {hour: 100000, day: 100000, month: 100000}}}\n",
		func(o *Options) { o.RenewEvery = 20 * time.Millisecond })
	s.ownKeys(t)
	admin := s.direct()
	_, err := admin.Exec(t.Context(), "CREATE UNIQUE INDEX ON support.customers (email)")
	unique := err == nil // the made-up customers may share addresses
	fatal(t, LetReaderRenew(s.config, s.ctx, s.cluster.SuperDSN(s.database), "email"))
	fatal(t, LetReaderRenew(s.config, s.ctx, s.cluster.SuperDSN(s.database), "name"))
	s.controls(Controller)
	if _, err := s.officer("o1").RotateKey(t.Context(), "email", "yearly"); err == nil || !strings.Contains(err.Error(), "o gateway is here") {
		t.Errorf("without a gateway: %v", err)
	}
	s.awaits(severalNames...)

	ctx, stop := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var written, refused atomic.Int64
	last := make([]string, 2)
	for i, name := range severalNames {
		clients.Go(func() { last[i] = s.writesOn(ctx, name, i, &written, &refused) })
	}
	within(t, 20*time.Second, "both write", func() bool { return written.Load() > 10 })
	open, err := admin.Begin(t.Context()) // around the gateways: it may hold anything
	fatal(t, err)
	_, err = open.Exec(t.Context(), "UPDATE support.customers SET plan = plan WHERE id = 900")
	fatal(t, err)
	s.agree(t, func() (string, error) { return s.officer("o1").RotateKey(s.ctx, "email", "yearly") })
	within(t, 60*time.Second, "the transaction that stays open is named", func() bool {
		return strings.Contains(s.log.String(), "transactions that may hold tokens of the older key have not ended: ")
	})
	if _, recorded := s.server.State.Turning("email"); recorded {
		t.Error("the newer key is used while a transaction may hold tokens of the older one")
	}
	if strings.Contains(s.log.String(), "keys are being exchanged") {
		t.Error("everybody had to wait for a transaction that stays open")
	}
	s.kill("gw2") // in the middle: it is away while the newer key comes into use
	began := time.Now()
	fatal(t, open.Commit(t.Context()))
	within(t, 90*time.Second, "the newer key is used", func() bool {
		_, recorded := s.server.State.Turning("email")
		return recorded
	})
	t.Logf("the newer key is used %v after the last transaction of before had ended", time.Since(began).Round(time.Millisecond))
	s.awaits("gw2")
	within(t, 60*time.Second, "no older token is left", func() bool {
		return s.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid'") == 0
	})
	before := written.Load()
	within(t, 30*time.Second, "both go on writing", func() bool { return written.Load() > before+10 })
	within(t, 60*time.Second, "the older key may go", func() bool { return s.server.mayDestroy("email") == nil })
	s.agree(t, func() (string, error) { return s.officer("o1").DestroyKey(s.ctx, "email", "done") })
	s.haveOneRing(t)
	before = written.Load()
	within(t, 30*time.Second, "both go on writing by the one key", func() bool { return written.Load() > before+10 })
	stop()
	clients.Wait()
	t.Logf("%d addresses were written meanwhile; %d times a client had to try again", written.Load(), refused.Load())
	s.readsAgain(t)
	s.rotatesNames(t)
	if n := s.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid'"); n > 0 {
		t.Errorf("%d tokens of the older key came after it had gone", n)
	}
	if n := s.count(t, admin, "SELECT count(*) - count(DISTINCT email) FROM support.customers"); unique && n > 0 {
		t.Errorf("%d addresses stand there twice", n)
	}
	for i := range severalNames { // what was written at one is found at the other
		conn, err := s.through(t.Context(), severalNames[1-i], s.org.Agents()[i].ID)
		fatal(t, err)
		var n int
		fatal(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM support.customers WHERE email = '"+last[i]+"'").Scan(&n))
		if n != 1 {
			t.Errorf("what was written last at %s is found %d times at %s", severalNames[i], n, severalNames[1-i])
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	}
}

// rotatesNames does it with names, each of which has a key of its own.
func (s *campus) rotatesNames(t *testing.T) {
	t.Helper()
	s.agree(t, func() (string, error) { return s.officer("o1").RotateKey(s.ctx, "name", "yearly") })
	s.stop() // in the middle, whichever that is
	s.controls(Controller)
	within(t, 90*time.Second, "names are of the newer key", func() bool { return s.server.mayDestroy("name") == nil })
	s.agree(t, func() (string, error) { return s.officer("o1").DestroyKey(s.ctx, "name", "done") })
	within(t, 60*time.Second, "the older key is destroyed", func() bool {
		_, turning := s.server.State.Turning("name")
		return !turning
	})
	who, ticket, customer := s.hasTicket(3)
	for _, name := range severalNames {
		within(t, 30*time.Second, name+" reads names", func() bool {
			conn, err := s.through(t.Context(), name, who)
			if err != nil {
				return false
			}
			defer conn.Close(context.WithoutCancel(t.Context()))
			var full string
			if _, err = conn.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err == nil {
				err = conn.QueryRow(t.Context(), fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", customer.ID)).Scan(&full)
			}
			return err == nil && full == customer.FullName
		})
	}
}

// writesOn gives one customer a new address as often as it can, over connections that break, and looks for it each time. It tells which was the last.
func (s *campus) writesOn(ctx context.Context, name string, i int, written, refused *atomic.Int64) (last string) {
	who, id := s.org.Agents()[i].ID, 700+i
	for n := 0; ctx.Err() == nil || last == ""; { // an answer that was lost with its connection says nothing of what stands there
		conn, err := s.through(s.ctx, name, who)
		for err == nil && (ctx.Err() == nil || last == "") {
			email := fmt.Sprintf("%s-%d@turn.example", name, n)
			if _, err = conn.Exec(s.ctx, fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", email, id)); err != nil {
				last = ""
				break
			}
			last = email
			n++
			written.Add(1)
			var found int
			err = conn.QueryRow(s.ctx, fmt.Sprintf("SELECT count(*) FROM support.customers WHERE email = '%s'", email)).Scan(&found)
			if err == nil && found != 1 {
				s.t.Errorf("%s was written at %s and is found %d times", email, name, found)
			}
		}
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if answer, ok := errors.AsType[*pgconn.PgError](err); ok && answer.Code == "23505" {
			s.t.Errorf("%s: %v", name, err)
		}
		refused.Add(1)
		select {
		case <-s.ctx.Done():
			return ""
		case <-time.After(20 * time.Millisecond):
		}
	}
	return last
}

// haveOneRing waits until both gateways have the controller's ring, in which one key of the group is left.
func (s *campus) haveOneRing(t *testing.T) {
	t.Helper()
	within(t, 60*time.Second, "the older key is gone everywhere", func() bool {
		status, err := keys.Look(s.options.Data)
		fatal(t, err)
		gone := false
		for _, k := range status.Keys {
			gone = gone || k.Group == "email" && !k.Destroyed.IsZero()
		}
		want, err := os.ReadFile(filepath.Join(s.options.Data, keys.RingName))
		fatal(t, err)
		for _, name := range severalNames {
			got, err := os.ReadFile(filepath.Join(s.folderOf(name), "data", keys.RingName))
			gone = gone && err == nil && string(got) == string(want)
		}
		return gone
	})
}
