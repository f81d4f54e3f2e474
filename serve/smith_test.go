package serve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// smithSeed makes runs comparable; SALLYPORT_SMITH_SEED takes another.
const smithSeed = "4711"

// smithTime bounds one run of sqlsmith.
const smithTime = 10 * time.Minute

// smiths are the runs of sqlsmith: who it is, under which reason, what it knows of.
func smiths() []smith {
	return []smith{
		{name: "agent", queries: 2500, tables: true},
		{name: "engineer", engineer: true, queries: 2500, tables: true},
		{name: "agent with the system's catalogues", queries: 1500},
		{name: "agent under a ticket", purpose: true, queries: 2500, tables: true},
	}
}

type smith struct {
	name     string
	engineer bool // may write every table, and has no ticket
	purpose  bool // a ticket of his own covers one customer
	queries  int
	tables   bool // only the database's own tables
}

// TestSmith lets sqlsmith loose at the gateway: whatever statements it makes up, no protected value that is not covered stands in
// any byte that comes back, the gateway does not lose its way, and the server does not die. `make smith` runs it.
func TestSmith(t *testing.T) {
	if os.Getenv("SALLYPORT_SIEGE") == "" {
		t.Skip("some thousand random statements take minutes: `make smith` runs them")
	}
	if _, err := exec.LookPath("sqlsmith"); err != nil {
		t.Skip("sqlsmith is not installed: `apt-get install sqlsmith` brings it")
	}
	f := newFort(t, rich)
	dump, err := throwaway.Dump(t.Context(), f.cluster.SuperDSN(f.database))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range smiths() {
		t.Run(k.name, func(t *testing.T) { k.strike(t, f, dump) })
	}
	if log := f.log.String(); strings.Contains(log, "internal fault") || strings.Contains(log, "something unexpected") || strings.Contains(log, "panic") {
		t.Errorf("the gateway lost its way: %s", excerptOf(log, "internal fault", "something unexpected", "panic"))
	}
	if log := f.heard.String(); strings.Contains(log, "was terminated by signal") || strings.Contains(log, "PANIC:") {
		t.Errorf("the server crashed: %s", excerptOf(log, "was terminated by signal", "PANIC:"))
	}
}

// excerptOf is what stands around the first of some words.
func excerptOf(text string, words ...string) string {
	for _, word := range words {
		if i := strings.Index(text, word); i >= 0 {
			return text[max(0, i-200):min(len(text), i+400)]
		}
	}
	return ""
}

// strike is one run.
func (k smith) strike(t *testing.T, f *fort, dump string) {
	who, ticket, own := f.hasTicket(0)
	covered := sim.Customer{}
	options := "-c statement_timeout=2000"
	if k.purpose {
		covered = own
		options += fmt.Sprintf(" -c sallyport.purpose=ticket:%d", ticket.ID)
	}
	if k.engineer {
		who = engineerOf(f)
	}
	secrets := f.secrets(covered.ID)
	known := secrets.forget([]byte(dump))
	t.Logf("looking for %d values, as they are, in hex and in base64; %d of these stand in the database in plain, as they should (namesakes among the staff)", secrets.values, known)

	tapped := newOutlet(t, f.server.Addr().String(), secrets)
	host, port, _ := strings.Cut(tapped.address, ":")
	dsn := fmt.Sprintf("host=%s port=%s dbname=%s user=%s password=%s sslmode=disable gssencmode=disable options='%s'", host, port, f.database, who, f.passwords[who], options)
	controlOutlet(t, f, ticket.ID)

	seed := smithSeed
	if s := os.Getenv("SALLYPORT_SMITH_SEED"); s != "" {
		seed = s
	}
	args := []string{"--target=" + dsn, "--seed=" + seed, fmt.Sprintf("--max-queries=%d", k.queries)}
	if k.tables {
		args = append(args, "--exclude-catalog")
	}
	ctx, cancel := context.WithTimeout(t.Context(), smithTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sqlsmith", args...).CombinedOutput() //nolint:gosec // the test's own arguments
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Errorf("sqlsmith does not come to an end: %v\n%.2000s", err, out)
	}
	tapped.close()
	k.judge(t, tapped, out)
}

// judge looks at what a run was answered.
func (k smith) judge(t *testing.T, tapped *outlet, out []byte) {
	tapped.mu.Lock()
	defer tapped.mu.Unlock()
	said := tapped.said
	t.Logf("%d sessions, %d bytes and %d rows came back; %d statements worked (%v), %d failed: %v", said.sessions, said.bytes, said.rows, said.worked, said.verbs, said.failed, said.codes)
	for _, why := range slices.Sorted(maps.Keys(said.refusals)) {
		r := said.refusals[why]
		t.Logf("%5d %s: %.400s", r.n, why, strings.Join(strings.Fields(r.shortest), " "))
	}
	for _, leak := range said.leaks {
		t.Errorf("comes back: %s", leak)
	}
	for _, lost := range said.lost {
		t.Errorf("the protocol: %s", lost)
	}
	if said.worked < k.queries/20 || said.worked+said.failed < k.queries*9/10 || said.rows == 0 {
		t.Errorf("only %d statements worked and %d failed: this proves little\n%.2000s", said.worked, said.failed, out)
	}
}

func engineerOf(f *fort) sallyport.Staff {
	for _, p := range f.org.Staff {
		if p.Role == sim.Engineer {
			return p.ID
		}
	}
	f.t.Fatal("there is no engineer")
	return ""
}

// controlOutlet shows that a value that comes back is seen: the agent reads his customer under his ticket, and everything is looked for.
func controlOutlet(t *testing.T, f *fort, ticket int64) {
	t.Helper()
	who, _, own := f.hasTicket(0)
	all := f.secrets(0)
	seen := newOutlet(t, f.server.Addr().String(), all)
	c := f.connectVia(seen.address, who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket))
	c.must(fmt.Sprintf("SELECT email FROM support.customers WHERE id = %d", own.ID))
	_ = c.Close(t.Context())
	seen.close()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if len(seen.said.leaks) != 1 {
		t.Fatalf("a value that came back was seen %d times: this would prove nothing", len(seen.said.leaks))
	}
}
