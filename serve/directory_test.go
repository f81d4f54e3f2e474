package serve

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/grant"
	"sallyport/scim"
	"sallyport/staff"
)

// provider is an identity provider that speaks SCIM to a fort, as Entra ID and Okta do.
type provider struct {
	t    *testing.T
	f    *fort
	http *http.Client
}

const providerToken = "spscim_of_the_test"

// heard is the change of options that has a fort hear the identity provider.
func heard(t *testing.T, ca *authority, more func(*config.Config)) func(*Options) {
	return func(o *Options) {
		certificate, key := ca.mustIssue(t, "localhost").files(t, filepath.Dir(o.Config.File), "scim")
		o.Config.Directory = config.DirectoryConfig{
			SCIM:   config.SCIMConfig{Listen: "127.0.0.1:0", Certificate: certificate, Key: key, Tokens: []string{scim.HashToken(providerToken).String()}},
			Groups: map[string]config.Spot{"SG-Agents": {Team: "tier1", Role: "agent"}, "SG-Leads": {Team: "tier1", Role: "lead"}},
			Delay:  "1h",
		}
		if more != nil {
			more(o.Config)
		}
	}
}

func newProvider(t *testing.T, f *fort, ca *authority) *provider {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.trust(), ServerName: "localhost"}}
	t.Cleanup(transport.CloseIdleConnections)
	return &provider{t: t, f: f, http: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

func (p *provider) call(method, path, body string) (int, map[string]any) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, "https://"+p.f.server.provider.addr().String()+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+providerToken)
	r.Header.Set("Content-Type", "application/scim+json")
	answer, err := p.http.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	var o map[string]any
	if len(text) > 0 {
		if err := json.Unmarshal(text, &o); err != nil {
			p.t.Fatalf("%s: %q", path, text)
		}
	}
	return answer.StatusCode, o
}

func (p *provider) must(status int, method, path, body string) map[string]any {
	p.t.Helper()
	got, o := p.call(method, path, body)
	if got != status {
		p.t.Fatalf("%s %s: %d %v", method, path, got, o)
	}
	return o
}

// add makes a user and returns his id.
func (p *provider) add(user sallyport.Staff) string {
	p.t.Helper()
	return p.must(201, "POST", "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"active":true}`, user))["id"].(string)
}

const falseAsEntra = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Replace","path":"active","value":"False"}]}`

func mustAuthority(t *testing.T) *authority {
	t.Helper()
	ca, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// TestDeactivated: whom the identity provider deactivates reads nothing any more, whoever keeps trying on however many connections. It holds over
// a restart; that he is active again lets him in no more than before; two people do.
func TestDeactivated(t *testing.T) {
	ca := mustAuthority(t)
	f := newFort(t, "", heard(t, ca, nil))
	p := newProvider(t, f, ca)
	who, ticket, customer := f.hasTicket(0)
	id := p.add(who)

	var seen atomic.Int64 // reveals
	var last atomic.Int64 // when the last one had arrived, in ns
	stop := make(chan struct{})
	var wg sync.WaitGroup
	read := []string{fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)}
	for range 3 { // each keeps its session while it can, and makes a new one when it cannot
		wg.Go(func() {
			for {
				c, err := pgx.Connect(t.Context(), f.dsn(who))
				for err == nil {
					if _, err = c.Exec(t.Context(), read[0], pgx.QueryExecModeSimpleProtocol); err != nil {
						break
					}
					email := ""
					if err = c.QueryRow(t.Context(), read[1], pgx.QueryExecModeSimpleProtocol).Scan(&email); err == nil && email == customer.Email {
						seen.Add(1)
						last.Store(time.Now().UnixNano())
					}
					select {
					case <-stop:
						_ = c.Close(t.Context())
						return
					default:
					}
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	within(t, 20*time.Second, "they read", func() bool { return seen.Load() > 50 })
	sent := time.Now()
	p.must(200, "PATCH", "/Users/"+id, falseAsEntra)
	answered := time.Now()
	at := seen.Load()
	for until := answered.Add(time.Second); time.Now().Before(until); { // they keep trying
		if _, err := f.tryConnect(who); err == nil {
			t.Error("a new session")
		}
	}
	close(stop)
	wg.Wait()
	gap := time.Unix(0, last.Load()).Sub(sent)
	t.Logf("from the request to its answer: %s; to the last value that arrived: %s; %d reveals before, %d that arrived after the answer", answered.Sub(sent).Round(time.Microsecond), gap.Round(time.Microsecond), at, seen.Load()-at)
	if gap > stretched(time.Second) {
		t.Errorf("a value arrived %s after the request", gap)
	}
	refused := func(when string) {
		t.Helper()
		if _, err := f.tryConnect(who); err == nil || !strings.Contains(err.Error(), "the directory says that he left") {
			t.Errorf("%s: %v", when, err)
		}
	}
	refused("deactivated")
	f.restart()
	refused("after a restart")
	if _, err := f.officer("o1").Unlock(t.Context(), who, "test"); err == nil {
		t.Error("the unlock of somebody who has left was proposed")
	}
	p.must(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"replace","value":{"active":true}}]}`)
	refused("active again")
	p.must(204, "DELETE", "/Users/"+id, "")
	p.add(who)
	refused("deleted and made anew")
	proposal, err := f.officer("o1").Unlock(t.Context(), who, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), proposal); err != nil {
		t.Fatal(err)
	}
	if c, err := f.tryConnect(who); err != nil {
		t.Errorf("two people unlocked him: %v", err)
	} else {
		_ = c.Close(t.Context())
	}
}

// TestDirectoryDecides: groups of the identity provider say at once what somebody reads, in a session that is open, too. An approver they make only
// with two people and an hour.
func TestDirectoryDecides(t *testing.T) {
	ca := mustAuthority(t)
	var late atomic.Int64
	var who sallyport.Staff
	f := newFort(t, "", heard(t, ca, nil), func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
		// The configuration knows an agent no more: only his log-in is there.
		people := map[string]config.Person{}
		maps.Copy(people, o.Config.People)
		who = firstAgent(t)
		delete(people, string(who))
		o.Config.People = people
	})
	p := newProvider(t, f, ca)
	_, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	reads := func(c *client) bool {
		t.Helper()
		rows, err := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
		if err != nil {
			t.Fatal(err)
		}
		return rows[0][0] == customer.Email
	}
	if reads(c) {
		t.Fatal("a log-in of nobody reads")
	}
	id := p.add(who)
	group := func(name string) string {
		return p.must(201, "POST", "/Groups", fmt.Sprintf(`{"displayName":%q,"members":[{"value":%q}]}`, name, id))["id"].(string)
	}
	c = f.connect(who) // he is somebody now
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	if reads(c) {
		t.Error("somebody without a role reads")
	}
	agents := group("SG-Agents")
	within(t, 5*time.Second, "as an agent he reads his ticket's customer", func() bool { return reads(c) })
	p.must(204, "PATCH", "/Groups/"+agents, `{"Operations":[{"op":"remove","path":"members"}]}`)
	within(t, 5*time.Second, "out of the group he reads nothing", func() bool { return !reads(c) })
	p.must(204, "PATCH", "/Groups/"+agents, fmt.Sprintf(`{"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":%q}]}]}`, id))

	// An officer whose role comes from the provider may do nothing before two people agreed, and an hour.
	late.Store(0)
	leads := group("SG-Leads")
	m, err := f.officer("o1").Member(t.Context(), who)
	if err != nil || m.Role != "agent" || m.Team != "tier1" || m.Wants != "lead@tier1" || m.Delay != "1h0m0s" {
		t.Errorf("he is %+v, %v", m.Member, err)
	}
	proposal, err := f.officer("o1").Empower(t.Context(), who, "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o1").Approve(t.Context(), proposal); err == nil {
		t.Error("one person made a lead")
	}
	if _, err := f.officer("o2").Approve(t.Context(), proposal); err != nil {
		t.Fatal(err)
	}
	role := func() string { return f.server.staffing.role(who) }
	if role() != "agent" {
		t.Errorf("at once he is %q", role())
	}
	late.Store(int64(time.Hour))
	if role() != "lead" {
		t.Errorf("after an hour he is %q", role())
	}
	f.restart()
	if role() != "lead" {
		t.Errorf("after a restart he is %q", role())
	}
	p.must(204, "PATCH", "/Groups/"+leads, `{"Operations":[{"op":"remove","path":"members"}]}`)
	if role() != "agent" {
		t.Errorf("at once after it was taken away he is %q", role())
	}
	p.must(204, "PATCH", "/Groups/"+leads, fmt.Sprintf(`{"Operations":[{"op":"add","path":"members","value":[{"value":%q}]}]}`, id))
	if role() != "agent" {
		t.Errorf("a second time without two people he is %q", role())
	}
	// The configuration means something else by a group from the next start on.
	f.options.Config.Directory.Groups = map[string]config.Spot{"SG-Agents": {Team: "tier9", Role: "engineer"}}
	f.restart()
	if role() != "engineer" {
		t.Errorf("with another meaning of his group he is %q", role())
	}
}

// firstAgent is whom hasTicket(0) is about.
func firstAgent(t *testing.T) sallyport.Staff {
	t.Helper()
	s, err := theStage()
	if err != nil {
		t.Fatal(err)
	}
	return s.org.Agents()[0].ID
}

// TestPowerOfOrders: a lead by the directory gives orders only while he is one, and a configured person without a role gives none.
func TestPowerOfOrders(t *testing.T) {
	ca := mustAuthority(t)
	f := newFort(t, "", heard(t, ca, func(c *config.Config) {
		people := map[string]config.Person{}
		maps.Copy(people, c.People)
		o3 := people["o3"]
		o3.Role, o3.Team = "", ""
		people["o3"] = o3
		c.People, c.Directory.Delay = people, "0s"
	}))
	p := newProvider(t, f, ca)
	may := func() bool {
		_, err := f.officer("o3").Proposals(t.Context())
		return err == nil
	}
	if may() {
		t.Error("without a role he gives orders")
	}
	id := p.add("o3")
	group := p.must(201, "POST", "/Groups", fmt.Sprintf(`{"displayName":"SG-Leads","members":[{"value":%q}]}`, id))["id"].(string)
	if may() {
		t.Error("a group made an approver")
	}
	proposal, err := f.officer("o1").Empower(t.Context(), "o3", "test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o3").Approve(t.Context(), proposal); err == nil {
		t.Error("he approved himself")
	}
	if _, err := f.officer("o2").Approve(t.Context(), proposal); err != nil {
		t.Fatal(err)
	}
	if !may() {
		t.Error("two people made him a lead without a delay, and he may nothing")
	}
	p.must(204, "DELETE", "/Groups/"+group, "")
	if may() {
		t.Error("the group is gone, and he gives orders")
	}
}

// TestLogInGroups: the groups of a log-in say what somebody is, are put on record once, and make no approver.
func TestLogInGroups(t *testing.T) {
	ca := mustAuthority(t)
	f := newFort(t, "", heard(t, ca, nil))
	say := func(groups ...string) {
		t.Helper()
		if err := f.server.FromLogin("new1", "New One", groups); err != nil {
			t.Fatal(err)
		}
	}
	say("SG-Agents", "SG-Leads", "everybody")
	person, ok := f.server.staffing.person("new1")
	if !ok || person.Place != (sallyport.Place{Team: "tier1", Role: "agent"}) || person.Wants.Role != "lead" || !slices.Equal(person.Sources, []string{staff.LogIn}) {
		t.Errorf("%+v", person)
	}
	version := f.server.State.Directory().Version()
	say("everybody", "SG-Leads", "SG-Agents")
	if f.server.State.Directory().Version() != version {
		t.Error("the same groups are on record twice")
	}
	say("everybody")
	if person, _ := f.server.staffing.person("new1"); person.Place != (sallyport.Place{}) || person.Wants != (sallyport.Place{}) {
		t.Errorf("without groups: %+v", person)
	}
	if who, ok := f.server.staffing.called("NEW1"); !ok || who != "new1" {
		t.Errorf("what new1 wrote in another system is %q's", who)
	}
	if err := f.server.FromLogin("login:x", "", nil); err == nil {
		t.Error("an id that Sallyport makes itself was taken")
	}
}

// TestImportLeavers: a file locks who has left, by state or by day, and an officer imports nothing about himself.
func TestImportLeavers(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	other := f.org.Agents()[1].ID
	row := func(l sallyport.Listed) api.ImportRow { return api.ImportRow{Listed: l} }
	result, err := f.officer("o1").Import(t.Context(), []api.ImportRow{
		row(sallyport.Listed{Staff: who, Name: "A", Employment: staff.Left}),
		row(sallyport.Listed{Staff: other, Name: "B", Leaves: time.Now().Add(-time.Hour)}),
		row(sallyport.Listed{Staff: "o1", Name: "Myself"}),
		row(sallyport.Listed{Staff: "svc_router", Name: "A program"}),
		row(sallyport.Listed{Staff: "O2", Name: "Twin"}),
		{Listed: sallyport.Listed{Staff: "o2", Name: "Forged", Want: sallyport.Place{Role: "lead"}, Placed: true, Said: []string{"lead"}, Groups: []sallyport.Group{"x"}}, Says: sallyport.Place{Role: "lead"}},
	}, false, false)
	if err != nil || len(result.Changes) != 3 || len(result.Problems) != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	for _, id := range []sallyport.Staff{who, other} {
		within(t, 5*time.Second, "he is locked", func() bool { return f.server.State.Standing(id).Locked })
	}
	if l, _ := f.server.State.Directory().Get(staff.CSV, "o2"); len(l.Said) > 0 || len(l.Groups) > 0 || l.Want.Role != "lead" {
		t.Errorf("a client said what a file cannot say: %+v", l)
	}
	if _, err := f.officer("o1").Import(t.Context(), []api.ImportRow{row(sallyport.Listed{Staff: who, Name: "A"})}, true, false); err != nil {
		t.Fatal(err)
	}
	if !f.server.State.Standing(who).Locked {
		t.Error("an import unlocked somebody")
	}
	within(t, 5*time.Second, "who is missing in a complete file is locked", func() bool { return f.server.State.Standing("o2").Locked })
	if _, err := api.NewClient(filepath.Join(f.options.Data, SocketName), who, "x").Directory(t.Context()); err == nil {
		t.Error("anybody reads the directory")
	}
}

// TestApproversHavePower: whom an approval rule of grants names by role or team is no approver by an import.
func TestApproversHavePower(t *testing.T) {
	c := &config.Config{}
	c.Grants.Groups = map[string]grant.Group{"privacy": {Teams: []string{"privacy"}, Roles: []string{"dba"}}}
	for place, want := range map[sallyport.Place]bool{{Team: "privacy", Role: "agent"}: true, {Role: "dba"}: true, {Team: "t", Role: "agent"}: false, {Role: "lead"}: true} {
		if got := c.Rules().Powerful(place); got != want {
			t.Errorf("%+v has power: %v", place, got)
		}
	}
}
