// Package drill says how thefts go that are played on a live installation, and what came of them.
//
// It refuses to touch anybody: a plan has steps, which whoever plays it carries out by drill accounts on customers who do not exist, and a report has
// figures. It does no I/O and reads no clock.
//
// Invariant: a report counts as lost only what reached the thief readable, and as found only what the record says.
package drill

import (
	"slices"
	"strings"
	"time"
)

// Do is what one step does, for each customer of the drill or once.
type Do string

// What a thief does.
const (
	Look      Do = "look"      // a customer by his key, without a reason
	OwnTicket Do = "ownticket" // likewise, with a ticket that he made himself
	Given     Do = "given"     // likewise, with a ticket that an accomplice made for him
	Elsewhere Do = "elsewhere" // likewise without a reason, from another program, as who has stolen a password
	Export    Do = "export"    // all in one COPY
	Direct    Do = "direct"    // all, straight at the database
)

// Step is one of a plan.
type Step struct {
	Do   Do
	Most int // customers; 0: all
}

// Plan is how a theft goes.
type Plan struct {
	Name     string
	Story    string
	Steps    []Step
	Accounts int // that it takes
}

// Plans are those that can be played, by name.
func Plans() []Plan {
	return []Plan{
		{"bulk-export", "somebody with a log-in copies all customers into a file", []Step{{Do: Export}}, 1},
		{"collusion", "somebody opens tickets about customers who never asked, and an accomplice looks at them by these", []Step{{Do: Given}}, 2},
		{"dba-bypass", "somebody who knows a password of the database reads the tables beside the gateway", []Step{{Do: Direct}}, 1},
		{"snoop", "somebody looks up a few people whom he knows", []Step{{Do: Look, Most: 5}}, 1},
		{"stolen-account", "a stranger has an agent's password, and takes what he can, fast", []Step{{Do: Elsewhere}, {Do: Export}}, 1},
		{"support-2019", "an agent looks at customers one by one, opens tickets for himself, then takes the rest at once, and sells it", []Step{{Do: Look, Most: 20}, {Do: OwnTicket}, {Do: Export}}, 1},
	}
}

// Find is the plan of a name.
func Find(name string) (Plan, bool) {
	all := Plans()
	if i := slices.IndexFunc(all, func(p Plan) bool { return p.Name == name }); i >= 0 {
		return all[i], true
	}
	return Plan{}, false
}

// Names are those of all plans.
func Names() (list []string) {
	for _, p := range Plans() {
		list = append(list, p.Name)
	}
	return list
}

// Mark is something that the record says about the thief.
type Mark struct {
	Time time.Time `json:"time"`
	What string    `json:"what"`
}

// Report is what came of a drill. Times are counted from its first step; a time that is missing did not come while it was waited for.
type Report struct {
	Drill     string    `json:"drill"`
	ID        string    `json:"id"`
	Story     string    `json:"story"`
	State     string    `json:"state"` // running, ended, failed
	Trouble   string    `json:"trouble,omitempty"`
	Acts      bool      `json:"acts"` // Sallyport acts on findings; else it only says what it would have done
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"`
	Accounts  []string  `json:"accounts"`
	Customers int       `json:"customers"` // who do not exist and could be taken
	Asked     int       `json:"asked"`     // of whom the thief asked for
	Lost      int       `json:"lost"`      // of whom something readable reached him
	Tokens    int       `json:"tokens"`    // of whom he got tokens, which nobody can use
	Refused   int       `json:"refused"`   // statements
	Detect    *float64  `json:"seconds_to_detect,omitempty"`
	Contain   *float64  `json:"seconds_to_contain,omitempty"`
	Name      *float64  `json:"seconds_to_name,omitempty"` // from the mail that came to a detail of a customer to the name of who was shown it
	Named     string    `json:"named,omitempty"`
	Marks     []Mark    `json:"marks"`
	Score     int       `json:"score"` // 0 to 100
}

// Seconds is from the first step to a moment.
func (r *Report) Seconds(at time.Time) *float64 {
	s := max(at.Sub(r.Began).Seconds(), 0)
	return &s
}

// Judge gives a drill its score: half for what was kept, a quarter for being detected and a quarter for being contained, each the less the later (half of
// it after a minute). What was never lost needs neither.
func (r *Report) Judge() {
	slices.SortStableFunc(r.Marks, func(a, b Mark) int { return a.Time.Compare(b.Time) })
	kept := 1.0
	if r.Customers > 0 {
		kept = 1 - float64(r.Lost)/float64(r.Customers)
	}
	early := func(s *float64) float64 {
		if s == nil {
			return 0
		}
		return 60 / (60 + *s)
	}
	r.Score = int(50*kept + 25*early(r.Detect) + 25*early(r.Contain) + 0.5)
}

// Sentence says it in one line.
func (r *Report) Sentence() string {
	var b strings.Builder
	b.WriteString(r.Drill + ": " + plural(r.Lost, "customer") + " of " + plural(r.Customers, "customer") + " would have been lost")
	for _, part := range []struct {
		what string
		s    *float64
	}{{"detected", r.Detect}, {"contained", r.Contain}, {"named", r.Name}} {
		switch {
		case part.s != nil:
			b.WriteString(", " + part.what + " after " + time.Duration(*part.s*float64(time.Second)).Round(10*time.Millisecond).String())
		case part.what != "named" || r.Lost > 0:
			b.WriteString(", not " + part.what)
		}
	}
	return b.String()
}
