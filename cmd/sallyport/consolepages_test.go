package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestConsole opens the pages of a running serve over TLS, as somebody who oversees access: what an agent was shown stands in Now, by pseudonym, and
// his entry is proven against the ledger.
func TestConsole(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fatal(t, (&demoStage{folder: folder}).certify())
	certificate := filepath.Join(folder, demoCertificate)
	f := newFort(t, fmt.Sprintf("\nconsole: {listen: \"127.0.0.1:0\", certificate: %q, key: %q}\n", certificate, filepath.Join(folder, demoCertKey)))
	agent := f.org.Agents()[0].ID
	shown := f.looks(agent, 3)

	pem, err := os.ReadFile(certificate)
	fatal(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	jar, err := cookiejar.New(nil)
	fatal(t, err)
	browser := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer browser.CloseIdleConnections()
	base := "https://" + f.server.Console().String()
	ask := func(method, path string, fields url.Values) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(fields.Encode()))
		fatal(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := browser.Do(r)
		fatal(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		fatal(t, err)
		return answer.StatusCode, string(body)
	}
	status, body := ask(http.MethodPost, "/login", url.Values{"name": {"o1"}, "password": {"o1-password"}})
	if status != http.StatusOK || !strings.Contains(body, "<h1>Now</h1>") {
		t.Fatalf("not logged in: %d %s", status, body)
	}
	within(t, 30*time.Second, "history has taken in what was shown", func() bool {
		_, body = ask(http.MethodGet, "/now", nil)
		return strings.Contains(body, fmt.Sprintf("<dd>%d</dd>", len(shown)))
	})
	pseudonym := f.server.names.Person(agent)
	if !strings.Contains(body, pseudonym) || strings.Contains(body, string(agent)) || strings.Contains(body, shown[0].Email) {
		t.Errorf("it shows somebody, or something, as it should not:\n%s", body)
	}
	_, body = ask(http.MethodPost, "/customers", url.Values{"customer": {fmt.Sprint(shown[0].ID)}})
	if !strings.Contains(body, pseudonym) || strings.Contains(body, shown[0].Email) {
		t.Errorf("who saw a customer:\n%s", body)
	}
	within(t, 30*time.Second, "the entry is under a checkpoint", func() bool {
		_, body = ask(http.MethodPost, "/record/access/1/proof", nil)
		return strings.Contains(body, "stands in the ledger")
	})
	fatal(t, f.server.Close())
	f.server = nil
	f.start()
	r, err := browser.Get("https://" + f.server.Console().String() + "/now")
	fatal(t, err)
	defer r.Body.Close()
	if r.Request.URL.Path != "/login" {
		t.Error("a session outlives serve")
	}
}
