package discover_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/catalog/discover"
	"sallyport/internal/refdb"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

var cluster *throwaway.Cluster

func TestMain(m *testing.M) {
	os.Exit(throwaway.Main(m, throwaway.Options{Settings: map[string]string{"fsync": "off"}}, func(c *throwaway.Cluster) { cluster = c }))
}

// protectedInReference are the columns that the reference configuration protects (examples/sallyport.yaml), and their schemes.
func protectedInReference() map[string]string {
	return map[string]string{
		"support.customers.full_name": "identity name", "support.customers.email": "contact email", "support.customers.phone": "contact phone",
		"support.customers.birth_date": "identity date", "support.customers.notes": "content text", "support.tickets.ticket_no": "reference number",
		"support.tickets.subject": "content text", "support.messages.body": "content text",
	}
}

// TestReference: on the reference schema every protected column is found, as the reference configuration has it, and nothing else with
// high confidence.
func TestReference(t *testing.T) {
	conn := newDatabase(t)
	org, err := sim.New(1, 3000, time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := refdb.Load(t.Context(), refdb.Options{DSN: cluster.SuperDSN(conn.Config().Database), Org: org, Random: rand.Reader}); err != nil {
		t.Fatal(err)
	}
	p := propose(t, conn)
	want := protectedInReference()
	for _, c := range p.Columns {
		as := string(c.Class) + " " + string(c.Scheme)
		switch wanted, ok := want[c.Column.String()]; {
		case ok && (!c.Proposed() || as != wanted):
			t.Errorf("%s is %s with %s confidence, %v %v; want %s", c.Column, as, c.Confidence, c.Evidence, c.Obstacles, wanted)
		case !ok && c.Confidence == discover.High:
			t.Errorf("%s is taken for a %s with high confidence: %v", c.Column, c.Kind, c.Evidence)
		}
		delete(want, c.Column.String())
	}
	for column := range want {
		t.Errorf("%s was not found", column)
	}
	if p.Customer != "support.customers" || p.Key != "id" {
		t.Errorf("the customer table is %q by %q", p.Customer, p.Key)
	}
	paths := map[string]string{}
	for _, path := range p.Paths {
		paths[path.Table] = path.String()
	}
	if fmt.Sprint(paths) != "map[support.contacts:customer_id support.messages:ticket_id -> support.tickets support.tickets:customer_id]" {
		t.Errorf("paths %v", paths)
	}
}

// counts are a table's row of figures.
type counts struct{ right, wrong, missed int }

func (c counts) String() string {
	return fmt.Sprintf("precision %3.0f %% (%d of %d), recall %3.0f %% (%d of %d)", 100*c.precision(), c.right, c.right+c.wrong, 100*c.recall(), c.right, c.right+c.missed)
}
func (c counts) precision() float64 { return float64(c.right) / float64(max(1, c.right+c.wrong)) }
func (c counts) recall() float64    { return float64(c.right) / float64(max(1, c.right+c.missed)) }

// TestOtherSchemas measures discovery on schemas that it was not made for, against what a person wrote down beside them: it prints the
// table of docs/init.md, and holds it to floors below what was measured.
func TestOtherSchemas(t *testing.T) {
	truth := readTruth(t)
	var whole, wide counts
	for _, name := range []string{"shop", "crm", "clinic", "insurer", "rental", "school", "telco"} {
		conn := newDatabase(t)
		sql, err := os.ReadFile(filepath.Join("testdata", name+".sql"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), string(sql)); err != nil {
			t.Fatal(err)
		}
		p := propose(t, conn)
		high := score(t, p, truth, discover.High)
		medium := score(t, p, truth, discover.Medium)
		t.Logf("%-7s high: %s", name, high)
		t.Logf("%-7s high or medium: %s", name, medium)
		whole, wide = whole.plus(high), wide.plus(medium)
	}
	t.Logf("all     high: %s", whole)
	t.Logf("all     high or medium: %s", wide)
	if whole.precision() < 0.95 || whole.recall() < 0.9 || wide.precision() < 0.9 || wide.recall() < 0.95 {
		t.Error("discovery became worse")
	}
}

func (c counts) plus(d counts) counts {
	return counts{c.right + d.right, c.wrong + d.wrong, c.missed + d.missed}
}

// score compares what was found with at least some confidence with the truth about the schemas that the proposal looked at.
func score(t *testing.T, p *discover.Proposal, truth map[string]string, least discover.Confidence) (n counts) {
	t.Helper()
	schemas, found := map[string]bool{}, map[string]bool{}
	for _, c := range p.Columns {
		schemas[c.Column.Schema] = true
		if c.Confidence < least {
			continue
		}
		name := c.Column.String()
		found[name] = true
		switch kind := truth[name]; {
		case kind == "either":
		case kind == kinds()[c.Kind]:
			n.right++
		default:
			n.wrong++
			if kind != "" {
				n.missed++
			}
			t.Logf("wrong: %s is taken for a %s (%s): %v", name, c.Kind, c.Confidence, c.Evidence)
		}
	}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range truth {
			if !yield(name) {
				return
			}
		}
	}) {
		schema, _, _ := strings.Cut(name, ".")
		if truth[name] != "either" && schemas[schema] && !found[name] {
			n.missed++
			t.Logf("missed: %s, a %s", name, truth[name])
		}
	}
	return n
}

// kinds are the words of truth.txt.
func kinds() map[discover.Kind]string {
	return map[discover.Kind]string{
		discover.KindEmail: "email", discover.KindPhone: "phone", discover.KindName: "name", discover.KindBirth: "birth", discover.KindAddress: "address",
		discover.KindIBAN: "iban", discover.KindCard: "card", discover.KindIdentity: "identity", discover.KindReference: "reference", discover.KindText: "text",
		discover.KindPlace: "place", discover.KindHandle: "handle", discover.KindAddressIP: "ip", // nowhere in truth.txt: either or wrong
	}
}

func readTruth(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "truth.txt"))
	if err != nil {
		t.Fatal(err)
	}
	truth := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 2 && !strings.HasPrefix(line, "#") {
			truth[fields[0]] = fields[1]
		}
	}
	return truth
}

func propose(t *testing.T, conn *pgx.Conn) *discover.Proposal {
	t.Helper()
	db, err := discover.Read(t.Context(), conn, discover.Limits{Clock: func() time.Time { return time.Date(2026, 3, 2, 6, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := discover.Propose(db, discover.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// newDatabase makes an empty database of its own.
func newDatabase(t *testing.T) *pgx.Conn {
	t.Helper()
	main := connect(t, "postgres")
	name := "d" + strings.ToLower(rand.Text()[:10])
	if _, err := main.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return connect(t, name)
}

func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), cluster.SuperDSN(database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}
