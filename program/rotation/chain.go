package rotation

import "slices"

// A chain wanders through the assignments that the rules allow, by exchanges that lead back as probably as there: where it stands after many is as
// probable as any other it can reach. It takes over where the rules leave so little of a large table that throwing away would take too long. That it
// reaches every assignment, and has wandered far enough, is measured (TestUniform) and not proven.
type chain struct {
	t      *table
	shared map[[2]string]bool // who must not be together again
	seats  []int              // of each row whom it got
	at     [][]int            // rows of each post
	free   []int              // empty places of each person
	broken int                // how often rules between rows are broken: until it is 0 it may only fall, then it stays 0
}

// wanders is how many exchanges are tried for each pair of rows.
const wanders = 12

// wander goes from any assignment.
func (t *table) wander(s *stream, shared map[[2]string]bool) (seats []int, ok bool) {
	c := &chain{t: t, shared: shared, seats: t.any(), at: make([][]int, len(t.x.posts)), free: make([]int, len(t.x.people))}
	if c.seats == nil {
		return nil, false
	}
	for row, post := range t.slots {
		if post < 0 {
			c.free[c.seats[row]]++
		} else {
			c.at[post] = append(c.at[post], row)
		}
	}
	for post := range c.at {
		c.broken += c.breaks(post)
	}
	n := len(t.slots)
	for range wanders * n * n {
		c.step(s)
	}
	return c.seats, c.broken == 0
}

// any is some matching.
func (t *table) any() []int {
	row := make([]int, len(t.fit)) // of each column
	for c := range row {
		row[c] = -1
	}
	var place func(r int, seen []bool) bool
	place = func(r int, seen []bool) bool {
		for c := range t.fit {
			if seen[c] || !t.open(r, c) {
				continue
			}
			seen[c] = true
			if row[c] < 0 || place(row[c], seen) {
				row[c] = r
				return true
			}
		}
		return false
	}
	for r := range t.slots {
		if !place(r, make([]bool, len(t.fit))) {
			return nil
		}
	}
	seats := make([]int, len(t.slots))
	for c, r := range row {
		seats[r] = t.fit[c]
	}
	return seats
}

// step tries one exchange: of two rows, or of three in a circle.
func (c *chain) step(s *stream) {
	n := len(c.seats)
	rows := []int{s.below(n), s.below(n), s.below(n)}[:2+s.below(2)]
	for i, r := range rows {
		if slices.Contains(rows[:i], r) || len(rows) == 3 && c.t.slots[r] < 0 {
			return
		}
	}
	first := c.seats[rows[0]]
	for i, r := range rows {
		who := first
		if i+1 < len(rows) {
			who = c.seats[rows[i+1]]
		}
		if post := c.t.slots[r]; post >= 0 && !c.t.x.may[post][who] {
			return
		}
	}
	if len(rows) == 2 && !c.places(s, rows[0], rows[1]) {
		return
	}
	was := c.breaksOf(rows)
	c.turn(rows)
	if is := c.breaksOf(rows); is <= was {
		c.broken += is - was
		c.moveFree(rows)
		return
	}
	slices.Reverse(rows)
	c.turn(rows)
}

// places tells whether an exchange with an empty row may be: somebody with f places left over stands for fewer arrangements of the empty rows the more
// f! is, and that is made up for.
func (c *chain) places(s *stream, a, b int) bool {
	if c.t.slots[a] < 0 {
		a, b = b, a
	}
	if c.t.slots[a] < 0 || c.t.slots[b] >= 0 {
		return true
	}
	gives, takes := c.seats[a], c.seats[b] // a's gets the empty place of b's
	if gives == takes {
		return true
	}
	if m := c.t.x.must; m != nil && c.free[gives] >= c.t.x.load[gives]-m[gives] {
		return false
	}
	return s.below(c.free[takes]) <= c.free[gives]
}

// moveFree counts empty places anew after an exchange of two rows.
func (c *chain) moveFree(rows []int) {
	if len(rows) != 2 {
		return
	}
	a, b := rows[0], rows[1]
	if c.t.slots[a] < 0 == (c.t.slots[b] < 0) {
		return
	}
	if c.t.slots[a] < 0 {
		a, b = b, a
	}
	c.free[c.seats[b]]++
	c.free[c.seats[a]]--
}

// turn gives each row whom the next one had, and the last whom the first had.
func (c *chain) turn(rows []int) {
	first := c.seats[rows[0]]
	for i := range rows[1:] {
		c.seats[rows[i]] = c.seats[rows[i+1]]
	}
	c.seats[rows[len(rows)-1]] = first
}

// breaksOf is how often rules are broken at the posts of rows.
func (c *chain) breaksOf(rows []int) (n int) {
	for i, r := range rows {
		post := c.t.slots[r]
		if post >= 0 && !slices.ContainsFunc(rows[:i], func(other int) bool { return c.t.slots[other] == post }) {
			n += c.breaks(post)
		}
	}
	return n
}

// breaks is how often rules between the people of a post are broken: nobody sits there twice, and apart are those who are to be.
func (c *chain) breaks(post int) (n int) {
	for i, a := range c.at[post] {
		for _, b := range c.at[post][i+1:] {
			x, y := c.seats[a], c.seats[b]
			if x == y || c.shared[pair(c.t.x.people[x].ID, c.t.x.people[y].ID)] {
				n++
			}
		}
	}
	return n
}
