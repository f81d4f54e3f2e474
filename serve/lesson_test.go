package serve

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/policy"
	"sallyport/program/training"
	"sallyport/sim"
)

// maskPolicies writes the program's own policies into a folder, with the one for whoever is behind by more than a month in force.
func maskPolicies(t *testing.T) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, text := range policy.Defaults(true) {
		if before, rule, ok := strings.Cut(text.Content, `// @id("training.mask")`); ok {
			text.Content = before + `@id("training.mask")` + strings.ReplaceAll(rule, "\n// ", "\n")
		}
		fatal(t, os.WriteFile(filepath.Join(folder, text.Name), []byte(text.Content), 0o600))
	}
	return folder
}

// learning is a serve that gives lessons, on a clock that the test moves.
type learning struct {
	*fort
	moved    atomic.Int64
	begin    time.Time
	customer int
}

func (l *learning) day(n int, hour int) {
	l.moved.Store(int64(time.Until(l.begin.AddDate(0, 0, n).Add(time.Duration(hour) * time.Hour))))
}

func (l *learning) now() time.Time { return time.Now().Add(time.Duration(l.moved.Load())) }

func (l *learning) put(e *sallyport.Event) {
	l.t.Helper()
	e.Time = l.now()
	_, err := l.server.AccessStream.Append(e)
	fatal(l.t, err)
}

// looksAt has somebody shown so many customers without a reason, by entries as a session makes them.
func (l *learning) looksAt(who sallyport.Staff, n int) {
	l.t.Helper()
	for range n {
		l.customer++
		r := &sallyport.Revealed{Statement: 1, Columns: []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}}
		r.Values.Add(sallyport.RevealedValue{Subject: sallyport.Subject(fmt.Sprint(5_000_000 + l.customer)), Digest: sallyport.Digest{byte(l.customer), byte(l.customer >> 8), 1}})
		l.put(&sallyport.Event{Kind: sallyport.RevealKind, Who: sallyport.Who{Staff: who, Login: string(who), Session: "of-" + string(who)}, Reveal: r})
	}
}

// reads has somebody look at a customer through the gateway, for a ticket, and says whether he is shown the value.
func (l *learning) reads(who sallyport.Staff, ticket, customer int64) (plain bool) {
	l.t.Helper()
	c := l.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket))
	got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer))
	fatal(l.t, c.Close(l.ctx))
	return got == l.org.Customer(customer).Email
}

// TestLessonEndToEnd: reveals that are refused assign a lesson; while it is overdue a policy masks what was shown before; who has read it is shown it again;
// and command and page say by how much those who were told at once differ from those whom a draw had wait, with the interval.
func TestLessonEndToEnd(t *testing.T) {
	t.Parallel()
	folder, keys := certified(t)
	l := &learning{begin: time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 1)}
	l.day(0, 8)
	var erring sallyport.Staff
	l.fort = newFort(t, "policies: "+maskPolicies(t)+"\ntraining: {lessons: true, wait: 14, days: 7}\nconsole: {"+keys+"}\n", func(o *Options) {
		for who := range o.Config.People {
			if o.Config.People[who].Role == "agent" && (erring == "" || sallyport.Staff(who) < erring) {
				erring = sallyport.Staff(who)
			}
		}
		p := o.Config.People[string(erring)]
		var err error
		p.Password, err = officerHash(erring)
		fatal(t, err)
		o.Config.People[string(erring)] = p
		o.Clock = l.now
	})
	ticket := l.org.Ticket(l.org.OpenTickets(erring)[0])
	if !l.reads(erring, ticket.ID, ticket.Customer) {
		t.Fatal("his own ticket shows nothing")
	}
	others := l.org.Agents()[1:]
	l.month(others, erring, ticket.Customer)
	lesson := l.lessonOf(erring)

	l.moved.Store(int64(time.Until(lesson.Due.Add(31*24*time.Hour - time.Minute)))) // behind, and not yet by so much
	if !l.reads(erring, ticket.ID, ticket.Customer) {
		t.Error("masked before the policy says so")
	}
	l.moved.Store(int64(time.Until(lesson.Due.Add(32 * 24 * time.Hour))))
	if l.reads(erring, ticket.ID, ticket.Customer) {
		t.Error("who is overdue by more than a month is shown the value")
	}
	within(t, 20*time.Second, "the record says that training.mask did it", func() bool { return l.decidedBy("training.mask") }) // what came of a statement is noted behind it
	if out, err := l.command(erring, "program", "training", "lesson", training.NotAReason, "--answer", "b"); err != nil || !strings.Contains(out, "done") {
		t.Fatalf("%s, %v", out, err)
	}
	if !l.reads(erring, ticket.ID, ticket.Customer) {
		t.Error("who has read his lesson is not shown the value again")
	}
	l.reported(surf(t, folder, l.server.Console()))
}

// month lets people work without reasons for a fortnight, err, and work on; one of them errs through the gateway. Who was told at once learns from it.
func (l *learning) month(others []sim.Person, erring sallyport.Staff, customer int64) {
	l.t.Helper()
	for day := 1; day <= 14; day++ {
		l.day(day, 9)
		for i, p := range others {
			l.looksAt(p.ID, 2+(i+day)%3) // three a day of everybody, whoever is drawn to be told at once
		}
	}
	for day := 15; day <= 17; day++ {
		l.day(day, 9)
		for _, p := range others {
			l.put(&sallyport.Event{Kind: sallyport.RefusedKind, Who: sallyport.Who{Staff: p.ID, Login: string(p.ID), Session: "of-" + string(p.ID)}, Statement: &sallyport.Statement{ID: 1, Refused: "SP013"}})
		}
		if l.reads(erring, 99_999_999, customer) {
			l.t.Fatal("a ticket that is none shows a value")
		}
	}
	told := map[sallyport.Staff]bool{}
	within(l.t, 60*time.Second, "everybody who erred is given the lesson", func() bool {
		list := l.server.teaching.book.Lessons()
		for i := range list {
			told[list[i].Staff] = !list[i].From.After(list[i].At)
		}
		return len(list) == len(others)+1
	})
	for day := 18; day <= 32; day++ {
		l.day(day, 9)
		for i, p := range others {
			if told[p.ID] {
				l.looksAt(p.ID, 1+(i+day)%2)
			} else {
				l.looksAt(p.ID, 2+(i+day)%3)
			}
		}
	}
}

func (l *learning) lessonOf(who sallyport.Staff) training.Taught {
	l.t.Helper()
	for _, x := range l.server.teaching.book.Lessons() {
		if x.Staff == who {
			if x.Lesson != training.NotAReason || len(x.Misses) != 3 {
				l.t.Errorf("%+v", x)
			}
			return x
		}
	}
	l.t.Fatalf("%s was given no lesson", who)
	return training.Taught{}
}

// decidedBy tells whether some result of the record was ruled by a policy.
func (l *learning) decidedBy(id string) (found bool) {
	l.t.Helper()
	fatal(l.t, l.server.AccessStream.Read(1, func(e *sallyport.Event) error {
		if e.Result != nil {
			for _, r := range e.Result.Rulings {
				found = found || slices.Contains(strings.Split(r.Policy, ","), id)
			}
		}
		return nil
	}))
	return found
}

// reported holds command and page to what was done: about three looks without a reason a day before, and half as many after of who was told at once.
func (l *learning) reported(b *surfing) {
	t := l.t
	t.Helper()
	out, err := l.command("o1", "program", "training", "effect", "--json")
	var got struct {
		Effects []training.Effect `json:"effects"`
	}
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || len(got.Effects) == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	e := got.Effects[0]
	if e.Says != training.Fewer || e.Told.Before < 2.5 || e.Told.After > 2 || e.Wait.After < 2.5 || e.Ratio < 0.3 || e.Ratio > 0.8 || e.Low >= e.Ratio || e.High <= e.Ratio || e.High >= 1 {
		t.Errorf("%+v", e)
	}
	b.ask("/login", "name", "o1", "password", "o1-password")
	if _, body := b.ask("/programme/effect", "report", "effect"); !strings.Contains(body, fmt.Sprintf("× %.2f (%.2f to %.2f)", e.Ratio, e.Low, e.High)) {
		t.Errorf("the page says otherwise than %+v:\n%s", e, body)
	}
	out, err = l.command("o1", "program", "training", "effect")
	if err != nil {
		t.Error(err)
	}
	t.Logf("\n%s", out)
}
