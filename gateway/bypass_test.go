package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport"
	"sallyport/internal/throwaway"
	"sallyport/sim"
)

// TestBypass tries the permanent corpus of tricks, testdata/bypass.txt, on a real server. A trick succeeds where a byte of another
// customer's data comes back, or where a mark that was written to or compared with a protected column reaches the server or Sallyport's own
// files. Whether a statement is refused, fails or works is not looked at here.
//
// Every row is tried by one of those whom it names and by one protocol, in turn; with SALLYPORT_SIEGE=1 by all and both.
func TestBypass(t *testing.T) {
	rows := readTricks(t)
	if len(rows) < 1071 {
		t.Errorf("the corpus has %d rows; it must only grow", len(rows))
	}
	b := newBesieged(t)
	b.control()
	for i := range rows {
		k := &rows[i]
		ways := k.ways()
		if os.Getenv("SALLYPORT_SIEGE") == "" {
			ways = ways[i%len(ways) : i%len(ways)+1]
		}
		for _, w := range ways {
			for _, leak := range b.leaks(b.try(i, k, w)) {
				t.Errorf("row %d (line %d), %s by the %s protocol: %s comes back: %s", i, k.line, w.who, w.protocol(), leak, k.sql[0])
			}
		}
	}
	b.control()
	b.nothingStored(rows)
	t.Logf("%d tricks", len(rows))
}

// trick is one row of the corpus.
type trick struct {
	line   int
	who    []string
	only   string // simple or extended; empty: both
	undone bool
	chain  bool
	steps  bool
	read   bool
	sql    []string
	args   []string
}

// way is one of those in which a trick is tried.
type way struct {
	who      string
	extended bool
	bare     bool // outside of a transaction
}

func (w way) protocol() string {
	if w.extended {
		return "extended"
	}
	return "simple"
}

func (k *trick) ways() []way {
	var out []way
	for _, who := range k.who {
		for _, extended := range []bool{false, true} {
			if k.only == "simple" && extended || k.only == "extended" && !extended || k.args != nil && !extended {
				continue
			}
			out = append(out, way{who: who, extended: extended})
		}
	}
	if k.steps {
		out = append(out, way{who: "engineer", bare: true})
	}
	return out
}

// readTricks reads the corpus; what its lines mean stands on its top.
func readTricks(t *testing.T) []trick {
	t.Helper()
	file, err := os.Open("testdata/bypass.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var rows []trick
	var shape trick
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		text := strings.ReplaceAll(lines.Text(), "⏎", "\n")
		argument, isArgument := strings.CutPrefix(text, "\t$ ")
		switch {
		case text == "" || strings.HasPrefix(text, "#"):
		case strings.HasPrefix(text, "= "):
			shape = shapeOf(t, text)
		case isArgument:
			rows[len(rows)-1].args = append(rows[len(rows)-1].args, argument)
		case strings.HasPrefix(text, "\t"):
			rows[len(rows)-1].sql = append(rows[len(rows)-1].sql, text[1:])
		default:
			k := shape
			k.line, k.sql = n, []string{text}
			rows = append(rows, k)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return rows
}

func shapeOf(t *testing.T, text string) trick {
	t.Helper()
	_, words, _ := strings.Cut(text, ":")
	var k trick
	for word := range strings.FieldsSeq(words) {
		switch word {
		case "agent", "engineer", "stranger":
			k.who = append(k.who, word)
		case "simple", "extended":
			k.only = word
		case "undone":
			k.undone = true
		case "chain":
			k.chain = true
		case "steps":
			k.steps = true
		case "read":
			k.read = true
		default:
			t.Fatalf("%q says %q, which means nothing", text, word)
		}
	}
	return k
}

// besieged is a stage under attack, with all that may not come out of it.
type besieged struct {
	*stage
	agent, engineer sallyport.Staff
	ticket, vticket sim.Ticket
	own, victim     sim.Customer
	emails, numbers map[string]bool // true: of somebody who is not covered
	secrets         []string
	binaryDate      []byte
	from            int // where the server's log was when it began
	lines           map[string]*line
}

// line is a connection that tricks share; each leaves it as it was found, or closed.
type line struct {
	*pgconn.PgConn
	*ear
}

func newBesieged(t *testing.T) *besieged {
	t.Helper()
	b := &besieged{stage: newStage(t), emails: map[string]bool{}, numbers: map[string]bool{}, lines: map[string]*line{}}
	b.agent = b.org.Agents()[0].ID
	b.ticket = b.org.Ticket(b.org.OpenTickets(b.agent)[0])
	b.own = b.org.Customer(b.ticket.Customer)
	for _, p := range b.org.Staff {
		if p.Role == sim.Engineer {
			b.engineer = p.ID
		}
	}
	served := map[int64]bool{}
	for _, id := range b.org.OpenTickets(b.agent) {
		served[b.org.Ticket(id).Customer] = true
	}
	for id := int64(1); id <= b.org.Tickets; id++ {
		tk := b.org.Ticket(id)
		b.numbers[tk.No] = tk.Customer != b.own.ID
		c := b.org.Customer(tk.Customer)
		if !served[c.ID] && c.Phone != "" && c.Notes != "" && !c.BirthDate.IsZero() && c.FullName != b.own.FullName && tk.State != sim.Closed {
			b.vticket, b.victim = tk, c
		}
	}
	for id := int64(1); id <= b.org.Customers; id++ {
		c := b.org.Customer(id)
		b.emails[strings.ToLower(c.Email)] = id != b.own.ID
		if c.Phone != "" {
			b.numbers[c.Phone] = id != b.own.ID
		}
	}
	birth := b.victim.BirthDate
	b.secrets = []string{b.victim.FullName, birth.Format("2006-01-02"), birth.Format("01/02/2006"), birth.Format("02.01.2006"), b.vticket.Subject}
	if !strings.Contains(b.own.Notes, b.victim.Notes) {
		b.secrets = append(b.secrets, b.victim.Notes)
	}
	day := int32(birth.Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Hours() / 24)
	b.binaryDate = binary.BigEndian.AppendUint32([]byte{0, 0, 0, 4}, uint32(day)) //nolint:gosec // days since 2000, signed
	b.from = len(b.heard.String())
	return b
}

var (
	addressForm = regexp.MustCompile(`[A-Za-z0-9._%+'-]+@[A-Za-z0-9.-]+\.example`) //nolint:gochecknoglobals // constants
	numberForm  = regexp.MustCompile(`\+[0-9]{7,15}|CS-[0-9]{4}-[0-9]{4}`)
	markForm    = regexp.MustCompile(`(?i)qq7r([0-9]{4})|\+155501([0-9]{4})|CS-([0-9]{4})-7711`)
)

// leaks names what stands in the bytes that came back and belongs to somebody who is not covered.
func (b *besieged) leaks(raw []byte) []string {
	var found []string
	for what, form := range map[string]*regexp.Regexp{"address": addressForm, "number": numberForm} {
		for _, m := range form.FindAll(raw, -1) {
			if b.emails[strings.ToLower(string(m))] || b.numbers[string(m)] {
				found = append(found, "somebody's "+what)
				break
			}
		}
	}
	for i, secret := range b.secrets {
		if len(secret) > 4 && bytes.Contains(raw, []byte(secret)) {
			found = append(found, fmt.Sprintf("the victim's secret %d", i))
		}
	}
	if bytes.Contains(raw, b.binaryDate) {
		found = append(found, "the victim's birth date")
	}
	return found
}

// fill puts a row's marks and the ids into a text.
func (b *besieged) fill(row int, text string) string {
	mark, id := fmt.Sprintf("qq7r%04d", row), func(n int64) string { return strconv.FormatInt(n, 10) }
	return strings.NewReplacer(
		"{m}", mark, "{email}", mark+"@x.example", "{EMAIL}", strings.ToUpper(mark)+"@x.example", "{phone}", fmt.Sprintf("+155501%04d", row), "{name}", "Anna "+mark,
		"{no}", fmt.Sprintf("CS-%04d-7711", row), "{text}", "text "+mark, "{own}", id(b.own.ID), "{victim}", id(b.victim.ID), "{ticket}", id(b.ticket.ID),
		"{vticket}", id(b.vticket.ID), "{me}", string(b.agent), "{row}", strconv.Itoa(row), "{vno}", b.vticket.No, "{vemail}", b.victim.Email,
	).Replace(text)
}

// lineOf is a connection of somebody's, under his reason if he has one.
func (b *besieged) lineOf(who string) *line {
	b.t.Helper()
	l := b.lines[who]
	if l == nil || l.PgConn.IsClosed() {
		login, password := string(b.agent), b.passwords[b.agent]
		switch who {
		case "engineer":
			login, password = string(b.engineer), b.passwords[b.engineer]
		case "stranger":
			login, password = b.cluster.Superuser, b.cluster.Password
		}
		conn, kept := b.dial(login, password)
		l = &line{conn, kept}
		b.lines[who] = l
		b.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	}
	if who == "agent" {
		_, err := l.Exec(b.t.Context(), fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", b.ticket.ID)).ReadAll()
		b.must(err)
	}
	l.ear.read.take()
	return l
}

// try runs one trick in one way and returns all bytes that came back.
func (b *besieged) try(row int, k *trick, w way) []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	l := b.lineOf(w.who)
	statements := slices.Clone(k.sql)
	if k.undone && !w.bare {
		statements = slices.Concat([]string{"BEGIN"}, statements, []string{"ROLLBACK"})
	}
	for i, text := range statements {
		sql := b.fill(row, text)
		var args [][]byte
		if i == len(statements)-1 {
			for _, a := range k.args {
				args = append(args, []byte(b.fill(row, a)))
			}
		}
		var err error
		switch {
		case strings.HasPrefix(sql, "COPY ") && strings.Contains(sql, " FROM STDIN") && !strings.Contains(sql, ";"):
			_, err = l.CopyFrom(ctx, strings.NewReader(b.fill(row, "{email}\n")), sql)
		case !w.extended:
			_, err = l.Exec(ctx, sql).ReadAll()
		case row%2 == 0:
			err = l.ExecParams(ctx, sql, args, nil, nil, []int16{1}).Read().Err
		default:
			err = l.ExecParams(ctx, sql, args, nil, nil, nil).Read().Err
		}
		if ctx.Err() != nil {
			b.t.Errorf("it hangs: %s", text)
		}
		if testing.Verbose() && err != nil {
			b.t.Logf("→ %.120s: %v", sql, err)
		}
		if err != nil && k.chain {
			break
		}
	}
	if k.read {
		for _, sql := range []string{"SELECT * FROM support.customers WHERE id = {own}", "SELECT * FROM support.messages WHERE ticket_id = {ticket}", "SELECT * FROM support.tickets WHERE customer_id = {own}"} {
			_, _ = l.Exec(ctx, b.fill(row, sql)).ReadAll()
		}
	}
	raw := l.ear.read.take()
	for _, sql := range []string{"ROLLBACK", "DISCARD ALL"} {
		if _, err := l.Exec(ctx, sql).ReadAll(); err != nil {
			_ = l.PgConn.Close(ctx)
		}
	}
	return append(raw, l.ear.read.take()...)
}

// control shows that the tricks are tried where something can be read at all, and that what would come back of others would be seen.
func (b *besieged) control() {
	b.t.Helper()
	for _, c := range []string{b.victim.Email, b.victim.Phone, b.vticket.No, b.victim.FullName, b.victim.Notes, b.vticket.Subject, b.victim.BirthDate.Format("2006-01-02"), string(b.binaryDate)} {
		if len(b.leaks([]byte("x "+c+" y"))) == 0 {
			b.t.Fatal("a value of the victim's would not be seen: the corpus proves nothing")
		}
	}
	if len(b.leaks([]byte(b.own.Email+" "+b.own.FullName))) > 0 || !markForm.MatchString(b.fill(0, "{m} {phone}")) {
		b.t.Fatal("what may come back counts, or a mark does not: the corpus proves nothing")
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		l := b.lineOf("agent")
		_, err := l.Exec(b.t.Context(), fmt.Sprintf("SELECT full_name, country FROM support.customers WHERE id = %d", b.own.ID)).ReadAll()
		raw := l.ear.read.take()
		if err == nil && bytes.Contains(raw, []byte(b.own.Country)) && !bytes.Contains(raw, []byte("values stay tokens")) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatal("the agent cannot read his own customer: the corpus proves nothing")
		}
		time.Sleep(20 * time.Millisecond) // between two looks at the condition
	}
}

// nothingStored looks for marks in what reached the server, in what stands in the database now, and in what Sallyport wrote.
func (b *besieged) nothingStored(rows []trick) {
	b.t.Helper()
	b.exec(b.cluster.SuperDSN("support"), "SELECT 'the end of the siege'")
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(b.heard.String()[b.from:], "the end of the siege"); {
		if time.Now().After(deadline) {
			b.t.Fatal("the server's log does not come to its end")
		}
		time.Sleep(20 * time.Millisecond) // between two looks at the condition
	}
	dump, err := throwaway.Dump(b.t.Context(), b.cluster.SuperDSN("support"))
	b.must(err)
	own := b.log.String() + everything(b.t, b.data)
	if leaks := b.leaks([]byte(own)); len(leaks) > 0 {
		b.t.Errorf("in Sallyport's own log or folder stands %s", leaks)
	}
	if strings.Contains(own, "internal fault") || strings.Contains(own, "something unexpected") {
		b.t.Error("the gateway lost its way; see its log")
	}
	for where, text := range map[string]string{"stands in Sallyport's log or folder": own, "reached the server": b.heard.String()[b.from:], "stands in the database": dump} {
		told := map[int]bool{}
		for _, m := range markForm.FindAllStringSubmatch(text, -1) {
			row, _ := strconv.Atoi(m[1] + m[2] + m[3])
			if row >= len(rows) || told[row] {
				continue
			}
			told[row] = true
			b.t.Errorf("row %d (line %d): its mark %s: %s", row, rows[row].line, where, rows[row].sql[0])
		}
	}
}

// everything is what all files below a folder hold.
func everything(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
