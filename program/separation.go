package program

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"sallyport"
)

// Separation are the rules of who may not do two things at once, and of how many eyes there must be.
type Separation struct {
	Queues map[string]Queue `yaml:"queues"` // by name
	Rules  []Rule           `yaml:"rules"`  // each is checked by itself
}

// Queue is work that some people do: tickets of teams, or customers.
type Queue struct {
	Teams     []string            `yaml:"teams"`     // tickets that are assigned to these teams
	Customers []sallyport.Subject `yaml:"customers"` // these customers, for whichever reason
	Sensitive bool                `yaml:"sensitive"` // rules that name no queue are about sensitive ones alone
}

// Rule is one of them.
type Rule struct {
	ID     string   `yaml:"id"`     // by which findings name it
	Rule   string   `yaml:"rule"`   // handles_not_approves, covers_at_most, at_least or drawn_approves
	Queues []string `yaml:"queues"` // it is about; empty: the sensitive ones. Of covers_at_most empty means each customer by himself
	Weeks  int      `yaml:"weeks"`  // of covers_at_most: in more weeks than these nobody else looked
	People int      `yaml:"people"` // of at_least: so many were active
	// Rotation is, of drawn_approves, the one whose last draw says who approves; its posts are called like the queues.
	Rotation string `yaml:"rotation"`
	Days     int    `yaml:"days"` // back that handling and being active count; 0: 28
}

// The rules.
const (
	HandlesNotApproves = "handles_not_approves" // who handles a queue does not approve its grants
	CoversAtMost       = "covers_at_most"       // no single person covers a customer, or a queue, for more weeks
	AtLeast            = "at_least"             // a queue has so many people active
	DrawnApproves      = "drawn_approves"       // grants of a queue are approved by those who were drawn for it
)

// ReadSeparation reads rules from YAML.
func ReadSeparation(name string, text []byte) (*Separation, error) {
	s := &Separation{}
	if err := yaml.UnmarshalWithOptions(text, s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("read the rules of %s: %w", name, err)
	}
	if wrong := s.Check(); len(wrong) > 0 {
		return nil, fmt.Errorf("read the rules of %s: %s: %s", name, wrong[0].Where, wrong[0].What)
	}
	return s, nil
}

// Check says what is wrong with rules, by their paths.
func (s *Separation) Check() (wrong []Place) {
	problem := func(where, format string, args ...any) {
		wrong = append(wrong, Place{where, fmt.Sprintf(format, args...)})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Queues)) {
		if q := s.Queues[name]; len(q.Teams)+len(q.Customers) == 0 {
			problem("queues."+name, "nothing is in it; expected teams or customers")
		}
	}
	seen := map[string]bool{}
	for i, r := range s.Rules {
		where := fmt.Sprintf("rules[%d]", i)
		switch {
		case !plainID(r.ID):
			problem(where+".id", "%q is no id; expected letters, digits and hyphens", r.ID)
		case seen[r.ID]:
			problem(where+".id", "%q stands twice", r.ID)
		}
		seen[r.ID] = true
		for j, name := range r.Queues {
			if _, ok := s.Queues[name]; !ok {
				problem(fmt.Sprintf("%s.queues[%d]", where, j), "there is no queue %q", name)
			}
		}
		switch {
		case !slices.Contains([]string{HandlesNotApproves, CoversAtMost, AtLeast, DrawnApproves}, r.Rule):
			problem(where+".rule", "there is no rule %q; expected %s, %s, %s or %s", r.Rule, HandlesNotApproves, CoversAtMost, AtLeast, DrawnApproves)
		case r.Rule == DrawnApproves && r.Rotation == "":
			problem(where+".rotation", "expected the name of the rotation that draws who approves")
		case r.Rule == CoversAtMost && r.Weeks <= 0:
			problem(where+".weeks", "expected how many weeks one person may cover somebody alone")
		case r.Rule == AtLeast && r.People < 2:
			problem(where+".people", "expected how many people must be active, 2 or more")
		case r.Days < 0:
			problem(where+".days", "%d days; expected 1 or more, or 0 for 28", r.Days)
		}
	}
	return wrong
}

// plainID tells whether a text can stand in ids of findings.
func plainID(id string) bool {
	if id == "" || len(id) > 40 {
		return false
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.' {
			return false
		}
	}
	return true
}

// queues are the names of those that a rule is about.
func (s *Separation) queues(r *Rule) (out []string) {
	if len(r.Queues) > 0 {
		return r.Queues
	}
	for _, name := range slices.Sorted(maps.Keys(s.Queues)) {
		if s.Queues[name].Sensitive {
			out = append(out, name)
		}
	}
	return out
}

func (r *Rule) back() time.Duration { return time.Duration(cmp.Or(r.Days, 28)) * 24 * time.Hour }

// Violation is a rule that was broken.
type Violation struct {
	Rule  string            `json:"rule"`
	Kind  string            `json:"kind"`
	Of    string            `json:"of"`    // the queue or, of covers_at_most without queues, the customer
	Staff []sallyport.Staff `json:"staff"` // whom it is about; of at_least none where nobody was active
	Since time.Time         `json:"since"`
	Last  time.Time         `json:"last"`
	Text  string            `json:"text"`            // names nobody
	Grant string            `json:"grant,omitempty"` // of handles_not_approves
	Entry uint64            `json:"entry"`           // of the access stream where it was last seen; of handles_not_approves of the control stream
}

// Alone is a run of weeks in which nobody else looked.
type alone struct {
	who         sallyport.Staff
	since, last time.Time
	week        int64 // of last
	weeks       int   // in which he looked
	entry       uint64
}

// look takes one look. Somebody else's ends the run.
func (a *alone) look(who sallyport.Staff, at time.Time, entry uint64) {
	week := at.Unix() / (7 * 24 * 3600)
	switch {
	case a.who != who:
		*a = alone{who: who, since: at, weeks: 1}
	case week != a.week:
		a.weeks++
	}
	a.last, a.week, a.entry = at, week, entry
}

// handling is when somebody worked in a queue last, and first since he was away for longer than any rule looks back.
type handling struct {
	last  time.Time
	entry uint64
}

// Eyes folds both streams into who worked where, and finds what breaks the rules. Entries MUST come by stream in their order; those of the control
// stream may come before or after, since votes are judged when all is read.
type Eyes struct {
	rules  *Separation
	person func(sallyport.Staff) bool // nobody's account, such as a service's, is no pair of eyes
	byTeam map[string][]string
	bySubj map[sallyport.Subject][]string

	days     map[string]map[sallyport.Staff][]handling // queue → person → his last entry of each day, in order
	queued   map[string]*alone
	covered  map[sallyport.Subject]*alone
	requests map[string]request
	votes    []vote
	draws    []drawn
}

type request struct {
	at   time.Time
	by   sallyport.Staff
	only []sallyport.Subject
	team string
}

type vote struct {
	id    string
	by    sallyport.Staff
	at    time.Time
	entry uint64
}

// drawn is a draw as it stands in the record.
type drawn struct {
	rotation string
	Start    string `json:"start"`
	Handover string `json:"handover_until"`
	Posts    []struct {
		Post   string            `json:"post"`
		Who    []sallyport.Staff `json:"who"`
		Before []sallyport.Staff `json:"before"`
	} `json:"posts"`
}

// serves tells whether a draw knows a post, and has somebody serve it on a day.
func (d *drawn) serves(post string, who sallyport.Staff, day string) (known, yes bool) {
	for _, p := range d.Posts {
		if p.Post == post {
			return true, slices.Contains(p.Who, who) || day <= d.Handover && slices.Contains(p.Before, who)
		}
	}
	return false, false
}

// readDraw is what was drawn, of an entry that says so.
func readDraw(p *sallyport.ProgramStep) (d drawn, ok bool) {
	d.rotation = p.Name
	return d, p.Do == RotationDraw && json.Unmarshal([]byte(p.Text), &d) == nil && d.Start != ""
}

// NewEyes begins. person tells people from programs.
func NewEyes(rules *Separation, person func(sallyport.Staff) bool) *Eyes {
	e := &Eyes{
		rules: rules, person: person, byTeam: map[string][]string{}, bySubj: map[sallyport.Subject][]string{}, days: map[string]map[sallyport.Staff][]handling{},
		queued: map[string]*alone{}, covered: map[sallyport.Subject]*alone{}, requests: map[string]request{},
	}
	for _, name := range slices.Sorted(maps.Keys(rules.Queues)) {
		for _, team := range rules.Queues[name].Teams {
			e.byTeam[team] = append(e.byTeam[team], name)
		}
		for _, subject := range rules.Queues[name].Customers {
			e.bySubj[subject] = append(e.bySubj[subject], name)
		}
	}
	return e
}

// Access takes an entry of the access stream: what leaves in plain is work, whatever it was for.
func (e *Eyes) Access(x *sallyport.Event) {
	if !e.person(x.Who.Staff) {
		return
	}
	if st := x.Statement; st != nil && x.Kind == sallyport.StatementKind && st.Known != nil {
		for i := range st.Known.Reasons {
			if k := &st.Known.Reasons[i]; k.Team != "" && k.Is&sallyport.FactCovers != 0 {
				for _, name := range e.byTeam[k.Team] {
					e.handled(name, x)
				}
			}
		}
	}
	if x.Reveal == nil {
		return
	}
	seen := map[sallyport.Subject]bool{}
	for v := range x.Reveal.Values.All() {
		if v.Subject == "" || seen[v.Subject] {
			continue
		}
		seen[v.Subject] = true
		a := e.covered[v.Subject]
		if a == nil {
			a = &alone{}
			e.covered[v.Subject] = a
		}
		a.look(x.Who.Staff, x.Time, x.Seq)
		for _, name := range e.bySubj[v.Subject] {
			e.handled(name, x)
		}
	}
}

// handled notes that somebody worked in a queue.
func (e *Eyes) handled(name string, x *sallyport.Event) {
	if e.days[name] == nil {
		e.days[name], e.queued[name] = map[sallyport.Staff][]handling{}, &alone{}
	}
	e.queued[name].look(x.Who.Staff, x.Time, x.Seq)
	list := e.days[name][x.Who.Staff]
	if n := len(list); n > 0 && list[n-1].last.Unix()/86400 == x.Time.Unix()/86400 {
		list[n-1] = handling{x.Time, x.Seq}
		return
	}
	e.days[name][x.Who.Staff] = append(list, handling{x.Time, x.Seq})
}

// Control takes an entry of the control stream.
func (e *Eyes) Control(x *sallyport.Event) {
	o := x.Order
	switch {
	case o == nil:
	case x.Kind == sallyport.Requested && o.Grant != nil:
		e.requests[o.ID] = request{x.Time, o.By, o.Grant.Only, o.Grant.Team}
	case x.Kind == sallyport.Approved && o.Vote != nil:
		e.votes = append(e.votes, vote{o.ID, o.By, x.Time, x.Seq})
	case x.Kind == sallyport.ProgramKind && o.Program != nil:
		if d, ok := readDraw(o.Program); ok {
			e.draws = append(e.draws, d)
		}
	}
}

// worked tells whether somebody worked in a queue within a time before a moment, when last, and in which entry.
func (e *Eyes) worked(name string, who sallyport.Staff, at time.Time, back time.Duration) (h handling, yes bool) {
	for _, x := range slices.Backward(e.days[name][who]) {
		if !x.last.After(at) {
			return x, at.Sub(x.last) <= back
		}
	}
	return h, false
}

// Find is what breaks the rules, as of a moment: of votes and covers from a time on, the rest as it stands.
func (e *Eyes) Find(from, now time.Time) (out []Violation) {
	for i := range e.rules.Rules {
		r := &e.rules.Rules[i]
		switch r.Rule {
		case HandlesNotApproves:
			out = append(out, e.approves(r, from, now)...)
		case DrawnApproves:
			out = append(out, e.undrawn(r, from, now)...)
		case CoversAtMost:
			out = append(out, e.covers(r, from, now)...)
		case AtLeast:
			out = append(out, e.least(r, now)...)
		}
	}
	return out
}

// each hands every approval of a grant of each queue that a rule is about. A grant is a queue's if whoever asked for it works there, or if it is for the
// queue's customers or teams.
func (e *Eyes) each(r *Rule, from, now time.Time, do func(v vote, queue string)) {
	for _, v := range e.votes {
		q, ok := e.requests[v.id]
		if !ok || v.at.Before(from) || v.at.After(now) {
			continue
		}
		for _, name := range e.rules.queues(r) {
			queue := e.rules.Queues[name]
			_, his := e.worked(name, q.by, q.at, r.back())
			if his || slices.Contains(queue.Teams, q.team) || slices.ContainsFunc(q.only, func(s sallyport.Subject) bool { return slices.Contains(queue.Customers, s) }) {
				do(v, name)
			}
		}
	}
}

// approves finds those who approved a grant of a queue that they handle.
func (e *Eyes) approves(r *Rule, from, now time.Time) (out []Violation) {
	e.each(r, from, now, func(v vote, queue string) {
		if h, handles := e.worked(queue, v.by, v.at, r.back()); handles {
			out = append(out, Violation{
				Rule: r.ID, Kind: r.Rule, Of: queue, Staff: []sallyport.Staff{v.by}, Since: h.last, Last: v.at, Grant: v.id, Entry: v.entry,
				Text: fmt.Sprintf("approved a grant of the queue %s and worked in it himself in the %d days before", queue, cmp.Or(r.Days, 28)),
			})
		}
	})
	return out
}

// undrawn finds those who approved a grant of a queue for which others had been drawn. Before the first draw of a queue nobody was.
func (e *Eyes) undrawn(r *Rule, from, now time.Time) (out []Violation) {
	e.each(r, from, now, func(v vote, queue string) {
		day := v.at.UTC().Format(time.DateOnly)
		var holds *drawn
		for i := range e.draws {
			if d := &e.draws[i]; d.rotation == r.Rotation && d.Start <= day && (holds == nil || d.Start >= holds.Start) {
				holds = d
			}
		}
		if holds == nil {
			return
		}
		if known, yes := holds.serves(queue, v.by, day); known && !yes {
			out = append(out, Violation{
				Rule: r.ID, Kind: r.Rule, Of: queue, Staff: []sallyport.Staff{v.by}, Since: v.at, Last: v.at, Grant: v.id, Entry: v.entry,
				Text: fmt.Sprintf("approved a grant of the queue %s, and the draw of %s put others there from %s on", queue, r.Rotation, holds.Start),
			})
		}
	})
	return out
}

// covers finds those who were alone with a customer or a queue for too many weeks.
func (e *Eyes) covers(r *Rule, from, now time.Time) (out []Violation) {
	found := func(a *alone, of, what string) {
		if a == nil || a.weeks <= r.Weeks || a.last.Before(from) || a.since.After(now) {
			return
		}
		out = append(out, Violation{
			Rule: r.ID, Kind: r.Rule, Of: of, Staff: []sallyport.Staff{a.who}, Since: a.since, Last: a.last, Entry: a.entry,
			Text: fmt.Sprintf("looked at %s in %d weeks in which nobody else did; at most %d are allowed", what, a.weeks, r.Weeks),
		})
	}
	if len(r.Queues) > 0 {
		for _, name := range r.Queues {
			found(e.queued[name], name, "the queue "+name)
		}
		return out
	}
	for _, subject := range slices.Sorted(maps.Keys(e.covered)) {
		found(e.covered[subject], string(subject), "customer "+string(subject))
	}
	return out
}

// least finds queues in which too few people are active.
func (e *Eyes) least(r *Rule, now time.Time) (out []Violation) {
	for _, name := range e.rules.queues(r) {
		active, last := []sallyport.Staff{}, handling{}
		for _, who := range slices.Sorted(maps.Keys(e.days[name])) {
			h, yes := e.worked(name, who, now, r.back())
			if !yes {
				continue
			}
			active = append(active, who)
			if h.last.After(last.last) {
				last = h
			}
		}
		if len(active) >= r.People {
			continue
		}
		v := Violation{Rule: r.ID, Kind: r.Rule, Of: name, Staff: active, Since: now.Add(-r.back()), Last: last.last, Entry: last.entry}
		v.Text = fmt.Sprintf("%d active in the queue %s in %d days; at least %d are to be", len(active), name, cmp.Or(r.Days, 28), r.People)
		if a := e.queued[name]; len(active) == 1 && a != nil && a.who == active[0] && a.since.After(v.Since) {
			v.Since = a.since
		}
		out = append(out, v)
	}
	return out
}

// ID names a violation for good: the same one has it each day.
func (v *Violation) ID() string {
	who := sallyport.Staff("")
	if len(v.Staff) > 0 {
		who = v.Staff[0]
	}
	switch {
	case v.Grant != "":
		return fmt.Sprintf("%s-separation-%s-%s-%s", who, v.Rule, v.Of, v.Grant)
	case v.Kind == CoversAtMost:
		return fmt.Sprintf("%s-separation-%s-%s-%s", who, v.Rule, v.Of, v.Since.UTC().Format("20060102"))
	}
	return fmt.Sprintf("%s-separation-%s-%s-%s", who, v.Rule, v.Of, v.Last.UTC().Format("200601")) // once a month, while it lasts
}
