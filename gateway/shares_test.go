package gateway_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/sim"
)

// busy is an agent with many tickets of different customers, and the statement that reads them all.
func (o *office) busy(t *testing.T, but sallyport.Staff, want int) (who sallyport.Staff, reasons string, own []sim.Customer, read string) {
	t.Helper()
	for _, p := range o.org.Agents() {
		if p.ID == but {
			continue
		}
		var tickets, ids []string
		own = nil
		for _, id := range o.org.OpenTickets(p.ID) {
			ticket := o.org.Ticket(id)
			if slices.ContainsFunc(own, func(c sim.Customer) bool { return c.ID == ticket.Customer }) || len(own) == want {
				continue
			}
			own = append(own, o.org.Customer(ticket.Customer))
			tickets, ids = append(tickets, fmt.Sprint("ticket:", id)), append(ids, fmt.Sprint(ticket.Customer))
		}
		if len(own) == want {
			return p.ID, strings.Join(tickets, ","), own, "SELECT email FROM support.customers WHERE id IN (" + strings.Join(ids, ",") + ")"
		}
	}
	t.Fatalf("no agent has open tickets of %d customers", want)
	return "", "", nil, ""
}

func readable(got string, own []sim.Customer) (n int) {
	for i := range own {
		if strings.Contains(got, own[i].Email) {
			n++
		}
	}
	return n
}

// TestSharedBudgets: each budget that several share cuts in mid-result, counts a customer once however many people saw him, outlives a restart,
// and has nobody suspended.
func TestSharedBudgets(t *testing.T) {
	var mu sync.Mutex // guards scope and name
	var scope exposure.Scope
	var name string
	only := func(s exposure.Scope, n string) {
		mu.Lock()
		defer mu.Unlock()
		scope, name = s, n
	}
	o := newOffice(t, func(s *stage) {
		s.shared = func(s exposure.Scope, n string) (exposure.Budget, bool) {
			mu.Lock()
			defer mu.Unlock()
			return exposure.Budget{Hour: 4}, s == scope && n == name
		}
		s.country = func(netip.Addr) string { return "DE" }
		s.suspend = func(who sallyport.Staff, l sallyport.Limit) error {
			t.Errorf("%s is suspended: %+v", who, l)
			return nil
		}
	})
	first, why1, own1, read1 := o.busy(t, "", 3)
	second, why2, own2, read2 := o.busy(t, first, 3)
	team := o.person(string(first)).Team
	if team != o.person(string(second)).Team {
		t.Fatalf("%s and %s are of two teams", first, second)
	}
	through := func(who sallyport.Staff, why, read string) (string, error) {
		return o.desk().simple(comment(read, o.word(who), why))
	}
	direct := func(who sallyport.Staff, why, read string) (string, error) {
		conn, kept := o.dial(string(who), o.passwords[who])
		w := &wireTap{o: o, PgConn: conn, ear: kept}
		w.do("SET sallyport.purpose = '" + why + "'")
		return w.simple(read)
	}
	for _, c := range []struct {
		scope exposure.Scope
		name  string
		way   func(who sallyport.Staff, why, read string) (string, error)
	}{
		{exposure.Team, team, direct},
		{exposure.Service, "svc_desk", through},
		{exposure.Application, "others", direct},
		{exposure.Device, exposure.Unknown, direct},
		{exposure.Country, "DE", direct},
		{exposure.Country, exposure.Unknown, through}, // the address is the application's
		{exposure.Purpose, "ticket", through},
	} {
		t.Run(string(c.scope)+" "+c.name, func(t *testing.T) {
			only(c.scope, c.name)
			o.stop()
			o.serve() // what was revealed before by other ways is folded, in this budget too
			got, err := c.way(first, why1, read1)
			again, errAgain := c.way(first, why1, read1)
			if err == nil && (readable(got, own1) != 3 || errAgain != nil || readable(again, own1) != 3) {
				t.Errorf("three of four: %v, %v", err, errAgain)
			}
			got, err = c.way(second, why2, read2)
			answer, _ := errors.AsType[*pgconn.PgError](err)
			if n := readable(got, own2); answer == nil || answer.Code != "SP010" || !strings.Contains(answer.Message, string(c.scope)+" "+c.name) || n > 1 {
				t.Errorf("the fifth and sixth: %d of them are readable, %v", n, err)
			}
			o.stop()
			o.serve()
			if got, err = c.way(second, why2, read2); err == nil || readable(got, own2) > 1 {
				t.Errorf("behind a restart: %v", err)
			}
		})
	}
	limits := 0
	o.must(o.access.Read(1, func(e *sallyport.Event) error {
		if e.Limit != nil && e.Limit.Scope != "" && e.Limit.Budget == 4 {
			limits++
		}
		return nil
	}))
	if limits == 0 {
		t.Error("no budget that was reached is on record")
	}
}

// TestSoftBudget: with a fifth of a budget left the result waits in its middle until the person confirms who he is, and then goes on.
func TestSoftBudget(t *testing.T) {
	waits := make(chan string, 10)
	state := control.NewState()
	five := exposure.Budget{Hour: 5, Day: 5, Month: 5}
	o := newOffice(t, func(s *stage) {
		s.real, s.standing = true, state
		s.budgets = func(purpose.Person) exposure.Budgets { return exposure.Budgets{Revealed: five} }
		s.notice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
			select {
			case waits <- n.Message + n.Hint:
			default:
			}
		}
		s.moment = func(p purpose.Person) policy.Context {
			c := policy.Context{Trust: control.FullTrust, MFAMinutes: -1, SecondMinutes: -1}
			if !state.Door(p.Staff).Confirmed.IsZero() {
				c.MFAMinutes = 0
			}
			return c
		}
	})
	who, why, own, read := o.busy(t, "", 5)
	done := make(chan string, 1)
	go func() {
		got, err := o.desk().simple(comment(read, o.word(who), why))
		done <- fmt.Sprint(got, err)
	}()
	select {
	case said := <-waits:
		if !strings.Contains(said, "most of the customers") || !strings.Contains(said, "confirm --as "+string(who)) {
			t.Errorf("it says %q", said)
		}
	case got := <-done:
		t.Fatalf("it did not wait; %d readable", readable(got, own))
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	select {
	case got := <-done:
		t.Fatalf("it did not wait for long; %d readable", readable(got, own))
	default:
	}
	state.Apply(&sallyport.Event{Time: time.Now(), Kind: sallyport.Confirmed, Order: &sallyport.Order{Action: "confirm", By: who, About: who}})
	select {
	case got := <-done:
		if n := readable(got, own); n != 5 {
			t.Errorf("%d of 5 are readable once it was confirmed", n)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it still waits")
	}
}
