package policy

import (
	"cmp"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"sallyport"
)

// Text is one file of policies.
type Text struct {
	Name    string // as problems name it
	Content string
}

// Problem is something wrong with a policy, and where.
type Problem struct {
	File         string
	Line, Column int // from 1
	Text         string
	Warning      bool     // the policies may be used all the same
	Got          string   // a name that nobody knows; empty: it is about none
	Known        []string // the names in its place
}

// Place is FILE:LINE:COLUMN.
func (p Problem) Place() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// String is the place and what is wrong.
func (p Problem) String() string { return p.Place() + ": " + p.Text }

// at is FILE:LINE.
func (p Problem) at() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Set is a set of policies that fit a World. It is immutable but for what it remembers, and safe for use by many goroutines.
type Set struct {
	permits, forbids map[string]policies // by the action that they speak of
	rules            map[cedar.PolicyID]*rule
	entities         cedar.EntityMap
	world            *World
	member           func(sallyport.Staff) (Member, bool) // nil: the world's
	silent           map[string][]field                   // by action: what its policies do not mention
	reads            map[string]mentions                  // by action: what they do
	memory           *memory                              // nil: nothing is remembered
}

// rule is what a policy says of itself.
type rule struct {
	id       string
	because  string // the sentence for who is refused, or why it is permitted
	document string // the paragraph of the written policy that it enforces
	respond  Response
	file     string
	line     int
	policy   *cedar.Policy
	scoped   *ast.Policy   // the same, to look at its scope
	open     *cedar.Policy // the same on everybody and everything
}

// policies are some of a set, in the order of their ids: what decides first is the same in every run.
type policies []*rule

// All is what cedar iterates over: about looked at their scope.
func (ps policies) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range ps {
			if !yield(cedar.PolicyID(r.id), r.open) {
				return
			}
		}
	}
}

// Load reads policies and holds them to the world. The set is nil where there is a problem that is no warning.
func Load(texts []Text, w *World, c Copiers) (*Set, []Problem) {
	l := &loading{world: w, set: &Set{
		permits: map[string]policies{}, forbids: map[string]policies{}, rules: map[cedar.PolicyID]*rule{}, world: w, entities: w.entities(c), memory: &memory{},
	}}
	if err := l.readSchema(); err != nil {
		return nil, []Problem{{File: "schema", Line: 1, Column: 1, Text: err.Error()}}
	}
	for _, t := range texts {
		l.read(t)
	}
	l.complete()
	slices.SortStableFunc(l.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if slices.ContainsFunc(l.problems, func(p Problem) bool { return !p.Warning }) {
		return nil, l.problems
	}
	byID := func(a, b *rule) int { return cmp.Compare(a.id, b.id) }
	for _, action := range Actions() {
		slices.SortFunc(l.set.permits[action], byID)
		slices.SortFunc(l.set.forbids[action], byID)
	}
	l.set.forgets()
	return l.set, l.problems
}

// loading is a set that is being read.
type loading struct {
	world     *World
	set       *Set
	validator *validate.Validator
	problems  []Problem
	completes bool // what is read now completes what was read before
}

func (l *loading) readSchema() error {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(l.world.Schema())); err != nil {
		return fmt.Errorf("read the schema: %w", err)
	}
	resolved, err := s.Resolve()
	if err != nil {
		return fmt.Errorf("resolve the schema: %w", err)
	}
	l.validator = validate.New(resolved)
	return nil
}

// parsePlace is where cedar's parser stopped, in its words.
var parsePlace = regexp.MustCompile(`^(?:parser error: )?(?:parse error at )?<input>:(\d+):(\d+) (.*)$`)

// read takes one file. Where it cannot be parsed the rest of it is not looked at: the place is known, and what follows is not.
func (l *loading) read(t Text) {
	list, err := cedar.NewPolicyListFromBytes(t.Name, []byte(t.Content))
	if err != nil {
		p := Problem{File: t.Name, Line: 1, Column: 1, Text: err.Error()}
		if m := parsePlace.FindStringSubmatch(strings.ReplaceAll(err.Error(), "\n", " ")); m != nil {
			_, _ = fmt.Sscan(m[1], &p.Line)
			_, _ = fmt.Sscan(m[2], &p.Column)
			p.Text = "this is not Cedar: " + m[3]
		}
		l.problems = append(l.problems, p)
		return
	}
	for i, policy := range list {
		end := len(t.Content)
		if i+1 < len(list) {
			end = list[i+1].Position().Offset
		}
		l.add(t, policy, t.Content[policy.Position().Offset:end])
	}
}

// keyword begins a policy behind its annotations.
var keyword = regexp.MustCompile(`(?:permit|forbid)\s*\(`)

// add takes one policy; text is its own.
func (l *loading) add(t Text, policy *cedar.Policy, text string) {
	at := policy.Position()
	problem := func(near, format string, args ...any) {
		line, column := at.Line, at.Column
		i := strings.Index(text, near)
		if near == "" || i < 0 {
			i = keyword.FindStringIndex(text)[0]
		}
		if i > 0 {
			before := text[:i]
			if n := strings.Count(before, "\n"); n > 0 {
				line, column = line+n, i-strings.LastIndexByte(before, '\n')
			} else {
				column += i
			}
		}
		l.problems = append(l.problems, Problem{File: t.Name, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
	}
	r, trouble := newRule(policy)
	r.file, r.line = t.Name, at.Line
	for _, p := range trouble {
		problem(p.near, "%s", p.text)
	}
	tree := (*ast.Policy)(policy.AST())
	if err := l.validator.Policy("", tree); err != nil {
		for sentence := range strings.SplitSeq(err.Error(), "\n") {
			problem(nearest(sentence), "%s", sentence)
		}
	}
	for _, uid := range mentioned(tree) {
		if known, warn := l.known(uid.Type); known != nil && !slices.Contains(known, string(uid.ID)) {
			problem(string(uid.MarshalCedar()), "there is no %s %q", strings.ToLower(string(uid.Type)), string(uid.ID))
			p := &l.problems[len(l.problems)-1]
			p.Warning, p.Got, p.Known = warn, string(uid.ID), known
		}
	}
	if other := l.set.rules[cedar.PolicyID(r.id)]; other != nil {
		problem(`@id`, "the id %q is that of the policy at %s:%d too", r.id, other.file, other.line)
		return
	}
	l.speak(r, actionsOf(tree.Action))
}

// speak puts a policy among those of the actions that it speaks of. What completes others speaks of what they left out.
func (l *loading) speak(r *rule, actions []string) {
	l.set.rules[cedar.PolicyID(r.id)] = r
	to := l.set.forbids
	if r.policy.Effect() == cedar.Permit {
		to = l.set.permits
	}
	for _, action := range actions {
		if !l.completes || r.id == named || len(to[action]) == 0 {
			to[action] = append(to[action], r)
		}
	}
}

// actionsOf are the actions that a policy speaks of.
func actionsOf(scope ast.IsActionScopeNode) []string {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return []string{string(s.Entity.ID)}
	case ast.ScopeTypeIn:
		return []string{string(s.Entity.ID)} // there are no groups of actions
	case ast.ScopeTypeInSet:
		var out []string
		for _, uid := range s.Entities {
			if !slices.Contains(out, string(uid.ID)) {
				out = append(out, string(uid.ID))
			}
		}
		return out
	}
	return Actions()
}

// annotationTrouble is what is wrong with a policy's annotations, and near which text.
type annotationTrouble struct{ near, text string }

// newRule reads a policy's annotations.
func newRule(policy *cedar.Policy) (*rule, []annotationTrouble) {
	a := policy.Annotations()
	r := &rule{id: string(a["id"]), because: string(a["because"]), document: string(a["document"]), policy: policy}
	r.scoped = (*ast.Policy)(policy.AST())
	r.open = unscoped(r.scoped)
	var trouble []annotationTrouble
	say := func(near, format string, args ...any) {
		trouble = append(trouble, annotationTrouble{near, fmt.Sprintf(format, args...)})
	}
	if r.id == "" {
		say("", `the policy has no id: write @id("…") before it`)
	}
	if r.because == "" {
		say("", `the policy has no reason: write @because("…"), the sentence that people read`)
	}
	if answer, ok := a["respond"]; ok {
		r.respond = Response(answer)
		switch {
		case policy.Effect() == cedar.Permit:
			say("@respond", "only a forbid answers: take @respond away")
		case !slices.Contains(Responses(), r.respond):
			say("@respond", "there is no answer %q: use one of %s", string(answer), strings.Join(asText(Responses()), ", "))
		}
	}
	for name := range a {
		switch name {
		case "id", "because", "document", "respond":
		default:
			say("@"+string(name), "there is no annotation @%s: use @id, @because, @document, @respond", name)
		}
	}
	slices.SortFunc(trouble, func(a, b annotationTrouble) int { return cmp.Compare(a.near, b.near) })
	return r, trouble
}

// quoted finds what the validator's sentence is about.
var quoted = regexp.MustCompile("`([^`]+)`")

func nearest(sentence string) string {
	if m := quoted.FindStringSubmatch(sentence); m != nil {
		return m[1]
	}
	return ""
}

// mentioned are the entities that a policy names, each once.
func mentioned(p *ast.Policy) []types.EntityUID {
	var out []types.EntityUID
	note := func(uid types.EntityUID) {
		if !slices.Contains(out, uid) {
			out = append(out, uid)
		}
	}
	for _, scope := range []any{p.Principal, p.Resource} {
		switch s := scope.(type) {
		case ast.ScopeTypeEq:
			note(s.Entity)
		case ast.ScopeTypeIn:
			note(s.Entity)
		case ast.ScopeTypeIsIn:
			note(s.Entity)
		case ast.ScopeTypeInSet:
			for _, uid := range s.Entities {
				note(uid)
			}
		}
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			if v, ok := n.(ast.NodeValue); ok {
				if uid, ok := v.Value.(types.EntityUID); ok {
					note(uid)
				}
			}
			return true
		})
	}
	return out
}

// known are the names of a type, nil of a type that the validator knows nothing of. Who left, or is not there yet, is a warning: a
// directory changes from day to day.
func (l *loading) known(of types.EntityType) (names []string, warning bool) {
	w := l.world
	names = []string{}
	switch of {
	case typeTeam:
		names = append(names, w.Teams...)
	case typeRole:
		names = append(names, w.Roles...)
	case typeClass:
		names = asText(classes())
	case typeKind:
		names = Kinds()
	case typeStrength:
		names = asText(Strengths())
	case typeSystem:
		names = append(names, systemName)
	case typeColumn:
		for _, c := range w.Columns {
			names = append(names, c.String())
		}
	case typeTable:
		for _, c := range w.Columns {
			names = append(names, tableOf(c.Column))
		}
	case typeStaff:
		for _, m := range w.Staff {
			names = append(names, string(m.ID))
		}
		warning = true
	case typeService:
		for _, s := range w.Services {
			names = append(names, string(s.ID))
		}
	default:
		return nil, false
	}
	return names, warning
}

// systemName is the one entity of type System.
const systemName = "sallyport"

func tableOf(c sallyport.Column) string { return c.Schema + "." + c.Table }

// Live is the same policies on people as member knows them at the moment of each question. Names that policies speak of are not held to the
// world again: where one is gone, nobody is meant.
func (s *Set) Live(member func(sallyport.Staff) (Member, bool)) *Set {
	if s == nil {
		return nil
	}
	next := *s
	next.member = member
	return &next
}
