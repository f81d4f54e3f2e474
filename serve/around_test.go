package serve

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/config"
	"sallyport/entrance"
)

// TestAround opens ways around the gateway one after the other, and each is in the log and on record within a look.
func TestAround(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.WatchEvery = 100 * time.Millisecond })
	told := func(what string) {
		t.Helper()
		within(t, 5*time.Second, what, func() bool {
			for _, e := range f.events() {
				if e.Kind == sallyport.AroundKind && strings.Contains(e.Note, what) {
					return strings.Contains(f.log.String(), what)
				}
			}
			return false
		})
	}
	told("postgres is a superuser")
	told("pg_hba.conf cannot be seen by sallyport_reader")
	agent, _, _ := f.hasTicket(0)
	through := f.connect(agent)
	through.must("SELECT 1")
	for _, password := range []string{f.passwords[agent]} {
		config, err := pgx.ParseConfig(f.cluster.SuperDSN(f.database))
		if err != nil {
			t.Fatal(err)
		}
		config.User, config.Password = string(agent), password
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
	}
	told("role " + string(agent) + " has a session around the gateway")
	f.direct().Exec(t.Context(), "CREATE PUBLICATION leak FOR ALL TABLES")
	told("publication leak offers")
	f.superExec("postgres", "CREATE ROLE around"+f.database+" LOGIN")
	told("role around" + f.database + " can log in")
	f.superExec("postgres", "DROP ROLE around"+f.database)
	sessions := 0
	for _, e := range f.events() {
		if e.Kind == sallyport.AroundKind && e.Who.Login == string(agent) {
			sessions++
		}
	}
	if sessions != 1 {
		t.Errorf("%d sessions of %s were told of, want the one around the gateway", sessions, agent)
	}
}

// TestAroundPasswords: a password that changes is noticed where the function for log-ins is installed, and its digest is all
// that leaves the server.
func TestAroundPasswords(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	var sql bytes.Buffer
	if err := (&Main{Stdout: &sql, Stderr: io.Discard, Getenv: os.Getenv}).Run(t.Context(), []string{"check", "--sql", "--config", filepath.Join(f.folder, "sallyport.yaml")}); err != nil {
		t.Fatal(err)
	}
	role := "turned" + f.database
	f.superExec("postgres", "CREATE ROLE "+role+" LOGIN PASSWORD 'one'")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), f.cluster.SuperDSN("postgres"))
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	f.superExec(f.database, sql.String())
	server, err := f.config.Server(config.Place{})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := entrance.Reader(f.config, server)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), reader)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	a := &Surroundings{Config: f.config, Conn: conn}
	for _, c := range []struct {
		change string
		want   bool
	}{{"", false}, {"ALTER ROLE " + role + " PASSWORD 'two'", true}, {"", false}} {
		if c.change != "" {
			f.superExec("postgres", c.change)
		}
		found, err := a.changed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		seen := slices.ContainsFunc(found, func(w Detour) bool { return w.Kind == "password" && strings.Contains(w.What, role) })
		if seen != c.want || slices.ContainsFunc(found, func(w Detour) bool { return w.Kind == "unseen" }) {
			t.Errorf("after %q: %v", c.change, found)
		}
	}
	for role, digest := range a.passwords {
		if len(digest) != 64 {
			t.Errorf("of %s more than a digest is kept", role)
		}
	}
}

// TestCheckAround: check says what is open, what it cannot see and which GRANT would let it, and ends in one line.
func TestCheckAround(t *testing.T) {
	f := newFort(t, "")
	path := filepath.Join(f.folder, "sallyport.yaml")
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard, Getenv: os.Getenv}
		err := m.Run(t.Context(), append([]string{"check", "--config", path}, args...))
		return out.String(), err
	}
	role := "loose" + f.database
	f.superExec("postgres", "CREATE ROLE "+role+" LOGIN")
	f.superExec("postgres", "CREATE ROLE \"a\nsuper: yes\" LOGIN") // whoever may make roles chooses names
	f.superExec(f.database, "CREATE PUBLICATION leak FOR ALL TABLES")
	out, err := run()
	for _, want := range []string{
		"around: role " + role + " can log in and is nobody's", "note: around: postgres is a superuser", `GRANT EXECUTE ON FUNCTION pg_hba_file_rules() TO "sallyport_reader"`,
		`ALTER ROLE "` + role + `" NOLOGIN;`, "publication leak offers", `DROP PUBLICATION "leak";`, "role a·super: yes can log in", " things to do\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("check does not say %q:\n%s", want, out)
		}
	}
	if !errors.Is(err, errFound) {
		t.Errorf("check ended with %v", err)
	}
	out, err = run("--owner", f.cluster.SuperDSN(f.database), "--json")
	if !errors.Is(err, errFound) || strings.Contains(out, "pg_hba.conf cannot be seen") || !strings.Contains(out, `"kind":"publication"`) || !strings.Contains(out, `"ok":false`) {
		t.Errorf("check as the owner: %v\n%s", err, out)
	}
	f.superExec("postgres", "DROP ROLE "+role)
	f.superExec("postgres", "DROP ROLE \"a\nsuper: yes\"")
	f.superExec(f.database, "DROP PUBLICATION leak")
	if _, err = run("--owner", f.cluster.SuperDSN("postgres")); err == nil || !strings.Contains(err.Error(), "--owner leads to database") {
		t.Errorf("an owner of another database: %v", err)
	}
}

// TestElsewhere holds lines of pg_hba.conf against the gateway's address.
func TestElsewhere(t *testing.T) {
	v4, v6, far := "127.0.0.1", "::1", "10.0.0.7"
	for _, c := range []struct {
		address, mask string
		own           *string
		want          bool
	}{
		{"127.0.0.1", "255.255.255.255", &v4, false},
		{"::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", &v4, false},
		{"127.0.0.1", "255.255.255.255", &v6, false},
		{"127.0.0.1", "255.255.255.255", nil, false},
		{"127.0.0.1", "255.0.0.0", &v4, true},
		{"0.0.0.0", "0.0.0.0", &v4, true},
		{"all", "", &v4, true},
		{"10.0.0.7", "255.255.255.255", &far, false},
		{"10.0.0.8", "255.255.255.255", &far, true},
		{"127.0.0.1", "255.255.255.255", &far, true},
		{"samenet", "", &far, true},
		{"db.example", "", &far, true},
		{"10.0.0.7", "255.255.255.255", nil, true},
		{"::", "::", &v6, true},
	} {
		if got := elsewhere(c.address, c.mask, c.own); got != c.want {
			t.Errorf("%s %s: %t, want %t", c.address, c.mask, got, c.want)
		}
	}
}
