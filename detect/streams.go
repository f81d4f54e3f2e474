package detect

import "math"

// What is counted by person and day, each by a process of its own. They share one budget: what is compared with A is their average by
// weight.
const (
	exposure  = iota // customers without a reason
	breadth          // customers at all
	walk             // customers one after the other by number
	forms            // statements of a form that nobody of his peers uses
	probe            // refusals
	offShift         // statements about customers outside his hours
	novelty          // a new device, network, country
	selfMade         // customers with a reason that he made himself
	bulk             // results with very many customers
	sink             // what other tools saw leave
	canary           // customers who do not exist
	privilege        // changes to who may what
	bypass           // ways around the application
	approval         // jobs always agreed to by the same person
	watched          // famous customers and colleagues
	reported         // customers who were called by frauds afterwards
	reached          // customers whose rows came back as tokens, outside of his reasons
	tried            // values that he had turned into tokens outside of his reasons
	left             // what stays in the database and works on
	eager            // work that is somebody else's
	together         // his and a linked person's customers without a reason
	streams
)

// stream says what a count means.
type stream struct {
	kind   string  // of the finding
	weight float64 // in the budget
	usual  float64 // a day, before anything is known
	days   float64 // how many days of a person that is worth
	fixed  bool    // it is not learnt
	attack []string
	says   string // with the count, the time, and what was expected
}

// specs describes the streams. ATT&CK is Enterprise v18; those in the Center for Threat-Informed Defense's list of insiders' techniques are
// among them.
func specs() [streams]stream {
	return [streams]stream{
		exposure:  {"exposure", 0.50, 3, 5, false, []string{"T1213.006"}, "looked at %s customers without a reason in %s; expected %s"},
		breadth:   {"reach", 0.04, 20, 5, false, []string{"T1213.006", "T1119"}, "looked at %s customers, with reasons or without, in %s; expected %s"},
		walk:      {"reach", 0.04, 0.05, 100, false, []string{"T1119", "T1213.006"}, "went through %s customers in the order of their numbers in %s; expected %s"},
		forms:     {"reach", 0.02, 0.2, 50, false, []string{"T1213.006"}, "sent %s statements of a form that nobody of his peers uses in %s; expected %s"},
		probe:     {"probe", 0.04, 0.2, 50, false, []string{"T1213.006"}, "was refused %s times in %s; expected %s"},
		offShift:  {"login", 0.03, 0.5, 50, false, []string{"T1078"}, "looked at customers %s times outside his hours in %s; expected %s"},
		novelty:   {"login", 0.04, 0.02, 300, false, []string{"T1078"}, "signs of somebody else at his account (new device, network, country, failed log-ins): %s in %s; expected %s"},
		selfMade:  {"self_made_reason", 0.05, 0.3, 50, false, []string{"T1213.004", "T1213.006"}, "looked at %s customers with a reason that he made himself in %s; expected %s"},
		bulk:      {"sink", 0.04, 0.02, 300, false, []string{"T1119", "T1213.006", "T1567"}, "results with very many customers: %s in %s; expected %s"},
		sink:      {"sink", 0.03, 0.01, 500, false, []string{"T1567", "T1052", "T1048"}, "other tools saw data leave: %s in %s; expected %s"},
		canary:    {"canary", 0.04, 1e-7, 1, true, []string{"T1213.006"}, "touched %s customers who do not exist in %s; expected %s"},
		privilege: {"privilege", 0.02, 0.01, 500, false, []string{"T1098", "T1136", "T1548"}, "changed %s times who may what in %s; expected %s"},
		bypass:    {"bypass", 0.02, 0.02, 300, false, []string{"T1078", "T1213.006"}, "came %s times by another way than the application in %s; expected %s"},
		approval:  {"approval", 0.01, 0.02, 300, false, []string{"T1078"}, "jobs agreed to by himself or always by the same person: %s in %s; expected %s"},
		watched:   {"rule", 0.01, 0.02, 300, false, []string{"T1213.006"}, "looked at %s famous customers or colleagues without a reason in %s; expected %s"},
		reported:  {"report", 0.01, 0.005, 500, false, []string{"T1213.006", "T1656"}, "customers whom he had looked at without a reason were called by frauds: %s in %s; expected %s"},
		reached:   {"reach", 0.015, 2, 20, false, []string{"T1213.006", "T1119"}, "had rows of %s customers come back as tokens, without a reason, in %s; expected %s"},
		tried:     {"probe", 0.015, 0.5, 50, false, []string{"T1213.006", "T1087"}, "had %s values turned into tokens without a reason in %s; expected %s"},
		left:      {"privilege", 0.01, 0.01, 500, false, []string{"T1505.001", "T1546"}, "left %s times something in the database that works on by itself in %s; expected %s"},
		eager:     {"rule", 0, 1, 20, false, nil, "worked %s times on what is another team's or outside his hours in %s; expected %s"},
		together:  {"exposure", 0.02, 3, 5, true, []string{"T1213.006"}, "he and another looked at %s customers without a reason in %s; expected %s"},
	}
}

// What somebody does alone and what he does with whom he is linked to share the part that both streams have of the budget.
const linkedAlone, linkedBoth = 0.16, 0.36

// shares are the logarithms of the streams' parts of the budget.
func shares(specs *[streams]stream) (list [2][streams]float64) {
	for i := range specs {
		list[0][i] = math.Log(specs[i].weight) // of none: -∞
	}
	list[1] = list[0]
	list[1][exposure], list[1][together] = math.Log(linkedAlone), math.Log(linkedBoth)
	return list
}
