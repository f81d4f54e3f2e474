package serve

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"sallyport"
	"sallyport/api"
	"sallyport/sim"
)

// chromiumTab is one tab of a real Chromium, which ends with the test.
func chromiumTab(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("no Chromium on this machine; 'apt-get install chromium' (scripts/needs.sh) brings it")
	}
	limit, stop := context.WithTimeout(t.Context(), stretched(2*time.Minute))
	t.Cleanup(stop)
	allocator, end := chromedp.NewExecAllocator(limit, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.IgnoreCertErrors)...)
	t.Cleanup(end)
	ctx, leave := chromedp.NewContext(allocator)
	t.Cleanup(leave)
	fatal(t, chromedp.Do(ctx, chromedp.EmulateViewport(360, 800)))
	return ctx
}

// reads waits until the page that is open says something.
func reads(t *testing.T, ctx context.Context, words string) { //nolint:revive // t first
	t.Helper()
	within(t, 30*time.Second, "the page says "+words, func() bool {
		text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.body.innerText"))
		return err == nil && strings.Contains(text, words)
	})
}

// TestConfirmedByLink has a real psql wait, whose notice names a page; a browser opens it, logs in and confirms, and the rows come.
func TestConfirmedByLink(t *testing.T) {
	t.Parallel()
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("psql is not installed")
	}
	_, keys := certified(t)
	a := newAsking(t, "\nconsole: {"+keys+"}\n")
	who, ticket, customer := a.hasTicket(0)
	a.order(sallyport.Trusted, sallyport.Order{Action: "trust", By: "o1", About: who, Details: "50", Reason: "test"})
	ctx, stop := context.WithTimeout(t.Context(), stretched(2*time.Minute))
	defer stop()
	client := exec.CommandContext(ctx, psql, a.dsn(who), "-X", "-A", "-t", "-c", fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID), "-c", fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
	var out, said lockedBuffer
	client.Stdout, client.Stderr = &out, &said
	fatal(t, client.Start())
	over := make(chan error, 1)
	go func() { over <- client.Wait() }()
	page := regexp.MustCompile(`open (https://\S+/confirm)`)
	var link []string
	within(t, 30*time.Second, "psql reads where to confirm", func() bool {
		link = page.FindStringSubmatch(said.String())
		return link != nil
	})
	if out.String() != "SET\n" {
		t.Fatalf("it did not wait: %q", out.String())
	}
	tab := chromiumTab(t)
	fatal(t, chromedp.Do(tab, chromedp.Navigate(link[1])))
	reads(t, tab, "Something of yours waits")
	fatal(t, chromedp.Do(tab, chromedp.SendKeys("input[name=name]", string(who)), chromedp.SendKeys("input[name=password]", "agent-password")))
	_, err = chromedp.RunResponse(tab, chromedp.Click("form[action='/login'] button"))
	fatal(t, err)
	reads(t, tab, "If you did not ask for this, do not confirm")
	reads(t, tab, fmt.Sprintf("SELECT for ticket:%d by %s", ticket.ID, who))
	select {
	case err := <-over:
		t.Fatalf("a log-in alone opened the door: %v %q", err, out.String())
	default:
	}
	fatal(t, chromedp.Do(tab, chromedp.SendKeys("input[name=password]", "agent-password")))
	_, err = chromedp.RunResponse(tab, chromedp.Click("form[action='/confirm'] button"))
	fatal(t, err)
	reads(t, tab, "You have confirmed who you are")
	select {
	case err := <-over:
		if err != nil || !strings.Contains(out.String(), customer.Email) {
			t.Errorf("%v: psql did not get the value: %s", err, said.String())
		}
	case <-ctx.Done():
		t.Error("psql waits still")
	}
}

// TestCustomersAreAnswered has customers see who has seen their data, by a link; and has one who typed a number answered at his contact details on file,
// while the page says the same as to a stranger.
func TestCustomersAreAnswered(t *testing.T) {
	t.Parallel()
	folder, keys := certified(t)
	got := make(chan CustomerMessage, 8)
	mailer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var m CustomerMessage
		if err == nil && r.Header.Get("Sallyport-Signature") != "" && json.Unmarshal(body, &m) == nil {
			got <- m
		}
	}))
	defer mailer.Close()
	secret := filepath.Join(folder, "outbox.secret")
	fatal(t, os.WriteFile(secret, []byte("a secret of the outbox\n"), 0o600))
	a := newAsking(t, fmt.Sprintf("\ncustomers: {%s, company: Example Support, phones: [\"+49 30 5550100\"], outbox: {url: %q, secret_file: %q}}\n", keys, mailer.URL, secret))
	who, ticket, customer := a.hasTicket(0)
	c := a.connect(who)
	_, err := c.Exec(a.ctx, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	fatal(t, err)
	var name string
	fatal(t, c.QueryRow(a.ctx, fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", customer.ID)).Scan(&name))

	b := surf(t, folder, a.server.Customers())
	subject := sallyport.Subject(fmt.Sprint(customer.ID))
	_, err = a.agent(who).IssueLink(a.ctx, api.LinkRequest{Customer: subject, Reason: "r"})
	if err == nil {
		t.Error("an agent issues links")
	}
	officer := api.NewClient(a.server.Control(), "o1", "o1-password")
	defer officer.Close()
	link, err := officer.IssueLink(a.ctx, api.LinkRequest{Customer: subject, Days: 2, Language: "de", Reason: "he asked"})
	fatal(t, err)
	_, path, _ := strings.Cut(strings.TrimPrefix(link.Link, "https://"), "/")
	_, body := b.ask("/" + path)
	for _, words := range []string{"Wer hat Ihre Daten gesehen?", "Kundendienst", "wegen einer Anfrage von Ihnen"} {
		if !strings.Contains(body, words) {
			t.Errorf("the page does not say %q", words)
		}
	}
	for _, secret := range []string{string(who), a.server.Names.Person(who), a.server.staffing.calls(who), name, customer.Email, fmt.Sprint(ticket.ID)} {
		if strings.Contains(body, secret) {
			t.Errorf("the page tells %q", secret)
		}
	}
	fatal(t, officer.EndLink(a.ctx, link.ID, "the test is over"))
	for _, wrong := range []string{path, path + "A", strings.Replace(path, "seen/", "seen/A", 1), "de/seen/x"} {
		if _, body = b.ask("/" + wrong); !strings.Contains(body, "Dieser Link zeigt nichts") {
			t.Errorf("%s shows something", wrong)
		}
	}
	a.answered(t, b, got, who, customer, ticket)
}

func (a *asking) answered(t *testing.T, b *surfing, got chan CustomerMessage, who sallyport.Staff, customer sim.Customer, ticket sim.Ticket) {
	t.Helper()
	_, stranger := b.ask("/en/ask", "known", "CS-0000-0001")
	_, nothing := b.ask("/en/ask", "known", "not a number at all")
	_, known := b.ask("/en/ask", "known", ticket.No)
	if stranger != known || nothing != known || !strings.Contains(known, "We say the same here in every case") {
		t.Error("the page tells one from another")
	}
	wait := func() (m CustomerMessage) {
		t.Helper()
		select {
		case m = <-got:
		case <-time.After(stretched(30 * time.Second)):
			t.Fatalf("nobody was written to\n%s", a.log)
		}
		return m
	}
	if m := wait(); m.Customer != sallyport.Subject(fmt.Sprint(customer.ID)) || len(m.Calls) != 0 || m.Language != "en" {
		t.Errorf("%+v", m)
	}
	_, err := a.agent(who).ScheduleCall(a.ctx, api.CallRequest{Customer: sallyport.Subject(fmt.Sprint(customer.ID)), From: time.Now(), Minutes: 30, About: "invoice"})
	fatal(t, err)
	if customer.Phone != "" {
		b.ask("/de/ask", "known", customer.Phone)
	} else {
		b.ask("/de/ask", "known", ticket.No)
	}
	if m := wait(); len(m.Calls) != 1 || m.Calls[0].About != "invoice" || m.Language != "de" {
		t.Errorf("%+v", m)
	}
	if strings.Contains(a.log.String(), ticket.No) || customer.Phone != "" && strings.Contains(a.log.String(), customer.Phone) {
		t.Error("the log holds what was typed")
	}
}
