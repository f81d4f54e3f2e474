package policy

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	cedarast "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/eval"

	"sallyport"
)

// Explanation is a ruling with what each policy about the action says to the question.
type Explanation struct {
	Ruling   Ruling
	Policies []Said // those that decide first, then those nearest to deciding
}

// Said is what one policy says to a question.
type Said struct {
	Policy   string
	Forbids  bool
	Because  string
	Document string
	Place    string   // FILE:LINE
	Fits     bool     // it decides, or takes part
	Missing  []string // what would have to hold for it to fit, in Cedar
	Cedar    string   // its text, of All alone
}

// Explain answers a question and says what would have to be different.
func (s *Set) Explain(a Ask) Explanation {
	e := Explanation{Ruling: s.Decide(a)}
	if s == nil {
		return e
	}
	r := a.request(nil)
	env := eval.Env{Principal: r.Principal, Action: r.Action, Resource: r.Resource, Context: r.Context, Entities: s.knowing(r.Principal)}
	anybody := eval.Env{Principal: eval.Variable("principal"), Action: r.Action, Resource: r.Resource, Context: eval.Variable("context"), Entities: env.Entities}
	for _, rule := range slices.Concat(s.forbids[a.Action], s.permits[a.Action]) {
		if _, may := conditions(anybody, rule); !may {
			continue // it is about other columns
		}
		said := rule.said()
		for _, leaf := range leaves(eval.PolicyToNode((*ast.Policy)(rule.policy.AST())).AsIsNode()) {
			if v, err := eval.Eval(leaf, env); err != nil || v != types.True {
				said.Missing = append(said.Missing, written(leaf))
			}
		}
		said.Fits = len(said.Missing) == 0
		e.Policies = append(e.Policies, said)
	}
	if over, yes := a.over(); yes {
		e.Policies = append(e.Policies, Said{Policy: over.Policies[0], Forbids: true, Because: over.Because, Fits: true})
	}
	slices.SortStableFunc(e.Policies, func(a, b Said) int {
		return cmp.Or(yesFirst(a.Fits, b.Fits), yesFirst(a.Forbids && a.Fits, b.Forbids && b.Fits), yesFirst(!a.Forbids, !b.Forbids), cmp.Compare(len(a.Missing), len(b.Missing)))
	})
	return e
}

func yesFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func (r *rule) said() Said {
	return Said{Policy: r.id, Forbids: r.policy.Effect() == cedar.Forbid, Because: r.because, Document: r.document, Place: place(r)}
}

// leaves are the parts of a condition that all have to hold.
func leaves(n ast.IsNode) []ast.IsNode {
	and, ok := n.(ast.NodeTypeAnd)
	if !ok {
		if v, ok := n.(ast.NodeValue); ok && v.Value == types.True {
			return nil
		}
		return []ast.IsNode{n}
	}
	return append(leaves(and.Left), leaves(and.Right)...)
}

// written is a condition as Cedar writes it.
func written(n ast.IsNode) string {
	p := cedar.NewPolicyFromAST((*cedarast.Policy)(ast.Permit().When(ast.NewNode(n))))
	_, text, _ := strings.Cut(string(p.MarshalCedar()), "when {")
	text = strings.Join(strings.Fields(strings.TrimSuffix(strings.TrimSpace(text), "};")), " ")
	text = listed.ReplaceAllStringFunc(text, func(list string) string { // sets have no order of their own
		members := strings.Split(list[1:len(list)-1], ", ")
		slices.Sort(members)
		return "[" + strings.Join(members, ", ") + "]"
	})
	switch n.(type) {
	case ast.NodeTypeOr, ast.NodeTypeIfThenElse:
		return "(" + text + ")"
	}
	return text
}

// listed is a set in a written condition.
var listed = regexp.MustCompile(`\[[^\[\]]+\]`)

// Access is who may do something to a column, and when.
type Access struct {
	Who     []sallyport.Staff // all of whom the same holds, in order
	Service bool
	Column  sallyport.Column
	Ways    []Way // each permits it; none: never
	Unless  []Way // each stands against it, whatever permits
}

// Way is a policy, and what is left of its condition once it is known who, what and whose.
type Way struct {
	Policy  string
	If      string   // empty: always
	Respond Response // of what stands against it
}

// WhoCan says for everybody of the directory and every column of the world who may ever do something. It is complete: what a policy
// makes depend on the moment stands in If, everything else is decided.
func (s *Set) WhoCan(action string) []Access {
	var out []Access
	for _, g := range s.alike() {
		for _, c := range s.world.columns(action) {
			out = append(out, s.access(g, action, c.Column))
		}
	}
	return out
}

// columns are those that an action can be about: values stand behind protected columns only. What is about Sallyport itself is about one without a name.
func (w *World) columns(action string) []Column {
	if OfSallyport(action) {
		return []Column{{}}
	}
	switch action {
	case ActionReveal, ActionExport, ActionSearch, ActionWrite:
		return slices.DeleteFunc(slices.Clone(w.Columns), func(c Column) bool { return c.Scheme == "" })
	}
	return w.Columns
}

// SeesTeam tells whether somebody may ever see anything of a customer by an open ticket of a colleague in his team.
func (s *Set) SeesTeam(who sallyport.Staff, service bool, team string) bool {
	if s == nil {
		return false
	}
	a := Ask{Who: who, Service: service, Action: ActionReveal, Context: usual()}
	a.Context.Purpose = &sallyport.Reason{Kind: Ticket, Covers: true, Open: true, Team: team, Contacted: true}
	for _, c := range s.world.columns(ActionReveal) {
		a.Column = c.Column
		if s.Decide(a).Verdict == sallyport.Reveal {
			return true
		}
	}
	return false
}

// alike are people and services of whom no policy can tell one from the other.
type alike struct {
	who     []sallyport.Staff
	service bool
}

func (s *Set) alike() []alike {
	named, groups := s.named(), map[string]*alike{}
	note := func(uid types.EntityUID, service bool) {
		key := s.likeness(uid, named[uid])
		if groups[key] == nil {
			groups[key] = &alike{service: service}
		}
		groups[key].who = append(groups[key].who, sallyport.Staff(uid.ID))
	}
	for _, m := range s.world.Staff {
		note(types.NewEntityUID(typeStaff, types.String(m.ID)), false)
	}
	for _, m := range s.world.Services {
		note(types.NewEntityUID(typeService, types.String(m.ID)), true)
	}
	var out []alike
	for _, g := range groups {
		slices.Sort(g.who)
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b alike) int { return cmp.Or(yesFirst(!a.service, !b.service), cmp.Compare(a.who[0], b.who[0])) })
	return out
}

// named are the people and services whom a policy or a column names one by one.
func (s *Set) named() map[types.EntityUID]bool {
	named := map[types.EntityUID]bool{}
	for _, r := range s.rules {
		for _, uid := range mentioned((*ast.Policy)(r.policy.AST())) {
			named[uid] = true
		}
	}
	for _, column := range s.entities {
		for _, of := range []types.String{"copiers", "attesters"} {
			v, _ := column.Attributes.Get(of)
			set, ok := v.(types.Set)
			if !ok {
				continue
			}
			for member := range set.All() {
				if uid, ok := member.(types.EntityUID); ok {
					named[uid] = true
				}
			}
		}
	}
	return named
}

// likeness is equal for those of whom no policy can tell one from the other.
func (s *Set) likeness(uid types.EntityUID, named bool) string {
	e := s.entities[uid]
	var parts []string
	for p := range e.Parents.All() {
		parts = append(parts, p.String())
	}
	slices.Sort(parts)
	parts = append(parts, string(uid.Type), string(e.Attributes.MarshalCedar()))
	if named {
		parts = append(parts, string(uid.ID))
	}
	return strings.Join(parts, " ")
}

// access is what the policies leave open about one of a group and a column.
func (s *Set) access(g alike, action string, c sallyport.Column) Access {
	out := Access{Who: g.who, Service: g.service, Column: c}
	r := (&Ask{Who: g.who[0], Service: g.service, Action: action, Column: c}).request(nil)
	env := eval.Env{Principal: r.Principal, Action: r.Action, Resource: r.Resource, Context: eval.Variable("context"), Entities: s.knowing(r.Principal)}
	for _, of := range []struct {
		rules policies
		to    *[]Way
	}{{s.permits[action], &out.Ways}, {s.forbids[action], &out.Unless}} {
		for _, rule := range of.rules {
			left, may := conditions(env, rule)
			if !may {
				continue
			}
			*of.to = append(*of.to, Way{Policy: rule.id, If: strings.Join(left, " && "), Respond: rule.respond})
		}
	}
	for _, against := range out.Unless {
		if against.If == "" && against.Respond.severity() >= Refuse.severity() {
			out.Ways = nil // whatever permits, this forbids
		}
	}
	return out
}

// conditions is what is left of a policy's condition once some of a question is known. may is false where it cannot hold any more.
func conditions(env eval.Env, r *rule) (left []string, may bool) {
	p, may := eval.PartialPolicy(env, (*ast.Policy)(r.policy.AST()))
	if !may {
		return nil, false
	}
	for _, leaf := range leaves(eval.PolicyToNode(p).AsIsNode()) {
		if v, ok := leaf.(ast.NodeValue); ok && v.Value == types.False {
			return nil, false
		}
		left = append(left, written(leaf))
	}
	return left, true
}

func place(r *rule) string { return Problem{File: r.file, Line: r.line}.at() }
