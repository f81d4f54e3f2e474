package serve

import (
	"fmt"
	"strings"
	"testing"
)

// TestRotateTies has a DBA put one customer's name and notes into another's row before the keys are rotated: what is not revealed there
// before is not revealed there afterwards, whoever looks first.
func TestRotateTies(t *testing.T) {
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	thief, ticket, own := f.hasTicket(0)
	agent, theirs, victim := f.hasTicket(1)
	if own.ID == victim.ID {
		t.Skip("both agents serve one customer")
	}
	read := func(id int64) string {
		return fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", id)
	}
	a := f.connect(agent)
	a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", theirs.ID))
	if got := a.one(read(victim.ID)); got != victim.FullName {
		t.Fatalf("the victim's agent reads %q", got)
	}
	f.superExec(f.database, fmt.Sprintf("UPDATE support.customers c SET full_name = v.full_name FROM support.customers v WHERE c.id = %d AND v.id = %d", own.ID, victim.ID))
	steal := func(when string) {
		t.Helper()
		c := f.connect(thief)
		c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
		if got := c.one(read(own.ID)); !strings.HasPrefix(got, "tk1:") {
			t.Errorf("%s another's name reads %q in the thief's row", when, got)
		}
	}
	steal("before the rotation")
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "name"))
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "name", "yearly") })
	awaitCondition(t, "no older token is left", func() bool { return f.server.mayDestroy("name") == nil })
	steal("after the rotation")
	b := f.connect(agent)
	b.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", theirs.ID))
	if got := b.one(read(victim.ID)); got != victim.FullName {
		t.Errorf("after the rotation the victim's agent reads %q", got)
	}
	f.restart()
	steal("after a restart")
}

// TestRotateHeldUp keeps a transaction open, so that new tokens cannot be of the newer key yet: the older key, of which every token is,
// does not pass for one that is needed no more.
func TestRotateHeldUp(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	admin := f.direct()
	idle := f.connect(f.org.Agents()[0].ID)
	idle.must("BEGIN")
	idle.must("SELECT count(*) FROM support.customers WHERE email = 'nobody@example.org'")
	for _, group := range []string{"email", "name"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
		awaitCondition(t, "a pass was tried", func() bool {
			f.server.turns.mu.Lock()
			defer f.server.turns.mu.Unlock()
			p := f.server.turns.seen[group]
			return p != nil && (p.clean || p.trouble != nil)
		})
		if err := f.server.mayDestroy(group); err == nil {
			t.Errorf("the key of %s may be destroyed, and every token is of it", group)
		}
	}
	c := f.connect(f.org.Agents()[1].ID)
	c.must("INSERT INTO support.customers (id, full_name, email, country, plan, created_at, segment) VALUES (900001, 'New', 'new@example.org', 'DE', 'free', now(), 'x')")
	if n := f.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k2.invalid' OR full_name LIKE 'tk1:B%'"); n > 0 {
		t.Errorf("%d tokens are of a newer key, and somebody works by what held before", n)
	}
	if out := f.keyStatus(t, "o1"); !strings.Contains(out, "email goes from epoch 1 to 2: is about to renew tokens: ") {
		t.Errorf("status of what is held up:\n%s", out)
	}
	idle.must("COMMIT")
	for _, group := range []string{"email", "name"} {
		awaitCondition(t, "no older token is left", func() bool { return f.server.mayDestroy(group) == nil })
	}
	if out := f.keyStatus(t, "o1", "--follow"); !strings.Contains(out, "email goes from epoch 1 to 2: no token of epoch 1 is left") {
		t.Errorf("status of what is done:\n%s", out)
	}
	if out := f.keyStatus(t, "o1", "--json"); !strings.Contains(out, `"state":"done","whole":true,"rows":`) {
		t.Errorf("status as JSON:\n%s", out)
	}
	if n := f.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k1.invalid' OR full_name LIKE 'tk1:A%'"); n > 0 {
		t.Errorf("%d tokens of the older keys are left", n)
	}
}

// keyStatus runs the command.
func (f *fort) keyStatus(t *testing.T, as string, more ...string) string {
	t.Helper()
	var out, trouble strings.Builder
	m := &Main{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &trouble, Getenv: func(name string) string {
		if name == passwordVariable {
			return as + "-password"
		}
		return ""
	}}
	if err := m.Run(f.ctx, append([]string{"keys", "status", "--data", f.options.Data, "--as", as}, more...)); err != nil {
		t.Errorf("keys status: %v\n%s", err, trouble.String())
	}
	return out.String()
}

// TestRotateNotWhileMoving approves a rotation once a column of the group is moving: it waits until that is protected.
func TestRotateNotWhileMoving(t *testing.T) {
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "email"))
	id, err := f.officer("o1").RotateKey(f.ctx, "email", "yearly")
	fatal(t, err)
	f.enter(f.movingSet(), nil)
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	awaitCondition(t, "the rotation was tried", func() bool {
		return len(f.server.turns.rotating()) > 0 || strings.Contains(f.log.String(), "can be rotated once it is protected")
	})
	if turning := f.server.turns.rotating(); len(turning) > 0 {
		t.Fatalf("keys are rotated while columns are moving: %v", turning)
	}
	f.enter(nil, nil)
	awaitCondition(t, "the rotation is done", func() bool { return f.server.mayDestroy("email") == nil })
}
