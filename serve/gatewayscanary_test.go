package serve

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/canary"
)

// TestGatewaysCanaries: a controller plants customers who do not exist, and plays drills, through a gateway; the gateways know them at once. What would take the
// rows or the keys from under gateways is refused, with what to do instead.
func TestGatewaysCanaries(t *testing.T) {
	stage := built(t, theStage)
	admin, err := pgx.Connect(t.Context(), stage.cluster.SuperDSN("postgres"))
	fatal(t, err)
	defer admin.Close(context.WithoutCancel(t.Context()))
	for _, who := range []string{"drill1", "drill2"} {
		_, err = admin.Exec(t.Context(), fmt.Sprintf("DROP ROLE IF EXISTS %[1]s; CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s-secret' IN ROLE support_agents", who))
		fatal(t, err)
	}
	t.Cleanup(func() { stage.drop("drill1", "drill2") })
	const customers = 12
	s := newCampus(t, drillYAML+canaryYAML+"  teams: {drill: {reached: {hour: 10, day: 10, month: 10}}}\nrespond: {mode: act}\n", func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		for name, secret := range map[string]string{"router": stage.passwords["svc_router"], "drill1": "drill1-secret", "drill2": "drill2-secret"} {
			fatal(t, os.WriteFile(filepath.Join(folder, name+".password"), []byte(secret+"\n"), 0o600))
		}
		o.WatchEvery = 300 * time.Millisecond
	})
	s.superExec(s.database, "INSERT INTO support.staff VALUES ('drill1', 'Drill One', 'drill', 'agent'), ('drill2', 'Drill Two', 'drill', 'agent')")
	s.controls(Controller)
	o := s.officer("o1")
	s.refusesAlone(t, o)
	fatal(t, o.PlantCanaries(t.Context(), api.PlantRequest{Count: customers, Reason: "for drills", Drill: true}))
	within(t, 60*time.Second, "without a gateway none is planted, and it is said why", func() bool {
		got, err := o.CanaryStatus(t.Context())
		fatal(t, err)
		return strings.Contains(got.Trouble, "no gateway is here") && got.Drill == 0
	})
	s.awaits(severalNames...)
	fatal(t, o.PlantCanaries(t.Context(), api.PlantRequest{Count: 3, Reason: "a test"}))
	within(t, 120*time.Second, "they are planted", func() bool {
		got, err := o.CanaryStatus(t.Context())
		fatal(t, err)
		return got.Drill == customers && got.Planted >= 3 && got.Due == 0
	})
	if n := s.count(t, s.direct(), fmt.Sprintf("SELECT count(*) - %d FROM support.customers", s.org.Customers)); n > customers+3 {
		t.Errorf("%d customers were made", n)
	}
	s.comesBy(t)

	s.server.drills.waits = 20 * time.Second
	for range 2 { // the budget of who plays is new with each drill
		r := s.playDrill("bulk-export")
		if r.Asked == 0 || r.Lost != 0 || r.Detect == nil || r.Contain == nil || r.Tokens > 10 {
			t.Errorf("a drill through a gateway: %+v", r)
		}
		if st := s.server.State.Standing("drill1"); st.Locked || st.Suspended {
			t.Errorf("afterwards the account is not free: %+v", st)
		}
	}
}

// comesBy has somebody be given a ticket about a canary by a colleague, and read it at the other gateway: it is found.
func (s *campus) comesBy(t *testing.T) {
	t.Helper()
	birds := s.server.canaries.book.Load().Canaries()
	at := slices.IndexFunc(birds, func(c *canary.Canary) bool { return !c.Drill })
	maker, who := s.org.Agents()[0].ID, s.org.Agents()[1].ID
	m, err := s.through(t.Context(), severalNames[0], maker)
	fatal(t, err)
	defer m.Close(context.WithoutCancel(t.Context()))
	id := 9_000_000 + s.made.Add(1)
	_, err = m.Exec(t.Context(), fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
		VALUES (%d, 'CS-%04d-9917', %s, '%s', 'general', 'open', 'help', now())`, id, 9000+id%1000, birds[at].Subject, who))
	fatal(t, err)
	c, err := s.through(t.Context(), severalNames[1], who)
	fatal(t, err)
	defer c.Close(context.WithoutCancel(t.Context()))
	var email string
	found := false // coming by the row was enough, before the ticket held there
	within(t, 20*time.Second, "the ticket holds at the other gateway", func() bool {
		_, err := c.Exec(t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", id))
		if err == nil {
			err = c.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = "+string(birds[at].Subject)).Scan(&email)
		}
		if found = codeOf(err) == "SP011"; !found {
			fatal(t, err)
		}
		return found || !strings.HasSuffix(email, "k1.invalid")
	})
	if own := birds[at].Email; found {
		t.Log("who came by was suspended before he was shown an address of his own")
	} else if own == "" || email == own || !strings.HasSuffix(email, "@post.example.net") && !strings.HasSuffix(email, "@mail.example.org") {
		t.Errorf("the viewer is shown %q, which is no address of his own", email)
	}
	within(t, 30*time.Second, "who gave a reason about somebody who does not exist is found, or who came by him", func() bool {
		return slices.ContainsFunc(s.orders(), func(e *sallyport.Event) bool {
			return e.Kind == sallyport.FindingKind && (e.Order.About == maker || e.Order.About == who)
		})
	})
}

// refusesAlone asks a controller for what only a serve that is alone does.
func (s *campus) refusesAlone(t *testing.T, o *api.Client) {
	t.Helper()
	_, moving := o.Serving(t.Context())
	_, undo := o.Undo(t.Context(), "over")
	for what, err := range map[string]error{"moving": moving, "undoing": undo} {
		if err == nil || !strings.Contains(err.Error(), "run serve --role alone on the controller's data folder") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
