package query

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestNoMarkerSurvives is the invariant "nothing plain passes" for statements made at random. The generator knows by
// construction where each literal flows: one that is written to or compared with a protected column must not stand in the text
// that is sent, unless the statement is refused; one that never meets a protected column must stand there unchanged.
func TestNoMarkerSurvives(t *testing.T) {
	analyzer := New(refSchema(), Options{Facts: refFacts()})
	passed, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		g := &generator{T: t, protected: map[string]bool{}}
		sql := g.statement()
		plan, err := analyzer.Analyze(sql, true)
		if err != nil {
			t.Fatalf("%v: %s", err, sql)
		}
		if plan.Statements[0].Refusal != nil {
			refused++
			return
		}
		passed++
		text := applyHex(plan.Text, plan.Statements[0].Edits)
		for _, marker := range g.markers {
			survives := strings.Contains(text, marker)
			if g.protected[marker] && survives {
				t.Fatalf("%s survives\n  in: %s\n out: %s", marker, sql, text)
			}
			if !g.protected[marker] && !survives {
				t.Fatalf("%s is lost\n  in: %s\n out: %s", marker, sql, text)
			}
		}
	})
	t.Logf("%d passed, %d refused", passed, refused)
	if passed == 0 {
		t.Error("every statement was refused: this shows nothing")
	}
}

// applyHex is what would be sent; tokens do not show the value.
func applyHex(text string, edits []Edit) string {
	var out strings.Builder
	at := 0
	for _, e := range edits {
		out.WriteString(text[at:e.Start] + e.Text)
		if e.Slot != nil {
			out.WriteString("'" + hex.EncodeToString([]byte(e.Slot.Value)) + "'")
		}
		at = e.End
	}
	return out.String() + text[at:]
}

// generator makes statements. Markers are literals that stand nowhere else.
type generator struct {
	*rapid.T
	markers   []string
	protected map[string]bool // markers that meet a protected column
	names     int
}

// column is what an expression may hold: a protected column, markers, or both.
type column struct {
	text    string
	guarded bool
	markers []string
}

// source of rows: the text for FROM and its columns, qualified.
type rows struct {
	text    string
	columns []column
}

func (g *generator) pick(n int) int { return rapid.IntRange(0, n-1).Draw(g.T, "n") }

func (g *generator) name() string {
	g.names++
	return fmt.Sprintf("n%d", g.names)
}

func (g *generator) marker() string {
	m := fmt.Sprintf("mark%dx", len(g.markers))
	g.markers = append(g.markers, m)
	return m
}

// literal writes a fresh marker in one of the ways in which a text may be written.
func (g *generator) literal() column {
	m := g.marker()
	forms := []string{
		"'%s'", "'%s'", "E'%s'", "$$%s$$", "$t$%s$t$", "'%s'::text", "text '%s'", "CAST('%s' AS varchar)", "('%s')", "(SELECT '%s')",
		"coalesce(NULL, '%s')", "CASE WHEN true THEN '%s' END", "(ARRAY['%s'])[1]", "U&'%s'", "U&'%s' UESCAPE '!'", "N'%s'", "'%s' COLLATE \"C\"",
		"lower('%s')", "'%s'::varchar(9)", "'%s' || 'y'", "(VALUES ('%s'))", "/* c */ '%s' -- d\n", "(SELECT q FROM (SELECT '%s' AS q) p)",
	}
	return column{text: fmt.Sprintf(forms[g.pick(len(forms))], m), markers: []string{m}}
}

// meet notes that two values are compared.
func (g *generator) meet(a, b column) {
	if a.guarded || b.guarded {
		for _, m := range append(append([]string{}, a.markers...), b.markers...) {
			g.protected[m] = true
		}
	}
}

// from makes a source of rows of some depth.
func (g *generator) from(depth int) rows {
	alias := g.name()
	if depth <= 0 {
		return g.table(alias)
	}
	switch g.pick(6) {
	case 0: // columns renamed in a sub-select
		inner := g.from(depth - 1)
		var out rows
		var list []string
		for _, c := range inner.columns {
			name := g.name()
			list = append(list, c.text+" AS "+name)
			out.columns = append(out.columns, column{alias + "." + name, c.guarded, c.markers})
		}
		out.text = fmt.Sprintf("(SELECT %s FROM %s WHERE %s) %s", strings.Join(list, ", "), inner.text, g.condition(inner.columns, depth-1), alias)
		return out
	case 1: // literals beside rows
		inner := g.from(depth - 1)
		c, l := inner.columns[g.pick(len(inner.columns))], g.literal()
		all := " ALL"
		if g.pick(3) == 0 {
			all = ""
			g.meet(c, l)
		}
		text := fmt.Sprintf("(SELECT %s FROM %s UNION%s SELECT %s) %s(u)", c.text, inner.text, all, l.text, alias)
		return rows{text, []column{{alias + ".u", c.guarded, append(append([]string{}, c.markers...), l.markers...)}}}
	case 2: // VALUES
		a, b := g.literal(), g.literal()
		return rows{fmt.Sprintf("(VALUES (%s, %s)) %s(v, w)", a.text, b.text, alias), []column{{alias + ".v", false, a.markers}, {alias + ".w", false, b.markers}}}
	case 3: // LATERAL
		inner := g.from(depth - 1)
		c := inner.columns[g.pick(len(inner.columns))]
		return rows{fmt.Sprintf("%s CROSS JOIN LATERAL (SELECT %s) %s(l)", inner.text, c.text, alias), append(inner.columns, column{alias + ".l", c.guarded, c.markers})}
	case 4: // JOIN … USING against a literal
		l := g.literal()
		c := column{alias + ".email", true, nil}
		g.meet(c, l)
		return rows{fmt.Sprintf("customers %s JOIN (SELECT %s AS email) %sj USING (email)", alias, l.text, alias), []column{c, {alias + ".phone", true, nil}}}
	default:
		left, right := g.from(depth-1), g.from(depth-1)
		both := append(append([]column{}, left.columns...), right.columns...)
		return rows{fmt.Sprintf("%s JOIN %s ON %s", left.text, right.text, g.condition(both, depth-1)), both}
	}
}

func (g *generator) table(alias string) rows {
	guarded := func(names ...string) (out []column) {
		for _, n := range names {
			out = append(out, column{alias + "." + n, true, nil})
		}
		return out
	}
	switch g.pick(5) {
	case 0:
		return rows{"leads " + alias, append(guarded("email", "mobile"), column{alias + ".source", false, nil})}
	case 1:
		return rows{"open_cases " + alias, guarded("email", "full_name", "ticket_no")}
	case 2:
		return rows{"staff " + alias, []column{{alias + ".name", false, nil}}}
	}
	return rows{"support.customers " + alias, append(guarded("email", "phone", "full_name"), column{alias + ".plan", false, nil})}
}

// condition compares columns with literals and with each other.
func (g *generator) condition(columns []column, depth int) string {
	c, l := columns[g.pick(len(columns))], g.literal()
	g.meet(c, l)
	text := ""
	switch g.pick(12) {
	case 0:
		text = l.text + " = " + c.text
	case 1:
		more := g.literal()
		g.meet(c, more)
		text = fmt.Sprintf("%s IN (%s, %s)", c.text, l.text, more.text)
	case 2:
		text = fmt.Sprintf("%s = ANY (ARRAY[%s])", c.text, l.text)
	case 3:
		text = fmt.Sprintf("%s IS DISTINCT FROM %s", c.text, l.text)
	case 4:
		d, m := columns[g.pick(len(columns))], g.literal()
		g.meet(d, m)
		text = fmt.Sprintf("(%s, %s) = (%s, %s)", c.text, d.text, l.text, m.text)
	case 5:
		text = fmt.Sprintf("%s LIKE %s", c.text, l.text)
	case 6:
		text = fmt.Sprintf("lower(%s) = %s", c.text, l.text)
	case 7:
		text = fmt.Sprintf("CASE %s WHEN %s THEN true END", c.text, l.text)
	case 8:
		d := columns[g.pick(len(columns))]
		g.meet(c, d)
		text = fmt.Sprintf("%s <> %s AND %s = %s", c.text, l.text, c.text, d.text)
	case 9:
		if depth > 0 {
			inner := g.from(depth - 1)
			d := inner.columns[g.pick(len(inner.columns))]
			g.meet(c, d)
			text = fmt.Sprintf("%s = %s OR %s IN (SELECT %s FROM %s)", c.text, l.text, c.text, d.text, inner.text)
			break
		}
		fallthrough
	case 10:
		if depth > 0 {
			inner := g.from(depth - 1)
			text = fmt.Sprintf("EXISTS (SELECT 1 FROM %s WHERE %s) AND %s = %s", inner.text, g.condition(append(inner.columns, columns...), depth-1), c.text, l.text)
			break
		}
		fallthrough
	default:
		text = c.text + " = " + l.text
	}
	return text
}

func (g *generator) statement() string {
	switch g.pick(9) {
	case 0:
		e, p := g.stored("phone"), g.stored("plan")
		return fmt.Sprintf("INSERT INTO customers (id, phone, plan) VALUES (1, %s, %s) ON CONFLICT (id) DO UPDATE SET phone = %s", e, p, g.stored("email"))
	case 1:
		r := g.from(1)
		c := r.columns[g.pick(len(r.columns))]
		for _, m := range c.markers {
			g.protected[m] = true
		}
		return fmt.Sprintf("INSERT INTO leads (id, email, source) SELECT 1, %s, %s FROM %s WHERE %s", c.text, g.stored("source"), r.text, g.condition(r.columns, 1))
	case 2:
		r := g.from(1)
		all := append([]column{{"t.email", true, nil}, {"t.segment", false, nil}}, r.columns...)
		return fmt.Sprintf("UPDATE customers t SET email = %s, segment = %s FROM %s WHERE %s", g.stored("email"), g.stored("segment"), r.text, g.condition(all, 1))
	case 3:
		r := g.from(1)
		c := r.columns[g.pick(len(r.columns))]
		for _, m := range c.markers {
			g.protected[m] = true
		}
		return fmt.Sprintf("UPDATE customers t SET email = %s FROM %s WHERE %s", c.text, r.text, g.condition(append(r.columns, column{"t.phone", true, nil}), 1))
	case 4:
		return fmt.Sprintf("DELETE FROM leads d WHERE %s RETURNING *", g.condition([]column{{"d.email", true, nil}, {"d.source", false, nil}}, 2))
	case 5:
		r, n := g.from(2), g.name()
		c := r.columns[g.pick(len(r.columns))]
		c.text = strings.TrimSpace(c.text)
		inCTE := column{n + ".c", c.guarded, c.markers}
		return fmt.Sprintf("WITH %s(c) AS (SELECT %s FROM %s) SELECT * FROM %s WHERE %s", n, c.text, r.text, n, g.condition([]column{inCTE}, 1))
	}
	r := g.from(2)
	return fmt.Sprintf("SELECT * FROM %s WHERE %s", r.text, g.condition(r.columns, 2))
}

// stored is a literal that a column receives.
func (g *generator) stored(name string) string {
	l := g.literal()
	if name == "phone" || name == "email" {
		g.protected[l.markers[0]] = true
	}
	return l.text
}
