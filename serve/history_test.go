package serve

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
)

// TestHistory: what somebody was shown stands in history soon after, under a pseudonym; a question in SQL is on record before it is answered;
// and a history that was damaged while nobody served is made again.
func TestHistory(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	began := time.Now()
	if got := c.one(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)); got != customer.Email {
		t.Fatal("the ticket does not count")
	}
	question := fmt.Sprintf(`SELECT person, "column" FROM reveals WHERE customer = '%d'`, customer.ID)
	m := &Main{Stderr: io.Discard, Getenv: func(string) string { return "o1-password" }}
	ask := func() string {
		t.Helper()
		out := &bytes.Buffer{}
		m.Stdout = out
		err := m.Run(t.Context(), []string{"history", "query", question, "--as", "o1", "--data", f.options.Data, "--json"})
		if err != nil && !strings.Contains(err.Error(), "History is not open") {
			t.Fatal(err)
		}
		return out.String()
	}
	answered := func() bool { return strings.Contains(ask(), "support.customers.email") }
	within(t, 30*time.Second, "the reveal stands in history", answered)
	t.Logf("it stood there after %s, the first second of serve included", time.Since(began).Round(10*time.Millisecond))
	pseudonym := f.server.Names.Person(who)
	if answer := ask(); !strings.Contains(answer, pseudonym) || strings.Contains(answer, `"`+string(who)+`"`) {
		t.Errorf("the answer: %s", answer)
	}
	asked := 0
	err := f.server.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Queried && e.Order.Action == "history_query" {
			asked++
		}
		return nil
	})
	if err != nil || asked < 2 {
		t.Errorf("%d questions on record, %v", asked, err)
	}
	if err := m.Run(t.Context(), []string{"history", "query", "DROP VIEW reveals", "--as", "o1", "--data", f.options.Data}); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("DROP: %v", err)
	}
	f.stop()
	if err := os.WriteFile(filepath.Join(f.options.Data, HistoryFolder, "history.duckdb"), bytes.Repeat([]byte("no database "), 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	f.start()
	if list := f.whoSaw(sallyport.Subject(fmt.Sprint(customer.ID))); len(list) != 1 || list[0].Staff != who {
		t.Errorf("who-saw while history is not open: %+v", list)
	}
	within(t, 30*time.Second, "history is made again", answered)
	if log := f.log.String(); !strings.Contains(log, "made again from the record") {
		t.Error("nothing was told of it")
	}
}
