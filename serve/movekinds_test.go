package serve

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/token"
	"sallyport/vault"
)

const kindRows = 1200

// kinds is a table with a column of each type that has no text, and telephone numbers of which some stand in the vault. What stands in it is kept
// beside it as text, by the key that the row had first (origin).
func kinds(f *fort) {
	f.superExec(f.database, fmt.Sprintf(`SET timezone = 'UTC';
CREATE TABLE support.kinds (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, account bigint UNIQUE, tax integer, device uuid UNIQUE, seen timestamp, since timestamptz, nick text UNIQUE, note text, origin bigint);
INSERT INTO support.kinds SELECT id, id, id * 7919 - 1000000, CASE WHEN id %% 10 > 0 THEN id %% 97 END, md5(id::text)::uuid, '1970-01-01 00:00:00.25'::timestamp + id * interval '1 day',
	'1970-01-01 00:00:00.125+00'::timestamptz + id * interval '1 hour', CASE WHEN id %% 3 = 0 THEN '+4920718387' || 100000 + id ELSE '+49207' || 1000000 + id END, 'note', id FROM generate_series(1, %d) AS id;
CREATE SCHEMA kept;
CREATE TABLE kept.kinds AS SELECT id, account::text, tax::text, device::text, seen::text, since::text, nick FROM support.kinds;
GRANT SELECT, INSERT, UPDATE, DELETE ON support.kinds TO support_agents;
ANALYZE`, kindRows))
	lines := ""
	for _, c := range []string{"account: {class: identity, scheme: int8}", "tax: {class: identity, scheme: int4}", "device: {class: identity, scheme: uuid}", "seen: {class: identity, scheme: timestamp}", "since: {class: identity, scheme: timestamptz}", "nick: {class: contact, scheme: phone, overflow: vault}"} {
		lines += "    support.kinds." + c + "\n"
	}
	f.edit("  paths:\n", lines+"  paths:\n    support.kinds: customer_id\n")
}

// checkKinds holds every row to what it was, but for those of customers who were shredded. tokens: they are to be tokens of it.
func (f *fort) checkKinds(t *testing.T, tokens bool, shredded ...int64) {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	ring, err := f.config.Ring(opened.Keys())
	if err != nil {
		t.Fatal(err)
	}
	columns, err := f.config.Codecs(ring)
	if err != nil {
		t.Fatal(err)
	}
	admin, second := f.direct(), f.direct()
	defer func() {
		_, _ = admin.Close(context.WithoutCancel(t.Context())), second.Close(context.WithoutCancel(t.Context()))
	}()
	if _, err := admin.Exec(t.Context(), "SET timezone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	kept := vault.Over(second, nil)
	for _, c := range columns {
		if c.Column.Table != "kinds" {
			continue
		}
		rows, err := admin.Query(t.Context(), fmt.Sprintf("SELECT k.id, coalesce(s.%[1]s::text, ''), coalesce(k.%[1]s, '') FROM kept.kinds k LEFT JOIN support.kinds s ON s.origin = k.id ORDER BY k.id", c.Column.Name))
		if err != nil {
			t.Fatal(err)
		}
		var id int64
		var stored, want string
		seen, wrong := 0, 0
		_, err = pgx.ForEachRow(rows, []any{&id, &stored, &want}, func() error {
			if seen++; slices.Contains(shredded, id) {
				return nil
			}
			got := []byte(stored)
			var err error
			switch {
			case stored == "":
			case !tokens: // what was written while protection was undone is as it was spelt
				even, err := c.Codec.Canonical(nil, got)
				if err != nil && c.Overflow != nil {
					even, err = c.Overflow.Canonical(nil, got)
				}
				if got = even; err != nil {
					return err
				}
			case c.Overflow != nil && c.Codec.Overflowed(got):
				got, err = kept.Reveal(t.Context(), c.Overflow, nil, got)
			default:
				got, err = c.Codec.Reveal(nil, got)
			}
			if err != nil || string(got) != want || tokens && stored != "" && stored == want {
				if wrong++; wrong < 4 {
					t.Errorf("%s of row %d is %q (stored %q), want %q, %v", c.Column, id, got, stored, want, err)
				}
			}
			return nil
		})
		if err != nil || seen != kindRows {
			t.Errorf("%s: %d rows, %v", c.Column, seen, err)
		}
		if wrong > 0 {
			t.Errorf("%s: %d rows are wrong", c.Column, wrong)
		}
	}
	for what, sql := range map[string]string{
		"triggers": "SELECT count(*)::text FROM pg_trigger WHERE tgname LIKE 'sallyport_hold%'",
		"progress": "SELECT count(*)::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'sallyport' AND relname IN ('ranges', 'formless', 'written', 'announced')",
	} {
		var left string
		if err := admin.QueryRow(t.Context(), sql).Scan(&left); err != nil || left != "0" {
			t.Errorf("%s: %s are left, %v", what, left, err)
		}
	}
}

// kinder works with that table.
type kinder struct {
	f              *fort
	c              *pgx.Conn
	i              int64
	done           atomic.Int64
	masked, denied int // values of integers and uuids shown neither in plain nor as tokens, and writes of them refused
	written        int
	busy           int                  // statements that others held up, and that were not tried again
	has            map[int64]kindValues // what rows of the application's own hold
	onItsWay       bool                 // as it was read last
	took           [2]time.Duration     // by writes, and by those on its way
	counted        [2]int
	reader         *kindReader // works beside; may be nil
}

// kindValues are the integers and the uuid of a row.
type kindValues struct {
	account, tax int64
	device       string
}

func (k *kinder) work(ctx context.Context) error {
	for ; ctx.Err() == nil; k.i++ {
		if err := k.step(context.WithoutCancel(ctx)); err != nil {
			return fmt.Errorf("step %d: %w", k.i, err)
		}
		k.done.Add(1)
	}
	return nil
}

func (k *kinder) step(ctx context.Context) error {
	id := 1 + k.i*37%kindRows
	phone, spelt := fmt.Sprintf("+49207%d", 1_000_000+id), fmt.Sprintf("0049 207 %d", 1_000_000+id)
	if id%3 == 0 {
		phone, spelt = fmt.Sprintf("+4920718387%d", 100_000+id), fmt.Sprintf("0049 (20) 718387%d", 100_000+id) // 16 digits: in the vault
	}
	for _, search := range []struct {
		sql   string
		value any
	}{
		{"SELECT count(*) FROM support.kinds WHERE nick = $1", phone},
		{"SELECT count(*) FROM support.kinds WHERE nick IN ($1, '+491711234567')", phone},
		{"SELECT count(*) FROM support.kinds WHERE seen = $1", time.Date(1970, 1, 1, 0, 0, 0, 250_000_000, time.UTC).AddDate(0, 0, int(id))},
		{"SELECT count(*) FROM support.kinds WHERE since = $1", time.Date(1970, 1, 1, 0, 0, 0, 125_000_000, time.UTC).Add(time.Duration(id) * time.Hour)},
		{"WITH w AS (UPDATE support.kinds SET note = 'seen' WHERE nick = $1 RETURNING 1) SELECT count(*) FROM w", phone},
	} {
		var found int
		if err := k.c.QueryRow(ctx, search.sql, search.value).Scan(&found); err != nil || found != 1 {
			return fmt.Errorf("%s of row %d: %d, %w", search.sql, id, found, err)
		}
	}
	if _, err := k.c.Exec(ctx, "UPDATE support.kinds SET nick = $1, since = $3 WHERE id = $2", spelt, id, time.Date(1970, 1, 1, 0, 0, 0, 125_000_000, time.UTC).Add(time.Duration(id)*time.Hour)); !isBusy(err) && err != nil {
		return fmt.Errorf("write row %d: %w", id, err)
	}
	if err := k.formless(ctx, id); err != nil || k.reader == nil {
		return err
	}
	return k.reader.step(ctx)
}

func isBusy(err error) bool {
	refused, ok := errors.AsType[*pgconn.PgError](err)
	return ok && refused.Code == "55P03"
}

// formless reads, searches and writes integers and uuids: while they move each is found where it stands and nowhere else, and nothing is shown to who has no
// reason.
func (k *kinder) formless(ctx context.Context, id int64) error {
	account := id*7919 - 1_000_000
	var shown *int64
	var device *string
	before := k.f.onItsWay()
	if err := k.c.QueryRow(ctx, "SELECT account, device FROM support.kinds WHERE id = $1", id).Scan(&shown, &device); err != nil {
		return fmt.Errorf("read row %d: %w", id, err)
	}
	if shown == nil || device == nil {
		return fmt.Errorf("row %d shows nothing", id)
	}
	if k.onItsWay = before && k.f.onItsWay() && *shown != account; k.onItsWay { // on record, and this session works by it
		k.masked++
	}
	// A program that saves whole rows writes what it read.
	if err := k.tries(ctx, func() {}, "UPDATE support.kinds SET account = $2, device = $3, note = 'as read' WHERE id = $1", id, shown, device); err != nil {
		return err
	}
	if err := k.finds(ctx, id, account); err != nil {
		return err
	}
	return k.writes(ctx, id)
}

// writes adds a row, changes one that is there, and tries to give away what another row has. Which form a row was in meanwhile makes no difference.
func (k *kinder) writes(ctx context.Context, id int64) error {
	if k.has == nil {
		k.has = map[int64]kindValues{}
	}
	own, account := 1_000_000+k.i, id*7919-1_000_000
	v := kindValues{9_000_000_000 + 2*k.i, k.i % 1000, kindDevice(own)}
	err := k.tries(ctx, func() { k.has[own] = v }, "INSERT INTO support.kinds (id, account, tax, device, note) VALUES ($1, $2, $3, $4, 'new')", own, v.account, v.tax, v.device)
	if err != nil {
		return err
	}
	before := own - 1 - k.i%7
	if v, ok := k.has[before]; ok { // of a row that nobody else changes
		v.account, v.tax = 9_000_000_001+2*k.i, k.i%1000+1
		if err := k.tries(ctx, func() { k.has[before] = v }, "UPDATE support.kinds SET account = $2, tax = $3 WHERE id = $1", before, v.account, v.tax); err != nil {
			return err
		}
	}
	if err := k.rekeys(ctx, id, own); err != nil {
		return err
	}
	switch k.i % 4 {
	case 0: // a program that saves the whole row, in a transaction with a snapshot of its own
		return k.tries(ctx, func() {}, fmt.Sprintf("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM support.kinds WHERE id = %[1]d; UPDATE support.kinds SET account = %[2]d, device = '%[3]s', note = 'saved' WHERE id = %[1]d; COMMIT", id, account, kindDevice(id)))
	case 1:
		if _, err := k.c.Exec(ctx, "INSERT INTO support.kinds (id, account) VALUES ($1, $2)", 3_000_000+k.i, account); codeOf(err) != "23505" && !isBusy(err) {
			return fmt.Errorf("the account of row %d is given to another: %w", id, err)
		}
	case 2:
		var of int64
		err := k.c.QueryRow(ctx, "INSERT INTO support.kinds (id, device) VALUES ($1, $2) ON CONFLICT (device) DO UPDATE SET note = 'met' RETURNING id", 4_000_000+k.i, kindDevice(id)).Scan(&of)
		if !isBusy(err) && (err != nil || of != id) {
			return fmt.Errorf("the device of row %d is met in row %d: %w", id, of, err)
		}
	default:
		return k.tries(ctx, func() { delete(k.has, before) }, "DELETE FROM support.kinds WHERE id = $1", before)
	}
	return nil
}

// tries writes something; done is called if it was.
func (k *kinder) tries(ctx context.Context, done func(), sql string, args ...any) error {
	began := time.Now()
	_, err := k.c.Exec(ctx, sql, args...)
	switch code := codeOf(err); {
	case err == nil:
		i := 0
		if k.onItsWay {
			i = 1
		}
		k.took[i], k.counted[i] = k.took[i]+time.Since(began), k.counted[i]+1
		k.written++
		done()
	case code == "55006":
		k.denied++
	case code == "55P03", code == "40001":
		k.busy++
	default:
		return fmt.Errorf("%s: %w", sql, err)
	}
	if k.c.PgConn().TxStatus() != 'I' {
		if _, err := k.c.Exec(ctx, "ROLLBACK"); err != nil {
			return fmt.Errorf("roll back: %w", err)
		}
	}
	return nil
}

// finds searches row id by each of its integers and its uuid, in the text and in the binary protocol.
func (k *kinder) finds(ctx context.Context, id, account int64) error {
	sum := md5.Sum([]byte(fmt.Sprint(id))) //nolint:gosec // as the table has it
	device := fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:])
	tax, same := id%97, 0
	for other := int64(1); other <= kindRows; other++ {
		if other%10 > 0 && other%97 == tax {
			same++
		}
	}
	for _, search := range []struct {
		sql   string
		value any
		want  int64
	}{
		{"SELECT coalesce(sum(id), 0)::bigint FROM support.kinds WHERE account = $1", account, id},
		{"SELECT coalesce(sum(id), 0)::bigint FROM support.kinds WHERE account = ANY ($1)", []int64{account, -account - 1}, id},
		{"SELECT coalesce(sum(id), 0)::bigint FROM support.kinds WHERE device = $1", device, id},
		{"SELECT coalesce(sum(id), 0)::bigint FROM support.kinds WHERE id = $1 AND device = '" + device + "'::uuid AND account IN (" + fmt.Sprint(account) + ", 5)", id, id},
		{"SELECT count(*) FROM support.kinds WHERE tax = $1 AND id <= " + fmt.Sprint(kindRows), int32(tax), int64(same)}, //nolint:gosec // below 97
		{"SELECT count(*) FROM support.kinds WHERE account <> $1 AND id = " + fmt.Sprint(id), account, 0},
	} {
		var found int64
		if err := k.c.QueryRow(ctx, search.sql, search.value).Scan(&found); err != nil || found != search.want {
			return fmt.Errorf("%s of row %d: %d, want %d, %w", search.sql, id, found, search.want, err)
		}
	}
	return nil
}

// checkKept holds every row of the application's own to what it wrote.
func (k *kinder) checkKept(t *testing.T, tokens bool) {
	t.Helper()
	stored := k.f.storedKinds(t, tokens, 1_000_000)
	for id, v := range k.has {
		if stored[id] != v {
			t.Errorf("row %d is %v, and %v was written", id, stored[id], v)
		}
	}
	if len(k.has) == 0 || len(stored) != len(k.has) {
		t.Errorf("%d rows of the application's own, want %d", len(stored), len(k.has))
	}
}

// storedKinds are the integers and uuids of rows with a device from a key on, and below 3,000,000. tokens: the database has tokens of them.
func (f *fort) storedKinds(t *testing.T, tokens bool, from int64) map[int64]kindValues {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	defer opened.Close()
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	codecs := map[string]*token.Codec{}
	for _, c := range columns {
		if c.Column.Table == "kinds" {
			codecs[c.Column.Name] = c.Codec
		}
	}
	admin := f.direct()
	defer func() { _ = admin.Close(context.WithoutCancel(t.Context())) }()
	rows, err := admin.Query(t.Context(), "SELECT coalesce(origin, id), account::text, coalesce(tax::text, ''), device::text FROM support.kinds WHERE coalesce(origin, id) >= $1 AND coalesce(origin, id) < 3000000 AND device IS NOT NULL", from)
	fatal(t, err)
	found, stored := map[int64]kindValues{}, make([]string, 3)
	var id int64
	_, err = pgx.ForEachRow(rows, []any{&id, &stored[0], &stored[1], &stored[2]}, func() error {
		for i, name := range []string{"account", "tax", "device"} {
			if stored[i] == "" {
				stored[i] = fmt.Sprint(noTax)
				continue
			}
			if !tokens {
				continue
			}
			plain, err := codecs[name].Reveal(nil, []byte(stored[i]))
			if err != nil || string(plain) == stored[i] {
				return fmt.Errorf("%s of row %d is %s in the database: %w", name, id, stored[i], err)
			}
			stored[i] = string(plain)
		}
		var v kindValues
		if _, err := fmt.Sscan(strings.Join(stored, " "), &v.account, &v.tax, &v.device); err != nil {
			return err
		}
		found[id] = v
		return nil
	})
	fatal(t, err)
	return found
}

// TestMoveKinds moves integers, uuids, moments and values of the vault in and out again under work.
func TestMoveKinds(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds)
	k := &kinder{f: f, c: f.connect(f.org.Agents()[0].ID, pgx.QueryExecModeCacheStatement).Conn, reader: f.kindReader(t)}
	run := func(do func() error) {
		t.Helper()
		whileWorking(t, k.work, &k.done, do)
		t.Logf("%d rounds, %d values hidden, %d writes done, %d held up, %d refused; with a reason %d rows read, %d not", k.done.Load(), k.masked, k.written, k.busy, k.denied, k.reader.read, k.reader.missed)
		t.Logf("a write of three takes %v, on their way %v", k.took[0]/time.Duration(max(1, k.counted[0])), k.took[1]/time.Duration(max(1, k.counted[1])))
		if t.Failed() {
			t.Fatalf("serve says: %s", f.log.String()[max(0, len(f.log.String())-3000):])
		}
	}
	slowly := func(o *LiveOptions) { o.Rate = 20_000 }
	run(func() error { _, err := f.moveIn(slowly); return err })
	f.checkKinds(t, true)
	k.checkKept(t, true)
	if k.masked == 0 || k.written == 0 || k.reader.between == 0 {
		t.Error("nobody met a column that was moving")
	}
	if k.denied > 0 {
		t.Errorf("%d writes were refused", k.denied)
	}
	stored := f.ask("SELECT account::text FROM support.kinds WHERE id = 7")
	who := f.connect(f.org.Agents()[1].ID)
	if got := who.one("SELECT account FROM support.kinds WHERE id = 7"); got != stored {
		t.Errorf("afterwards row 7 shows %q to who has no purpose, stored is %q", got, stored)
	}
	_ = who.Close(t.Context())

	id, err := f.officer("o1").Undo(t.Context(), "moving out")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.officer("o2").Approve(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	run(func() error {
		_, err := f.moveIn(slowly, func(o *LiveOptions) { o.Undo, o.Proposal = true, id })
		return err
	})
	f.checkKinds(t, false)
	k.checkKept(t, false)
	if k.denied > 0 {
		t.Errorf("%d writes were refused", k.denied)
	}
}

// TestProtectKinds does it with nobody connected, cut many times on the way, while others try to come between.
func TestProtectKinds(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, kinds)
	f.stop()
	for cut := int64(1); ; cut++ {
		ctx, stop := context.WithCancel(t.Context())
		steps := int64(0)
		_, err := Protect(ctx, f.config, ProtectOptions{
			Owner: f.cluster.SuperDSN(f.database), Data: f.options.Data, KeyFile: f.options.KeyFile, RangeRows: 100,
			Progress: func(table string, done, total int64) {
				if table == "support.kinds" && 3*done > total {
					if steps++; steps > cut && steps < 14 {
						stop()
					}
				}
			},
		})
		stop()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "canceled") && !strings.Contains(err.Error(), "57014") && !strings.Contains(err.Error(), "closed") || cut > 40 {
			t.Fatalf("cut %d: %v", cut, err)
		}
		admin := f.direct()
		for _, sql := range []string{
			"UPDATE support.kinds SET account = 5 WHERE id = 3", "INSERT INTO support.kinds (id, tax) VALUES (2000001, 8)",
		} {
			_, err := admin.Exec(t.Context(), sql)
			if refused, ok := errors.AsType[*pgconn.PgError](err); !ok || refused.Code != "55006" {
				t.Errorf("between two runs %s: %v", sql, err)
			}
		}
		_ = admin.Close(t.Context())
		f.waitAlone(t)
		if cut > 1 {
			cut += 2
		}
	}
	f.checkKinds(t, true)
	if err := f.protect(); err != nil { // once more, which finds all of it done
		t.Error(err)
	}
	f.checkKinds(t, true)
}

// waitAlone waits until the server has noticed that everybody hung up.
func (f *fort) waitAlone(t *testing.T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.cluster.SuperDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	within(t, 20*time.Second, "everybody has left", func() bool {
		var n int
		err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1", f.database).Scan(&n)
		return err == nil && n == 0
	})
}
