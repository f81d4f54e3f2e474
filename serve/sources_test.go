package serve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/config"
	"sallyport/internal/fakezendesk"
	"sallyport/purpose/source"
	"sallyport/sim"
)

// otherSystems has tickets, calls and jobs stand in other systems: purposes is YAML in place of the section of that name, and files are put
// beside the configuration.
func otherSystems(t *testing.T, purposes string, files map[string]string) func(*Options) {
	return func(o *Options) {
		t.Helper()
		for name, text := range files {
			if err := os.WriteFile(o.Config.Path(name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		text, err := os.ReadFile(o.Config.File)
		if err != nil {
			t.Fatal(err)
		}
		before, rest, ok := strings.Cut(string(text), "purposes:\n")
		_, after, ok2 := strings.Cut(rest, "services:\n")
		if !ok || !ok2 {
			t.Fatal("the configuration has another form")
		}
		if err := os.WriteFile(o.Config.File, []byte(before+"purposes:\n"+purposes+"services:\n"+after), 0o600); err != nil {
			t.Fatal(err)
		}
		if o.Config, err = config.Load(o.Config.File); err != nil {
			t.Fatal(err)
		}
	}
}

const hookSecret = "a secret of the tests, of 32 characters and more"

// hears waits until messages can be sent, and returns where to.
func (f *fort) hears(name string) string {
	f.t.Helper()
	var at string
	within(f.t, 20*time.Second, "other systems can send messages", func() bool {
		f.server.mu.Lock()
		defer f.server.mu.Unlock()
		if f.server.hooks == nil {
			return false
		}
		at = f.server.hooks.String()
		return true
	})
	return "http://" + at + "/purposes/" + name
}

// tell signs a message and sends it.
func (f *fort) tell(url, body string) {
	f.t.Helper()
	stamp := strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(stamp + "." + body))
	request, err := http.NewRequestWithContext(f.ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set(source.TimeHeader, stamp)
	request.Header.Set(source.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		f.t.Fatalf("%d %s %v", answer.StatusCode, said, err)
	}
}

// holding is one ticket in some system, with ways to take it away from its agent.
type holding struct {
	f        *fort
	who      sallyport.Staff
	customer sim.Customer
	purpose  string
	away     map[string]func() // closed, reassigned → does it
	back     func()            // gives it to the agent again, and counts
}

const (
	otherTicketSQL = "SELECT id, customer, assignee, state, opened_by, assigned_by, reopened_by, contacted_at, begins_at FROM tickets"
	otherHead      = "id,customer,assignee,state,opened_by,assigned_by,reopened_by,contacted_at,begins_at\n"
	kindsTicket    = "  kinds: {ticket: {source: helpdesk, states: [new, open, pending], programs: [customer]}}\n"
)

// holdings are the systems in which a ticket may stand.
func holdings() map[string]func(t *testing.T) *holding {
	return map[string]func(t *testing.T) *holding{
		"own table, through the gateway": func(t *testing.T) *holding {
			f := newFort(t, "")
			who, ticket, customer := f.hasTicket(0)
			router := f.connect("svc_router")
			set := func(what string) func() {
				return func() { router.must(fmt.Sprintf("UPDATE support.tickets SET %s WHERE id = %d", what, ticket.ID)) }
			}
			back := set(fmt.Sprintf("assignee = '%s', state = 'open'", who))
			return &holding{f, who, customer, fmt.Sprintf("ticket:%d", ticket.ID), map[string]func(){"closed": set("state = 'closed'"), "reassigned": set(fmt.Sprintf("assignee = '%s'", f.org.Agents()[1].ID))}, back}
		},
		"own table, around the gateway": func(t *testing.T) *holding {
			f := newFort(t, "")
			who, ticket, customer := f.hasTicket(0)
			set := func(what string) func() {
				return func() {
					f.superExec(f.database, fmt.Sprintf("UPDATE support.tickets SET %s WHERE id = %d", what, ticket.ID))
				}
			}
			back := set(fmt.Sprintf("assignee = '%s', state = 'open'", who))
			return &holding{f, who, customer, fmt.Sprintf("ticket:%d", ticket.ID), map[string]func(){"closed": set("state = 'closed'"), "reassigned": set(fmt.Sprintf("assignee = '%s'", f.org.Agents()[1].ID))}, back}
		},
		"sql":     sqlHolding,
		"webhook": webhookHolding,
		"csv": func(t *testing.T) *holding {
			f := newFort(t, "", otherSystems(t, kindsTicket+"  sources: {helpdesk: {csv: {file: tickets.csv}}}\n", nil))
			who, _, customer := f.hasTicket(0)
			put := func(assignee sallyport.Staff, state string) func() {
				return func() {
					path := f.options.Config.Path("tickets.csv")
					text := otherHead + fmt.Sprintf("77,%d,%s,%s,customer,o3,,,2026-01-01T00:00:00Z\n", customer.ID, assignee, state)
					if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
					if err := os.Rename(path+".new", path); err != nil {
						t.Fatal(err)
					}
				}
			}
			return &holding{f, who, customer, "ticket:77", map[string]func(){"closed": put(who, "solved"), "reassigned": put("o2", "open")}, put(who, "open")}
		},
		"zendesk (a fake)": zendeskHolding,
	}
}

func sqlHolding(t *testing.T) *holding {
	stage := built(t, theStage)
	database := fmt.Sprintf("helpdesk%d", stage.made.Add(1))
	f := newFort(t, "", otherSystems(t, kindsTicket+fmt.Sprintf(`  sources:
    helpdesk:
      sql: {dsn: "postgres://%s_ro@127.0.0.1:%d/%s?sslmode=disable", password_file: helpdesk.password, find: "%s WHERE id::text = $1", mine: "%s WHERE assignee = ANY ($1)"}
`, database, stage.cluster.Port, database, otherTicketSQL, otherTicketSQL), map[string]string{"helpdesk.password": "of-the-helpdesk\n"}))
	who, _, customer := f.hasTicket(0)
	f.superExec("postgres", "CREATE DATABASE "+database)
	f.superExec(database, fmt.Sprintf(`CREATE ROLE %s_ro LOGIN PASSWORD 'of-the-helpdesk';
		CREATE TABLE tickets (id bigint, customer bigint, assignee text, state text, opened_by text, assigned_by text, reopened_by text, contacted_at timestamptz, begins_at timestamptz);
		INSERT INTO tickets VALUES (77, %d, '%s', 'open', 'customer', 'o3', NULL, NULL, now()); GRANT SELECT ON tickets TO %s_ro`, database, customer.ID, who, database))
	set := func(what string) func() { return func() { f.superExec(database, "UPDATE tickets SET "+what) } }
	return &holding{
		f, who, customer, "ticket:77",
		map[string]func(){"closed": set("state = 'solved'"), "reassigned": set("assignee = 'o2'")},
		set(fmt.Sprintf("assignee = '%s', state = 'open'", who)),
	}
}

const webhookSource = "  sources: {helpdesk: {silent_after: 1h, webhook: {secret_file: helpdesk.secret}}}\n  webhooks: {listen: 127.0.0.1:0}\n"

func webhookHolding(t *testing.T) *holding {
	f := newFort(t, "", otherSystems(t, kindsTicket+webhookSource, map[string]string{"helpdesk.secret": hookSecret + "\n"}))
	who, _, customer := f.hasTicket(0)
	version := 0
	put := func(assignee sallyport.Staff, state string) func() {
		return func() {
			version++
			f.tell(f.hears("helpdesk"), fmt.Sprintf(`{"id":"m%d","things":[{"id":"77","customer":"%d","assignee":%q,"state":%q,"opened_by":"customer","assigned_by":"o3","version":%d}]}`,
				version, customer.ID, assignee, state, version))
		}
	}
	return &holding{f, who, customer, "ticket:77", map[string]func(){"closed": put(who, "solved"), "reassigned": put("o2", "open")}, put(who, "open")}
}

func zendeskHolding(t *testing.T) *holding {
	desk := fakezendesk.Start(time.Now, 100)
	t.Cleanup(desk.Close)
	const requester, agent, other = 901, 101, 102
	var f *fort
	known := func(o *Options) {
		text, err := os.ReadFile(o.Config.File)
		if err != nil {
			t.Fatal(err)
		}
		who := theOrg(t).Agents()[0].ID
		named := strings.Replace(string(text), fmt.Sprintf("logins: [%s]}", who), fmt.Sprintf("logins: [%s], known_as: [%q]}", who, strconv.Itoa(agent)), 1)
		named = strings.Replace(named, "logins: [o2],", fmt.Sprintf("logins: [o2], known_as: [%q],", strconv.Itoa(other)), 1)
		if err := os.WriteFile(o.Config.File, []byte(named), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f = newFort(t, "", known, otherSystems(t, kindsTicket+fmt.Sprintf(`  sources:
    helpdesk: {timeout: 1500ms, zendesk: {url: %q, email: %s, token_file: zendesk.token, secret_file: zendesk.secret}}
  webhooks: {listen: 127.0.0.1:0}
`, desk.URL, fakezendesk.Email), map[string]string{"zendesk.token": fakezendesk.Token, "zendesk.secret": fakezendesk.Secret}))
	who, _, customer := f.hasTicket(0)
	desk.User(requester, strconv.FormatInt(int64(customer.ID), 10))
	desk.Hook(f.hears("helpdesk"))
	assignee := int64(agent)
	desk.Open(requester, 77, requester, &assignee, "open")
	// Zendesk's times are whole seconds, of which Sallyport learns nothing about the order within one.
	return &holding{
		f, who, customer, "ticket:77",
		map[string]func(){"closed": func() { desk.Status(other, 77, "solved") }, "reassigned": func() { desk.Assign(other, 77, other) }},
		func() { desk.Status(other, 77, "open"); desk.Assign(other, 77, agent) },
	}
}

func theOrg(t *testing.T) *sim.Org {
	t.Helper()
	s := built(t, theStage)
	return s.org
}

// reads tells whether the customer's address can be read, within a while.
func (h *holding) reads(c *client) {
	h.f.t.Helper()
	within(h.f.t, 20*time.Second, "the ticket counts", func() bool { return h.readable(c) })
}

func (h *holding) readable(c *client) bool {
	return c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", h.customer.ID)) == h.customer.Email
}

// TestStopsCovering: a ticket that is closed or given to somebody else stops covering within two seconds, whatever system it stands in:
// for a client that keeps trying, and in the middle of a result that is under way.
func TestStopsCovering(t *testing.T) {
	for name, hold := range holdings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hold(t)
			h.back()
			c := h.f.connect(h.who)
			c.must("SET sallyport.purpose = '" + h.purpose + "'")
			h.reads(c)
			for _, what := range []string{"closed", "reassigned"} {
				h.keepsTrying(t, c, name, what)
				h.back()
				h.reads(c)
				h.underWay(t, c, name, what)
				h.back()
				h.reads(c)
			}
		})
	}
}

// keepsTrying asks again and again while the ticket is taken away.
func (h *holding) keepsTrying(t *testing.T, c *client, name, what string) {
	t.Helper()
	began := time.Now()
	h.away[what]()
	done := time.Now()
	last, tries := done, 0
	within(t, 20*time.Second, "the ticket stops covering", func() bool {
		tries++
		if !h.readable(c) {
			return true
		}
		last = time.Now()
		return false
	})
	t.Logf("%s, %s: last reveal %s after it was done, which took %s; %d tries", name, what, last.Sub(done).Round(time.Millisecond), done.Sub(began).Round(time.Millisecond), tries)
	for range 50 { // it stays so
		if h.readable(c) {
			t.Fatalf("%s, %s: readable again", name, what)
		}
	}
}

// underWay takes the ticket away while a long result runs, each of whose rows is sent at once.
func (h *holding) underWay(t *testing.T, c *client, name, what string) {
	t.Helper()
	c.notices = nil
	rows, err := c.Query(t.Context(), fmt.Sprintf(`SELECT c.email, repeat('x', 9000) FROM support.customers c CROSS JOIN generate_series(1, 100000) g
		WHERE c.id = %d AND pg_sleep(0.02) IS NOT NULL`, h.customer.ID), pgx.QueryResultFormats{pgx.TextFormatCode})
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var began, done, last time.Time
	plain, tokens := 0, 0
	for tokens < 20 && rows.Next() {
		if string(rows.RawValues()[0]) == h.customer.Email {
			last = time.Now()
			if tokens > 0 {
				t.Fatalf("%s, %s: readable after it was not", name, what)
			}
			if plain++; plain == 20 {
				began = time.Now()
				h.away[what]()
				done = time.Now()
			}
			if plain > 20 && time.Since(began) > stretched(20*time.Second) {
				t.Fatalf("%s, %s: still readable", name, what)
			}
			continue
		}
		tokens++
	}
	if plain < 20 || tokens < 20 {
		t.Fatalf("%s, %s: %d rows readable, %d tokens, %v", name, what, plain, tokens, rows.Err())
	}
	cancelled := c.PgConn().CancelRequest(t.Context())
	rows.Close()
	if cancelled != nil {
		t.Fatal(cancelled)
	}
	t.Logf("%s, %s in mid-result: last reveal %s after it was done, which took %s; then %d rows of tokens", name, what,
		last.Sub(done).Round(time.Millisecond), done.Sub(began).Round(time.Millisecond), tokens)
	if !c.heard("values stay tokens from here on: ticket") {
		t.Errorf("%s, %s: nobody said why", name, what)
	}
}

// TestSourceRestart: what another system sent is known after a restart, and what it has not said for long counts no more; the person reads it.
func TestSourceRestart(t *testing.T) {
	h := webhookHolding(t)
	f := h.f
	h.back()
	c := f.connect(h.who)
	c.must("SET sallyport.purpose = 'ticket:77'")
	h.reads(c)
	c.Close(t.Context())
	f.restart()
	c = f.connect(h.who)
	c.must("SET sallyport.purpose = 'ticket:77'")
	h.reads(c)
	if got := c.one("SELECT full_name FROM support.customers WHERE email = $1", h.customer.Email); got != h.customer.FullName {
		t.Error("the search by a covered value finds nothing")
	}
	c.must("SET sallyport.purpose = 'work:mine'")
	if got := c.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", h.customer.ID)); got != h.customer.FullName {
		t.Error("the work list shows no name")
	}
	if h.readable(c) {
		t.Error("the work list shows an address")
	}
	c.Close(t.Context())
	f.stop()
	text, err := os.ReadFile(f.options.Config.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.options.Config.File, []byte(strings.Replace(string(text), "silent_after: 1h", "silent_after: 1ms", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.options.Config, err = config.Load(f.options.Config.File); err != nil {
		t.Fatal(err)
	}
	f.start()
	c = f.connect(h.who)
	c.must("SET sallyport.purpose = 'ticket:77'")
	if !c.heard("this purpose reveals nothing: the source helpdesk has not been heard of for too long, so nothing says that this is a reason") || h.readable(c) {
		t.Error("nobody said that the source is silent")
	}
	f.mirrorIsPrivate()
}

// mirrorIsPrivate sees to it that what other systems sent is kept in the data folder, for nobody else to read.
func (f *fort) mirrorIsPrivate() {
	t := f.t
	t.Helper()
	kept := 0
	err := filepath.Walk(filepath.Join(f.options.Data, "purposes"), func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s may be read by others: %s", path, info.Mode())
		}
		if info.Mode().IsRegular() {
			kept++
		}
		return nil
	})
	if err != nil || kept == 0 {
		t.Errorf("%d files of the mirror, %v", kept, err)
	}
}

// TestCallAndJob: a call covers its customer for whoever took it, a job many for who runs it, by another system's word; policies see both.
func TestCallAndJob(t *testing.T) {
	f := newFort(t, "", otherSystems(t, `  ticket: {table: support.tickets, id: id, number: ticket_no, customer: customer_id, assignee: assignee, state: state, open: [open, pending], opened_at: opened_at, routers: [svc_router]}
  kinds:
    call: {source: telephony, programs: [pbx]}
    job: {source: telephony, states: [approved]}
`+strings.ReplaceAll(webhookSource, "helpdesk:", "telephony:"), map[string]string{"helpdesk.secret": hookSecret}))
	agent, other := f.org.Agents()[0].ID, f.org.Agents()[1].ID
	url := f.hears("telephony")
	now := time.Now().UTC().Format(time.RFC3339)
	f.tell(url, fmt.Sprintf(`{"id":"1","things":[{"id":"c-1","customer":"5","assignee":%q,"state":"incoming","opened_by":"pbx","begins_at":%q,"version":1},
		{"id":"c-2","customer":"6","assignee":%q,"state":"incoming","opened_by":%q,"begins_at":%q,"version":1}]}`, agent, now, agent, agent, now))
	var customers []string
	for id := 10; id < 400; id++ {
		customers = append(customers, strconv.Quote(strconv.Itoa(id)))
	}
	end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	f.tell(url, fmt.Sprintf(`{"id":"2","things":[{"id":"j-1","customers":[%s],"assignee":%q,"state":"approved","opened_by":%q,"assigned_by":"o2","begins_at":%q,"ends_at":%q,"version":1}]}`,
		strings.Join(customers, ","), agent, agent, now, end))
	email := func(c *client, id int) bool {
		t.Helper()
		return strings.HasSuffix(c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", id)), ".invalid")
	}
	c, d := f.connect(agent), f.connect(other)
	c.must("SET sallyport.purpose = 'call:c-1'")
	if email(c, 5) || !email(c, 6) {
		t.Error("the call does not cover its customer, and him alone")
	}
	d.must("SET sallyport.purpose = 'call:c-1'")
	if !d.heard("call c-1 is somebody else's") || !email(d, 5) {
		t.Error("a call covers for somebody who did not take it")
	}
	c.must("SET sallyport.purpose = 'call:c-2'")
	if !c.heard("call c-2 was written down by a person: only the telephony system's word counts") || !email(c, 6) {
		t.Error("a call that somebody wrote down himself covers")
	}
	c.must("SET sallyport.purpose = 'job:j-1'")
	if email(c, 10) || email(c, 200) || !email(c, 401) {
		t.Error("the job does not cover its customers, and them alone")
	}
	d.must("SET sallyport.purpose = 'job:j-1'")
	if !email(d, 10) {
		t.Error("a job covers for somebody who does not run it")
	}
	f.tell(url, fmt.Sprintf(`{"id":"3","things":[{"id":"j-1","customers":["10"],"assignee":%q,"state":"withdrawn","opened_by":%q,"assigned_by":"o2","begins_at":%q,"ends_at":%q,"version":2},
		{"id":"c-1","customer":"5","assignee":%q,"state":"incoming","opened_by":"pbx","begins_at":%q,"ends_at":%q,"version":2}]}`, agent, agent, now, end, agent, "2020-01-01T00:00:00Z", "2020-01-01T00:05:00Z"))
	within(t, 20*time.Second, "the job stops covering", func() bool { return email(c, 10) })
	c.must("SET sallyport.purpose = 'call:c-1'")
	within(t, 20*time.Second, "the call stops covering", func() bool { return email(c, 5) })
}
