package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Fresh is a company whose ways are drawn at random, by number: what detection is tried on when its parameters are fixed, and what nobody
// tuned them to. It also does what no company of Profiles does: unlinked looks come in clumps, people have restless days, moods that last,
// and spells of a week or two in which they do twice as much without a reason.
func Fresh(number uint64) Profile {
	r := rand.New(rand.NewPCG(mix(number), 0xf5e5)) //nolint:gosec // made up by a number, not secret
	between := func(low, high float64) float64 { return low * math.Pow(high/low, r.Float64()) }
	sometimes := func(chance, low, high float64) float64 {
		x := between(low, high)
		if r.Float64() > chance {
			return 0
		}
		return x
	}
	p := Profile{
		Name: fmt.Sprintf("fresh-%d", number), Staff: 200, Weeks: 26, Customers: 12_000_000,
		Touches: between(15, 45), Days: between(0.5, 6), Tail: between(1.3, 2.5), Moves: between(0.5, 1.5), Others: between(1, 2.5), Unlinked: between(0.04, 0.15),
		Differ: between(0.3, 1), Fano: between(4, 20), Bursts: sometimes(0.5, 0.002, 0.015), BurstSize: between(6, 15), Quality: between(0.02, 0.1),
		Calls: between(0.1, 0.5), Unheard: between(0.02, 0.3), Undated: between(0.01, 0.3), Gaps: int(sometimes(0.4, 2, 7)), Bulk: between(0.3, 1),
		Unlogged: sometimes(0.5, 0.05, 0.3), Surges: int(between(1, 6)), Drift: between(0.05, 0.3), Night: r.Float64() < 0.3,
		Clumps: sometimes(0.5, 0.05, 0.3), Restless: sometimes(0.5, 0.1, 0.5), Mood: sometimes(0.5, 0.1, 0.3), Spells: sometimes(0.5, 0.001, 0.006),
	}
	p.Tickets = p.Touches * between(0.12, 0.22)
	return p
}

// mooded is what a person's ways of this day make of his unlinked looks.
func (c *Company) mooded(a *agent, d int) float64 {
	p, f := &c.Profile, 1.0
	if p.Restless > 0 {
		f *= math.Exp(p.Restless*c.random.NormFloat64() - p.Restless*p.Restless/2)
	}
	if p.Mood > 0 {
		const lasting = 0.85
		a.mood = lasting*a.mood + p.Mood*math.Sqrt(1-lasting*lasting)*c.random.NormFloat64()
		f *= math.Exp(a.mood)
	}
	if p.Spells > 0 {
		if d >= a.spell && c.random.Float64() < p.Spells/5 {
			a.spell = d + 4 + c.random.IntN(9)
		}
		if d < a.spell {
			f *= 2
		}
	}
	return f
}

// clumped is how many looks so many occasions are: some come with one to four more.
func (c *Company) clumped(n int) int {
	if c.Profile.Clumps == 0 {
		return n
	}
	all := n
	for range n {
		if c.random.Float64() < c.Profile.Clumps {
			all += 1 + c.random.IntN(4)
		}
	}
	return all
}
