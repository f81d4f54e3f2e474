package serve

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
)

const findByEmail = "SELECT id FROM support.customers WHERE email = "

// names are tricks by the names of prepared statements and portals, between SQL and the protocol.
func names() []trick {
	long := strings.Repeat("n", 63)
	return []trick{
		{name: "statement names longer than the server keeps", wire: func(w *wire) {
			w.ask(w.parse(long+"y", "SELECT $1::text"), theSync())
			w.ask(w.query(`DEALLOCATE "` + long + `"`))
			w.ask(w.parse(long+"x", findByEmail+"$1"), theSync())
			w.ask(w.bind("", long+"y", "{email}"), runPortal(""), theSync())
		}},
		{name: "a long name through SQL", wire: func(w *wire) {
			w.ask(w.parse(long+"y", "SELECT $1::text"), theSync())
			w.ask(dropping(long+"z"), theSync())
			w.ask(w.query(`PREPARE "` + long + `q" AS ` + findByEmail + "$1"))
			w.ask(w.bind("", long+"y", "{email}"), runPortal(""), theSync())
		}},
		{name: "Parse of a name that is taken", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.parse("s", "SELECT $1::text"), theSync())
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "Parse twice of a name that is taken", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.parse("s", "SELECT $1::text"), w.parse("s", "SELECT $1::text, 2"), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
		}},
		{name: "Parse, Bind and Execute of a taken name in one go", wire: func(w *wire) {
			w.ask(w.parse("s", findByEmail+"$1"), theSync())
			w.ask(w.parse("s", "SELECT $1::text"), w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.send(w.parse("s", "SELECT $1::text"), theSync(), w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.t.Log(w.until(2))
		}},
		{name: "Close and a Parse that fails", wire: func(w *wire) {
			w.ask(w.parse("s", "SELECT $1::text"), theSync())
			w.ask(dropping("s"), w.parse("s", "SELECT nothing"), theSync())
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
		}},
		{name: "DEALLOCATE in the pipeline", wire: func(w *wire) {
			w.ask(w.parse("s", "SELECT $1::text"), theSync())
			w.ask(w.parse("d", "DEALLOCATE s"), w.bind("", "d"), runPortal(""), w.parse("s", findByEmail+"$1"), w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
		}},
		{name: "DEALLOCATE ALL and DISCARD ALL around a Parse", wire: func(w *wire) {
			w.ask(w.parse("s", "SELECT $1::text"), theSync())
			w.send(w.query("DEALLOCATE ALL"), w.parse("s", findByEmail+"$1"), theSync(), w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.t.Log(w.until(3))
			w.ask(w.query("DISCARD ALL"))
			w.ask(w.parse("s", findByEmail+"$1"), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "PREPARE by way of the protocol", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS SELECT $1::text"))
			w.ask(w.parse("", "DEALLOCATE s"), w.bind("", ""), runPortal(""), w.parse("", "PREPARE s AS "+findByEmail+"$1"), w.bind("", ""), runPortal(""), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "PREPARE by a portal that is executed later", wire: func(w *wire) {
			w.ask(w.query("BEGIN"))
			w.ask(w.parse("p", "PREPARE s AS "+findByEmail+"$1"), w.bind("late", "p"), theSync())
			w.ask(w.query("PREPARE s AS SELECT $1::text"))
			w.ask(w.query("DEALLOCATE s"))
			w.ask(runPortal("late"), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
		}},
		{name: "EXECUTE with arguments by way of the protocol", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS SELECT $1::text"))
			w.ask(w.parse("e", "EXECUTE s('{email}')"), theSync())
			w.ask(w.parse("e", "EXECUTE s($1)"), theSync())
			w.ask(w.query("DEALLOCATE s; PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.bind("", "e", "{email}"), runPortal(""), theSync())
		}},
		{name: "EXECUTE without arguments of what changes its meaning", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS SELECT 1"))
			w.ask(w.parse("e", "EXECUTE s"), theSync())
			w.ask(w.query("DEALLOCATE s; PREPARE s AS SELECT * FROM support.customers WHERE id = {victim}"))
			w.ask(w.bind("", "e"), runPortal(""), theSync())
		}},
		{name: "names that differ in case and in quotes", wire: func(w *wire) {
			w.ask(w.query(`PREPARE "S" AS SELECT $1::text; PREPARE s AS ` + findByEmail + "$1"))
			w.ask(w.query("EXECUTE S('{email}')"))
			w.ask(w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.ask(w.query(`EXECUTE U&"\0073"('{email}')`))
		}},
		{name: "a PREPARE that is rolled back stays", wire: func(w *wire) {
			w.ask(w.query("BEGIN; PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.query("ROLLBACK"))
			w.ask(w.query("PREPARE s AS SELECT $1::text"))
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "PREPARE twice in one string", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.query("PREPARE s AS SELECT $1::text; EXECUTE s('x')"))
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "one portal for two statements", wire: func(w *wire) {
			w.ask(w.query("BEGIN"))
			w.ask(w.parse("a", "SELECT 1"), w.bind("p", "a"), tellOf('P', "p"), runPortal("p"), theSync())
			w.ask(w.query("CLOSE p; DECLARE p CURSOR FOR SELECT * FROM support.customers WHERE id = {victim}"))
			w.ask(runPortal("p"), theSync())
			w.ask(tellOf('P', "p"), runPortal("p"), theSync())
		}},
		{name: "an unnamed portal for everything", wire: func(w *wire) {
			w.ask(w.parse("", "SELECT email FROM support.customers WHERE id = {victim}"), w.bind("", ""), w.parse("", "SELECT 1"), w.bind("", ""), runPortal(""), theSync())
			w.ask(w.parse("", "SELECT 1"), w.bind("", ""), w.query("SELECT email FROM support.customers WHERE id = {victim}"), theSync())
		}},
		{name: "Describe of what is not there", wire: func(w *wire) {
			w.ask(tellOf('S', "nothing"), tellOf('P', "nothing"), runPortal("nothing"), theSync())
			w.ask(tellOf('P', ""), theSync())
			w.ask(runPortal(""), theSync())
		}},
		{name: "suspended portals", wire: func(w *wire) {
			w.ask(w.query("BEGIN"))
			w.ask(w.parse("a", "SELECT * FROM support.customers WHERE id IN ({victim}, {own})"), w.bind("p", "a"), &pgproto3.Execute{Portal: "p", MaxRows: 1}, theSync())
			w.ask(w.query("SET LOCAL sallyport.purpose = 'ticket:{vticket}'"))
			w.ask(&pgproto3.Execute{Portal: "p", MaxRows: 1}, &pgproto3.Execute{Portal: "p"}, theSync())
		}},
		{name: "binary parameters and results of every type", wire: func(w *wire) {
			b := w.bind("", "", "{email}")
			b.ParameterFormatCodes, b.ResultFormatCodes = []int16{1}, []int16{1}
			for _, oid := range []uint32{0, 17, 18, 19, 25, 114, 142, 705, 1042, 1043, 2275} {
				w.ask(&pgproto3.Parse{Query: findByEmail + "$1", ParameterOIDs: []uint32{oid}}, b, runPortal(""), theSync())
			}
		}},
		{name: "an array parameter in binary form", wire: func(w *wire) {
			m := w.s.fill(w.row, "{email}")
			array := append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, byte(len(m))}, m...)
			two := append([]byte{0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, byte(len(m))}, m...)
			for _, value := range [][]byte{array, two, array[:20], append(array, 0)} {
				w.ask(w.parse("", "SELECT id FROM support.customers WHERE email = ANY ($1)"),
					&pgproto3.Bind{Parameters: [][]byte{value}, ParameterFormatCodes: []int16{1}}, runPortal(""), theSync())
			}
		}},
		{name: "wrong numbers of parameters and formats", wire: func(w *wire) {
			w.ask(w.parse("", findByEmail+"$1"), w.bind("", "", "{email}", "{email}"), runPortal(""), theSync())
			w.ask(w.parse("", "SELECT id FROM support.customers WHERE id = $2 AND email = $1"), w.bind("", "", "{email}"), runPortal(""), theSync())
			w.ask(w.parse("", findByEmail+"$2"), w.bind("", "", "1", "{email}"), runPortal(""), theSync())
			b := w.bind("", "", "{email}")
			b.ParameterFormatCodes = []int16{1, 0, 1}
			w.ask(w.parse("", findByEmail+"$1"), b, runPortal(""), theSync())
		}},
		{name: "several statements in one Parse", wire: func(w *wire) {
			w.ask(w.parse("", "SELECT 1; "+findByEmail+"'{email}'"), w.bind("", ""), runPortal(""), theSync())
		}},
	}
}

// wireTricks are tricks by the order and the form of messages.
func wireTricks() []trick {
	rows := []trick{
		{name: "a Sync behind a failed COPY shifts the replies", wire: func(w *wire) {
			w.ask(w.query("CREATE TEMP TABLE shift (a int)"))
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.send(w.query("COPY shift FROM STDIN"), &pgproto3.CopyData{Data: []byte("no number\n")}, &pgproto3.CopyData{Data: []byte("1\n")})
			w.t.Log(w.until(1))
			w.send(theSync(), w.query("SELECT 1"), w.query("PREPARE s AS SELECT $1::text"), w.query("SELECT pg_sleep(0.2)"), w.query("SELECT 2"))
			w.t.Log(w.until(3))
			w.send(w.query("EXECUTE s('{email}')"))
			w.t.Log(w.until(3))
		}},
		{name: "Syncs before, during and behind a COPY", wire: func(w *wire) {
			w.ask(w.query("CREATE TEMP TABLE shift (a int); PREPARE s AS " + findByEmail + "$1"))
			w.send(theSync(), w.query("COPY shift FROM STDIN"), theSync(), &pgproto3.CopyData{Data: []byte("1\n")}, theSync(), &pgproto3.CopyDone{}, theSync(), w.query("SELECT 1"),
				w.query("PREPARE s AS SELECT $1::text"), w.query("SELECT pg_sleep(0.2)"), w.query("SELECT 2"))
			w.t.Log(w.until(6))
			w.send(w.query("EXECUTE s('{email}')"))
			w.t.Log(w.until(2))
		}},
		{name: "a COPY in the extended protocol that fails", wire: func(w *wire) {
			w.ask(w.query("CREATE TEMP TABLE shift (a int); PREPARE s AS " + findByEmail + "$1"))
			w.send(w.parse("", "COPY shift FROM STDIN"), w.bind("", ""), runPortal(""), &pgproto3.CopyData{Data: []byte("no number\n")}, theSync(), &pgproto3.CopyDone{}, theSync(), theSync(), w.query("SELECT 1"),
				w.query("PREPARE s AS SELECT $1::text"), w.query("SELECT pg_sleep(0.2)"), w.query("SELECT 2"))
			w.t.Log(w.until(4))
			w.send(w.query("EXECUTE s('{email}')"))
			w.t.Log(w.until(3))
		}},
		{name: "CopyDone where no COPY is", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.send(&pgproto3.CopyDone{}, &pgproto3.CopyFail{}, w.query("SELECT 1"), &pgproto3.CopyData{Data: []byte("x")}, &pgproto3.CopyDone{}, theSync(), w.query("PREPARE s AS SELECT $1::text"), &pgproto3.CopyDone{}, w.query("EXECUTE s('{email}')"))
			w.t.Log(w.until(4))
		}},
		{name: "a Query inside a COPY", wire: func(w *wire) {
			w.ask(w.query("CREATE TEMP TABLE shift (a int); PREPARE s AS " + findByEmail + "$1"))
			w.send(w.query("COPY shift FROM STDIN"), w.query("PREPARE s AS SELECT $1::text"), w.query("EXECUTE s('{email}')"), &pgproto3.CopyDone{})
			w.t.Log(w.until(3))
		}},
		{name: "two COPYs in one string", wire: func(w *wire) {
			w.ask(w.query("CREATE TEMP TABLE shift (a text); PREPARE s AS " + findByEmail + "$1"))
			w.send(w.query("COPY shift FROM STDIN; COPY shift FROM STDIN; PREPARE s AS SELECT $1::text"), &pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{}, theSync(), &pgproto3.CopyData{Data: []byte("1\n")}, &pgproto3.CopyDone{}, theSync(), w.query("EXECUTE s('{email}')"))
			w.t.Log(w.until(3))
		}},
		{name: "an error in mid-pipeline", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.parse("", "SELECT 1/0"), w.bind("", ""), runPortal(""), w.parse("s", "SELECT $1::text"), w.bind("", "s", "{email}"), runPortal(""), w.query("EXECUTE s('{email}')"), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
			w.ask(w.parse("", "SELECT nothing"), w.query("DEALLOCATE s"), w.query("PREPARE s AS SELECT $1::text"), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
		}},
		{name: "a refusal in mid-pipeline", wire: func(w *wire) {
			w.ask(w.query("PREPARE s AS " + findByEmail + "$1"))
			w.ask(w.parse("", "DO $$ BEGIN END $$"), w.query("DEALLOCATE s"), w.parse("s", "SELECT $1::text"), w.bind("", "s", "{email}"), runPortal(""), theSync())
			w.ask(w.query("EXECUTE s('{email}')"))
			w.ask(w.bind("", "none"), w.parse("x", findByEmail+"'{email}'"), &pgproto3.Flush{}, w.bind("", "x"), runPortal(""), theSync())
		}},
		{name: "function calls by message", wire: func(w *wire) {
			w.ask(&pgproto3.FunctionCall{Function: 2950, ArgFormatCodes: []uint16{0}, Arguments: [][]byte{[]byte("SELECT email FROM support.customers")}})
			w.ask(w.parse("", "SELECT nothing"), &pgproto3.FunctionCall{Function: 1}, theSync())
			w.ask(w.query(findByEmail + "'{email}'"))
		}},
		{name: "a purpose and its use in one go", wire: func(w *wire) {
			w.send(w.query("SET sallyport.purpose = 'ticket:{ticket}'"), w.query("RESET sallyport.purpose; SELECT * FROM support.customers WHERE id IN ({own}, {victim})"), w.query("SET sallyport.purpose = 'ticket:{vticket}'"), w.query("SELECT * FROM support.customers"))
			w.t.Log(w.until(3))
			w.ask(w.parse("", "SET sallyport.purpose = 'ticket:{vticket}'"), w.bind("", ""), runPortal(""), w.parse("", "SELECT * FROM support.customers WHERE id = {victim}"), w.bind("", ""), runPortal(""), theSync())
		}},
		{name: "strings that escape, switched without an answer", wire: func(w *wire) { // the reading is not known until Sync: refused
			w.ask(w.query("SET standard_conforming_strings = on"))
			w.refused("SP001", w.parse("", "RESET standard_conforming_strings"), w.bind("", ""), runPortal(""), w.parse("", otherReading), w.bind("", ""), runPortal(""), theSync())
			w.ask(w.query("BEGIN; SET standard_conforming_strings = on"))
			w.refused("SP001", w.parse("", "ROLLBACK"), w.bind("", ""), runPortal(""), w.parse("", otherReading), w.bind("", ""), runPortal(""), theSync())
			w.ask(w.query("SET standard_conforming_strings = on"))
			w.refused("SP001", w.parse("", "DISCARD ALL"), w.bind("", ""), runPortal(""), w.parse("", otherReading), w.bind("", ""), runPortal(""), theSync())
			w.refused("SP001", w.query(otherReading)) // off from the start, and told so
		}, params: map[string]string{"options": "-c standard_conforming_strings=off"}},
		{name: "an encoding in which a letter ends in a backslash", wire: func(w *wire) { // by name, or behind what may have changed it: refused
			for _, encoding := range []string{"SJIS", "GBK", "BIG5", "UHC", "GB18030", "JOHAB", "SHIFT_JIS_2004"} {
				for _, evil := range twoLetters {
					w.refused("SP003", w.parse("", "SET NAMES '"+encoding+"'"), w.bind("", ""), runPortal(""), w.parse("", evil), w.bind("", ""), runPortal(""), theSync())
					w.refused("0A000", w.parse("", "SELECT set_config('client_encoding', '"+encoding+"', false)"), w.bind("", ""), runPortal(""), w.parse("", evil), w.bind("", ""), runPortal(""), theSync())
				}
			}
		}},
		{name: "an encoding by a function", wire: func(w *wire) { // once the server tells of it the session ends
			w.refused("0A000", w.query("SELECT set_config('client_encoding', 'SJIS', false)"))
			w.ended()
		}},
		{name: "an encoding from the start", params: map[string]string{"client_encoding": "SJIS"}, door: "0A000", wire: func(*wire) {}},
		{name: "zero bytes and broken UTF-8", wire: func(w *wire) {
			w.ask(w.query("SELECT id FROM support.customers WHERE email = '\xff{email}'"))
			w.ask(w.query("SELECT id FROM support.customers WHERE email = E'\\xff{email}'"))
			w.ask(w.parse("", findByEmail+"$1"), w.bind("", "", "\x00{email}"), runPortal(""), theSync())
			w.send(&pgproto3.Query{String: "SELECT 1\x00" + findByEmail + "'" + w.s.fill(w.row, "{email}") + "'"})
			w.t.Log(w.until(1))
		}},
		{name: "one long literal", roles: agent, wire: func(w *wire) {
			w.ask(w.query("SELECT id FROM support.customers WHERE email = '{m}" + strings.Repeat("a", 900_000) + "@x.example'"))
			w.ask(w.query("UPDATE support.customers SET notes = '{text}" + strings.Repeat("ä ", 300_000) + "' WHERE id = {own}"))
			w.ask(w.query("UPDATE support.customers SET notes = '{text}' WHERE id = {own}"))
			w.ask(w.parse("", "UPDATE support.customers SET notes = $1 WHERE id = {own}"), w.bind("", "", "{text}"+strings.Repeat("b", 3_000_000)), runPortal(""), theSync())
			w.ask(w.query("UPDATE support.customers SET notes = NULL WHERE id = {own}"))
		}},
		{name: "cancel in mid-result", roles: agent, wire: func(w *wire) {
			w.send(w.query("SELECT * FROM support.customers; SELECT pg_sleep(5)"))
			if err := w.cancel(); err != nil {
				w.t.Error(err)
			}
			w.t.Log(w.until(1)[0])
			w.ask(w.query("SELECT * FROM support.customers WHERE id = {victim}"))
		}},
	}
	for i, raw := range []string{
		"Q\x00\x00\x00\x03", "Q\x7f\xff\xff\xff", "Q\xff\xff\xff\xff", "B\x00\x00\x00\x08\x00\x00\xff\xff", "B\x00\x00\x00\x0c\x00\x00\x00\x00\xff\xff\x00\x00", "P\x00\x00\x00\x08\x00\x00\xff\xff", "\x00\x00\x00\x00\x08\x04\xd2\x16\x2f",
		"D\x00\x00\x00\x06X\x00", "E\x00\x00\x00\x05\x00", "p\x00\x00\x00\x08abc\x00", "W\x00\x00\x00\x04", "z\x00\x00\x00\x04", "S\x00\x00\x00\x05x", "H\x00\x00\x00\x08xxxx", "X\x00\x00\x00\x05\x00", "F\x00\x00\x00\x0a\x00\x00\x00\x01\xff\xff",
		"R\x00\x00\x00\x08\x00\x00\x00\x00", "Z\x00\x00\x00\x05I", "T\x00\x00\x00\x06\x00\x01", "d\x00\x00\x00\x04", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		rows = append(rows, trick{name: fmt.Sprintf("malformed bytes %d", i), roles: agent, wire: func(w *wire) {
			w.raw(raw)
			w.raw(string(sure(theSync().Encode(nil))))
			w.t.Log(w.until(1))
		}})
	}
	return rows
}

// twoLetters are one string in UTF-8, and a string, a comparison and a comment where the bytes before the backslash take it.
var twoLetters = []string{ //nolint:gochecknoglobals // constants
	"SELECT E'\xc2\x95\\' FROM support.customers WHERE email = $${email}$$ -- '",     // in SJIS
	"SELECT E'\xe0\xa0\x95\\' FROM support.customers WHERE email = $${email}$$ -- '", // in GBK and its like
}

// otherReading touches nothing while standard strings are on, and compares an e-mail address while they are off.
const otherReading = `SELECT '\', ' FROM support.customers WHERE email = ' || $${email}$$ -- '`
