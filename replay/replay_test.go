package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/exposure"
	"sallyport/policy"
)

func column(name string) sallyport.Column {
	return sallyport.Column{Schema: "support", Table: "customers", Name: name}
}

// world has an agent, a lead and a service.
func world() *policy.World {
	return &policy.World{
		Teams: []string{"eu"}, Roles: []string{"agent", "lead", "dba", "security"},
		Staff:    []policy.Member{{ID: "ada", Team: "eu", Role: "agent"}, {ID: "grace", Team: "eu", Role: "lead"}, {ID: "ed", Role: "dba"}},
		Services: []policy.Service{{ID: "svc"}},
		Columns:  []policy.Column{{Column: column("email"), Class: sallyport.Contact, Scheme: sallyport.Email}, {Column: column("born"), Class: sallyport.Identity, Scheme: sallyport.Date}},
	}
}

// with is the default policies and more.
func with(t testing.TB, more string) *policy.Set {
	t.Helper()
	set, problems := policy.Load(append(policy.Defaults(false), policy.Text{Name: "more.cedar", Content: more}), world(), policy.Copiers{})
	if set == nil {
		t.Fatal(problems)
	}
	return set
}

func start() time.Time { return time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) }

func company() Company {
	return Company{
		Service: func(who sallyport.Staff) bool { return who == "svc" },
		Local: func(_ sallyport.Staff, at time.Time) (int64, int64, bool) {
			return int64(at.Hour()), int64((at.Weekday()+6)%7) + 1, true
		},
		Scheme: func(c sallyport.Column) sallyport.Scheme {
			return map[string]sallyport.Scheme{"email": sallyport.Email, "born": sallyport.Date}[c.Name]
		},
		Budgets: func(sallyport.Staff, string) exposure.Budgets { return exposure.Default() },
		Grant:   func(id string) (int, bool) { return 100, id == "g1" },
	}
}

// tape makes a record.
type tape struct {
	access, control []*sallyport.Event
	statements      uint64
}

// saw is a statement of somebody under one open ticket of his own, and the customers whose e-mail and birthday left.
func (r *tape) saw(after time.Duration, who sallyport.Staff, reason sallyport.Reason, customers ...int) {
	r.shown(after, who, &sallyport.Known{Strength: "oidc", Reasons: []sallyport.KnownReason{sallyport.Know(&reason)}}, "", customers...)
}

func (r *tape) shown(after time.Duration, who sallyport.Staff, known *sallyport.Known, grant string, customers ...int) {
	r.statements++
	at := start().Add(after)
	w := sallyport.Who{Staff: who, Session: "s", Address: "10.0.0.1:5000"}
	purposes := []sallyport.Purpose{{Kind: "ticket", Ref: "1"}}
	if grant != "" {
		purposes = nil
	}
	columns := []sallyport.Column{column("email"), column("born")}
	var values sallyport.Values
	for _, c := range customers {
		for i := range columns {
			values.Add(sallyport.RevealedValue{Subject: sallyport.Subject(fmt.Sprint(c)), Column: uint16(i), Digest: sallyport.Digest{byte(c), byte(c >> 8), byte(i), 1}})
		}
	}
	r.access = append(r.access,
		&sallyport.Event{Time: at, Kind: sallyport.StatementKind, Who: w, Statement: &sallyport.Statement{ID: r.statements, Columns: columns, Purposes: purposes, Known: known}},
		&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: w, Reveal: &sallyport.Revealed{Statement: r.statements, Columns: columns, Values: values, Purposes: purposes, Grant: grant}})
}

func own() sallyport.Reason {
	return sallyport.Reason{Kind: "ticket", Covers: true, Open: true, Mine: true, Contacted: true}
}

// run plays a tape.
func (r *tape) run(t testing.TB, c Company, before, after *policy.Set) *Report {
	t.Helper()
	p := New(c, before, after, start(), start().AddDate(0, 0, 90))
	orders := r.control
	for _, e := range r.access {
		for len(orders) > 0 && !orders[0].Time.After(e.Time) {
			p.Control(orders[0])
			orders = orders[1:]
		}
		p.Access(e)
	}
	report, err := p.Report()
	if err != nil {
		t.Fatal(err)
	}
	return report
}

const noBirthdays = `
@id("more.no-birthdays") @because("agents need no birthdays")
forbid (principal in Role::"agent", action == Action::"reveal", resource == Column::"support.customers.born");`

// TestPolicies says whom another policy would have hindered, and today's policies nobody.
func TestPolicies(t *testing.T) {
	r := &tape{}
	r.saw(0, "ada", own(), 1, 2, 3)
	r.saw(time.Hour, "ada", own(), 3, 4)
	r.saw(time.Hour, "grace", own(), 9)
	today := with(t, "")
	if got := r.run(t, company(), today, today); got.Hinders() || got.Accesses != 6 || got.Values != 12 || len(got.People) > 0 || len(got.Unknown) > 0 {
		t.Errorf("under what held then: %+v", got)
	}
	got := r.run(t, company(), today, with(t, noBirthdays))
	want := []Refusal{{Policy: "more.no-birthdays", Because: "agents need no birthdays", What: "token", Accesses: 2, New: 2, Values: 5, Customers: 4, People: 1}}
	if diff := cmp.Diff(want, got.Refused); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Person{{Staff: "ada", Customers: 4, Accesses: 4, Refused: 2, Missing: 4}}, got.People); diff != "" {
		t.Error(diff)
	}
}

// TestFacts of a reason are those on record: policies about them decide as they would have.
func TestFacts(t *testing.T) {
	r := &tape{}
	uncontacted := own()
	uncontacted.Contacted, uncontacted.Minutes = false, 900
	r.saw(0, "ada", own(), 1)
	r.saw(time.Minute, "ada", uncontacted, 2)
	today := with(t, "")
	for _, c := range []struct {
		when string
		want int
	}{{"!context.purpose.contacted", 2}, {"context.purpose.minutes > 800", 2}, {"context.purpose.minutes > 900", 0}, {`context.strength == Strength::"oidc"`, 4}, {`context.strength == Strength::"database"`, 0}, {`context.address.isInRange(ip("10.0.0.0/8"))`, 4}, {"context.seenDay >= 1", 2}, {"context.hour == 9", 4}, {"context.weekday == 2", 0}} {
		got := r.run(t, company(), today, with(t, `@id("more.x") @because("x") forbid (principal, action == Action::"reveal", resource) when { context has purpose && context has address && `+c.when+` };`))
		n := 0
		for _, f := range got.Refused {
			n += f.Accesses
		}
		if n != c.want {
			t.Errorf("%s: %d accesses refused, want %d", c.when, n, c.want)
		}
	}
}

// TestTrustThen follows trust and confirmations as they were, from the control stream.
func TestTrustThen(t *testing.T) {
	r := &tape{}
	r.saw(0, "ada", own(), 1)
	r.saw(2*time.Hour, "ada", own(), 2)
	r.saw(4*time.Hour, "ada", own(), 3)
	order := func(after time.Duration, kind sallyport.EventKind, o sallyport.Order) {
		r.control = append(r.control, &sallyport.Event{Time: start().Add(after), Kind: kind, Order: &o})
	}
	order(time.Hour, sallyport.Trusted, sallyport.Order{By: "grace", About: "ada", Details: "50"})
	order(3*time.Hour, sallyport.Confirmed, sallyport.Order{By: "ada", About: "ada"})
	got := r.run(t, company(), with(t, ""), with(t, ""))
	// Under 60 she confirms, anew after half an hour: at two o'clock she did not need to have done so by the record, so she would have waited, and again at four.
	waits := 0
	for _, f := range got.Refused {
		if f.What == "wait" && f.Policy == "trust.step-up" {
			waits = f.Accesses
		}
	}
	if waits != 2 || len(got.People) != 1 || got.People[0].Waited != 2 || got.People[0].Refused != 0 {
		t.Errorf("%+v, %+v", got.Refused, got.People)
	}
	if low := r.run(t, company(), with(t, ""), with(t, `@id("more.low") @because("x") forbid (principal, action == Action::"reveal", resource) when { context.trust < 60 };`)); low.People[0].Refused != 4 || low.People[0].Missing != 2 {
		t.Errorf("%+v", low.People)
	}
}

// TestBudgets cuts where the gateway's book would have, and counts nothing that policies would have kept back.
func TestBudgets(t *testing.T) {
	r := &tape{}
	for day := range 3 {
		for n := range 6 {
			r.saw(time.Duration(day)*24*time.Hour+time.Duration(n)*time.Hour, "ada", own(), 10*day+n)
		}
	}
	r.saw(time.Hour, "grace", own(), 1)
	small := company()
	small.Budgets = func(sallyport.Staff, string) exposure.Budgets {
		return exposure.Budgets{Revealed: exposure.Budget{Hour: 100, Day: 4, Month: 1000}}.Over(exposure.Default())
	}
	got := r.run(t, small, with(t, ""), with(t, ""))
	if len(got.People) != 1 {
		t.Fatalf("%+v", got.People)
	}
	p := got.People[0]
	if p.Staff != "ada" || p.Customers != 18 || p.Cuts < 2 || p.Cut == nil || *p.Cut != (Cut{At: start().Add(4 * time.Hour), Measure: "revealed", Window: "day", Budget: 4, Count: 4}) || p.Missing == 0 {
		t.Errorf("%+v %+v", p, p.Cut)
	}
	if hidden := r.run(t, small, with(t, ""), with(t, `@id("more.none") @because("x") forbid (principal, action == Action::"reveal", resource);`)); hidden.People[0].Cut != nil {
		t.Errorf("what is never shown uses up a budget: %+v", hidden.People[0].Cut)
	}
}

// TestOpened says what policies that are wider would have opened.
func TestOpened(t *testing.T) {
	r := &tape{}
	reason := own()
	r.access = append(r.access, &sallyport.Event{Time: start(), Kind: sallyport.StatementKind, Who: sallyport.Who{Staff: "ed", Session: "d"}, Statement: &sallyport.Statement{
		ID: 1, Columns: []sallyport.Column{column("email")}, Purposes: []sallyport.Purpose{{Kind: "ticket", Ref: "1"}}, Known: &sallyport.Known{Strength: "oidc", Reasons: []sallyport.KnownReason{sallyport.Know(&reason)}},
	}})
	wide := with(t, `@id("more.dba") @because("x") permit (principal in Role::"dba", action == Action::"reveal", resource) when { context has purpose };`)
	if got := r.run(t, company(), with(t, ""), wide); len(got.Opened) != 1 || got.Opened[0] != (Gain{Staff: "ed", Column: "support.customers.email", Policy: "more.dba", Statements: 1}) || got.Hinders() {
		t.Errorf("%+v", got)
	}
	if got := r.run(t, company(), wide, wide); len(got.Opened) > 0 {
		t.Errorf("%+v", got.Opened)
	}
}

// TestStatements: what leaves by COPY is asked about as export, too, and a statement may be refused for its table.
func TestStatements(t *testing.T) {
	r := &tape{}
	r.saw(0, "ada", own(), 1)
	r.saw(time.Minute, "ada", own(), 2)
	r.access[2].Statement.Verb = "COPY"
	today := with(t, `@id("more.export") @because("x") permit (principal, action == Action::"export", resource);`)
	got := r.run(t, company(), today, today)
	if len(got.Refused) != 1 || got.Refused[0].Policy != "export.by-grant-only" || got.Refused[0].Accesses != 2 || got.Refused[0].Customers != 1 {
		t.Errorf("%+v", got.Refused)
	}
	got = r.run(t, company(), with(t, ""), with(t, `@id("more.table") @because("x") forbid (principal, action == Action::"query", resource == Table::"support.customers") when { context.hour == 9 };`))
	if len(got.People) != 1 || got.People[0].Statements != 2 {
		t.Errorf("%+v", got.People)
	}
}

// TestOldEntries have no word about log-in and reason: that is said, and what was assumed.
func TestOldEntries(t *testing.T) {
	r := &tape{}
	r.shown(0, "ada", nil, "", 1)
	r.shown(time.Minute, "svc", &sallyport.Known{Strength: "database"}, "g1", 2)
	r.shown(time.Hour, "svc", &sallyport.Known{Strength: "database"}, "gone", 3)
	got := r.run(t, company(), with(t, ""), with(t, ""))
	if len(got.Unknown) != 2 || got.Unknown[0].Entries != 1 && got.Unknown[1].Entries != 1 {
		t.Errorf("%+v", got.Unknown)
	}
	for _, f := range got.Refused {
		if f.What != "wait" { // a log-in at the database confirms, and nobody did on this tape
			t.Errorf("%+v", f)
		}
	}
	grants := r.run(t, company(), with(t, ""), with(t, `@id("more.g") @because("x") forbid (principal is Service, action == Action::"reveal", resource) when { context has grant && context.grant.customers == 100 };`))
	if n := len(grants.People); n != 2 {
		t.Errorf("%+v", grants.People)
	}
}

// TestSameReport: the same record and policies give the same bytes, and the hash is theirs.
func TestSameReport(t *testing.T) {
	r := &tape{}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a made-up record
	for i := range 300 {
		who := []sallyport.Staff{"ada", "grace", "ed", "svc"}[random.IntN(4)]
		r.saw(time.Duration(i)*time.Hour, who, own(), random.IntN(50), random.IntN(50))
	}
	text := func() string {
		report := r.run(t, company(), with(t, ""), with(t, noBirthdays))
		b, err := json.Marshal(report)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := text()
	for range 5 {
		if again := text(); again != first {
			t.Fatalf("%s\n%s", first, again)
		}
	}
	if !strings.Contains(first, `"hash":"`) || bytes.Contains([]byte(first), []byte(`"hash":""`)) {
		t.Error("there is no hash")
	}
}

// BenchmarkReplay is what a batch of two columns and ten customers costs.
func BenchmarkReplay(b *testing.B) {
	r := &tape{}
	for i := range 1000 {
		r.saw(time.Duration(i)*time.Minute, "ada", own(), i, i+1, i+2, i+3, i+4, i+5, i+6, i+7, i+8, i+9)
	}
	before, after := with(b, ""), with(b, noBirthdays)
	for b.Loop() {
		p := New(company(), before, after, start(), start().AddDate(0, 0, 90))
		for _, e := range r.access {
			p.Access(e)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/1000, "µs/batch")
}
