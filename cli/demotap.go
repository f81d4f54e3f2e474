package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"sallyport/sim"
	"sallyport/wire/pg"
)

// A tap stands between a thief's program and the gateway and reads what the thief receives, byte for byte, whatever his
// program prints of it.
type tap struct {
	listener net.Listener
	upstream string
	loot     *loot
	wg       sync.WaitGroup
	stop     context.CancelFunc
}

// openTap listens until close.
func openTap(ctx context.Context, upstream string, l *loot) (*tap, error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("tap the thief's line: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &tap{listener: listener, upstream: upstream, loot: l, stop: cancel}
	t.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			t.wg.Go(func() { t.relay(ctx, client) })
		}
	})
	return t, nil
}

func (t *tap) address() string { return t.listener.Addr().String() }

// close ends the connections and waits; what they carried is counted then.
func (t *tap) close() error {
	err := t.listener.Close()
	t.stop()
	t.wg.Wait()
	if err := errors.Join(err, t.loot.fault); err != nil {
		return fmt.Errorf("tap the thief's line: %w", err)
	}
	return nil
}

// relay passes one connection on.
func (t *tap) relay(ctx context.Context, client net.Conn) {
	defer client.Close()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", t.upstream)
	if err != nil {
		return // the client sees its connection closed
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })()
	t.wg.Go(func() {
		_, _ = io.Copy(server, client) // ends with either side
		_ = server.(*net.TCPConn).CloseWrite()
	})
	t.listen(client, server)
}

// listen reads the server's messages while it passes them on.
func (t *tap) listen(client io.Writer, server io.Reader) {
	var result result
	in := bufio.NewReaderSize(server, 1<<16)
	var m []byte
	for {
		head, err := in.Peek(pg.HeaderLen)
		if err != nil {
			return
		}
		_, size, _, err := pg.Header(head)
		if err != nil {
			t.loot.fail(err)
			return
		}
		if cap(m) < size {
			m = make([]byte, size)
		}
		m = m[:size]
		if _, err := io.ReadFull(in, m); err != nil {
			return
		}
		t.loot.take(m, &result)
		if _, err := client.Write(m); err != nil {
			return
		}
	}
}

// result is what the rows of one connection mean right now.
type result struct {
	id        int  // the column that holds the customer's id
	customers bool // the rows are customers
	fields    [][]byte
	described []pg.Field
}

// loot counts customers in what arrives: whose rows came, and of whom anything was readable. It knows the truth from the
// organisation and believes no look of a value.
type loot struct {
	org *sim.Org

	mu       sync.Mutex // guards what follows
	reached  *roaring.Bitmap
	readable *roaring.Bitmap
	rows     int
	bytes    int64
	first    time.Time // wall clock: when the first unreadable row came
	stopped  time.Time // wall clock: when an error said that a budget is used up
	fault    error
}

func newLoot(org *sim.Org) *loot {
	return &loot{org: org, reached: roaring.New(), readable: roaring.New()}
}

func (l *loot) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = errors.Join(l.fault, err)
}

// take reads one message of the server.
func (l *loot) take(m []byte, r *result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes += int64(len(m))
	switch m[0] {
	case pg.RowDescription:
		fields, err := pg.ParseRowDescription(r.described[:0], m)
		l.fault = errors.Join(l.fault, err)
		r.described = fields
		r.id, r.customers = columnsOfCustomer(fields)
	case pg.DataRow:
		fields, err := pg.ParseDataRow(r.fields[:0], m)
		l.fault = errors.Join(l.fault, err)
		r.fields = fields
		if r.customers && r.id < len(fields) {
			l.row(fields[r.id], fields)
		}
	case pg.CopyData: // COPY of the customers: the id stands first
		for line := range bytes.Lines(m[pg.HeaderLen:]) {
			r.fields = splitLine(r.fields[:0], bytes.TrimSuffix(line, []byte("\n")))
			l.row(r.fields[0], r.fields)
		}
	case pg.ErrorResponse:
		n, err := pg.ParseNotice(m)
		l.fault = errors.Join(l.fault, err)
		if n.Get(pg.SQLState) == "SP010" && l.stopped.IsZero() {
			l.stopped = time.Now()
		}
	}
}

// columnsOfCustomer finds out whether a result is made of customers, by its columns' names.
func columnsOfCustomer(fields []pg.Field) (id int, ok bool) {
	id = -1
	personal := false
	for i, f := range fields {
		switch string(f.Name) {
		case "id":
			id = i
		case "full_name", "email", "phone":
			personal = true
		}
	}
	return id, id >= 0 && personal
}

func splitLine(dst [][]byte, line []byte) [][]byte {
	for field := range bytes.SplitSeq(line, []byte("\t")) {
		dst = append(dst, field)
	}
	return dst
}

// row counts one customer. l.mu is held.
func (l *loot) row(id []byte, fields [][]byte) {
	n, err := strconv.ParseInt(string(id), 10, 64)
	if err != nil || n < 1 || n > l.org.Customers {
		return // the end of a COPY, or no customer of this organisation
	}
	l.rows++
	l.reached.Add(uint32(n)) //nolint:gosec // at most 100,000,000
	c := l.org.Customer(n)
	if quotes(fields, &c) {
		l.readable.Add(uint32(n)) //nolint:gosec // likewise
		return
	}
	if l.first.IsZero() {
		l.first = time.Now()
	}
}

// quotes tells whether any field holds something of the customer in plain.
func quotes(fields [][]byte, c *sim.Customer) bool {
	birth := ""
	if !c.BirthDate.IsZero() {
		birth = c.BirthDate.Format(time.DateOnly)
	}
	for _, f := range fields {
		for _, secret := range [...]string{c.FullName, c.Email, c.Phone, birth, c.Notes} {
			if secret != "" && strings.Contains(string(f), secret) {
				return true
			}
		}
	}
	return false
}
