package serve

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/internal/throwaway"
)

// surfing is somebody's browser before pages of a running serve.
type surfing struct {
	t    *testing.T
	http *http.Client
	base string
}

// certified makes a certificate for pages, and the keys of the configuration that name it.
func certified(t *testing.T) (folder, keys string) {
	t.Helper()
	folder = t.TempDir()
	fatal(t, throwaway.Certify(folder))
	return folder, fmt.Sprintf("listen: \"127.0.0.1:0\", certificate: %q, key: %q", filepath.Join(folder, throwaway.Certificate), filepath.Join(folder, throwaway.CertificateKey))
}

func surf(t *testing.T, folder string, at net.Addr) *surfing {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(folder, throwaway.Certificate))
	fatal(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	fatal(t, err)
	b := &surfing{t: t, base: "https://" + at.String(), http: &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}}
	t.Cleanup(b.http.CloseIdleConnections)
	return b
}

// ask loads a page, with a form where fields are given, and follows where it leads.
func (b *surfing) ask(path string, fields ...string) (at, body string) {
	b.t.Helper()
	method, form := http.MethodGet, url.Values{}
	for i := 0; i < len(fields); i += 2 {
		method = http.MethodPost
		form.Add(fields[i], fields[i+1])
	}
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.base+path, strings.NewReader(form.Encode()))
	fatal(b.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := b.http.Do(r)
	fatal(b.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	fatal(b.t, err)
	return answer.Request.URL.Path, string(text)
}

// TestConsole opens the pages of a running serve over TLS, as somebody who oversees access: what an agent was shown stands in Now, by pseudonym, and
// his entry is proven against the ledger.
func TestConsole(t *testing.T) {
	t.Parallel()
	folder, keys := certified(t)
	f := newFort(t, "\nconsole: {"+keys+"}\n")
	agent := f.org.Agents()[0].ID
	shown := f.looks(agent, 3)
	b := surf(t, folder, f.server.Console())
	at, body := b.ask("/login", "name", "o1", "password", "o1-password")
	if at != "/now" || !strings.Contains(body, "<h1>Now</h1>") {
		t.Fatalf("not logged in: %s %s", at, body)
	}
	within(t, 30*time.Second, "history has taken in what was shown", func() bool {
		_, body = b.ask("/now")
		return strings.Contains(body, fmt.Sprintf("<dd>%d</dd>", len(shown)))
	})
	pseudonym := f.server.Names.Person(agent)
	if !strings.Contains(body, pseudonym) || strings.Contains(body, string(agent)) || strings.Contains(body, shown[0].Email) {
		t.Errorf("it shows somebody, or something, as it should not:\n%s", body)
	}
	if _, body = b.ask("/customers", "customer", fmt.Sprint(shown[0].ID)); !strings.Contains(body, pseudonym) || strings.Contains(body, shown[0].Email) {
		t.Errorf("who saw a customer:\n%s", body)
	}
	within(t, 30*time.Second, "the entry is under a checkpoint", func() bool {
		_, body = b.ask("/record/access/1/proof", "verify", "yes")
		return strings.Contains(body, "stands in the ledger")
	})
	b.shownOf(f, agent, pseudonym, len(shown))
	f.restart()
	b.base = "https://" + f.server.Console().String()
	if at, _ := b.ask("/now"); at != "/login" {
		t.Error("a session outlives serve")
	}
}

// shownOf sees what stands on the pages about somebody who was shown customers, what is protected, and what holds.
func (b *surfing) shownOf(f *fort, agent sallyport.Staff, pseudonym string, shown int) {
	b.t.Helper()
	within(b.t, 30*time.Second, "detection has read what was shown", func() bool {
		_, body := b.ask("/people")
		return strings.Contains(body, "/people/"+pseudonym)
	})
	within(b.t, 30*time.Second, "his page shows it all", func() bool {
		_, body := b.ask("/people/" + pseudonym)
		if strings.Contains(body, string(agent)+"<") || strings.Contains(body, ">"+string(agent)) {
			b.t.Fatalf("the page of a pseudonym names him:\n%s", body)
		}
		return strings.Contains(body, fmt.Sprintf("%d customers", shown)) && strings.Contains(body, "role agent")
	})
	_, body := b.ask("/data")
	for _, want := range []string{"support.customers", "<td>protected</td>", "on conditions", "The database is as the configuration says"} {
		if !strings.Contains(body, want) {
			b.t.Errorf("Data has no %q:\n%s", want, body)
		}
	}
	_, body = b.ask("/policies")
	for _, want := range []string{"reason.own-ticket", "2.1 Whoever has an open ticket of his own", "cases do not come out as they should. This is a demonstration", "access-policy.md"} {
		if !strings.Contains(body, want) {
			b.t.Errorf("Policies has no %q:\n%s", want, body)
		}
	}
	if _, body = b.ask("/policies", "days", "1", "percent", "200"); !strings.Contains(body, "Nobody would have been hindered") {
		b.t.Errorf("under twice the budgets:\n%s", body)
	}
	if _, body = b.ask("/policies", "days", "1", "percent", "1"); !strings.Contains(body, pseudonym) || !strings.Contains(body, "budget revealed/") {
		b.t.Errorf("under a hundredth of the budgets nobody is hindered:\n%s", body)
	}
	if _, body = b.ask("/drills"); !strings.Contains(body, "support-2019") || !strings.Contains(body, "None yet") {
		b.t.Errorf("Drills:\n%s", body)
	}
}

// TestCustomersPages has an agent schedule a call to the customer of a ticket of his, who checks it, and tells of another one.
func TestCustomersPages(t *testing.T) {
	t.Parallel()
	folder, keys := certified(t)
	a := newAsking(t, "\ncustomers: {"+keys+", company: Example Support, phones: [\"+49 30 5550100\"]}\n")
	who, _, customer := a.hasTicket(0)
	q := api.CallRequest{Customer: sallyport.Subject(fmt.Sprint(customer.ID)), From: time.Now(), Minutes: 30, About: "invoice"}
	call, err := a.agent(who).ScheduleCall(a.ctx, q)
	a.fine(err)
	for _, other := range a.org.Agents() {
		if slices.ContainsFunc(a.org.OpenTickets(other.ID), func(n int64) bool { return a.org.Ticket(n).Customer == customer.ID }) {
			continue
		}
		if _, err := a.agent(other.ID).ScheduleCall(a.ctx, q); err == nil || !strings.Contains(err.Error(), "no open ticket") {
			t.Errorf("%s schedules a call to somebody who is none of his business: %v", other.ID, err)
		}
		break
	}
	b := surf(t, folder, a.server.Customers())
	if _, body := b.ask("/en/check", "code", call.Code); !strings.Contains(body, "Yes, this is our call") || !strings.Contains(body, call.Name) || strings.Contains(body, string(who)) {
		t.Errorf("the code says:\n%s", body)
	}
	_, wrong := b.ask("/en/check", "code", "AAAA-AAAA-AAAA")
	if _, body := b.ask("/en/check", "code", customer.Phone); body != wrong || !strings.Contains(body, "We know of no such call") {
		t.Errorf("a telephone number says:\n%s", body)
	}
	if _, body := b.ask("/de/report", "customer", fmt.Sprint(customer.ID), "day", time.Now().Format(time.DateOnly), "channel", "call", "knew", "name"); !strings.Contains(body, "Danke") {
		t.Errorf("the report:\n%s", body)
	}
	reports, err := a.officer("o1").Reports(a.ctx)
	a.fine(err)
	if len(reports) != 1 || reports[0].Source != customersPage || reports[0].State != api.ReportOpen || reports[0].Customer != q.Customer {
		t.Errorf("%+v", reports)
	}
	a.restart()
	b.base = "https://" + a.server.Customers().String()
	if _, body := b.ask("/en/check", "code", call.Code); !strings.Contains(body, "Yes, this is our call") {
		t.Error("serve has forgotten the call")
	}
}
