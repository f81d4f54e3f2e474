package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"strconv"

	"sallyport"
	"sallyport/exposure"
)

// keySeeds make the budgets' keys of this process. Nobody outside knows them, so nobody finds two customers with one key.
var keySeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()} //nolint:gochecknoglobals // like a hash table's

// subjectKey is a customer in the budgets' book, which does not outlive the process. Customers whose ids end in neighbouring digits get
// neighbouring keys, because they mostly come one after another.
func subjectKey(who sallyport.Subject) (k exposure.Key) {
	front, last := string(who), byte(0)
	if n := len(front); n > 0 {
		if digit := front[n-1] - '0'; digit < 8 {
			front, last = front[:n-1], digit|8
		}
	}
	binary.LittleEndian.PutUint64(k[:8], maphash.String(keySeeds[0], front))
	binary.LittleEndian.PutUint64(k[8:], maphash.String(keySeeds[1], front))
	k[0] = k[0]&^7 | last&7
	k[1] ^= last & 8 // an id without such a digit is none with a 0
	return k
}

// secondKey is one more customer seen under a customer's id.
func secondKey(who sallyport.Subject, c sallyport.Column, d sallyport.Digest) exposure.Key {
	sum := sha256.Sum256([]byte("second\x00" + string(who) + "\x00" + c.String() + "\x00" + string(d[:])))
	return exposure.Key(sum[:16])
}

// keyText is a customer's id as the catalogue writes it.
func keyText(c *column, field []byte) sallyport.Subject {
	if !c.binary {
		return sallyport.Subject(field)
	}
	switch len(field) {
	case 8:
		return sallyport.Subject(strconv.FormatInt(int64(binary.BigEndian.Uint64(field)), 10)) //nolint:gosec // int8send
	case 4:
		return sallyport.Subject(strconv.FormatInt(int64(int32(binary.BigEndian.Uint32(field))), 10)) //nolint:gosec // int4send
	}
	return sallyport.Subject(field)
}

// valueKey is the customer of a revealed value; where only the value is known, it counts by itself.
func valueKey(who sallyport.Subject, d sallyport.Digest) exposure.Key {
	if who == "" {
		return exposure.Key(d)
	}
	return subjectKey(who)
}
