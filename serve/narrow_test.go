package serve

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport/token"
)

// Unique integers: what one becomes may be what stands in another row still. By chance that is one of some four million here, so it is made up.

const (
	narrowRows    = 600
	narrowChained = 400       // of these every other one stands in another's way, and in the way of the rest are rows that an application adds
	narrowWritten = 1_000_000 // the first key of rows that an application adds
)

// narrows is a table of unique integers. What stands in it is kept beside it, by key.
func narrows(f *fort) {
	f.superExec(f.database, fmt.Sprintf(`CREATE TABLE support.narrow (id bigint PRIMARY KEY, customer_id bigint REFERENCES support.customers, number integer UNIQUE, note text);
INSERT INTO support.narrow SELECT id, id, 1000 + id * 13 FROM generate_series(1, %d) AS id;
CREATE SCHEMA IF NOT EXISTS kept;
CREATE TABLE kept.narrow AS SELECT id, number::text FROM support.narrow;
GRANT SELECT, INSERT, UPDATE, DELETE ON support.narrow TO support_agents;
ANALYZE`, narrowRows))
	f.edit("  paths:\n", "    support.narrow.number: {class: identity, scheme: int4, group: narrow}\n  paths:\n    support.narrow: customer_id\n")
}

// narrowCodec makes tokens of those integers by the fort's keys, apart from serve.
func (f *fort) narrowCodec(t *testing.T) *token.Codec {
	t.Helper()
	opened, err := OpenKeys(f.config, t.Context(), Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false)
	fatal(t, err)
	t.Cleanup(opened.Close)
	ring, err := f.config.Ring(opened.Keys())
	fatal(t, err)
	columns, err := f.config.Codecs(ring)
	fatal(t, err)
	for _, c := range columns {
		if c.Column.String() == "support.narrow.number" {
			return c.Codec
		}
	}
	t.Fatal("there is no such column")
	return nil
}

// chainNarrows has every other row stand in the way of the one two before it, five at a time, or, backwards, in that of the one behind. Nothing has moved yet.
func (f *fort) chainNarrows(t *testing.T) *token.Codec {
	t.Helper()
	codec, admin := f.narrowCodec(t), f.direct()
	defer func() { // protect waits for nobody here
		pid := admin.PgConn().PID()
		_ = admin.Close(context.WithoutCancel(f.ctx))
		within(t, 20*time.Second, "the server noticed", func() bool {
			return f.askOf("postgres", fmt.Sprintf("SELECT count(*)::text FROM pg_stat_activity WHERE pid = %d", pid)) == "0"
		})
	}()
	for start := 0; start < narrowChained; start += 10 {
		value := fmt.Sprint(50_000_000 + start)
		for i := range 5 {
			id := start + 2*i + 1
			if start%20 > 0 {
				id = start + 9 - 2*i
			}
			for _, table := range []string{"support.narrow SET number = $1::text::int", "kept.narrow SET number = $1::text"} {
				if _, err := admin.Exec(t.Context(), "UPDATE "+table+" WHERE id = $2", value, id); err != nil {
					t.Fatal(err)
				}
			}
			made, err := codec.Tokenise(nil, []byte(value), nil)
			fatal(t, err)
			value = string(made)
		}
	}
	return codec
}

// inTheWay is the value of the n-th row that an application adds: its token, or inwards and outwards by turns what is its token, is the number of a row that was there.
func inTheWay(codec *token.Codec, kept map[int64]string, n int64) (string, error) {
	if n >= narrowChained/2 {
		return fmt.Sprint(-5_000_000 - n), nil
	}
	number := []byte(kept[2*n+2])
	if n%2 == 0 {
		plain, err := codec.Reveal(nil, number) // inwards: its token is that number
		return string(plain), err
	}
	made, err := codec.Tokenise(nil, number, nil) // outwards: it is that number's token
	return string(made), err
}

func (f *fort) askOf(database, sql string) (out string) {
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(database))
	if err != nil {
		return ""
	}
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	_ = conn.QueryRow(f.ctx, sql).Scan(&out)
	return out
}

func (f *fort) keptNarrows() (map[int64]string, error) {
	conn, err := pgx.Connect(f.ctx, f.cluster.SuperDSN(f.database))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	rows, err := conn.Query(f.ctx, "SELECT id, number FROM kept.narrow")
	if err != nil {
		return nil, err
	}
	kept := map[int64]string{}
	var id int64
	var number string
	_, err = pgx.ForEachRow(rows, []any{&id, &number}, func() error { kept[id] = number; return nil })
	return kept, err
}

// checkNarrows holds each row to what it was, or what was written there. tokens: they are to be tokens of it.
func (f *fort) checkNarrows(t *testing.T, codec *token.Codec, tokens bool) {
	t.Helper()
	kept, err := f.keptNarrows()
	fatal(t, err)
	conn := f.direct()
	defer func() { _ = conn.Close(context.WithoutCancel(f.ctx)) }()
	rows, err := conn.Query(f.ctx, "SELECT abs(id), number::text FROM support.narrow")
	fatal(t, err)
	var id int64
	var stored string
	old, added, wrong := 0, 0, 0
	_, err = pgx.ForEachRow(rows, []any{&id, &stored}, func() (err error) {
		plain := []byte(stored)
		if tokens {
			if plain, err = codec.Reveal(nil, plain); err != nil {
				return err
			}
		}
		want := kept[id]
		if id >= narrowWritten {
			added++
			want, err = inTheWay(codec, kept, id-narrowWritten)
		} else {
			old++
		}
		if string(plain) != want {
			if wrong++; wrong < 5 {
				t.Errorf("row %d of narrow is %s, want %s", id, plain, want)
			}
		}
		return err
	})
	if err != nil || old != narrowRows {
		t.Errorf("%d rows of narrow, %v", old, err)
	}
	t.Logf("narrow: %d rows and %d that were added, %d wrong", old, added, wrong)
}

// narrow adds such a row, writes one that is there anew, finds both, and gives one another key.
func (w *survivor) narrow(ctx context.Context, conn *pgx.Conn, n int64) bool {
	if w.codec == nil {
		return true
	}
	if w.kept == nil {
		var err error
		if w.kept, err = w.p.f.keptNarrows(); err != nil {
			w.problem("read what is kept: %v", err)
			return false
		}
	}
	value, err := inTheWay(w.codec, w.kept, n)
	if err != nil {
		w.problem("make a value: %v", err)
		return false
	}
	old, free := 1+n*31%narrowRows, narrowChained+1+n*31%(narrowRows-narrowChained)
	for _, write := range []struct {
		sql  string
		args []any
	}{
		{"INSERT INTO support.narrow (id, number) VALUES ($1, $2)", []any{narrowWritten + n, value}},
		{"UPDATE support.narrow SET number = $2 WHERE id = $1", []any{free, w.kept[free]}},
		{"UPDATE support.narrow SET id = -id WHERE abs(id) = $1", []any{old}},
	} {
		if _, err := conn.Exec(ctx, write.sql, write.args...); !w.judge(conn, err) {
			return false
		}
	}
	_, err = conn.Exec(ctx, "INSERT INTO support.narrow (id, number) VALUES ($1, $2)", 3*narrowWritten+n, value)
	if codeOf(err) != "23505" && w.judge(conn, err) {
		w.problem("the number of row %d is given to another", narrowWritten+n)
	}
	return codeOf(err) == "23505"
}
