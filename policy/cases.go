package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"sallyport"
)

// Cases are tests of policies: who, what, why, and what is to come of it.
type Cases struct {
	Company *Company `yaml:"company"` // a made-up one, in place of the configured; absent: the configured
	Cases   []Case   `yaml:"cases"`   // one question each

	file  string
	lines []int // where each case begins
}

// Company is a small world to try policies on.
type Company struct {
	Staff    map[string]CaseMember  `yaml:"staff"`    // by id
	Services map[string]CaseService `yaml:"services"` // by id
	Columns  map[string]CaseColumn  `yaml:"columns"`  // by schema.table.column
}

// CaseMember is a person of a made-up company.
type CaseMember struct {
	Role       string `yaml:"role"`       // agent, lead, …
	Team       string `yaml:"team"`       // its name
	Employment string `yaml:"employment"` // employed, notice, leave, left; absent: employed
	Firm       string `yaml:"firm"`       // of outside; absent: none
}

// CaseService is a service of a made-up company.
type CaseService struct {
	Team    string   `yaml:"team"`    // its name
	Copies  []string `yaml:"copies"`  // columns that copy: names it for
	Attests []string `yaml:"attests"` // columns of tickets and contacts that its word counts for
}

// CaseColumn is a protected column of a made-up company.
type CaseColumn struct {
	Class  string `yaml:"class"`  // identity, contact, content, reference
	Scheme string `yaml:"scheme"` // email, name, …
}

// Case is one question and its answer.
type Case struct {
	Name   string       `yaml:"case"`   // what it shows, for who reads a failure
	Who    string       `yaml:"who"`    // id of a person or a service
	Do     string       `yaml:"do"`     // reveal, search, export, …; absent: reveal
	Column string       `yaml:"column"` // schema.table.column
	Why    *CaseFacts   `yaml:"why"`    // the purpose; absent: none
	Grant  *CaseGrant   `yaml:"grant"`  // absent: none
	With   *CaseContext `yaml:"with"`   // absent: trust 100, a fresh log-in by OIDC, in office hours
	Then   string       `yaml:"then"`   // reveal, token, mask, wait, deny
	By     string       `yaml:"by"`     // ids of the policies that decide, separated by commas; absent: whichever
}

// CaseFacts is a purpose. It is open and covers the customer unless it says otherwise.
type CaseFacts struct {
	Kind           string `yaml:"kind"`             // ticket, work, call, job
	Closed         bool   `yaml:"closed"`           // the ticket is closed, the call over
	Elsewhere      bool   `yaml:"elsewhere"`        // it covers somebody else
	State          string `yaml:"state"`            // as the source writes it
	Mine           bool   `yaml:"mine"`             // assigned to who asks
	Team           string `yaml:"team"`             // of whom it is assigned to
	Minutes        int64  `yaml:"minutes"`          // since it was opened
	OpenedBySelf   bool   `yaml:"opened_by_self"`   // by who asks
	AssignedBySelf bool   `yaml:"assigned_by_self"` // by who asks
	Contacted      bool   `yaml:"contacted"`        // the customer got in touch
	Looks          int64  `yaml:"looks"`            // at this customer in 24 hours
	Lookers        int64  `yaml:"lookers"`          // people who did
	OwnLooks       int64  `yaml:"own_looks"`        // those of who asks

	Assignee          string `yaml:"assignee"`            // id of the person whose it is
	OpenedBy          string `yaml:"opened_by"`           // id of the person who opened it
	AssignedBy        string `yaml:"assigned_by"`         // id of the person who assigned it, or approved the job
	OpenedByProgram   string `yaml:"opened_by_program"`   // a program that opened it
	AssignedByProgram string `yaml:"assigned_by_program"` // a program that assigned it
}

// CaseGrant is a grant for the column.
type CaseGrant struct {
	ID        string `yaml:"id"`        // its id
	Customers int64  `yaml:"customers"` // asked for
	Left      int64  `yaml:"left"`      // still unused
}

// CaseContext is what else is known.
type CaseContext struct {
	Trust     *int64 `yaml:"trust"`      // 0 to 100; absent: 100
	Strength  string `yaml:"strength"`   // of the log-in; absent: oidc
	MFA       *int64 `yaml:"mfa"`        // minutes since the last confirmation; -1: none; absent: 10
	Second    *int64 `yaml:"second"`     // minutes since a colleague agreed; -1, absent: nobody did
	Via       string `yaml:"via"`        // the application that speaks for the person
	Device    string `yaml:"device"`     // its id
	Address   string `yaml:"address"`    // an IP address
	Hour      *int64 `yaml:"hour"`       // 0 to 23; absent: 10
	Weekday   int64  `yaml:"weekday"`    // 1 Monday to 7; absent: 2
	OffShift  bool   `yaml:"off_shift"`  // it is not his working time
	SeenHour  int64  `yaml:"seen_hour"`  // distinct customers revealed to him
	SeenDay   int64  `yaml:"seen_day"`   // distinct customers revealed to him
	SeenMonth int64  `yaml:"seen_month"` // distinct customers revealed to him
	Used      int64  `yaml:"used"`       // percent of his own budget
	Shared    int64  `yaml:"shared"`     // percent of the fullest budget that he shares
	Ended     string `yaml:"ended"`      // what ended his access: review, contract; absent: it goes on
	Named     bool   `yaml:"named"`      // the configuration names him: in a rule of grants, or under replication
	Overdue   int64  `yaml:"overdue"`    // days that he is behind with training
}

// ReadCases reads a file of cases.
func ReadCases(t Text) (*Cases, error) {
	c := &Cases{file: t.Name}
	file, err := parser.ParseBytes([]byte(t.Content), 0)
	if err == nil {
		err = yaml.NodeToValue(file.Docs[0].Body, c, yaml.Strict())
	}
	if err != nil {
		return nil, fmt.Errorf("read the cases of %s: %w", t.Name, err)
	}
	ast.Walk(places(func(n ast.Node) {
		if seq, ok := n.(*ast.SequenceNode); ok && n.GetPath() == "$.cases" {
			for _, v := range seq.Values {
				c.lines = append(c.lines, v.GetToken().Position.Line)
			}
		}
	}), file.Docs[0].Body)
	return c, nil
}

// places walks every node.
type places func(ast.Node)

// Visit is ast.Visitor's.
func (p places) Visit(n ast.Node) ast.Visitor {
	p(n)
	return p
}

// World is the made-up company of the cases, and who may copy there; nil where there is none.
func (c *Cases) World() (*World, Copiers) {
	if c.Company == nil {
		return nil, Copiers{}
	}
	w, copiers := &World{Roles: Roles()}, Copiers{Configured: map[string][]sallyport.Staff{}, Attesters: map[string][]sallyport.Staff{}}
	team := func(name string) {
		if name != "" && !slices.Contains(w.Teams, name) {
			w.Teams = append(w.Teams, name)
		}
	}
	for id, p := range c.Company.Staff {
		w.Staff = append(w.Staff, Member{ID: sallyport.Staff(id), Team: p.Team, Role: p.Role, Employment: p.Employment, Firm: p.Firm})
		team(p.Team)
	}
	for id, s := range c.Company.Services {
		w.Services = append(w.Services, Service{ID: sallyport.Staff(id), Team: s.Team})
		team(s.Team)
		for _, column := range s.Copies {
			copiers.Configured[column] = append(copiers.Configured[column], sallyport.Staff(id))
		}
		for _, column := range s.Attests {
			copiers.Attesters[column] = append(copiers.Attesters[column], sallyport.Staff(id))
		}
	}
	for name, column := range c.Company.Columns {
		if at, ok := ParseColumn(name); ok {
			w.Columns = append(w.Columns, Column{Column: at, Class: sallyport.Class(column.Class), Scheme: sallyport.Scheme(column.Scheme)})
		}
	}
	return w, copiers
}

// Roles are those that the program itself knows.
func Roles() []string { return []string{"agent", "lead", "engineer", "dba", "security"} }

// ParseColumn reads schema.table.column.
func ParseColumn(name string) (sallyport.Column, bool) {
	parts := strings.Split(name, ".")
	if len(parts) != 3 || slices.Contains(parts, "") {
		return sallyport.Column{}, false
	}
	return sallyport.Column{Schema: parts[0], Table: parts[1], Name: parts[2]}, true
}

// Outcome is what came of one case.
type Outcome struct {
	Case    *Case
	Ask     Ask
	Ruling  Ruling
	Passed  bool
	Place   string // FILE:LINE
	Trouble string // why the case could not be asked at all
}

// Run asks every case.
func (c *Cases) Run(s *Set) []Outcome {
	out := make([]Outcome, len(c.Cases))
	for i := range c.Cases {
		this := &c.Cases[i]
		o := Outcome{Case: this, Place: c.file}
		if i < len(c.lines) {
			o.Place = fmt.Sprintf("%s:%d", c.file, c.lines[i])
		}
		ask, err := this.ask(s.world)
		if err != nil {
			o.Trouble = err.Error()
		} else {
			o.Ask, o.Ruling = ask, s.Decide(ask)
			o.Passed = o.Ruling.Verdict.String() == this.Then && (this.By == "" || this.By == o.Ruling.Policy())
		}
		out[i] = o
	}
	return out
}

// ask is the question of a case.
func (c *Case) ask(w *World) (Ask, error) {
	a := Ask{Who: sallyport.Staff(c.Who), Action: c.Do, Context: usual()}
	if a.Action == "" {
		a.Action = ActionReveal
	}
	a.Service = slices.ContainsFunc(w.Services, func(s Service) bool { return s.ID == a.Who })
	if !slices.Contains(Actions(), a.Action) {
		return a, fmt.Errorf("there is no action %q: use one of %s", a.Action, strings.Join(Actions(), ", "))
	}
	if c.Then == "" {
		return a, fmt.Errorf("the case does not say what is to come of it: write then: reveal, token, mask, wait or deny")
	}
	column, ok := ParseColumn(c.Column)
	known := func(k Column) bool { return k.Column == column }
	if schema, table, two := strings.Cut(c.Column, "."); !ok && two && (a.Action == ActionQuery || a.Action == ActionReplicate) { // they are about tables
		column, ok = sallyport.Column{Schema: schema, Table: table}, true
		known = func(k Column) bool { return tableOf(k.Column) == c.Column }
	}
	if !ok && c.Column != "" || ok && !slices.ContainsFunc(w.Columns, known) {
		return a, fmt.Errorf("there is no column %q", c.Column)
	}
	a.Column = column
	if f := c.Why; f != nil {
		a.Context.Purpose = &sallyport.Reason{
			Kind: f.Kind, Covers: !f.Elsewhere, Open: !f.Closed, State: f.State, Mine: f.Mine, Team: f.Team, Minutes: f.Minutes, OpenedBySelf: f.OpenedBySelf,
			AssignedBySelf: f.AssignedBySelf, Contacted: f.Contacted, Looks: f.Looks, Lookers: f.Lookers, OwnLooks: f.OwnLooks,
			Assignee: sallyport.Staff(f.Assignee), OpenedBy: sallyport.Staff(f.OpenedBy), OpenedByProgram: f.OpenedByProgram,
			AssignedBy: sallyport.Staff(f.AssignedBy), AssignedByProgram: f.AssignedByProgram,
		}
	}
	if g := c.Grant; g != nil {
		a.Context.Grant = &Granted{ID: g.ID, Customers: g.Customers, Left: g.Left}
	}
	if c.With == nil {
		return a, nil
	}
	return a, c.With.onto(&a.Context)
}

// usual is an ordinary moment: trusted, freshly logged in, at work.
func usual() Context {
	return Context{Strength: ByOIDC, MFAMinutes: 10, SecondMinutes: -1, Trust: 100, Hour: 10, Weekday: 2, OnShift: true}
}

// onto changes what a case says to be otherwise.
func (w *CaseContext) onto(c *Context) error {
	set := func(to *int64, from *int64) {
		if from != nil {
			*to = *from
		}
	}
	set(&c.Trust, w.Trust)
	set(&c.MFAMinutes, w.MFA)
	set(&c.SecondMinutes, w.Second)
	set(&c.Hour, w.Hour)
	if w.Strength != "" {
		c.Strength = Strength(w.Strength)
	}
	if w.Weekday != 0 {
		c.Weekday = w.Weekday
	}
	c.Via, c.Device, c.OnShift = sallyport.Staff(w.Via), w.Device, !w.OffShift
	c.SeenHour, c.SeenDay, c.SeenMonth = w.SeenHour, w.SeenDay, w.SeenMonth
	c.BudgetUsed, c.SharedUsed, c.Named, c.TrainingOverdue = w.Used, w.Shared, w.Named, w.Overdue
	if c.Ended = Ended(w.Ended); c.Ended != "" && c.Ended != ByReview && c.Ended != ByContract {
		return fmt.Errorf("access is not ended by %q; expected review or contract", w.Ended)
	}
	if w.Address == "" {
		return nil
	}
	address, err := netip.ParseAddr(w.Address)
	if err != nil {
		return fmt.Errorf("%q is no IP address", w.Address)
	}
	c.Address = address
	return nil
}

// Actions are those that policies decide about.
func Actions() []string {
	return []string{ActionQuery, ActionReveal, ActionSearch, ActionExport, ActionWrite, ActionCopy, ActionApprove, ActionInvestigate, ActionAdminister, ActionReplicate}
}
