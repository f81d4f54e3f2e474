package serve

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/api"
	"sallyport/keys"
	"sallyport/token"
)

// newTurningFort has the table of kinds protected, with integers, uuids, moments and telephone numbers in one join group, and integers in another.
func newTurningFort(t *testing.T, rate int) *fort {
	t.Helper()
	f := newPlainFort(t, kinds)
	f.stop()
	for _, column := range []string{"account: {class: identity, scheme: int8", "device: {class: identity, scheme: uuid", "seen: {class: identity, scheme: timestamp", "since: {class: identity, scheme: timestamptz"} {
		f.edit("support.kinds."+column+"}", "support.kinds."+column+", group: ids}")
	}
	f.edit("support.kinds.nick: {class: contact, scheme: phone", "support.kinds.nick: {class: contact, scheme: phone, group: ids")
	f.edit("people:\n", fmt.Sprintf("keys: {rate: %d}\npeople:\n", rate))
	f.options.MovingIn = false
	renewOften(&f.options)
	fatal(t, f.protect())
	f.start()
	return f
}

// TestRotateKinds rotates the keys of integers and uuids, alone and in one group with telephone numbers, while an application works with the table, and
// restarts serve in the middle of it. Nothing wrong is ever shown, found or written; afterwards every row is what it was.
func TestRotateKinds(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newTurningFort(t, 900)
	if _, err := f.officer("o1").RotateKey(f.ctx, "ids", "yearly"); err == nil || !strings.Contains(err.Error(), "give --config and --owner once") {
		t.Errorf("without being let: %v", err)
	}
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "ids"))
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "int4"))
	f.superExec(f.database, "CREATE UNIQUE INDEX taxes ON support.kinds (id, tax)")
	if _, err := f.officer("o1").RotateKey(f.ctx, "int4", "yearly"); err == nil || !strings.Contains(err.Error(), "unique index holds support.kinds.tax behind other columns") {
		t.Errorf("an integer in a unique index that does not find it: %v", err)
	}
	f.superExec(f.database, "DROP INDEX support.taxes; INSERT INTO support.kinds (id, note) VALUES (9000000000000000000, 'the last')")

	k := &kinder{f: f, c: f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn, reader: f.kindReader(t)}
	whileWorking(t, k.work, &k.done, func() error {
		for _, group := range []string{"ids", "int4"} {
			f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
		}
		awaitCondition(t, "it says how far it is", func() bool {
			return strings.Contains(f.keyStatus(t, "o1"), "meanwhile support.kinds.account, support.kinds.device shows only what a reason covers")
		})
		f.showsNothing(t)
		f.awaitTurned(t, "ids", "int4")
		return nil
	})
	if t.Failed() {
		t.Fatalf("serve says: %s", f.log.String()[max(0, len(f.log.String())-3000):])
	}
	t.Logf("%d rounds, %d values hidden, %d writes done, %d held up, %d refused; with a reason %d rows read, %d not, %d in between", k.done.Load(), k.masked, k.written, k.busy, k.denied, k.reader.read, k.reader.missed, k.reader.between)
	if k.denied > 0 || k.masked == 0 || k.written == 0 || k.reader.between == 0 {
		t.Error("nobody met a column whose keys were rotated, or writes were refused")
	}
	f.checkKinds(t, true)
	k.checkKept(t, true)
	for _, group := range []string{"ids", "int4"} {
		f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, group, "done") })
	}
	awaitCondition(t, "the older keys are gone", func() bool { return len(f.server.rotations()) == 0 })
	f.checkKinds(t, true)
	f.readsKinds(t)

	out, err := runMainOf(t, "check", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--owner", f.cluster.SuperDSN(f.database))
	if err != nil && exitCode(err) != 1 || strings.Contains(out, "sallyport_turn") || strings.Contains(out, "note_turning") {
		t.Errorf("check objects to what rotations need: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) { // roles of the whole server may be those of other tests
		if what, _, ok := strings.Cut(line, ": "); ok && !strings.HasPrefix(line, " ") && what != "around" && what != "note" {
			t.Errorf("check objects: %s", line)
		}
	}

	// Once more, with a restart in the middle.
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "ids", "again") })
	awaitCondition(t, "rows turn", func() bool { return len(f.server.rotations()) == 1 && f.server.rotations()[0].Rows > 0 })
	f.restart()
	f.awaitTurned(t, "ids")
	f.restart()
	f.checkKinds(t, true)
	f.readsKinds(t)
	f.stop()
	f.superExec(f.database, "UPDATE sallyport.turning SET epoch = 4 WHERE join_group = 'ids'")
	f.refusesToServe(t, "are of epoch 4, of which the ring")
}

// TestRotateKindsOlderCopy puts copies of the database from the middle of a rotation in its place when that is done: the rotation goes on from there, at a start
// and under a running serve, as long as both keys are there. Then they are refused.
func TestRotateKindsOlderCopy(t *testing.T) {
	f := newTurningFort(t, 600)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "int4"))
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "int4", "yearly") })
	const begun = "SELECT (to_regclass('sallyport.turning') IS NOT NULL AND EXISTS (SELECT FROM sallyport.turning WHERE rows > 0 AND NOT done))::text"
	awaitCondition(t, "rows turn", func() bool { return f.ask(begun) == "true" })
	f.stop()
	if f.ask(begun) != "true" {
		t.Skip("the rotation was over before it could be copied")
	}
	for _, copied := range []string{"a", "b", "c"} {
		f.superExec("postgres", "CREATE DATABASE "+f.database+copied+" TEMPLATE "+f.database)
	}
	put := func(copied string) {
		t.Helper()
		f.superExec("postgres", "ALTER DATABASE "+f.database+" ALLOW_CONNECTIONS false")
		f.superExec("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+f.database+"'")
		f.superExec("postgres", "DROP DATABASE "+f.database+" WITH (FORCE)")
		f.superExec("postgres", "ALTER DATABASE "+f.database+copied+" RENAME TO "+f.database)
	}
	f.start()
	f.awaitTurned(t, "int4")
	f.checkKinds(t, true)
	turned := func() bool {
		return f.ask("SELECT bool_and(done AND pass IS NULL)::text FROM sallyport.turning") == "true" && !f.server.guard.fellBehind("int4")
	}

	f.stop()
	put("a")
	f.start()
	if !strings.Contains(f.log.String(), "goes on from where the database is") {
		t.Error("the log does not tell of the older copy")
	}
	awaitCondition(t, "all rows have turned again", turned)
	f.checkKinds(t, true)

	put("b")
	awaitCondition(t, "serve notices", func() bool { return strings.Contains(f.log.String(), "integers and uuids are hidden") })
	awaitCondition(t, "all rows have turned once more", turned)
	f.checkKinds(t, true)

	f.awaitTurned(t, "int4")
	f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, "int4", "done") })
	awaitCondition(t, "the older key is gone", func() bool { return len(f.server.rotations()) == 0 })
	f.stop()
	put("c")
	f.refusesToServe(t, "as an older copy of it does")
}

// TestRotateKindsUndone takes protection away from columns whose keys were rotated, and moves them in again: nothing of the rotation is left, and no key is
// mistaken for another.
func TestRotateKindsUndone(t *testing.T) {
	f := newTurningFort(t, 20_000)
	fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), "int4"))
	f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, "int4", "yearly") })
	f.awaitTurned(t, "int4")
	agreed := func() string {
		t.Helper()
		id, err := f.officer("o1").Undo(f.ctx, "moving out")
		fatal(t, err)
		_, err = f.officer("o2").Approve(f.ctx, id)
		fatal(t, err)
		return id
	}
	id := agreed()
	undo := func(o *LiveOptions) { o.Undo, o.Proposal = true, id }
	if _, err := f.moveIn(undo); err == nil || !strings.Contains(err.Error(), "while the keys of its join group are rotated") {
		t.Errorf("undone while there are two keys: %v", err)
	}
	f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, "int4", "done") })
	awaitCondition(t, "the older key is gone", func() bool { return len(f.server.rotations()) == 0 })
	if _, err := f.moveIn(undo); err != nil {
		t.Fatal(err)
	}
	f.checkKinds(t, false)
	const left = "SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'sallyport%')::text || ' ' || (to_regclass('sallyport.turning') IS NULL)::text || ' ' || (NOT EXISTS (SELECT FROM pg_proc WHERE proname LIKE 'note_turning%') AND to_regclass('sallyport.turning_written') IS NULL)::text"
	if got := f.ask(left); got != "0 true true" {
		t.Errorf("of the rotation is left: %s", got)
	}
	f.stop()
	f.options.MovingIn = true
	f.start()
	if _, err := f.moveIn(); err != nil {
		t.Fatal(err)
	}
	f.checkKinds(t, true)
	f.options.MovingIn = false
	f.restart()
	f.turnOver(t, "int4")
	f.restart()
	f.checkKinds(t, true)
}

// showsNothing asks in many ways for what no reason covers, and tries to write it, through the gateway and around it.
func (f *fort) showsNothing(t *testing.T) {
	t.Helper()
	c, admin := f.connect(f.org.Agents()[1].ID), f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(f.ctx)) }()
	// Whoever holds the last row holds the rotation.
	holder, err := f.direct().Begin(f.ctx)
	fatal(t, err)
	defer func() { _ = holder.Rollback(f.ctx) }()
	_, err = holder.Exec(f.ctx, "SELECT FROM support.kinds WHERE id = 9000000000000000000 FOR UPDATE")
	fatal(t, err)
	if got := c.one("SELECT account FROM support.kinds WHERE id = 7"); got == "∅" || got == fmt.Sprint(7*7919-1_000_000) || got == f.ask("SELECT account::text FROM support.kinds WHERE id = 7") || !c.heard("support.kinds.account is given other keys") {
		t.Errorf("a hidden column shows %s, or nobody is told why", got)
	}
	for _, sql := range []string{
		"SELECT (SELECT account FROM support.kinds WHERE id = 7)", "SELECT max(account) FROM support.kinds",
		"SELECT account FROM support.kinds WHERE id = 7 UNION ALL SELECT account FROM support.kinds WHERE id = 5000000",
	} {
		if got := c.one(sql); got != "∅" {
			t.Errorf("%s shows %s", sql, got)
		}
	}
	stored := f.ask("SELECT account::text FROM support.kinds WHERE id = 7")
	for _, sql := range []string{"SELECT row_to_json(k)::text FROM support.kinds k WHERE id = 7", "SELECT k::text FROM support.kinds k WHERE id = 7"} {
		if got := c.one(sql); strings.Contains(got, stored) {
			t.Errorf("%s shows %s", sql, got)
		}
	}
	for sql, code := range map[string]string{
		"SELECT count(*) FROM support.kinds a JOIN support.kinds b USING (account)": "SP001", "SELECT count(*) FROM support.kinds GROUP BY account": "SP001",
	} {
		if got := c.fails(sql); got.Code != code {
			t.Errorf("%s: %v, want %s", sql, got, code)
		}
	}
	c.must("BEGIN; UPDATE support.kinds SET account = 5 WHERE id = 7; INSERT INTO support.kinds (id, device) VALUES (3000000, 'f47ac10b-58cc-4372-a567-0e02b2c3d479'); ROLLBACK")
	c.must("UPDATE support.kinds SET account = " + c.one("SELECT account FROM support.kinds WHERE id = 7") + ", device = '" + c.one("SELECT x.device FROM (SELECT * FROM support.kinds) x WHERE id = 7") + "' WHERE id = 7")
	c.must("BEGIN; UPDATE support.kinds SET account = NULL WHERE id = 7; UPDATE support.kinds SET id = 3000000 WHERE id = 7; ROLLBACK")
	c.must("UPDATE support.kinds SET account = " + stored + " WHERE id = 7") // whether the row has turned since or not: checkKinds holds it to its value
	if _, err := admin.Exec(f.ctx, "UPDATE support.kinds SET account = 5 WHERE id = 7"); codeOf(err) != "55006" {
		t.Errorf("written around the gateway: %v", err)
	}
	if !slices.ContainsFunc(f.server.rotations(), func(r api.Rotation) bool { return r.Group == "ids" && len(r.Hidden) == 2 }) {
		t.Error("it was over before all was tried: this test proves little")
	}
}

// TestRotateKindsKilled kills serve at random moments while it turns rows, with an application at work. At each of them the database says of every
// row of which key its tokens are, and they are that; afterwards every row is what it was. SALLYPORT_SIEGE kills fifty times.
func TestRotateKindsKilled(t *testing.T) {
	kills := 4
	if os.Getenv("SALLYPORT_SIEGE") != "" {
		kills = 50
	}
	f := newTurningFort(t, 3*kindRows/kills)
	groups := []string{"ids", "int4"}
	for _, group := range groups {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	within(t, 10*time.Minute, "there are the newer keys", func() bool { // the second begins behind the first, and slowly
		status, err := keys.Look(f.options.Data)
		fatal(t, err)
		return len(f.server.rotations()) == 2 && slices.ContainsFunc(status.Keys, func(k keys.KeyStatus) bool { return k.Group == "int4" && k.Epoch == 2 })
	})
	f.stop() // perhaps in the middle of it
	reveal := f.bothKeys(t)
	p := &processes{f: f, address: freeAddress(t), name: filepath.Join(t.TempDir(), "sallyport")}
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, p.name))
	w := &kindWriter{p: p}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.work(ctx) })
	middle, undone := 0, kindRows
	for range kills {
		p.startServe()
		start := time.Now()
		awaitCondition(t, "rows turn", func() bool { return undone == 0 || f.undone() < undone || time.Since(start) > 20*time.Second })
		select {
		case <-time.After(time.Duration(mathrand.IntN(400)) * time.Millisecond): // the random moment
		case <-t.Context().Done():
		}
		p.kill()
		undone = f.undone()
		if undone > 0 {
			middle++
		}
		f.checkTurning(t, reveal)
	}
	f.start()
	f.awaitTurned(t, groups...)
	stop()
	wg.Wait()
	t.Logf("%d kills, %d of them in the middle; %d rows written, %d written anew, %d given another key, %d refused", kills, middle, w.written, w.anew, w.rekeyed, w.denied)
	if middle == 0 || w.written == 0 || w.anew == 0 || w.rekeyed == 0 {
		t.Error("no kill came in the middle, or nobody met a column whose keys were rotated: this test proves little")
	}
	if w.denied > 0 {
		t.Errorf("%d writes were refused", w.denied)
	}
	f.connect(f.org.Agents()[0].ID).must("INSERT INTO support.kinds (id, tax) VALUES (9500321, 321)")
	f.superExec(f.database, "UPDATE support.kinds SET id = origin WHERE id < 0")
	f.checkKinds(t, true)
	f.checkTurning(t, reveal)
	for _, problem := range w.problems {
		t.Error(problem)
	}
	f.readsKinds(t)
}

// undone is how many rows of both groups have not turned, by the database.
func (f *fort) undone() (n int) {
	f.t.Helper()
	conn := f.direct()
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	err := conn.QueryRow(f.ctx, "SELECT (2 * (SELECT count(*) FROM support.kinds) - coalesce((SELECT sum(CASE WHEN done THEN (SELECT count(*) FROM support.kinds) ELSE rows END) FROM sallyport.turning), 0))::int").Scan(&n)
	if err != nil {
		f.t.Fatal(err)
	}
	return max(0, n)
}

// bothKeys reveals tokens of a column of kinds by the older or the newer key.
func (f *fort) bothKeys(t *testing.T) func(column string, newer bool, stored string) (string, error) {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	codecs := map[bool]map[string]*token.Codec{}
	for _, newer := range []bool{true, false} {
		secrets := opened.Keys()
		for _, group := range []string{"ids", "int4"} {
			if secrets.Groups[group] = slices.Clone(secrets.Groups[group]); !newer {
				slices.Reverse(secrets.Groups[group])
			}
		}
		ring, err := f.config.Ring(secrets)
		fatal(t, err)
		columns, err := f.config.Codecs(ring)
		fatal(t, err)
		codecs[newer] = map[string]*token.Codec{}
		for _, c := range columns {
			if c.Column.Table == "kinds" {
				codecs[newer][c.Column.Name] = c.Codec
			}
		}
	}
	t.Cleanup(opened.Close)
	return func(column string, newer bool, stored string) (string, error) {
		plain, err := codecs[newer][column].Reveal(nil, []byte(stored))
		return string(plain), err
	}
}

// checkTurning holds every row to what it was, by the key of which the database says that its tokens are.
func (f *fort) checkTurning(t *testing.T, reveal func(column string, newer bool, stored string) (string, error)) {
	t.Helper()
	conn := f.direct()
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	kindOf := map[string]string{"account": "(-3 * s.id)::text", "device": "md5(s.id::text)::uuid::text", "tax": "(s.id % 1000)::text"}
	for column, group := range map[string]string{"account": "ids", "device": "ids", "tax": "int4"} {
		rows, err := conn.Query(f.ctx, fmt.Sprintf(`SELECT s.id, s.%[1]s::text, coalesce(k.%[1]s, CASE WHEN s.id >= $2 THEN %[2]s END, ''),
			coalesce(g.done OR s.id <= g.after[1]::bigint AND NOT EXISTS (SELECT FROM sallyport.turning_written w WHERE w.name = 'support.kinds.%[1]s' AND w.key = '[' || s.id || ']' AND w.epoch = -g.epoch)
				OR EXISTS (SELECT FROM sallyport.turning_written w WHERE w.name = 'support.kinds.%[1]s' AND w.key = '[' || s.id || ']' AND w.epoch = g.epoch), false) FROM support.kinds s LEFT JOIN kept.kinds k ON k.id = s.origin LEFT JOIN sallyport.turning g ON g.join_group = $1 WHERE s.%[1]s IS NOT NULL`, column, kindOf[column]), group, kindWritten)
		fatal(t, err)
		var id int64
		var stored, want string
		var newer bool
		wrong := 0
		_, err = pgx.ForEachRow(rows, []any{&id, &stored, &want, &newer}, func() error {
			if got, err := reveal(column, newer, stored); err != nil || got != want {
				if wrong++; wrong < 4 {
					t.Errorf("%s of row %d, newer %v, is %q, %v, want %q", column, id, newer, got, err, want)
				}
			}
			return nil
		})
		fatal(t, err)
	}
}

// TestRotateKindsShredded rotates the keys of a table in which a customer was shredded: what was drawn at random for him becomes what no value does, stays on
// the list and is drawn only once. While columns are hidden nobody is shredded.
func TestRotateKindsShredded(t *testing.T) {
	f := newTurningFort(t, 900)
	fatal(t, LetReaderShred(f.config, f.ctx, f.cluster.SuperDSN(f.database)))
	const first, second = 77, 78
	f.shred(t, first)
	for _, group := range []string{"ids", "int4"} {
		fatal(t, LetReaderRenew(f.config, f.ctx, f.cluster.SuperDSN(f.database), group))
	}
	proposal, err := f.officer("o1").Shred(f.ctx, fmt.Sprint(second), "erasure")
	fatal(t, err)
	for _, group := range []string{"ids", "int4"} {
		f.agree(t, func() (string, error) { return f.officer("o1").RotateKey(f.ctx, group, "yearly") })
	}
	awaitCondition(t, "columns are hidden", func() bool {
		return slices.ContainsFunc(f.server.rotations(), func(r api.Rotation) bool { return len(r.Hidden) > 0 })
	})
	if _, err := f.officer("o1").Shred(f.ctx, "79", "erasure"); err == nil || !strings.Contains(err.Error(), "can be shredded once") {
		t.Errorf("shredding was proposed while columns are hidden: %v", err)
	}
	_, err = f.officer("o2").Approve(f.ctx, proposal)
	fatal(t, err)
	awaitCondition(t, "the shredding waits", func() bool { return strings.Contains(f.log.String(), "it waits until the keys of support.kinds.") })
	f.restart()
	f.awaitTurned(t, "ids", "int4")
	awaitCondition(t, "the second customer is shredded", func() bool { return f.shredded(second) })
	f.checkKinds(t, true, first, second)
	f.listedOnly(t, first, second)
	for _, group := range []string{"ids", "int4"} {
		f.agree(t, func() (string, error) { return f.officer("o1").DestroyKey(f.ctx, group, "done") })
	}
	awaitCondition(t, "the older keys are gone", func() bool { return len(f.server.rotations()) == 0 })
	f.restart()
	f.listedOnly(t, first, second)
	if strings.Contains(f.log.String(), "had values in the database again") {
		t.Error("what a random token became passes for a value of the customer's")
	}
}

// listedOnly holds the integers and uuids of shredded customers, and of nobody else, to stand on the list of the record.
func (f *fort) listedOnly(t *testing.T, shredded ...int64) {
	t.Helper()
	columns, err := f.config.Codecs(f.server.guard.ring)
	fatal(t, err)
	for _, c := range columns {
		if c.Column.Table != "kinds" || c.Codec.Recognisable() {
			continue
		}
		rows, err := f.direct().Query(f.ctx, fmt.Sprintf("SELECT id, %s::text FROM support.kinds WHERE %[1]s IS NOT NULL", c.Column.Name))
		fatal(t, err)
		var id int64
		var stored string
		_, err = pgx.ForEachRow(rows, []any{&id, &stored}, func() error {
			if dead := f.server.guard.dead(c, stored); dead != slices.Contains(shredded, id) {
				t.Errorf("%s of row %d stands on the list: %v", c.Column, id, dead)
			}
			return nil
		})
		fatal(t, err)
	}
}

// kindWritten is the first key of rows that a kindWriter adds.
const kindWritten = 2_000_000

// kindWriter adds rows whose integers and uuid are told by the row's key, writes them anew, and connects again whenever its connection breaks.
type kindWriter struct {
	p                              *processes
	written, anew, rekeyed, denied int
	problems                       []string
}

func (w *kindWriter) work(ctx context.Context) {
	for n := int64(0); ctx.Err() == nil; {
		conn, err := w.p.connect(context.WithoutCancel(ctx))
		if err != nil {
			time.Sleep(20 * time.Millisecond) // between two attempts to connect
			continue
		}
		for ; ctx.Err() == nil; n++ {
			id := kindWritten + n                                                                                                                                     // which nobody writes twice, though the connection breaks when it is committed
			w.write(ctx, conn, &w.written, "INSERT INTO support.kinds (id, account, tax, device) VALUES ($1, $2, $3, $4)", id, -3*id, int32(id%1000), kindDevice(id)) //nolint:gosec // below 1000
			old := 1 + n*31%kindRows
			w.write(ctx, conn, &w.anew, "UPDATE support.kinds SET account = $2, device = $3 WHERE id = $1", old, old*7919-1_000_000, kindDevice(old))
			w.write(ctx, conn, &w.rekeyed, "UPDATE support.kinds SET id = -id WHERE origin = $1", old)
			if conn.IsClosed() {
				n++
				break
			}
		}
		_ = conn.Close(context.WithoutCancel(ctx))
	}
}

func (w *kindWriter) write(ctx context.Context, conn *pgx.Conn, done *int, sql string, args ...any) {
	_, err := conn.Exec(ctx, sql, args...)
	refused, known := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil:
		*done++
	case known && refused.Code == "55006":
		w.denied++
	case known && refused.Severity != "FATAL" && !strings.HasPrefix(refused.Code, "57") && refused.Code != "55P03":
		w.problems = append(w.problems, fmt.Sprintf("the application met %v", err))
	}
}
