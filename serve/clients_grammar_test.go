package serve

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestClientGrammar has the server say what is wrong with a text that cannot be read here, in its own words and place, without
// telling it, or its log, a value.
func TestClientGrammar(t *testing.T) {
	f := newFort(t, "")
	who, _, _ := f.hasTicket(0)
	ways := f.ways(who, f.passwords[who])
	f.superExec(f.database, "ALTER ROLE "+string(who)+" SET log_min_error_statement = error")
	const secret = "ada.lovelace.1815@mail.example"
	for _, text := range []string{
		"SELEC 1", "SELECT * FORM support.customers WHERE email = '" + secret + "'", "SELECT 'é' é é FROM", "SELECT \"ada\" \"b\" \"c\"",
		"SELECT id FROM support.customers WHERE email = ada.lovelace.1815@@ @mail 'x' 'y'", "INSERT INTO support.customers VALUES ((('" + secret + "'))", "SELECT 1 2 3",
		"SELECT 1; SELEC 2", "UPDATE support.customers SET SET email = $$" + secret + "$$", "/* " + secret + " */ SELECT SELECT 1 -- " + secret,
	} {
		for _, extended := range []bool{false, true} {
			var heard [2][]string
			for i, dsn := range ways {
				k := newTalk(t, dsn)
				k.nameless = true
				if extended {
					heard[i] = k.say(parse("", text), bind("", ""), execute("", 0), &pgproto3.Sync{})
				} else {
					heard[i] = k.say(sql(text))
				}
				heard[i] = append(heard[i], k.say(sql("SELECT 1"))...)
				_ = k.conn.Close()
			}
			if direct, through := strings.Join(heard[0], "\n"), strings.Join(heard[1], "\n"); direct != through {
				t.Errorf("%s (extended %v):\ndirectly:\n%s\nthrough the gateway:\n%s", text, extended, direct, through)
			}
		}
	}
	k := newTalk(t, ways[1])
	defer k.conn.Close()
	mark := len(theHeard(t))
	if heard := strings.Join(k.say(sql("SELEC '"+secret+"'")), "\n"); !strings.Contains(heard, `"42601"`) {
		t.Errorf("no syntax error: %s", heard)
	}
	// A server before 17 reads this call of a function, the parser does not: it is refused whatever the server thinks of it.
	if heard := strings.Join(k.say(sql("SELECT json_scalar(1, 2)")), "\n"); !strings.Contains(heard, `"42601"`) {
		t.Errorf("not refused: %s", heard)
	}
	if said := theHeard(t)[mark:]; strings.Contains(said, secret) || !strings.Contains(said, "zzzzz") {
		t.Errorf("the server heard: %s", said)
	}
}

// theHeard is the server's log so far.
func theHeard(t *testing.T) string {
	t.Helper()
	s, err := theStage()
	if err != nil {
		t.Fatal(err)
	}
	return s.heard.String()
}
