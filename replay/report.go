package replay

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/exposure"
	"sallyport/policy"
)

// Report is what other policies or budgets would have meant. An access is a batch of values of one column that left together.
type Report struct {
	From     time.Time `json:"from"`
	Until    time.Time `json:"until"`
	Entries  int       `json:"entries"` // of the access stream that were read, those of the 30 days before included
	Accesses int       `json:"accesses"`
	Values   int       `json:"values"`

	Refused []Refusal `json:"refused"` // by policy
	People  []Person  `json:"people"`  // who would have been hindered, the most first
	Opened  []Gain    `json:"opened"`  // what stayed tokens and could have been read under the same reason
	Unknown []Unknown `json:"unknown"` // what the record does not say, and what was assumed
	Assumes []string  `json:"assumes"` // likewise, of every report

	Hash string `json:"hash"` // SHA-256 of this report as JSON with an empty hash
}

// Refusal is what one policy, or one budget, would have refused.
type Refusal struct {
	Policy    string `json:"policy"` // ids; a budget: budget revealed/day
	Because   string `json:"because"`
	What      string `json:"what"` // token, mask, wait, slow, suspend, cut, statement
	Accesses  int    `json:"accesses"`
	New       int    `json:"new"` // of these, that today's policies let pass
	Values    int    `json:"values"`
	Customers int    `json:"customers"`
	People    int    `json:"people"`
}

// Person is somebody, and what he would have met.
type Person struct {
	Staff      sallyport.Staff `json:"staff"`     // by pseudonym, as Company.Name gives it
	Customers  int             `json:"customers"` // distinct ones that he saw
	Accesses   int             `json:"accesses"`
	Refused    int             `json:"refused"` // accesses of which something would not have left
	Waited     int             `json:"waited"`  // that would have waited for a confirmation or a colleague
	Slowed     int             `json:"slowed"`
	Statements int             `json:"statements"`    // that would have been refused whole
	Missing    int             `json:"missing"`       // distinct customers of whom something would not have left
	Cut        *Cut            `json:"cut,omitempty"` // the first time that a budget would have been reached
	Cuts       int             `json:"cuts"`          // days on which one would have been
}

// Cut is a budget that would have been reached.
type Cut struct {
	At      time.Time `json:"at"`
	Measure string    `json:"measure"`
	Window  string    `json:"window"`
	Budget  int       `json:"budget"`
	Count   int       `json:"count"` // distinct customers, or values, then
}

// Gain is what the other policies would have opened to somebody.
type Gain struct {
	Staff      sallyport.Staff `json:"staff"`
	Column     string          `json:"column"`
	Policy     string          `json:"policy"`
	Statements int             `json:"statements"`
}

// Unknown is something that the record does not say.
type Unknown struct {
	What    string `json:"what"`
	Entries int    `json:"entries"`
}

// assumptions hold for every report.
func assumptions() []string {
	return []string{
		"people, teams, roles, shifts and columns are those of the configuration now",
		"whoever would have had to confirm, or to have a colleague agree, did so at once; that still counts as having waited",
		"after a cut he is taken to have been unlocked, so that what follows is judged too",
		"where several reasons were given, the one that lets most pass",
		"devices are not known, as they never are",
		"which columns a statement searched and which it wrote is not on record: query, reveal and export are judged, search and write are not",
	}
}

// results are gathered while the record goes by.
type results struct {
	entries, accesses, values int
	refused                   map[string]*Refusal
	by                        map[string]map[sallyport.Staff]bool // of refused
	people                    map[sallyport.Staff]*Person
	days                      map[string]bool // somebody and a day on which he was cut
	opened                    map[string]*Gain
	unknown                   map[string]int
	sets                      *exposure.Grants // distinct customers, by name
}

func newResults() results {
	return results{
		refused: map[string]*Refusal{}, by: map[string]map[sallyport.Staff]bool{}, people: map[sallyport.Staff]*Person{}, days: map[string]bool{},
		opened: map[string]*Gain{}, unknown: map[string]int{}, sets: exposure.NewGrants(),
	}
}

func (s *results) person(who sallyport.Staff) *Person {
	p := s.people[who]
	if p == nil {
		p = &Person{Staff: who}
		s.people[who] = p
	}
	return p
}

// note counts an entry of which something is not known.
func (s *results) note(e *sallyport.Event, r *Replay, what string) {
	if r.within(e) {
		s.unknown[what]++
	}
}

// access counts a batch of one column.
func (s *results) access(r *Replay, e *sallyport.Event, c sallyport.Column, j *judged) {
	if !r.within(e) || j.values == 0 {
		return
	}
	s.accesses++
	s.values += j.values
	p := s.person(e.Who.Staff)
	p.Accesses++
	if j.waited.Verdict == sallyport.Wait {
		p.Waited++
		s.refuse(e, j, j.waited.Policy(), j.waited.Because, "wait", j.values, nil)
	}
	switch {
	case j.is.Verdict != sallyport.Reveal:
		p.Refused++
		s.refuse(e, j, j.is.Policy(), j.is.Because, outcome(j.is), len(j.refused), j.refused)
	case j.overs > 0:
		p.Refused++
		s.missing(e.Who.Staff, j.refused)
	case j.is.Respond == policy.Throttle:
		p.Slowed++
		s.refuse(e, j, j.is.Policy(), j.is.Because, "slow", j.values, nil)
	}
}

func outcome(r policy.Ruling) string {
	switch {
	case r.Respond == policy.Suspend:
		return "suspend"
	case r.Verdict == sallyport.Wait:
		return "wait"
	case r.Verdict == sallyport.Mask:
		return "mask"
	}
	return "token"
}

func (s *results) refuse(e *sallyport.Event, j *judged, by, because, what string, values int, gone []sallyport.RevealedValue) {
	key := what + " " + by
	f := s.refused[key]
	if f == nil {
		f = &Refusal{Policy: by, Because: because, What: what}
		s.refused[key], s.by[key] = f, map[sallyport.Staff]bool{}
	}
	f.Accesses++
	f.Values += values
	s.by[key][e.Who.Staff] = true
	if j != nil && j.was.Verdict >= sallyport.Wait && (what != "wait" || j.was.Verdict == sallyport.Reveal) && (what != "slow" || j.was.Respond != policy.Throttle) {
		f.New++
	}
	for _, v := range gone {
		s.sets.Of("gone "+key).Restore(v.Subject, exposure.Key(v.Digest))
	}
	s.missing(e.Who.Staff, gone)
}

func (s *results) missing(who sallyport.Staff, gone []sallyport.RevealedValue) {
	for _, v := range gone {
		s.sets.Of("missing "+string(who)).Restore(v.Subject, exposure.Key(v.Digest))
	}
}

// cut notes that a budget would have been reached.
func (s *results) cut(r *Replay, e *sallyport.Event, limit *sallyport.Limit) {
	p := s.person(e.Who.Staff)
	if p.Cut == nil {
		p.Cut = &Cut{At: e.Time.UTC(), Measure: limit.Measure, Window: limit.Window, Budget: limit.Budget, Count: limit.Count}
	}
	day := fmt.Sprint(e.Who.Staff, " ", e.Time.UTC().Format(time.DateOnly))
	if s.days[day] {
		return
	}
	s.days[day] = true
	p.Cuts++
	s.refuse(e, nil, "budget "+limit.Measure+"/"+limit.Window, fmt.Sprintf("%d %s per %s would have been reached", limit.Budget, limit.Measure, limit.Window), "cut", 1, nil)
}

func (s *results) gain(e *sallyport.Event, c sallyport.Column, by policy.Ruling) {
	key := strings.Join([]string{string(e.Who.Staff), c.String(), by.Policy()}, "\x00")
	g := s.opened[key]
	if g == nil {
		g = &Gain{Staff: e.Who.Staff, Column: c.String(), Policy: by.Policy()}
		s.opened[key] = g
	}
	g.Statements++
}

// Report is what came of it.
func (r *Replay) Report() (*Report, error) {
	s := &r.result
	out := &Report{
		From: r.from.UTC(), Until: r.until.UTC(), Entries: s.entries, Accesses: s.accesses, Values: s.values,
		Refused: []Refusal{}, People: []Person{}, Opened: []Gain{}, Unknown: []Unknown{}, Assumes: assumptions(),
	}
	for _, key := range slices.Sorted(maps.Keys(s.refused)) {
		f := *s.refused[key]
		f.People, f.Customers = len(s.by[key]), s.sets.Of("gone "+key).Count()
		out.Refused = append(out.Refused, f)
	}
	slices.SortStableFunc(out.Refused, func(a, b Refusal) int { return cmp.Compare(b.Accesses, a.Accesses) })
	for _, who := range slices.Sorted(maps.Keys(s.people)) {
		p := *s.people[who]
		p.Customers, p.Missing = s.sets.Of("seen "+string(who)).Count(), s.sets.Of("missing "+string(who)).Count()
		p.Staff = r.name(who)
		if p.Refused+p.Waited+p.Slowed+p.Cuts+p.Statements > 0 {
			out.People = append(out.People, p)
		}
	}
	slices.SortFunc(out.People, func(a, b Person) int { return cmp.Compare(a.Staff, b.Staff) }) // the order of names would tell of them
	slices.SortStableFunc(out.People, func(a, b Person) int {
		return cmp.Or(cmp.Compare(b.Refused+b.Cuts+b.Statements, a.Refused+a.Cuts+a.Statements), cmp.Compare(b.Waited, a.Waited))
	})
	for _, key := range slices.Sorted(maps.Keys(s.opened)) {
		g := *s.opened[key]
		g.Staff = r.name(g.Staff)
		out.Opened = append(out.Opened, g)
	}
	slices.SortFunc(out.Opened, func(a, b Gain) int {
		return cmp.Or(cmp.Compare(a.Staff, b.Staff), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Policy, b.Policy))
	})
	for _, what := range slices.Sorted(maps.Keys(s.unknown)) {
		out.Unknown = append(out.Unknown, Unknown{what, s.unknown[what]})
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("write the report: %w", err)
	}
	sum := sha256.Sum256(text)
	out.Hash = hex.EncodeToString(sum[:])
	return out, nil
}

// name is what the report calls somebody.
func (r *Replay) name(who sallyport.Staff) sallyport.Staff {
	if r.company.Name == nil {
		return who
	}
	return r.company.Name(who)
}

// Hinders tells whether anything would have been refused, delayed or cut.
func (r *Report) Hinders() bool { return len(r.Refused) > 0 }
