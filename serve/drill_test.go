package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/drill"
)

// drillYAML has two people who are nobody; it stands right behind the people of the configuration.
const drillYAML = `  drill1: {name: Drill One, team: drill, role: agent, logins: [drill1]}
  drill2: {name: Drill Two, team: drill, role: agent, logins: [drill2]}
drill:
  team: eu
  accounts:
    - {login: drill1, password_file: drill1.password}
    - {login: drill2, password_file: drill2.password}
`

// theatre is a protected database on which drills can be played.
func theatre(t *testing.T, customers int) *fort {
	t.Helper()
	s := built(t, theStage)
	return theatreOn(t, s, customers, "  teams: {drill: {reached: {hour: 10, day: 10, month: 10}}}\n")
}

// theatreOn is a theatre on a stage of the test's own, and with budgets of its own.
func theatreOn(t *testing.T, s *stage, customers int, budgets string) *fort {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	fatal(t, err)
	defer admin.Close(context.WithoutCancel(t.Context()))
	for _, who := range []string{"drill1", "drill2"} {
		_, err = admin.Exec(t.Context(), fmt.Sprintf("DROP ROLE IF EXISTS %[1]s; CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s-secret' IN ROLE support_agents", who))
		fatal(t, err)
	}
	t.Cleanup(func() { s.drop("drill1", "drill2") })
	f := newFortOn(t, s, drillYAML+canaryYAML+budgets+"respond: {mode: act}\n", func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		for name, secret := range map[string]string{"router": s.passwords["svc_router"], "drill1": "drill1-secret", "drill2": "drill2-secret"} {
			fatal(t, os.WriteFile(filepath.Join(folder, name+".password"), []byte(secret+"\n"), 0o600))
		}
		o.WatchEvery = 300 * time.Millisecond
	})
	f.superExec(f.database, "INSERT INTO support.staff VALUES ('drill1', 'Drill One', 'drill', 'agent'), ('drill2', 'Drill Two', 'drill', 'agent')")
	f.passwords["drill1"], f.passwords["drill2"] = "drill1-secret", "drill2-secret"
	o := f.officer("o1")
	fatal(t, o.PlantCanaries(t.Context(), api.PlantRequest{Count: customers, Reason: "for drills", Drill: true}))
	within(t, 120*time.Second, "the customers are made", func() bool {
		got, err := o.CanaryStatus(t.Context())
		fatal(t, err)
		if got.Trouble != "" {
			t.Fatalf("planting: %s", got.Trouble)
		}
		return got.Drill == customers
	})
	return f
}

// drop takes roles away that a test made.
func (s *stage) drop(roles ...string) {
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, s.cluster.SuperDSN("postgres"))
	if err != nil {
		return
	}
	defer admin.Close(ctx)
	for _, r := range roles {
		_, _ = admin.Exec(ctx, "DROP ROLE IF EXISTS "+r)
	}
}

// playDrill plays one, and gives its report.
func (f *fort) playDrill(name string) (r drill.Report) {
	f.t.Helper()
	o := f.officer("o1")
	id, err := o.StartDrill(f.ctx, name, "a test")
	if err != nil {
		f.t.Fatal(err)
	}
	within(f.t, 4*time.Minute, name+" is over", func() bool {
		r = drill.Report{}
		if err := o.DrillReport(f.ctx, id, &r); err != nil {
			f.t.Fatal(err)
		}
		return r.State != "running"
	})
	f.t.Logf("%s (score %d)", r.Sentence(), r.Score)
	for _, m := range r.Marks {
		f.t.Logf("  %7.2f s  %s", m.Time.Sub(r.Began).Seconds(), m.What)
	}
	if r.Trouble != "" {
		f.t.Errorf("%s: %s", name, r.Trouble)
	}
	return r
}

// TestDrills plays every theft against the real gateway. None looks at anybody who exists, accuses or stops anybody real, or is learnt from; the account
// that plays is free again afterwards, and can be shown nobody else whatever his reason.
func TestDrills(t *testing.T) {
	const customers = 24
	f := theatre(t, customers)
	for _, name := range drill.Names() {
		f.server.drills.waits = 2 * time.Second // what is not found by then is not asked for here
		if name == "dba-bypass" {
			f.server.drills.waits = time.Minute
		}
		r := f.playDrill(name)
		switch {
		case r.Asked == 0:
			t.Errorf("%s: nobody was asked for", name)
		case name == "collusion":
			if r.Lost == 0 || r.Name == nil || r.Named != "drill1" {
				t.Errorf("an accomplice's tickets hold, and what they show is lost: %+v", r)
			}
		case r.Lost != 0:
			t.Errorf("%s: %d were lost", name, r.Lost)
		}
		if walks := name == "bulk-export" || name == "stolen-account" || name == "support-2019"; walks && (r.Detect == nil || r.Contain == nil || r.Tokens > 10) {
			t.Errorf("%s: the budget of customers reached, new with each drill, did not stop him: %+v", name, r)
		}
		if name == "dba-bypass" && (r.Detect == nil || r.Tokens != customers) {
			t.Errorf("a session beside the gateway was not seen: %+v", r)
		}
		if st := f.server.State.Standing("drill1"); st.Locked || st.Suspended || f.server.State.Door("drill1").Trust != control.FullTrust {
			t.Errorf("after %s the account is not free: %+v", name, st)
		}
	}
	real := map[sallyport.Staff]bool{}
	for _, x := range f.server.State.Findings() {
		drilled := x.About == "drill1" || x.About == "drill2"
		if !drilled {
			real[x.About] = true
		}
		if drilled != strings.HasPrefix(x.ID, drillPrefix) || drilled != strings.Contains(string(x.JSON), `"drill":true`) {
			t.Errorf("finding %s about %s: %s", x.ID, x.About, x.JSON)
		}
	}
	if len(real) > 0 {
		t.Errorf("findings about %v", real)
	}
	f.server.book.Forget("drill1")
	// Whoever reads the drill's password: a colleague gives the account a good reason about a customer who exists.
	agent, _, customer := f.hasTicket(0)
	c := f.connect(agent)
	n := 9_900_000 + f.made.Add(1)
	c.must(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
		VALUES (%d, 'CS-%04d-9977', %d, 'drill1', 'general', 'open', 'help', now())`, n, 8000+n%1000, customer.ID))
	x := f.connect("drill1")
	x.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", n))
	rows, err := x.rows(fmt.Sprintf("SELECT full_name, email FROM support.customers WHERE id = %d", customer.ID))
	fatal(t, err)
	if !strings.HasPrefix(rows[0][0], "tk1:") || rows[0][1] == customer.Email {
		t.Errorf("the drill's account reads %v", rows)
	}
	if n := f.openTickets("drill1"); n != 1 { // that one
		t.Errorf("%d tickets of the drills are open", n)
	}
}

// openTickets counts somebody's.
func (f *fort) openTickets(who sallyport.Staff) (n int) {
	f.t.Helper()
	if err := f.direct().QueryRow(f.ctx, "SELECT count(*) FROM support.tickets WHERE assignee = $1 AND state <> 'closed'", string(who)).Scan(&n); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// TestDrillEndsAfterAStop: a drill that a stop cuts off is over after the start, and its account is free.
func TestDrillEndsAfterAStop(t *testing.T) {
	f := theatre(t, 4)
	f.server.drills.waits = time.Hour
	_, err := f.officer("o1").StartDrill(t.Context(), "snoop", "a test")
	fatal(t, err)
	if _, err := f.officer("o1").StartDrill(t.Context(), "snoop", "a test"); err == nil {
		t.Error("two drills are played at once")
	}
	f.restart()
	within(t, 20*time.Second, "it is over", func() bool {
		n := 0
		for _, e := range f.orders() {
			if e.Kind == sallyport.DrillKind {
				n++
				if e.Order.Drill.Ended {
					return true
				}
			}
		}
		return false
	})
}
