package policy

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"

	"sallyport"
)

// OfSallyport tells whether an action is about Sallyport itself, and about no column.
func OfSallyport(action string) bool {
	return action == ActionApprove || action == ActionInvestigate || action == ActionAdminister
}

// named is the policy by which whom the configuration names may do what it names him for: it was approved by two people, too.
const named = "sallyport.named"

// complete adds the program's own policies about Sallyport itself where those that were read permit nothing of it, as policies did that were written when
// roles alone decided there: else nobody could approve better ones. What a company forbids stays forbidden.
func (l *loading) complete() {
	text, err := defaults.ReadFile("defaults/" + about + ".cedar")
	if err != nil {
		panic("the program lacks its own policies: " + about) // they are compiled in
	}
	own := Text{Name: "built-in " + about + ".cedar", Content: string(text)}
	list, err := cedar.NewPolicyListFromBytes(own.Name, text)
	if err != nil {
		panic("the program's own policies cannot be read: " + err.Error()) // tests read them
	}
	l.completes = true
	for i, p := range list {
		id := cedar.PolicyID(p.Annotations()["id"])
		if l.set.rules[id] != nil {
			continue // they were copied, and may have been changed
		}
		end := len(own.Content)
		if i+1 < len(list) {
			end = list[i+1].Position().Offset
		}
		before := len(l.problems)
		l.add(own, p, own.Content[p.Position().Offset:end])
		l.problems = l.problems[:before] // a world without the roles that they name: nobody is meant
	}
}

// Could lists the people who may ever take an action about Sallyport itself, whatever the moment; not those whom only the configuration's naming would
// let. It is who stands on WhoCan's list.
func (s *Set) Could(action string) []sallyport.Staff {
	if s == nil {
		return nil
	}
	var out []sallyport.Staff
	for _, g := range s.alike() {
		if g.service {
			continue
		}
		ways := slices.DeleteFunc(s.access(g, action, sallyport.Column{}).Ways, func(w Way) bool { return strings.Contains(w.If, "context.named") })
		if len(ways) > 0 {
			out = append(out, g.who...)
		}
	}
	slices.Sort(out)
	return out
}
