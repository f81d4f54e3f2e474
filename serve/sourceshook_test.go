package serve

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
)

// TestHiddenNumbers: a ticket of another system is given by its number, and neither the record nor what is kept of that system holds it.
func TestHiddenNumbers(t *testing.T) {
	f := newFort(t, "", otherSystems(t, kindsTicket+webhookSource, map[string]string{"helpdesk.secret": hookSecret}))
	who, _, customer := f.hasTicket(0)
	const number = "CS-9182-7364"
	f.tell(f.hears("helpdesk"), fmt.Sprintf(`{"id":"m1","things":[{"id":"HD-77","number":%q,"customer":"%d","assignee":%q,"state":"open","opened_by":"customer","assigned_by":"o3","version":1}]}`,
		number, customer.ID, who))
	c := f.connect(who)
	for _, ref := range []string{number, "HD-77"} {
		c.must("SET sallyport.purpose = 'ticket:" + ref + "'")
		if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
			t.Errorf("%s does not count: %v", ref, c.noticeTexts())
		}
	}
	list := f.whoSaw(sallyport.Subject(strconv.FormatInt(customer.ID, 10)))
	if len(list) != 2 || !slices.Equal(list[0].Purposes, []string{"ticket:HD-77"}) || !slices.Equal(list[1].Purposes, []string{"ticket:HD-77"}) {
		t.Errorf("%+v", list)
	}
	f.stop()
	err := filepath.Walk(f.options.Data, func(path string, info os.FileInfo, err error) error {
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		held, err := os.ReadFile(path)
		if strings.Contains(string(held), number) {
			t.Errorf("%s holds the number", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(f.log.String(), number) {
		t.Error("the log holds the number")
	}
}

// TestHooksTLS: messages come over TLS where a certificate is configured, and a renewed one is taken.
func TestHooksTLS(t *testing.T) {
	authority, err := newAuthority()
	if err != nil {
		t.Fatal(err)
	}
	first, err := authority.issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	f := newFort(t, "", otherSystems(t, kindsTicket+strings.Replace(webhookSource, "127.0.0.1:0}", "127.0.0.1:0, certificate: hooks.crt, key: hooks.key}", 1),
		map[string]string{"helpdesk.secret": hookSecret, "hooks.crt": first.certificate, "hooks.key": first.key}))
	url := f.hears("helpdesk")
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(authority.PEM)) {
		t.Fatal("no authority")
	}
	post := func(url string) (status int, serial string) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}}}
		defer client.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.TLS != nil {
			serial = answer.TLS.PeerCertificates[0].SerialNumber.String()
		}
		return answer.StatusCode, serial
	}
	if status, _ := post(url); status != http.StatusBadRequest { // Go's own answer to HTTP where TLS is expected
		t.Errorf("a message was heard without TLS: %d", status)
	}
	secure := strings.Replace(url, "http://", "https://", 1)
	status, before := post(secure)
	if status != http.StatusUnauthorized {
		t.Errorf("what nobody signed: %d", status)
	}
	second, err := authority.issue("localhost")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"hooks.crt": second.certificate, "hooks.key": second.key} {
		if err := os.WriteFile(f.options.Config.Path(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, now := post(secure); now == before || now == "" {
		t.Error("the renewed certificate is not shown")
	}
}

// TestSlowClientIsCut: what waits for a client who does not read leaves under a reason that holds then, or not at all.
func TestSlowClientIsCut(t *testing.T) {
	f := newFort(t, "", otherSystems(t, "  kinds: {job: {source: helpdesk}}\n"+webhookSource, map[string]string{"helpdesk.secret": hookSecret}))
	agent := f.org.Agents()[0].ID
	url := f.hears("helpdesk")
	var customers []string
	for id := 10; id < 110; id++ {
		customers = append(customers, strconv.Quote(strconv.Itoa(id)))
	}
	job := func(version int, state string) {
		t.Helper()
		f.tell(url, fmt.Sprintf(`{"id":"m%d","things":[{"id":"j","customers":[%s],"assignee":%q,"state":%q,"opened_by":%q,"assigned_by":"o2","begins_at":%q,"ends_at":%q,"version":%d}]}`,
			version, strings.Join(customers, ","), agent, state, agent, time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339), version))
	}
	job(1, "approved")
	c, d := f.connect(agent), f.connect(agent)
	c.must("SET sallyport.purpose = 'job:j'")
	d.must("SET sallyport.purpose = 'job:j'")
	rows, err := c.Query(t.Context(), "SELECT c.email, repeat('x', 1000) FROM support.customers c CROSS JOIN generate_series(1, 1200) g WHERE c.id BETWEEN 10 AND 109")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	if !rows.Next() || string(rows.RawValues()[0]) == "" {
		t.Fatal("nothing comes")
	}
	job(2, "withdrawn")
	within(t, 20*time.Second, "the job stops covering", func() bool {
		return strings.HasSuffix(d.one("SELECT email FROM support.customers WHERE id = 10"), ".invalid")
	})
	plain, tokens := 1, 0
	for rows.Next() {
		if strings.HasSuffix(string(rows.RawValues()[0]), ".invalid") {
			tokens++
		} else {
			plain++
		}
	}
	cut, ok := errors.AsType[*pgconn.PgError](rows.Err())
	if !ok || cut.Code != "SP014" || !strings.Contains(cut.Message, "the reason for this result ended before you took it") {
		t.Errorf("%d rows readable, %d tokens, %v", plain, tokens, rows.Err())
	}
	t.Logf("%d of 120,000 rows had left when the job was withdrawn", plain)
}
