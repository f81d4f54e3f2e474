package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/program/board"
	"sallyport/program/reports"
	"sallyport/program/training"
)

const trainingSecret = "0123456789abcdef0123456789abcdef-training"

// threeMonths is a serve with drills on a schedule, lessons and the made-up organisation, on a clock that the test moves.
type threeMonths struct {
	*fort
	moved   atomic.Int64
	begin   time.Time
	agents  []sallyport.Staff
	pairs   map[string]map[string]bool // by month: who could read whom
	tickets map[string]int
	lapsed  sallyport.Staff // whose access a review has ended
	due     time.Time       // of the lesson for mistakes
}

func newThreeMonths(t *testing.T) *threeMonths {
	t.Helper()
	s := built(t, theStage)
	now := time.Now().UTC()
	w := &threeMonths{begin: time.Date(now.Year(), now.Month()+1, 1, 9, 0, 0, 0, time.UTC), pairs: map[string]map[string]bool{}, tickets: map[string]int{}}
	w.at(w.begin)
	admin, err := pgx.Connect(t.Context(), s.cluster.SuperDSN("postgres"))
	fatal(t, err)
	defer func() { fatal(t, admin.Close(t.Context())) }()
	for _, who := range []string{"drill1", "drill2"} {
		_, err = admin.Exec(t.Context(), fmt.Sprintf("DROP ROLE IF EXISTS %[1]s; CREATE ROLE %[1]s LOGIN PASSWORD '%[1]s-secret' IN ROLE support_agents", who))
		fatal(t, err)
	}
	t.Cleanup(func() { s.drop("drill1", "drill2") })
	extra := strings.Replace(drillYAML, "  accounts:", "  schedule:\n    - {drill: bulk-export, every: 30, within: 5}\n  accounts:", 1) + canaryYAML +
		"  teams: {drill: {reached: {hour: 10, day: 10, month: 10}}}\nrespond: {mode: act}\ntraining: {lessons: true, wait: 28, secret_file: training.secret}\n" +
		"reports: {listen: 127.0.0.1:0, secret_file: reports.secret, customers: 3000}\n"
	for _, a := range s.org.Agents()[:4] {
		w.agents = append(w.agents, a.ID)
	}
	w.fort = newFort(t, extra, func(o *Options) {
		folder := filepath.Dir(o.Config.File)
		for name, secret := range map[string]string{
			"router.password": s.passwords["svc_router"], "drill1.password": "drill1-secret", "drill2.password": "drill2-secret", "training.secret": trainingSecret, "reports.secret": reportsSecret,
		} {
			fatal(t, os.WriteFile(filepath.Join(folder, name), []byte(secret+"\n"), 0o600))
		}
		for _, who := range w.agents {
			p := o.Config.People[string(who)]
			var err error
			p.Password, err = officerHash(who)
			fatal(t, err)
			o.Config.People[string(who)] = p
		}
		o.WatchEvery = 300 * time.Millisecond
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(w.moved.Load())) }
	})
	w.superExec(w.database, "INSERT INTO support.staff VALUES ('drill1', 'Drill One', 'drill', 'agent'), ('drill2', 'Drill Two', 'drill', 'agent')")
	w.passwords["drill1"], w.passwords["drill2"] = "drill1-secret", "drill2-secret"
	w.server.drills.change(func() { w.server.drills.waits = 2 * time.Second })
	fatal(t, w.officer("o1").PlantCanaries(t.Context(), api.PlantRequest{Count: 12, Reason: "for drills", Drill: true}))
	within(t, 120*time.Second, "the customers of drills are made", func() bool {
		got, err := w.officer("o1").CanaryStatus(t.Context())
		fatal(t, err)
		return got.Drill == 12
	})
	return w
}

func (w *threeMonths) at(at time.Time) { w.moved.Store(int64(time.Until(at))) }

func (w *threeMonths) now() time.Time { return time.Now().Add(time.Duration(w.moved.Load())) }

// day moves on, lets the schedule look, and waits for the end of a drill that it began.
func (w *threeMonths) day(month, day int) {
	w.t.Helper()
	at := w.begin.AddDate(0, month, day-1)
	w.at(at)
	within(w.t, 3*time.Minute, "the schedule has looked, and no drill is being played", func() bool {
		d := w.server.drills
		d.mu.Lock()
		defer d.mu.Unlock()
		return !d.busy && d.plan.seen.Load() >= at.UnixNano()
	})
}

// work has agents look at customers of tickets of their own, and a colleague open a ticket.
func (w *threeMonths) work(round int) {
	w.t.Helper()
	month := w.now().UTC().Format("2006-01")
	if w.pairs[month] == nil {
		w.pairs[month] = map[string]bool{}
	}
	for i, who := range w.agents {
		c, own := w.connect(who), w.org.OpenTickets(who)
		for n := range 2 {
			ticket := w.org.Ticket(own[(2*round+n)%len(own)])
			c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
			got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", ticket.Customer))
			if plain := got == w.org.Customer(ticket.Customer).Email; plain == (who == w.lapsed) {
				w.t.Fatalf("%s reads %q", who, got)
			}
			if who == w.lapsed {
				continue
			}
			w.pairs[month][fmt.Sprintf("%s %d", who, ticket.Customer)] = true
		}
		if i == 0 {
			id := 9_800_000 + w.made.Add(1)
			c.must(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
				VALUES (%d, 'CS-%04d-8844', %d, '%s', 'general', 'open', 'help', now())`, id, 1000+id%9000, w.org.Ticket(own[0]).Customer, w.agents[1]))
			w.tickets[month]++
		}
		fatal(w.t, c.Close(w.ctx))
	}
}

// TestThreeMonths: three months of an organisation pass through a real serve in which drills play by their schedule, people make mistakes and are given
// lessons, courses are missed, a case is solved and a review passes its date; and the board's page says so, in figures that are counted here, too.
func TestThreeMonths(t *testing.T) {
	w := newThreeMonths(t)
	o1, o2 := w.officer("o1"), w.officer("o2")
	erring, mailed, late := w.agents[3], w.agents[2], w.agents[1]
	file := filepath.Join(w.folder, "courses.csv")
	day := func(month, day int) string { return w.begin.AddDate(0, month, day-1).Format(time.RFC3339) }
	rows := "staff,kind,name,due,done,result\n"
	for _, who := range w.agents {
		rows += fmt.Sprintf("%s,course,privacy,%s,,\n", who, day(1, 10))
	}
	var case1 string
	for month := range 3 {
		for round, d := range []int{2, 8, 14, 20, 27} {
			if month == 1 && round == 4 {
				w.lapsed = late // nobody has decided in time that he keeps it
			}
			w.day(month, d)
			w.work(5*month + round)
			switch {
			case month == 0 && round < 3: // somebody names what is no ticket
				c := w.connect(erring)
				c.must("SET sallyport.purpose = 'ticket:99999999'")
				if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", w.org.Ticket(w.org.OpenTickets(erring)[0]).Customer)); strings.Contains(got, "@") && !strings.Contains(got, "k1.invalid") {
					t.Fatalf("he reads %q", got)
				}
				fatal(t, c.Close(t.Context()))
				if round == 0 {
					fatal(t, os.WriteFile(file, []byte(rows), 0o600))
					if out, err := w.command("o1", "program", "training", "import", file); err != nil || !strings.Contains(out, "4 rows") {
						t.Fatalf("%s, %v", out, err)
					}
				}
			case month == 1 && round == 0:
				w.phishing(mailed)
			case month == 1 && round == 1: // one of four is not done when it is due
				for _, who := range w.agents {
					if who != late {
						rows += fmt.Sprintf("%s,course,privacy,,%s,passed\n", who, day(1, 8))
					}
				}
				fatal(t, os.WriteFile(file, []byte(rows), 0o600))
				if out, err := w.command("o1", "program", "training", "import", file); err != nil {
					t.Fatalf("%s, %v", out, err)
				}
			case month == 1 && round == 2:
				n, err := o1.OpenCase(t.Context(), api.CaseRequest{Text: "a list lay in the canteen", People: []string{w.server.Names.Person(late)}})
				fatal(t, err)
				case1 = fmt.Sprint(n)
				fatal(t, o1.OpenReview(t.Context(), "autumn", w.now().AddDate(0, 0, 10), map[sallyport.Staff][]string{w.agents[0]: {"email"}, late: {"email"}}))
				fatal(t, o2.DecideReview(t.Context(), "autumn", w.agents[0], true, "he works"))
			case month == 1 && round == 3:
				_, err := o1.StepCase(t.Context(), case1, cases.DoState, api.CaseRequest{State: cases.Contained, Text: "nothing more gets out"})
				fatal(t, err)
			case month == 1 && round == 4:
				id, err := o1.StepCase(t.Context(), case1, cases.DoClose, api.CaseRequest{Outcome: cases.Confirmed, People: []string{w.server.Names.Person(late)}, Text: "he said so"})
				fatal(t, err)
				_, err = o2.Approve(t.Context(), id)
				fatal(t, err)
			}
		}
		if runs := w.server.drills.book.Runs(); len(runs) != month+1 {
			t.Fatalf("after month %d there are %d drills: %+v", month, len(runs), runs)
		}
	}
	for _, l := range w.server.teaching.book.Lessons() {
		if l.Staff == erring {
			w.due = l.Due
		}
	}
	w.learns(erring)
	if n := w.server.moment(late).TrainingOverdue; n < 30 {
		t.Errorf("%s is overdue for %d days by what policies read", late, n)
	}
	if out, err := w.command("o1", "program", "training"); !errors.Is(err, errFound) || !strings.Contains(out, "overdue for") {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := w.command(late, "program", "training", "--json"); !errors.Is(err, errFound) || strings.Contains(out, string(mailed)) {
		t.Errorf("an agent reads of others: %s, %v", out, err)
	}
	out, err := w.command("o1", "program", "drills")
	if err != nil && !errors.Is(err, errFound) || strings.Count(out, "schedule") != 3 {
		t.Errorf("%s, %v", out, err)
	}
	t.Logf("\n%s", out)
	w.stop()
	w.boards()
}

// phishing has another system tell of a test: signed, once, and by its own secret only.
func (w *threeMonths) phishing(who sallyport.Staff) {
	w.t.Helper()
	text := fmt.Sprintf(`{"id":"p-1","rows":[{"staff":%q,"kind":"phishing","name":"autumn","time":%q,"result":"clicked"},{"staff":%q,"kind":"phishing","name":"autumn","time":%q,"result":"reported"}]}`,
		who, w.now().Add(-time.Hour).Format(time.RFC3339), w.agents[0], w.now().Add(-time.Hour).Format(time.RFC3339))
	for _, x := range []struct {
		why, secret, text string
		at                time.Time
		status            int
		answer            string
	}{
		{"the secret of reports", reportsSecret, text, w.now(), 401, ""},
		{"signed long ago", trainingSecret, text, w.now().Add(-time.Hour), 401, ""},
		{"no id", trainingSecret, `{"rows":[]}`, w.now(), 400, ""},
		{"no rows", trainingSecret, `{"id":"p-0","rows":[]}`, w.now(), 400, ""},
		{"no result", trainingSecret, `{"id":"p-0","rows":[{"staff":"s1","kind":"phishing","name":"x"}]}`, w.now(), 422, ""},
		{"as it should be", trainingSecret, text, w.now(), 200, `{"taken":2}`},
		{"once more", trainingSecret, text, w.now(), 200, `{"taken":0}`},
	} {
		if status, answer := w.send("/training", x.secret, x.at, x.text); status != x.status || x.answer != "" && strings.TrimSpace(answer) != x.answer {
			w.t.Errorf("%s: %d %s", x.why, status, answer)
		}
	}
	within(w.t, 30*time.Second, "who clicked is given a lesson", func() bool { return w.server.teaching.book.Given(who, training.Mail, time.Time{}) })
}

// learns has somebody read the lesson for his mistakes.
func (w *threeMonths) learns(who sallyport.Staff) {
	w.t.Helper()
	if !w.server.teaching.book.Given(who, training.NotAReason, time.Time{}) {
		w.t.Fatalf("%s was given no lesson: %+v", who, w.server.teaching.book.Lessons())
	}
	if out, err := w.command(who, "program", "training", "lesson"); err != nil || !strings.Contains(out, "# What counts") && !strings.Contains(out, "What counts as a reason") || !strings.Contains(out, "--answer") {
		w.t.Errorf("%s, %v", out, err)
	}
	if out, err := w.command(who, "program", "training", "lesson", training.NotAReason, "--answer", "a"); !errors.Is(err, errFound) {
		w.t.Errorf("a wrong answer: %s, %v", out, err)
	}
	if out, err := w.command(who, "program", "training", "lesson", training.NotAReason, "--answer", "b"); err != nil || !strings.Contains(out, "done") {
		w.t.Errorf("the right answer: %s, %v", out, err)
	}
	if out, err := w.command(who, "program", "training", "lesson", training.NotAReason, "--answer", "b"); err == nil {
		w.t.Errorf("a lesson that is done: %s", out)
	}
	if out, err := w.command(w.agents[0], "program", "training", "lesson"); err != nil || !strings.Contains(out, "nothing for you") {
		w.t.Errorf("who made no mistake: %s, %v", out, err)
	}
}

func monthly(ctx context.Context, r *reports.Record, q *api.ReportQuestion) (*board.Page, error) {
	page, err := r.Report(ctx, q)
	if err != nil {
		return nil, err
	}
	return page.(*board.Page), nil
}

// boards makes the pages of the months, and holds them to what was done.
func (w *threeMonths) boards() {
	t := w.t.(*testing.T)
	t.Helper()
	var out bytes.Buffer
	f := RecordPlace{Config: filepath.Join(w.folder, "sallyport.yaml"), Data: w.options.Data, KeyFile: w.options.KeyFile, Getenv: func(string) string { return "" }}
	docs, err := config.DocumentsAt([]string{"../examples/access-policy.md"})
	fatal(t, err)
	html := filepath.Join(t.TempDir(), "board.html")
	if path := os.Getenv("SALLYPORT_BOARD"); path != "" {
		html = path
	}
	pages := make([]*board.Page, 3)
	fatal(t, WithRecord(t.Context(), &f, func(r *reports.Record) error {
		r.Now = w.now()
		for i := range pages {
			if pages[i], err = monthly(t.Context(), r, &api.ReportQuestion{Report: "board", Month: w.begin.AddDate(0, i, 0).Format("2006-01"), Documents: docs, Days: 90}); err != nil {
				return err
			}
		}
		return nil
	}))
	file, err := os.Create(html)
	fatal(t, err)
	fatal(t, errors.Join(pages[2].WriteHTML(file), file.Close(), pages[2].WriteText(&out)))
	t.Logf("\n%s", out.String())
	text, err := os.ReadFile(html)
	fatal(t, err)
	if !strings.Contains(string(text), "not measured") || !strings.Contains(string(text), "<svg") || strings.Contains(string(text), "<script") || strings.Contains(string(text), string(w.agents[1])) {
		t.Errorf("%.3000s", text)
	}
	figure := func(month int, id string) *float64 {
		i := slices.IndexFunc(pages[month].Figures, func(f board.Figure) bool { return f.ID == id })
		return pages[month].Figures[i].Value
	}
	want := func(month int, id string, x float64) {
		t.Helper()
		if got := figure(month, id); got == nil || *got < x-0.05 || *got > x+0.05 {
			t.Errorf("month %d, %s: %s, want %.2f", month, id, figureText(got), x)
		}
	}
	for i, name := range slices.Sorted(maps.Keys(w.pairs)) {
		want(i, "exposure", 1000*float64(len(w.pairs[name]))/float64(w.tickets[name]))
		for _, id := range []string{"unexplained", "detect_drill", "contain_drill", "promise"} {
			if figure(i, id) == nil {
				t.Errorf("month %d: %s is not measured", i, id)
			}
		}
		want(i, "false_alarms", 0)
		if got := figure(i, "glass"); got != nil {
			t.Errorf("month %d: nobody broke the glass, and %s %% of it were reviewed", i, figureText(got))
		}
	}
	want(1, "contain_case", 6)
	want(1, "name_case", 13)
	want(1, "reviews", 50)
	want(1, "phishing", 50)
	overdue := 0.0
	if w.due.Before(w.begin.AddDate(0, 1, -w.begin.Day()+1).Truncate(24 * time.Hour)) { // a draw decides whether who erred is told at once
		overdue = 25
	}
	want(0, "overdue", overdue)
	for month, id := range map[int]string{0: "phishing", 2: "contain_case"} {
		if got := figure(month, id); got != nil {
			t.Errorf("month %d: %s is %s, and nothing was there to measure", month, id, figureText(got))
		}
	}
	if got := figure(2, "overdue"); got == nil || *got < 25 {
		t.Errorf("overdue: %s", figureText(got))
	}
	if p := pages[2]; len(p.Drills) != 3 || p.Drift == nil || p.Drift.Unread == 0 || p.Record == "" {
		t.Errorf("%+v", p)
	}
	args := []string{"--config", f.Config, "--data", f.Data, "--key-file", f.KeyFile}
	got, err := runMainOf(t, append([]string{"program", "board", "--month", w.begin.Format("2006-01"), "--json"}, args...)...)
	var page board.Page
	if err != nil || json.Unmarshal([]byte(got), &page) != nil || page.Month != w.begin.Format("2006-01") {
		t.Errorf("%v, %.500s", err, got)
	}
	if got, err := runMainOf(t, append([]string{"program", "training", "effect"}, args...)...); err != nil || !strings.Contains(got, "not measured") {
		t.Errorf("%v, %s", err, got)
	}
	if got, err := runMainOf(t, append([]string{"program", "status", "--standard", "attack"}, args...)...); !errors.Is(err, errFound) || strings.Count(got, "The company:") != 75 {
		t.Errorf("%v, %d, %.500s", err, strings.Count(got, "The company:"), got)
	}
}

func figureText(v *float64) string {
	if v == nil {
		return "not measured"
	}
	return fmt.Sprintf("%.3f", *v)
}
