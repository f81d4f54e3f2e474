package serve

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestApartWrittenBack has a program write back what it was shown of a row that a rotation is about to turn, and come to it behind the rotation: the row holds its
// value by the newer key, and nothing was refused.
func TestApartWrittenBack(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newTurningFort(t, 400)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "ids"))
	first := f.holdsRow(t, 1) // begins before, so that it is waited for
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "ids", "yearly") })
	awaitCondition(t, "it waits for who began before", func() bool { return strings.Contains(f.log.String(), "that began before have not ended") })
	last := f.holdsRow(t, kindRows)
	first()
	waits := func(sql string) bool {
		return f.ask("SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query "+sql) == "1"
	}
	c := f.connect(f.org.Agents()[1].ID)
	row := fmt.Sprintf(" WHERE id = %d", kindRows)
	stored := f.ask("SELECT account::text FROM support.kinds" + row)
	var account, device string
	awaitCondition(t, "nobody is shown what it is", func() bool {
		account, device = c.one("SELECT account FROM support.kinds"+row), c.one("SELECT device FROM support.kinds"+row)
		return account != stored && waits("LIKE '%FOR NO KEY UPDATE%'")
	})
	ended := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.WithoutCancel(f.ctx), fmt.Sprintf("UPDATE support.kinds SET account = %s, device = '%s', note = 'as read'%s", account, device, row))
		ended <- err
	}()
	awaitCondition(t, "both wait for the row", func() bool { return waits("LIKE 'UPDATE support.kinds%'") && waits("LIKE '%FOR NO KEY UPDATE%'") })
	behind := f.ask("SELECT EXISTS (SELECT FROM pg_stat_activity w, pg_stat_activity r WHERE w.query LIKE 'UPDATE support.kinds%' AND r.query LIKE '%FOR NO KEY UPDATE%' AND r.pid = ANY (pg_blocking_pids(w.pid)))::text")
	last()
	if err := <-ended; err != nil {
		t.Errorf("written back, behind the rotation %s: %v", behind, err)
	}
	t.Logf("it came behind the rotation: %s", behind)
	f.awaitTurned(t, "ids")
	f.checkKinds(t, true)
	if got := f.ask("SELECT note FROM support.kinds" + row); got != "as read" {
		t.Errorf("the row says %q", got)
	}
}

// rekeys gives a row another primary key, in another range, and takes it back; and one of its own another for good. It makes a value NULL, and has it back or not.
func (k *kinder) rekeys(ctx context.Context, id, own int64) error {
	for _, sql := range []string{"UPDATE support.kinds SET id = -id WHERE id = $1", "UPDATE support.kinds SET id = -id, device = $2 WHERE id = -$1::bigint", "UPDATE support.kinds SET account = NULL WHERE id = $1", "UPDATE support.kinds SET account = $2 WHERE id = $1"} {
		args := []any{id}
		switch {
		case strings.Contains(sql, "device = $2"):
			args = append(args, kindDevice(id))
		case strings.Contains(sql, "account = $2"):
			args = append(args, id*7919-1_000_000)
		}
		for done := false; !done; { // the rest of the test wants the row as it was
			if err := k.tries(ctx, func() { done = true }, sql, args...); err != nil {
				return err
			}
		}
	}
	v := k.has[own]
	if k.i%3 > 0 || v == (kindValues{}) {
		return nil
	}
	return k.tries(ctx, func() {
		delete(k.has, own)
		v.tax = noTax
		k.has[own+rekeyed] = v
	}, "UPDATE support.kinds SET id = id + $2, tax = NULL WHERE id = $1", own, int64(rekeyed))
}

// rekeyed is between a row's key and its next one; noTax stands for NULL.
const rekeyed, noTax = 900_000, -1
