package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/exposure"
	"sallyport/internal/tidy"
	"sallyport/sim"
	"sallyport/trace"
)

// TestDemo plays the story in small and holds it to what it is to show.
func TestDemo(t *testing.T) {
	tidy.Temp(t)
	var out, story bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &story, Getenv: os.Getenv}
	if err := m.Run(t.Context(), []string{"demo", "--customers", "6000", "--json"}); err != nil {
		t.Fatalf("%v\n%s", err, &story)
	}
	var f demoFigures
	decoder := json.NewDecoder(&out)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(io.MultiReader(decoder.Buffered(), &out)); err != nil || len(bytes.TrimSpace(rest)) > 0 {
		t.Errorf("behind the figures stands %q, %v", rest, err)
	}
	if f.Customers != 6000 || f.Direct.Customers != 6000 || f.In2019 != stolen2019 {
		t.Errorf("customers %d, stolen directly %d, in 2019 %d", f.Customers, f.Direct.Customers, f.In2019)
	}
	checkDay(t, &f.Day)
	if l := f.Level; !l.Waited || !l.Read || l.Before >= l.Customers || l.Seconds <= 0 {
		t.Errorf("the soft level: %+v", l)
	}
	checkThefts(t, f.Thefts)
	checkReports(t, &f)
}

func checkDay(t *testing.T, f *demoDay) {
	t.Helper()
	if f.Unread != 0 || f.CutOff != 0 || f.Suspended != 0 {
		t.Errorf("honest work was hindered: %+v", f)
	}
	if f.Visits < 500 || f.Read < int64(f.Visits) || f.NewTickets == 0 || f.Notices == 0 || f.SimulatedHours < 9 {
		t.Errorf("not much of a day: %+v", f)
	}
	if budget := exposure.Default().Revealed.Day; f.MostForOne == 0 || f.MostForOne > budget || f.Revealed < int64(f.MostForOne) || f.Values < f.Revealed {
		t.Errorf("revealed: %+v", f)
	}
}

func checkThefts(t *testing.T, thefts []demoTheft) {
	t.Helper()
	if len(thefts) != 5 {
		t.Fatalf("%d thefts", len(thefts))
	}
	budgets := exposure.Default()
	thieves := map[string]bool{}
	for i, f := range thefts {
		thieves[f.Thief] = true
		// The demonstration itself compares bytes and record customer by customer.
		if f.Exposed > int64(budgets.Revealed.Day) || i > 1 && (f.Exposed != f.RecordExposed || f.Reached != f.RecordReached) {
			t.Errorf("%s: %+v", f.Way, f)
		}
		if f.Suspended != (f.Budget != "") || f.Suspended && (f.WallSeconds <= 0 || f.SimulatedSeconds <= 0) {
			t.Errorf("%s: %+v", f.Way, f)
		}
		switch i {
		case 0, 1:
			if !f.Suspended || f.Exposed > 5 || f.Reached > int64(budgets.Reached.Day)+1 {
				t.Errorf("%s was not cut: %+v", f.Way, f)
			}
		case 2:
			if f.Exposed != 0 || f.Reached != 6000 {
				t.Errorf("%s: %+v", f.Way, f)
			}
		case 3:
			if f.Exposed != 0 || !f.Suspended || f.Reached > int64(budgets.Probed.Day) {
				t.Errorf("%s: %+v", f.Way, f)
			}
		case 4:
			if f.Suspended || f.Exposed < victimReports {
				t.Errorf("%s: %+v", f.Way, f)
			}
		}
	}
	if len(thieves) != len(thefts) {
		t.Errorf("%d thieves", len(thieves))
	}
}

func checkReports(t *testing.T, f *demoFigures) {
	t.Helper()
	r := &f.Reports
	if r.Suspect != r.Thief || r.Thief != f.Thefts[4].Thief || r.Reports != victimReports+backgroundReports {
		t.Fatalf("%+v", r)
	}
	if len(r.Ranking) < 2 || r.Ranking[0].Seen < victimReports || r.Ranking[0].Expected > 1 || r.Ranking[0].Posterior < trace.NamedFrom || r.Forged < 1 {
		t.Errorf("%+v", r.Ranking)
	}
}

// TestDemoHold reads the one line, logs in with it, and interrupts.
func TestDemoHold(t *testing.T) {
	tidy.Temp(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	m := &Main{Stdin: strings.NewReader(""), Stdout: w, Stderr: io.Discard, Getenv: os.Getenv}
	ended := make(chan error, 1)
	go func() {
		err := m.Run(ctx, []string{"demo", "--customers", "1000", "--hold", "--json"})
		w.CloseWithError(io.EOF)
		ended <- err
	}()
	var held heldStage
	decoder := json.NewDecoder(r)
	if err := decoder.Decode(&held); err != nil {
		t.Fatal(errors.Join(err, <-ended))
	}
	visit(t, &held)
	cancel()
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("there is more than one line: %v", err)
	}
	if err := <-ended; err != nil {
		t.Errorf("after the interrupt: %v", err)
	}
}

// visit tries what the line promises.
func visit(t *testing.T, held *heldStage) {
	t.Helper()
	if len(held.Staff) < 40 || len(held.Services) != 2 || len(held.Officers) != 3 || held.Control == "" || held.Data == "" {
		t.Fatalf("%d staff, %d services, %d officers", len(held.Staff), len(held.Services), len(held.Officers))
	}
	org, err := sim.New(1, 1000, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []heldStaff{held.Staff[0], held.Staff[len(held.Staff)-1]} {
		conn := dial(t, held.Gateway, s.ID, s.Password)
		if _, err := conn.Exec(t.Context(), "SET sallyport.purpose = 'ticket:"+s.Ticket+"'"); err != nil {
			t.Fatal(err)
		}
		var email string
		if err := conn.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", s.Customer).Scan(&email); err != nil {
			t.Fatal(err)
		}
		if want := org.Customer(s.Customer).Email; email != want {
			t.Errorf("%s reads something else than the address of his ticket's customer", s.ID)
		}
	}
	dial(t, held.Gateway, held.Services[0].ID, held.Services[0].Password)
	var name string
	if err := dial(t, held.Direct, "", "").QueryRow(t.Context(), "SELECT full_name FROM support.customers WHERE id = 1").Scan(&name); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(name, "tk1:") {
		t.Error("the database holds names in plain")
	}
	out := &bytes.Buffer{}
	officer := held.Officers[0]
	m := &Main{Stdout: out, Stderr: io.Discard, Getenv: func(string) string { return officer.Password }}
	if err := m.Run(t.Context(), []string{"who-saw", number(held.Staff[0].Customer), "--as", officer.ID, "--control", held.Control}); err != nil {
		t.Fatal(err)
	}
	pseudonym := regexp.MustCompile(`p-[a-z0-9]{10}`).FindString(out.String())
	if strings.Contains(out.String(), held.Staff[0].ID) || pseudonym == "" {
		t.Fatalf("who-saw names somebody before two people agreed: %s", out)
	}
	clients := [2]*api.Client{}
	for i := range clients {
		clients[i] = api.NewClient(held.Control, sallyport.Staff(held.Officers[i].ID), held.Officers[i].Password)
		defer clients[i].Close()
	}
	id, err := clients[0].Unmask(t.Context(), pseudonym, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clients[1].Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := m.Run(t.Context(), []string{"who-saw", number(held.Staff[0].Customer), "--as", officer.ID, "--control", held.Control}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), held.Staff[0].ID) {
		t.Errorf("who-saw does not name %s to whom two people let see it: %s", held.Staff[0].ID, out)
	}
}

func dial(t *testing.T, dsn, user, password string) *pgx.Conn {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.UserPassword(user, password)
	}
	conn, err := pgx.Connect(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeConn(context.Background(), conn) })
	return conn
}

// TestDemoClock sets the clock forward and never back.
func TestDemoClock(t *testing.T) {
	c := &demoClock{}
	if d := time.Since(c.Now()); d < 0 || d > time.Minute {
		t.Errorf("a clock that nobody set is %s off", d)
	}
	c.advance(demoMonday)
	c.advance(demoMonday.Add(-time.Hour))
	first := c.Now()
	if d := first.Sub(demoMonday); d < 0 || d > time.Minute {
		t.Errorf("the clock shows %s", first)
	}
	c.advance(demoMonday.Add(time.Hour))
	if now := c.Now(); now.Before(demoMonday.Add(time.Hour)) {
		t.Errorf("set forward by an hour, the clock shows %s", now)
	}
}

// TestExcerpt keeps the beginning and the complaints of a long text.
func TestExcerpt(t *testing.T) {
	e := &excerpt{}
	errs := &complaints{e}
	for range 10_000 {
		_, _ = io.WriteString(e, "1|tk1:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n")
	}
	for range 1000 {
		_, _ = io.WriteString(errs, "NOTICE:  again\n")
	}
	_, _ = io.WriteString(errs, "FATAL:  the end "+strings.Repeat("of the story ", 20)+"\n")
	got := e.lines(2)
	if len(got) != 7 || got[2] != "…" || got[3] != "NOTICE:  again" || !strings.HasPrefix(got[4], "FATAL:  the end") || e.text.Len() > excerptText {
		t.Errorf("%q", got)
	}
	for _, line := range append(got, fit(strings.Repeat("ä", 300))...) {
		if n := len([]rune(line)); n > pageWidth {
			t.Errorf("a line of %d columns", n)
		}
	}
}
