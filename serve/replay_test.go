package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/policy"
	"sallyport/replay"
	"sallyport/rulebook"
)

const ownNoContact = `@id("own.no-contact") @because("no addresses any more")
forbid (principal, action == Action::"reveal", resource in Class::"contact");`

// TestReplay plays the record of real sessions: the policies that held refuse nothing of it, others say whom they would have hindered.
func TestReplay(t *testing.T) {
	a := newAsking(t, "", func(o *Options) { o.Config.Demonstration = false })
	var read []sallyport.Staff
	customers := 0
	for i := range 3 {
		who, ticket, customer := a.hasTicket(i)
		read = append(read, who)
		a.order(sallyport.Confirmed, sallyport.Order{Action: "confirm", By: who, About: who})
		c := a.connect(who)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		if got := c.must(fmt.Sprintf("SELECT email, birth_date::date FROM support.customers WHERE id = %d", customer.ID)); got[0][0] != customer.Email {
			t.Fatalf("%s reads %q", who, got)
		}
		customers++
	}
	id := a.granted(read[0], api.GrantRequest{Customers: 5})
	c := a.connect(read[0])
	c.must("SET sallyport.purpose = 'grant:" + id + "'")
	if got, err := emails(c, 11, 12); len(got) != 2 || err != nil {
		t.Fatal(got, err)
	}
	for _, e := range a.events() {
		if e.Kind == sallyport.StatementKind && len(e.Statement.Purposes) > 0 && e.Statement.Purposes[0].Kind == "ticket" {
			if k := e.Statement.Known; k == nil || k.Strength != "database" || len(k.Reasons) != 1 || k.Reasons[0].Is&(sallyport.FactCovers|sallyport.FactOpen|sallyport.FactMine) != sallyport.FactCovers|sallyport.FactOpen|sallyport.FactMine {
				t.Errorf("what policies were told: %+v", k)
			}
		}
	}

	// While serve runs, from its own streams, as a proposal of policies asks for it.
	today, _, err := rulebook.Load(a.options.Config, "")
	fatal(t, err)
	live, err := rulebook.Replay(a.options.Config, a.ctx, rulebook.Replayed{Before: today, After: today, Access: a.server.AccessStream, Control: a.server.ControlStream, From: time.Now().AddDate(0, 0, -1), Until: time.Now().Add(time.Hour), Names: a.server.Names})
	fatal(t, err)
	if live.Hinders() || live.Accesses < 7 {
		t.Errorf("what held refuses: %+v", live)
	}

	less, _ := policy.Load(append(policy.Defaults(false), policy.Text{Name: "own.cedar", Content: ownNoContact}), a.options.Config.World(), a.options.Config.Copiers())
	text, err := a.server.replayChange(a.ctx, a.options.Config, a.options.Config, today, less, false)
	fatal(t, err)
	if !strings.Contains(text, "replay: would have stayed tokens by own.no-contact: ") || !strings.Contains(text, "report ") {
		t.Errorf("%q", text)
	}
	if text, err := a.server.replayChange(a.ctx, a.options.Config, a.options.Config, today, today, true); text != "" || err != nil {
		t.Errorf("nothing changes: %q, %v", text, err)
	}
	small := *a.options.Config
	small.Budgets.Default.Revealed.Day = 1
	if text, err := a.server.replayChange(a.ctx, a.options.Config, &small, today, today, true); err != nil || !strings.Contains(text, "nobody would have been hindered") {
		t.Errorf("each saw one: %q, %v", text, err)
	}

	// From the folder, by the command.
	path := filepath.Join(a.folder, "sallyport.yaml")
	yaml, err := os.ReadFile(path)
	fatal(t, err)
	fatal(t, os.WriteFile(path, []byte(strings.Replace(string(yaml), "demonstration: true", "demonstration: false", 1)), 0o600))
	args := []string{"replay", "--config", path, "--data", a.options.Data, "--key-file", a.options.KeyFile, "--json", "--policy"}
	same, other := t.TempDir(), t.TempDir()
	for _, p := range policy.Defaults(false) {
		fatal(t, os.WriteFile(filepath.Join(same, p.Name), []byte(p.Content), 0o600))
		fatal(t, os.WriteFile(filepath.Join(other, p.Name), []byte(p.Content), 0o600))
	}
	fatal(t, os.WriteFile(filepath.Join(other, "own.cedar"), []byte(ownNoContact), 0o600))
	if _, err := runMainOf(t, append(args, same)...); err == nil || !strings.Contains(err.Error(), "cp -r") {
		t.Errorf("while serve runs: %v", err)
	}
	names := a.server.Names
	a.stop()
	out, err := runMainOf(t, append(args, same)...)
	if err != nil {
		t.Errorf("under what held: %v, %s", err, out)
	}
	out, err = runMainOf(t, append(args, other)...)
	if !errors.Is(err, errFound) {
		t.Errorf("under less: %v", err)
	}
	var r replay.Report
	fatal(t, json.Unmarshal([]byte(out), &r))
	if len(r.Refused) != 1 || r.Refused[0].Policy != "own.no-contact" || r.Refused[0].New != r.Refused[0].Accesses || r.Refused[0].Customers != customers+2 || r.Refused[0].People != len(read) || r.Hash == "" {
		t.Errorf("%s", out)
	}

	// Other budgets: two customers a day are enough for nobody who saw three.
	budgets := filepath.Join(t.TempDir(), "budgets.yaml")
	fatal(t, os.WriteFile(budgets, []byte("budgets: {default: {revealed: {hour: 1, day: 1}}}\n"), 0o600))
	out, err = runMainOf(t, "replay", "--config", path, "--data", a.options.Data, "--key-file", a.options.KeyFile, "--budgets", budgets)
	if err != nil || !strings.Contains(out, "Nothing would have been refused") { // each saw one customer by his ticket; a grant has a budget of its own
		t.Errorf("%v, %s", err, out)
	}
	fatal(t, os.WriteFile(budgets, []byte("budgets: {default: {revealed: {day: -3}}}\n"), 0o600))
	if _, err := runMainOf(t, "replay", "--config", path, "--data", a.options.Data, "--key-file", a.options.KeyFile, "--budgets", budgets); err == nil || !strings.Contains(err.Error(), "budgets.yaml:1:") {
		t.Errorf("a mistake: %v", err)
	}
	if out, err := runMainOf(t, "replay", "--config", path, "--data", a.options.Data, "--key-file", a.options.KeyFile, "--policy", other); !errors.Is(err, errFound) || !strings.Contains(out, "own.no-contact") || !strings.Contains(out, "stayed tokens") {
		t.Errorf("for people: %v, %s", err, out)
	} else {
		t.Log(out)
		for _, who := range read {
			if strings.Contains(out, string(who)) || !strings.Contains(out, names.Person(who)) {
				t.Errorf("%s stands there by name, or not at all: %s", who, out)
			}
		}
	}
}
