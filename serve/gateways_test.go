package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/record"
)

// campus is one controller and two gateways in front of one database, each a process of its own in a folder of its own.
type campus struct {
	*fort
	program    string
	processes  map[string]*exec.Cmd
	addresses  map[string]string
	controller string
	told       string // why a wait goes on, as it was told last
}

// What one person may reach, and what a grant is for.
const (
	severalReached = 300
	severalGranted = 250
)

var severalNames = []string{"gw1", "gw2"} //nolint:gochecknoglobals // constant

// newCampus prepares the folders. What a gateway has to begin with is where its controller is, its own certificate and what opens the keys, and nothing else.
func newCampus(t *testing.T, extra string, change ...func(*Options)) *campus {
	t.Helper()
	_, port, err := net.SplitHostPort(freeAddress(t))
	fatal(t, err)
	section := fmt.Sprintf(`gateways:
  controller: localhost:%s
  names: [gw1, gw2]
  authority: authority.pem
  certificate: own.pem
  key: own.key
`, port)
	f := newFort(t, extra+section, change...)
	f.stop()
	s := &campus{fort: f, program: filepath.Join(t.TempDir(), "sallyport"), processes: map[string]*exec.Cmd{}, addresses: map[string]string{}, controller: "localhost:" + port}
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, s.program))
	ca, err := newAuthority()
	fatal(t, err)
	for _, name := range append([]string{"localhost"}, severalNames...) {
		folder := s.folderOf(name)
		own, err := ca.issue(name)
		fatal(t, err)
		files := map[string]string{"authority.pem": ca.PEM, "own.pem": own.certificate, "own.key": own.key}
		if name != "localhost" {
			fatal(t, os.MkdirAll(filepath.Join(folder, "data"), 0o700))
			for _, file := range []string{"reader.password", "key.txt"} {
				b, err := os.ReadFile(filepath.Join(f.folder, file))
				fatal(t, err)
				files[file] = string(b)
			}
			files["sallyport.yaml"] = "version: 1\n" + section
		}
		for file, text := range files {
			fatal(t, os.WriteFile(filepath.Join(folder, file), []byte(text), 0o600))
		}
	}
	t.Cleanup(func() {
		for _, p := range s.processes {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
		if t.Failed() {
			text := s.log.String()
			t.Logf("%s", text[max(0, len(text)-6000):])
		}
	})
	return s
}

func (s *campus) folderOf(name string) string {
	if name == "localhost" {
		return s.folder
	}
	return filepath.Join(s.folder, name)
}

// begin starts one of them.
func (s *campus) begin(name string) (ready <-chan struct{}) {
	s.t.Helper()
	folder, role := s.folderOf(name), "gateway"
	args := []string{"serve", "--config", filepath.Join(folder, "sallyport.yaml"), "--data", filepath.Join(folder, "data"), "--key-file", filepath.Join(folder, "key.txt")}
	if name == "localhost" {
		role = "controller"
	} else {
		if s.addresses[name] == "" {
			s.addresses[name] = freeAddress(s.t.(*testing.T)) //nolint:forcetypeassert // it is one
		}
		args = append(args, "--listen", s.addresses[name])
	}
	p := exec.Command(s.program, append(args, "--role", role)...) //nolint:gosec // this very test binary
	p.Stderr = s.log
	out, err := p.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.processes[name] = p
	done := make(chan struct{})
	go func() {
		in := bufio.NewScanner(out)
		for in.Scan() {
			if strings.Contains(in.Text(), "ready") {
				close(done)
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
	}()
	return done
}

// awaits waits until those that were begun are ready.
func (s *campus) awaits(names ...string) {
	s.t.Helper()
	var all []<-chan struct{}
	for _, name := range names {
		all = append(all, s.begin(name))
	}
	for i, ready := range all {
		select {
		case <-ready:
		case <-time.After(stretched(30 * time.Second)):
			s.t.Fatalf("%s is not ready", names[i])
		}
	}
}

// kill ends one without warning.
func (s *campus) kill(name string) {
	p := s.processes[name]
	delete(s.processes, name)
	_ = p.Process.Kill()
	_ = p.Wait()
}

// through connects by one of the gateways.
func (s *campus) through(ctx context.Context, name string, who sallyport.Staff) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable&default_query_exec_mode=simple_protocol", who, s.passwords[who], s.addresses[name], s.database))
}

// final says that a person's access is over: his budget is used up, or he is suspended for it.
func final(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "SP010" && strings.Contains(e.Message, "used up") || e.Code == "SP011" || strings.Contains(e.Message, "suspended"))
}

// readsOn reads what sql says as fast as it can until that is final, over connections that break; it is bounded by ctx.
func (s *campus) readsOn(ctx context.Context, name string, who sallyport.Staff, sql func() string) error {
	last := errors.New("nothing was read")
	for ctx.Err() == nil {
		conn, err := s.through(ctx, name, who)
		for err == nil {
			var rows pgx.Rows
			if rows, err = conn.Query(ctx, sql()); err == nil {
				for rows.Next() {
				}
				err = rows.Err()
			}
		}
		if conn != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if last = err; final(err) {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return last
}

// onRecord are the distinct customers that the records of both gateways say were shown to somebody: in plain, and reached.
func (s *campus) onRecord(who sallyport.Staff) (revealed, reached map[sallyport.Subject]bool) {
	s.t.Helper()
	revealed, reached = map[sallyport.Subject]bool{}, map[sallyport.Subject]bool{}
	for _, name := range severalNames {
		folder := s.folderOf(name)
		server := newServer(Options{Config: s.config, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")})
		key, err := server.recordKey(s.ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		stream, err := record.Open(filepath.Join(folder, "data", "access"), record.Options{Key: key})
		if err != nil {
			s.t.Fatal(err)
		}
		err = stream.Read(1, func(e *sallyport.Event) error {
			if e.Who.Staff != who {
				return nil
			}
			if e.Reveal != nil {
				for v := range e.Reveal.Values.All() {
					revealed[v.Subject] = true
				}
			}
			if e.Touch != nil {
				for _, c := range e.Touch.Reached {
					reached[c] = true
				}
				for _, d := range e.Touch.Values {
					reached[sallyport.Subject(fmt.Sprintf("%x", d))] = true
				}
			}
			return nil
		})
		if err := errors.Join(err, stream.Close()); err != nil {
			s.t.Fatal(err)
		}
	}
	return revealed, reached
}

// atOnce is how many customers someCustomers asks for.
const atOnce = 7

// someCustomers is a question about a few customers, which are others each time.
func (s *campus) someCustomers() string {
	return fmt.Sprintf("SELECT id, full_name FROM support.customers WHERE id >= %d ORDER BY id LIMIT %d", 1+mathrand.Int64N(s.org.Customers-atOnce), atOnce)
}

// TestGateways: one controller and two gateways count together, over TLS, as processes of their own: two clients of one person, one at each
// gateway, read as fast as they can until both are cut; a grant is used at both; a lock at the controller ends both sessions; without the
// controller nothing is shown; and whoever is killed in the middle, never more customers are on record than the budget says. SALLYPORT_SIEGE=1
// kills 40 times.
func TestGateways(t *testing.T) {
	s := newCampus(t, fmt.Sprintf(`budgets: {default: {reached: {hour: %d, day: %d, month: %d}}}
grants:
  standing:
    - {id: G1, for: s050, columns: [support.customers.email], customers: %d, until: 2099-01-01T00:00:00Z, approved_by: [o1, o2]}
`, severalReached, severalReached, severalReached, severalGranted))
	s.awaits("localhost")
	s.awaits(severalNames...)
	ctx, cancel := context.WithTimeout(t.Context(), stretched(60*time.Second))
	defer cancel()
	agents := s.org.Agents()

	first := agents[0].ID
	var both sync.WaitGroup
	for _, name := range severalNames {
		both.Go(func() {
			if err := s.readsOn(ctx, name, first, s.someCustomers); err != nil {
				t.Errorf("%s at %s is never cut: %v", first, name, err)
			}
		})
		both.Go(func() {
			if err := s.readsOn(ctx, name, "s050", func() string { return "SELECT id, email FROM support.customers ORDER BY random()" }); err != nil {
				t.Errorf("the grant at %s never ends: %v", name, err)
			}
		})
	}
	both.Wait()
	s.lockBites(t, agents[1].ID)
	s.fallsSilent(t, agents[2].ID)

	rounds := 2
	if large() {
		rounds = 40
	}
	var killed []sallyport.Staff
	for round := range rounds {
		who := agents[3+round%(len(agents)-3)].ID
		if round < len(agents)-3 {
			killed = append(killed, who)
		}
		s.killedWhileReading(t, who)
	}
	for name := range s.processes {
		s.kill(name)
	}
	// Whoever is cut at one gateway is suspended at both: what the other one was lent for its next question is not spent then.
	if _, reached := s.onRecord(first); len(reached) > severalReached || len(reached) < severalReached-atOnce {
		t.Errorf("%d customers were reached; the budget is %d, and a question is about %d", len(reached), severalReached, atOnce)
	}
	if revealed, _ := s.onRecord("s050"); len(revealed) != severalGranted {
		t.Errorf("%d customers were seen under the grant; it is for %d", len(revealed), severalGranted)
	}
	for _, who := range killed {
		_, reached := s.onRecord(who)
		if len(reached) > severalReached || len(reached) < severalReached/2 {
			t.Errorf("%d customers were reached by %s; the budget is %d", len(reached), who, severalReached)
		}
		t.Logf("%s reached %d of %d while something was killed", who, len(reached), severalReached)
	}
	s.losesDisk(t)
}

// losesDisk has a gateway come back without its record: it is refused until two people agree that what it was lent counts as spent.
func (s *campus) losesDisk(t *testing.T) {
	t.Helper()
	data := filepath.Join(s.folderOf("gw2"), "data")
	fatal(t, os.RemoveAll(data))
	s.awaits("localhost")
	back := s.begin("gw2")
	within(t, 20*time.Second, "it is refused", func() bool { return strings.Contains(s.log.String(), "sallyport gateway forget gw2") })
	clients := map[sallyport.Staff]*api.Client{}
	for _, id := range []sallyport.Staff{"o1", "o2"} {
		clients[id] = api.NewClient(filepath.Join(s.folder, "data", SocketName), id, string(id)+"-password")
		defer clients[id].Close()
	}
	id, err := clients["o1"].ForgetGateway(t.Context(), "gw2", "its disk burnt")
	fatal(t, err)
	if _, err := clients["o1"].Approve(t.Context(), id); err == nil {
		t.Error("one person has a gateway forgotten")
	}
	_, err = clients["o2"].Approve(t.Context(), id)
	fatal(t, err)
	select {
	case <-back:
	case <-time.After(stretched(30 * time.Second)):
		t.Error("it does not come back when it was forgotten")
	}
}

// killedWhileReading kills one of the three while somebody reads at both gateways, and starts it again.
func (s *campus) killedWhileReading(t *testing.T, who sallyport.Staff) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), stretched(60*time.Second))
	defer cancel()
	var both sync.WaitGroup
	for _, name := range severalNames {
		both.Go(func() {
			if err := s.readsOn(ctx, name, who, s.someCustomers); err != nil {
				t.Errorf("%s at %s is never cut: %v", who, name, err)
			}
		})
	}
	select {
	case <-time.After(time.Duration(mathrand.IntN(300)) * time.Millisecond): // the random moment
	case <-ctx.Done():
	}
	name := append([]string{"localhost"}, severalNames...)[mathrand.IntN(3)]
	s.kill(name)
	s.awaits(name)
	both.Wait()
}

// lockBites locks somebody at the controller who reads at both gateways.
func (s *campus) lockBites(t *testing.T, who sallyport.Staff) {
	t.Helper()
	var conns []*pgx.Conn
	for _, name := range severalNames {
		conn, err := s.through(t.Context(), name, who)
		fatal(t, err)
		defer conn.Close(context.WithoutCancel(t.Context()))
		conns = append(conns, conn)
	}
	officer := api.NewClient(filepath.Join(s.folder, "data", SocketName), "o1", "o1-password")
	defer officer.Close()
	fatal(t, officer.Lock(t.Context(), who, "test"))
	locked := time.Now()
	for i, conn := range conns {
		within(t, 20*time.Second, "the session at "+severalNames[i]+" ends", func() bool {
			_, err := conn.Exec(t.Context(), "SELECT 1")
			return err != nil
		})
	}
	t.Logf("both sessions ended %v after the lock", time.Since(locked).Round(time.Millisecond))
	for _, name := range severalNames {
		if _, err := s.through(t.Context(), name, who); err == nil || !strings.Contains(err.Error(), "locked") {
			t.Errorf("at %s a locked person gets in: %v", name, err)
		}
	}
}

// fallsSilent kills the controller: within a second nothing is shown, and everything is when it is back.
func (s *campus) fallsSilent(t *testing.T, who sallyport.Staff) {
	t.Helper()
	ask := func() error {
		conn, err := s.through(t.Context(), "gw1", who)
		if err != nil {
			return err
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		rows, err := conn.Query(t.Context(), "SELECT id, full_name FROM support.customers WHERE id < 4")
		if err != nil {
			return err
		}
		for rows.Next() {
		}
		return rows.Err()
	}
	fatal(t, ask())
	write := func(conn *pgx.Conn) error {
		_, err := conn.Exec(t.Context(), "UPDATE support.customers SET email = 'silent@turn.example' WHERE id = 3")
		return err
	}
	open, err := s.through(t.Context(), "gw1", who)
	fatal(t, err)
	defer open.Close(context.WithoutCancel(t.Context()))
	_, err = open.Exec(t.Context(), "BEGIN")
	fatal(t, err)
	fatal(t, write(open))
	s.kill("localhost")
	gone := time.Now()
	within(t, 20*time.Second, "nothing is shown", func() bool { err = ask(); return err != nil })
	t.Logf("nothing was shown %v after the controller was killed: %v", time.Since(gone).Round(time.Millisecond), err)
	if !strings.Contains(err.Error(), "the controller does not answer") {
		t.Errorf("the reason is not told: %v", err)
	}
	within(t, 20*time.Second, "who has tokens in an open transaction is ended", func() bool {
		_, err := open.Exec(t.Context(), "SELECT 1")
		return err != nil
	})
	if conn, err := s.through(t.Context(), "gw1", who); err == nil {
		if err := write(conn); err == nil || !strings.Contains(err.Error(), "SP017") {
			t.Errorf("while the controller is silent something is written: %v", err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	}
	s.awaits("localhost")
	within(t, 20*time.Second, "it is shown again", func() bool { return ask() == nil })
}
