package serve

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/purpose/source"
	"sallyport/sim"
	"sallyport/trace"
)

const reportsSecret = "the secret of who sends reports 1"

// need is fatal for a fort's own test.
func (f *fort) need(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// reported is a fort that takes reports.
func reported(t *testing.T, extra string) *fort {
	t.Helper()
	return newFort(t, "reports: {listen: 127.0.0.1:0, secret_file: reports.secret, customers: 3000}\n"+extra, func(o *Options) {
		fatal(t, os.WriteFile(filepath.Join(filepath.Dir(o.Config.File), "reports.secret"), []byte(reportsSecret+"\n"), 0o600))
	})
}

// send is a message to a hook; the status and what is answered.
func (f *fort) send(path, secret string, at time.Time, text string) (int, string) {
	f.t.Helper()
	stamp := fmt.Sprint(at.Unix())
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(stamp + "." + text))
	req, err := http.NewRequestWithContext(f.ctx, http.MethodPost, "http://"+f.server.reports.where.listener.Addr().String()+path, strings.NewReader(text))
	f.need(err)
	req.Header.Set(source.TimeHeader, stamp)
	req.Header.Set(source.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(req)
	f.need(err)
	defer response.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(response.Body)
	f.need(err)
	return response.StatusCode, b.String()
}

// looks has an agent look at customers of tickets of his, and returns those.
func (f *fort) looks(who sallyport.Staff, most int) (list []sim.Customer) {
	f.t.Helper()
	c := f.connect(who)
	seen := map[int]bool{}
	for _, n := range f.org.OpenTickets(who) {
		ticket := f.org.Ticket(n)
		if seen[int(ticket.Customer)] || len(list) == most {
			continue
		}
		seen[int(ticket.Customer)] = true
		customer := f.org.Customer(ticket.Customer)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
			f.t.Fatalf("he reads %q", got)
		}
		list = append(list, customer)
	}
	return list
}

// mails: a mail hook that knows no customer says from which address a mail is. It is kept as whose it is, and the address nowhere.
func (f *fort) mails(customer sim.Customer, now time.Time) {
	t := f.t
	t.Helper()
	before := f.server.ControlStream.Last()
	message := func(id, from string) string {
		return fmt.Sprintf(`{"id":%q,"reports":[{"from":%q,"time":%q,"channel":"email"}]}`, id, from, now.Format(time.RFC3339))
	}
	for _, c := range []struct {
		why, path, text string
		status          int
	}{
		{"nobody's address", "/reports/mail", message("e-1", "nobody@nowhere.example"), 422},
		{"no address", "/reports/mail", message("e-2", "somebody"), 422},
		{"an address in a form", "/reports", message("e-3", customer.Email), 422},
		{"his address", "/reports/mail", message("e-4", "A Customer <"+strings.ToUpper(customer.Email)+">"), 200},
	} {
		if status, answer := f.send(c.path, reportsSecret, now, c.text); status != c.status || strings.Contains(strings.ToLower(answer), strings.ToLower(customer.Email)) {
			t.Errorf("%s: %d %s", c.why, status, answer)
		}
	}
	var heard []string
	f.need(f.server.ControlStream.Read(before+1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.InputKind {
			heard = append(heard, e.Order.Input.Text)
		}
		return nil
	}))
	if len(heard) != 1 || !strings.Contains(heard[0], fmt.Sprintf(`"customer":"%d"`, customer.ID)) || strings.Contains(strings.ToLower(heard[0]), "@") {
		t.Errorf("on record: %q", heard)
	}
}

// TestReportsNameAThief: customers whom somebody had looked at report; the reports come in signed, weigh nothing until somebody asked the
// customers, and then name him: by a pseudonym, and with the same figures as the same events from a file.
func TestReportsNameAThief(t *testing.T) {
	f := reported(t, "")
	agents := f.org.Agents()
	thief := agents[0].ID
	stolen := f.looks(thief, 10)
	for _, other := range agents[1:6] {
		f.looks(other.ID, 10)
	}
	if len(stolen) < 10 {
		t.Fatalf("he saw %d customers", len(stolen))
	}
	now := time.Now()
	var lines []string
	for _, c := range stolen[:8] {
		lines = append(lines, fmt.Sprintf(`{"customer":%d,"time":%q,"channel":"call","quoted":"ticket+name","confirmed":"yes","note":"they said %s"}`, c.ID, now.Format(time.RFC3339), c.Email))
	}
	text := `{"id":"m-1","reports":[` + strings.Join(lines, ",") + `]}`
	for _, bad := range []struct {
		why, path, secret string
		at                time.Time
		text              string
		status            int
	}{
		{"another secret", "/reports", "guessed guessed guessed guessed 12", now, text, 401},
		{"signed long ago", "/reports", reportsSecret, now.Add(-time.Hour), text, 401},
		{"another path", "/elsewhere", reportsSecret, now, text, 404},
		{"no id", "/reports", reportsSecret, now, `{"reports":[{"customer":1}]}`, 400},
		{"no JSON", "/reports", reportsSecret, now, `customer=1`, 400},
		{"what a field says instead of its name", "/reports", reportsSecret, now, `{"id":"m-2","reports":[{"customer":1,"quoted":"ada@example.org"}]}`, 422},
	} {
		if status, answer := f.send(bad.path, bad.secret, bad.at, bad.text); status != bad.status {
			t.Errorf("%s: %d %s", bad.why, status, answer)
		}
	}
	if status, answer := f.send("/reports", reportsSecret, now, text); status != 200 || strings.TrimSpace(answer) != `{"taken":8}` {
		t.Fatalf("%d %s", status, answer)
	}
	if _, answer := f.send("/reports", reportsSecret, now, text); strings.TrimSpace(answer) != `{"taken":0}` {
		t.Errorf("sent again: %s", answer)
	}
	f.mails(stolen[9], now)
	f.restart()
	if _, answer := f.send("/reports", reportsSecret, now, text); strings.TrimSpace(answer) != `{"taken":0}` {
		t.Errorf("sent again after a start: %s", answer)
	}
	o1 := f.officer("o1")
	list, err := o1.Reports(t.Context())
	fatal(t, err)
	if len(list) != 9 || slices.ContainsFunc(list, func(r api.Report) bool { return r.State != api.ReportOpen || r.Arrived.IsZero() }) {
		t.Fatalf("%+v", list)
	}
	list = slices.DeleteFunc(list, func(r api.Report) bool { // the one by mail
		if r.Customer != sallyport.Subject(fmt.Sprint(stolen[9].ID)) {
			return false
		}
		fatal(t, o1.JudgeReport(t.Context(), r.ID, false, "call"))
		return true
	})
	if got := f.traced("o1"); got.Verdict == trace.Named || got.Reports != 0 || got.Unconfirmed != 8 {
		t.Errorf("before anybody asked the customers: %+v", got)
	}
	for _, r := range list {
		fatal(t, o1.JudgeReport(t.Context(), r.ID, true, "call"))
	}
	f.restart() // it is all on record
	got := f.traced("o2")
	if got.Verdict != trace.Named || len(got.Suspects) == 0 || got.ConfirmedBy["o1"] != 8 {
		t.Fatalf("%+v", got)
	}
	name := got.Suspects[0].Staff[0]
	if name != sallyport.Staff(f.server.Names.Person(thief)) {
		t.Errorf("it names %s", name)
	}
	f.agreesWithFiles(thief, list, got)
	f.unmasks(name, thief)
	f.secretsStay(stolen)
}

func (f *fort) traced(who sallyport.Staff) (line LiveTrace) {
	f.t.Helper()
	text, err := f.officer(who).Trace(f.ctx)
	f.need(err)
	f.need(json.Unmarshal(text, &line))
	return line
}

// agreesWithFiles holds what serve answers to what the command finds in an export of the same record, in which people stand by pseudonyms.
func (f *fort) agreesWithFiles(thief sallyport.Staff, reports []api.Report, live LiveTrace) {
	t := f.t
	t.Helper()
	m := &Main{Stdin: strings.NewReader(""), Getenv: func(key string) string { return map[string]string{passwordVariable: "o1-password"}[key] }}
	run := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		m.Stdout, m.Stderr = &out, &errs
		if err := m.Run(f.ctx, args); err != nil && !errors.Is(err, errFound) {
			t.Fatalf("%v: %v\n%s", args, err, &errs)
		}
		return out.String()
	}
	events := filepath.Join(f.folder, "events.jsonl")
	f.need(os.WriteFile(events, []byte(run("export", "--format", "ocsf", "--as", "o1", "--data", f.options.Data)), 0o600))
	var rows strings.Builder
	rows.WriteString("time,customer,quoted\n")
	for _, r := range reports {
		fmt.Fprintf(&rows, "%s,%s,%s\n", r.Time.Format(time.RFC3339Nano), r.Customer, strings.Join(r.Quoted, "+"))
	}
	var staff strings.Builder
	staff.WriteString("id,name,team\n")
	for id, p := range f.config.People {
		fmt.Fprintf(&staff, "%s,%s,%s\n", id, p.Name, p.Team)
	}
	file := filepath.Join(f.folder, "reports.csv")
	f.need(errors.Join(os.WriteFile(file, []byte(rows.String()), 0o600), os.WriteFile(filepath.Join(f.folder, "staff.csv"), []byte(staff.String()), 0o600)))
	var offline traceLine
	f.need(json.Unmarshal([]byte(run("trace", file, "--events", events, "--staff", filepath.Join(f.folder, "staff.csv"), "--customers", "3000", "--json")), &offline))
	if offline.Verdict != live.Verdict || offline.Suspects[0].Staff[0] != sallyport.Staff(f.server.Names.Person(thief)) || offline.Suspects[0].Posterior != live.Suspects[0].Posterior || offline.None != live.None {
		t.Errorf("from files: %+v\nlive: %+v", offline, live.traceLine)
	}
	if text := run("trace", "--as", "o1", "--data", f.options.Data); !strings.Contains(text, "with a probability of") || strings.Contains(text, string(thief)) {
		t.Errorf("it prints\n%s", text)
	}
}

// unmasks shows the name to the two who agreed, and to nobody else.
func (f *fort) unmasks(pseudonym, name sallyport.Staff) {
	f.t.Helper()
	id, err := f.officer("o1").Unmask(f.ctx, string(pseudonym), "six customers were called", 0)
	f.need(err)
	_, err = f.officer("o2").Approve(f.ctx, id)
	f.need(err)
	for who, want := range map[sallyport.Staff]sallyport.Staff{"o1": name, "o2": name, "o3": pseudonym} {
		if got := f.traced(who).Suspects[0].Staff[0]; got != want {
			f.t.Errorf("%s reads %s, expected %s", who, got, want)
		}
	}
}

// secretsStay looks for what reports told besides the fields in what is on record.
func (f *fort) secretsStay(customers []sim.Customer) {
	f.t.Helper()
	err := f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		text := fmt.Sprintf("%+v", e)
		if e.Order != nil && e.Order.Input != nil {
			text += e.Order.Input.Text
		}
		for _, c := range customers {
			if strings.Contains(text, c.Email) {
				return fmt.Errorf("entry %d holds an address", e.Seq)
			}
		}
		return nil
	})
	f.need(err)
}

// TestWhoEntersAReportDoesNotConfirmIt: a lead who wants to accuse somebody cannot make up customers' reports alone; a denied one does not weigh.
func TestWhoEntersAReportDoesNotConfirmIt(t *testing.T) {
	f := reported(t, "")
	o1, o2 := f.officer("o1"), f.officer("o2")
	id, err := o1.AddReport(t.Context(), api.Report{Customer: "17", Quoted: []string{"ticket"}})
	fatal(t, err)
	if p, ok := errors.AsType[*api.Problem](o1.JudgeReport(t.Context(), id, true, "call")); !ok || p.Code != "second_person" {
		t.Errorf("he confirms it himself: %v", p)
	}
	if err := o2.JudgeReport(t.Context(), id, true, "a dream"); err == nil {
		t.Error("the customer was asked in a dream")
	}
	if err := f.officer(f.org.Agents()[0].ID).JudgeReport(t.Context(), id, true, "call"); err == nil {
		t.Error("an agent confirms it")
	}
	fatal(t, o2.JudgeReport(t.Context(), id, false, "call"))
	list, err := o2.Reports(t.Context())
	fatal(t, err)
	if len(list) != 1 || list[0].State != api.ReportDenied || list[0].By != "o2" {
		t.Errorf("%+v", list)
	}
	if got := f.traced("o1"); got.Reports != 0 || got.Unconfirmed != 0 {
		t.Errorf("it weighs: %+v", got)
	}
}
