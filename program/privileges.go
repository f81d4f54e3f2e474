package program

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Allowed is a column that somebody may ever read in plain, by the policies.
type Allowed struct {
	Staff      sallyport.Staff
	Team, Role string
	Column     string
}

// Uses counts what left in plain, by person and column.
type Uses struct {
	From, Until time.Time
	of          map[useKey]*Use
}

type useKey struct {
	who    sallyport.Staff
	column string
}

// Use is how often somebody read a column in plain: batches in which a value of it left.
type Use struct {
	Times int
	Last  time.Time
}

// NewUses counts between two moments.
func NewUses(from, until time.Time) *Uses {
	return &Uses{from, until, map[useKey]*Use{}}
}

// Access takes an entry of the access stream.
func (u *Uses) Access(e *sallyport.Event) {
	if e.Reveal == nil || e.Time.Before(u.From) || !e.Time.Before(u.Until) {
		return
	}
	seen := map[uint16]bool{}
	for v := range e.Reveal.Values.All() {
		seen[v.Column] = true
	}
	for i := range seen {
		if int(i) >= len(e.Reveal.Columns) {
			continue
		}
		k := useKey{e.Who.Staff, e.Reveal.Columns[i].String()}
		if u.of[k] == nil {
			u.of[k] = &Use{}
		}
		u.of[k].Times++
		if e.Time.After(u.of[k].Last) {
			u.of[k].Last = e.Time
		}
	}
}

// Of is how often somebody read a column.
func (u *Uses) Of(who sallyport.Staff, column string) Use {
	if x := u.of[useKey{who, column}]; x != nil {
		return *x
	}
	return Use{}
}

// Privileges are what is allowed beside what was used.
type Privileges struct {
	From    time.Time     `json:"from"`
	Until   time.Time     `json:"until"`
	Allowed int           `json:"allowed"` // pairs of person and column
	Used    int           `json:"used"`
	Teams   []TeamUse     `json:"teams"`
	People  []PersonUse   `json:"people"`
	Nobody  []string      `json:"nobody"`  // columns that nobody read in plain
	Propose []NarrowerFor `json:"propose"` // columns that nobody of a team and role read
	Removes float64       `json:"removes"` // share of what is allowed that the proposal takes away
}

// TeamUse is what a team's people of one role may read, and did.
type TeamUse struct {
	Team    string         `json:"team"`
	Role    string         `json:"role"`
	People  int            `json:"people"`
	Columns map[string]int `json:"columns"` // how many of them read it
}

// PersonUse is what one person may read, and did.
type PersonUse struct {
	Staff  sallyport.Staff `json:"staff"`
	Team   string          `json:"team"`
	Role   string          `json:"role"`
	Used   []ColumnUse     `json:"used"`
	Unused []string        `json:"unused"`
}

// ColumnUse is how often somebody read a column.
type ColumnUse struct {
	Column string    `json:"column"`
	Times  int       `json:"times"`
	Last   time.Time `json:"last"`
}

// NarrowerFor are columns that a team's people of one role do without.
type NarrowerFor struct {
	Team    string   `json:"team"`
	Role    string   `json:"role"`
	People  int      `json:"people"`
	Columns []string `json:"columns"`
}

// ComparePrivileges holds what is allowed to what was used.
func ComparePrivileges(allowed []Allowed, u *Uses) *Privileges {
	p := &Privileges{From: u.From, Until: u.Until, Teams: []TeamUse{}, People: []PersonUse{}, Nobody: []string{}, Propose: []NarrowerFor{}}
	people, teams, columns := map[sallyport.Staff]*PersonUse{}, map[[2]string]*TeamUse{}, map[string]int{}
	for _, a := range allowed {
		p.Allowed++
		who := people[a.Staff]
		if who == nil {
			who = &PersonUse{Staff: a.Staff, Team: a.Team, Role: a.Role, Used: []ColumnUse{}, Unused: []string{}}
			people[a.Staff] = who
		}
		team := teams[[2]string{a.Team, a.Role}]
		if team == nil {
			team = &TeamUse{Team: a.Team, Role: a.Role, Columns: map[string]int{}}
			teams[[2]string{a.Team, a.Role}] = team
		}
		use := u.Of(a.Staff, a.Column)
		if use.Times == 0 {
			who.Unused = append(who.Unused, a.Column)
			team.Columns[a.Column] += 0
			columns[a.Column] += 0
			continue
		}
		p.Used++
		who.Used = append(who.Used, ColumnUse{a.Column, use.Times, use.Last})
		team.Columns[a.Column]++
		columns[a.Column]++
	}
	for _, who := range slices.Sorted(maps.Keys(people)) {
		x := people[who]
		slices.Sort(x.Unused)
		slices.SortFunc(x.Used, func(a, b ColumnUse) int { return cmp.Compare(a.Column, b.Column) })
		p.People = append(p.People, *x)
		teams[[2]string{x.Team, x.Role}].People++
	}
	for _, column := range slices.Sorted(maps.Keys(columns)) {
		if columns[column] == 0 {
			p.Nobody = append(p.Nobody, column)
		}
	}
	p.narrow(teams)
	return p
}

// narrow proposes to take from each team's people of a role what none of them used.
func (p *Privileges) narrow(teams map[[2]string]*TeamUse) {
	removed := 0
	for _, key := range slices.SortedFunc(maps.Keys(teams), func(a, b [2]string) int { return cmp.Or(cmp.Compare(a[0], b[0]), cmp.Compare(a[1], b[1])) }) {
		t := teams[key]
		p.Teams = append(p.Teams, *t)
		n := NarrowerFor{Team: t.Team, Role: t.Role, People: t.People}
		for _, column := range slices.Sorted(maps.Keys(t.Columns)) {
			if t.Columns[column] == 0 {
				n.Columns = append(n.Columns, column)
			}
		}
		if len(n.Columns) > 0 && t.Team != "" {
			p.Propose = append(p.Propose, n)
			removed += p.removes(&n)
		}
	}
	if p.Allowed > 0 {
		p.Removes = float64(removed) / float64(p.Allowed)
	}
}

// removes is how many permissions of single people a proposal takes away.
func (p *Privileges) removes(n *NarrowerFor) (count int) {
	for _, who := range p.People {
		if who.Team != n.Team || who.Role != n.Role {
			continue
		}
		for _, column := range who.Unused {
			if slices.Contains(n.Columns, column) {
				count++
			}
		}
	}
	return count
}

// Cedar is the proposal as policies: a forbid for each team and role, that a grant overrides, so that nobody stands before a closed door who has to go
// through it once. document is the paragraph that says so.
func (p *Privileges) Cedar(document string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "// What nobody of a team and role read in plain from %s until %s. A grant opens it.\n", p.From.Format(time.DateOnly), p.Until.Format(time.DateOnly))
	for _, n := range p.Propose {
		fmt.Fprintf(&b, "\n@id(%q)\n@because(\"your team has not needed this column: ask for it\")\n@document(%q)\nforbid (principal in Team::%q, action in [Action::\"reveal\", Action::\"export\"], resource)\nwhen { principal in Role::%q && [%s].contains(resource) }\nunless { context has grant };\n",
			"unused."+n.Team+"."+n.Role, document, n.Team, n.Role, strings.Join(quotedColumns(n.Columns), ", "))
	}
	return b.String()
}

func quotedColumns(names []string) (out []string) {
	for _, name := range names {
		out = append(out, fmt.Sprintf("Column::%q", name))
	}
	return out
}

// ReviewItems are what a manager reads of one of his people in a review.
func (x *PersonUse) ReviewItems() (items []string) {
	for _, u := range x.Used {
		items = append(items, fmt.Sprintf("%s: used %d times, last on %s", u.Column, u.Times, u.Last.Format(time.DateOnly)))
	}
	for _, column := range x.Unused {
		items = append(items, column+": not used")
	}
	return items
}
