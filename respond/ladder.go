// Package respond turns findings into steps: slower, confirm, a second person, masks, suspended, locked; what can be taken back comes
// first, and what is outside of Sallyport (a database role, the identity provider, a pager) is told in their protocols.
//
// It refuses to lock anybody without a person but on a customer who does not exist or at extreme odds; to suspend or lock by what somebody
// else can bring about (a reason that another made, alarms of other tools, failed log-ins, reports); to stop a program; and to stop many
// people within an hour: whoever could set off alarms could else stop the house. It keeps no state: what was done stands in the record.
package respond

import (
	_ "embed" // the program's own ladder
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"sallyport/detect"
)

// The steps, from what is noticed least to what hurts most.
const (
	Page         = "page"          // tell people
	Hold         = "hold"          // keep the entries since the start as evidence
	Throttle     = "throttle"      // results come at reading speed
	StepUp       = "step_up"       // he confirms who he is
	SecondPerson = "second_person" // a colleague agrees
	Mask         = "mask"          // values are masked
	Revoke       = "revoke"        // his grants end
	Suspend      = "suspend"       // his sessions end, and he may not work
	Lock         = "lock"          // likewise
	Database     = "database"      // his roles may not log in at the database either
	Provider     = "provider"      // the identity provider is told
)

// Steps lists all, in the order in which they are taken.
func Steps() []string {
	return []string{Hold, Throttle, StepUp, SecondPerson, Mask, Revoke, Suspend, Lock, Database, Provider, Page}
}

// Trust is how far somebody is trusted at most after a step: policies act on it (trust.cedar). ok is false for a step that is no matter of trust.
func Trust(step string) (most int, ok bool) {
	switch step {
	case Throttle:
		return 74, true
	case StepUp:
		return 59, true
	case SecondPerson:
		return 39, true
	case Mask:
		return 24, true
	}
	return 0, false
}

// Rung says what is done from some odds on.
type Rung struct {
	ID    string   `yaml:"id"`
	Odds  float64  `yaml:"odds"`            // powers of ten, as in the finding
	Kinds []string `yaml:"kinds,omitempty"` // of the finding; none: all
	Types []string `yaml:"types,omitempty"` // likewise: malicious, negligent, compromised
	Do    []string `yaml:"do"`
}

// Ladder is what a company decides. All rungs that fit are climbed.
type Ladder struct {
	Rungs    []Rung  `yaml:"ladder"`
	LockOdds float64 `yaml:"lock_odds"`      // extreme odds, at which somebody is locked without a person; at least LeastLockOdds
	Most     int     `yaml:"stops_per_hour"` // people whom Sallyport suspends or locks within an hour; of more it tells people
}

// The bounds of a ladder: no file goes beyond.
const (
	LeastLockOdds = 5  // 100,000 to 1
	MostStops     = 20 // an hour
)

//go:embed ladder.yaml
var ownLadder []byte

// DefaultLadder is the program's own.
func DefaultLadder() (Ladder, error) { return ParseLadder(ownLadder) }

// OwnLadder is the text of it.
func OwnLadder() []byte { return slices.Clone(ownLadder) }

// ParseLadder reads a ladder as YAML.
func ParseLadder(text []byte) (Ladder, error) {
	var l Ladder
	if err := yaml.UnmarshalWithOptions(text, &l, yaml.Strict()); err != nil {
		return l, fmt.Errorf("read the ladder: %w", err)
	}
	if len(l.Rungs) == 0 {
		return l, fmt.Errorf("read the ladder: it has no rungs; expected a list under ladder")
	}
	if !(l.LockOdds >= LeastLockOdds) {
		return l, fmt.Errorf("read the ladder: lock_odds %g; expected %d or more: a lock without a person is for extreme odds", l.LockOdds, LeastLockOdds)
	}
	if l.Most < 1 || l.Most > MostStops {
		return l, fmt.Errorf("read the ladder: stops_per_hour %d; expected 1 to %d", l.Most, MostStops)
	}
	seen := map[string]bool{}
	for i := range l.Rungs {
		if err := l.Rungs[i].check(i, seen); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (r *Rung) check(i int, seen map[string]bool) error {
	if r.ID == "" || seen[r.ID] {
		return fmt.Errorf("read the ladder, rung %d: expected an id of its own", i+1)
	}
	seen[r.ID] = true
	if len(r.Do) == 0 || math.IsNaN(r.Odds) {
		return fmt.Errorf("read the ladder, rung %s: expected odds and what to do", r.ID)
	}
	for _, step := range r.Do {
		if !slices.Contains(Steps(), step) {
			return fmt.Errorf("read the ladder, rung %s: no step %q; expected one of %s", r.ID, step, strings.Join(Steps(), ", "))
		}
	}
	for _, kind := range r.Types {
		if !slices.Contains([]string{detect.Malicious, detect.Negligent, detect.Compromised}, kind) {
			return fmt.Errorf("read the ladder, rung %s: no type %q; expected malicious, negligent or compromised", r.ID, kind)
		}
	}
	return nil
}

// Case is a finding with what is known beside it.
type Case struct {
	Finding *detect.Finding
	Service bool // it is about a program
	// Given says that the access which raised it was for a reason that the gateway had checked: somebody else made it.
	Given bool
	// Stopped are people whom Sallyport has suspended or locked within the hour, besides this one.
	Stopped int
	Taken   []string // steps that were taken for this finding already
}

// Step is one thing to do, and why it is or why something harder is not.
type Step struct {
	Name string
	Why  string
}

// Decide gives the steps to take now, in the order in which they are to be taken. Those that were taken are not given again.
func (l *Ladder) Decide(c Case) []Step {
	want := l.climb(c.Finding)
	l.restrain(c, want)
	// Of what is a matter of trust the lowest holds all the others.
	for i, kept := len(trustSteps())-1, false; i >= 0; i-- {
		step := trustSteps()[i]
		if kept {
			delete(want, step)
		}
		kept = kept || want[step] != ""
	}
	if want[Lock] != "" {
		delete(want, Suspend)
	}
	var list []Step
	for _, step := range Steps() {
		if why := want[step]; why != "" && !slices.Contains(c.Taken, step) {
			list = append(list, Step{step, why})
		}
	}
	return list
}

// climb is what the rungs that fit want, and why.
func (l *Ladder) climb(f *detect.Finding) map[string]string {
	want := map[string]string{}
	for i := range l.Rungs {
		r := &l.Rungs[i]
		if f.Log10Odds < r.Odds || len(r.Kinds) > 0 && !slices.Contains(r.Kinds, f.Kind) || len(r.Types) > 0 && !slices.Contains(r.Types, f.Type) {
			continue
		}
		for _, step := range r.Do {
			if want[step] == "" {
				want[step] = fmt.Sprintf("odds of 10^%.1f, kind %s, rung %s", f.Log10Odds, f.Kind, r.ID)
			}
		}
	}
	return want
}

func trustSteps() []string { return []string{Throttle, StepUp, SecondPerson, Mask} }

// restrain holds what hurts to what Sallyport may do without a person, whatever the ladder says.
func (l *Ladder) restrain(c Case, want map[string]string) {
	if c.Service {
		for _, step := range []string{StepUp, SecondPerson, Mask, Revoke} {
			delete(want, step)
		}
		if len(want) > 0 {
			instead(want, Throttle, "a program is not stopped without a person")
		}
		return
	}
	if want[Lock]+want[Suspend]+want[Database]+want[Provider] == "" {
		return
	}
	own, first := Own(c.Finding), c.Finding.Kind == "canary" && !c.Given
	if why := l.spares(c, own, first); why != "" {
		instead(want, SecondPerson, why)
		return
	}
	if own >= l.LockOdds || first {
		return
	}
	why := want[Lock]
	for _, hard := range []string{Lock, Database, Provider} {
		delete(want, hard)
	}
	if why != "" && want[Suspend] == "" {
		want[Suspend] = why + "; a lock is for a person to give"
	}
}

// spares says why somebody is not stopped without a person; empty: he may be.
func (l *Ladder) spares(c Case, own float64, first bool) string {
	switch {
	case c.Given && own < l.LockOdds:
		return "he looked for a reason that somebody else made: that never stops him by itself"
	case own < 0 && !first:
		return "most of what speaks for it can be brought about by others: that never stops him by itself"
	case c.Stopped >= l.Most:
		return fmt.Sprintf("%d people were stopped within the hour: people are to look first", c.Stopped)
	}
	return ""
}

// instead wants a step, and people told, in the place of what stops somebody.
func instead(want map[string]string, step, why string) {
	for _, hard := range []string{Lock, Database, Provider, Suspend} {
		delete(want, hard)
	}
	for _, soft := range []string{step, Page} {
		if want[soft] == "" {
			want[soft] = why
		}
	}
}

// othersCan are kinds of evidence that somebody else can bring about: he mistypes another's password, sets off a tool's alarm, calls the
// hotline, agrees to jobs.
func othersCan(e *detect.Evidence) bool {
	switch e.Source {
	case "login", "report", "hr", "approval":
		return true
	case "sink":
		return strings.HasPrefix(e.Text, "other tools")
	}
	return false
}

// Own is the weight of what only the person himself can have done.
func Own(f *detect.Finding) (log10 float64) {
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Log10 < 0 || !othersCan(e) {
			log10 += e.Log10
		}
	}
	return log10
}
