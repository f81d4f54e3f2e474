package detect

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Theft is a time in which somebody is known to have stolen.
type Theft struct {
	Staff    sallyport.Staff
	From, To time.Time
}

// Proposal is a template that would explain many looks which nothing explains now.
type Proposal struct {
	Template Template
	Looks    int64   // without a reason, that it would explain
	Of       int64   // of the people it is for
	Chance   float64 // the share that it would explain of customers at whom others looked
	Thefts   int64   // looks of known thefts that it would explain
}

// Miner looks for explanations in the past. It watches a detector that everything passes.
type Miner struct {
	d          *Detector
	thefts     map[sallyport.Staff][]Theft
	candidates []rules
	roles      map[string]*mined
	order      []string
	last       [2]recentCustomer // the two newest customers without a reason, of different people
}

type recentCustomer struct {
	who      *person
	customer uint64
}

// mined are counts of one role, by candidate.
type mined struct {
	looks, thefts           int64
	hits, chance, theftHits []int64
	controls                int64
}

// NewMiner watches a detector from now on.
func NewMiner(d *Detector, known []Theft) (*Miner, error) {
	m := &Miner{d: d, thefts: map[sallyport.Staff][]Theft{}, roles: map[string]*mined{}}
	for _, t := range known {
		m.thefts[t.Staff] = append(m.thefts[t.Staff], t)
	}
	for _, t := range candidates() {
		r, err := newRules([]Template{t})
		if err != nil {
			return nil, err
		}
		m.candidates = append(m.candidates, r)
	}
	d.bareLook = m.look
	return m, nil
}

// candidates are what may be proposed, the narrow ones first.
func candidates() []Template {
	const day = 24 * time.Hour
	return []Template{
		{ID: "team_lately", Fact: "ticket", Whose: "team", Within: 30 * day, Weight: 1, Says: "a ticket of his team that was closed within a month"},
		{ID: "any_open", Fact: "ticket", Whose: "anybody", Weight: 1, Says: "an open ticket of anybody"},
		{ID: "any_lately", Fact: "ticket", Whose: "anybody", Within: 30 * day, Weight: 1, Says: "a ticket of anybody that was closed within a month"},
		{ID: "contact_lately", Fact: "contact", Whose: "anybody", Within: 14 * day, Weight: 1, Says: "the customer got in touch within two weeks"},
		{ID: "urgent", Fact: "ticket", Whose: "anybody", Within: 2 * day, Priority: "urgent", Weight: 1, Says: "an urgent ticket of anybody"},
	}
}

// fits tells whether a candidate explains a look.
func (m *Miner) fits(r rules, p *person, customer uint64, at int64) bool {
	own := m.d.rules
	m.d.rules = r
	t := m.d.byFacts(p, customer, at)
	m.d.rules = own
	return t != nil
}

// look hears of each look without a reason. Chance is what a candidate explains of the customer whom somebody else looked at last.
func (m *Miner) look(p *person, customer uint64, at int64) {
	if p.service {
		return
	}
	role := p.group.name
	c := m.roles[role]
	if c == nil {
		n := len(m.candidates)
		c = &mined{hits: make([]int64, n), chance: make([]int64, n), theftHits: make([]int64, n)}
		m.roles[role] = c
		m.order = append(m.order, role)
	}
	control := m.last[0]
	if control.who == p {
		control = m.last[1]
	}
	if m.last[0].who != p {
		m.last[1] = m.last[0]
	}
	m.last[0] = recentCustomer{p, customer}
	stolen := m.stolen(p, at)
	for i, r := range m.candidates {
		hit := m.fits(r, p, customer, at)
		switch {
		case stolen && hit:
			c.theftHits[i]++
		case hit:
			c.hits[i]++
		}
		if control.who != nil && m.fits(r, p, control.customer, at) {
			c.chance[i]++
		}
	}
	if stolen {
		c.thefts++
	} else {
		c.looks++
	}
	if control.who != nil {
		c.controls++
	}
}

func (m *Miner) stolen(p *person, at int64) bool {
	for _, t := range m.thefts[p.id] {
		if at >= t.From.UnixMilli() && at <= t.To.UnixMilli() {
			return true
		}
	}
	return false
}

// Proposals are the candidates that explain at least a tenth of a role's looks without a reason, three times as many as chance, and hardly
// any of the known thefts; the best first. Their weight is what is left when chance is taken away.
func (m *Miner) Proposals() []Proposal {
	var list []Proposal
	for _, role := range m.order {
		c := m.roles[role]
		for i, t := range candidates() {
			share := float64(c.hits[i]) / math.Max(1, float64(c.looks))
			chance := float64(c.chance[i]) / math.Max(1, float64(c.controls))
			theft := float64(c.theftHits[i]) / math.Max(1, float64(c.thefts))
			if c.hits[i] < 20 || share < 0.1 || share < 3*chance || theft > share/5 {
				continue
			}
			if name, ok := strings.CutPrefix(role, "role "); ok {
				t.Roles = []string{name}
				t.ID += "_" + strings.ReplaceAll(name, " ", "_")
			}
			t.Weight = min(0.9, math.Floor(20*(1-chance/share))/20)
			list = append(list, Proposal{Template: t, Looks: c.hits[i], Of: c.looks, Chance: chance, Thefts: c.theftHits[i]})
		}
	}
	slices.SortStableFunc(list, func(a, b Proposal) int {
		return cmp.Compare(float64(b.Looks)/float64(b.Of), float64(a.Looks)/float64(a.Of))
	})
	return list
}

// YAML writes proposals as templates, switched off, with what they would explain as comments.
func YAML(list []Proposal) string {
	var b strings.Builder
	b.WriteString("templates:\n")
	for _, p := range list {
		t := &p.Template
		fmt.Fprintf(&b, "  # explains %d of %d looks without a reason (by chance %.1f %%), and %d of known thefts\n", p.Looks, p.Of, 100*p.Chance, p.Thefts)
		fmt.Fprintf(&b, "  - {id: %s, fact: %s, whose: %s", t.ID, t.Fact, t.Whose)
		if t.Within > 0 {
			fmt.Fprintf(&b, ", within: %.0fh", t.Within.Hours())
		}
		if len(t.Roles) > 0 {
			fmt.Fprintf(&b, ", roles: [%q]", t.Roles[0])
		}
		if t.Priority != "" {
			fmt.Fprintf(&b, ", priority: %s", t.Priority)
		}
		fmt.Fprintf(&b, ", weight: %.2f, says: %s, off: true}\n", t.Weight, t.Says)
	}
	return b.String()
}
