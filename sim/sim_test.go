package sim_test

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport"
	"sallyport/sim"
)

func now() time.Time { return time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC) }

func newOrg(tb testing.TB, seed uint64, customers int64) *sim.Org {
	tb.Helper()
	o, err := sim.New(seed, customers, now())
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestSchemaIsTheReference(t *testing.T) {
	want, err := os.ReadFile("../../shared/reference/support.sql")
	if err != nil {
		t.Skip("the reference schema is not beside this project")
	}
	if diff := cmp.Diff(string(want), sim.Schema); diff != "" {
		t.Errorf("sim/support.sql differs from the reference (-want +got):\n%s", diff)
	}
}

func TestSameSeedSameRows(t *testing.T) {
	a, b, other := newOrg(t, 7, 500), newOrg(t, 7, 500), newOrg(t, 8, 500)
	for i, table := range a.Tables() {
		if diff := cmp.Diff(rows(t, table), rows(t, b.Tables()[i])); diff != "" {
			t.Errorf("%s differs between two runs:\n%s", table.Name, diff)
		}
		if rows(t, table) == rows(t, other.Tables()[i]) {
			t.Errorf("%s is the same with another seed", table.Name)
		}
	}
	if diff := cmp.Diff(a.Day(now()), b.Day(now())); diff != "" {
		t.Errorf("the day differs between two runs:\n%s", diff)
	}
}

// TestPartsMakeTheWhole: rows written in two ranges are those written in one.
func TestPartsMakeTheWhole(t *testing.T) {
	for _, table := range newOrg(t, 1, 300).Tables() {
		var parts bytes.Buffer
		if err := table.Copy(&parts, 1, table.Rows/3); err != nil {
			t.Fatal(err)
		}
		if err := table.Copy(&parts, table.Rows/3+1, table.Rows); err != nil {
			t.Fatal(err)
		}
		if parts.String() != rows(t, table) {
			t.Errorf("%s depends on where it is cut", table.Name)
		}
		if err := table.Copy(io.Discard, 1, table.Rows+1); err == nil {
			t.Errorf("%s gave a row that it does not have", table.Name)
		}
		for line := range strings.Lines(rows(t, table)) {
			if n := strings.Count(line, "\t") + 1; n != len(table.Columns) {
				t.Fatalf("%s: %d fields, want %d: %q", table.Name, n, len(table.Columns), line)
			}
		}
	}
}

func TestCustomers(t *testing.T) {
	o := newOrg(t, 1, 20_000)
	address := regexp.MustCompile(`^[a-z]+[._]?[a-z]+[0-9]+@[a-z-]+\.example$`)
	number := regexp.MustCompile(`^\+[1-9][0-9]{7,12}$`)
	emails, names, phones := map[string]bool{}, map[string]int{}, map[string]bool{}
	countries := map[string]int{}
	for id := int64(1); id <= o.Customers; id++ {
		c := o.Customer(id)
		if !address.MatchString(c.Email) || emails[c.Email] {
			t.Fatalf("customer %d: address %q is malformed or another's", id, c.Email)
		}
		if c.Phone != "" && (!number.MatchString(c.Phone) || phones[c.Phone]) {
			t.Fatalf("customer %d: number %q is malformed or another's", id, c.Phone)
		}
		emails[c.Email], phones[c.Phone] = true, true
		names[c.FullName]++
		countries[c.Country]++
		if !c.BirthDate.IsZero() && (c.BirthDate.Year() < 1935 || c.BirthDate.Year() > 2009) {
			t.Errorf("customer %d: born %s", id, c.BirthDate)
		}
		if strings.ContainsAny(c.Notes, "{}") || !c.CreatedAt.Before(o.Now) {
			t.Errorf("customer %d: notes %q, created %s", id, c.Notes, c.CreatedAt)
		}
	}
	most := 0
	for _, n := range names {
		most = max(most, n)
	}
	if most < 5 || most > 100 {
		t.Errorf("the most frequent of 20,000 full names stands %d times, want a few", most)
	}
	if len(countries) != 16 {
		t.Errorf("customers live in %d countries, want all 16: %v", len(countries), countries)
	}
}

func TestTickets(t *testing.T) {
	for _, customers := range []int64{1, 100, 20_000} {
		o := newOrg(t, 3, customers)
		numbers := map[string]bool{}
		open := map[sallyport.Staff][]int64{}
		shape := regexp.MustCompile(`^CS-[0-9]{4}-[0-9]{4}$`)
		for id := int64(1); id <= o.Tickets; id++ {
			ticket := o.Ticket(id)
			if !shape.MatchString(ticket.No) || numbers[ticket.No] {
				t.Fatalf("ticket %d: number %q is malformed or another's", id, ticket.No)
			}
			numbers[ticket.No] = true
			if ticket.Customer < 1 || ticket.Customer > o.Customers || ticket.Assignee == "" {
				t.Fatalf("ticket %d belongs to nobody: %+v", id, ticket)
			}
			if ticket.OpenedAt.After(o.Now) || ticket.ClosedAt.After(o.Now) {
				t.Errorf("ticket %d is in the future: %+v", id, ticket)
			}
			if (ticket.State == sim.Closed) == ticket.ClosedAt.IsZero() {
				t.Errorf("ticket %d: state %s, closed at %s", id, ticket.State, ticket.ClosedAt)
			}
			if ticket.State != sim.Closed {
				open[ticket.Assignee] = append(open[ticket.Assignee], id)
			}
		}
		for _, agent := range o.Agents() {
			own := o.OpenTickets(agent.ID)
			slices.Sort(own)
			if len(own) < 20 || !slices.Equal(own, open[agent.ID]) {
				t.Errorf("%s has the open tickets %v, told %v", agent.ID, open[agent.ID], own)
			}
			delete(open, agent.ID)
		}
		if len(open) > 0 {
			t.Errorf("others than agents have open tickets: %v", open)
		}
	}
}

func TestNumbersNeverRepeat(t *testing.T) {
	// Every id of a range that spans carries between the halves, and the far end.
	seen := map[string]bool{}
	for _, from := range []int64{0, 9_990_000, 99_950_000} {
		for id := from; id < from+50_000; id++ {
			no := sim.TicketNo(id)
			if seen[no] {
				t.Fatalf("id %d: %s is another's", id, no)
			}
			seen[no] = true
		}
	}
}

func TestMessagesAndContacts(t *testing.T) {
	o := newOrg(t, 2, 3_000)
	count := map[int64]int{}
	for id := int64(1); id <= o.Messages; id++ {
		m := o.Message(id)
		count[m.Ticket]++
		if m.Ticket < 1 || m.Ticket > o.Tickets || m.Body == "" || strings.ContainsAny(m.Body, "{}") || m.SentAt.After(o.Now) {
			t.Fatalf("message %d: %+v", id, m)
		}
	}
	for id := int64(1); id <= o.Tickets; id++ {
		if count[id] < 2 || count[id] > 3 {
			t.Fatalf("ticket %d has %d messages", id, count[id])
		}
	}
	for id := int64(1); id <= o.Contacts; id++ {
		c := o.Contact(id)
		if c.Ticket > o.Tickets || c.Customer < 1 || c.At.After(o.Now) || (c.Ticket > 0 && o.Ticket(c.Ticket).Customer != c.Customer) {
			t.Fatalf("contact %d: %+v", id, c)
		}
	}
}

func TestSize(t *testing.T) {
	o := newOrg(t, 1, 200_000)
	open := 0
	for _, agent := range o.Agents() {
		open += len(o.OpenTickets(agent.ID))
	}
	if open < 3000 || open > 6000 || o.Tickets != 60_000 || o.Messages != 150_000 || len(o.Staff) != 60 {
		t.Errorf("%d open of %d tickets, %d messages, %d staff", open, o.Tickets, o.Messages, len(o.Staff))
	}
	big := newOrg(t, 1, 12_000_000)
	if c := big.Customer(12_000_000); c.Email == "" {
		t.Error("the last of 12 million has no address")
	}
	for _, n := range []int64{0, -1, 1 << 40} {
		if _, err := sim.New(1, n, now()); err == nil {
			t.Errorf("%d customers were accepted", n)
		}
	}
}

func TestDay(t *testing.T) {
	o := newOrg(t, 5, 20_000)
	zone := time.FixedZone("office", 2*3600)
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, zone)
	plan := o.Day(day)
	perAgent := map[sallyport.Staff][]sim.Visit{}
	for _, v := range plan.Visits {
		perAgent[v.Staff] = append(perAgent[v.Staff], v)
		if v.At.Before(day.Add(8*time.Hour)) || v.At.After(day.Add(18*time.Hour)) {
			t.Errorf("%s works at %s", v.Staff, v.At)
		}
		if slices.Contains(v.Steps, sim.Reply) != (v.Message > o.Messages) {
			t.Errorf("message %d for the steps %v", v.Message, v.Steps)
		}
	}
	arrivals, calls := map[int64]sim.Arrival{}, map[int64]sim.Contact{}
	for _, a := range plan.Arrivals {
		arrivals[a.Ticket.ID] = a
	}
	for _, c := range plan.Calls {
		calls[c.ID] = c
	}
	for _, agent := range o.Agents() {
		visits := perAgent[agent.ID]
		if len(visits) < 20 || len(visits) > 40 {
			t.Errorf("%s has %d visits", agent.ID, len(visits))
		}
		if visits[0].Steps[0] != sim.ReadWorkList {
			t.Errorf("%s does not read the work list first", agent.ID)
		}
		for i, v := range visits {
			if i > 0 && !v.At.After(visits[i-1].At) {
				t.Errorf("%s is at two places at %s", agent.ID, v.At)
			}
			checkReason(t, o, v, arrivals, calls)
		}
	}
	ids := map[int64]bool{}
	for _, d := range []time.Time{day, day.AddDate(0, 0, 1)} {
		for _, a := range o.Day(d).Arrivals {
			if ids[a.Ticket.ID] || a.Ticket.ID <= o.Tickets {
				t.Fatalf("the id %d of a new ticket is taken", a.Ticket.ID)
			}
			ids[a.Ticket.ID] = true
		}
	}
}

// checkReason holds each visit to what makes it genuine.
func checkReason(t *testing.T, o *sim.Org, v sim.Visit, arrivals map[int64]sim.Arrival, calls map[int64]sim.Contact) {
	t.Helper()
	switch {
	case v.Call != 0:
		c := calls[v.Call]
		if c.Customer != v.Customer || c.Staff != v.Staff || !c.At.Before(v.At) || v.Opens.ID != v.Ticket || v.Opens.Customer != v.Customer {
			t.Errorf("visit %+v does not fit the call %+v", v, c)
		}
	case v.Ticket > o.Tickets:
		a := arrivals[v.Ticket]
		if a.Ticket.Customer != v.Customer || a.Ticket.Assignee != v.Staff || !a.AssignedAt.Before(v.At) {
			t.Errorf("visit %+v does not fit the arrival %+v", v, a)
		}
	default:
		ticket := o.Ticket(v.Ticket)
		if ticket.Customer != v.Customer || ticket.Assignee != v.Staff || ticket.State == sim.Closed {
			t.Errorf("visit %+v does not fit the ticket %+v", v, ticket)
		}
	}
}

func rows(t *testing.T, table sim.Table) string {
	t.Helper()
	var b strings.Builder
	if err := table.Copy(&b, 1, table.Rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// BenchmarkCopy is one row a round; its inverse is rows per second.
func BenchmarkCopy(b *testing.B) {
	o := newOrg(b, 1, 12_000_000)
	for _, table := range o.Tables()[1:] {
		b.Run(table.Name, func(b *testing.B) {
			b.ReportAllocs()
			if err := table.Copy(io.Discard, 1, min(table.Rows, int64(b.N))); err != nil {
				b.Fatal(err)
			}
		})
	}
}
