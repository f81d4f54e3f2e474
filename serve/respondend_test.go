package serve

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/respond"
)

// gently makes a trap that stops nobody: whoever touches the customer who does not exist is slowed, and his grants end.
func gently(t *testing.T) (a *asking, canary int64) {
	t.Helper()
	canary = int64(built(t, theStage).org.Customer(7).ID)
	a = newAsking(t, "detect:\n  canaries: canaries.txt\nrespond:\n  mode: act\n  ladder: ladder.yaml\n", func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		fatal(t, os.WriteFile(filepath.Join(folder, "canaries.txt"), []byte(fmt.Sprintln(canary)), 0o600))
		fatal(t, os.WriteFile(filepath.Join(folder, "ladder.yaml"), []byte("lock_odds: 6\nstops_per_hour: 3\nladder:\n  - {id: gently, odds: -99, do: [throttle, revoke]}\n"), 0o600))
	})
	return a, canary
}

// touches looks at the customer who does not exist, by a session of its own, and gives the moment before.
func (a *asking) touches(who sallyport.Staff, canary int64) time.Time {
	a.t.Helper()
	c := a.connect(who)
	at := time.Now()
	if _, err := c.rows(fmt.Sprintf("SELECT id, email FROM support.customers WHERE id = %d", canary)); err != nil {
		a.t.Fatalf("a look at tokens: %v", err)
	}
	return at
}

// TestAFindingEndsAGrant: a result under way by a grant is cut by a finding about who reads it, with the refusal of a grant that is over, and the grant
// opens nothing afterwards. He is neither suspended nor locked, so nothing else has cut it.
func TestAFindingEndsAGrant(t *testing.T) {
	a, canary := gently(t)
	who := a.org.Agents()[0].ID
	id := a.granted(who, api.GrantRequest{Customers: 1400})
	r := a.reads(who, id, fmt.Sprintf("SELECT email FROM support.customers, generate_series(1, 100000) WHERE id <> %d AND id <= 1000", canary))
	at := a.touches(who, canary)
	select {
	case err := <-r.done:
		if broken := (*pgconn.PgError)(nil); !errors.As(err, &broken) || broken.Code != "SP010" || !strings.Contains(broken.Message, "is over") {
			t.Errorf("the result ended with %v", err)
		}
	case <-time.After(stretched(20 * time.Second)):
		t.Fatalf("the result goes on: %+v", a.server.State.Findings())
	}
	took := time.Unix(0, r.last.Load()).Sub(at)
	t.Logf("from the statement that crosses the threshold to the last value by the grant that the client had: %s, %d values before", took.Round(100*time.Microsecond), r.seen.Load())
	if took > stretched(time.Second) {
		t.Errorf("values came for %s", took)
	}
	if g, _ := a.server.State.Grant(id); g.Status != control.GrantOver {
		t.Errorf("the grant is %s", g.Status)
	}
	if st := a.server.State.Standing(who); st.Suspended || st.Locked {
		t.Errorf("he is stopped: %+v", st)
	}
	within(t, 20*time.Second, "it is on record that his grants were ended", func() bool {
		x, ok := a.server.State.Answer(string(who) + "-1/" + respond.Revoke)
		return ok && x.State == control.Did
	})
	c := a.connect(who)
	_, _ = c.Exec(a.ctx, "SET sallyport.purpose = 'grant:"+id+"'") // whether it is refused already here or only opens nothing
	if plain, _ := emails(c, int64(a.org.Customer(1).ID), int64(a.org.Customer(2).ID)); len(plain) != 0 {
		t.Errorf("%d values by the grant that is over", len(plain))
	}
}

// TestAFindingSlows: after a finding rows with values arrive one by one, none before its time, and not all in the end. Rows cannot come early on a
// busy machine either; that they were held back and came together is asked of the best of three.
func TestAFindingSlows(t *testing.T) {
	const rows, each = 5, 250 * time.Millisecond
	a, canary := gently(t)
	who, ticket, customer := a.hasTicket(1)
	a.touches(who, canary)
	within(t, 20*time.Second, "he is slowed", func() bool {
		most, _ := respond.Trust(respond.Throttle)
		return a.server.State.Door(who).Trust == most
	})
	a.seen(who, 21)
	c := a.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	var spread time.Duration
	for try := 0; try < 3 && spread < (rows-2)*each; try++ {
		at := time.Now()
		result, err := c.Query(a.ctx, fmt.Sprintf("SELECT email FROM support.customers, generate_series(1, %d) WHERE id = %d", rows, customer.ID), pgx.QueryExecModeSimpleProtocol)
		fatal(t, err)
		var came []time.Duration
		for result.Next() {
			came = append(came, time.Since(at))
			if got := string(result.RawValues()[0]); got != customer.Email {
				t.Errorf("row %d holds something else", len(came))
			}
			if least := time.Duration(len(came)-1) * each; came[len(came)-1] < least {
				t.Errorf("row %d came after %s, and not before %s", len(came), came[len(came)-1], least)
			}
		}
		fatal(t, result.Err())
		if len(came) != rows {
			t.Fatalf("%d rows of %d", len(came), rows)
		}
		spread = came[rows-1] - came[0]
		t.Logf("rows came after %s", came)
	}
	if spread < (rows-2)*each {
		t.Errorf("from the first row to the last it took %s: they came together", spread)
	}
}
