package serve

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/smtp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/canary"
	"sallyport/control"
	"sallyport/purpose/source"
)

// canaryYAML has canaries planted by the router's log-in.
const canaryYAML = `canary:
  login: svc_router
  password_file: router.password
  domains: [post.example.net, mail.example.org]
  numbers: ["+4930901820", "+4930901821", "+4930901822", "+4930901823"]
budgets:
  default: {probed: {hour: 100000, day: 100000, month: 100000}, reached: {hour: 100000, day: 100000, month: 100000}}
`

// aviary is a protected database with canaries.
func aviary(t *testing.T, n int, extra string) *fort {
	t.Helper()
	f := newFort(t, canaryYAML+extra, func(o *Options) {
		s, err := theStage()
		fatal(t, err)
		fatal(t, os.WriteFile(filepath.Join(filepath.Dir(o.Config.File), "router.password"), []byte(s.passwords["svc_router"]+"\n"), 0o600))
	})
	f.plant(n)
	return f
}

// plant plants n at once, and waits for them.
func (f *fort) plant(n int) {
	f.t.Helper()
	o := f.officer("o1")
	must(f.t, o.PlantCanaries(f.ctx, api.PlantRequest{Count: n, Reason: "a test"}))
	within(f.t, 60*time.Second, "they are planted", func() bool {
		got, err := o.CanaryStatus(f.ctx)
		must(f.t, err)
		if got.Trouble != "" {
			f.t.Fatalf("planting: %s\n%s", got.Trouble, f.log)
		}
		return got.Planted >= n && got.Due == 0
	})
}

func (f *fort) birds() []*canary.Canary { return f.server.canaries.book.Load().Canaries() }

// lure makes a ticket about a canary whose reason holds: maker writes it, and who is given it.
func (f *fort) lure(maker, who sallyport.Staff, c *canary.Canary) (ticket string) {
	f.t.Helper()
	n := f.made.Add(1)
	id := strconv.FormatInt(9_000_000+n, 10)
	m := f.connect(maker)
	m.must(fmt.Sprintf(`INSERT INTO support.tickets (id, ticket_no, customer_id, assignee, queue, state, subject, opened_at)
		VALUES (%s, 'CS-%04d-9917', %s, '%s', 'general', 'open', 'help', now())`, id, 9000+n%1000, c.Subject, who))
	return id
}

// TestCanariesLookLikeCustomers: planted rows are of the same form as others, spread as they are, and nothing but the key tells them.
func TestCanariesLookLikeCustomers(t *testing.T) {
	f := aviary(t, 12, "")
	birds := f.birds()
	if len(birds) != 12 {
		t.Fatalf("%d canaries are known", len(birds))
	}
	conn := f.direct()
	countries := map[string]bool{}
	for _, c := range birds {
		var name, email, country string
		var phone, born, notes *string
		var at time.Time
		fatal(t, conn.QueryRow(t.Context(), "SELECT full_name, email, phone, birth_date::text, country, notes, created_at FROM support.customers WHERE id = $1::text::bigint", string(c.Subject)).
			Scan(&name, &email, &phone, &born, &country, &notes, &at))
		countries[country] = true
		if !strings.HasPrefix(name, "tk1:") || !strings.HasSuffix(email, ".k1.invalid") || phone != nil && !strings.HasPrefix(*phone, "+89") && !strings.HasPrefix(*phone, "+83") || born != nil && *born < "2200" {
			t.Errorf("no tokens stand in the row of %s: %s %s", c.Subject, name, email)
		}
		if time.Since(at) < time.Hour {
			t.Errorf("%s says that it was made just now", c.Subject)
		}
	}
	if len(countries) < 2 {
		t.Errorf("all are of %v", countries)
	}
	// What an administrator who reads files, one who has the record exported, or a DBA could find.
	f.restart()
	if diff := cmp.Diff(birds, f.birds()); diff != "" {
		t.Errorf("after a start: %s", diff)
	}
	for _, e := range f.orders() {
		text, err := json.Marshal(e)
		fatal(t, err)
		if e.Kind != sallyport.CanaryPlanted {
			continue
		}
		for _, c := range birds {
			if strings.Contains(string(text), `"`+string(c.Subject)+`"`) || c.Email != "" && strings.Contains(string(text), c.Email) {
				t.Errorf("an entry of the record tells who is a canary: %s", text)
			}
		}
	}
	f.renewed(birds[0])
	f.quiet()
	f.stop()
	fatal(t, filepath.Walk(f.options.Data, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		held, err := os.ReadFile(path)
		for _, c := range birds {
			if c.Email != "" && strings.Contains(string(held), c.Email) {
				t.Errorf("%s holds a canary's address", path)
			}
		}
		return err
	}))
	f.start()
}

// orders reads the control stream.
func (f *fort) orders() (out []*sallyport.Event) {
	f.t.Helper()
	must(f.t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		c := *e
		out = append(out, &c)
		return nil
	}))
	return out
}

// TestTouchingACanary: who comes by one is found, though only tokens of it came back and the key was not asked for; of one who was given a reason it is
// he who made it.
func TestTouchingACanary(t *testing.T) {
	f := aviary(t, 3, "respond: {mode: act}\n")
	birds := f.birds()
	found := func(who sallyport.Staff) func() bool {
		return func() bool {
			for _, x := range f.server.State.Findings() {
				if x.About == who && strings.Contains(string(x.JSON), `"kind":"canary"`) {
					return true
				}
			}
			return false
		}
	}
	snoop := f.org.Agents()[0].ID
	c := f.connect(snoop)
	_, _ = c.rows("SELECT email FROM support.customers WHERE id = " + string(birds[0].Subject)) // no key comes back
	within(t, 30*time.Second, "who looked at tokens is found", found(snoop))
	within(t, 30*time.Second, "he is locked", func() bool { return f.server.State.Standing(snoop).Locked })

	maker, victim := f.org.Agents()[1].ID, f.org.Agents()[2].ID
	ticket := f.lure(maker, victim, birds[1])
	v := f.connect(victim)
	v.must("SET sallyport.purpose = 'ticket:" + ticket + "'")
	got := v.one("SELECT email FROM support.customers WHERE id = " + string(birds[1].Subject))
	if !strings.Contains(got, "@post.example.net") && !strings.Contains(got, "@mail.example.org") {
		t.Fatalf("he is shown %q", got)
	}
	within(t, 30*time.Second, "who made the reason is found", found(maker))
	within(t, 30*time.Second, "and locked", func() bool { return f.server.State.Standing(maker).Locked })
	if found(victim)() || f.server.State.Standing(victim).Locked || f.server.State.Door(victim).Trust != control.FullTrust {
		t.Error("who was given the ticket is accused")
	}
	before := len(f.server.State.Findings())
	f.restart()
	within(t, 30*time.Second, "detection reads along", func() bool { return f.server.detection.detecting.read.Load() == f.server.AccessStream.Last() })
	if n := len(f.server.State.Findings()); n != before {
		t.Errorf("after a start there are %d findings, before %d", n, before)
	}
}

// TestEachViewerIsShownHisOwn: the same in every format and place, and another one to everybody else; the database's token stays; who searches by what
// he was shown finds the row, and writes it back unchanged; one detail names its viewer, after a start too.
func TestEachViewerIsShownHisOwn(t *testing.T) {
	f := aviary(t, 2, "")
	bird := f.birds()[0]
	if bird.Phone == "" {
		bird = f.birds()[1]
	}
	one, other := f.org.Agents()[0].ID, f.org.Agents()[1].ID
	conn := f.direct()
	stored := func() (email, phone string) {
		fatal(t, conn.QueryRow(t.Context(), "SELECT email, coalesce(phone, '') FROM support.customers WHERE id = $1::text::bigint", string(bird.Subject)).Scan(&email, &phone))
		return email, phone
	}
	email0, phone0 := stored()
	id := string(bird.Subject)
	shown := func(who sallyport.Staff) (email, phone string) {
		ticket := f.lure(f.org.Agents()[3].ID, who, bird)
		set := "SET sallyport.purpose = 'ticket:" + ticket + "'"
		c, b := f.connect(who), f.connect(who, pgx.QueryExecModeCacheStatement)
		c.must(set)
		b.must(set)
		email = c.one("SELECT email FROM support.customers WHERE id = " + id)
		if got := b.one("SELECT email FROM support.customers WHERE id = $1", keyOf(t, bird)); got != email {
			t.Errorf("in binary %s is shown %q, in text %q", who, got, email)
		}
		phone = c.must("SELECT phone FROM support.customers WHERE id = " + id)[0][0]
		for _, q := range []string{
			"SELECT json_build_object('e', email)::text FROM support.customers WHERE id = " + id,
			"SELECT (array_agg(email))[1] FROM support.customers WHERE id = " + id,
			"SELECT (SELECT email FROM support.customers WHERE id = " + id + ")",
			"SELECT email FROM support.customers WHERE email = '" + email + "'",
			"SELECT email FROM support.customers WHERE email = '" + strings.ToUpper(email[:1]) + email[1:] + "'",
			"SELECT email FROM (SELECT email, id FROM support.customers ORDER BY id) x WHERE id BETWEEN " + id + " - 20 AND " + id + " AND id = " + id,
		} {
			if got := c.one(q); got != email && !strings.Contains(got, `"`+email+`"`) {
				t.Errorf("%s: %q, not %q", q, got, email)
			}
		}
		for _, format := range []string{"text", "csv"} {
			var out strings.Builder
			_, err := c.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT email FROM support.customers WHERE id = "+id+") TO STDOUT WITH (FORMAT "+format+")")
			fatal(t, err)
			if strings.TrimSpace(out.String()) != email && !strings.Contains(out.String(), "k1.invalid") { // policies may leave exports tokens
				t.Errorf("copied as %s it is %q", format, out.String())
			}
		}
		if phone != "∅" {
			if got := c.one("SELECT phone FROM support.customers WHERE phone = '" + phone + "'"); got != phone {
				t.Errorf("the number finds %q", got)
			}
			c.must("UPDATE support.customers SET email = '" + email + "', phone = '" + phone + "' WHERE id = " + id)
		}
		if e, p := stored(); e != email0 || p != phone0 {
			t.Error("what is written back is another token")
		}
		return email, phone
	}
	email1, phone1 := shown(one)
	email2, phone2 := shown(other)
	if email1 == email2 || phone1 == phone2 && phone1 != "∅" {
		t.Errorf("two viewers are shown the same: %s %s", email1, phone1)
	}
	if strings.Contains(email1, bird.Email) {
		t.Error("what the token stands for is shown")
	}
	check := func() {
		t.Helper()
		a, err := f.officer("o1").CanaryWho(t.Context(), strings.ToUpper(email1))
		fatal(t, err)
		if len(a.Views) != 1 || a.Views[0].Staff != one || a.Views[0].Posterior != 1 || a.None != 0 || len(a.Views[0].Looks) < 5 || time.Since(a.Views[0].Looks[0].Time) > time.Hour {
			t.Errorf("%+v", a)
		}
		if phone2 == "∅" {
			return
		}
		a, err = f.officer("o1").CanaryWho(t.Context(), phone2)
		fatal(t, err)
		if len(a.Views) != 1 || a.Views[0].Staff != other || a.Views[0].Posterior > 0.01 || a.None < 0.99 {
			t.Errorf("before anybody called: %+v", a)
		}
	}
	check()
	f.restart()
	check()
	if again, phone := shown(one); again != email1 || phone != phone1 {
		t.Errorf("after a start he is shown %q", again)
	}
	a, err := f.officer("o1").CanaryWho(t.Context(), "somebody@else.example")
	fatal(t, err)
	if a.Given || len(a.Views) != 0 {
		t.Errorf("%+v", a)
	}
}

func keyOf(t *testing.T, c *canary.Canary) int64 {
	t.Helper()
	n, err := strconv.ParseInt(string(c.Subject), 10, 64)
	fatal(t, err)
	return n
}

// must ends a test, or a benchmark, on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestMailAndCallsNameTheViewer: a mail server hands a mail over, a telephone system tells of calls. One mail names who was shown the address and when;
// calls count against those that come anyway.
func TestMailAndCallsNameTheViewer(t *testing.T) {
	f := aviary(t, 3, "")
	f.stop()
	c := &f.options.Config.Canary
	secret := strings.Repeat("s", 40)
	fatal(t, os.WriteFile(filepath.Join(f.folder, "hook.secret"), []byte(secret+"\n"), 0o600))
	c.Mail.Listen, c.Hook.Listen, c.Hook.SecretFile, c.Own, c.Since = "127.0.0.1:0", "127.0.0.1:0", "hook.secret", []string{"10.9.0.0/16"}, time.Now().AddDate(0, -6, 0).Format(time.DateOnly)
	f.start()
	var bird *canary.Canary
	for _, b := range f.birds() {
		if b.Phone != "" {
			bird = b
		}
	}
	if bird == nil {
		t.Skip("none of the canaries got a number, as some customers have none")
	}
	who := f.org.Agents()[0].ID
	v := f.connect(who)
	v.must("SET sallyport.purpose = 'ticket:" + f.lure(f.org.Agents()[3].ID, who, bird) + "'")
	row := v.must("SELECT email, phone FROM support.customers WHERE id = " + string(bird.Subject))[0]

	var mail, hook string
	within(t, 20*time.Second, "both are heard", func() bool {
		f.server.canaries.mu.Lock()
		defer f.server.canaries.mu.Unlock()
		mail, hook = f.server.canaries.mail, f.server.canaries.hook
		return mail != "" && hook != ""
	})
	send := func(to, id string) error {
		return smtp.SendMail(mail, nil, "seller@scam.example", []string{to}, []byte("Message-ID: <"+id+">\r\nSubject: your ticket\r\n\r\nHello, this is support.\r\n"))
	}
	fatal(t, send(row[0], "m1"))
	fatal(t, send(row[0], "m1")) // delivered twice
	fatal(t, send("guessed@post.example.net", "m2"))
	if err := send("somebody@elsewhere.example", "m3"); err == nil {
		t.Error("it relays for strangers")
	}
	a, err := f.officer("o1").CanaryWho(t.Context(), row[0])
	fatal(t, err)
	if len(a.Views) != 1 || a.Views[0].Staff != who || a.Views[0].Posterior != 1 || len(a.Heard) != 1 || !strings.HasPrefix(a.Heard[0].From, "scam.example") {
		t.Errorf("%+v", a)
	}
	call := func(id, body string, with string) int {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, []byte(with))
		mac.Write([]byte(stamp + "." + body))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hook+"/canary", strings.NewReader(body))
		fatal(t, err)
		r.Header.Set(source.TimeHeader, stamp)
		r.Header.Set(source.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
		answer, err := http.DefaultClient.Do(r)
		fatal(t, err)
		fatal(t, answer.Body.Close())
		return answer.StatusCode
	}
	body := func(id string, quoted bool) string {
		return fmt.Sprintf(`{"id":%q,"type":"call","to":%q,"quoted_name":%v}`, id, row[1], quoted)
	}
	if got := call("c1", body("c1", false), strings.Repeat("x", 40)); got != http.StatusUnauthorized {
		t.Errorf("a message that nobody signed: %d", got)
	}
	posterior := func() float64 {
		a, err := f.officer("o1").CanaryWho(t.Context(), row[1])
		fatal(t, err)
		if len(a.Views) != 1 || a.Views[0].Staff != who {
			t.Fatalf("%+v", a)
		}
		return a.Views[0].Posterior
	}
	p0 := posterior()
	if got := call("c1", body("c1", false), secret); got != http.StatusNoContent {
		t.Fatalf("a call: %d", got)
	}
	p1 := posterior()
	call("c1", body("c1", false), secret) // sent again
	if again := posterior(); again > p1*1.001 {
		t.Errorf("what is sent again counts again: %g, %g", p1, again)
	}
	call("c2", body("c2", true), secret)
	p2 := posterior()
	t.Logf("the source is %s: before anybody called %.2g, after a call %.3g, after one who knew the name %.4g", who, p0, p1, p2)
	if !(p0 < 0.01 && p0 < p1 && p1 < 0.95 && p2 > 0.95) { // it rang just after he was shown it
		t.Errorf("%g %g %g", p0, p1, p2)
	}
	if got := call("c3", `{"id":"c3","type":"call","to":"+4930111"}`, secret); got != http.StatusUnprocessableEntity {
		t.Errorf("a call to somebody else: %d", got)
	}
	n := 0
	for _, e := range f.orders() {
		if e.Kind == sallyport.CanaryHeardKind {
			n++
			text, err := json.Marshal(e)
			fatal(t, err)
			if strings.Contains(string(text), row[0]) || strings.Contains(string(text), row[1]) || strings.Contains(string(text), "seller") {
				t.Errorf("the record holds a detail: %s", text)
			}
		}
	}
	if n != 3 {
		t.Errorf("%d entries", n)
	}
	within(t, 30*time.Second, "detection hears of it", func() bool {
		for _, x := range f.server.State.Findings() {
			if x.About == who {
				return true
			}
		}
		return false
	})
}

// TestAnExportHasDetailsOfItsOwn: under an approved grant for many canaries are no finding, and a leaked file names the grant; in COPY as in SELECT.
func TestAnExportHasDetailsOfItsOwn(t *testing.T) {
	f := aviary(t, 2, fmt.Sprintf("grants:\n  standing:\n    - {id: mailing, for: svc_phone, columns: [support.customers.email], customers: 100000, until: %s, approved_by: [o1, o2]}\n",
		time.Now().AddDate(0, 1, 0).UTC().Format(time.RFC3339)))
	birds := f.birds()
	c := f.connect("svc_phone")
	where := "FROM support.customers WHERE id IN (" + string(birds[0].Subject) + ", " + string(birds[1].Subject) + ", 1, 2, 3)"
	shown := map[string]string{}
	for _, row := range c.must("SELECT id, email " + where) {
		shown[row[0]] = row[1]
	}
	var out strings.Builder
	_, err := c.PgConn().CopyTo(t.Context(), &out, "COPY (SELECT id, email "+where+") TO STDOUT WITH (FORMAT csv)")
	fatal(t, err)
	for _, b := range birds {
		detail := shown[string(b.Subject)]
		if !f.server.canaries.book.Load().Listens(sallyport.Email, detail) {
			t.Fatalf("it is shown %q", detail)
		}
		if !strings.Contains(out.String(), string(b.Subject)+","+detail+"\n") {
			t.Errorf("the copy has not %s,%s:\n%s", b.Subject, detail, out.String())
		}
		a, err := f.officer("o1").CanaryWho(t.Context(), detail)
		fatal(t, err)
		if len(a.Views) != 1 || a.Views[0].Staff != "svc_phone" || a.Views[0].Grant != "mailing" {
			t.Errorf("%+v", a)
		}
	}
	if shown["1"] != f.org.Customer(1).Email {
		t.Errorf("somebody who exists is shown as %q", shown["1"])
	}
	last := f.server.AccessStream.Last()
	within(t, 30*time.Second, "detection has read it", func() bool { return f.server.detection.detecting.read.Load() >= last })
	for _, x := range f.server.State.Findings() {
		if x.About == "svc_phone" {
			t.Errorf("an approved export is found: %s", x.JSON)
		}
	}
}

// renewed: a canary that is not known by the tokens which its values have now, as after a rotation, is known by them once it was looked, and the record
// says so once.
func (f *fort) renewed(bird *canary.Canary) {
	t := f.t
	t.Helper()
	planted := func() (n int) {
		for _, e := range f.orders() {
			if e.Kind == sallyport.CanaryPlanted {
				n++
			}
		}
		return n
	}
	c := f.server.canaries
	before := planted()
	f.need(c.renew())
	if n := planted(); n != before {
		t.Errorf("%d canaries were told anew, of whom nothing is new", n-before)
	}
	old := *bird
	old.ID, old.Tokens = canary.ID{1, 2, 3}, nil
	sealed, err := c.book.Load().Key().Seal(&old, rand.Reader)
	f.need(err)
	f.need(c.book.Load().Apply(&sallyport.Event{Kind: sallyport.CanaryPlanted, Order: &sallyport.Order{Sealed: sealed}}))
	for range 2 {
		f.need(c.renew())
	}
	if got := c.book.Load().ByID(old.ID[:]); len(got.Tokens) == 0 || !slices.Equal(got.Tokens, bird.Tokens) {
		t.Errorf("it is known by %d tokens, expected %d", len(got.Tokens), len(bird.Tokens))
	}
	if n := planted(); n != before+1 {
		t.Errorf("it was told %d times", n-before)
	}
}

// quiet: what canaries look like is learnt from customers who never had a ticket, as they have none.
func (f *fort) quiet() {
	t := f.t
	t.Helper()
	customer := f.config.Protect.Customer
	p, err := f.server.canaries.newLikeness(f.ctx, customer.Named(), customer.Key)
	f.need(err)
	defer p.close(f.ctx)
	at := slices.IndexFunc(p.cols, func(c plantColumn) bool { return c.name == "email" })
	var emails []string
	for _, row := range p.rows {
		emails = append(emails, *row[at])
	}
	var without, had int
	f.need(f.direct().QueryRow(f.ctx, "SELECT count(*) FROM support.customers c WHERE NOT EXISTS (SELECT FROM support.tickets t WHERE t.customer_id = c.id)").Scan(&without))
	f.need(f.direct().QueryRow(f.ctx, "SELECT count(*) FROM support.customers c WHERE email = ANY($1) AND EXISTS (SELECT FROM support.tickets t WHERE t.customer_id = c.id)", emails).Scan(&had))
	if without >= enoughQuiet && had > 0 || len(emails) == 0 {
		t.Errorf("of %d who are looked at %d had tickets, and %d of all had none", len(emails), had, without)
	}
	t.Logf("%d of %d customers had no ticket", without, fortCustomers)
}
