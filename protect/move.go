package protect

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"

	"sallyport/token"
)

// badValues are rows whose value cannot be tokenised: how many, and the keys of the first.
type badValues struct {
	mu    sync.Mutex // guards all below
	count map[string]int
	keys  map[string][]string
}

// mostKeys is how many keys an error lists for one reason.
const mostKeys = 5

func (b *badValues) add(reason string, key [][]byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count == nil {
		b.count, b.keys = map[string]int{}, map[string][]string{}
	}
	b.count[reason]++
	if len(b.keys[reason]) < mostKeys {
		parts := make([]string, len(key))
		for i, k := range key {
			parts[i] = string(k)
		}
		b.keys[reason] = append(b.keys[reason], strings.Join(parts, "/"))
	}
}

// Reasons why a value stands against protection.
const (
	alreadyToken = "have the form of a token, though the column is not protected yet"
	strangeToken = "have the form of a token that was not made with these keys"
)

// examine tries every value without changing any.
func (r *run) examine(ctx context.Context) error {
	err := r.walk(ctx, func(ctx context.Context, conn *pgconn.PgConn, p piece) error {
		if p.done {
			return nil
		}
		var made []byte
		return p.each(ctx, conn, func(key, values [][]byte) error {
			for i, c := range p.t.columns {
				if values[i] == nil {
					continue
				}
				var err error
				if made, err = r.examineValue(ctx, made[:0], c, key, values[i]); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	var problems []string
	for _, t := range r.tables {
		for _, c := range t.columns {
			problems = append(problems, c.problems()...)
		}
	}
	if len(problems) > 0 {
		return &UnfitError{problems}
	}
	return nil
}

// examineValue notes what stands against one value; buf is room for its token.
func (r *run) examineValue(ctx context.Context, buf []byte, c *column, key [][]byte, value []byte) ([]byte, error) {
	made, err := c.codec.Tokenise(buf, value, r.Random)
	switch {
	case errors.Is(err, token.ErrAlreadyToken) && r.stays(c, value): // also where a protection was undone since
		return made, nil
	case errors.Is(err, token.ErrAlreadyToken):
		if !r.began(c.Column) {
			c.bad.add(alreadyToken, key)
		} else if made, err = r.reveal(ctx, buf, c, value); err != nil {
			c.bad.add(strangeToken, key)
		}
		return made, nil
	case errors.Is(err, token.ErrDomain):
		if c.over != nil {
			if made, err = c.overflowing(buf, value, r.Random); err == nil {
				break
			}
		}
		c.bad.add("have no token ("+err.Error()+")", key)
		return buf, nil
	case err != nil:
		return buf, fmt.Errorf("examine %s: %w", c, err)
	}
	for length := int64(utf8.RuneCount(made)); ; {
		longest := c.longest.Load()
		if length <= longest || c.longest.CompareAndSwap(longest, length) {
			return made, nil
		}
	}
}

// problems are what examine found about one column.
func (c *column) problems() (list []string) {
	if longest := int(c.longest.Load()); c.width > 0 && longest > c.width {
		list = append(list, fmt.Sprintf("%s: it holds %d characters and needs %d for its longest token; widen it, best to text",
			c, c.width, longest))
	}
	for _, reason := range slices.Sorted(maps.Keys(c.bad.count)) {
		count := c.bad.count[reason]
		keys, more := strings.Join(c.bad.keys[reason], ", "), ""
		if count > mostKeys {
			more = " …"
		}
		list = append(list, fmt.Sprintf("%s: %d values %s, in the rows %s%s", c, count, reason, keys, more))
	}
	return list
}

// move makes tokens of all plain values.
func (r *run) move(ctx context.Context) error {
	return r.walk(ctx, func(ctx context.Context, conn *pgconn.PgConn, p piece) error {
		one := r.moveRange
		if r.Live != nil {
			one = r.moveLive
		}
		if err := one(ctx, conn, p); err != nil {
			return fmt.Errorf("protect rows of %s: %w", p.t, err)
		}
		return nil
	})
}

// moveRange changes one range in one transaction. Repeatable read turns a change that somebody made between our read and
// our write into an error: else it would be lost.
func (r *run) moveRange(ctx context.Context, conn *pgconn.PgConn, p piece) error {
	_, err := r.change(ctx, conn, p, false)
	return err
}

// change is moveRange, or beside others at work: then rows are compared with what was read, and those that somebody changed meanwhile in
// these columns are missed and not lost. What else he changed stays.
func (r *run) change(ctx context.Context, conn *pgconn.PgConn, p piece, beside bool) (missed int64, err error) {
	level := "REPEATABLE READ"
	if beside {
		level = "READ COMMITTED"
	}
	if err := exec(ctx, conn, "BEGIN ISOLATION LEVEL "+level); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil && !conn.IsClosed() {
			err = errors.Join(err, exec(context.WithoutCancel(ctx), conn, "ROLLBACK"))
		}
	}()
	b := newBatch(p.t, r.out, beside)
	exchange := r.exchanging(ctx)
	err = p.each(ctx, conn, func(key, values [][]byte) error { return b.add(key, values, exchange) })
	if err != nil {
		return 0, err
	}
	if b.rows > 0 {
		result := conn.ExecParams(ctx, p.t.updateSQL(beside), b.params(), b.oids(), b.formats(), nil).Read()
		if result.Err != nil {
			return 0, withoutValues(result.Err)
		}
		missed = int64(b.rows) - result.CommandTag.RowsAffected()
		if missed != 0 && !beside {
			return 0, fmt.Errorf("%d of %d rows changed; does the owner see all rows", int64(b.rows)-missed, b.rows)
		}
	}
	if r.Live != nil && missed == 0 {
		if err := p.markDone(ctx, conn); err != nil {
			return 0, err
		}
	}
	if err := exec(ctx, conn, "COMMIT"); err != nil {
		return 0, err
	}
	for i, c := range p.t.columns {
		c.moved.Add(max(0, b.made[i]-missed)) // of a row that was missed nothing was made
	}
	return missed, nil
}

// updateSQL sets all protected columns of the rows whose keys and tokens come as arrays; compared, also what stood there.
func (t *table) updateSQL(compared bool) string {
	var arrays, names, joins, sets []string
	add := func(kind string) string {
		name := fmt.Sprintf("a%d", len(arrays)+1)
		arrays = append(arrays, fmt.Sprintf("$%d::text[]::%s[]", len(arrays)+1, kind))
		names = append(names, name)
		return "made." + name
	}
	for _, k := range t.key {
		joins = append(joins, fmt.Sprintf("was.%s = %s", k.name, add(k.kind)))
	}
	for _, c := range t.columns {
		sets = append(sets, fmt.Sprintf("%s = %s", c.sql(), add(c.kind)))
	}
	for _, c := range t.columns {
		if compared {
			joins = append(joins, fmt.Sprintf("was.%s IS NOT DISTINCT FROM %s", c.sql(), add(c.kind)))
		}
	}
	return fmt.Sprintf("UPDATE %s AS was SET %s FROM unnest(%s) AS made (%s) WHERE %s",
		t.sql(), strings.Join(sets, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), strings.Join(joins, " AND "))
}

// batch collects the rows of one range that change, as the arrays of updateSQL.
type batch struct {
	t      *table
	arrays []textArray
	rows   int
	made   []int64 // tokens by column
	spare  []byte
	out    bool // tokens become plain values
	olds   []textArray
}

func newBatch(t *table, out, compared bool) *batch {
	all := make([]textArray, len(t.key)+2*len(t.columns))
	news := len(t.key) + len(t.columns)
	if !compared {
		all = all[:news]
	}
	return &batch{t: t, out: out, arrays: all, olds: all[news:], made: make([]int64, len(t.columns))}
}

// add takes a row in unless it has nothing plain.
func (b *batch) add(key, values [][]byte, exchange exchanges) error {
	changes := false
	for i, c := range b.t.columns {
		changes = changes || values[i] != nil && c.codec.IsToken(values[i]) == b.out
	}
	if !changes {
		return nil
	}
	for i, part := range key {
		b.arrays[i].append(part)
	}
	for i := range b.olds {
		b.olds[i].append(values[i])
	}
	for i, c := range b.t.columns {
		array := &b.arrays[len(key)+i]
		if values[i] == nil || c.codec.IsToken(values[i]) != b.out {
			array.append(values[i])
			continue
		}
		var err error
		if b.spare, err = exchange(b.spare[:0], c, values[i]); err != nil { // examine has tried it: somebody wrote since
			verb := "tokenise"
			if b.out {
				verb = "reveal"
			}
			return fmt.Errorf("%s %s in the row %s: %w", verb, c, bytes.Join(key, []byte("/")), err)
		}
		array.append(b.spare)
		b.made[i]++
	}
	b.rows++
	return nil
}

func (b *batch) params() [][]byte {
	params := make([][]byte, len(b.arrays))
	for i := range b.arrays {
		params[i] = b.arrays[i].encode()
	}
	return params
}

// textArrayOID is the type text[].
const textArrayOID, textOID = 1009, 25

func (b *batch) oids() []uint32 {
	oids := make([]uint32, len(b.arrays))
	for i := range oids {
		oids[i] = textArrayOID
	}
	return oids
}

// formats say that all arrays are binary; one format stands for all.
func (b *batch) formats() []int16 { return []int16{1} }

// textArray is a one-dimensional array in PostgreSQL's binary format (src/backend/utils/adt/arrayfuncs.c, array_send).
type textArray struct {
	buf   []byte
	count uint32
	nulls uint32 // 1 if there are any
}

const arrayHeader = 5 * 4

func (a *textArray) append(element []byte) {
	if a.buf == nil {
		a.buf = make([]byte, arrayHeader, 64<<10)
	}
	a.count++
	if element == nil {
		a.nulls = 1
		a.buf = binary.BigEndian.AppendUint32(a.buf, ^uint32(0))
		return
	}
	a.buf = binary.BigEndian.AppendUint32(a.buf, uint32(len(element)))
	a.buf = append(a.buf, element...)
}

// encode fills the header: dimensions, nulls, element type, length, lower bound.
func (a *textArray) encode() []byte {
	for i, field := range []uint32{1, a.nulls, textOID, a.count, 1} {
		binary.BigEndian.PutUint32(a.buf[4*i:], field)
	}
	return a.buf
}
