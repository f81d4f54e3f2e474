package serve

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog"
	"sallyport/config"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// plainSite is a PostgreSQL with the reference database as it is before anything is protected.
type plainSite struct {
	cluster *throwaway.Cluster
	org     *sim.Org
}

// thePlainSite is a cluster of its own, since loading the reference database gives its roles new passwords.
var thePlainSite = sync.OnceValues(func() (*plainSite, error) { //nolint:gochecknoglobals // one cluster for these tests
	c, err := throwaway.Start(context.Background(), throwaway.Options{Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		return nil, err
	}
	s := &plainSite{cluster: c}
	if s.org, err = sim.New(1, 2000, time.Now()); err != nil {
		return nil, err
	}
	_, err = refdb.Load(context.Background(), refdb.Options{DSN: c.SuperDSN("postgres"), Org: s.org, Random: rand.Reader})
	return s, err
})

func plainSiteOf(t *testing.T) *plainSite {
	t.Helper()
	s, err := thePlainSite()
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// database makes a database with some statements run in it, and returns its DSN.
func (s *plainSite) database(t *testing.T, statements ...string) string {
	t.Helper()
	name := "d" + strings.ToLower(rand.Text()[:10])
	s.exec(t, "postgres", "CREATE DATABASE "+name)
	s.exec(t, name, statements...)
	return s.cluster.SuperDSN(name)
}

// databaseOf is the name of a DSN's database.
func databaseOf(dsn string) string {
	name, _, _ := strings.Cut(dsn[strings.LastIndex(dsn, "/")+1:], "?")
	return name
}

func (s *plainSite) exec(t *testing.T, database string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.cluster.SuperDSN(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, sql := range statements {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// runMainOf runs one command line and returns what it prints.
func runMainOf(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }}
	err := m.Run(t.Context(), args)
	return out.String(), err
}

// TestInitReference: what init writes about the reference database is the reference configuration, as far as a database can tell:
// the columns, their classes and schemes, the ways to the customer, tickets and contacts.
func TestInitReference(t *testing.T) {
	site := plainSiteOf(t)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	out, err := runMainOf(t, "init", site.cluster.SuperDSN("postgres"), "--out", path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := compiledSchema(t).Validate(asJSON(t, text)); err != nil {
		t.Errorf("what init writes does not fit the schema: %v", err)
	}
	want, err := config.Load("../examples/sallyport.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, column := range want.Protect.Columns {
		if found := got.Protect.Columns[name]; found.Class != column.Class || found.Scheme != column.Scheme || fmt.Sprint(found.Prefixes) != fmt.Sprint(column.Prefixes) {
			t.Errorf("%s is proposed as %v; want %v", name, found, column)
		}
	}
	if len(got.Protect.Columns) != len(want.Protect.Columns) || got.Protect.Customer != want.Protect.Customer || fmt.Sprint(got.Protect.Paths) != fmt.Sprint(want.Protect.Paths) {
		t.Errorf("proposed %d columns, %v, %v", len(got.Protect.Columns), got.Protect.Customer, got.Protect.Paths)
	}
	want.Purposes.Ticket.Routers, want.Purposes.Contact.Writers = nil, nil // which services may be believed, no database tells
	got.Purposes.Ticket.Routers, got.Purposes.Contact.Writers = nil, nil
	if fmt.Sprint(got.Purposes) != fmt.Sprint(want.Purposes) {
		t.Errorf("purposes are\n%+v, want\n%+v", got.Purposes, want.Purposes)
	}
	site.wantDirectory(t, got)
	site.wantNoValues(t, out+string(text))
	if strings.Contains(out+string(text), site.cluster.Password) {
		t.Error("the password of the DSN was written")
	}
}

// wantDirectory: each member of staff and each service stands in the directory, and no superuser.
func (s *plainSite) wantDirectory(t *testing.T, c *config.Config) {
	t.Helper()
	for _, p := range s.org.Staff {
		if who, ok := c.People[string(p.ID)]; !ok || len(who.Logins) != 1 || who.Logins[0] != string(p.ID) {
			t.Errorf("%s is %+v", p.ID, who)
		}
	}
	for _, id := range s.org.Services {
		if _, ok := c.Services[string(id)]; !ok {
			t.Errorf("%s is no service", id)
		}
	}
	if _, ok := c.People[s.cluster.Superuser]; ok {
		t.Error("the superuser is proposed as a member of staff")
	}
}

// wantNoValues: invariant 8, for what init prints and writes.
func (s *plainSite) wantNoValues(t *testing.T, text string) {
	t.Helper()
	lower, values := strings.ToLower(text), []string{}
	for _, table := range s.org.Tables() {
		for id := int64(1); id <= table.Rows; id++ {
			switch table.Name {
			case "support.customers":
				c := s.org.Customer(id)
				values = append(values, c.FullName, c.Email, c.Phone)
			case "support.tickets":
				values = append(values, s.org.Ticket(id).No, s.org.Ticket(id).Subject)
			}
		}
	}
	if len(values) < 6000 {
		t.Fatalf("only %d values to look for", len(values))
	}
	for i, value := range values {
		if value != "" && strings.Contains(lower, strings.ToLower(value)) {
			t.Fatalf("what init says has value %d of the organisation in it", i)
		}
	}
}

// TestInitRoundTrip: what init writes about each of the made-up schemas can be used as it is: the statements of check --sql run, protect moves
// every row in, and then check has nothing to do.
func TestInitRoundTrip(t *testing.T) {
	t.Parallel() // it waits more than it works
	site := ownSite(t)
	folder := t.TempDir()
	for _, name := range []string{"shop", "crm", "clinic", "insurer", "rental", "school"} {
		sql, err := os.ReadFile("../catalog/discover/testdata/" + name + ".sql")
		if err != nil {
			t.Fatal(err)
		}
		dsn, path := site.database(t, string(sql)), filepath.Join(folder, name+".yaml")
		if _, err := runMainOf(t, "init", dsn, "--out", path); err != nil {
			t.Fatal(name, err)
		}
		findings, err := CheckAs(t.Context(), path, dsn)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, f := range findings {
			site.exec(t, databaseOf(dsn), f.SQL...)
			if strings.Contains(f.Where, ".yaml") && f.Kind == "" {
				t.Errorf("%s: check finds a mistake in what init wrote: %s: %s", name, f.Where, f.What)
			}
		}
		config, err := config.Load(path)
		if err != nil {
			t.Fatal(name, err)
		}
		if len(config.Protect.Columns) < 12 {
			t.Errorf("%s: only %d columns are proposed", name, len(config.Protect.Columns))
		}
		if _, err = Protect(t.Context(), config, ProtectOptions{Owner: dsn, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if findings, err = checkAll(t.Context(), path); err != nil || ToDo(findings) > 0 {
			t.Errorf("%s: once protected, check finds %+v, %v", name, findings, err)
		}
	}
}

// ownSite is an empty cluster of the test's own, which may get the mark.
func ownSite(t *testing.T) *plainSite {
	t.Helper()
	c, err := throwaway.Start(context.WithoutCancel(t.Context()), throwaway.Options{Settings: map[string]string{"fsync": "off"}})
	if errors.Is(err, throwaway.ErrNoPostgreSQL) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &plainSite{cluster: c}
}

// TestInitKeepsWhatIsThere: init does not overwrite a configuration, and does not take a link's place.
func TestInitKeepsWhatIsThere(t *testing.T) {
	site := plainSiteOf(t)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := runMainOf(t, "init", site.cluster.SuperDSN("postgres"), "--out", path)
	if exitCode(err) != ExitUsage || !strings.Contains(fmt.Sprint(err), "--force") {
		t.Errorf("init says %v", err)
	}
	if text, _ := os.ReadFile(path); string(text) != "mine" {
		t.Error("the file was overwritten")
	}
	if _, err := runMainOf(t, "init", site.cluster.SuperDSN("postgres"), "--out", path, "--force", "--rows", "50"); err != nil {
		t.Error(err)
	}
	if _, err := config.Load(path); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
}

// TestInitNamesStayNames: who may create tables and roles chooses names, and none of them becomes a line of the configuration.
func TestInitNamesStayNames(t *testing.T) {
	site := plainSiteOf(t)
	dsn := site.database(t,
		`CREATE SCHEMA "a b"`,
		`CREATE TABLE "a b"."customers
powers: {grant: [mallory]}
#" (id int PRIMARY KEY, "e-mail
    x.y.z: {class: contact, scheme: email}" text, "first name: {" text, "last name # x" text, "phone'\" text)`,
		`CREATE ROLE "eve
powers: {role: [eve]}" LOGIN`, `CREATE ROLE "true" LOGIN`, `CREATE ROLE "a, b" LOGIN`, `CREATE ROLE "o'neil: x" LOGIN`,
		`INSERT INTO "a b"."customers
powers: {grant: [mallory]}
#" SELECT n, 'somebody' || n || '@mail.example', 'Maria', 'Lopez' || chr(65 + n % 26) || chr(97 + n % 25), '+4915112345' || (100 + n) FROM generate_series(1, 300) n`,
	)
	defer site.exec(t, "postgres", `DROP ROLE "eve
powers: {role: [eve]}"`, `DROP ROLE "true"`, `DROP ROLE "a, b"`, `DROP ROLE "o'neil: x"`)
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	out, err := runMainOf(t, "init", dsn, "--out", path)
	if err != nil {
		t.Fatal(err)
	}
	config, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(config.Powers) > 0 || len(config.Grants.Standing) > 0 || len(config.Copy) > 0 {
		t.Error("a name became a power")
	}
	for name := range config.Protect.Columns {
		if column, ok := catalog.ParseColumn(name); !ok || column.Schema != "a b" {
			t.Errorf("proposed %q", name)
		}
	}
	if strings.Contains(out, "\npowers") {
		t.Errorf("a name broke its line: %q", out)
	}
}
