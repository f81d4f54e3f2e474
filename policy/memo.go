package policy

import (
	"slices"
	"sync"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"sallyport"
)

// An answer depends on the set, which never changes, and on the question. So it is remembered under the question, of which what no policy of
// its action mentions is left out: minutes that nobody asks about do not make another question.

// mostRemembered bounds the memory; whoever makes up more questions has it forget.
const mostRemembered = 8192

// memory holds answers.
type memory struct {
	mu      sync.RWMutex
	answers map[question]Ruling
}

// question is an Ask that can be compared.
type question struct {
	ask      Ask // its pointers are nil
	why      sallyport.Reason
	grant    Granted
	purposed bool
	granted  bool
	member   Member // who asks, where that may change under a set
}

// question is the ask without what the action's policies do not mention.
func (s *Set) question(a *Ask) question {
	q := question{ask: *a}
	c := &q.ask.Context
	if c.Purpose != nil {
		q.why, q.purposed, c.Purpose = *c.Purpose, true, nil
	}
	if c.Grant != nil {
		q.grant, q.granted, c.Grant = *c.Grant, true, nil
	}
	for _, f := range s.silent[a.Action] {
		f.clear(&q)
	}
	return q
}

// remembered is Decide from memory where it was asked before.
func (s *Set) remembered(a *Ask) Ruling {
	if s.memory == nil {
		return s.decide(a)
	}
	q := s.question(a)
	if s.member != nil && !a.Service {
		q.member = s.asks(a.Who)
	}
	s.memory.mu.RLock()
	r, ok := s.memory.answers[q]
	s.memory.mu.RUnlock()
	if ok {
		return r
	}
	r = s.pinned(q.member).decide(a)
	r.Policies = slices.Clip(r.Policies)
	s.memory.mu.Lock()
	defer s.memory.mu.Unlock()
	if s.memory.answers == nil || len(s.memory.answers) >= mostRemembered {
		s.memory.answers = map[question]Ruling{}
	}
	s.memory.answers[q] = r
	return r
}

// asks is somebody as he is right now.
func (s *Set) asks(who sallyport.Staff) Member {
	if m, ok := s.member(who); ok {
		return m
	}
	return Member{ID: who}
}

// pinned is the set for one answer: what is remembered of somebody is what was decided about him as he was.
func (s *Set) pinned(m Member) *Set {
	if s.member == nil {
		return s
	}
	one := *s
	one.member = func(sallyport.Staff) (Member, bool) { return m, true }
	return &one
}

// field is a part of the context that changes by itself, and how it is left out of a question.
type field struct {
	of, name string // of the purpose or, where of is empty, of the context
	clear    func(*question)
}

// restless are those fields. What is not among them always belongs to the question.
func restless() []field {
	return []field{
		{"", "mfaMinutes", func(q *question) { q.ask.Context.MFAMinutes = 0 }},
		{"", "secondMinutes", func(q *question) { q.ask.Context.SecondMinutes = 0 }},
		{"", "hour", func(q *question) { q.ask.Context.Hour = 0 }},
		{"", "weekday", func(q *question) { q.ask.Context.Weekday = 0 }},
		{"", "seenHour", func(q *question) { q.ask.Context.SeenHour = 0 }},
		{"", "seenDay", func(q *question) { q.ask.Context.SeenDay = 0 }},
		{"", "seenMonth", func(q *question) { q.ask.Context.SeenMonth = 0 }},
		{"", "budgetUsed", func(q *question) { q.ask.Context.BudgetUsed = 0 }},
		{"", "sharedUsed", func(q *question) { q.ask.Context.SharedUsed = 0 }},
		{"", "trainingOverdue", func(q *question) { q.ask.Context.TrainingOverdue = 0 }},
		{"purpose", "minutes", func(q *question) { q.why.Minutes = 0 }},
		{"purpose", "looks", func(q *question) { q.why.Looks = 0 }},
		{"purpose", "lookers", func(q *question) { q.why.Lookers = 0 }},
	}
}

// forgets finds, for each action, what of the context its policies mention, and the restless fields that none of them does.
func (s *Set) forgets() {
	s.silent, s.reads = map[string][]field{}, map[string]mentions{}
	for _, action := range Actions() {
		said := mentions{}
		for _, list := range []policies{s.permits[action], s.forbids[action]} {
			for _, r := range list {
				for _, c := range (*ast.Policy)(r.policy.AST()).Conditions {
					said.read(c.Body)
				}
			}
		}
		s.reads[action] = said
		for _, f := range restless() {
			if !said.has(f) {
				s.silent[action] = append(s.silent[action], f)
			}
		}
	}
}

// mentions are attributes of the context that are read, "purpose.minutes" for those of the purpose; "*" stands for all of them.
type mentions map[string]bool

func (m mentions) has(f field) bool {
	if m["*"] || m[f.of] && f.of != "" {
		return true
	}
	if f.of != "" {
		return m[f.of+"."+f.name]
	}
	return m[f.name]
}

// wants tells whether an attribute of the context, or where of says so of the purpose, is read by anybody. Nil mentions want all.
func (m mentions) wants(of, name string) bool {
	switch {
	case m == nil || m["*"]:
		return true
	case of != "":
		return m[of] || m[of+"."+name]
	}
	return m[name]
}

// read notes what an expression reads of the context. Whatever reads it as a whole, or the purpose as a whole, reads everything in it.
func (m mentions) read(n ast.IsNode) {
	ast.Inspect(ast.NewNode(n), func(n ast.IsNode) bool {
		switch n := n.(type) {
		case ast.NodeTypeAccess:
			return m.attribute(n.Arg, n.Value)
		case ast.NodeTypeHas:
			if isContext(n.Arg) && (n.Value == "purpose" || n.Value == "grant") {
				return false // whether there is one always belongs to the question
			}
			return m.attribute(n.Arg, n.Value)
		case ast.NodeTypeVariable:
			if n.Name == "context" {
				m["*"] = true
			}
		}
		return true
	})
}

// attribute notes one attribute that is read or asked for, and tells whether what it is one of must still be looked at.
func (m mentions) attribute(of ast.IsNode, name types.String) (deeper bool) {
	if isContext(of) {
		m[string(name)] = true
		return false
	}
	if outer, ok := of.(ast.NodeTypeAccess); ok && isContext(outer.Arg) {
		m[string(outer.Value)+"."+string(name)] = true
		return false
	}
	return true
}

func isContext(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "context"
}
