package policy

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"sallyport"
)

// Change is what another set of policies means to somebody and a column.
type Change struct {
	Who     []sallyport.Staff // all of whom the same holds
	Service bool
	Action  string
	Column  sallyport.Column
	Gains   []string // in which situations more is open than before: one for each pair of verdicts
	Loses   []string // in which less is
	// Changed says that conditions read otherwise, though none of the situations that were tried shows it.
	Changed bool
}

// tried is how many situations are tried for each person, action and column.
const tried = 3000

// Diff says who gains and who loses what. Both sets MUST be of the same world. Situations are drawn from the values that either set's
// conditions compare with, and around them; the same two sets give the same answer.
func Diff(before, after *Set) []Change {
	edges := edgesOf(before)
	edges.add(edgesOf(after))
	var out []Change
	known := map[string]*Change{} // columns of which nothing in a policy can tell one from the other
	for _, g := range commonGroups(before, after) {
		for _, action := range []string{ActionReveal, ActionExport, ActionSearch, ActionWrite, ActionCopy, ActionQuery, ActionReplicate, ActionApprove, ActionInvestigate, ActionAdminister} {
			for _, c := range before.world.columns(action) {
				change := Change{Who: g.who, Service: g.service, Action: action, Column: c.Column}
				was, is := before.access(g, action, c.Column), after.access(g, action, c.Column)
				never := len(was.Ways)+len(is.Ways) == 0
				if never || sameWays(was.Ways, is.Ways) && sameWays(was.Unless, is.Unless) {
					continue
				}
				key := fmt.Sprintln(g.who[0], action, was.Ways, was.Unless, is.Ways, is.Unless)
				if same := known[key]; same != nil {
					change.Gains, change.Loses = same.Gains, same.Loses
				} else {
					change.try(before, after, edges)
					known[key] = &change
				}
				change.Changed = len(change.Gains)+len(change.Loses) == 0
				out = append(out, change)
			}
		}
	}
	return out
}

func sameWays(a, b []Way) bool {
	key := func(ways []Way) (out []string) {
		for _, w := range ways {
			out = append(out, w.If+" "+string(w.Respond))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(key(a), key(b))
}

// commonGroups are people and services of whom neither set can tell one from the other.
func commonGroups(a, b *Set) []alike {
	of := map[sallyport.Staff]int{}
	for i, g := range b.alike() {
		for _, who := range g.who {
			of[who] = i
		}
	}
	var out []alike
	for _, g := range a.alike() {
		parts := map[int][]sallyport.Staff{}
		for _, who := range g.who {
			parts[of[who]] = append(parts[of[who]], who)
		}
		for _, part := range parts {
			out = append(out, alike{who: part, service: g.service})
		}
	}
	slices.SortFunc(out, func(a, b alike) int { return cmp.Or(yesFirst(!a.service, !b.service), cmp.Compare(a.who[0], b.who[0])) })
	return out
}

// try asks both sets in many situations.
func (c *Change) try(before, after *Set, e *edges) {
	random := newRandom()
	seen := map[string]bool{}
	for range tried {
		a := Ask{Who: c.Who[0], Service: c.Service, Action: c.Action, Column: c.Column, Context: e.draw(random, before.world)}
		if c.Action == ActionReplicate || c.Action == ActionApprove {
			a.Context.Named = random.IntN(2) == 0
		}
		was, is := before.Decide(a), after.Decide(a)
		if was.Verdict == is.Verdict && was.Respond == is.Respond {
			continue
		}
		pair := fmt.Sprintf("%s instead of %s", said(is), said(was))
		if seen[pair] {
			continue
		}
		seen[pair] = true
		sentence := pair + ", for instance with " + a.Context.sentence()
		if opens(is) > opens(was) {
			c.Gains = append(c.Gains, sentence)
		} else {
			c.Loses = append(c.Loses, sentence)
		}
	}
	slices.Sort(c.Gains)
	slices.Sort(c.Loses)
}

func said(r Ruling) string {
	if r.Respond != Refuse && r.Verdict != sallyport.Mask {
		return r.Verdict.String() + " (" + string(r.Respond) + ")"
	}
	return r.Verdict.String()
}

// opens orders rulings by how much they give.
func opens(r Ruling) int { return 10*int(r.Verdict) - r.Respond.severity()*int(sallyport.Reveal)/10 }

// sentence says a situation in words.
func (c *Context) sentence() string {
	parts := []string{fmt.Sprintf("trust %d", c.Trust), "log-in " + string(c.strength())}
	if f := c.Purpose; f != nil {
		words := []string{f.Kind}
		for word, holds := range map[string]bool{"mine": f.Mine, "open": f.Open, "opened by oneself": f.OpenedBySelf, "assigned by oneself": f.AssignedBySelf, "contacted": f.Contacted} {
			if holds {
				words = append(words, word)
			}
		}
		if f.Team != "" {
			words = append(words, "of team "+f.Team)
		}
		slices.Sort(words[1:])
		parts = append(parts, "purpose "+strings.Join(words, ", "))
	}
	if g := c.Grant; g != nil {
		parts = append(parts, fmt.Sprintf("a grant with %d left", g.Left))
	}
	if c.Named {
		parts = append(parts, "named by the configuration")
	}
	if c.MFAMinutes >= 0 {
		parts = append(parts, fmt.Sprintf("confirmed %d minutes ago", c.MFAMinutes))
	}
	if c.BudgetUsed+c.SharedUsed > 0 {
		parts = append(parts, fmt.Sprintf("%d %% of his budget used, %d of a shared one", c.BudgetUsed, c.SharedUsed))
	}
	return strings.Join(append(parts, fmt.Sprintf("%d customers seen in the hour, %d in the day", c.SeenHour, c.SeenDay), fmt.Sprintf("at %d o'clock of day %d", c.Hour, c.Weekday)), "; ")
}

// edges are the numbers and texts that conditions compare with.
type edges struct {
	numbers []int64
	parts   []int64 // those from 0 to 100
	apart   []int64 // those of one set that the other does not have: what changed is looked at more closely
	texts   []string
}

func edgesOf(s *Set) *edges {
	e := &edges{numbers: []int64{0, 1, 100}, texts: []string{""}}
	for _, r := range s.rules {
		for _, c := range (*ast.Policy)(r.policy.AST()).Conditions {
			ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
				if v, ok := n.(ast.NodeValue); ok {
					switch value := v.Value.(type) {
					case types.Long:
						e.numbers = append(e.numbers, int64(value)-1, int64(value), int64(value)+1)
					case types.String:
						e.texts = append(e.texts, string(value))
					}
				}
				return true
			})
		}
	}
	e.sort()
	return e
}

func (e *edges) add(other *edges) {
	for _, of := range [][2]*edges{{e, other}, {other, e}} {
		for _, n := range of[0].numbers {
			if !slices.Contains(of[1].numbers, n) {
				e.apart = append(e.apart, n)
			}
		}
	}
	e.numbers, e.texts = append(e.numbers, other.numbers...), append(e.texts, other.texts...)
	e.sort()
}

func (e *edges) sort() {
	slices.Sort(e.numbers)
	slices.Sort(e.texts)
	e.numbers, e.texts = slices.Compact(e.numbers), slices.Compact(e.texts)
	e.parts = slices.DeleteFunc(slices.Clone(e.numbers), func(n int64) bool { return n < 0 || n > 100 })
}

// draw is one situation: an ordinary one in which a few things are otherwise, since one that is odd in every way is refused by everything.
func (e *edges) draw(r *rand.Rand, w *World) Context {
	c := usual()
	number := func() int64 { return e.numbers[r.IntN(len(e.numbers))] }
	seldom := func() bool { return r.IntN(5) == 0 }
	often := func() bool { return r.IntN(5) > 1 }
	for _, n := range []*int64{&c.MFAMinutes, &c.SeenHour, &c.SeenDay, &c.SeenMonth} {
		if seldom() {
			*n = max(number(), 0)
		}
	}
	if seldom() {
		c.Trust = pick(r, e.parts)
	}
	if seldom() {
		c.Hour, c.Weekday = r.Int64N(24), 1+r.Int64N(7)
	}
	if seldom() {
		c.MFAMinutes = -1
	}
	if seldom() {
		c.SecondMinutes = max(number(), 0)
	}
	if seldom() {
		c.Strength = pick(r, Strengths())
	}
	if seldom() {
		c.OnShift, c.Device = false, pick(r, e.texts)
	}
	if often() {
		c.Purpose = e.drawPurpose(r, w, seldom, often)
	}
	if seldom() {
		c.Grant = &Granted{ID: pick(r, e.texts), Customers: number(), Left: number()}
	}
	if len(w.Services) > 0 && seldom() {
		c.Via = w.Services[r.IntN(len(w.Services))].ID
	}
	for _, n := range []*int64{&c.BudgetUsed, &c.SharedUsed} {
		if seldom() {
			*n = pick(r, e.parts)
		}
	}
	if seldom() {
		c.TrainingOverdue = max(number(), 0)
	}
	if len(e.apart) > 0 && often() {
		e.closer(r, &c, seldom)
	}
	return c
}

// closer looks at the numbers that only one of the sets compares with.
func (e *edges) closer(r *rand.Rand, c *Context, seldom func() bool) {
	for _, n := range []*int64{&c.MFAMinutes, &c.SeenHour, &c.SeenDay, &c.SeenMonth, &c.TrainingOverdue} {
		if seldom() {
			*n = max(pick(r, e.apart), 0)
		}
	}
	for _, n := range []*int64{&c.Trust, &c.BudgetUsed, &c.SharedUsed} {
		if seldom() {
			*n = min(max(pick(r, e.apart), 0), 100)
		}
	}
}

// drawPurpose is one reason.
func (e *edges) drawPurpose(r *rand.Rand, w *World, seldom, often func() bool) *sallyport.Reason {
	number := func() int64 { return e.numbers[r.IntN(len(e.numbers))] }
	p := &sallyport.Reason{
		Kind: pick(r, Kinds()), Covers: true, Open: often(), State: pick(r, e.texts), Mine: often(), Minutes: number(),
		OpenedBySelf: seldom(), AssignedBySelf: seldom(), Contacted: often(), Looks: number(), Lookers: number(), OwnLooks: number(),
	}
	if len(w.Staff) > 0 {
		for _, who := range []*sallyport.Staff{&p.Assignee, &p.OpenedBy, &p.AssignedBy} {
			if seldom() {
				*who = w.Staff[r.IntN(len(w.Staff))].ID
			}
		}
	}
	if seldom() {
		p.OpenedByProgram, p.AssignedByProgram = pick(r, e.texts), pick(r, e.texts)
	}
	if len(w.Teams) > 0 && often() {
		p.Team = pick(r, w.Teams)
	}
	return p
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// newRandom draws the same situations each time.
func newRandom() *rand.Rand { return rand.New(rand.NewPCG(7, 11)) } //nolint:gosec // situations are no secrets
