package gateway

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"sync"

	"sallyport"
	"sallyport/exposure"
)

// kin remembers for each person the first token of each home that came with a customer. It holds hashes with a secret seed only.
// Its table is open-addressed: for every row of a result one line of memory is looked at.
type kin struct {
	seed  maphash.Seed
	mu    sync.Mutex // guards cells and used
	cells []relation
	used  int
}

// relation is a customer with a home as one person saw them (40 bits of a hash) and the value that came first (24 bits, the lowest of them
// set). A free cell is 0.
type relation uint64

const valueBits = 24

// home is where a token belongs: a column, or for one that was recognised by its form what the form says. It is a hash.
type home uint64

// kinship is whose memory it is. It is a hash.
type kinship uint64

// mostKin bounds the table, to 32 MB. Who fills it may have one token of each home once more.
const mostKin = 4 << 20

const smallestKin = 64

func newKin() *kin { return &kin{seed: maphash.MakeSeed(), cells: make([]relation, smallestKin)} }

// person is the memory of one person.
func (k *kin) person(who sallyport.Staff) kinship {
	return kinship(maphash.String(k.seed, string(who)))
}

// column is the home of a protected column's tokens.
func (k *kin) column(c sallyport.Column) home {
	return home(maphash.Comparable(k.seed, c))
}

// granted is the home of a column's values as a grant shows them.
func (k *kin) granted(c sallyport.Column) home { return ^k.column(c) }

// formed is the home of a token that was recognised by its form: the scheme, and of names and texts which of them it is.
func (k *kin) formed(scheme sallyport.Scheme, name bool) home {
	return home(maphash.Comparable(k.seed, struct {
		scheme sallyport.Scheme
		name   bool
	}{scheme, name}))
}

// grant is the memory of what one grant has shown.
func (k *kin) grant(id string) kinship { return k.person(sallyport.Staff("grant\x00" + id)) }

// token is what belongs is told of a stored token.
func (k *kin) token(stored []byte) uint64 { return maphash.Bytes(k.seed, stored) }

// belongs tells whether a value is the first of its home that came with this customer, to this person. value is a hash that nobody outside
// can foresee.
func (k *kin) belongs(who kinship, at home, owner exposure.Key, value uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first(who, at, &owner, value)
}

// belong is belongs of many customers' values, one after the other: so many of them do before the first that does not.
func (k *kin) belong(who kinship, at home, owners []exposure.Key, values []uint64) int {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range owners {
		if !k.first(who, at, &owners[i], values[i]) {
			return i
		}
	}
	return len(owners)
}

// first is belongs. The caller holds mu.
func (k *kin) first(who kinship, at home, owner *exposure.Key, value uint64) bool {
	high, low := bits.Mul64(binary.LittleEndian.Uint64(owner[:8])&^7^uint64(who), binary.LittleEndian.Uint64(owner[8:])^uint64(at))
	key := (high^low)>>valueBits&^7 | uint64(owner[0]&7)
	seen := relation(key<<valueBits | value&(1<<valueBits-1) | 1)
	if 4*(k.used+1) > 3*len(k.cells) {
		k.grow()
	}
	c := k.cell(key)
	if *c == 0 {
		*c = seen
		k.used++
	}
	return *c == seen
}

// cell is where a key stands, or would. Customers with neighbouring keys stand in one line of memory, and where it is taken already, in one of
// the next, each at his place in it: they do not stand in each other's way. The caller holds mu.
func (k *kin) cell(key uint64) *relation {
	cells := k.cells
	at := int((key ^ key>>20&(line-1)) & uint64(len(cells)-1)) //nolint:gosec // within the cells, which are 64 at least
	for cells[at] != 0 && uint64(cells[at]>>valueBits) != key {
		if at += line; at >= len(cells) {
			at = (at + 1) % line // the next place of every line
		}
	}
	return &cells[at]
}

// line is how many cells are in one line of memory.
const line = 8

// grow makes room, or at the bound forgets everything. The caller holds mu.
func (k *kin) grow() {
	if k.used = 0; len(k.cells) >= mostKin {
		clear(k.cells)
		return
	}
	old := k.cells
	k.cells = make([]relation, 2*len(old))
	for _, r := range old {
		if r != 0 {
			*k.cell(uint64(r >> valueBits)) = r
			k.used++
		}
	}
}
