package serve

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// wire is a logged-in connection on which a trick sends messages of its own making.
type wire struct {
	t     testing.TB
	s     *siege
	row   int
	kept  *ear
	front *pgproto3.Frontend
	pid   uint32
	key   []byte
}

func newWire(t testing.TB, s *siege, row int, conn *pgconn.PgConn, kept *ear) (*wire, error) {
	hijacked, err := conn.Hijack()
	if err != nil {
		return nil, err
	}
	return &wire{t: t, s: s, row: row, kept: kept, front: hijacked.Frontend, pid: hijacked.PID, key: hijacked.SecretKey}, nil
}

func (w *wire) close() { _ = w.kept.Conn.Close() }

// send writes messages in one go.
func (w *wire) send(list ...pgproto3.FrontendMessage) {
	for _, m := range list {
		w.front.Send(m)
	}
	_ = w.front.Flush() // a session that ended is seen when it is read
}

// raw writes bytes as they are.
func (w *wire) raw(b string) { _, _ = w.kept.Conn.Write([]byte(b)) }

// cancel asks through the gateway, on a connection of its own, to stop what this one does.
func (w *wire) cancel() error {
	conn, err := net.Dial("tcp", w.s.server.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write(sure((&pgproto3.CancelRequest{ProcessID: w.pid, SecretKey: w.key}).Encode(nil)))
	return err
}

func sure(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// until reads up to the n-th ReadyForQuery, the end of the session, or two seconds, and returns what came in short.
func (w *wire) until(n int) []string {
	return w.untilWithin(n, min(stretched(2*time.Second), 10*time.Second))
}

func (w *wire) untilWithin(n int, patience time.Duration) (got []string) {
	_ = w.kept.Conn.SetReadDeadline(time.Now().Add(patience))
	for n > 0 {
		m, err := w.front.Receive()
		if err != nil {
			return append(got, "end: "+err.Error())
		}
		switch m := m.(type) {
		case *pgproto3.ReadyForQuery:
			n--
			got = append(got, "ready")
		case *pgproto3.ErrorResponse:
			got = append(got, "error "+m.Code+" "+m.Message)
		case *pgproto3.NoticeResponse:
			got = append(got, "notice "+m.Message)
		case *pgproto3.CommandComplete:
			got = append(got, string(m.CommandTag))
		case *pgproto3.DataRow:
			row := "row"
			for _, v := range m.Values {
				row += fmt.Sprintf(" %.80q", v)
			}
			got = append(got, row)
		default:
			got = append(got, fmt.Sprintf("%T", m)[len("*pgproto3."):])
		}
	}
	return got
}

// ask sends and reads up to one ReadyForQuery.
func (w *wire) ask(list ...pgproto3.FrontendMessage) []string {
	w.send(list...)
	got := w.until(1)
	w.t.Logf("%v", got)
	return got
}

// refused asks, and wants to read that code: to pass unseen is not enough where the whole text hangs on how it is read.
func (w *wire) refused(code string, list ...pgproto3.FrontendMessage) {
	w.t.Helper()
	got := w.ask(list...)
	if !slices.ContainsFunc(got, func(m string) bool { return strings.HasPrefix(m, "error "+code+" ") }) {
		w.t.Errorf("not refused with %s: %v", code, got)
	}
}

// ended wants the session to be over.
func (w *wire) ended() {
	w.t.Helper()
	w.send(w.query("SELECT 1"))
	if got := w.until(1); len(got) == 0 || !strings.HasPrefix(got[len(got)-1], "end") {
		w.t.Errorf("the session goes on: %v", got)
	}
}

// The messages, with the row's marks filled in.
func (w *wire) query(sql string) *pgproto3.Query {
	return &pgproto3.Query{String: w.s.fill(w.row, sql)}
}

func (w *wire) parse(name, sql string) *pgproto3.Parse {
	return &pgproto3.Parse{Name: name, Query: w.s.fill(w.row, sql)}
}

func (w *wire) bind(portal, name string, values ...string) *pgproto3.Bind {
	b := &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: name}
	for _, v := range values {
		b.Parameters = append(b.Parameters, []byte(w.s.fill(w.row, v)))
	}
	return b
}

func runPortal(portal string) *pgproto3.Execute { return &pgproto3.Execute{Portal: portal} }
func theSync() *pgproto3.Sync                   { return &pgproto3.Sync{} }
func dropping(name string) *pgproto3.Close      { return &pgproto3.Close{ObjectType: 'S', Name: name} }

func tellOf(what byte, name string) *pgproto3.Describe {
	return &pgproto3.Describe{ObjectType: what, Name: name}
}

// one is the first value of a query's answer.
func (w *wire) one(sql string) string {
	w.send(w.query(sql))
	value := ""
	_ = w.kept.Conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	for {
		m, err := w.front.Receive()
		if err != nil {
			return value
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			value = string(m.Values[0])
		case *pgproto3.ReadyForQuery:
			return value
		}
	}
}
