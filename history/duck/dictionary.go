package duck

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/klauspost/compress/zstd"

	"sallyport"
	"sallyport/history"
)

// dictionaries give small numbers to what comes again and again. People, words and fields are few and all in memory. Actors (somebody in one
// session) and reasons are of a day: those of the last two are in memory, and after a restart the same one may get a second number.
type dictionaries struct {
	people  map[sallyport.Staff]int32
	byID    map[int32]sallyport.Staff
	words   map[string]int32
	texts   map[int32]string
	fields  map[sallyport.Column]int16
	columns map[int16]sallyport.Column
	sets    map[string]fieldSet // by the numbers of the fields
	tells   func(sallyport.Column) bool
	actors  daily[sallyport.Who]
	tables  map[string]bool     // that were mentioned
	working map[string]*working // by session: whose entries came last
	reasons daily[string]
	next    struct{ person, word, actor, reason int32 }

	verbs   map[history.Place]int32 // of statements whose results may still come
	former  map[history.Place]int32 // likewise, older
	pending pending
}

// pending are new numbers that have to be stored with the batch that made them.
type pending struct {
	people  []newPerson
	words   []int32
	fields  []int16
	actors  []newActor
	reasons []newReason
}

type newPerson struct {
	id  int32
	who sallyport.Staff
}

type newActor struct {
	day, id int32
	who     sallyport.Who
}

type newReason struct {
	day, id int32
	text    string
}

// daily holds the numbers of two days.
type daily[T comparable] struct {
	day, before int32
	ids, older  map[T]int32
}

// mostDaily bounds them.
const mostDaily = 1 << 18

// of is the map of a day, and whether that has to be begun.
func (d *daily[T]) of(day int32) map[T]int32 {
	switch {
	case d.ids != nil && d.day == day && len(d.ids) < mostDaily:
		return d.ids
	case d.older != nil && d.before == day && d.day != day && len(d.older) < mostDaily:
		return d.older
	}
	d.older, d.before = d.ids, d.day
	d.ids, d.day = map[T]int32{}, day
	return d.ids
}

func newDictionaries(o Options) *dictionaries {
	return &dictionaries{
		tells: func(c sallyport.Column) bool { return o.Tells != nil && o.Tells(c) }, sets: map[string]fieldSet{}, working: map[string]*working{},
		people: map[sallyport.Staff]int32{}, byID: map[int32]sallyport.Staff{}, words: map[string]int32{}, texts: map[int32]string{},
		fields: map[sallyport.Column]int16{}, columns: map[int16]sallyport.Column{}, verbs: make(map[history.Place]int32, mostVerbs), tables: map[string]bool{},
	}
}

// loadDictionaries reads what stands in the tables.
func loadDictionaries(ctx context.Context, conn *sql.Conn, o Options) (*dictionaries, error) {
	d, names := newDictionaries(o), o.Names
	err := each(ctx, conn, "SELECT id, box FROM people WHERE id > 0", func(scan func(...any) error) error {
		var id int32
		var box []byte
		if err := scan(&id, &box); err != nil {
			return err
		}
		plain, err := names.Open(box, personPlace(id))
		if err != nil {
			return err
		}
		who := sallyport.Staff(strings.TrimRight(string(plain), "\x00"))
		d.people[who], d.byID[id] = id, who
		d.next.person = max(d.next.person, id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, conn, "SELECT id, word FROM words", func(scan func(...any) error) error {
		var id int32
		var word string
		if err := scan(&id, &word); err != nil {
			return err
		}
		d.words[word], d.texts[id] = id, word
		d.next.word = max(d.next.word, id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, conn, `SELECT id, "schema", "table", name, tells FROM fields`, func(scan func(...any) error) error {
		var id int16
		var c sallyport.Column
		var tells bool
		if err := scan(&id, &c.Schema, &c.Table, &c.Name, &tells); err != nil {
			return err
		}
		if tells != d.tells(c) {
			return fmt.Errorf("whether equal values of %s mean the same customer has changed: %w", c, history.ErrBroken)
		}
		d.fields[c], d.columns[id] = id, c
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, conn, "SELECT name FROM mentions", func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		d.tables[name] = true
		return err
	})
	if err != nil {
		return nil, err
	}
	return d, conn.QueryRowContext(ctx, "SELECT (SELECT coalesce(max(id), 0) FROM actors), (SELECT coalesce(max(id), 0) FROM reasons)").Scan(&d.next.actor, &d.next.reason)
}

// each calls fn for every row.
func each(ctx context.Context, conn *sql.Conn, query string, fn func(scan func(...any) error) error, args ...any) error {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says what went wrong
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (d *dictionaries) person(who sallyport.Staff) int32 {
	if who == "" {
		return 0
	}
	id, known := d.people[who]
	if !known {
		d.next.person++
		id = d.next.person
		d.people[who], d.byID[id] = id, who
		d.pending.people = append(d.pending.people, newPerson{id, who})
	}
	return id
}

func (d *dictionaries) word(text string) int32 {
	if text == "" {
		return 0
	}
	id, known := d.words[text]
	if !known {
		d.next.word++
		id = d.next.word
		d.words[text], d.texts[id] = id, text
		d.pending.words = append(d.pending.words, id)
	}
	return id
}

// mention says whether a table is mentioned for the first time.
func (d *dictionaries) mention(table string) bool {
	if d.tables[table] {
		return false
	}
	d.tables[table] = true
	return true
}

func (d *dictionaries) field(c sallyport.Column) int16 {
	id, known := d.fields[c]
	if !known {
		id = int16(len(d.fields) + 1) //nolint:gosec // columns of databases that Sallyport guards
		d.fields[c], d.columns[id] = id, c
		d.pending.fields = append(d.pending.fields, id)
	}
	return id
}

// telling are the fields whose values tell one customer from another.
func (d *dictionaries) telling() (fields []int16) {
	for id, column := range d.columns {
		if d.tells(column) {
			fields = append(fields, id)
		}
	}
	return fields
}

// fieldSet is columns that come together: the word that lists them, and their numbers.
type fieldSet struct {
	word   int32
	fields []int16
}

func (d *dictionaries) set(columns []sallyport.Column) fieldSet {
	if len(columns) == 0 {
		return fieldSet{}
	}
	fields, key := make([]int16, len(columns)), make([]byte, 0, 64)
	for i, c := range columns {
		fields[i] = d.field(c)
		key = binary.BigEndian.AppendUint16(key, uint16(fields[i])) //nolint:gosec // a number
	}
	of, known := d.sets[string(key)]
	if !known {
		names := make([]string, len(columns))
		for i, c := range columns {
			names[i] = c.String()
		}
		of = fieldSet{d.word(strings.Join(names, ", ")), fields}
		d.sets[string(key)] = of
	}
	return of
}

// setOf is the set of an entry of somebody. It keeps the columns, which nobody changes: the next entry mostly has the same.
func (d *dictionaries) setOf(w *working, columns []sallyport.Column) fieldSet {
	if len(columns) == 0 {
		return fieldSet{}
	}
	if !slices.Equal(w.columns, columns) {
		w.columns, w.set = columns, d.set(columns)
	}
	return w.set
}

// working is somebody in one session, on one day.
type working struct {
	day           int32
	who           sallyport.Who
	actor, person int32

	purposes []sallyport.Purpose // of the entry before, and its grant: most have the same
	grant    string
	reason   int32

	columns []sallyport.Column // likewise
	set     fieldSet
}

// at finds who acts in an entry.
func (d *dictionaries) at(day int32, who *sallyport.Who) *working {
	if w := d.working[who.Session]; w != nil && w.day == day && w.who == *who {
		return w
	}
	if len(d.working) >= mostDaily {
		clear(d.working)
	}
	w := &working{day: day, who: *who, actor: d.actor(day, who), person: d.person(who.Staff)}
	d.working[who.Session] = w
	return w
}

func (d *dictionaries) actor(day int32, who *sallyport.Who) int32 {
	ids := d.actors.of(day)
	id, known := ids[*who]
	if !known {
		d.next.actor++
		id = d.next.actor
		ids[*who] = id
		d.pending.actors = append(d.pending.actors, newActor{day, id, *who})
	}
	return id
}

// reasonOf is the reason of an entry of somebody. It keeps the purposes, which nobody changes.
func (d *dictionaries) reasonOf(w *working, purposes []sallyport.Purpose, grant string) int32 {
	if w.reason == 0 || w.grant != grant || !slices.Equal(w.purposes, purposes) {
		w.purposes, w.grant, w.reason = purposes, grant, d.reason(w.day, purposes, grant)
	}
	return w.reason
}

// reason numbers purposes and grant together.
func (d *dictionaries) reason(day int32, purposes []sallyport.Purpose, grant string) int32 {
	if len(purposes) == 0 && grant == "" {
		return 0
	}
	text := reasonText(purposes, grant)
	ids := d.reasons.of(day)
	id, known := ids[text]
	if !known {
		d.next.reason++
		id = d.next.reason
		ids[text] = id
		d.pending.reasons = append(d.pending.reasons, newReason{day, id, text})
	}
	return id
}

// reasonText holds purposes, which have no line ends, one a line, after the grant.
func reasonText(purposes []sallyport.Purpose, grant string) string {
	var b strings.Builder
	b.WriteString(grant)
	for _, p := range purposes {
		b.WriteByte('\n')
		b.WriteString(p.Kind)
		b.WriteByte(':')
		b.WriteString(p.Ref)
	}
	return b.String()
}

// mostVerbs bounds the statements whose results are awaited, in two halves.
const mostVerbs = 1 << 16

func (d *dictionaries) began(at history.Place, verb int32) {
	if len(d.verbs) >= mostVerbs {
		d.former, d.verbs = d.verbs, make(map[history.Place]int32, mostVerbs)
	}
	d.verbs[at] = verb
}

func (d *dictionaries) verbOf(at history.Place) int32 {
	if verb, ok := d.verbs[at]; ok {
		return verb
	}
	return d.former[at]
}

// The kinds of boxes.
const (
	boxActors  = 1
	boxReasons = 2
)

// perBox is how many names lie in one box: it is opened whole.
const perBox = 256

// boxed are the names in one box.
type boxed struct {
	IDs   []int32    `cbor:"1,keyasint"`
	Texts [][]string `cbor:"2,keyasint"`
}

// Coders of boxes; both are safe for many goroutines.
var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))                        //nolint:gochecknoglobals // immutable
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(16<<20), zstd.WithDecoderLowmem(true)) //nolint:gochecknoglobals // immutable
)

func (b *boxed) seal(names *history.Names, place string) ([]byte, error) {
	plain, err := cbor.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("pack names: %w", err)
	}
	return names.Seal(packer.EncodeAll(plain, nil), place), nil
}

func openBox(names *history.Names, box []byte, place string) (*boxed, error) {
	packed, err := names.Open(box, place)
	if err != nil {
		return nil, err
	}
	plain, err := unpacker.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack names: %w: %w", history.ErrBroken, err)
	}
	b := &boxed{}
	if err := cbor.Unmarshal(plain, b); err != nil || len(b.IDs) != len(b.Texts) {
		return nil, fmt.Errorf("unpack names: %w: %w", history.ErrBroken, err)
	}
	return b, nil
}

func personPlace(id int32) string { return fmt.Sprintf("person %d", id) }

func boxPlace(kind int8, first int32) string { return fmt.Sprintf("box %d %d", kind, first) }

// padded hides how long a name is.
func padded(name string) []byte {
	b := make([]byte, (len(name)/32+1)*32)
	copy(b, name)
	return b
}

// hashedKey numbers a customer whose key is a text. 62 bits: among 12 million the odds that two are one are 1 in 64,000.
func hashedKey(key sallyport.Subject) int64 {
	sum := sha256.Sum256([]byte(key))
	return -1 - int64(binary.BigEndian.Uint64(sum[:])>>2) //nolint:gosec // 62 bits
}
