package serve

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
)

// seenBy puts on record that somebody saw a customer.
func (f *fort) seenBy(who sallyport.Staff, customer sallyport.Subject) (seq uint64) {
	f.t.Helper()
	seq, err := f.server.AccessStream.Append(&sallyport.Event{
		Time: time.Now(), Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who, Login: string(who), Session: "session-of-" + string(who)},
		Reveal: &sallyport.Revealed{
			Statement: 1, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}, Purposes: []sallyport.Purpose{{Kind: "grant", Ref: "g1"}}, Grant: "g1",
			Values: sallyport.ValuesOf(sallyport.RevealedValue{Subject: customer, Digest: sallyport.Digest{1}}),
		},
	})
	fatal(f.t, err)
	return seq
}

// isThere says whether the access stream has an entry.
func (f *fort) isThere(seq uint64) bool {
	return slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == seq })
}

// TestACaseHoldsWhatErasureWouldTake: what a case holds, of its customers and of its people, is erased neither by customer nor by event nor by a proposal
// that was approved before the hold; other erasures go on meanwhile; and once two people have let go of it, it can be erased.
func TestACaseHoldsWhatErasureWouldTake(t *testing.T) {
	f, _, elsewhere, ahead := erasureFort(t)
	agent, suspect := f.org.Agents()[0].ID, f.org.Agents()[1].ID
	const held, late, free, his = sallyport.Subject("7000001"), sallyport.Subject("7000002"), sallyport.Subject("7000003"), sallyport.Subject("7000004")
	of := map[sallyport.Subject]uint64{held: f.seenBy(agent, held), late: f.seenBy(agent, late), free: f.seenBy(agent, free), his: f.seenBy(suspect, his)}
	o1, o2 := f.officer("o1"), f.officer("o2")
	_, err := o1.WhoSaw(f.ctx, held) // the question is on record, and names him, too
	fatal(t, err)
	ahead.Store(int64(60 * 24 * time.Hour))
	for n, who := range []sallyport.Staff{agent, suspect} {
		fatal(t, f.server.orders.StepCase(f.server.casing.book, &sallyport.CaseStep{Case: uint64(n + 1), Do: cases.DoOpen, Text: "asked for by the prosecutor", People: []sallyport.Staff{who}}, "", f.server.O.Clock())) //nolint:gosec // small
	}
	step := func(n, do string, q api.CaseRequest) string {
		t.Helper()
		id, err := o1.StepCase(f.ctx, n, do, q)
		fatal(t, err)
		return id
	}
	about := func(customer sallyport.Subject) {
		t.Helper()
		step("1", cases.DoCustomers, api.CaseRequest{Customers: []sallyport.Subject{customer}, Text: "it is about him"})
	}
	about(held)
	step("1", cases.DoHold, api.CaseRequest{Text: "the prosecutor asks", At: f.server.O.Clock()}) // of its people from now on alone
	step("2", cases.DoHold, api.CaseRequest{Text: "the prosecutor asks", At: time.Now().Add(-time.Hour)})

	for _, c := range []struct {
		customer sallyport.Subject
		owed     int
	}{{held, 2}, {his, 1}} {
		out, err := f.command("o1", "ledger", "erase", "--customer", string(c.customer), "--reason", "asked for erasure", "--json")
		fatal(t, err)
		var answer api.CustomerErasure
		fatal(t, json.Unmarshal([]byte(out), &answer))
		if len(answer.Proposals) != 0 || answer.Entries != 0 || answer.Owed.Held != c.owed {
			t.Errorf("by customer %s: %s, want %d held", c.customer, out, c.owed)
		}
		if out, err := f.command("o1", "ledger", "erase", fmt.Sprintf("access:%d", of[c.customer]), "--reason", "asked for erasure"); err == nil || !strings.Contains(err.Error(), "is held for case") {
			t.Errorf("by event: %v\n%s", err, out)
		}
	}

	waits, err := o1.EraseCustomer(f.ctx, late, "asked for erasure")
	fatal(t, err)
	goes, err := o1.EraseCustomer(f.ctx, free, "asked for erasure")
	fatal(t, err)
	if len(waits.Proposals) != 1 || len(goes.Proposals) != 1 {
		t.Fatalf("%+v %+v", waits, goes)
	}
	about(late) // after it was proposed
	for _, id := range []string{waits.Proposals[0], goes.Proposals[0]} {
		if _, err := o2.Approve(f.ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	within(t, 30*time.Second, "what nobody holds goes", func() bool { return !f.isThere(of[free]) })
	within(t, 30*time.Second, "it is said why the other one stays", func() bool { return strings.Contains(f.log.String(), "is held: it is held for case 1") })
	for _, customer := range []sallyport.Subject{held, late, his} {
		if !f.isThere(of[customer]) {
			t.Errorf("the entry of %s is gone", customer)
		}
	}

	id := step("1", cases.DoRelease, api.CaseRequest{Text: "the court has decided"})
	if !f.isThere(of[late]) || !f.server.casing.book.Holding() {
		t.Error("one person let go")
	}
	_, err = o2.Approve(f.ctx, id)
	fatal(t, err)
	within(t, 30*time.Second, "what two agreed on before goes now", func() bool { return !f.isThere(of[late]) })
	answer, err := o1.EraseCustomer(f.ctx, held, "asked for erasure")
	fatal(t, err)
	if answer.Owed.Held != 0 || answer.Entries != 2 {
		t.Errorf("%+v", answer)
	}
	for _, id := range answer.Proposals {
		_, err := o2.Approve(f.ctx, id)
		fatal(t, err)
	}
	within(t, 30*time.Second, "what was held goes", func() bool { return !f.isThere(of[held]) && len(f.server.State.Erasures()) == 0 })
	if !f.isThere(of[his]) {
		t.Error("what case 2 holds went with the release of case 1")
	}
	f.settled()
	f.stop()
	if out, err := runMainOf(t, "ledger", "verify", f.options.Data, "--checkpoint", elsewhere); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
