package serve

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// TestClientRandomConversations makes conversations up: the gateway's idea of which reply is due must never part from the
// server's. Everything in them reads and writes the same both ways.
func TestClientRandomConversations(t *testing.T) {
	f := newFort(t, "")
	who, ticket, _ := f.hasTicket(0)
	f.superExec(f.database, "GRANT TEMPORARY ON DATABASE "+f.database+" TO PUBLIC")
	conversations := 60
	switch {
	case testing.Short():
		conversations = 10
	case os.Getenv("SALLYPORT_SIEGE") != "": // minutes; all of them held when this was written
		conversations = 990
	}
	ways := f.ways(who, f.passwords[who])
	goesOn := f.cluster.Major < 14
	for seed := range uint64(conversations) {
		steps := madeUp(rand.New(rand.NewPCG(seed, 7)), ticket.ID) //nolint:gosec // not for secrets
		first := differing(t, ways, goesOn, steps)
		if first == "" {
			continue
		}
		t.Logf("conversation %d: %s", seed, first) // should making it smaller take too long
		for shrunk := true; shrunk; {              // to what matters, a message at a time
			shrunk = false
			for n := len(steps) - 1; n >= 0; n-- {
				if less := slices.Delete(slices.Clone(steps), n, n+1); differing(t, ways, goesOn, less) != "" {
					steps, shrunk = less, true
					continue
				}
				for m := range slices.Backward(steps[n]) {
					less := slices.Clone(steps)
					less[n] = slices.Delete(slices.Clone(steps[n]), m, m+1)
					if differing(t, ways, goesOn, less) != "" {
						steps, shrunk = less, true
					}
				}
			}
		}
		t.Fatalf("conversation %d: %s\nsaid:%s", seed, differing(t, ways, goesOn, steps), told(steps))
	}
}

// differing has a conversation both ways and says where they part. goesOn tells of a server that goes on where the protocol was
// broken in the middle of a COPY, as those before 14 do; the gateway never does.
func differing(t *testing.T, ways [2]string, goesOn bool, steps [][]pgproto3.FrontendMessage) string {
	t.Helper()
	var heard [2][]string
	for i, dsn := range ways {
		k := newTalk(t, dsn)
		k.nameless = true
		k.say(sql("CREATE TEMP TABLE c (a int, b text)"))
		for n, step := range steps {
			if len(step) > 0 && !ended(heard[i]) {
				heard[i] = append(heard[i], k.until(fmt.Sprintf("end %d", n), slices.Clone(step))...)
			}
		}
		_ = k.conn.Close()
	}
	direct, through := upToBreach(heard[0], goesOn), upToBreach(heard[1], goesOn)
	for n := range max(len(direct), len(through)) {
		if n >= len(direct) || n >= len(through) || direct[n] != through[n] {
			from := max(0, n-3)
			return fmt.Sprintf("reply %d differs:\ndirectly:\n%s\nthrough the gateway:\n%s", n,
				strings.Join(direct[from:min(n+3, len(direct))], "\n"), strings.Join(through[from:min(n+3, len(through))], "\n"))
		}
	}
	return ""
}

// upToBreach is what was said before the protocol was broken, which ends the connection in different words.
func upToBreach(heard []string, goesOn bool) []string {
	breach := func(line string) bool { return strings.Contains(line, `"Code":"08P01"`) }
	if n := slices.IndexFunc(heard, breach); n >= 0 && (goesOn || ended(heard)) {
		return append(heard[:n:n], "broken")
	}
	return heard
}

func ended(heard []string) bool {
	return len(heard) > 0 && strings.HasPrefix(heard[len(heard)-1], "ended: ")
}

// until says messages and a marker behind them, and returns what comes up to the marker's end.
func (k *talk) until(marker string, messages []pgproto3.FrontendMessage) []string {
	k.t.Helper()
	messages = append(messages, &pgproto3.CopyFail{Message: "end"}, &pgproto3.Sync{}, sql("ROLLBACK; SELECT '"+marker+"'"))
	var out []byte
	for _, m := range messages {
		var err error
		if out, err = m.Encode(out); err != nil {
			k.t.Fatal(err)
		}
	}
	_ = k.conn.SetDeadline(time.Now().Add(20 * time.Second))
	written := make(chan error, 1)
	go func() {
		_, err := k.conn.Write(out)
		written <- err
	}()
	var lines []string
	for last := false; ; {
		m, err := k.front.Receive()
		if err != nil {
			lines = append(lines, "ended: "+fmt.Sprintf("%T", err))
			break
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			last = last || len(m.Values) == 1 && string(m.Values[0]) == marker
		case *pgproto3.ErrorResponse:
			m.File, m.Line, m.Routine = "", 0, ""
		case *pgproto3.RowDescription:
			for i := range m.Fields {
				m.Fields[i].TableOID = min(m.Fields[i].TableOID, 16384)
			}
		case *pgproto3.NoticeResponse:
			m.File, m.Line, m.Routine = "", 0, ""
			if strings.HasPrefix(m.Message, "sallyport:") {
				continue
			}
		case *pgproto3.ReadyForQuery:
			if last {
				<-written
				return lines
			}
		}
		b, err := json.Marshal(m)
		if err != nil {
			k.t.Fatal(err)
		}
		lines = append(lines, string(b))
	}
	<-written
	return lines
}

// madeUp is a conversation of some steps.
func madeUp(r *rand.Rand, ticket int64) [][]pgproto3.FrontendMessage {
	texts := []string{
		"SELECT 1", "SELECT n, repeat('x', 300) FROM generate_series(1, 40) n", "SELECT 1/0", "SELECT nosuch", "SELECT", "", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s",
		"SELECT id, name FROM support.staff ORDER BY id LIMIT 3", "SET LOCAL DateStyle = 'German'", "SHOW DateStyle", "INSERT INTO c VALUES (1, 'one')", "SELECT * FROM c", "DELETE FROM c RETURNING a",
		"SET sallyport.purpose = 'ticket:1'", "SET LOCAL sallyport.purpose = ''", "RESET sallyport.purpose", "DISCARD ALL", "DEALLOCATE ALL", "PREPARE a AS SELECT 5", "DEALLOCATE ALL; PREPARE a AS SELECT 5; EXECUTE a", "DEALLOCATE a",
		"DECLARE p CURSOR FOR SELECT n FROM generate_series(1, 9) n", "FETCH 2 FROM p", "CLOSE p", "COPY (SELECT 1, 'x') TO STDOUT", "SELECT count(*) FROM support.customers",
		fmt.Sprintf("UPDATE support.tickets SET queue = queue WHERE id = %d", ticket), fmt.Sprintf("UPDATE support.tickets SET queue = queue WHERE id = %d RETURNING id, queue", ticket),
		fmt.Sprintf("UPDATE support.tickets SET state = 'bogus' WHERE id = %d", ticket), "UPDATE support.tickets SET queue = queue WHERE id < 30",
		fmt.Sprintf("WITH u AS (UPDATE support.tickets SET queue = queue WHERE id = %d RETURNING id) SELECT * FROM u", ticket),
	}
	one := func() string { return texts[r.IntN(len(texts))] }
	names := []string{"", "", "a", "b"}
	name := func() string { return names[r.IntN(len(names))] }
	portals := []string{"", "", "p", "q"}
	portal := func() string { return portals[r.IntN(len(portals))] }
	var steps [][]pgproto3.FrontendMessage
	for range 3 + r.IntN(8) {
		var step []pgproto3.FrontendMessage
		for range 1 + r.IntN(20) {
			switch r.IntN(14) {
			case 0:
				step = append(step, sql(one()))
			case 1:
				step = append(step, sql(one()+"; "+one()+"; "+one()))
			case 2, 3, 4: // what drivers do
				n, p := name(), portal()
				step = append(step, parse(n, one()), bind(p, n))
				if r.IntN(2) == 0 {
					step = append(step, describe('P', p))
				}
				step = append(step, execute(p, uint32(r.IntN(3)))) //nolint:gosec // small
			case 5:
				step = append(step, parse(name(), one()))
			case 6:
				step = append(step, bind(portal(), name()))
			case 7:
				step = append(step, bindBinary(portal(), name(), 1))
			case 8:
				step = append(step, describe("SP"[r.IntN(2)], name()))
			case 9:
				step = append(step, execute(portal(), uint32(r.IntN(4)))) //nolint:gosec // small
			case 10:
				step = append(step, closing("SP"[r.IntN(2)], name()))
			case 11:
				step = append(step, &pgproto3.Flush{})
			case 12:
				step = append(step, &pgproto3.Sync{})
			case 13:
				step = append(step, copies(r)...)
			}
		}
		steps = append(steps, step)
	}
	return steps
}

// copies is a COPY FROM STDIN with its data: well, badly, or not at all ended.
func copies(r *rand.Rand) []pgproto3.FrontendMessage {
	step := []pgproto3.FrontendMessage{&pgproto3.Sync{}, sql("ROLLBACK")} // so that it is not skipped
	text := "COPY c FROM STDIN"
	switch r.IntN(3) {
	case 0:
		step = append(step, sql(text))
	case 1:
		step = append(step, sql("SELECT 1; "+text+"; SELECT 2"))
	case 2:
		step = append(step, parse("", text), bind("", ""), execute("", 0))
		if r.IntN(2) == 0 {
			step = append(step, &pgproto3.Sync{})
		}
	}
	for range r.IntN(4) {
		step = append(step, data("1\tone\n"))
	}
	if r.IntN(4) == 0 {
		step = append(step, data("x\n"))
	}
	if r.IntN(4) == 0 {
		step = append(step, &pgproto3.CopyFail{Message: "no"})
	} else {
		step = append(step, &pgproto3.CopyDone{})
	}
	return append(step, &pgproto3.Sync{})
}

// told lists what was said, for who has to find out.
func told(steps [][]pgproto3.FrontendMessage) string {
	var b strings.Builder
	for n, step := range steps {
		fmt.Fprintf(&b, "\nstep %d:", n)
		for _, m := range step {
			line, err := json.Marshal(m)
			if err != nil {
				line = []byte(err.Error())
			}
			b.WriteString(" " + string(line))
		}
	}
	return b.String()
}
