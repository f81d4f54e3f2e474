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
			for _, c := range p.t.columns {
				c.uneven.Store(true)
			}
			return nil
		}
		var made []byte
		return p.each(ctx, conn, func(key, values [][]byte) error {
			for i, c := range p.t.columns {
				if values[i] == nil || c.formless && p.isToken(i, values) {
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
	return r.judge(ctx)
}

// judge refuses what examine found, and rows that would become one.
func (r *run) judge(ctx context.Context) error {
	problems, err := r.twins(ctx)
	if err != nil {
		return err
	}
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
	if c.unique && !c.uneven.Load() {
		even, ok := canonical(buf, c.codec, c.over, value)
		if ok && !bytes.Equal(even, value) {
			c.uneven.Store(true)
		}
	}
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
		if slices.ContainsFunc(p.t.columns, (*column).crowded) {
			one = r.clearing(one)
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
	if len(p.t.own()) < len(p.t.columns) { // the other connection may change the same rows, by their values
		return r.insist(ctx, conn, p)
	}
	_, err := r.change(ctx, conn, p, false)
	return err
}

// change is moveRange, or beside others at work: then rows are compared with what was read, and those that somebody changed meanwhile in
// these columns are missed and not lost. What else he changed stays.
func (r *run) change(ctx context.Context, conn *pgconn.PgConn, p piece, beside bool) (missed int64, err error) {
	level, each := "REPEATABLE READ", p.each
	if p.t.noted { // what is known of a row stands beside it, and may change with it: it is locked first
		beside, each = true, p.eachLocked
	}
	if beside {
		level = "READ COMMITTED"
	}
	if p.t.bondsApart() {
		r.bound.Lock()
		defer r.bound.Unlock()
	}
	if err := exec(ctx, conn, "BEGIN ISOLATION LEVEL "+level); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil && !conn.IsClosed() {
			err = errors.Join(err, exec(context.WithoutCancel(ctx), conn, "ROLLBACK"))
		}
	}()
	b := newBatch(p, r.out, beside)
	exchange := r.exchanging(ctx)
	err = each(ctx, conn, func(key, values [][]byte) error { return b.add(key, values, exchange) })
	if err != nil {
		return 0, err
	}
	bound, missed, err := b.exchangeBonds(ctx, conn)
	if err != nil {
		return 0, err
	}
	own, err := b.update(ctx, conn, beside)
	if err != nil {
		return 0, err
	}
	if err := b.forgetNotes(ctx, conn); err != nil {
		return 0, err
	}
	if missed += own; missed != 0 && !beside {
		return 0, fmt.Errorf("%d of %d rows did not change; does the owner see all rows", missed, b.rows)
	}
	if kept, err := r.finish(ctx, conn, p, missed); err != nil || !kept {
		return missed, err
	}
	for i, c := range b.own {
		c.moved.Add(b.made[i])
	}
	for of, changed := range bound {
		of.moved(changed)
	}
	return missed, nil
}

// finish ends the transaction of a range, with its progress. Where a row was missed and columns have no form all of it is taken back: what moved
// could not be told from what did not.
func (r *run) finish(ctx context.Context, conn *pgconn.PgConn, p piece, missed int64) (kept bool, err error) {
	formless := len(p.t.formless()) > 0
	if missed != 0 && formless {
		return false, exec(ctx, conn, "ROLLBACK")
	}
	whole := missed == 0 && (formless || r.Live != nil)
	if whole {
		if err := p.markDone(ctx, conn, r.out); err != nil {
			return false, err
		}
	}
	if err := exec(ctx, conn, "COMMIT"); err != nil {
		return false, err
	}
	if whole {
		p.t.ranges[p.number].tokens = !r.out
	}
	return true, nil
}

// own are the columns that change row by row, by the row's key.
func (t *table) own() (list []*column) {
	for _, c := range t.columns {
		if c.bond == nil {
			list = append(list, c)
		}
	}
	return list
}

// updateSQL sets those columns of the rows whose keys and tokens come as arrays; compared, also what stood there.
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
	for _, c := range t.own() {
		sets = append(sets, fmt.Sprintf("%s = %s", c.sql(), add(c.kind)))
	}
	for _, c := range t.own() {
		if compared {
			joins = append(joins, fmt.Sprintf("was.%s IS NOT DISTINCT FROM %s", c.sql(), add(c.kind)))
		}
	}
	return fmt.Sprintf("UPDATE %s AS was SET %s FROM unnest(%s) AS made (%s) WHERE %s",
		t.sql(), strings.Join(sets, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), strings.Join(joins, " AND "))
}

// batch collects the rows of one range that change, as the arrays of updateSQL, and the values of bonds.
type batch struct {
	t      *table
	piece  piece
	own    []*column
	arrays []textArray
	rows   int
	made   []int64 // tokens by column of own
	spare  []byte
	out    bool // tokens become plain values
	olds   []textArray
	bonds  map[*bond]map[string]string // what each value becomes
	noted  textArray                   // keys of rows of which something is noted
}

func newBatch(p piece, out, compared bool) *batch {
	t := p.t
	own := t.own()
	all := make([]textArray, len(t.key)+2*len(own))
	news := len(t.key) + len(own)
	if !compared {
		all = all[:news]
	}
	return &batch{t: t, piece: p, own: own, out: out, arrays: all, olds: all[news:], made: make([]int64, len(own)), bonds: map[*bond]map[string]string{}}
}

// add takes a row in unless it has nothing plain.
func (b *batch) add(key, values [][]byte, exchange exchanges) error {
	changes := false
	own, moves := make([][]byte, 0, len(b.own)), make([]bool, 0, len(b.own))
	b.takeNotes(values)
	for i, c := range b.t.columns {
		changing := values[i] != nil && b.piece.isToken(i, values) == b.out
		switch {
		case c.bond == nil:
			own, moves = append(own, values[i]), append(moves, changing)
			changes = changes || changing
		case changing:
			if err := b.bind(key, c, values[i], exchange); err != nil {
				return err
			}
			if c.formless { // it is noted when it changes, wherever it stands, and here its range says so
				b.noted.append(values[len(values)-1])
			}
		}
	}
	if !changes {
		return nil
	}
	for i, part := range key {
		b.arrays[i].append(part)
	}
	for i := range b.olds {
		b.olds[i].append(own[i])
	}
	for i, c := range b.own {
		array := &b.arrays[len(key)+i]
		if !moves[i] {
			array.append(own[i])
			continue
		}
		if err := b.exchange(key, c, own[i], exchange); err != nil {
			return err
		}
		array.append(b.spare)
		b.made[i]++
	}
	b.rows++
	return nil
}

// exchange leaves what becomes of a value in b.spare.
func (b *batch) exchange(key [][]byte, c *column, value []byte, exchange exchanges) (err error) {
	if b.spare, err = exchange(b.spare[:0], c, value); err != nil { // examine has tried it: somebody wrote since
		verb := "tokenise"
		if b.out {
			verb = "reveal"
		}
		return fmt.Errorf("%s %s in the row %s: %w", verb, c, bytes.Join(key, []byte("/")), err)
	}
	return nil
}

// bind takes a value of a bond in.
func (b *batch) bind(key [][]byte, c *column, value []byte, exchange exchanges) error {
	pairs := b.bonds[c.bond]
	if pairs == nil {
		pairs = map[string]string{}
		b.bonds[c.bond] = pairs
	}
	if _, known := pairs[string(value)]; known {
		return nil
	}
	if err := b.exchange(key, c, value, exchange); err != nil {
		return err
	}
	if becomes := string(b.spare); becomes != string(value) { // a token that stands for nothing stays
		pairs[string(value)] = becomes
	}
	return nil
}

// exchangeBonds changes the values of bonds wherever they stand.
func (b *batch) exchangeBonds(ctx context.Context, conn *pgconn.PgConn) (bound map[*bond][]int64, missed int64, err error) {
	bound = map[*bond][]int64{}
	for of, pairs := range b.bonds {
		if len(pairs) == 0 {
			continue
		}
		exchange := of.exchange
		if of.apart() {
			exchange = func(ctx context.Context, conn *pgconn.PgConn, pairs map[string]string) ([]int64, int64, error) {
				return of.exchangeApart(ctx, conn, pairs, b.out)
			}
		}
		changed, left, err := exchange(ctx, conn, pairs)
		if err != nil {
			return nil, 0, err
		}
		bound[of], missed = changed, missed+left
	}
	return bound, missed, nil
}

// update changes what changes row by row. missed are rows that somebody changed meanwhile.
func (b *batch) update(ctx context.Context, conn *pgconn.PgConn, beside bool) (missed int64, err error) {
	if b.rows == 0 {
		return 0, nil
	}
	result := conn.ExecParams(ctx, b.t.updateSQL(beside), b.params(), b.oids(), b.formats(), nil).Read()
	if result.Err != nil {
		return 0, withoutValues(result.Err)
	}
	missed = int64(b.rows) - result.CommandTag.RowsAffected()
	b.forget(missed)
	return missed, nil
}

// forget takes back from what was made what rows had that were missed.
func (b *batch) forget(missed int64) {
	for i := range b.made {
		b.made[i] = max(0, b.made[i]-missed)
	}
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
