package protect_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport/protect"
)

// narrowTurned is a table of rows with different integers under a unique index, all of the older key. Those of each list of keys stand in each other's way: the first becomes
// what the second holds, and so on.
func narrowTurned(tb testing.TB, chains ...[]string) *turned {
	tb.Helper()
	w := newTurned(tb, collatedTable)
	codec := w.columns[narrowColumn].Codec
	set := func(key, value string) {
		tok, err := codec.TokenEpoch(nil, []byte(value), 1)
		if err != nil {
			tb.Fatal(err)
		}
		w.exec(tb, "UPDATE support.codes SET tax = "+string(tok)+whereKey(key))
		v := w.values[key]
		v[narrowColumn] = value
		w.values[key] = v
	}
	for key := range w.values {
		_, no, _ := strings.Cut(key, " ")
		n, err := strconv.Atoi(no)
		if err != nil {
			tb.Fatal(err)
		}
		set(key, fmt.Sprint(n*31+5))
	}
	for i, chain := range chains {
		value := fmt.Sprint(5_000_000 + i)
		for _, key := range chain {
			set(key, value)
			value = w.before(tb, w.forms(tb, value)[1])
		}
	}
	w.exec(tb, "CREATE UNIQUE INDEX ON support.codes (tax)")
	return w
}

// forms are the tokens of a value by both keys.
func (w *turned) forms(tb testing.TB, value string) (tokens [2]string) {
	tb.Helper()
	for i := range tokens {
		tok, err := w.columns[narrowColumn].Codec.TokenEpoch(nil, []byte(value), 1+i)
		if err != nil {
			tb.Fatal(err)
		}
		tokens[i] = string(tok)
	}
	return tokens
}

// before is what a text stands for that is of the older key.
func (w *turned) before(tb testing.TB, text string) string {
	tb.Helper()
	plain, err := w.columns[narrowColumn].Codec.RevealEpoch(nil, []byte(text), 1)
	if err != nil {
		tb.Fatal(err)
	}
	return string(plain)
}

func (w *turned) takenNarrow(tb testing.TB) *protect.Turn {
	tb.Helper()
	turn := w.taken(tb)
	turn.Beside = connect(tb, cluster.SuperDSN(w.database))
	return turn
}

// TestTurnNarrow turns integers that stand in each other's way: forwards and backwards in the order of keys, and within one step. Each is right behind each step.
func TestTurnNarrow(t *testing.T) {
	w := narrowTurned(t, []string{"B 1", "O'x 3", "a 0", "a 4", "ä 2", "ä 398"}, []string{"ä 6", "a 8", "O'x 7", "B 5"}, []string{"B 17", "B 13", "B 21", "B 9"}, []string{"a 12", "ä 394"})
	turn := w.takenNarrow(t)
	for done := false; !done; {
		var err error
		if _, done, err = turn.Step(t.Context(), 30); err != nil {
			t.Fatal(err)
		}
		if !done {
			w.stand(t)
		}
	}
	w.check(t)
}

// TestTurnNarrowWaits: who stands in a row's way is locked by somebody when the rotation comes to it, and then is gone, or somewhere else, or as it was.
func TestTurnNarrowWaits(t *testing.T) {
	const way = "ä 398"
	for name, c := range map[string]struct {
		first, then string
		becomes     func(w *turned)
	}{
		"deleted":        {`DELETE FROM support.codes` + whereKey(way), "", func(w *turned) { delete(w.values, way) }},
		"rekeyed behind": {`UPDATE support.codes SET region = 'A'` + whereKey(way), "", func(w *turned) { w.rekeyed(way, "A 398") }},
		"rekeyed ahead":  {`UPDATE support.codes SET region = 'zz'` + whereKey(way), "", func(w *turned) { w.rekeyed(way, "zz 398") }},
		"back":           {`UPDATE support.codes SET region = 'A'` + whereKey(way), `UPDATE support.codes SET region = 'ä' WHERE region = 'A' AND "no" = 398`, func(*turned) {}},
		"taken back":     {`UPDATE support.codes SET tax = NULL` + whereKey(way), "ROLLBACK", func(*turned) {}},
		"another in its place": {
			`DELETE FROM support.codes` + whereKey(way), `UPDATE support.codes SET region = 'ä', "no" = 398 WHERE region = 'B' AND "no" = 5`,
			func(w *turned) { delete(w.values, way); w.rekeyed("B 5", way) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := narrowTurned(t, []string{"a 388", way})
			turn := w.takenNarrow(t)
			if _, _, err := turn.Step(t.Context(), 120); err != nil { // not as far as either
				t.Fatal(err)
			}
			holder, tx := w.begins(t, pgx.ReadCommitted, c.first)
			looks, behind := connect(t, cluster.SuperDSN(w.database)), make(chan struct{})
			go func() {
				defer close(behind)
				awaitBlocked(t, looks, holder)
				if c.then == "ROLLBACK" {
					_ = tx.Rollback(t.Context())
					return
				}
				if c.then != "" {
					txExec(t, tx, c.then)
				}
				commit(t, tx)
			}()
			steps(t, turn, 30)
			<-behind
			c.becomes(w)
			w.check(t)
		})
	}
}

// TestTurnNarrowBesideItsWriters: a value is written whose new token is what stands in a row that has not turned.
func TestTurnNarrowBesideItsWriters(t *testing.T) {
	w := narrowTurned(t, []string{"ä 2", "ä 6"})
	turn := w.takenNarrow(t)
	if _, _, err := turn.Step(t.Context(), 120); err != nil {
		t.Fatal(err)
	}
	c := w.columns[narrowColumn]
	older := w.forms(t, w.values["ä 2"][narrowColumn])[0]
	newer, err := c.Codec.RevealEpoch(nil, []byte(older), 2)
	if err != nil {
		t.Fatal(err)
	}
	value := string(newer)
	forms := w.forms(t, value)
	a := protect.Announcement{Column: c.Column, Value: forms[1], Group: "ids", Epoch: 2, Older: 1, Newer: 2, Stood: protect.Stood{Text: forms[0], Table: "support.codes", Kind: "integer", Narrow: true}}
	said, err := protect.Announce(t.Context(), w.admin, a)
	if err != nil || !said.Ready || !said.Found || forms[1] != older {
		t.Fatal(said, err, forms, older)
	}
	ahead := protect.Ahead{
		Column: c.Column, Table: "support.codes", Kind: "integer",
		How: `coalesce((SELECT w.epoch > 0 FROM sallyport.turning_written w WHERE w.name = 'support.codes.tax' AND w.key = jsonb_build_array(t0.region, t0."no")::text),
			(SELECT (t0.region, t0."no") <= (g.after[1], g.after[2]::int) FROM sallyport.turning g), false)::text`,
		Next: func(text, stands string) (string, bool, error) {
			made, err := c.Codec.Turn(nil, []byte(text))
			return string(made), stands == "false", err
		},
		Says: func(text string) protect.Announcement {
			says := a
			says.Value, says.Stood = text, protect.Stood{}
			return says
		},
	}
	if err := ahead.Go(t.Context(), w.admin, forms[0], forms[1]); err != nil {
		t.Fatal(err)
	}
	w.exec(t, `INSERT INTO support.codes (region, "no", tax) VALUES ('zz', 1, `+forms[1]+`)`)
	w.values["zz 1"] = [3]string{"", "", value}
	w.stand(t)
	steps(t, turn, 30)
	w.check(t)
}
