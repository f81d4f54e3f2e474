package rotation

import (
	"errors"
	"math/big"
	"math/rand/v2"
)

// A table is rows and columns of which each row is to get one column: rows are the seats of posts and, so that there are as many, empty ones
// that anybody may take; columns are what each person can take, one after the other.
//
// Perfect matchings are drawn by a bound M on their number that falls from step to step (M. Huber, Exact sampling from perfect matchings of
// dense regular bipartite graphs, Algorithmica 44, 2006): a column goes to a row with the probability M(what would be left)/M(now), and with what
// is missing to 1 all is thrown away. The product of these is 1/M(at first) for every matching, so each is equally probable. That a step's
// probabilities are no more than 1 together is checked at each step, in whole numbers: a draw that could not be uniform fails.
type table struct {
	x     *part
	slots []int // of each row its post; -1: an empty one
	fit   []int // of each column whose it is; before the others of his those that must not stay empty
	must  []bool
	left  []int // of each row, how many columns it may get
	bound []*big.Int
	best  *big.Int // the most that weight can be

	scratch scratch
}

// unit is 1 among the numbers of bound.
const unit = 1 << 40

// errBound says that a bound did not bound.
var errBound = errors.New("the bound on what is left does not hold: nothing was drawn")

func newTable(x *part, slots []int) *table {
	t := &table{x: x, slots: append([]int(nil), slots...)}
	for j, load := range x.load {
		for k := range load {
			t.fit, t.must = append(t.fit, j), append(t.must, x.must != nil && k < x.must[j])
		}
	}
	for range len(t.fit) - len(slots) {
		t.slots = append(t.slots, -1)
	}
	for i := range t.slots {
		n := 0
		for c := range t.fit {
			if t.open(i, c) {
				n++
			}
		}
		t.left = append(t.left, n)
	}
	t.bound, t.best = bounds(len(t.fit)), t.heaviest(len(t.slots)-len(slots))
	t.scratch.share, t.scratch.known = make([]big.Int, len(t.bound)), make([]bool, len(t.bound))
	return t
}

// open tells whether a row may get a column.
func (t *table) open(row, column int) bool {
	if post := t.slots[row]; post >= 0 {
		return t.x.may[post][t.fit[column]]
	}
	return !t.must[column]
}

// bounds are h(r)/e for r from 0 on, in units, rounded up: h(1) = e, h(r+1) = h(r) + 1 + 1/(2 h(r)) + 0.6/h(r)². In whole numbers, so that it is
// the same on every machine.
func bounds(to int) []*big.Int {
	e := new(big.Int).SetUint64(2*unit + 789759222410)
	one := big.NewInt(unit)
	out := []*big.Int{big.NewInt(0), big.NewInt(unit)}
	h := new(big.Int).Set(e)
	for range to {
		half := new(big.Int).Div(new(big.Int).Mul(one, one), new(big.Int).Lsh(h, 1))
		square := new(big.Int).Div(new(big.Int).Mul(h, h), one)
		sixth := new(big.Int).Div(new(big.Int).Mul(one, big.NewInt(6*unit/10)), square)
		h = new(big.Int).Add(h, one)
		h.Add(h, half).Add(h, sixth).Add(h, big.NewInt(2))
		g := new(big.Int).Div(new(big.Int).Mul(h, one), e)
		out = append(out, g.Add(g, big.NewInt(1)))
	}
	return out
}

// try draws one matching, or none: seats has for each row whom it got.
func (t *table) try(s *stream, steps *int) (seats []int, ok bool, err error) {
	left := append([]int(nil), t.left...)
	seats = make([]int, len(t.slots))
	for i := range seats {
		seats[i] = -1
	}
	var open []int
	for c, who := range t.fit {
		if *steps--; *steps < 0 {
			return nil, false, nil
		}
		open = open[:0]
		for i := range t.slots {
			if seats[i] < 0 && t.open(i, c) {
				open = append(open, i)
			}
		}
		row, err := t.choose(s, open, left)
		if err != nil || row < 0 || t.twice(seats, row, who) {
			return nil, false, err
		}
		seats[row] = who
		for _, i := range open {
			left[i]--
		}
	}
	return seats, true, nil
}

// twice tells whether somebody sits at the same post already.
func (t *table) twice(seats []int, row, who int) bool {
	post := t.slots[row]
	if post < 0 || t.x.posts[post].Need == 1 {
		return false
	}
	for i, at := range seats {
		if at == who && t.slots[i] == post {
			return true
		}
	}
	return false
}

// scratch is what choose computes in.
type scratch struct {
	now, then, sum, rest, u big.Int
	share                   []big.Int // by how many columns a row may get
	known                   []bool
	bytes                   []byte
}

// choose draws one of the open rows; -1: all is to be thrown away.
func (t *table) choose(s *stream, open, left []int) (int, error) {
	x, last := &t.scratch, -1
	x.now.SetUint64(1)
	x.then.SetUint64(unit)
	for _, i := range open {
		x.now.Mul(&x.now, t.bound[left[i]])
		if left[i] == 1 {
			if last >= 0 {
				return -1, nil // two rows, and only this column for both
			}
			last = i
			continue
		}
		x.then.Mul(&x.then, t.bound[left[i]-1])
	}
	s.belowInto(&x.u, &x.now, &x.bytes)
	if last >= 0 {
		switch {
		case x.then.Cmp(&x.now) > 0:
			return -1, errBound
		case x.u.Cmp(&x.then) < 0:
			return last, nil
		}
		return -1, nil
	}
	clear(x.known)
	x.sum.SetUint64(0)
	row := -1
	for _, i := range open {
		n := left[i]
		if !x.known[n] {
			x.share[n].QuoRem(&x.then, t.bound[n-1], &x.rest) // nothing is left: it is a factor
			x.known[n] = true
		}
		x.sum.Add(&x.sum, &x.share[n])
		if row < 0 && x.u.Cmp(&x.sum) < 0 {
			row = i
		}
	}
	if x.sum.Cmp(&x.now) > 0 {
		return -1, errBound
	}
	return row, nil
}

// fair makes up for that not every assignment has as many matchings: it passes with a probability in proportion to weight.
func (t *table) fair(s *stream, seats []int) bool {
	free := make([]int, len(t.x.load))
	for i, who := range seats {
		if t.slots[i] < 0 {
			free[who]++
		}
	}
	weight := big.NewInt(1)
	for j, f := range free {
		weight.Mul(weight, t.weight(j, f))
	}
	return s.belowBig(t.best).Cmp(weight) < 0
}

// weight is, for somebody with f places left over, in inverse proportion to the number of his matchings for one assignment. Of C places, f of them
// empty, of which any may be: C!/f!. Of which the last one alone may be: (C−f)!.
func (t *table) weight(j, f int) *big.Int {
	if t.x.must != nil && t.x.must[j] > 0 {
		return big.NewInt(int64(1 + f*(t.x.load[j]-1))) // C!/(C−f)!, with f 0 or 1
	}
	return factorial(f)
}

// heaviest is the most that the product of weights can be with so many places empty.
func (t *table) heaviest(spare int) *big.Int {
	best := make([]*big.Int, spare+1) // by how many are empty; nil: so many cannot be
	best[0] = big.NewInt(1)
	for j, load := range t.x.load {
		most := load
		if t.x.must != nil {
			most -= t.x.must[j]
		}
		for n := spare; n >= 0; n-- {
			var top *big.Int
			for f := 0; f <= min(most, n); f++ {
				if best[n-f] == nil {
					continue
				}
				if w := new(big.Int).Mul(best[n-f], t.weight(j, f)); top == nil || w.Cmp(top) > 0 {
					top = w
				}
			}
			best[n] = top
		}
	}
	if best[spare] == nil {
		return big.NewInt(1) // then there is no matching either
	}
	return best[spare]
}

func factorial(n int) *big.Int { return new(big.Int).MulRange(1, int64(n)) }

// A stream of random numbers: ChaCha8 as the specification of C2SP has it (chacha8rand), keyed by the seed.
type stream struct{ from *rand.ChaCha8 }

func newStream(seed [32]byte) *stream { return &stream{rand.NewChaCha8(seed)} }

// below is uniform in 0 … n−1.
func (s *stream) below(n int) int {
	return int(s.belowBig(big.NewInt(int64(n))).Int64())
}

// belowBig is uniform in 0 … n−1: it takes as many bytes as n has, clears the bits above its highest, and takes the next ones where that is not below n.
func (s *stream) belowBig(n *big.Int) *big.Int {
	var u big.Int
	var b []byte
	s.belowInto(&u, n, &b)
	return &u
}

func (s *stream) belowInto(u, n *big.Int, room *[]byte) {
	bits := n.BitLen()
	size := (bits + 7) / 8
	if cap(*room) < size {
		*room = make([]byte, size)
	}
	b := (*room)[:size]
	for {
		_, _ = s.from.Read(b) // it never fails
		if extra := size*8 - bits; extra > 0 {
			b[0] &= 0xff >> extra
		}
		if u.SetBytes(b); u.Cmp(n) < 0 {
			return
		}
	}
}
