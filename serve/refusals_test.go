package serve

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/policy"
)

// What a person reads in psql who is refused stands in testdata/refusals, as psql prints it with the code (VERBOSITY verbose): a statement, and beneath it,
// indented, all that psql says. "= WHO" begins a session, with words for psql behind it; "⏎" is a line break. UPDATE=1 writes down what psql says now; read
// the diff. TestEveryRefusalIsShown holds the code to these files.

// scene is a file of refusals, and the fort in which they are read.
type scene struct {
	name string
	fort func(t *testing.T) (f *fort, more map[string]string) // besides the words that all scenes have
}

func scenes() []scene {
	return []scene{
		{"statements", statementScene},
		{"masked", func(t *testing.T) (*fort, map[string]string) {
			return newFort(t, "mask: {columns: {support.staff.name: {}, support.tickets.queue: {}}}\n"), nil
		}},
		{"moving", func(t *testing.T) (*fort, map[string]string) { return halfFort(t, rich), nil }},
		{"people", peopleScene},
		{"acting", actingScene},
	}
}

// statementScene has a function and a trigger that reach what is protected, and somebody who may make functions.
func statementScene(t *testing.T) (*fort, map[string]string) {
	s := built(t, theStage)
	maker := string(s.org.Agents()[5].ID)
	f := newFort(t, rich+"powers: {function: ["+maker+"]}\n")
	f.superExec(f.database, `CREATE FUNCTION support.find(text) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM support.customers WHERE email = $1 $$;
CREATE FUNCTION support.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE support.customers SET notes = NEW.queue WHERE id = NEW.customer_id; RETURN NEW; END $$;
CREATE TRIGGER note AFTER UPDATE ON support.tickets FOR EACH ROW EXECUTE FUNCTION support.note()`)
	return f, map[string]string{
		"maker": maker, "deep": strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000), "comments": strings.Repeat("/**/", 2001),
		"chain": strings.Repeat("1,", 600_000) + "1", "long": strings.Repeat("x", 70),
	}
}

// actingScene has assertions about two people, by the issuer's word.
func actingScene(t *testing.T) (*fort, map[string]string) {
	d := newDesk(t)
	var people []sallyport.Staff
	for _, p := range d.org.Agents() {
		if p.Team == "support-eu" {
			people = append(people, p.ID)
		}
	}
	d.lock(people[2])
	return d.fort, map[string]string{
		"hers": d.word(d.issuer, people[0]), "his": d.word(d.issuer, people[1]), "out": d.word(d.issuer, people[2]), "nobodys": d.word(d.issuer, "nobody"),
		"long": strings.Repeat("x", 20_000),
	}
}

// peopleScene has small budgets, somebody who is locked, and policies that forbid and have statements wait.
func peopleScene(t *testing.T) (*fort, map[string]string) {
	f := newFort(t, "budgets: {default: {revealed: {day: 1}, reached: {day: 200}, probed: {day: 5}}}\n",
		policed(t, policy.Text{Name: "narrow.cedar", Content: narrow}))
	f.lock(f.org.Agents()[3].ID)
	return f, nil
}

// words are what stands in braces in a scene.
func (f *fort) words(more map[string]string) map[string]string {
	who, ticket, customer := f.hasTicket(0)
	_, other, theirs := f.hasTicket(1)
	out := map[string]string{
		"me": string(who), "ticket": fmt.Sprint(ticket.ID), "customer": fmt.Sprint(customer.ID), "email": customer.Email, "phone": customer.Phone,
		"other": fmt.Sprint(other.ID), "theirs": fmt.Sprint(theirs.ID), "database": f.database, "locked": string(f.org.Agents()[3].ID),
	}
	maps.Copy(out, more)
	return out
}

// refusalRow is a statement and what psql said of it, or the beginning of a session.
type refusalRow struct {
	line    int
	comment []string // lines before it
	text    string
	says    []string
}

func readScene(t *testing.T, path string) (rows []refusalRow, tail []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var comment []string
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; scanner.Scan(); n++ {
		switch line := scanner.Text(); {
		case line == "" || strings.HasPrefix(line, "#"):
			comment = append(comment, line)
		case strings.HasPrefix(line, "\t"):
			rows[len(rows)-1].says = append(rows[len(rows)-1].says, line[1:])
		default:
			rows, comment = append(rows, refusalRow{line: n, comment: comment, text: line}), nil
		}
	}
	return rows, comment
}

// TestRefusals reads every refusal in psql.
func TestRefusals(t *testing.T) {
	if _, err := exec.LookPath("psql"); err != nil {
		t.Skip("psql is not installed")
	}
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f, more := s.fort(t)
			words := f.words(more)
			path := filepath.Join("testdata", "refusals", s.name+".txt")
			rows, tail := readScene(t, path)
			for from := 0; from < len(rows); {
				to := from + 1
				for to < len(rows) && !strings.HasPrefix(rows[to].text, "= ") {
					to++
				}
				f.readRefusals(t, path, rows[from:to], words)
				from = to
			}
			if os.Getenv("UPDATE") != "" {
				writeScene(t, path, rows, tail)
			}
		})
	}
}

// readRefusals has one psql read the statements of a session.
func (f *fort) readRefusals(t *testing.T, path string, rows []refusalRow, words map[string]string) {
	t.Helper()
	who, more, _ := strings.Cut(strings.TrimPrefix(fill(rows[0].text, words), "= "), " ")
	password, known := f.passwords[sallyport.Staff(who)]
	if !known {
		password = strings.TrimPrefix(who, "svc_")
	}
	args := []string{"-X", "-q", "-v", "VERBOSITY=verbose", "-v", "SHOW_CONTEXT=never", f.dsnOf(sallyport.Staff(who), password, f.database) + more}
	var in strings.Builder
	for i, r := range rows[1:] {
		fmt.Fprintf(&in, "\\warn @ %d\n%s\n;\n", i+1, strings.ReplaceAll(fill(r.text, words), "⏎", "\n"))
	}
	ctx, cancel := context.WithTimeout(t.Context(), stretched(2*time.Minute))
	defer cancel()
	cmd := exec.CommandContext(ctx, "psql", args...) //nolint:gosec // the test's own arguments
	cmd.Env = append(os.Environ(), "LC_ALL=C", "PGCONNECT_TIMEOUT=10", "PGCLIENTENCODING=UTF8")
	var said bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(in.String()), &said
	_ = cmd.Run() // refusals end it, too
	got := make([][]string, len(rows))
	at := 0
	for line := range strings.Lines(said.String()) {
		line = strings.TrimRight(line, "\n")
		if n := 0; strings.HasPrefix(line, "@ ") {
			if _, err := fmt.Sscanf(line, "@ %d", &n); err == nil {
				at = n
				continue
			}
		}
		if !strings.HasPrefix(line, "LOCATION: ") { // where PostgreSQL's source says it
			got[at] = append(got[at], empty(line, words))
		}
	}
	for i := range rows {
		if os.Getenv("UPDATE") == "" && !slices.Equal(got[i], rows[i].says) {
			t.Errorf("%s:%d: %s\n got:\n\t%s\nwant:\n\t%s", path, rows[i].line, rows[i].text, strings.Join(got[i], "\n\t"), strings.Join(rows[i].says, "\n\t"))
		}
		rows[i].says = got[i]
	}
}

func fill(text string, words map[string]string) string {
	for name, value := range words {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// varying is what is another in each run.
var varying = regexp.MustCompile(`sallyport approve [a-z0-9]{10}|port \d{4,5}|:\d{4,5}\b|on line \d+`) //nolint:gochecknoglobals // constant

// empty puts names back where what they stand for is another in each run.
func empty(line string, words map[string]string) string {
	for _, name := range []string{"hers", "his", "out", "nobodys", "email", "phone", "me", "locked", "maker", "database", "ticket", "other", "customer", "theirs"} {
		if value := words[name]; len(value) > 2 {
			line = regexp.MustCompile(`\b`+regexp.QuoteMeta(value)+`\b`).ReplaceAllString(line, "{"+name+"}")
		}
	}
	return varying.ReplaceAllStringFunc(line, func(s string) string {
		return regexp.MustCompile(`[a-z0-9]{10}$|\d+`).ReplaceAllString(s, "…")
	})
}

func writeScene(t *testing.T, path string, rows []refusalRow, tail []string) {
	t.Helper()
	var b strings.Builder
	for _, r := range rows {
		for _, line := range append(r.comment, r.text) {
			b.WriteString(line + "\n")
		}
		for _, line := range r.says {
			b.WriteString("\t" + line + "\n")
		}
	}
	for _, line := range tail {
		b.WriteString(line + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}
