package serve

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/assure"
	"sallyport/export"
)

// TestOutboxKilled kills serve (kill -9) while nobody takes what a customer who asked is to be told: after the next start he is told, once, under the id of the
// first attempt; and who was told already is not told again.
func TestOutboxKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	type message struct {
		id string
		CustomerMessage
	}
	var takes atomic.Bool
	refused, got := make(chan message, 64), make(chan message, 64)
	mailer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m := message{id: r.Header.Get(export.DeliveryHeader)}
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &m.CustomerMessage) != nil {
			t.Errorf("the body is %q", body)
		}
		if takes.Load() {
			got <- m
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		select {
		case refused <- m:
		default:
		}
	}))
	defer mailer.Close()
	folder, keys := certified(t)
	secret := filepath.Join(folder, "outbox.secret")
	fatal(t, os.WriteFile(secret, []byte("a secret of the outbox\n"), 0o600))
	pages := freeAddress(t)
	f := newFort(t, fmt.Sprintf("\ncustomers: {%s, company: Example Support, phones: [\"+49 30 5550100\"], outbox: {url: %q, secret_file: %q}}\n", strings.Replace(keys, "127.0.0.1:0", pages, 1), mailer.URL, secret))
	f.stop()
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	at, err := net.ResolveTCPAddr("tcp", pages)
	fatal(t, err)
	// served runs serve in a process of its own, and kills it in the end.
	served := func(do func(b *surfing)) {
		t.Helper()
		address := freeAddress(t)
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, "--key-file", f.options.KeyFile, "--listen", address) //nolint:gosec // this very test binary
		serve.Stderr = f.log
		fatal(t, serve.Start())
		defer func() {
			_ = serve.Process.Kill()
			_ = serve.Wait()
		}()
		for _, up := range []string{pages, address} {
			within(t, 60*time.Second, "serve listens", func() bool {
				c, err := net.Dial("tcp", up)
				if err == nil {
					_ = c.Close()
				}
				return err == nil
			})
		}
		b := surf(t, folder, at)
		do(b)
		b.http.CloseIdleConnections()
	}
	next := func(from chan message, what string) (m message) {
		t.Helper()
		select {
		case m = <-from:
		case <-time.After(stretched(60 * time.Second)):
			t.Fatalf("%s\n%s", what, f.log)
		}
		return m
	}
	whose := func(i int64) (number string, customer sallyport.Subject) {
		ticket := f.org.Ticket(i)
		return ticket.No, sallyport.Subject(fmt.Sprint(ticket.Customer))
	}
	number, customer := whose(1)
	var first message
	served(func(b *surfing) {
		b.ask("/de/ask", "known", number)
		first = next(refused, "nobody tried to write to the customer")
		if first.Customer != customer || first.Language != "de" || first.id == "" {
			t.Errorf("it was about %+v, not %s", first, customer)
		}
	})
	takes.Store(true)
	other, another := whose(2)
	last, third := whose(3)
	var second, kept message
	served(func(b *surfing) {
		again := next(got, "after a crash nobody writes to the customer")
		if again.id != first.id || again.Customer != customer || again.Language != "de" || !again.At.Equal(first.At) {
			t.Errorf("after the crash it is %+v, before it was %+v", again, first)
		}
		b.ask("/en/ask", "known", other)
		second = next(got, "nobody writes to the second customer")
		b.ask("/en/ask", "known", last)
		kept = next(got, "nobody writes to the third customer") // that the second was told is on record by now; this one may be told again
		if second.Customer != another || kept.Customer != third {
			t.Errorf("told again, or somebody else: %+v, %+v", second, kept)
		}
	})
	served(func(b *surfing) {
		b.ask("/en/ask", "known", number)
		m := next(got, "nobody writes to who asks once more")
		if m.id == kept.id {
			m = next(got, "nobody writes to who asks once more")
		}
		if m.Customer != customer || m.id == first.id || m.id == second.id {
			t.Errorf("told again, or somebody else: %+v", m)
		}
	})
	f.start()
	ends := map[string]int{}
	fatal(t, f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.AssuredKind && e.Order.Assured.Do != assure.Asked {
			ends[e.Order.Assured.ID+" "+e.Order.Assured.Do]++
		}
		return nil
	}))
	for _, id := range []string{first.id, second.id} {
		if ends[id+" "+assure.Told] != 1 {
			t.Errorf("the record says of %s: %v", id, ends)
		}
	}
	if strings.Contains(f.log.String(), number) || strings.Contains(f.log.String(), other) {
		t.Error("the log holds what was typed")
	}
}
