package protect_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/protect"
)

// A unique integer: what one value becomes may be what stands in another row still. By chance that is one row in 430 of ten million; here it is made up.

const narrowColumn = 2 // of movedRows: tax

// newNarrowRows is a table of rows with different integers under a unique index. Those of each list of keys stand in each other's way: the first becomes what the
// second holds, and so on.
func newNarrowRows(tb testing.TB, chains ...[]string) *movedRows {
	tb.Helper()
	m := newMovedRows(tb, movedTable)
	m.exec(tb, `UPDATE support.codes SET tax = "no" * 31 + 5`)
	for key, v := range m.values {
		_, no, _ := strings.Cut(key, " ")
		n, err := strconv.Atoi(no)
		if err != nil {
			tb.Fatal(err)
		}
		v[narrowColumn] = fmt.Sprint(n*31 + 5)
		m.values[key] = v
	}
	for i, chain := range chains {
		value := fmt.Sprint(5_000_000 + i)
		for _, key := range chain {
			m.set(tb, key, value)
			m.exec(tb, "UPDATE support.codes SET tax = "+value+whereKey(key))
			value = m.token(tb, value)
		}
	}
	m.exec(tb, "CREATE UNIQUE INDEX ON support.codes (tax)")
	return m
}

func whereKey(key string) string {
	region, no, _ := strings.Cut(key, " ")
	return fmt.Sprintf(` WHERE region = '%s' AND "no" = %s`, strings.ReplaceAll(region, "'", "''"), no)
}

// set notes that a row has another integer.
func (m *movedRows) set(tb testing.TB, key, value string) {
	tb.Helper()
	v, there := m.values[key]
	if !there {
		tb.Fatalf("there is no row %s", key)
	}
	v[narrowColumn] = value
	m.values[key] = v
}

func (m *movedRows) token(tb testing.TB, value string) string {
	tb.Helper()
	made, err := m.columns[narrowColumn].Codec.Tokenise(nil, []byte(value), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return string(made)
}

func (m *movedRows) reveal(tb testing.TB, tok string) string {
	tb.Helper()
	plain, err := m.columns[narrowColumn].Codec.Reveal(nil, []byte(tok))
	if err != nil {
		tb.Fatal(err)
	}
	return string(plain)
}

// forms are what stands for a value in the end, and before.
func (m *movedRows) forms(tb testing.TB, value string, out bool) (newer, older string) {
	tb.Helper()
	if out {
		return value, m.token(tb, value)
	}
	return m.token(tb, value), value
}

// announced says what is about to be written, and has what stands in its way go first, as the gateway does.
func (m *movedRows) announced(tb testing.TB, value string, out bool) (becomes string, err error) {
	tb.Helper()
	becomes, stood := m.forms(tb, value, out)
	c := m.columns[narrowColumn].Column
	said, err := protect.Announce(tb.Context(), m.admin, protect.Announcement{
		Column: c, Value: becomes, Tokens: !out, Stood: protect.Stood{Text: stood, Table: "support.codes", Kind: "integer", Narrow: true},
	})
	if err != nil || !said.Ready {
		tb.Fatal(said, err)
	}
	if !said.Found {
		return becomes, nil
	}
	return becomes, m.ahead(tb, c, out).Go(tb.Context(), m.admin, stood, becomes)
}

func (m *movedRows) ahead(tb testing.TB, c sallyport.Column, out bool) *protect.Ahead {
	tb.Helper()
	return &protect.Ahead{
		Column: c, Table: "support.codes", Kind: "integer", How: strings.NewReplacer("column", c.Name, "t.region", "t0.region", `t."no"`, `t0."no"`).Replace("(" + saidOf + ")::text"), Patience: "1s",
		Next: func(text, stands string) (string, bool, error) {
			if stands == fmt.Sprint(!out) {
				return "", false, nil
			}
			if out {
				return m.reveal(tb, text), true, nil
			}
			return m.token(tb, text), true, nil
		},
		Says: func(text string) protect.Announcement {
			return protect.Announcement{Column: c, Value: text, Tokens: !out}
		},
	}
}

// moved is how many ranges are done.
func (m *movedRows) moved(tb testing.TB) (n int) {
	tb.Helper()
	if err := m.admin.QueryRow(tb.Context(), "SELECT count(*) FROM sallyport.ranges WHERE done").Scan(&n); err != nil {
		tb.Error(err)
	}
	return n
}

// TestNarrow moves integers in and out that stand in each other's way: forwards and backwards in the order of keys, and within one range. Each is right at each moment.
func TestNarrow(t *testing.T) {
	m := newNarrowRows(t, []string{"B 1", "O'x 3", "a 0", "a 4", "ä 2", "ä 398"}, []string{"ä 6", "a 8", "O'x 7", "B 5"}, []string{"B 17", "B 13", "B 21", "B 9"}, []string{"a 12", "ä 394"})
	looked := 0
	m.moving = func(int) { looked++; m.holds(t, saidOf) }
	for _, out := range []bool{false, true, false} {
		m.move(t, out)
	}
	if looked < 10 {
		t.Errorf("looked at it %d times", looked)
	}
}

// TestNarrowTwice: two rows that have one value in both forms stop the run, whatever stands in whose way.
func TestNarrowTwice(t *testing.T) {
	m := newNarrowRows(t)
	m.moving = func(int) {
		if m.moved(t) != 2 || m.values["B 1"][narrowColumn] == m.values["ä 398"][narrowColumn] {
			return
		}
		m.exec(t, "DROP INDEX support.codes_tax_idx")
		newer, _ := m.forms(t, m.values["ä 398"][narrowColumn], false)
		m.exec(t, "UPDATE support.codes SET tax = NULL"+whereKey("B 1"))
		if _, err := m.announced(t, "77", false); err != nil {
			t.Error(err)
		}
		m.exec(t, fmt.Sprintf("INSERT INTO sallyport.announced SELECT 'support.codes'::regclass, 'tax', '%s', true", newer))
		m.exec(t, "UPDATE support.codes SET tax = "+newer+whereKey("B 1"))
		m.set(t, "B 1", m.values["ä 398"][narrowColumn])
		m.exec(t, "CREATE UNIQUE INDEX codes_tax_idx ON support.codes (tax)")
		m.holds(t, saidOf)
	}
	if _, err := protect.MoveIn(t.Context(), m.options(t)); err == nil || !strings.Contains(err.Error(), "two rows have one value") {
		t.Errorf("it ended with %v", err)
	}
	m.holds(t, saidOf)
}

// TestNarrowBesideItsWriters: rows are written beside the run whose new text stands in rows that have not moved, three of them in each other's way. Nothing is refused but what is
// there already, and that in whichever form.
func TestNarrowBesideItsWriters(t *testing.T) {
	m, rows := newNarrowRows(t, []string{"ä 2", "ä 6", "ä 10"}), 0
	for _, out := range []bool{false, true} {
		wrote := 0
		m.moving = func(int) {
			if m.moved(t) < 1 {
				return
			}
			for _, key := range []string{[]string{"ä 398", "a 388", "ä 390"}[wrote%3], "ä 2"} { // whose rows may have moved by now
				newer, older := m.forms(t, m.values[key][narrowColumn], out)
				value := m.reveal(t, older) // its new text is what stands there, where it has not moved
				if out {
					value = older
				}
				if slices.ContainsFunc(slices.Collect(valuesOf(m)), func(v [3]string) bool { return v[narrowColumn] == value }) {
					continue // it was written before
				}
				wrote++
				becomes, err := m.announced(t, value, out)
				if err != nil || becomes != older {
					t.Fatal(becomes, older, newer, err)
				}
				rows++
				to := fmt.Sprintf("%s %d", []string{"A", "zz"}[rows%2], 1000*rows) // into the first range, and into the last
				region, no, _ := strings.Cut(to, " ")
				m.exec(t, fmt.Sprintf(`INSERT INTO support.codes (region, "no", tax) VALUES ('%s', %s, %s)`, region, no, becomes))
				m.values[to] = [3]string{"", "", value}
				for _, again := range []string{key, to} {
					becomes, err := m.announced(t, m.values[again][narrowColumn], out)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.admin.Exec(t.Context(), `INSERT INTO support.codes (region, "no", tax) VALUES ('y', 1, `+becomes+`)`); codeOf(err) != "23505" {
						t.Errorf("the value of row %s is written a second time: %v", again, err)
					}
				}
			}
			m.holds(t, saidOf)
		}
		m.move(t, out)
		if wrote < 2 {
			t.Fatalf("%d were written", wrote)
		}
	}
}

func valuesOf(m *movedRows) func(yield func([3]string) bool) {
	return func(yield func([3]string) bool) {
		for _, v := range m.values {
			if !yield(v) {
				return
			}
		}
	}
}

// TestNarrowWaits: who stands in a row's way is locked by somebody when the run, or a writer, comes to it, and then is gone, or somewhere else, or as it was.
func TestNarrowWaits(t *testing.T) {
	const way = "ä 398"
	for name, c := range map[string]struct {
		first, then string
		becomes     func(t *testing.T, m *movedRows)
	}{
		"deleted":              {`DELETE FROM support.codes` + whereKey(way), "", func(_ *testing.T, m *movedRows) { delete(m.values, way) }},
		"rekeyed to done":      {`UPDATE support.codes SET region = 'A'` + whereKey(way), "", func(_ *testing.T, m *movedRows) { m.rekeyed(way, "A 398") }},
		"rekeyed to not done":  {`UPDATE support.codes SET region = 'zz'` + whereKey(way), "", func(_ *testing.T, m *movedRows) { m.rekeyed(way, "zz 398") }},
		"back":                 {`UPDATE support.codes SET region = 'A'` + whereKey(way), `UPDATE support.codes SET region = 'ä' WHERE region = 'A' AND "no" = 398`, func(*testing.T, *movedRows) {}},
		"nothing":              {`UPDATE support.codes SET tax = NULL` + whereKey(way), "", func(t *testing.T, m *movedRows) { m.set(t, way, "") }},
		"taken back":           {`UPDATE support.codes SET tax = NULL` + whereKey(way), "ROLLBACK", func(*testing.T, *movedRows) {}},
		"another in its place": {`DELETE FROM support.codes` + whereKey(way), `UPDATE support.codes SET region = 'ä', "no" = 398 WHERE region = 'B' AND "no" = 5`, func(_ *testing.T, m *movedRows) { delete(m.values, way); m.rekeyed("B 5", way) }},
		"only looked at":       {`SELECT FROM support.codes` + whereKey(way) + " FOR UPDATE", "", func(*testing.T, *movedRows) {}},
	} {
		for _, out := range []bool{false, true} {
			for _, writer := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, out %v, a writer %v", name, out, writer), func(t *testing.T) {
					chain := []string{"a 388", way} // inwards the second stands in the way of the first, outwards the first in that of the second
					if out {
						slices.Reverse(chain)
					}
					if writer {
						chain = nil
					}
					m := newNarrowRows(t, chain)
					if out {
						m.move(t, false)
					}
					m.waits(t, out, writer, way, c.first, c.then, c.becomes)
				})
			}
		}
	}
}

// waits has somebody hold the row in the way until the run, or a writer, waits for him.
func (m *movedRows) waits(t *testing.T, out, writer bool, way, first, then string, becomes func(*testing.T, *movedRows)) {
	t.Helper()
	met := false
	var behind chan struct{}
	m.moving = func(int) {
		if m.moved(t) < 2 || met {
			return
		}
		met, behind = true, make(chan struct{})
		_, older := m.forms(t, m.values[way][narrowColumn], out)
		holder, tx := m.begins(t, pgx.ReadCommitted, first)
		looks := connect(t, cluster.SuperDSN(m.database))
		go func() {
			defer close(behind)
			awaitBlocked(t, looks, holder)
			if then == "ROLLBACK" {
				_ = tx.Rollback(t.Context())
				return
			}
			if then != "" {
				txExec(t, tx, then)
			}
			commit(t, tx)
		}()
		if !writer {
			becomes(t, m)
			return
		}
		value := m.reveal(t, older)
		if out {
			value = older
		}
		tok, err := m.announced(t, value, out)
		if err != nil {
			t.Fatal(err)
		}
		<-behind
		becomes(t, m)
		if _, err := m.admin.Exec(t.Context(), `INSERT INTO support.codes (region, "no", tax) VALUES ('A', 7000, `+tok+`)`); err != nil {
			t.Fatal(err)
		}
		m.values["A 7000"] = [3]string{"", "", value}
		m.holds(t, saidOf)
	}
	m.move(t, out)
	if !met {
		t.Fatal("nothing came between")
	}
	<-behind
}

// TestNarrowAnnouncedTwice: a number that is announced as a token and as a value is neither, and is not written.
func TestNarrowAnnouncedTwice(t *testing.T) {
	m, done := newNarrowRows(t), false
	m.moving = func(int) {
		if done {
			return
		}
		done = true
		for i, key := range []string{"B 1", "ä 398"} {
			number := fmt.Sprint(77_000 + i)
			m.exec(t, fmt.Sprintf("INSERT INTO sallyport.announced SELECT 'support.codes'::regclass, 'tax', '%s', x FROM unnest('{true,false}'::bool[]) x", number))
			if _, err := m.admin.Exec(t.Context(), "UPDATE support.codes SET tax = "+number+whereKey(key)); codeOf(err) != "55006" {
				t.Errorf("it is written into row %s: %v", key, err)
			}
		}
		m.holds(t, saidOf)
	}
	m.move(t, false)
	if !done {
		t.Fatal("nothing came between")
	}
}
