package serve

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/config"
)

// meddler changes the first packet that a client sends.
type meddler struct {
	net.Conn
	change func(params []string) []string
}

// Write rewrites the start-up packet, which is the first one without TLS, and nothing after it.
func (m *meddler) Write(b []byte) (int, error) {
	if m.change == nil {
		return m.Conn.Write(b)
	}
	params := m.change(strings.Split(strings.TrimRight(string(b[8:]), "\x00"), "\x00"))
	m.change = nil
	packet := append([]byte{0, 0, 0, 0}, b[4:8]...)
	for _, p := range params {
		packet = append(append(packet, p...), 0)
	}
	packet = append(packet, 0)
	binary.BigEndian.PutUint32(packet, uint32(len(packet))) //nolint:gosec // a few parameters
	if _, err := m.Conn.Write(packet); err != nil {
		return 0, err
	}
	return len(b), nil
}

// TestBypassDoor tries tricks with the start-up packet.
func TestBypassDoor(t *testing.T) {
	f := newFort(t, rich)
	s := &siege{fort: f}
	s.who, s.ticket, s.own = f.hasTicket(0)
	other, otherTicket, otherCustomer := f.hasTicket(1)
	from := len(f.heard.String())
	set := func(list ...string) func([]string) []string {
		return func(p []string) []string { return append(p, list...) }
	}
	front := func(list ...string) func([]string) []string {
		return func(p []string) []string { return append(append([]string{}, list...), p...) }
	}
	for i, k := range []struct {
		name   string
		change func([]string) []string
	}{
		{"nothing", set()},
		{"another user in front", front("user", string(other))},
		{"another user in capitals", set("USER", string(other))},
		{"another database in front", front("database", "postgres")},
		{"another database in capitals", set("DATABASE", "postgres")},
		{"replication", set("replication", "database")},
		{"replication behind none", front("replication", "off", "replication", "database")},
		{"replication in front of none", front("replication", "database", "replication", "off")},
		{"replication by a number", set("replication", "1")},
		{"another session's authorization", set("session_authorization", string(other))},
		{"a role", set("role", string(other))},
		{"options with a role", set("options", "-c role="+string(other))},
		{"a purpose", set("sallyport.purpose", fmt.Sprintf("ticket:%d", otherTicket.ID))},
		{"a purpose by number", set("sallyport.purpose", "ticket:CS-0013-7711")},
		{"a purpose in capitals", set("SALLYPORT.PURPOSE", "ticket:CS-0014-7711")},
		{"a purpose in options", set("options", "-c sallyport.purpose=ticket:CS-0015-7711")},
		{"a purpose in options, together", set("options", "-csallyport.purpose=ticket:CS-0016-7711")},
		{"a purpose in options, long", set("options", "--sallyport.purpose=ticket:CS-0017-7711")},
		{"a purpose in options, capitals", set("options", "-c SALLYPORT.purpose=ticket:CS-0018-7711")},
		{"a purpose in options, twice", set("options", "-c sallyport.purpose=ticket:CS-0019-7711 --sallyport.purpose=ticket:CS-0019-7711")},
		{"a purpose in options, escaped", set("options", `-c sallyport.purp\ose=ticket:CS-0020-7711`)},
		{"two options", set("options", "-c sallyport.purpose=ticket:CS-0021-7711", "options", "-c sallyport.purpose=ticket:CS-0021-7711")},
		{"a purpose between settings", set("options", "-c work_mem=1MB -c sallyport.purpose=ticket:CS-0022-7711,work:mine -c geqo=off")},
		{"a purpose behind a dash", set("options", "-c sallyport-purpose=ticket:1 --sallyport_purpose=x")},
		{"strings that escape", set("options", "-c standard_conforming_strings=off")},
		{"a protocol option", set("_pq_.sallyport", "x")},
		{"triggers that sleep", set("session_replication_role", "replica")},
		{"triggers that sleep, in options", set("options", "--session-replication-role=replica")},
		{"a search path", set("search_path", "pg_temp, support")},
		{"an encoding", set("client_encoding", "SJIS")},
	} {
		t.Run(k.name, func(t *testing.T) {
			config, err := pgconn.ParseConfig(f.dsn(s.who))
			if err != nil {
				t.Fatal(err)
			}
			kept := &ear{}
			wrapDial(config, func(conn net.Conn) net.Conn {
				kept.Conn = &meddler{Conn: conn, change: k.change}
				return kept
			})
			conn, err := pgconn.ConnectConfig(t.Context(), config)
			if err != nil {
				t.Logf("not let in: %v", err)
				return
			}
			defer conn.Close(t.Context())
			for _, sql := range []string{
				fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", otherCustomer.ID),
				fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'; SELECT * FROM support.customers WHERE id = %d", otherTicket.ID, otherCustomer.ID),
				"SET sallyport.purpose = 'work:mine'; SELECT * FROM support.customers; RESET sallyport.purpose",
				s.fill(i, "SELECT id FROM support.customers WHERE email = '{email}'"), "IDENTIFY_SYSTEM", "CREATE_REPLICATION_SLOT x LOGICAL test_decoding", "START_REPLICATION 0/0", "BASE_BACKUP",
				fmt.Sprintf("SELECT * FROM support.customers WHERE id = %d", otherCustomer.ID),
			} {
				_, _ = conn.Exec(t.Context(), sql).ReadAll()
			}
			for _, secret := range []string{otherCustomer.Email, otherCustomer.FullName, otherTicket.No} {
				if strings.Contains(string(kept.bytes()), secret) {
					t.Error("somebody else's customer is readable")
				}
			}
		})
	}
	f.superExec(f.database, "SELECT 'the end of the siege'")
	seen := serverLog(t, f, from)
	for _, m := range markForm.FindAllString(seen, -1) {
		i := strings.Index(seen, m)
		t.Errorf("%s reached the server: …%s…", m, seen[max(0, i-200):min(len(seen), i+60)])
	}
}

// TestBypassManyHands has one person come with two log-ins, and from two sessions at once.
func TestBypassManyHands(t *testing.T) {
	f := newFort(t, "budgets: {default: {revealed: {day: 4}}}\n")
	who := f.org.Agents()[0].ID
	tickets := f.org.OpenTickets(who)
	seen := map[string]bool{}
	type answer struct {
		customer int64
		shown    bool
	}
	answers := make(chan answer)
	const hands = 8
	for hand := range hands {
		go func() {
			id := tickets[hand]
			customer := f.org.Customer(f.org.Ticket(id).Customer)
			c, err := f.tryConnect(who)
			if err != nil {
				answers <- answer{}
				return
			}
			_, _ = c.rows(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", id))
			rows, _ := c.rows(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID))
			answers <- answer{customer.ID, len(rows) == 1 && rows[0][0] == customer.Email}
		}()
	}
	for range hands {
		if a := <-answers; a.shown {
			seen[fmt.Sprint(a.customer)] = true
		}
	}
	if len(seen) > 4 {
		t.Errorf("%d customers at once, the budget is 4", len(seen))
	}
}

// TestOtherDatabasesRefused keeps everybody out of the server's other databases where the configuration says so.
func TestOtherDatabasesRefused(t *testing.T) {
	f := newFort(t, "", func(o *Options) { o.Config.Upstream.Others = config.OthersRefuse })
	who, _, _ := f.hasTicket(0)
	for _, change := range []func([]string) []string{
		func(p []string) []string { return append([]string{"database", "postgres"}, p...) },
		func(p []string) []string { return append(p, "database", "postgres") },
		func([]string) []string { return []string{"user", string(who)} }, // whose name is the database's then
	} {
		config, err := pgconn.ParseConfig(f.dsn(who))
		if err != nil {
			t.Fatal(err)
		}
		wrapDial(config, func(conn net.Conn) net.Conn { return &meddler{Conn: conn, change: change} })
		conn, err := pgconn.ConnectConfig(t.Context(), config)
		if err == nil {
			var name string
			if r := conn.ExecParams(t.Context(), "SELECT current_database()", nil, nil, nil, nil).Read(); len(r.Rows) == 1 {
				name = string(r.Rows[0][0])
			}
			_ = conn.Close(t.Context())
			if name != f.database {
				t.Errorf("let into %q", name)
			}
		} else if !strings.Contains(err.Error(), "3D000") {
			t.Error(err)
		}
	}
	f.connect(who).must("SELECT 1")
	other, err := pgconn.Connect(t.Context(), strings.Replace(f.dsn(who), "/"+f.database, "/postgres", 1))
	if err == nil {
		_ = other.Close(t.Context())
		t.Error("another database is served")
	}
}
