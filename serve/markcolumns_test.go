package serve

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/config"
	"sallyport/protect"
)

// edit changes the fort's configuration in its file.
func (f *fort) edit(old, new string) {
	f.t.Helper()
	path := filepath.Join(f.folder, "sallyport.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		f.t.Fatal(err)
	}
	changed := strings.Replace(string(text), old, new, 1)
	if changed == string(text) {
		f.t.Fatalf("the configuration has no %q", old)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if f.config, err = config.Load(path); err != nil {
		f.t.Fatal(err)
	}
	f.config.Policies = f.options.Config.Policies // which a test may have set by hand
	f.options.Config = f.config
}

// refuses starts serve, which gives up, and holds its sentence to all of want.
func (f *fort) refuses(want ...string) {
	f.t.Helper()
	s, err := Start(context.WithoutCancel(f.ctx), f.options)
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	select {
	case <-s.Ready():
		f.t.Errorf("serve guards; it should say %q", want)
		return
	case <-s.Done():
	}
	for _, w := range want {
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), w) {
			f.t.Errorf("serve ended with %v, want %q", err, w)
		}
	}
}

// protect runs protect with the fort's configuration.
func (f *fort) protect() error {
	f.t.Helper()
	_, err := Protect(f.ctx, f.config, ProtectOptions{Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile})
	return err
}

// TestProtectedColumnsCannotBeTakenAway tries what an administrator of Sallyport can do to let plain values into a protected column:
// every edit of the configuration is refused, by serve, by check and by protect.
func TestProtectedColumnsCannotBeTakenAway(t *testing.T) {
	t.Parallel() // it waits more than it works
	const email, phone = "    support.customers.email:      {class: contact, scheme: email}\n", "    support.customers.phone:      {class: contact, scheme: phone}\n"
	for _, c := range []struct{ name, old, new, column string }{
		{"a column dropped", email, "", "support.customers.email: protected as email of group email under k1.invalid, not configured"},
		{"another scheme", phone, strings.Replace(phone, "scheme: phone", "scheme: text", 1), "support.customers.phone: protected as phone of group phone under +89, configured as text of group text"},
		{"another group", email, strings.Replace(email, "scheme: email", "scheme: email, group: other", 1), "support.customers.email: protected as"},
		{"another prefix", "{CS: ZQ}", "{CS: XX}", "support.tickets.ticket_no: protected as number of group number, CS as ZQ, configured as number of group number, CS as XX"},
		{"another domain", "email_domain: k1.invalid", "email_domain: k1.example.invalid", "support.customers.email: protected as"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFort(t, "")
			f.stop()
			f.edit(c.old, c.new)
			f.refuses(c.column, "only protect --undo takes protection away")
			findings, err := checkAll(t.Context(), filepath.Join(f.folder, "sallyport.yaml"))
			if err != nil || len(findings) != 1 || !strings.HasPrefix(findings[0].Where, filepath.Join(f.folder, "sallyport.yaml:")) {
				t.Errorf("check says %v, %v", findings, err)
			}
			if narrow := (*protect.NarrowError)(nil); !errors.As(f.protect(), &narrow) {
				t.Error("protect took it away")
			}
		})
	}
}

// TestColumnsAreAdded protects a further column of a protected database: not by the configuration alone, but by protect.
func TestColumnsAreAdded(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, "")
	f.stop()
	const last = "    support.messages.body:        {class: content, scheme: text}\n"
	f.edit(last, last+"    support.customers.plan:       {class: content, scheme: text}\n")
	f.refuses("support.customers.plan: not protected, configured as text of group text", "run 'sallyport protect'")
	if err := f.protect(); err != nil {
		t.Fatal(err)
	}
	f.start()
	f.stop()
	f.edit("    support.customers.plan:       {class: content, scheme: text}\n", "")
	f.refuses("support.customers.plan: protected as text of group text, not configured")
}

// TestTheMarkIsHeldToTheRecord edits the mark as a DBA can, to make it fit a configuration with a column less.
func TestTheMarkIsHeldToTheRecord(t *testing.T) {
	for _, c := range []struct{ name, sql, want string }{
		{"a column less", "UPDATE sallyport.mark SET columns = columns - 'support.customers.email'", "support.customers.email: on record as email of group email under k1.invalid, not marked"},
		{"no columns", "UPDATE sallyport.mark SET columns = NULL", "run 'sallyport protect' once more"},
		{"no mark", "DELETE FROM sallyport.mark", "still plain"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFort(t, "")
			f.stop()
			f.superExec(f.database, c.sql)
			was := "    support.customers.email:      {class: contact, scheme: email}\n"
			f.edit(was, "")
			f.refuses(c.want)
			narrow := (*protect.NarrowError)(nil)
			if err := f.protect(); !errors.As(err, &narrow) && !strings.Contains(err.Error(), "form of a token") {
				t.Errorf("protect took it away: %v", err)
			}
			if c.sql[:6] == "DELETE" {
				return // its tokens are taken for values of a plain database, and refused
			}
			f.edit("  columns:\n", "  columns:\n"+was)
			if err := f.protect(); err != nil {
				t.Fatalf("protect with all columns: %v", err)
			}
			f.start()
			if mark := f.readMark(); len(mark.Columns) != 8 {
				t.Errorf("mark of %d columns", len(mark.Columns))
			}
		})
	}
}

func (f *fort) readMark() protect.Mark {
	f.t.Helper()
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(f.database))
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(f.ctx))
	mark, _, err := protect.ReadMark(f.ctx, conn)
	if err != nil {
		f.t.Fatal(err)
	}
	return mark
}
