package lease

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// fault breaks one rule of the protocol: in a file of ours one text is another.
type fault struct{ rule, file, is, becomes string }

// faults are the rules. Each has a text that stands once in its file.
func faults() []fault {
	const lend, borrow, controller, gateway = "exposure/lend.go", "exposure/borrow.go", "lease/controller.go", "lease/gateway.go"
	return []fault{
		{"what a former life was lent stays lent", lend, "		g.former[id] += loan.out()\n	}\n	g.record,", "		_, _ = id, loan\n	}\n	g.record,"},
		{"until all that it left behind is counted", lend, "if g.seen >= g.start {", "if g.seen >= 0 {"},
		{"and then it is free again", lend, "if g.seen >= g.start {", "if g.seen > g.start+1000000 {"},
		{"a gateway's stream never ends earlier than it did", lend, "case g != nil && start < g.seen:", "case g != nil && start < 0:"},
		{"nor is another one", lend, "case g != nil && g.record != record:", "case g != nil && false:"},
		{"what is given back twice is given back once", lend, "max(loan.returned, units), 0", "loan.returned+units, 0"},
		{"nobody gives back what another life was lent", lend, "g != nil && g.life == life && g.loans[id] != nil", "g != nil && g.loans[id] != nil"},
		{"a former life is lent nothing more", lend, "if g != nil && g.life == life {\n			l.ask", "if g != nil {\n			l.ask"},
		{"units that are out are not lent to another", lend, "left = min(left, most-a.Count[i]-l.lentOut(now, w.ID, i))", "left = min(left, most-a.Count[i])"},
		{"nor those of a life before", lend, "		sum += g.former[id]\n", ""},
		{"nor those of a gateway that is lost", lend, "			sum += lost.units\n", "			_ = lost.units\n"},
		{"until their window is over", lend, "id.Scope == GrantScope || lost.at > lasting(now)-w.length()", "id.Scope == GrantScope || lost.at > lasting(now)-hour.length()"},
		{"who counts is known by every window that has a bound", lend, "|| ledger.slots.at(slot).at <= at-window(i).length() {", "|| ledger.slots.at(slot).at <= at-window(i).length() && most < 0 {"},
		{"all of them are known, or none is", lend, "if !ask(who, lentKey(who)) {\n			return false", "if !ask(who, lentKey(who)) {\n			return true"},
		{"who is told to be known counts anew", lend, "		l.touch(now, now, w.ID, w.Subjects, w.Digests)\n", ""},
		{"also after a crash", lend, "			l.touch(now, e.Time, id, p.Subjects, p.Digests)\n", ""},
		{"what was lent is lent after a crash", lend, "			g.loans[id].granted += p.Units\n", ""},
		{"windows last longer here than there", lend, "return t.UnixNano() - t.UnixNano()/31", "return t.UnixNano()"},
		{"an entry counts once", lend, "if g == nil || e.Origin.Seq <= g.seen {", "if g == nil {"},
		{"an entry of a former life settles nothing of this one", lend, "loan != nil && e.Origin.Seq > g.start", "loan != nil"},
		{"who is shown counts", lend, "			l.touch(now, at, id, subjects, digests)\n", "			_, _ = subjects, digests\n"},
		{"who was paid for counts, shown or not", lend, "			l.touch(now, at, id, c.Subjects, c.Digests)\n", ""},
		{"an entry settles what it cost", lend, "				loan.settled += p.Units\n", "				_ = p.Units\n"},
		{"who is beyond the budget is not shown again", lend, "if l.known(now, w) && !over(a.Count, w.Most) {", "if l.known(now, w) {"},
		{"a second value under one customer is another one", lend, "			l.touch(now, at, id, nil, seconds)\n", "			_ = seconds\n"},
		{"what was lent to a forgotten gateway counts as spent", lend, "			l.lost[id] = append(l.lost[id], loss{units, at})\n", "			_, _ = id, loss{units, at}\n"},
		{"also what a life before was lent", lend, "	for id, loan := range g.loans {\n		g.former[id] += loan.out()\n	}\n	for id, units", "	clear(g.former)\n	for id, loan := range g.loans {\n		g.former[id] += loan.out()\n	}\n	for id, units"},
		{"a clock that ran ahead stops no window", lend, "when := min(lasting(at), lasting(now))", "when := lasting(at)"},
		{"what did not arrive is free when the connection begins anew", lend, "min(loan.granted, h.Got), max", "loan.granted, max"},
		{"what arrived is not", lend, "min(loan.granted, h.Got), max", "0, max"},
		{"what was given back on the way is free, too", lend, "max(loan.returned, h.Returned)", "loan.returned"},
		{"nobody spends what he has not got", borrow, "if left := loan.left(); paid[i] > left {", "if left := loan.left(); paid[i] > left+1 {"},
		{"what is given back is not spent", borrow, "return l.got - l.spent - l.returned }", "return l.got - l.spent }"},
		{"what is spent is spent", borrow, "		loan.spent += paid[i]\n", ""},
		{"in all accounts, or in none", borrow, "	if len(lacks) > 0 {\n		return lacks\n	}\n	for i", "	for i"},
		{"who was paid for costs nothing for a moment", borrow, "				loan.paid[keys[k]] = struct{}{}\n", ""},
		{"and no longer", borrow, "const remembers = time.Minute", "const remembers = 10 * time.Minute"},
		{"what an answer brings can be spent", borrow, "	l.got += answers[i].Units\n", "	l.got += 0\n"},
		{"a loan is on record", controller, "		_, err = c.Access.Enqueue(&sallyport.Event{Time: c.Clock(), Kind: sallyport.LentKind,", "		_, err = 0, error(nil)\n		_ = (&sallyport.Event{Time: c.Clock(), Kind: sallyport.LentKind,"},
		{"before the gateway has it", controller, "		if err := c.Access.Sync(); err != nil {\n			return err\n		}\n	}\n	for i := range list", "	}\n	for i := range list"},
		{"a connection that was replaced lends nothing", controller, "if !here { //", "if false && !here { //"},
		{"a copy is on record", controller, "	if _, err := c.Access.Enqueue(e); err != nil {\n		return err\n	}\n	c.lender.Fold(c.Clock(), e)\n	return nil", "	c.lender.Fold(c.Clock(), e)\n	return nil"},
		{"and counted", controller, "	c.lender.Fold(c.Clock(), e)\n	return nil\n}\n\n// lend", "	return nil\n}\n\n// lend"},
		{"a copy is no copy of a copy", controller, "if e.Origin != nil || e.Lent != nil || seq == 0 {", "if seq == 0 {"},
		{"a mark is on record", controller, "	if err == nil && first {\n", "	if err == nil && first && d.ID == 0 {\n"},
		{"and stands when the controller begins anew", controller, "			c.spent.add(e.Asserted, now)\n", ""},
		{"an assertion is one gateway's", controller, "	if _, before := m.until[a.ID]; before {\n		return false, nil\n	}\n", ""},
		{"what has expired is forgotten later", controller, "if until+markedFor < at {", "if until-markedFor < at {"},
		{"no gateway comes under a name that is not its own", controller, "case g.name == \"\" || !slices.Contains(c.Names, g.name):", "case g.name == \"\":"},
		{"nor by other files", controller, "case h.Files != \"\" && h.Files != c.Files():", "case false:"},
		{"nor with orders that are not here", controller, "case h.Control > c.Control.Last():", "case false:"},
		{"nor speaking otherwise", controller, "case h.Version != version:", "case false:"},
		{"while a key is exchanged nobody comes", controller, "	if hushed {\n", "	if hushed && g.life == \"\" {\n"},
		{"nor stays", controller, "		g.stop(errExchange)\n", "		_ = g\n"},
		{"what others hold is called back", controller, "			c.recall(list[i].ID, g.name)\n", ""},
		{"the controller is heard within a second", gateway, "return g.since()-g.heard < Patience", "return g.heard > 0"},
		{"with all orders that it had", gateway, "g.waiting[0].order <= g.applied {", "g.waiting[0].order >= 0 {"},
		{"and all files and keys", gateway, "for g.whole && len", "for len"},
		{"an order keeps its place", gateway, "	for seq := g.applied + 1; seq < e.Seq; seq++ {", "	for seq := e.Seq; seq < e.Seq; seq++ {"},
		{"it has come when it is kept", gateway, "	if err := g.keep(e.Seq, e); err != nil {\n		return err\n	}\n", ""},
		{"once", gateway, "	if e.Seq <= g.applied {\n		return nil\n	}\n", ""},
		{"all is known before it is ready", gateway, "done := g.caught && g.whole && g.applied >= g.orders", "done := true"},
		{"who is called back gives back", gateway, "back = append(back, g.borrower.Recall(id)...)", "_ = id"},
		{"who does not need it, too", gateway, "if idle := g.borrower.Idle(g.since(), idleAfter); len(idle) > 0 {", "if idle := g.borrower.Idle(g.since(), 1000*idleAfter); len(idle) > 0 {"},
	}
}

// TestFaultsAreFound breaks each rule of the protocol by hand, one at a time, and sees that a test of this package or of exposure fails.
// It takes half an hour: SALLYPORT_FAULTS=1, or part of a rule's sentence to try only those.
func TestFaultsAreFound(t *testing.T) {
	which := os.Getenv("SALLYPORT_FAULTS")
	for _, f := range faults() { // always: the list is about the code as it stands
		text, err := os.ReadFile(filepath.Join("..", f.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), f.is); n != 1 {
			t.Errorf("%s: %q stands %d times in %s, expected once", f.rule, f.is, n, f.file)
		}
	}
	if which == "" {
		t.Skip("SALLYPORT_FAULTS=1 breaks each rule and runs the tests (half an hour)")
	}
	found, all := 0, 0
	for _, f := range faults() {
		if which != "1" && !strings.Contains(f.rule, which) {
			continue
		}
		all++
		if by := f.found(t); by == "" {
			t.Errorf("nothing fails when this rule is broken: %s (%s)", f.rule, f.file)
		} else {
			found++
			t.Logf("%s: %s", f.rule, by)
		}
	}
	t.Logf("%d of %d faults were found", found, all)
}

// found runs the tests with a fault, and says which one failed first; empty: none.
func (f fault) found(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", f.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	broken, overlay := filepath.Join(dir, "broken.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(broken, []byte(strings.Replace(string(text), f.is, f.becomes, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": {path: broken}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		t.Fatal(err)
	}
	packages := []string{"./exposure", "./lease"}
	if strings.HasPrefix(f.file, "lease/") {
		packages = packages[1:]
	}
	for _, p := range packages {
		args := []string{"test", "-overlay", overlay, "-vet=off", "-failfast", "-timeout", "300s", p}
		if p == "./exposure" {
			args = append(args, "-rapid.nofailfile") // what fails here says nothing of the code as it stands
		}
		run := exec.CommandContext(t.Context(), "go", args...) //nolint:gosec // our own packages
		run.Dir = ".."
		run.Env = append(os.Environ(), "SALLYPORT_FAULTS=")
		out, err := run.CombinedOutput()
		if err == nil {
			continue
		}
		if strings.Contains(string(out), "[build failed]") {
			t.Errorf("%s: the fault is no program: %s", f.rule, out)
			return "nothing"
		}
		for line := range strings.Lines(string(out)) {
			if name, ok := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); ok {
				return p + " " + name
			}
		}
		return p + " does not end"
	}
	return ""
}
