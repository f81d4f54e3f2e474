// Package rotation draws who serves whom from when on: technicians to customers or queues, approvers to the queues that they approve for.
//
// Every assignment that keeps the plan's rules is equally probable, so nobody can foresee or steer a draw, and everybody can repeat it
// afterwards: it is a pure function of the plan, of a secret that was committed to, and of a beacon that nobody knew then.
//
// It does no I/O, reads no clock and draws no randomness of its own. It refuses to draw where it could not be uniform, rather than to come
// near to it. Invariant: the same plan, secret and beacon give the same bytes, everywhere.
package rotation

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
)

// Plan is what a draw is to decide, and by which rules. A commitment is to the bytes of its file.
type Plan struct {
	Name   string   `yaml:"name"`
	Start  Window   `yaml:"start"`  // the draw decides the day, too
	People []Person `yaml:"people"` // who can be drawn
	Posts  []Post   `yaml:"posts"`  // what they are drawn for
	// Previous is who serves whom until then: nobody is drawn for the same post twice in a row.
	Previous []Holder `yaml:"previous"`
	Even     bool     `yaml:"even"`     // loads differ by one at most
	Apart    bool     `yaml:"apart"`    // no two who shared a post share one again: approvers
	MinDays  int      `yaml:"min_days"` // a post that was handed over more recently than so many days before the start stays
	Handover int      `yaml:"handover"` // days on which both serve a post: predecessor and successor must be there for all of them
}

// Window is the days of which one is drawn, both included. To absent: From.
type Window struct {
	From Day `yaml:"from"`
	To   Day `yaml:"to"`
}

// Person can be drawn.
type Person struct {
	ID     string   `yaml:"id"`
	Skills []string `yaml:"skills"`
	Zones  []string `yaml:"zones"` // where he may serve; none: everywhere
	Load   int      `yaml:"load"`  // most posts; 0: 1
	From   Day      `yaml:"from"`  // not there before
	Until  Day      `yaml:"until"` // nor from that day on
}

// Post is a customer or a queue.
type Post struct {
	ID     string   `yaml:"id"`
	Skills []string `yaml:"skills"` // all are needed
	Zone   string   `yaml:"zone"`
	Need   int      `yaml:"need"`  // people; 0: 1
	Not    []string `yaml:"not"`   // who is never drawn for it: who handles a queue does not approve for it
	Since  Day      `yaml:"since"` // when it was handed over last
}

// Holder serves a post.
type Holder struct {
	Post string `yaml:"post"`
	Who  string `yaml:"who"`
}

// Day is a calendar day.
type Day struct{ time.Time }

// UnmarshalYAML reads 2026-12-07.
func (d *Day) UnmarshalYAML(text []byte) error {
	var s string
	if err := yaml.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("read a day: %w", err)
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return fmt.Errorf("%q is no day; expected 2026-12-07", s)
	}
	d.Time = t
	return nil
}

// String is the day as it is read.
func (d Day) String() string { return d.Format(time.DateOnly) }

// plus is so many days later.
func (d Day) plus(days int) Day { return Day{d.AddDate(0, 0, days)} }

// The bounds of a plan: a draw takes seconds within them.
const (
	mostPeople = 200
	mostSlots  = 400
	mostText   = 512 << 10
	mostWindow = 366
	mostLoad   = 50
)

// ErrPlan says what is wrong with a plan.
var ErrPlan = errors.New("the plan cannot be drawn")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrPlan, fmt.Sprintf(format, args...))
}

// Read reads a plan and holds it to sense.
func Read(text []byte) (*Plan, error) {
	if len(text) > mostText {
		return nil, wrong("it is longer than %d bytes", mostText)
	}
	var p Plan
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil {
		return nil, wrong("%v", err)
	}
	return &p, p.check()
}

func (p *Plan) check() error {
	if p.Start.To.IsZero() {
		p.Start.To = p.Start.From
	}
	days := int(p.Start.To.Sub(p.Start.From.Time) / (24 * time.Hour))
	switch {
	case p.Name == "" || len(p.Name) > 100:
		return wrong("it has no name, or a very long one")
	case p.Start.From.IsZero() || days < 0 || days > mostWindow:
		return wrong("start needs from and to, at most a year apart")
	case len(p.People) == 0 || len(p.Posts) == 0:
		return wrong("there are no people, or no posts")
	case len(p.People) > mostPeople:
		return wrong("more than %d people: draw them in parts", mostPeople)
	case p.MinDays < 0 || p.Handover < 0:
		return wrong("min_days and handover are days, 0 or more")
	}
	people, err := p.checkPeople()
	if err != nil {
		return err
	}
	return p.checkPosts(people)
}

func (p *Plan) checkPeople() (map[string]bool, error) {
	people := map[string]bool{}
	for i := range p.People {
		x := &p.People[i]
		if x.ID == "" || people[x.ID] {
			return nil, wrong("person %d has no id of his own: %q", i+1, x.ID)
		}
		if x.Load == 0 {
			x.Load = 1
		}
		if x.Load < 0 || x.Load > mostLoad {
			return nil, wrong("%s: a load is 1 to %d", x.ID, mostLoad)
		}
		people[x.ID] = true
	}
	return people, nil
}

func (p *Plan) checkPosts(people map[string]bool) error {
	posts, slots := map[string]bool{}, 0
	for i := range p.Posts {
		x := &p.Posts[i]
		if x.ID == "" || posts[x.ID] {
			return wrong("post %d has no id of its own: %q", i+1, x.ID)
		}
		if x.Need == 0 {
			x.Need = 1
		}
		if x.Need < 0 || x.Need > len(p.People) {
			return wrong("%s needs %d of %d people", x.ID, x.Need, len(p.People))
		}
		for _, who := range x.Not {
			if !people[who] {
				return wrong("%s: nobody is called %s", x.ID, who)
			}
		}
		posts[x.ID] = true
		slots += x.Need
	}
	for _, h := range p.Previous {
		if !posts[h.Post] {
			return wrong("previous: there is no post %s", h.Post)
		}
	}
	if slots > mostSlots {
		return wrong("more than %d people are needed: draw posts in parts", mostSlots)
	}
	return nil
}

// holders serve a post until the start.
func (p *Plan) holders(post string) (out []string) {
	for _, h := range p.Previous {
		if h.Post == post && !slices.Contains(out, h.Who) {
			out = append(out, h.Who)
		}
	}
	slices.Sort(out)
	return out
}

// may tells whether somebody can be drawn for a post from a day on.
func (p *Plan) may(who *Person, post *Post, start Day) bool {
	switch {
	case slices.Contains(post.Not, who.ID), slices.Contains(p.holders(post.ID), who.ID):
		return false
	case post.Zone != "" && len(who.Zones) > 0 && !slices.Contains(who.Zones, post.Zone):
		return false
	case who.From.After(start.Time), !who.Until.IsZero() && !who.Until.After(start.plus(p.Handover).Time):
		return false
	}
	for _, skill := range post.Skills {
		if !slices.Contains(who.Skills, skill) {
			return false
		}
	}
	return true
}

// stays tells why a post is not drawn this time; empty: it is.
func (p *Plan) stays(post *Post, start Day) string {
	held := p.holders(post.ID)
	if len(held) > 0 && !post.Since.IsZero() && start.Before(post.Since.plus(p.MinDays).Time) {
		return fmt.Sprintf("handed over on %s, less than %d days before", post.Since, p.MinDays)
	}
	return ""
}
