package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	acting "sallyport/examples/go"
	"sallyport/keys"
	"sallyport/record"
)

// controls starts the controller within this process, so that its clock and its watch can be hurried; the gateways are processes.
func (s *campus) controls(role Role) {
	s.t.Helper()
	reread(s.t.(*testing.T), &s.options) //nolint:forcetypeassert // it is one
	s.options.Role = role
	s.start()
}

// reads tells whether somebody reads his own customer's address at a gateway, for his ticket.
func (s *campus) reads(name string) (bool, error) { return s.readsOf(name, 0) }

// readsOf is reads of another person.
func (s *campus) readsOf(name string, i int) (bool, error) {
	who, ticket, customer := s.hasTicket(i)
	conn, err := s.through(s.ctx, name, who)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(s.ctx))
	if _, err := conn.Exec(s.ctx, fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)); err != nil {
		return false, err
	}
	var email string
	err = conn.QueryRow(s.ctx, fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", customer.ID)).Scan(&email)
	return email == customer.Email, err
}

// TestGatewaysHanded: gateways that know nothing but where their controller is get files and keys from it, and go on by others when two people
// approved them or the keys were exchanged; an assertion is good at one of them; who comes around them is told of; and what is erased from the
// record is erased from theirs.
func TestGatewaysHanded(t *testing.T) {
	var ahead atomic.Int64
	issuer := newSignerOf(t, "https://idp.example")
	extra := "detect: {off: true}\nkeys: {rate: 100000}\nbudgets: {default: {reached: {hour: 9999, day: 9999, month: 99999}, probed: {hour: 100000, day: 100000, month: 100000}}}\n" +
		"retention: {days: {session_start: 40, session_end: 40, reveal: 40, queried: 40, login: 40}}\n"
	s := newCampus(t, extra, func(o *Options) {
		strict(t, o)
		rewrite(t, o.Config.File, "services:\n", "services:\n  "+deskService+": {logins: ["+deskService+"], owner: o1, acts_for: {assertions: [idp], teams: [support-eu]}}\n")
		rewrite(t, o.Config.File, "services:\n", "assertions: {idp: {issuer: 'https://idp.example', audience: sallyport, keys: "+writeKeys(t, t.TempDir(), issuer)+", signed_by: issuer}}\nservices:\n")
		reread(t, o)
		o.WatchEvery, o.RenewEvery = 100*time.Millisecond, 20*time.Millisecond
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	s.superExec("postgres", deskRole)
	s.controls(Controller)
	s.awaits(severalNames...)
	pids := map[string]int{}
	for _, name := range severalNames {
		pids[name] = s.processes[name].Process.Pid
		if ok, err := s.reads(name); !ok {
			t.Fatalf("%s reads nothing by what its controller handed over: %v", name, err)
		}
	}
	s.assertionsOnce(t, issuer)
	s.watchesAround(t)
	s.takesPolicies(t)
	s.takesConfiguration(t)
	s.takesKeys(t)
	for _, name := range severalNames {
		if s.processes[name].Process.Pid != pids[name] {
			t.Errorf("%s was started anew", name)
		}
	}
	s.erasesEverywhere(t, &ahead)
}

// deskRole makes the role of the application that acts for people.
const deskRole = `DO $$BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'svc_desk') THEN
CREATE ROLE svc_desk LOGIN PASSWORD 'desk'; GRANT support_agents TO svc_desk; END IF; END$$`

// assertionsOnce uses each of many assertions at both gateways at the same moment: one takes it, the other does not, and neither does again.
func (s *campus) assertionsOnce(t *testing.T, issuer *acting.Signer) {
	t.Helper()
	who, ticket, customer := s.hasTicket(0)
	var conns []*pgx.Conn
	for _, name := range severalNames {
		conn, err := pgx.Connect(t.Context(), fmt.Sprintf("postgresql://%s:desk@%s/%s?sslmode=disable", deskService, s.addresses[name], s.database))
		fatal(t, err)
		defer conn.Close(context.WithoutCancel(t.Context()))
		conns = append(conns, conn)
	}
	ask := func(conn *pgx.Conn, word string) (string, error) {
		email := ""
		err := acting.For(t.Context(), conn, word, fmt.Sprintf("ticket:%d", ticket.ID), func(tx pgx.Tx) error {
			return tx.QueryRow(t.Context(), "SELECT email FROM support.customers WHERE id = $1", customer.ID).Scan(&email)
		})
		return email, err
	}
	const rounds = 25
	won := [2]int{}
	for range rounds {
		word, err := issuer.Assert(string(who))
		fatal(t, err)
		var emails [2]string
		var errs [2]error
		var both sync.WaitGroup
		for i, conn := range conns {
			both.Go(func() { emails[i], errs[i] = ask(conn, word) })
		}
		both.Wait()
		good := 0
		for i := range conns {
			switch answer, _ := errors.AsType[*pgconn.PgError](errs[i]); {
			case errs[i] == nil && emails[i] == customer.Email:
				good++
				won[i]++
			case answer == nil || answer.Code != "SP018" || emails[i] != "":
				t.Fatalf("at %s: %v", severalNames[i], errs[i])
			}
		}
		if good != 1 {
			t.Fatalf("an assertion was taken %d times", good)
		}
		for i, conn := range conns { // replayed, later
			if email, err := ask(conn, word); err == nil || email != "" {
				t.Fatalf("a used assertion is taken at %s", severalNames[i])
			}
		}
	}
	t.Logf("of %d assertions used at both gateways at once gw1 took %d and gw2 %d", rounds, won[0], won[1])
}

// watchesAround: the controller tells of who comes around the gateways, and of none of their sessions.
func (s *campus) watchesAround(t *testing.T) {
	t.Helper()
	var logins []sallyport.Staff
	for i, name := range severalNames { // open while the controller looks
		who, _, _ := s.hasTicket(i)
		conn, err := s.through(t.Context(), name, who)
		fatal(t, err)
		defer conn.Close(context.WithoutCancel(t.Context()))
		logins = append(logins, who)
	}
	around, _, _ := s.hasTicket(2)
	config, err := pgx.ParseConfig(s.cluster.SuperDSN(s.database))
	fatal(t, err)
	config.User, config.Password = string(around), s.passwords[around]
	conn, err := pgx.ConnectConfig(t.Context(), config)
	fatal(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	within(t, 20*time.Second, "the session around the gateways is told of", func() bool {
		return strings.Contains(s.log.String(), "role "+string(around)+" has a session around the gateway")
	})
	for _, e := range s.events() {
		if e.Kind != sallyport.AroundKind {
			continue
		}
		for _, who := range append(logins, deskService, "sallyport_reader") {
			if e.Who.Login == string(who) {
				t.Errorf("a gateway's own session is told of: %s", e.Note)
			}
		}
	}
}

// takesPolicies: policies that two people approved at the controller hold at the gateways at once.
func (s *campus) takesPolicies(t *testing.T) {
	t.Helper()
	folder := filepath.Join(s.folder, "policies")
	fatal(t, os.WriteFile(filepath.Join(folder, "ban.cedar"), []byte(`@id("test.no-mail")
@because("nobody reads mail addresses this week")
forbid (principal, action == Action::"reveal", resource == Column::"support.customers.email");
`), 0o600))
	s.approves(t, "policy", "propose", folder)
	approved := time.Now()
	for _, name := range severalNames {
		within(t, 20*time.Second, "the approved policies hold at "+name, func() bool {
			ok, err := s.reads(name)
			fatal(t, err)
			return !ok
		})
	}
	t.Logf("policies held at both gateways %v after they were approved", time.Since(approved).Round(time.Millisecond))
	fatal(t, os.Remove(filepath.Join(folder, "ban.cedar")))
	s.approves(t, "policy", "propose", folder)
	s.readsAgain(t)
	s.sharesLooks(t, folder)
}

// sharesLooks: who has looked at a customer at one gateway has done so for policies at the other.
func (s *campus) sharesLooks(t *testing.T, folder string) {
	t.Helper()
	const i, looks = 5, 3
	who, _, _ := s.hasTicket(i)
	fatal(t, os.WriteFile(filepath.Join(folder, "looks.cedar"), fmt.Appendf(nil, `@id("test.looks")
@because("this customer was looked at often enough today")
forbid (principal == Staff::"%s", action == Action::"reveal", resource)
when { context has purpose && context.purpose.ownLooks >= %d };
`, who, looks), 0o600))
	s.approves(t, "policy", "propose", folder)
	shown := map[string]int{}
	for _, name := range severalNames {
		within(t, 20*time.Second, "the looks count at "+name, func() bool {
			ok, err := s.readsOf(name, i)
			fatal(t, err)
			if ok {
				shown[name]++
			}
			return !ok
		})
	}
	if first, second := shown[severalNames[0]], shown[severalNames[1]]; first < looks || second >= looks {
		t.Errorf("%d looks at %s and %d at %s: those at one do not count at the other", first, severalNames[0], second, severalNames[1])
	}
	fatal(t, os.Remove(filepath.Join(folder, "looks.cedar")))
	s.approves(t, "policy", "propose", folder)
	s.readsAgain(t)
}

// approves proposes files as one person and approves them as another.
func (s *campus) approves(t *testing.T, command ...string) {
	t.Helper()
	out, err := s.command("o1", append(command, "--reason", "test")...)
	if err != nil {
		t.Fatal(out, err)
	}
	if out, err := s.command("o2", "approve", s.newest().ID); err != nil {
		t.Fatal(out, err)
	}
}

// readsAgain waits until both gateways show what they have to.
func (s *campus) readsAgain(t *testing.T) {
	t.Helper()
	for _, name := range severalNames {
		within(t, 30*time.Second, name+" shows again", func() bool {
			ok, err := s.reads(name)
			return err == nil && ok
		})
	}
}

// takesConfiguration: a configuration holds at the gateways once the controller runs by it. Nobody brings them anything.
func (s *campus) takesConfiguration(t *testing.T) {
	t.Helper()
	file := s.options.Config.File
	rewrite(t, file, "reached: {hour: 9999,", "reached: {hour: 50,")
	s.approves(t, "config", "propose", "--config", file)
	s.readsAgain(t)
	s.stop()
	s.controls(Controller)
	for i, name := range severalNames {
		within(t, 30*time.Second, name+" runs by the new budget", func() bool { return s.cut(t, name, 3+i) })
	}
	rewrite(t, file, "reached: {hour: 50,", "reached: {hour: 9999,")
	s.approves(t, "config", "propose", "--config", file)
	s.stop()
	s.controls(Controller)
	s.readsAgain(t)
}

// cut tells whether somebody's budget is used up before he has reached a hundred customers.
func (s *campus) cut(t *testing.T, name string, i int) bool {
	t.Helper()
	who := s.org.Agents()[i].ID
	conn, err := s.through(t.Context(), name, who)
	if err == nil {
		defer conn.Close(context.WithoutCancel(t.Context()))
		_, err = conn.Exec(t.Context(), "SELECT id, email FROM support.customers LIMIT 100")
	}
	if told := fmt.Sprint(err); !final(err) && told != s.told {
		s.told = told
		t.Logf("%s at %s is not cut: %s", who, name, told)
	}
	return final(err)
}

// takesKeys: what is rotated by a serve that is alone is read by the gateways when the controller is back. They get the ring from it.
func (s *campus) takesKeys(t *testing.T) {
	t.Helper()
	s.stop()
	s.controls(Alone)
	fatal(t, LetReaderRenew(s.config, s.ctx, s.cluster.SuperDSN(s.database), "email"))
	s.agree(t, func() (string, error) { return s.officer("o1").RotateKey(s.ctx, "email", "yearly") })
	admin := s.direct()
	awaitCondition(t, "no older token is left", func() bool {
		return s.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid'") == 0
	})
	awaitCondition(t, "the older key may go", func() bool { return s.server.mayDestroy("email") == nil })
	s.agree(t, func() (string, error) { return s.officer("o1").DestroyKey(s.ctx, "email", "done") })
	awaitCondition(t, "the older key is gone", func() bool {
		status, err := keys.Look(s.options.Data)
		fatal(t, err)
		for _, k := range status.Keys {
			if k.Group == "email" && !k.Destroyed.IsZero() {
				return true
			}
		}
		return false
	})
	s.stop()
	s.controls(Controller)
	s.readsAgain(t)
	want, err := os.ReadFile(filepath.Join(s.options.Data, keys.RingName))
	fatal(t, err)
	for _, name := range severalNames {
		got, err := os.ReadFile(filepath.Join(s.folderOf(name), "data", keys.RingName))
		fatal(t, err)
		if string(got) != string(want) {
			t.Errorf("%s has another ring than its controller", name)
		}
	}
}

// erasesEverywhere: what retention erases from the controller's record goes from the gateways' own streams and from their copies of the orders, one of
// them away meanwhile; and each folder verifies.
func (s *campus) erasesEverywhere(t *testing.T, ahead *atomic.Int64) {
	t.Helper()
	_ = s.whoSaw("1") // what is asked is on record, too
	before := map[string][3]int{}
	within(t, 20*time.Second, "the controller has a copy of all", func() bool { return s.server.Hub.Streams()["gw1"].Record != "" })
	s.stop()
	for _, name := range severalNames {
		s.ends(name)
		before[name] = s.kindsAt(name)
		if before[name][0] == 0 || before[name][1] == 0 || before[name][2] == 0 {
			t.Fatalf("%s has nothing to be erased: %v", name, before[name])
		}
	}
	ahead.Store(int64(45 * 24 * time.Hour))
	s.controls(Controller)
	s.awaits("gw1")
	erased := func(name string) func() bool {
		return func() bool {
			done := false
			fatal(t, s.server.ControlStream.Read(1, func(e *sallyport.Event) error {
				done = done || e.Kind == sallyport.Erased && e.Order.Of == name
				return nil
			}))
			return done
		}
	}
	within(t, 30*time.Second, "gw1 erased its own", erased("gw1"))
	s.awaits("gw2")
	within(t, 30*time.Second, "gw2 erased its own when it was back", erased("gw2"))
	within(t, 20*time.Second, "nothing is left to do", func() bool { return len(s.server.mirrors.waiting()) == 0 })
	s.stop()
	for _, name := range severalNames {
		s.ends(name)
		if after := s.kindsAt(name); after[1] != 0 || after[2] != 0 || after[0] >= before[name][0] {
			t.Errorf("%s: sessions, reveals and questions were %v, and are %v", name, before[name], after)
		}
	}
	for _, name := range append([]string{"localhost"}, severalNames...) {
		if out, err := runMainOf(t, "ledger", "verify", filepath.Join(s.folderOf(name), "data")); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

// ends ends a gateway in order.
func (s *campus) ends(name string) {
	p := s.processes[name]
	delete(s.processes, name)
	_ = p.Process.Signal(os.Interrupt)
	_ = p.Wait()
}

// kindsAt counts sessions and reveals in a gateway's own stream, and questions in its copy of the orders.
func (s *campus) kindsAt(name string) (n [3]int) {
	s.t.Helper()
	data := filepath.Join(s.folderOf(name), "data")
	server := newServer(Options{Config: s.config, Data: data, KeyFile: filepath.Join(s.folderOf(name), "key.txt")})
	key, err := server.recordKey(s.ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, folder := range []string{"access", "control"} {
		stream, err := record.Open(filepath.Join(data, folder), record.Options{Key: key})
		if err != nil {
			s.t.Fatal(err)
		}
		err = stream.Read(1, func(e *sallyport.Event) error {
			switch e.Kind { //nolint:exhaustive // three kinds are counted
			case sallyport.SessionStart:
				n[0]++
			case sallyport.RevealKind:
				n[1]++
			case sallyport.Queried:
				n[2]++
			}
			return nil
		})
		if err := errors.Join(err, stream.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
	return n
}
