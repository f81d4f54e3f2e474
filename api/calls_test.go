package api

import (
	"bytes"
	"context"
	"testing"
	"time"

	"sallyport"
	"sallyport/assure"
)

// TestCalls schedules calls: by a ticket of one's own about that very customer alone, recorded before the code is shown, which stands in no entry.
func TestCalls(t *testing.T) {
	book := assure.NewBook()
	r := start(t, func(c *Config) {
		fold := c.Orders.Fold(book.Apply)
		want(t, fold, "")
		c.Calls = &Calls{
			Book: book,
			Reason: func(_ context.Context, who sallyport.Staff, customer sallyport.Subject) (string, bool) {
				return "4711", who == "s001" && customer == "48211"
			},
			Called: func(sallyport.Staff) (string, string) { return "Ada", "billing" },
		}
	})
	ctx, now := t.Context(), r.clock.Now()
	q := CallRequest{Customer: "48211", From: now.Add(time.Hour), Minutes: 30, About: "invoice"}
	call, err := r.as("s001").ScheduleCall(ctx, q)
	want(t, err, "")
	if call.Name != "Ada" || call.Reason != "ticket:4711" || len(call.Code) != 14 {
		t.Fatalf("%+v", call)
	}
	other := q
	other.Customer = "48212"
	_, err = r.as("s001").ScheduleCall(ctx, other)
	want(t, err, "no_reason")
	_, err = r.as("s050").ScheduleCall(ctx, q)
	want(t, err, "no_reason") // a lead has no more right to it than his own tickets give him
	q.About = "your password is 1234"
	_, err = r.as("s001").ScheduleCall(ctx, q)
	want(t, err, "bad_call")
	q.About, q.From = "invoice", time.Time{}
	_, err = r.as("s001").ScheduleCall(ctx, q)
	want(t, err, "bad_call")

	if _, ok, _ := (&Orders{}).CheckCall(book, call.Code, now); ok {
		t.Error("it is to be made already")
	}
	list, err := r.as("s001").Calls(ctx)
	want(t, err, "")
	if len(list) != 1 || list[0].Code != "" {
		t.Errorf("%+v", list)
	}
	if list, _ := r.as("s050").Calls(ctx); len(list) != 0 {
		t.Errorf("somebody else sees %+v", list)
	}
	want(t, r.as("s060").CancelCall(ctx, "ca-unknown"), "bad_call")
	want(t, r.as("s060").CancelCall(ctx, call.ID), "") // who oversees access
	want(t, r.as("s001").CancelCall(ctx, call.ID), "bad_call")
	if _, ok := book.Now(call.Code, now.Add(time.Hour)); ok {
		t.Error("a call that was called off holds")
	}
	n := 0
	err = r.control.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.AssuredKind {
			n++
			if a := e.Order.Assured; bytes.Contains(a.Code, []byte(call.Code)) || e.Note != "" || a.Do == assure.Schedule && a.Reason != "ticket:4711" {
				t.Errorf("%+v", a)
			}
		}
		return nil
	})
	want(t, err, "")
	if n != 2 {
		t.Errorf("%d entries", n)
	}
}

// TestCheckCall puts on record that a customer asked, a few times and no more.
func TestCheckCall(t *testing.T) {
	book := assure.NewBook()
	var orders *Orders
	r := start(t, func(c *Config) {
		orders = c.Orders
		want(t, orders.Fold(book.Apply), "")
		c.Calls = &Calls{
			Book: book, Reason: func(context.Context, sallyport.Staff, sallyport.Subject) (string, bool) { return "1", true },
			Called: func(sallyport.Staff) (string, string) { return "Ada", "" },
		}
	})
	call, err := r.as("s001").ScheduleCall(t.Context(), CallRequest{Customer: "1", From: r.clock.Now(), Minutes: 5, About: "request"})
	want(t, err, "")
	before := r.control.Last()
	for range assure.MostChecks + 5 {
		if _, ok, err := orders.CheckCall(book, call.Code, r.clock.Now()); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, ok, _ := orders.CheckCall(book, "AAAA-AAAA-AAAA", r.clock.Now()); ok {
			t.Fatal("a wrong code holds")
		}
	}
	if n := r.control.Last() - before; n != assure.MostChecks {
		t.Errorf("%d entries", n)
	}
}
