package serve

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/config"
)

// TestRowSecurity: rows that row security hides from the reader are never taken for rows that are not there. Nothing is revealed, check says
// what to do, and once that is done reasons count again.
func TestRowSecurity(t *testing.T) {
	f := newFort(t, "")
	who, ticket, customer := f.hasTicket(0)
	path := filepath.Join(f.folder, "sallyport.yaml")
	defer f.superExec("postgres", "ALTER ROLE sallyport_reader NOBYPASSRLS") // other tests share the role
	f.superExec(f.database, "ALTER TABLE support.customers ENABLE ROW LEVEL SECURITY")
	f.superExec(f.database, "CREATE POLICY staff ON support.customers TO support_agents USING (true)")
	read := func() (email string) {
		c := f.connect(who)
		if _, err := c.rows(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
			return ""
		}
		rows, err := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
		if err != nil || len(rows) == 0 {
			return ""
		}
		return rows[0][0]
	}
	if got := read(); got == strings.ToLower(customer.Email) {
		t.Error("a value was revealed whose row the reader does not see")
	}
	findings, err := checkAll(t.Context(), path)
	if err != nil || ToDo(findings) != 1 || !strings.Contains(findings[0].What, `its row security hides rows from sallyport_reader`) || findings[0].Where != "support.customers" {
		t.Errorf("check finds %+v, %v", findings, err)
	}
	sql, err := runMainOf(t, "check", "--config", path, "--sql")
	if err != nil || !strings.Contains(sql, `ALTER ROLE "sallyport_reader" BYPASSRLS;`) {
		t.Fatal(sql, err)
	}
	f.superExec(f.database, sql)
	if findings, err = checkAll(t.Context(), path); err != nil || ToDo(findings) > 0 {
		t.Errorf("after the statement check finds %+v, %v", findings, err)
	}
	within(t, 10*time.Second, "the reason covers the customer again", func() bool { return read() == strings.ToLower(customer.Email) })
}

// TestProtectPassesRowSecurity: protect, as a superuser, lets the reader it makes see the rows, and check says so before.
func TestProtectPassesRowSecurity(t *testing.T) {
	site := ownSite(t)
	dsn := site.database(t, fitTables, "DROP VIEW app.open_tickets, app.ours, app.boss, app.greetings; ALTER TABLE app.customers ALTER email TYPE text, ALTER notes DROP DEFAULT",
		"ALTER TABLE app.customers ENABLE ROW LEVEL SECURITY", "ALTER TABLE app.customers FORCE ROW LEVEL SECURITY")
	folder := t.TempDir()
	path := filepath.Join(folder, "sallyport.yaml")
	if out, err := runMainOf(t, "init", dsn, "--out", path); err != nil {
		t.Fatal(out, err)
	}
	out, err := runMainOf(t, "check", "--config", path, "--owner", dsn)
	if exitCode(err) != ExitFound || !strings.Contains(out, "note: app.customers: its row security would hide rows from sallyport_reader") {
		t.Fatal(out, err)
	}
	config, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	options := ProtectOptions{Owner: dsn, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")}
	for _, time := range []string{"first", "second"} { // the second takes the role as it is
		if _, err := Protect(t.Context(), config, options); err != nil {
			t.Fatal(time, err)
		}
	}
	if findings, err := checkAll(t.Context(), path); err != nil || ToDo(findings) > 0 {
		t.Errorf("once protected, check finds %+v, %v", findings, err)
	}
}
