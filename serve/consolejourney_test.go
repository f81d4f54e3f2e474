package serve

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
)

// chromium is a tab of a real browser before pages of a running serve, in which somebody is logged in.
func chromiumAt(t *testing.T, base, who, password string) context.Context {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		t.Skip("no Chromium on this machine, so nothing is tried in a browser; 'apt-get install chromium' (scripts/needs.sh) brings it")
	}
	limit, stop := context.WithTimeout(t.Context(), 3*time.Minute)
	allocator, end := chromedp.NewExecAllocator(limit, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.IgnoreCertErrors)...)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		leave()
		end()
		stop()
	})
	fatal(t, chromedp.Do(ctx, chromedp.Navigate(base+"/login"), chromedp.SendKeys("input[name=name]", who), chromedp.SendKeys("input[name=password]", password)))
	goes(t, ctx, chromedp.Click("main button"))
	return ctx
}

// goes does what leads to another page, and waits for it.
func goes(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) string { //nolint:revive // a helper of tests
	t.Helper()
	_, err := chromedp.RunResponse(ctx, steps...)
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText")) // for who reads a failure
	if err != nil {
		t.Fatalf("%v; on the page: %s", err, text)
	}
	return text
}

// TestJourneyOfARequest asks for access on a page, has two others approve it there, reads in psql what was approved, and ends it on the page: then psql
// shows tokens again. It looks for a customer by his address besides, through the same doors.
func TestJourneyOfARequest(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("no psql on this machine; 'apt-get install postgresql-client' (scripts/needs.sh) brings it")
	}
	folder, keys := certified(t)
	a := newAsking(t, "\nconsole: {"+keys+"}\n")
	agent := a.org.Agents()[0].ID
	base := "https://" + a.server.Console().String()
	own := chromiumAt(t, base, string(agent), "agent-password")
	fatal(t, chromedp.Do(own, chromedp.SendKeys("input[name=customers]", "5"), chromedp.SendKeys("input[name=columns]", "support.customers.email"), chromedp.SendKeys("main input[name=reason]", "INC-311")))
	if text := goes(t, own, chromedp.Click("form.form button")); !strings.Contains(text, "Your request is on record") {
		t.Fatal(text)
	}
	grants, err := a.agent(agent).Grants(a.ctx)
	a.fine(err)
	id, customer := grants[0].ID, a.org.Customer(41)
	read := func() string {
		t.Helper()
		out, _ := exec.CommandContext(a.ctx, "psql", a.dsn(agent), "-XAtq", "-c", "SET sallyport.purpose = 'grant:"+id+"'", "-c", "SELECT id, email FROM support.customers WHERE id = 41").Output() //nolint:gosec // our own
		_, email, _ := strings.Cut(strings.TrimSpace(string(out)), "|")
		return email
	}
	if got := read(); strings.Contains(got, customer.Email) {
		t.Fatal("it is readable before anybody approved")
	}
	for _, o := range officers[:2] {
		tab := chromiumAt(t, base, string(o), string(o)+"-password")
		fatal(t, chromedp.Do(tab, chromedp.Navigate(base+"/requests")))
		if text := goes(t, tab, chromedp.Click("form[action$='/approve'] button")); !strings.Contains(text, "Approved, and on record") {
			t.Fatal(text)
		}
	}
	if got := read(); got != customer.Email {
		t.Fatalf("psql shows %q under the grant", got)
	}
	fatal(t, chromedp.Do(own, chromedp.Navigate(base+"/requests/"+id), chromedp.SendKeys("form[action$='/end'] input", "done")))
	if text := goes(t, own, chromedp.Click("form[action$='/end'] button")); !strings.Contains(text, "Ended, and on record") {
		t.Fatal(text)
	}
	within(t, 5*time.Second, "it is over in psql", func() bool { return read() != customer.Email })

	b := surf(t, folder, a.server.Console())
	b.ask("/login", "name", "o1", "password", "o1-password")
	_, body := b.ask("/customers", "customer", customer.Email)
	if !strings.Contains(body, "This is customer <strong>41</strong>") || !strings.Contains(body, a.server.Names.Person(agent)) {
		t.Errorf("a customer is not found by his address:\n%s", body)
	}
	if _, body = b.ask("/customers", "customer", "nobody-at-all@example.org"); !strings.Contains(body, "No customer has this address") {
		t.Errorf("somebody is found who is not there:\n%s", body)
	}
	probed := 0
	a.fine(a.server.AccessStream.Read(1, func(e *sallyport.Event) error {
		if e.Who.Staff == "o1" && (e.Who.Application == "api" || e.Kind == sallyport.RevealKind) {
			probed++
		}
		return nil
	}))
	if probed == 0 {
		t.Error("the search for an address is not on record")
	}
	if _, err := a.agent(agent).FindCustomer(a.ctx, customer.Email, ""); refusedAs(err) != "not_your_role" && refusedAs(err) != "forbidden" {
		t.Errorf("an agent looks for customers: %v", err)
	}
}
