package purpose

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// outside are the rules for tickets, calls and jobs that stand in another system. It says itself who did what: a thing is a reason only
// where each part of it is another person's of the directory, or a program's that the configuration names.
type outside struct {
	kind      Kind
	source    Source
	after     time.Duration
	longest   time.Duration
	contact   time.Duration
	states    []string
	scheduled []string
	named     func(name string) (Person, bool)
	team      func(Person) []string
	now       func() time.Time
}

// mostClockSkew is how far another system's clock may be ahead.
const mostClockSkew = 2 * time.Minute

func newOutside(kind string, k Kind, source Source, o Options) (*outside, error) {
	u := &outside{kind: k, source: source, states: k.States, scheduled: k.Scheduled, named: o.Named, team: o.Team, now: o.Now}
	for _, d := range []struct {
		text  string
		usual time.Duration
		to    *time.Duration
	}{{k.After, usualAfter, &u.after}, {k.Longest, usualLongest, &u.longest}, {k.Contact, usualContact, &u.contact}} {
		var err error
		if *d.to, err = duration(d.text, d.usual); err != nil {
			return nil, fmt.Errorf("prepare to check reasons of kind %s: %w", kind, err)
		}
	}
	if len(u.states) == 0 {
		u.states = usualStates(kind)
	}
	if len(u.scheduled) == 0 {
		u.scheduled = usualScheduled()
	}
	if u.named == nil {
		u.named = func(string) (Person, bool) { return Person{}, false }
	}
	return u, nil
}

func usualStates(kind string) []string {
	switch kind {
	case "call":
		return []string{"incoming"}
	case "job":
		return []string{"approved"}
	}
	return []string{"open", "pending"}
}

// judge says what is known of a thing that is a reason for somebody, or why it is none.
func (u *outside) judge(kind string, who Person, t *Thing) (known sallyport.Reason, refused string) {
	j := &judging{outside: u, who: who, t: t, name: kind + " " + t.ID, at: u.now()}
	j.known = sallyport.Reason{
		Kind: kind, Covers: true, Open: true, State: t.State, Minutes: j.minutes(),
		Contacted: !t.Contacted.IsZero() && !t.Contacted.After(j.at.Add(mostClockSkew)),
	}
	if len(t.Customers) == 0 {
		return j.known, j.name + " is about no customer"
	}
	switch kind {
	case "call":
		refused = j.call()
	case "job":
		refused = j.job()
	default:
		refused = j.ticket()
	}
	return j.known, refused
}

// judging is one thing before one person.
type judging struct {
	*outside
	who   Person
	t     *Thing
	name  string // for sentences: ticket 4711
	at    time.Time
	known sallyport.Reason
}

func (j *judging) minutes() int64 {
	if j.t.From.IsZero() {
		return 0
	}
	return max(int64(j.at.Sub(j.t.From)/time.Minute), 0)
}

func (j *judging) ticket() string {
	if !slices.Contains(j.states, j.t.State) {
		return j.name + " is closed"
	}
	if len(j.t.Customers) > 1 {
		return j.name + " is about several customers; a ticket covers one"
	}
	if refused := j.assigned(true); refused != "" {
		return refused
	}
	opened, refused := j.wrote("opened", j.t.OpenedBy)
	if refused != "" {
		return refused
	}
	assigned, refused := j.wrote("assigned", j.t.AssignedBy)
	if refused != "" {
		return refused
	}
	reopened := author{}
	if j.t.ReopenedBy != "" {
		if reopened, refused = j.wrote("reopened", j.t.ReopenedBy); refused != "" {
			return refused
		}
	}
	j.note(opened, assigned)
	self := ""
	switch {
	case opened.self:
		self = "you opened " + j.name + " yourself"
	case assigned.self && j.known.Mine:
		self = "you assigned " + j.name + " to yourself"
	case assigned.self:
		self = "you assigned " + j.name
	case reopened.self:
		self = "you reopened " + j.name + " yourself"
	}
	if self == "" || j.known.Contacted && j.at.Sub(j.t.Contacted) <= j.contact {
		return ""
	}
	return self + ", and the customer has not got in touch about it lately"
}

// call holds a call to the telephony system's word, or to that of who arranged it.
func (j *judging) call() string {
	if len(j.t.Customers) > 1 {
		return j.name + " is about several customers; a call covers one"
	}
	if refused := j.assigned(false); refused != "" {
		return refused
	}
	opened, refused := j.wrote("reported", j.t.OpenedBy)
	if refused != "" {
		return refused
	}
	incoming := slices.Contains(j.states, j.t.State)
	switch {
	case !incoming && !slices.Contains(j.scheduled, j.t.State):
		return j.name + " was begun by us, and nobody else arranged it"
	case incoming && opened.program == "":
		return j.name + " was written down by a person: only the telephony system's word counts"
	case !incoming && opened.self:
		return "you arranged " + j.name + " yourself"
	}
	j.note(opened, author{})
	j.known.Contacted = j.known.Contacted || incoming
	return j.during(incoming)
}

// during tells whether a call is on, or has ended lately.
func (j *judging) during(incoming bool) string {
	from, until := j.t.From, j.t.Until
	if from.IsZero() {
		return "nothing says when " + j.name + " began"
	}
	if early := from.Add(-mostClockSkew); incoming && j.at.Before(early) || !incoming && j.at.Before(from.Add(-j.after)) {
		return j.name + " has not begun"
	}
	if last := from.Add(j.longest); until.IsZero() || until.After(last) {
		until = last
	}
	if j.at.After(until.Add(j.after)) {
		return j.name + " is over"
	}
	return ""
}

// job holds a job to the word of somebody else who approved it.
func (j *judging) job() string {
	switch {
	case !slices.Contains(j.states, j.t.State):
		return j.name + " is not approved"
	case j.t.From.IsZero() || j.t.Until.IsZero():
		return "nothing says when " + j.name + " begins and ends"
	case j.at.Before(j.t.From):
		return j.name + " has not begun"
	case !j.at.Before(j.t.Until):
		return j.name + " has ended"
	case len(j.t.Customers) > mostOfJob:
		return fmt.Sprintf("%s is about more than %d customers: split it, or have a grant approved", j.name, mostOfJob)
	}
	if refused := j.assigned(false); refused != "" {
		return refused
	}
	opened, refused := j.wrote("asked for", j.t.OpenedBy)
	if refused != "" {
		return refused
	}
	approved, refused := j.wrote("approved", j.t.AssignedBy)
	if refused != "" {
		return refused
	}
	switch {
	case approved.program != "" || approved.person.Service:
		return j.name + " was approved by a program: a person must"
	case approved.self:
		return "you approved " + j.name + " yourself"
	case approved.person.Staff == opened.person.Staff && opened.program == "":
		return j.name + " was approved by who asked for it"
	}
	j.note(opened, approved)
	return ""
}

// mostOfJob is how many customers a job may be about: their values are held while it is used.
const mostOfJob = 10_000

// assigned says whose a thing is. A colleague's is one for whom policies let see a ticket of his team.
func (j *judging) assigned(team bool) string {
	if j.t.Assignee == "" {
		return j.name + " is assigned to nobody"
	}
	of, ok := j.named(j.t.Assignee)
	switch {
	case ok && of.Staff == j.who.Staff:
		j.known.Mine = true
	case ok && team && j.team != nil && j.seesTeam(of):
	default:
		return j.name + " is somebody else's"
	}
	if j.known.Team = of.Team; !of.Service {
		j.known.Assignee = of.Staff
	}
	return ""
}

func (j *judging) seesTeam(of Person) bool {
	mates := j.team(j.who)
	return slices.ContainsFunc(of.Logins, func(login string) bool { return slices.Contains(mates, login) })
}

// author is whose word a part of a thing is.
type author struct {
	person  Person
	program string
	self    bool
}

// wrote says whose word a part is; nobody's, or that of a name which nobody knows, is no word.
func (j *judging) wrote(what, name string) (author, string) {
	if name == "" {
		return author{}, fmt.Sprintf("nothing says who %s %s", what, j.name)
	}
	person, ok := j.named(name)
	switch {
	case ok && person.Staff == j.who.Staff && !person.Service: // also where a directory calls somebody like a program
		return author{person: person, self: true}, ""
	case slices.Contains(j.kind.Programs, name):
		return author{program: name}, ""
	case ok && person.Staff == j.who.Staff:
		return author{person: person, self: true}, ""
	case ok && !person.Service:
		return author{person: person}, ""
	}
	return author{}, fmt.Sprintf("%s was %s by an account whose word does not count", j.name, what)
}

// note keeps who did what, for policies.
func (j *judging) note(opened, assigned author) {
	j.known.OpenedBySelf, j.known.OpenedBy, j.known.OpenedByProgram = opened.self, opened.person.Staff, opened.program
	j.known.AssignedBySelf, j.known.AssignedBy, j.known.AssignedByProgram = assigned.self, assigned.person.Staff, assigned.program
}

// namesOf are what outside systems may call a person, as written and in small letters.
func namesOf(who Person) (names []string) {
	for _, name := range slices.Concat([]string{string(who.Staff)}, who.Logins, who.Names) {
		for _, form := range []string{name, strings.ToLower(name)} {
			if form != "" && !slices.Contains(names, form) {
				names = append(names, form)
			}
		}
	}
	return names
}
