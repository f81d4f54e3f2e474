package serve

import (
	"fmt"
	"strings"
	"testing"
)

// TestRotatePrepared prepares a transaction with an address of the older key, and has a DBA keep a token of it in a transaction that does not
// end: neither passes the destruction of that key.
func TestRotatePrepared(t *testing.T) {
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	admin := f.direct()
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "email"))
	insert := "INSERT INTO support.customers (id, full_name, email, country, plan, created_at, segment) VALUES (%d, %s, %s, 'DE', 'free', now(), 'x')"
	const name = "(SELECT full_name FROM support.customers WHERE id = 1)"
	// As the gateway leaves it that was killed in between: a token of the older key, prepared, of which no session knows.
	var tok string
	c := f.connect(f.org.Agents()[0].ID)
	c.must(fmt.Sprintf(insert, 900001, "'Ann Prepared'", "'prepared@example.org'"))
	fatal(t, admin.QueryRow(f.ctx, "SELECT email FROM support.customers WHERE id = 900001").Scan(&tok))
	_, err := admin.Exec(f.ctx, "DELETE FROM support.customers WHERE id = 900001")
	fatal(t, err)
	for _, sql := range []string{"BEGIN", fmt.Sprintf(insert, 900001, name, "'"+tok+"'"), "PREPARE TRANSACTION 'late'"} {
		_, err := admin.Exec(f.ctx, sql)
		fatal(t, err)
	}
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "email", "yearly") })
	awaitCondition(t, "the prepared transaction is told of", func() bool {
		return strings.Contains(f.log.String(), "a prepared transaction may hold tokens of the older key")
	})
	if n := f.count(t, admin, "SELECT count(*) FROM support.customers WHERE email LIKE '%k2.invalid'"); n > 0 {
		t.Errorf("%d tokens are of the newer key, and an older one may come", n)
	}
	_, err = admin.Exec(f.ctx, "COMMIT PREPARED 'late'")
	fatal(t, err)
	awaitCondition(t, "the older key may go", func() bool { return f.server.mayDestroy("email") == nil })

	dba := f.direct()
	_, err = dba.Exec(f.ctx, "BEGIN; "+fmt.Sprintf(insert, 900002, name, "'"+tok+"'"))
	fatal(t, err)
	f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, "email", "done") })
	awaitCondition(t, "the open transaction is told of", func() bool {
		return strings.Contains(f.log.String(), "transactions that may hold older tokens have not ended: process ")
	})
	if len(f.server.turns.rotating()) == 0 {
		t.Fatal("the key was destroyed")
	}
	_, err = admin.Exec(f.ctx, "DELETE FROM support.customers WHERE id = 900001") // else the unique index tells
	fatal(t, err)
	_, err = dba.Exec(f.ctx, "COMMIT")
	fatal(t, err)
	awaitCondition(t, "the older key is gone", func() bool { return len(f.server.turns.rotating()) == 0 })
	fatal(t, admin.QueryRow(f.ctx, "SELECT email FROM support.customers WHERE id = 900002").Scan(&tok))
	if !strings.HasSuffix(tok, "k2.invalid") {
		t.Errorf("a token of the destroyed key is left: %s", tok)
	}
}

// TestRotateAskedAgain takes away what a rotation needs between its proposal and the approval.
func TestRotateAskedAgain(t *testing.T) {
	f := newFort(t, wideBudgets+"keys: {rate: 100000}\n", renewOften)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "email"))
	id, err := f.officer("o1").RotateKey(f.ctx, "email", "yearly")
	fatal(t, err)
	f.superExec(f.database, "REVOKE UPDATE (email) ON support.customers FROM sallyport_reader")
	_, err = f.officer("o2").Approve(f.ctx, id)
	fatal(t, err)
	awaitCondition(t, "it is said what is missing", func() bool { return strings.Contains(f.log.String(), "may not change support.customers.email") })
	if len(f.server.turns.rotating()) > 0 {
		t.Error("the keys are rotated, and the tokens cannot be renewed")
	}
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "email"))
	awaitCondition(t, "it goes on", func() bool { return f.server.mayDestroy("email") == nil })
}

// TestMovingTokenMakesRoom writes another's token, which it may, into a unique column that is moving: the plain value of the same address makes room,
// so that the unique index refuses the second one and protect does not stop at it later.
func TestMovingTokenMakesRoom(t *testing.T) {
	f := newFort(t, wideBudgets+"copy: {support.customers.email: [svc_phone]}\n")
	f.superExec(f.database, "GRANT UPDATE (email) ON support.customers TO sallyport_reader; GRANT SELECT, UPDATE ON support.customers TO svc_phone")
	admin := f.direct()
	var tok string
	fatal(t, admin.QueryRow(f.ctx, "SELECT email FROM support.customers WHERE id = 2").Scan(&tok))
	f.enter(f.movingSet(), nil)
	_, err := admin.Exec(f.ctx, "UPDATE support.customers SET email = $1 WHERE id = 2", strings.ToLower(f.org.Customer(2).Email))
	fatal(t, err)
	if refused := f.connect("svc_phone").fails("UPDATE support.customers SET email = '" + tok + "' WHERE id = 3"); refused.Code != "23505" {
		t.Errorf("another's token is refused by %s, want the unique index", refused.Code)
	}
	var now string
	fatal(t, admin.QueryRow(f.ctx, "SELECT email FROM support.customers WHERE id = 2").Scan(&now))
	if now != tok {
		t.Error("the plain value made no room for its token")
	}
}
