package console

import (
	"time"

	"sallyport"
	"sallyport/program"
	"sallyport/program/training"
)

// report is one that has a page: what it is asked with (days, month, staff, firm, client, standard), and what it finds, as the command of its name prints
// with --json.
type report struct {
	Name, Title, Words, Asks string
	found                    func() any
}

// reports are those that have a page.
func reports() []report {
	return []report{
		{"board", "The board's page", "One page a month, to be printed: exposure, what nothing explains, times, false alarms, reviews, training, drift.", "month", func() any { return &boardPage{} }},
		{"assets", "Assets", "Each table and database: protection, owner, who reads it, where copies are, last review.", "days", func() any { return &[]program.Asset{} }},
		{"privileges", "Least privilege from use", "What is allowed beside what was used, and a smaller policy with its replay.", "days", func() any { return &privilegesReport{} }},
		{"drift", "Drift", "Where written policies, what is enforced and what happened part.", "days", func() any { return &program.Drift{} }},
		{"handover", "Hand-over", "What whoever takes over somebody's work should look at.", "staff days", func() any { return &program.Handover{} }},
		{"separation", "Separation and many eyes", "What breaks the rules of many eyes.", "days", func() any { return &separationReport{} }},
		{"firms", "Outside firms", "Their people, when contracts are over, what they saw of each client.", "days", func() any { return &[]program.FirmExposure{} }},
		{"firm", "Report for a client", "What a firm saw of one client's customers, to be handed to that client.", "firm client days", func() any { return &clientReport{} }},
		{"offboarding", "Offboarding", "That each access of a firm or a person has ended, and by which entry of the record.", "leaver", func() any { return &[]program.Ending{} }},
		{"effect", "What lessons change", "Looks without a reason before and after a lesson, with an interval.", "", func() any { return &[]training.Effect{} }},
		{"status", "Standards", "CERT's 22 practices and ATT&CK's techniques of insiders: what Sallyport does, what the company must do, what the record shows.", "standard days", func() any { return &standardsReport{} }},
	}
}

// separationReport is what breaks the rules of many eyes.
type separationReport struct {
	Rules      int                 `json:"rules"`
	Violations []program.Violation `json:"violations"`
}

// standardsReport are practices and techniques with what the record shows.
type standardsReport struct {
	Practices  []program.Status          `json:"practices"`
	Techniques []program.TechniqueStatus `json:"techniques"`
}

// clientReport is what a client reads of an outside firm: it names nobody and no customer.
type clientReport struct {
	Name     string                 `json:"name"`
	Client   string                 `json:"client"`
	From     time.Time              `json:"from"`
	Until    time.Time              `json:"until"`
	Contract time.Time              `json:"contract_until"`
	Over     bool                   `json:"over"`
	People   int                    `json:"people"`
	Seen     program.ClientExposure `json:"seen"`
	Record   string                 `json:"record"`
}

// privilegesReport is what is allowed beside what was used, and a smaller policy; nil: there is none to propose.
type privilegesReport struct {
	Privileges *program.Privileges `json:"privileges"`
	Proposal   *smallerPolicy      `json:"proposal"`
}

type smallerPolicy struct {
	Removes  float64   `json:"removes"` // share of what is allowed
	Accesses int       `json:"accesses"`
	People   int       `json:"people"`
	ReplayOf int       `json:"replay_days"`
	Replay   *replayed `json:"replay"`
	Cedar    string    `json:"cedar"`
	Diff     []struct {
		Staff   []sallyport.Staff `json:"staff"`
		Action  string            `json:"action"`
		Columns []string          `json:"columns"`
		Gains   []string          `json:"gains"`
		Loses   []string          `json:"loses"`
		Changed bool              `json:"changed"`
	} `json:"diff"`
}

// mostPeople are shown of a report; the command prints all.
const mostPeople = 100

// Shown are the people of whom the page tells, and More how many there are besides.
func (r *privilegesReport) Shown() []program.PersonUse {
	return r.Privileges.People[:min(len(r.Privileges.People), mostPeople)]
}

// More is how many people are not shown.
func (r *privilegesReport) More() int { return len(r.Privileges.People) - len(r.Shown()) }
