package gateway

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/exposure"
)

// customer is whose a value or a row is. Nearly all keys of customers are whole numbers, and a row of those makes no text. The zero customer is nobody.
type customer struct {
	text     sallyport.Subject // "": not made yet, or nobody
	number   uint64
	numbered bool // number is the key
}

func customerOf(who sallyport.Subject) customer {
	n, ok := sallyport.WholeNumber(who)
	return customer{who, n, ok}
}

func (c *customer) known() bool { return c.numbered || c.text != "" }

// subject is the key as the catalogue writes it.
func (c *customer) subject() sallyport.Subject {
	if c.text == "" && c.numbered {
		return sallyport.Subject(strconv.FormatUint(c.number, 10))
	}
	return c.text
}

// keyTexts makes the texts of many customers' keys, hundreds of them with one allocation.
type keyTexts struct{ chunk strings.Builder }

// of is the customer's key as the catalogue writes it.
func (t *keyTexts) of(c *customer) sallyport.Subject {
	const largest, longest = 8 << 10, 20
	if c.text != "" || !c.numbered {
		return c.text
	}
	if t.chunk.Cap()-t.chunk.Len() < longest {
		size := min(max(2*t.chunk.Cap(), longest), largest)
		t.chunk.Reset() // the texts that were made keep theirs
		t.chunk.Grow(size)
	}
	var digits [longest]byte
	start := t.chunk.Len()
	_, _ = t.chunk.Write(strconv.AppendUint(digits[:0], c.number, 10)) // it never fails
	return sallyport.Subject(t.chunk.String()[start:])
}

// keySeeds make the budgets' keys of this process: of numbers, and of texts. Nobody outside knows them, so nobody finds two customers with one key.
var keySeeds = [2][2]maphash.Seed{{maphash.MakeSeed(), maphash.MakeSeed()}, {maphash.MakeSeed(), maphash.MakeSeed()}} //nolint:gochecknoglobals // like a hash table's

// neighbours is how many numbers side by side get keys that are found faster one after another (exposure.Key): customers mostly come so.
const neighbours = 8

// key is the customer in the budgets' book, which does not outlive the process.
func (c *customer) key() (k exposure.Key) {
	if !c.numbered {
		binary.LittleEndian.PutUint64(k[:8], maphash.String(keySeeds[1][0], string(c.text)))
		binary.LittleEndian.PutUint64(k[8:], maphash.String(keySeeds[1][1], string(c.text)))
		return k
	}
	var group [8]byte
	binary.LittleEndian.PutUint64(group[:], c.number/neighbours)
	low := maphash.Bytes(keySeeds[0][0], group[:])&^(neighbours-1) | c.number%neighbours
	binary.LittleEndian.PutUint64(k[:8], low)
	binary.LittleEndian.PutUint64(k[8:], maphash.Bytes(keySeeds[0][1], group[:]))
	return k
}

// lastKey is the key that was made last: the next customer is mostly its neighbour.
type lastKey struct {
	number uint64
	key    exposure.Key // none yet: that of nobody
}

// of is the customer's key.
func (l *lastKey) of(c *customer) exposure.Key {
	switch {
	case !c.numbered:
		return c.key()
	case l.key == exposure.Key{} || l.number/neighbours != c.number/neighbours:
		l.key = c.key()
	default:
		l.key[0] = l.key[0]&^(neighbours-1) | byte(c.number%neighbours)
	}
	l.number = c.number
	return l.key
}

func subjectKey(who sallyport.Subject) exposure.Key {
	c := customerOf(who)
	return c.key()
}

// secondKey is one more customer seen under a customer's id.
func secondKey(who sallyport.Subject, c sallyport.Column, d sallyport.Digest) exposure.Key {
	return exposure.SecondKey(who, c, d)
}

// rowKey is the customer whose key stands in a field.
func rowKey(c *column, field []byte) customer {
	if n, ok := sallyport.WholeNumber(field); ok && !c.binary {
		return customer{number: n, numbered: true}
	}
	return customerOf(keyText(c, field))
}

// keyText is a customer's id as the catalogue writes it.
func keyText(c *column, field []byte) sallyport.Subject {
	if !c.binary {
		return sallyport.Subject(field)
	}
	switch {
	case c.typ == typeInt8 && len(field) == 8:
		return sallyport.Subject(strconv.FormatInt(int64(binary.BigEndian.Uint64(field)), 10)) //nolint:gosec // int8send
	case c.typ == typeInt4 && len(field) == 4:
		return sallyport.Subject(strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(field))), 10)) //nolint:gosec // int4send
	case c.typ == typeInt2 && len(field) == 2:
		return sallyport.Subject(strconv.FormatInt(int64(int16(binary.BigEndian.Uint16(field))), 10)) //nolint:gosec // int2send
	case c.typ == typeOID && len(field) == 4:
		return sallyport.Subject(strconv.FormatUint(uint64(binary.BigEndian.Uint32(field)), 10))
	case c.typ == typeUUID && len(field) == 16:
		return sallyport.Subject(fmt.Sprintf("%x-%x-%x-%x-%x", field[:4], field[4:6], field[6:8], field[8:10], field[10:]))
	}
	return sallyport.Subject(field) // a text is the same bytes in both formats
}

// valueKey is the customer of a revealed value; where only the value is known, it counts by itself.
func (l *lastKey) valueKey(who *customer, d sallyport.Digest) exposure.Key {
	if !who.known() {
		return exposure.Key(d)
	}
	return l.of(who)
}
