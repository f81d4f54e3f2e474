package rotation

import (
	"slices"
)

// Result is what was drawn.
type Result struct {
	Name     string       `json:"name"`
	Start    string       `json:"start"`
	Handover string       `json:"handover_until,omitempty"` // predecessors serve until then, too
	Posts    []Assignment `json:"posts"`
	// Tries is how many were thrown away so that all are equally probable, and those that were kept. Wandered: where that took too long, it was exchanged
	// so often that all are as good as equally probable.
	Tries    int  `json:"tries"`
	Wandered bool `json:"wandered,omitempty"`
}

// Assignment is who serves a post from the start on.
type Assignment struct {
	Post   string   `json:"post"`
	Who    []string `json:"who"`
	Before []string `json:"before,omitempty"`
	Stays  string   `json:"stays,omitempty"` // why it was not drawn this time
}

// mostSteps bounds how long a draw throws away.
const mostSteps = 20_000

// Draw decides a plan by a seed.
func Draw(p *Plan, seed [32]byte) (*Result, error) { return draw(p, seed, mostSteps) }

func draw(p *Plan, seed [32]byte, steps int) (*Result, error) {
	s := newStream(seed)
	days := int(p.Start.To.Sub(p.Start.From.Time).Hours()/24) + 1
	start := p.Start.From.plus(s.below(days))
	r := &Result{Name: p.Name, Start: start.String()}
	if p.Handover > 0 {
		r.Handover = start.plus(p.Handover).String()
	}
	loads := map[string]int{} // of posts that stay
	var posts []*Post
	for i := range p.Posts {
		post := &p.Posts[i]
		if why := p.stays(post, start); why != "" {
			held := p.holders(post.ID)
			for _, who := range held {
				loads[who]++
			}
			r.Posts = append(r.Posts, Assignment{Post: post.ID, Who: held, Before: held, Stays: why})
			continue
		}
		posts = append(posts, post)
	}
	for _, part := range p.parts(posts, start, loads) {
		drawn, tries, err := part.draw(p, s, steps)
		if err != nil {
			return nil, err
		}
		if r.Tries += tries; tries == 0 {
			r.Wandered = true
		}
		for i, post := range part.posts {
			slices.Sort(drawn[i])
			r.Posts = append(r.Posts, Assignment{Post: post.ID, Who: drawn[i], Before: p.holders(post.ID)})
		}
	}
	slices.SortFunc(r.Posts, func(a, b Assignment) int { return compare(a.Post, b.Post) })
	return r, nil
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A part are posts and people that have nothing to do with others: nobody of other parts may serve here. Parts are drawn each by itself.
type part struct {
	posts  []*Post
	people []*Person
	load   []int    // that each of people can still take
	must   []int    // that each of them takes at least: none, or one less than load; nil: none
	may    [][]bool // post, person
	apart  bool
}

// parts are those of a plan at a day, in the order of their first post.
func (p *Plan) parts(posts []*Post, start Day, loads map[string]int) (out []*part) {
	may := make([][]bool, len(posts))
	group := make([]int, len(posts)) // of each post
	for i, post := range posts {
		may[i], group[i] = make([]bool, len(p.People)), i
		for j := range p.People {
			may[i][j] = p.may(&p.People[j], post, start) && p.People[j].Load > loads[p.People[j].ID]
		}
	}
	for j := range p.People {
		join(group, may, j)
	}
	for g := range posts {
		var rows []int
		for i := range posts {
			if group[i] == g {
				rows = append(rows, i)
			}
		}
		if len(rows) > 0 {
			out = append(out, p.part(posts, rows, may, loads))
		}
	}
	return out
}

// join makes one group of the posts that somebody may serve.
func join(group []int, may [][]bool, person int) {
	first := -1
	for i := range group {
		switch {
		case !may[i][person]:
		case first < 0:
			first = group[i]
		case group[i] != first:
			joined := group[i]
			for k := range group {
				if group[k] == joined {
					group[k] = first
				}
			}
		}
	}
}

// part is that of some of the posts, with whoever may serve one of them.
func (p *Plan) part(posts []*Post, rows []int, may [][]bool, loads map[string]int) *part {
	x := &part{apart: p.Apart}
	var of []int
	for j := range p.People {
		if slices.ContainsFunc(rows, func(i int) bool { return may[i][j] }) {
			of, x.people = append(of, j), append(x.people, &p.People[j])
			x.load = append(x.load, p.People[j].Load-loads[p.People[j].ID])
		}
	}
	for _, i := range rows {
		row := make([]bool, len(of))
		for k, j := range of {
			row[k] = may[i][j]
		}
		x.posts, x.may = append(x.posts, posts[i]), append(x.may, row)
	}
	return x
}

// draw draws until the rules that stand beside the table hold: who passes is as probable as anybody else who does. Where that takes too long it wanders.
func (x *part) draw(p *Plan, s *stream, steps int) (drawn [][]string, tries int, err error) {
	slots := x.slots()
	if p.Even {
		x.even(len(slots))
	}
	if err := x.feasible(slots); err != nil {
		return nil, 0, err
	}
	t, shared := newTable(x, slots), map[[2]string]bool{}
	if x.apart {
		shared = p.shared()
	}
	for steps > 0 {
		tries++
		seats, ok, err := t.try(s, &steps)
		if err != nil {
			return nil, tries, err
		}
		if ok && t.fair(s, seats) {
			if drawn = x.named(slots, seats); !together(drawn, shared) {
				return drawn, tries, nil
			}
		}
	}
	seats, ok := t.wander(s, shared)
	if !ok {
		return nil, tries, wrong("no assignment of %d posts with %s was found that keeps all rules (even, apart, several people a post): loosen one", len(x.posts), x.posts[0].ID)
	}
	return x.named(slots, seats), 0, nil
}

// named are the people of each post.
func (x *part) named(slots, seats []int) [][]string {
	out := make([][]string, len(x.posts))
	for slot, post := range slots {
		out[post] = append(out[post], x.people[seats[slot]].ID)
	}
	return out
}

// even has everybody who can take as many as the others take that many, or one less.
func (x *part) even(slots int) {
	most := (slots + len(x.people) - 1) / max(len(x.people), 1)
	x.must = make([]int, len(x.load))
	for j, load := range x.load {
		if load >= most {
			x.load[j], x.must[j] = most, most-1
		}
	}
}

// slots has for each seat its post.
func (x *part) slots() (slots []int) {
	for i, post := range x.posts {
		for range post.Need {
			slots = append(slots, i)
		}
	}
	return slots
}

// feasible names a post for which nobody is left, by whichever way others are moved.
func (x *part) feasible(slots []int) error {
	m := &matching{x, slots, make([][]int, len(x.people))}
	for slot, i := range slots {
		if m.place(slot, make([]bool, len(x.people))) {
			continue
		}
		count := 0
		for _, may := range x.may[i] {
			if may {
				count++
			}
		}
		return wrong("nobody is left for %s: %d may serve it (skills, zone, days, who is excluded, who served it last), and what else they can take is taken", x.posts[i].ID, count)
	}
	return nil
}

// matching gives slots to people by augmenting paths.
type matching struct {
	*part
	slots []int   // the post of each
	holds [][]int // slots of each person
}

// place gives a slot to somebody, and moves others where it has to; false: there is no way.
func (m *matching) place(slot int, seen []bool) bool {
	for j, may := range m.may[m.slots[slot]] {
		if !may || seen[j] || slices.ContainsFunc(m.holds[j], func(other int) bool { return m.slots[other] == m.slots[slot] }) {
			continue
		}
		seen[j] = true
		if len(m.holds[j]) < m.load[j] {
			m.holds[j] = append(m.holds[j], slot)
			return true
		}
		for k, other := range m.holds[j] {
			if m.place(other, seen) {
				m.holds[j][k] = slot
				return true
			}
		}
	}
	return false
}

// shared are the pairs who share a post until the start.
func (p *Plan) shared() map[[2]string]bool {
	out := map[[2]string]bool{}
	for i := range p.Posts {
		pairs(p.holders(p.Posts[i].ID), func(two [2]string) { out[two] = true })
	}
	return out
}

func pairs(of []string, do func([2]string)) {
	for i, a := range of {
		for _, b := range of[i+1:] {
			do(pair(a, b))
		}
	}
}

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// together tells whether two share a post again.
func together(drawn [][]string, shared map[[2]string]bool) (yes bool) {
	for _, who := range drawn {
		pairs(who, func(two [2]string) { yes = yes || shared[two] })
	}
	return yes
}
