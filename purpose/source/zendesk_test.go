package source

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/fakezendesk"
	"sallyport/purpose"
)

const (
	ada      = 101 // agents
	grace    = 102
	customer = 901
	stranger = 902
)

// desk is a fake Zendesk and the source that asks it.
type desk struct {
	*fakezendesk.Server
	t *testing.T
	c *clock
	z *zendesk
	o Options
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	c := newClock()
	o, folder := options(t, c, "ticket")
	d := &desk{Server: fakezendesk.Start(c.now, 2), t: t, c: c, o: o}
	t.Cleanup(d.Close)
	write(t, filepath.Join(folder, "token"), fakezendesk.Token, 0o600)
	write(t, filepath.Join(folder, "secret"), fakezendesk.Secret, 0o600)
	d.User(ada, "")
	d.User(grace, "")
	d.Agent(ada)
	d.Agent(grace)
	d.User(customer, "1")
	d.User(stranger, "2")
	d.open()
	t.Cleanup(func() { _ = d.z.Close() })
	return d
}

func (d *desk) open() {
	d.t.Helper()
	d.z = open(d.t, &purpose.SourceConfig{Timeout: "1s", Silent: "5m", Zendesk: purpose.ZendeskConfig{URL: d.URL, Email: fakezendesk.Email, TokenFile: "token", SecretFile: "secret"}}, d.o).(*zendesk)
	d.Hook(newHook(d.t, d.c, d.z).url)
}

// said is who did what by the source's word: opened, assigned, reopened; and whether the customer got in touch.
func (d *desk) said(ref string) string {
	d.t.Helper()
	got := find(d.t, d.z, ref)
	var things []purpose.Thing
	if json.Unmarshal([]byte(got), &things) != nil {
		return got
	}
	if len(things) != 1 {
		return "none"
	}
	t := things[0]
	out := []string{t.State, t.Assignee, "opened " + t.OpenedBy, "assigned " + t.AssignedBy}
	if t.ReopenedBy != "" {
		out = append(out, "reopened "+t.ReopenedBy)
	}
	if !t.Contacted.IsZero() {
		out = append(out, "contacted")
	}
	for _, c := range t.Customers {
		out = append(out, "about "+string(c))
	}
	return strings.Join(out, ", ")
}

func (d *desk) says(ref, want string) {
	d.t.Helper()
	if got := d.said(ref); got != want {
		d.t.Errorf("%s: %s\nwant %s", ref, got, want)
	}
}

// TestZendesk: who opened, assigned and reopened a ticket is what its audits say; the webhook says at once that it has changed.
func TestZendesk(t *testing.T) {
	d := newDesk(t)
	d.says("4711", "silent")
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("4711", "none")
	step := func() { d.c.later(time.Second) }
	d.Open(customer, 4711, customer, nil, "new")
	d.says("4711", "new, , opened customer, assigned , contacted, about 1")
	step()
	d.Assign(grace, 4711, ada)
	d.says("4711", "new, 101, opened customer, assigned 102, contacted, about 1")
	d.says("4711", "new, 101, opened customer, assigned 102, contacted, about 1")
	if n := d.Asked("/api/v2/tickets/4711.json"); n != 3 {
		t.Errorf("the ticket was asked for %d times; expected once before it was there and once for each of two states", n)
	}
	step()
	d.Status(ada, 4711, "solved")
	d.says("4711", "solved, , opened , assigned ")
	step()
	d.Status(ada, 4711, "open")
	d.says("4711", "open, 101, opened customer, assigned 102, reopened 101, contacted, about 1")
	step()
	d.Assign(-1, 4711, grace)
	d.says("4711", "open, 102, opened customer, assigned system, reopened 101, contacted, about 1")
	step()
	d.Requester(ada, 4711, stranger)
	d.says("4711", "open, 102, opened 101, assigned system, reopened 101, about 2")
}

// TestZendeskSelfMade: what an agent does himself stays his, however it is dressed.
func TestZendeskSelfMade(t *testing.T) {
	d := newDesk(t)
	d.Open(ada, 1, customer, new(int64(ada)), "open")
	d.says("1", "silent") // what the webhook says is no sign of life: others of its messages may be lost
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("1", "open, 101, opened 101, assigned 101, about 1")
	d.c.later(time.Second)
	d.Comment(ada, 1, customer) // as if the customer had written
	d.says("1", "open, 101, opened 101, assigned 101, about 1")
	d.c.later(time.Second)
	d.Comment(grace, 1, grace) // a colleague's word does not launder it
	d.says("1", "open, 101, opened 101, assigned 101, about 1")
	d.c.later(time.Second)
	d.Comment(customer, 1, customer)
	d.says("1", "open, 101, opened 101, assigned 101, contacted, about 1")
	d.c.later(time.Second)
	d.User(ada, "2") // she makes herself a customer, and writes to herself
	d.Open(ada, 2, ada, new(int64(ada)), "open")
	d.says("2", "open, 101, opened customer, assigned customer, contacted")
	d.User(customer, "77") // the requester is made somebody else
	d.Comment(ada, 1, ada)
	if got := d.said("1"); !strings.Contains(got, "external_id of the ticket's requester is another one") {
		t.Error(got)
	}
}

// TestZendeskLost: messages that never came are made up for by the export, also over a restart, and while neither speaks nothing is known.
func TestZendeskLost(t *testing.T) {
	d := newDesk(t)
	for id := range int64(7) {
		d.Open(customer, id+1, customer, new(int64(ada)), "open")
	}
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("3", "open, 101, opened customer, assigned customer, contacted, about 1")
	things, err := d.z.Mine(t.Context(), []string{"101"}, 100)
	if err != nil || len(things) != mostAsked+1 {
		t.Errorf("%d, %v", len(things), err)
	}
	d.Hook("")
	d.c.later(time.Second)
	d.Assign(grace, 3, grace)
	d.Status(grace, 4, "closed")
	d.says("3", "open, 101, opened customer, assigned customer, contacted, about 1")
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("3", "open, 102, opened customer, assigned 102, contacted, about 1")
	d.says("4", "closed, , opened , assigned ")
	before := d.Asked("/api/v2/incremental/tickets/cursor.json")
	if err := d.z.Close(); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.says("3", "open, 102, opened customer, assigned 102, contacted, about 1")
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := d.Asked("/api/v2/incremental/tickets/cursor.json") - before; n != 1 {
		t.Errorf("the export was read in %d pages after a restart; expected to go on where it was", n)
	}
	d.c.later(6 * time.Minute)
	d.says("3", "silent")
	d.Limit(1)
	if err := d.z.follow(t.Context()); err == nil || !strings.Contains(err.Error(), "asked again in 1m33s") {
		t.Error(err)
	}
	d.says("3", "silent")
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("3", "open, 102, opened customer, assigned 102, contacted, about 1")
	d.c.later(time.Second)
	d.Open(customer, 9, customer, new(int64(ada)), "open")
	d.Limit(1)
	if got := d.said("9"); !strings.Contains(got, "asked too often") && got != "none" {
		t.Error(got)
	}
}

// TestZendeskForgery: what Zendesk did not sign changes nothing, and cannot be sent again.
func TestZendeskForgery(t *testing.T) {
	d := newDesk(t)
	d.Open(customer, 1, customer, new(int64(ada)), "open")
	d.c.later(time.Second)
	d.Hook("")
	d.Status(grace, 1, "solved")
	body, stamp := d.Event(1, "ticket.status_changed", grace), d.c.now().Format(time.RFC3339)
	h := newHook(t, d.c, d.z)
	send := func(body, stamp, signature string) int {
		t.Helper()
		status, _ := h.send(body, map[string]string{"X-Zendesk-Webhook-Signature": signature, "X-Zendesk-Webhook-Signature-Timestamp": stamp})
		return status
	}
	for name, signed := range map[string][3]string{
		"no signature":   {body, stamp, ""},
		"another body's": {strings.Replace(body, "SOLVED", "OPEN", 1), stamp, fakezendesk.Sign(stamp, body)},
		"another time's": {body, d.c.text(time.Second), fakezendesk.Sign(stamp, body)},
		"too old":        {body, d.c.text(-6 * time.Minute), fakezendesk.Sign(d.c.text(-6*time.Minute), body)},
	} {
		if status := send(signed[0], signed[1], signed[2]); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	if known := d.z.find(purpose.Ref{Text: "1"}); len(known) != 1 || known[0].State != "open" {
		t.Errorf("a forged message was taken: %v", known)
	}
	if status := send(body, stamp, fakezendesk.Sign(stamp, body)); status != http.StatusOK {
		t.Error(status)
	}
	if known := d.z.find(purpose.Ref{Text: "1"}); len(known) != 1 || known[0].State != "solved" {
		t.Errorf("a message was not taken: %v", known)
	}
	if err := d.z.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.says("1", "solved, , opened , assigned ")
}
