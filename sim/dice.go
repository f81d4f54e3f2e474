package sim

import (
	"math/bits"
	"math/rand/v2"
)

// What dice are thrown for; equal ids of different tables draw differently.
const (
	forStaff uint64 = 1 + iota
	forCustomer
	forTicket
	forMessage
	forContact
	forDay
)

// dice are the random numbers of one row.
type dice struct{ pcg rand.PCG }

// dice of row i of a table.
func (o *Org) dice(table uint64, i int64) dice {
	var d dice
	d.pcg.Seed(mix(o.seed+table), mix(uint64(i)))
	return d
}

// mix spreads neighbouring numbers over all 64 bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below is a number from 0 to n-1. Its bias, under n/2⁶⁴, does not matter here.
func (d *dice) below(n int64) int64 {
	high, _ := bits.Mul64(d.pcg.Uint64(), uint64(n))
	return int64(high)
}

// between is a number from a to b.
func (d *dice) between(a, b int64) int64 { return a + d.below(b-a+1) }

// percent is true p times in a hundred.
func (d *dice) percent(p int64) bool { return d.below(100) < p }

func pick[T any](d *dice, list []T) T { return list[d.below(int64(len(list)))] }

// drawSlots is how finely weights are kept; one look-up takes an item.
const drawSlots = 1 << 12

// draw takes items in proportion to their weights.
type draw[T any] struct{ slots []T }

func newDraw[T any](items []T, weights []int) draw[T] {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	slots := make([]T, 0, drawSlots)
	seen := 0
	for i, item := range items {
		seen += weights[i]
		for len(slots) < drawSlots*seen/sum {
			slots = append(slots, item)
		}
	}
	return draw[T]{slots}
}

func (w draw[T]) take(d *dice) T { return w.slots[d.below(drawSlots)] }
