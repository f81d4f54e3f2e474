package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
	"sallyport/program/reports"
)

// TestReviewEndsByItself: nobody decides about somebody, and at the date what he reads becomes tokens in the middle of a result, on record; a grant opens it,
// two people prolong it, one does not. The list came from a running serve, with people by pseudonym.
func TestReviewEndsByItself(t *testing.T) {
	a := newAsking(t, "")
	who, ticket, customer := a.hasTicket(0)
	c := a.connect(who)
	email := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	plain := func() bool { return c.must(email)[0][0] == customer.Email }
	if !plain() {
		t.Fatal("he does not read his own ticket's customer")
	}

	if out, _, err := a.command(who, "program", "privileges", "--json"); err == nil || errors.Is(err, errFound) {
		t.Errorf("an agent asks for a report: %s", out)
	}
	out, _, err := a.command("o1", "program", "privileges", "--json", "--replay-days", "90")
	pseudonym := a.server.Names.Person(who)
	if !errors.Is(err, errFound) || !strings.Contains(out, `"`+pseudonym+`"`) {
		t.Fatalf("%v, %.500s", err, out)
	}
	var said reports.PrivilegesFound
	fatal(t, json.Unmarshal([]byte(out), &said))
	for _, x := range said.Privileges.People {
		if !strings.HasPrefix(string(x.Staff), "p-") || x.Team+x.Role != "" {
			t.Errorf("a report of a running serve names %s of %s", x.Staff, x.Team)
		}
	}
	if !slices.ContainsFunc(a.orders(), func(e *sallyport.Event) bool {
		return e.Kind == sallyport.Queried && e.Order.Action == "program_privileges" && e.Order.By == "o1"
	}) {
		t.Error("that somebody asked is not on record")
	}
	file := filepath.Join(t.TempDir(), "privileges.json")
	fatal(t, os.WriteFile(file, []byte(out), 0o600))
	until := a.server.O.Clock().Add(8 * 24 * time.Hour).UTC().Format(time.RFC3339)
	if out, _, err := a.command("o1", "program", "review", "open", "autumn", "--from", file, "--until", until); err != nil {
		t.Fatalf("%s, %v", out, err)
	}

	rows, err := c.Query(a.ctx, fmt.Sprintf("SELECT email FROM support.customers, generate_series(1, 3000000) WHERE id = %d", customer.ID), pgx.QueryExecModeSimpleProtocol)
	fatal(t, err)
	seen, tokens := 0, 0
	for rows.Next() {
		switch string(rows.RawValues()[0]) {
		case customer.Email:
			if tokens > 0 {
				t.Fatal("plain values come after tokens")
			}
			if seen++; seen == 1000 {
				a.move(9 * 24 * time.Hour)
			}
		default:
			tokens++
		}
	}
	answer, cut := errors.AsType[*pgconn.PgError](rows.Err())
	cut = cut && answer.Code == "SP014" // who takes his result too slowly for it is cut off
	if seen < 1000 || tokens == 0 && !cut {
		t.Errorf("%d plain values and %d tokens, %v", seen, tokens, rows.Err())
	}
	t.Logf("of 3,000,000 values %d were plain when the date came", seen)
	lapsed := func() (n int) {
		for _, e := range a.orders() {
			if p := e.Order.Program; e.Kind == sallyport.ProgramKind && p.Do == program.ReviewLapsed && p.Staff == who && e.Order.By == "" {
				n++
			}
		}
		return n
	}
	within(t, 20*time.Second, "it is on record that nobody decided", func() bool { return lapsed() == 1 })
	if cut {
		c = a.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	}
	if plain() {
		t.Error("his access has ended, and he reads")
	}
	within(t, 20*time.Second, "an entry says by what it was refused", func() bool {
		return slices.ContainsFunc(a.events(), func(e *sallyport.Event) bool {
			return e.Result != nil && slices.ContainsFunc(e.Result.Rulings, func(r sallyport.Ruled) bool { return r.Policy == "sallyport.ended-by-review" })
		})
	})

	grant := a.granted(who, api.GrantRequest{Customers: 3})
	c.must("SET sallyport.purpose = 'grant:" + grant + "'")
	if !plain() {
		t.Error("a grant does not open it")
	}
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	month := a.server.O.Clock().Add(30 * 24 * time.Hour).UTC().Format(time.RFC3339)
	out, _, err = a.command("o1", "program", "review", "prolong", "autumn", string(who), "--until", month, "--reason", "his manager was ill", "--json")
	var proposed struct{ Proposal string }
	if err != nil || json.Unmarshal([]byte(out), &proposed) != nil {
		t.Fatalf("%s, %v", out, err)
	}
	if _, err := a.officer("o1").Approve(a.ctx, proposed.Proposal); err == nil || plain() {
		t.Errorf("one person prolongs it: %v", err)
	}
	_, err = a.officer("o2").Approve(a.ctx, proposed.Proposal)
	fatal(t, err)
	if !plain() {
		t.Error("two people prolonged it, and he does not read")
	}
	a.restart()
	if name, ended := a.server.program.Ended(who, a.server.O.Clock()); ended || lapsed() != 1 {
		t.Errorf("after a restart: ended by %s, %d entries", name, lapsed())
	}
}

// eyesRules want two people active in the queue of a team, and look at what approvers do.
const eyesRules = `
program:
  assets:
    support.customers: {owner: o1, criticality: high}
    warehouse: {owner: o2, criticality: medium, where: warehouse.internal, copy_of: support.customers}
  separation:
    queues:
      desk: {teams: [%s], sensitive: true}
    rules:
    - {id: two, rule: at_least, people: 2}
    - {id: apart, rule: handles_not_approves}
`

// TestManyEyesAreFindings: a broken rule is found once a day by a running serve, is a finding by pseudonym, opens no case, and is found once.
func TestManyEyesAreFindings(t *testing.T) {
	s, err := theStage()
	fatal(t, err)
	agent := s.org.Agents()[0]
	a := newAsking(t, fmt.Sprintf(eyesRules, agent.Team))
	who, ticket, customer := a.hasTicket(0)
	c := a.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if got := c.must(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got[0][0] != customer.Email {
		t.Fatalf("%s reads %q", who, got)
	}
	a.move(25 * time.Hour)
	broken := func() (n int) {
		for _, f := range a.server.State.Findings() {
			if strings.Contains(string(f.JSON), `"kind":"separation"`) && f.About == who {
				n++
			}
		}
		return n
	}
	within(t, 30*time.Second, "the rule is found broken", func() bool { return broken() == 1 })
	pseudonym := a.server.Names.Person(who)
	out, _, err := a.command("o1", "findings")
	if !errors.Is(err, errFound) || !strings.Contains(out, pseudonym+"-separation-two-desk-") || strings.Contains(out, string(who)) {
		t.Errorf("%v, %s", err, out)
	}
	id := strings.Fields(out[strings.Index(out, pseudonym):])[0]
	if out, _, err := a.command("o1", "explain", id); err != nil || !strings.Contains(out, "1 active in the queue desk") {
		t.Errorf("%v, %s", err, out)
	}
	out, _, err = a.command("o1", "program", "separation")
	if !errors.Is(err, errFound) || !strings.Contains(out, pseudonym) || strings.Contains(out, string(who)) {
		t.Errorf("%v, %s", err, out)
	}
	if n := len(a.server.casing.book.All()); n > 0 {
		t.Errorf("%d cases are open about a broken rule", n)
	}
	out, _, err = a.command("o1", "program", "assets", "--json")
	var assets []program.Asset
	if !errors.Is(err, errFound) || json.Unmarshal([]byte(out), &assets) != nil {
		t.Fatalf("%v, %s", err, out)
	}
	is := map[string]program.Asset{}
	for _, x := range assets {
		is[x.Name] = x
	}
	if x := is["support.customers"]; x.Protection != program.ProtectedAsset || x.Owner != "o1" || len(x.Columns) != 5 || len(x.Reach) == 0 || !slices.ContainsFunc(x.Copies, func(c program.Copy) bool { return c.Where == "warehouse at warehouse.internal" && c.Plain }) {
		t.Errorf("%+v", x)
	}
	for _, name := range []string{"warehouse", plainTemplate} {
		if x, ok := is[name]; !ok || x.Protection != program.NoProtection || !slices.Contains(x.Lacks, "nothing protects it") {
			t.Errorf("the database %s is shown as %+v", name, x)
		}
	}
	if assets[0].Protection != program.NoProtection {
		t.Errorf("first comes %+v", assets[0])
	}
	out, _, err = a.command("o1", "program", "handover", pseudonym)
	if err != nil && !errors.Is(err, errFound) || strings.Contains(out, string(who)) || !strings.Contains(out, pseudonym) {
		t.Errorf("%v, %s", err, out)
	}
	if out, _, err := a.command("o1", "program", "handover", string(who)); err == nil || errors.Is(err, errFound) {
		t.Errorf("by a name that nobody showed him: %s", out)
	}
	if out, _, err := a.command("o1", "program", "status"); !errors.Is(err, errFound) || strings.Count(out, "The company:") != 22 {
		t.Errorf("%v, %.300s", err, out)
	}
	if out, _, err := a.command("o1", "program", "drift", "../examples/access-policy.md", "--json"); !errors.Is(err, errFound) || !strings.Contains(out, `"contradicted":[]`) {
		t.Errorf("%v, %.300s", err, out)
	}
	a.restart()
	a.move(25 * time.Hour)
	within(t, 30*time.Second, "it is looked at again", func() bool {
		return strings.Contains(a.log.String(), "rules of many eyes were checked") && broken() == 1
	})
}

// TestFirmEndsByItself: what an outside firm saw is told by client, and after the last day of its contract its people are locked, their sessions are cut, and
// each of their accesses is shown to have ended by an entry.
func TestFirmEndsByItself(t *testing.T) {
	var who sallyport.Staff
	last := time.Now().UTC().Add(24 * time.Hour)
	a := newAsking(t, "", func(o *Options) {
		s, err := theStage()
		fatal(t, err)
		who = s.org.Agents()[0].ID
		o.Config.Firms = map[string]config.Firm{"north": {Name: "North Desk Ltd", Until: last.Format(time.DateOnly)}}
		p := o.Config.People[string(who)]
		p.Firm = "north"
		o.Config.People[string(who)] = p
	})
	_, ticket, customer := a.hasTicket(0)
	a.server.O.Config.Program.Clients = map[string][]sallyport.Subject{"acme": {sallyport.Subject(fmt.Sprint(customer.ID))}}
	fatal(t, a.agent(who).Confirm(a.ctx)) // else firm.fresh has him wait
	c := a.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	email := fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)
	if got := c.must(email); got[0][0] != customer.Email {
		t.Fatalf("%s reads %q", who, got)
	}
	grant := a.granted(who, api.GrantRequest{Customers: 3, Minutes: 480})
	out, _, err := a.command("o1", "program", "firm", "north", "--client", "acme", "--json")
	var told reports.FirmForClient
	if err != nil || json.Unmarshal([]byte(out), &told) != nil || told.Seen.Customers != 1 || told.Seen.People != 1 || told.Seen.Columns["support.customers.email"] != 1 || told.Seen.Reasons["ticket"] != 1 {
		t.Errorf("%v, %s", err, out)
	}
	if strings.Contains(out, string(who)) || strings.Contains(out, fmt.Sprintf("%q", fmt.Sprint(customer.ID))) {
		t.Errorf("what a client gets names somebody: %s", out)
	}
	out, _, err = a.command("o1", "program", "offboarding", "north")
	if !errors.Is(err, errFound) || !strings.Contains(out, "NO") || !strings.Contains(out, grant) {
		t.Errorf("before the end: %v, %s", err, out)
	}

	a.move(72 * time.Hour)
	within(t, 20*time.Second, "he is locked", func() bool { return a.server.State.Standing(who).Locked })
	within(t, 20*time.Second, "his session is cut", func() bool { _, err := c.rows(email); return err != nil })
	if _, err := a.tryConnect(who); err == nil {
		t.Error("he gets in")
	}
	var endings []program.Ending
	within(t, 20*time.Second, "all of it has ended", func() bool {
		if out, _, err = a.command("o1", "program", "offboarding", "north", "--json"); err != nil {
			return false
		}
		endings = nil
		fatal(t, json.Unmarshal([]byte(out), &endings))
		return !slices.ContainsFunc(endings, func(e program.Ending) bool { return e.Way == program.WayGrant && e.Entry == 0 }) // its time is over a moment before that is on record
	})
	ways := map[string]bool{}
	for _, e := range endings {
		if !e.Ended {
			t.Errorf("%+v", e)
		}
		ways[e.Way] = ways[e.Way] || e.Entry > 0 || e.Way == program.WayToken
	}
	for _, way := range []string{program.WayRole, program.WaySession, program.WayGrant, program.WayToken, program.WayKey} {
		if !ways[way] {
			t.Errorf("no entry shows that his %s has ended: %s", way, out)
		}
	}
	out, _, err = a.command("o1", "program", "firms")
	if err != nil || !strings.Contains(out, "(over)") {
		t.Errorf("%v, %s", err, out)
	}
	a.server.State.Advance(a.server.O.Clock())
	if c := a.server.moment(who); c.Ended != "contract" {
		t.Errorf("policies are told %q", c.Ended)
	}
}

// TestBrokenRulesAreNotDetections: detection tells by the findings on record how far it was, and those of rules are none of its own.
func TestBrokenRulesAreNotDetections(t *testing.T) {
	var d detected
	d.fold(&sallyport.Event{Kind: sallyport.FindingKind, Order: &sallyport.Order{Action: "separate"}})
	if d.lines != 0 {
		t.Error("a broken rule counts as a line of detection")
	}
	d.fold(&sallyport.Event{Kind: sallyport.FindingKind, Order: &sallyport.Order{Action: "find", Position: 7}})
	d.fold(&sallyport.Event{Kind: sallyport.FindingKind, Order: &sallyport.Order{Action: "separate", Position: 7}})
	if d.lines != 1 || d.position != 7 {
		t.Errorf("%d lines at %d", d.lines, d.position)
	}
}
