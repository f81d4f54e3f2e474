package serve

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
)

// secrets are values to look for in bytes, in all their forms, whatever the case of their letters.
type secrets struct {
	forms  map[uint64][]form // by their first eight bytes
	values int
}

type form struct {
	text []byte // in lower case
	what string // never the value
}

// formHead is how many bytes find a form; what is shorter is not looked for. formMost is how much of a long text is compared.
const (
	formHead = 8
	formMost = 40
)

// secrets are the plain values of all protected columns, but those of one customer.
func (f *fort) secrets(covered int64) *secrets {
	s := &secrets{forms: map[uint64][]form{}}
	for id := int64(1); id <= f.org.Customers; id++ {
		if c := f.org.Customer(id); id != covered {
			what := fmt.Sprintf("of customer %d ", id)
			s.add(what+"the name", c.FullName)
			s.add(what+"the e-mail address", c.Email)
			s.add(what+"the phone number", c.Phone)
			s.add(what+"the notes", c.Notes)
			if !c.BirthDate.IsZero() {
				s.add(what+"the birth date", c.BirthDate.Format("2006-01-02"))
			}
		}
	}
	ofCovered := map[int64]bool{}
	for id := int64(1); id <= f.org.Tickets; id++ {
		k := f.org.Ticket(id)
		if ofCovered[id] = k.Customer == covered; !ofCovered[id] {
			s.add(fmt.Sprintf("of ticket %d the number", id), k.No)
			s.add(fmt.Sprintf("of ticket %d the subject", id), k.Subject)
		}
	}
	for id := int64(1); id <= f.org.Messages; id++ {
		if m := f.org.Message(id); !ofCovered[m.Ticket] {
			s.add(fmt.Sprintf("of message %d the body", id), m.Body)
		}
	}
	if covered != 0 { // somebody else may have the same name or birth date
		c := f.org.Customer(covered)
		s.forget([]byte(strings.Join([]string{c.FullName, c.BirthDate.Format("2006-01-02"), c.Notes}, "\n")))
		for id := int64(1); id <= f.org.Tickets; id++ {
			if ofCovered[id] {
				s.forget([]byte(f.org.Ticket(id).Subject))
			}
		}
		for id := int64(1); id <= f.org.Messages; id++ {
			if m := f.org.Message(id); ofCovered[m.Ticket] {
				s.forget([]byte(m.Body))
			}
		}
	}
	return s
}

// add looks for a value as it is, in hexadecimal digits and in base64.
func (s *secrets) add(what, value string) {
	if len(value) < formHead {
		return
	}
	s.values++
	value = value[:min(len(value), formMost)]
	for kind, text := range map[string]string{"": value, " in hex": hex.EncodeToString([]byte(value)), " in base64": base64.RawStdEncoding.EncodeToString([]byte(value)[:len(value)/3*3])} {
		if len(text) >= formHead {
			lower := lowered([]byte(text))
			head := binary.BigEndian.Uint64(lower)
			s.forms[head] = append(s.forms[head], form{text: lower, what: what + kind})
		}
	}
}

// find calls found with each form that stands in a text.
func (s *secrets) find(text []byte, found func(form)) {
	if len(text) < formHead {
		return
	}
	text = lowered(text)
	head := binary.BigEndian.Uint64(text) >> 8
	for i := range len(text) - formHead + 1 {
		head = head<<8 | uint64(text[i+formHead-1])
		for _, f := range s.forms[head] {
			if bytes.HasPrefix(text[i:], f.text) {
				found(f)
			}
		}
	}
}

// forget leaves out what stands in a text.
func (s *secrets) forget(text []byte) (n int) {
	known := map[string]bool{}
	s.find(text, func(f form) { known[string(f.text)] = true })
	for text := range known {
		head := binary.BigEndian.Uint64([]byte(text))
		kept := s.forms[head][:0]
		for _, f := range s.forms[head] {
			if string(f.text) != text {
				kept = append(kept, f)
			} else {
				n++
			}
		}
		s.forms[head] = kept
	}
	return n
}

// lowered has ASCII's capitals in lower case.
func lowered(text []byte) []byte {
	out := bytes.Clone(text)
	for i, c := range out {
		if c >= 'A' && c <= 'Z' {
			out[i] = c + 'a' - 'A'
		}
	}
	return out
}

// outlet passes connections on to the gateway and looks into every byte that comes back.
type outlet struct {
	address string
	secrets *secrets
	listen  net.Listener
	done    sync.WaitGroup
	mu      sync.Mutex // guards said
	said    saying
}

// saying is what was answered.
type saying struct {
	sessions, bytes, rows, worked, failed int
	verbs, codes                          map[string]int
	refusals                              map[string]refusal // by code and sentence
	leaks, lost                           []string
}

// refusal is how often one came, and the shortest statement that met it, for people to look whether it was needed.
type refusal struct {
	n        int
	shortest string
}

func newOutlet(t *testing.T, to string, s *secrets) *outlet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &outlet{address: l.Addr().String(), secrets: s, listen: l}
	k.said.verbs, k.said.codes, k.said.refusals = map[string]int{}, map[string]int{}, map[string]refusal{}
	k.done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				return
			}
			k.done.Go(func() { k.pass(client, server) })
		}
	})
	t.Cleanup(k.close)
	return k
}

func (k *outlet) close() {
	k.listen.Close()
	k.done.Wait()
}

// pass is one connection; the client's last statement is kept for the examples.
func (k *outlet) pass(client, server net.Conn) {
	defer client.Close()
	defer server.Close()
	statement := lastStatement{due: 1}
	k.done.Go(func() {
		defer server.Close()
		defer statement.leave()
		r := bufio.NewReader(client)
		_, head := frame(r, false)
		for ; head != nil; _, head = frame(r, true) {
			if head[0] == 'Q' {
				statement.set(string(head[5 : len(head)-1]))
			}
			if _, err := server.Write(head); err != nil {
				return
			}
		}
	})
	k.mu.Lock()
	k.said.sessions++
	k.mu.Unlock()
	r := bufio.NewReader(server)
	for {
		kind, whole := frame(r, true)
		text, made := statement.get()
		if !statement.keeps(kind, whole) {
			k.mu.Lock()
			k.said.lost = append(k.said.lost, fmt.Sprintf("%q comes out of turn (0 is the end) after: %.1500s", kind, text))
			k.mu.Unlock()
		}
		if whole == nil {
			return
		}
		k.hear(kind, whole, text, made)
		if _, err := client.Write(whole); err != nil {
			return
		}
	}
}

// frame reads one message, with its type unless it is the first. It is nil at the end.
func frame(r *bufio.Reader, typed bool) (kind byte, whole []byte) {
	head := make([]byte, 4, 5)
	if typed {
		head = head[:5]
	}
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil
	}
	n := int(binary.BigEndian.Uint32(head[len(head)-4:])) - 4
	if n < 0 || n > 1<<30 {
		return '?', nil
	}
	whole = append(head, make([]byte, n)...)
	if _, err := io.ReadFull(r, whole[len(head):]); err != nil {
		return 0, nil
	}
	return whole[0], whole
}

// hear looks at one message of the server's; made says whether it answers a statement that was made up.
func (k *outlet) hear(kind byte, whole []byte, statement string, made bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.said.bytes += len(whole)
	k.secrets.find(whole, func(f form) {
		if len(k.said.leaks) < 20 {
			k.said.leaks = append(k.said.leaks, fmt.Sprintf("%s (message %c) after: %.1500s", f.what, kind, statement))
		}
	})
	switch kind {
	case 'D':
		if made {
			k.said.rows++
		}
	case 'C':
		if made {
			verb, _, _ := strings.Cut(string(whole[5:len(whole)-1]), " ")
			k.said.worked++
			k.said.verbs[verb]++
		}
	case 'E':
		code, message := errorFields(whole[5:])
		if made {
			k.said.failed++
			k.said.codes[code]++
		}
		if strings.HasPrefix(code, "XX") && strings.Contains(message, "sallyport") {
			k.said.lost = append(k.said.lost, fmt.Sprintf("%s %s after: %.1500s", code, message, statement))
		}
		if made && strings.HasPrefix(message, "sallyport: ") {
			sentence, _, _ := strings.Cut(strings.TrimPrefix(message, "sallyport: "), ": ") // without the column
			if strings.HasPrefix(sentence, "support.") {
				_, sentence, _ = strings.Cut(sentence, " ")
			}
			r := k.said.refusals[code+" "+sentence]
			if r.n++; r.shortest == "" || len(statement) < len(r.shortest) {
				r.shortest = statement
			}
			k.said.refusals[code+" "+sentence] = r
		}
	case 'R', 'S', 'K', 'Z', 'T', 'N', 'I', 'A', 'G', 'H', 'd', 'c', 'W', 'v':
	default:
		k.said.lost = append(k.said.lost, fmt.Sprintf("a message of type %q after: %.300s", kind, statement))
	}
}

// errorFields are the code and the message of an ErrorResponse.
func errorFields(body []byte) (code, message string) {
	for field := range bytes.SplitSeq(body, []byte{0}) {
		if len(field) > 1 && field[0] == 'C' {
			code = string(field[1:])
		}
		if len(field) > 1 && field[0] == 'M' {
			message = string(field[1:])
		}
	}
	return code, message
}

// lastStatement is what the client said last. What sqlsmith makes up comes in the session that it names sqlsmith::dut, each between
// BEGIN and ROLLBACK; in others it reads the catalogue.
type lastStatement struct {
	mu    sync.Mutex // guards the others
	text  string
	dut   bool
	due   int  // how many ReadyForQuery; the first is the log-in's
	fatal bool // the server said that it ends the session
	left  bool // the client is gone
}

func (l *lastStatement) set(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text, l.dut, l.due = text, l.dut || strings.Contains(text, "sqlsmith::dut"), l.due+1
}

func (l *lastStatement) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.left = true
}

// keeps says whether a message is in its turn: each statement has one ReadyForQuery, and the end is announced.
func (l *lastStatement) keeps(kind byte, whole []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case whole == nil:
		return l.left || l.fatal
	case kind == 'Z':
		l.due--
	case kind == 'E' && bytes.Contains(whole, []byte("FATAL\x00")):
		l.fatal = true
	case kind == 'D' || kind == 'C' || kind == 'T':
		return l.due > 0
	}
	return l.due >= 0
}

func (l *lastStatement) get() (text string, made bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	around := strings.HasPrefix(l.text, "BEGIN") || strings.HasPrefix(l.text, "ROLLBACK") || strings.HasPrefix(l.text, "set ")
	return l.text, l.dut && !around
}

// connectVia logs in through something that stands before the gateway.
func (f *fort) connectVia(address string, who sallyport.Staff) *client {
	f.t.Helper()
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", who, f.passwords[who], address, f.database))
	if err != nil {
		f.t.Fatal(err)
	}
	return f.connectWith(config)
}
