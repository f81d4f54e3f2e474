package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/api"
	"sallyport/catalog"
	"sallyport/config"
	"sallyport/internal/throwaway"
	"sallyport/keys"
	"sallyport/record"
)

// plainServer starts serve without a configuration in front of an address, and returns how to connect as the superuser.
func plainServer(t *testing.T, upstream string) (*Server, *pgx.ConnConfig) {
	t.Helper()
	s, err := Start(t.Context(), Options{Upstream: upstream, Listen: "127.0.0.1:0", Data: shortDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	config, err := pgx.ParseConfig("postgres://" + s.Addr().String() + "/postgres?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	return s, config
}

// shortDir is a folder whose path leaves room for a socket's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "data")
}

func startCluster(t *testing.T) *throwaway.Cluster {
	t.Helper()
	c, err := throwaway.Start(t.Context(), throwaway.Options{Settings: map[string]string{"fsync": "off"}})
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
	return c
}

func await(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(stretched(20 * time.Second)):
		t.Fatalf("waited in vain: %s", what)
	}
}

// TestServeDatabaseAway starts serve before its database: clients get a proper FATAL that says so, until it is there.
func TestServeDatabaseAway(t *testing.T) {
	cluster := startCluster(t)
	place, err := net.Listen("tcp", "127.0.0.1:0") // somebody's port, on which nobody answers
	if err != nil {
		t.Fatal(err)
	}
	address := place.Addr().String()
	place.Close()

	s, config := plainServer(t, address)
	config.User, config.Password = cluster.Superuser, cluster.Password
	_, err = pgx.ConnectConfig(t.Context(), config)
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Severity != "FATAL" || answer.Code != "57P03" {
		t.Fatalf("while the database is away: %v", err)
	}
	// Whoever reads this has not logged in: no address, role or folder, and no reason.
	if answer.Message != "sallyport: the database cannot be served yet" || strings.Contains(answer.Message+answer.Detail+answer.Hint, address) {
		t.Errorf("while the database is away: %q %q %q", answer.Message, answer.Detail, answer.Hint)
	}

	bridge(t, address, fmt.Sprintf("127.0.0.1:%d", cluster.Port))
	await(t, "serve finds the database", s.Ready())
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	var one int
	if err := conn.QueryRow(t.Context(), "SELECT 1").Scan(&one); err != nil || one != 1 {
		t.Errorf("%d %v", one, err)
	}
	conn.Close(t.Context())
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if kinds := kindsOf(t, s.O.Data); kinds[sallyport.SessionStart] != 1 || kinds[sallyport.SessionEnd] != 1 {
		t.Errorf("the record of one session: %v", kinds)
	}
}

// bridge passes connections to an address on to another.
func bridge(t *testing.T, from, to string) {
	t.Helper()
	l, err := net.Listen("tcp", from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
}

func kindsOf(t *testing.T, data string) map[sallyport.EventKind]int {
	t.Helper()
	stream, err := record.Open(filepath.Join(data, "access"), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	kinds := map[sallyport.EventKind]int{}
	if err := stream.Read(1, func(e *sallyport.Event) error { kinds[e.Kind]++; return nil }); err != nil {
		t.Fatal(err)
	}
	return kinds
}

// TestServeInUse starts a second serve on the same data folder.
func TestServeInUse(t *testing.T) {
	s, _ := plainServer(t, "127.0.0.1:1")
	_, err := Start(t.Context(), Options{Upstream: "127.0.0.1:1", Listen: "127.0.0.1:0", Data: s.O.Data})
	if err == nil || !strings.Contains(err.Error(), "another sallyport has it open") {
		t.Errorf("a second serve on the same folder: %v", err)
	}
}

// TestServeRefusesMarked stands in front of a protected database in the ways that must not be.
func TestServeRefusesMarked(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	upstream := fmt.Sprintf("127.0.0.1:%d", f.cluster.Port)
	unlike := func(change func(*Options)) Options {
		o := f.options
		change(&o)
		return o
	}
	other := shortDir(t)
	for _, c := range []struct {
		name    string
		options Options
		want    string
	}{
		{"without a configuration", Options{Upstream: upstream, Listen: "127.0.0.1:0", Data: shortDir(t)}, "holds a protected database"},
		{"observing", unlike(func(o *Options) { o.Observe = io.Discard }), "observing is for plain values"},
		{"with another record", unlike(func(o *Options) {
			o.Data, o.KeyFile = other, filepath.Join(t.TempDir(), "key.txt")
		}), "protected with another record"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Start(t.Context(), c.options)
			if err != nil {
				t.Fatal(err)
			}
			await(t, "serve gives up", s.Done())
			if err := s.Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("serve ended with %v, want %q", err, c.want)
			}
			select {
			case <-s.Ready():
				t.Error("it served clients")
			default:
			}
		})
	}
}

// TestServeOlderRecord takes the record back to an earlier copy: serve refuses it until two people accept.
func TestServeOlderRecord(t *testing.T) {
	f := newFort(t, "")
	c := f.connect(f.org.Agents()[0].ID)
	c.must("SELECT id, email FROM support.customers LIMIT 1")
	f.stop() // which moves the mark on
	f.options.Data = shortDir(t)
	if err := os.CopyFS(f.options.Data, os.DirFS(filepath.Join(f.stage.folder, "data"))); err != nil {
		t.Fatal(err)
	}

	s, err := Start(t.Context(), f.options)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "serve gives up", s.Done())
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), "it is older than") {
		t.Fatalf("serve ended with %v", err)
	}

	f.options.AwaitAgreement = true
	s, err = Start(t.Context(), f.options)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	one, two := officer(t, s, officers[0]), officer(t, s, officers[1])
	id := ""
	for deadline := time.Now().Add(20 * time.Second); id == ""; {
		id, err = one.AcceptMark(t.Context(), "disk lost")
		p, ok := errors.AsType[*api.Problem](err)
		if err != nil && (!ok || p.Code != "mark_fits" || time.Now().After(deadline)) {
			t.Fatal(err) // only that serve has not seen the mark yet passes
		}
	}
	if _, err := one.Approve(t.Context(), id); err == nil {
		t.Error("one person accepted the record alone")
	}
	select {
	case <-s.Ready():
		t.Error("clients were served before two people agreed")
	default:
	}
	if _, err := two.Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	await(t, "serve goes on once two agreed", s.Ready())
	if _, err := one.AcceptMark(t.Context(), "again"); err == nil {
		t.Error("a mark that fits could be accepted")
	}

	// The agreement stands in the record: the next start needs none.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f.options.AwaitAgreement = false
	if s, err = Start(t.Context(), f.options); err != nil {
		t.Fatal(err)
	}
	await(t, "serve starts again", s.Ready())
}

// TestServeOtherKeys stands in front of a protected database without its keys, and with another's.
func TestServeOtherKeys(t *testing.T) {
	f := newFort(t, "")
	f.stop()
	wrapped := filepath.Join(f.options.Data, keys.RingName)
	refused := func(want string) {
		t.Helper()
		s, err := Start(t.Context(), f.options)
		if err != nil {
			t.Fatal(err)
		}
		await(t, "serve gives up", s.Done())
		if err := s.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("serve ended with %v, want %q", err, want)
		}
	}
	if err := os.Remove(wrapped); err != nil {
		t.Fatal(err)
	}
	refused("bring back the keys.ring")
	if _, err := os.Stat(wrapped); err == nil {
		t.Error("serve made new keys for a protected database")
	}
	other, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, true)
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	refused("the key of epoch 1 of the record's digests is another one")
}

func officer(t *testing.T, s *Server, id sallyport.Staff) *api.Client {
	t.Helper()
	c := api.NewClient(s.Control(), id, string(id)+"-password")
	t.Cleanup(c.Close)
	return c
}

// TestServeSaysWhatIsMissing starts serve with options that lack something.
func TestServeSaysWhatIsMissing(t *testing.T) {
	protecting := &config.Config{}
	protecting.Protect.Columns = map[string]catalog.ColumnConfig{"support.customers.email": {}}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Listen: "127.0.0.1:0", Data: "x"}, "--upstream"},
		{Options{Upstream: "127.0.0.1:1", Data: "x"}, "--listen"},
		{Options{Upstream: "127.0.0.1:1", Listen: "127.0.0.1:0"}, "--data"},
		{Options{Config: protecting, Upstream: "127.0.0.1:1", Listen: "127.0.0.1:0", Data: "x"}, "--key-file"},
		{Options{Config: protecting, Upstream: "127.0.0.1:1", Listen: "0.0.0.0:0", Data: shortDir(t), KeyFile: filepath.Join(t.TempDir(), "k")}, "in clear over the network"},
	} {
		_, err := Start(context.Background(), c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != ExitUsage {
			t.Errorf("%v; want a usage error with %s", err, c.want)
		}
	}
}

// TestCheckDatabase compares configurations with a protected database, and with one whose values are plain.
func TestCheckDatabase(t *testing.T) {
	f := newFort(t, "")
	path := filepath.Join(f.folder, "sallyport.yaml")
	if findings, err := checkAll(t.Context(), path); err != nil || len(findings) > 0 {
		t.Errorf("a configuration that fits: %v %v", findings, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(text), "support.customers.notes:", "support.customers.nonesuch:", 1)
	if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	where := fmt.Sprintf("%s:%d:5", path, 1+strings.Count(wrong[:strings.Index(wrong, "support.customers.nonesuch")], "\n"))
	findings, err := checkAll(t.Context(), path)
	if err != nil || len(findings) != 2 || findings[1].Where != where || !strings.Contains(findings[0].What, "support.customers.notes is protected") {
		t.Errorf("a column that is not there: %v %v; want a finding at %s, and that the right one is missing", findings, err, where)
	}

	other := startCluster(t)
	plain := strings.Replace(string(text), fmt.Sprintf("127.0.0.1:%d", f.cluster.Port), fmt.Sprintf("127.0.0.1:%d", other.Port), 1)
	if err := os.WriteFile(path, []byte(plain), 0o600); err != nil {
		t.Fatal(err)
	}
	if findings, err := checkAll(t.Context(), path); err != nil || ToDo(findings) != 1 || !strings.Contains(findings[len(findings)-1].What, "plain still") {
		t.Errorf("a server with plain values: %v %v", findings, err)
	}
}
