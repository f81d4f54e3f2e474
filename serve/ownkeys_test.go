package serve

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sallyport"
	"sallyport/catalog"
	"sallyport/internal/throwaway"
	"sallyport/protect"
	"sallyport/sim"
)

// newOwnFort is a fort all of whose names and texts have keys of their own.
func newOwnFort(t *testing.T, extra string) *fort {
	t.Helper()
	f := newFort(t, extra)
	f.stop()
	f.superExec("postgres", "DROP DATABASE "+f.database)
	f.superExec("postgres", "CREATE DATABASE "+f.database+" TEMPLATE "+plainTemplate)
	fatal(t, os.RemoveAll(f.options.Data))
	f.shredsCustomers()
	fatal(t, f.protect())
	f.start()
	return f
}

// shredsCustomers has all columns with names and texts ask for keys of their own.
func (f *fort) shredsCustomers() {
	for _, scheme := range []string{"name", "text", "text", "text"} {
		f.edit("scheme: "+scheme+"}", "scheme: "+scheme+", shred: customer}")
	}
	f.options.Config = f.config
}

// pgTool runs a program of PostgreSQL's.
func pgTool(t *testing.T, in []byte, name string, args ...string) []byte {
	t.Helper()
	bin, err := throwaway.FindBin()
	fatal(t, err)
	tool := filepath.Join(bin, name)
	if _, err := os.Stat(tool); err != nil {
		if tool, err = exec.LookPath(name); err != nil {
			t.Skip("there is no " + name)
		}
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", name, err, errs.String())
	}
	return out.Bytes()
}

// backup is a whole dump of the fort's database, restore puts one in its place.
func (f *fort) backup(t *testing.T) []byte {
	t.Helper()
	return pgTool(t, nil, "pg_dump", "--dbname="+f.cluster.SuperDSN(f.database))
}

func (f *fort) restoreBackup(t *testing.T, dump []byte) {
	t.Helper()
	f.superExec("postgres", "DROP DATABASE "+f.database+" WITH (FORCE)")
	f.superExec("postgres", "CREATE DATABASE "+f.database)
	pgTool(t, dump, "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1", "--dbname="+f.cluster.SuperDSN(f.database))
}

// keysFrom reads tokens with the keys of a data folder, without looking at the record: what cryptography alone gives.
func (f *fort) keysFrom(t *testing.T, data string) func(column, stored string) (string, bool) {
	t.Helper()
	opened, err := OpenKeys(f.config, f.ctx, Keyring{Data: data, KeyFile: f.options.KeyFile, Reads: true}, false)
	fatal(t, err)
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	return func(column, stored string) (string, bool) {
		i := slices.IndexFunc(columns, func(c protect.Column) bool { return c.Column.String() == column })
		out, err := columns[i].Codec.Reveal(nil, []byte(stored))
		return string(out), err == nil
	}
}

// recover turns a dump back with a data folder.
func (f *fort) recover(t *testing.T, data string, dump []byte) string {
	t.Helper()
	var out, told bytes.Buffer
	m := &Main{Stdin: bytes.NewReader(dump), Stdout: &out, Stderr: &told, Getenv: func(string) string { return "" }}
	err := m.Run(f.ctx, []string{"keys", "recover", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", data, "--key-file", f.options.KeyFile, "--reason", "the test"})
	if err != nil && err != errFound { //nolint:errorlint // it is given as it is
		t.Fatalf("keys recover: %v %s", err, told.String())
	}
	return out.String()
}

// ownTexts are queries for the names and texts of a customer, with the column of each.
var ownTexts = map[string]string{ //nolint:gochecknoglobals // constant
	"support.customers.full_name": "SELECT full_name FROM support.customers WHERE id = %d",
	"support.customers.notes":     "SELECT notes FROM support.customers WHERE id = %d AND notes IS NOT NULL",
	"support.tickets.subject":     "SELECT subject FROM support.tickets WHERE customer_id = %d",
	"support.messages.body":       "SELECT m.body FROM support.messages m JOIN support.tickets t ON t.id = m.ticket_id WHERE t.customer_id = %d",
}

// textsOf are the stored names and texts of a customer, by column.
func (f *fort) textsOf(t *testing.T, id int64) map[string][]string {
	t.Helper()
	texts := map[string][]string{}
	conn := f.direct()
	defer conn.Close(f.ctx)
	for column, sql := range ownTexts {
		rows, err := conn.Query(f.ctx, fmt.Sprintf(sql, id))
		fatal(t, err)
		for rows.Next() {
			var stored string
			fatal(t, rows.Scan(&stored))
			texts[column] = append(texts[column], stored)
		}
		fatal(t, rows.Err())
	}
	return texts
}

// expectReadable holds all of some stored texts to being readable with keys, or to not being.
func expectReadable(t *testing.T, when string, reveal func(column, stored string) (string, bool), texts map[string][]string, want bool) {
	t.Helper()
	n := 0
	for column, stored := range texts {
		for _, tok := range stored {
			if _, ok := reveal(column, tok); ok != want {
				t.Errorf("%s: a token of %s is readable: %t", when, column, ok)
			}
			n++
		}
	}
	if n < 3 {
		t.Fatalf("%s: only %d tokens: the check proves nothing", when, n)
	}
}

// talkative is a customer with notes, a ticket and messages, and somebody who serves him.
func (f *fort) talkative(t *testing.T, other int64) (*sim.Customer, string, int64) {
	t.Helper()
	for n := range 40 {
		who, ticket, c := f.hasTicket(n)
		if c.ID != other && c.Notes != "" && len(f.textsOf(t, c.ID)["support.messages.body"]) > 0 {
			return &c, string(who), ticket.ID
		}
	}
	t.Fatal("nobody has notes and messages")
	return nil, "", 0
}

// TestOwnKeysShredded is the sceptic's: a dump by PostgreSQL's own program from before the shredding gives no name and no text of the customer with
// the keys of now, neither to keys recover, nor to a gateway before which it is restored, nor to a program that knows of no list. With the data
// folder from before it does; so it is when the last copy of that is gone that nobody reads them any more.
func TestOwnKeysShredded(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newOwnFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	victim, agent, ticket := f.talkative(t, 0)
	other, _, _ := f.talkative(t, victim.ID)
	a := f.connect(sallyport.Staff(agent))
	a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket))
	if got := a.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", victim.ID)); got != victim.FullName {
		t.Fatalf("before, the name reads as %q", got)
	}
	// The name from before a marriage is tied to him by having been looked at, and stands in no row when he is shredded.
	overwritten := f.textsOf(t, victim.ID)
	dump := f.backup(t)
	a.must(fmt.Sprintf("UPDATE support.customers SET full_name = 'Zebulon Quatermain' WHERE id = %d", victim.ID))
	before, others := f.textsOf(t, victim.ID), f.textsOf(t, other.ID)
	later := f.backup(t)
	f.stop()
	former := filepath.Join(f.folder, "former")
	fatal(t, os.CopyFS(former, os.DirFS(f.options.Data)))
	fatal(t, os.Chmod(former, 0o700)) //nolint:gosec // a folder
	f.start()
	f.shred(t, victim.ID)
	note := f.server.State.Approved("shred")[0].Result
	for _, want := range []string{fmt.Sprintf("%d names and texts had keys of their own", countTexts(before)), "only in backups together with keys from before, which are kept until ", "all else readable in backups"} {
		if !strings.Contains(note, want) {
			t.Errorf("the result lacks %q: %s", want, note)
		}
	}
	f.stop()

	now := f.keysFrom(t, f.options.Data)
	expectReadable(t, "with the keys of now", now, before, false)
	expectReadable(t, "with the keys of now, what was overwritten before", now, map[string][]string{"support.customers.full_name": overwritten["support.customers.full_name"], "support.customers.notes": overwritten["support.customers.notes"], "support.tickets.subject": overwritten["support.tickets.subject"]}, false)
	expectReadable(t, "with the keys of now, another customer", now, others, true)
	expectReadable(t, "with the keys of before", f.keysFrom(t, former), before, true)

	secrets := []string{victim.FullName, "Zebulon Quatermain", victim.Notes, strings.ToLower(victim.Email), victim.Phone}
	for name, dump := range map[string][]byte{"before the change of name": dump, "after it": later} {
		plain := f.recover(t, f.options.Data, dump)
		for _, secret := range secrets {
			if strings.Contains(rowsOf(plain, victim.ID), secret) {
				t.Errorf("%s: recovered with the keys of now: %q", name, secret)
			}
		}
		if !strings.Contains(rowsOf(plain, other.ID), other.FullName) {
			t.Errorf("%s: another customer's name is not recovered", name)
		}
	}
	if plain := f.recover(t, former, later); !strings.Contains(rowsOf(plain, victim.ID), "Zebulon Quatermain") {
		t.Error("with the data folder from before, the name is not recovered")
	}
	f.knowsOlderKeys(t, former, later, before)
	f.servesBackup(t, later, victim, other, secrets)
	f.keepsNoTrace(t, before)
}

// knowsOlderKeys puts the file of keys from before beside the record of now: nobody reads anything with it before it has lost them again.
func (f *fort) knowsOlderKeys(t *testing.T, former string, dump []byte, before map[string][]string) {
	t.Helper()
	older, err := os.ReadFile(filepath.Join(former, "keys.tree"))
	fatal(t, err)
	for name, run := range map[string]func(){
		"keys recover": func() { f.recover(t, f.options.Data, dump) },
		"protect":      func() { fatal(t, f.protect()) },
		"serve":        func() { f.start(); f.stop() },
	} {
		fatal(t, os.WriteFile(filepath.Join(f.options.Data, "keys.tree"), older, 0o600))
		expectReadable(t, name+", with the older keys before it ran", f.keysFrom(t, f.options.Data), before, true)
		run()
		expectReadable(t, name+", with the older keys", f.keysFrom(t, f.options.Data), before, false)
	}
}

// servesBackup puts a dump from before in the place of the database, beside the keys of now.
func (f *fort) servesBackup(t *testing.T, dump []byte, victim, other *sim.Customer, secrets []string) {
	t.Helper()
	f.restoreBackup(t, dump)
	before := f.textsOf(t, victim.ID)
	f.start()
	g := f.connect("s050")
	f.readsNothing(t, "with a dump from before restored", g, victim.ID, secrets)
	if got := g.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", other.ID)); got != other.FullName {
		t.Errorf("another customer's name reads as %q", got)
	}
	for column, stored := range f.textsOf(t, victim.ID) {
		for _, tok := range stored {
			if slices.Contains(before[column], tok) {
				t.Errorf("%s: the dump's token stands there still", column)
			}
		}
	}
}

// keepsNoTrace looks at every file of the data folder.
func (f *fort) keepsNoTrace(t *testing.T, before map[string][]string) {
	t.Helper()
	f.stop()
	found := false
	fatal(t, filepath.WalkDir(f.options.Data, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(d.Name(), "keys.") && d.Name() != "keys.ring" && d.Name() != "keys.tree" {
			t.Errorf("%s is left in the data folder", d.Name())
		}
		found = found || d.Name() == "keys.tree"
		return nil
	}))
	if !found {
		t.Error("there is no file of keys")
	}
	expectReadable(t, "after all", f.keysFrom(t, f.options.Data), before, false)
}

func countTexts(texts map[string][]string) (n int) {
	for _, stored := range texts {
		n += len(stored)
	}
	return n
}

// rowsOf are the lines of a dump that belong to a customer in the customer table, and all of other tables.
func rowsOf(dump string, id int64) string {
	var b strings.Builder
	customers := false
	for line := range strings.Lines(dump) {
		if strings.HasPrefix(line, "COPY ") {
			customers = strings.HasPrefix(line, "COPY support.customers ")
		}
		if customers && strings.HasPrefix(line, fmt.Sprintf("%d\t", id)) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// TestOwnKeysLater: a database that was protected before asks for keys of single tokens: what is there is read, and gets them with the next rotation;
// until then a shredding says how much has none.
func TestOwnKeysLater(t *testing.T) {
	f := newFort(t, shredGrants)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	victim, agent, ticket := f.talkative(t, 0)
	f.stop()
	f.shredsCustomers()
	f.start()
	a := f.connect(sallyport.Staff(agent))
	a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket))
	if got := a.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", victim.ID)); got != victim.FullName {
		t.Fatalf("an older token reads as %q", got)
	}
	a.must(fmt.Sprintf("UPDATE support.customers SET notes = 'calls on Mondays' WHERE id = %d", victim.ID))
	before := f.textsOf(t, victim.ID)
	f.shred(t, victim.ID)
	if note := f.server.State.Approved("shred")[0].Result; !strings.Contains(note, "1 names and texts had keys") || !strings.Contains(note, fmt.Sprintf("%d had none", countTexts(before)-1)) {
		t.Errorf("the result: %s", note)
	}
	f.stop()
	reveal := f.keysFrom(t, f.options.Data)
	if _, ok := reveal("support.customers.notes", before["support.customers.notes"][0]); ok {
		t.Error("what had a key of its own is readable")
	}
	if _, ok := reveal("support.customers.full_name", before["support.customers.full_name"][0]); !ok {
		t.Error("what had none cannot be read: then the result says too little")
	}
	fatal(t, os.Remove(filepath.Join(f.options.Data, "keys.tree")))
	f.refuses("keys.tree", "restore it from a backup")
}

func TestShredOfColumns(t *testing.T) {
	for name, want := range map[string]string{"email, shred: customer": "only the schemes name and text", "name, shred: all": `there is no shred "all"`} {
		scheme, shred, _ := strings.Cut(name, ", shred: ")
		c := catalog.Config{Customer: catalog.CustomerTable{Table: "s.c", Key: "id"}, Columns: map[string]catalog.ColumnConfig{"s.c.x": {Class: "identity", Scheme: sallyport.Scheme(scheme), Shred: shred}}}
		problems := c.Check()
		if len(problems) != 1 || !strings.Contains(problems[0].Text, want) || problems[0].Path != "columns.s.c.x.shred" {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
