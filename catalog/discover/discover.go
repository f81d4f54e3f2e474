// Package discover proposes what is personal in a database: which columns, of what kind and under which scheme, how their rows
// find their customer, where tickets and calls stand, and whose log-ins there are.
//
// Read does the reading, Propose the thinking: it is a pure function of what was read. Read refuses to change anything (read-only
// transactions, bounded in rows and time). Propose refuses to be silent about doubt: what it is not sure of is a proposal of lower
// confidence, with its evidence.
// Invariant: no value leaves this package. Evidence is counts; the only letters of a value that a proposal holds are the prefix that
// many reference numbers share, which a configuration needs.
package discover

import (
	"cmp"
	"slices"
	"strings"

	"sallyport"
)

// Database is what was read: schema, statistics and samples.
type Database struct {
	Name   string
	Tables []Table
	Logins []Login
	Year   int      // now, for what may be a date of birth
	Notes  []string // what was left out
}

// Table is one table, or the root of a partitioned one.
type Table struct {
	Schema, Name string
	Rows         float64 // estimated by the server; below 0: it never counted
	Key          []string
	Columns      []Column
	Foreign      []Foreign // single-column ones
	Sampled      int       // rows that were looked at
	Note         string    // why there is no sample, empty where there is one
	pages        int64     // estimated as Rows; 0: not known
}

// String is schema.table.
func (t *Table) String() string { return t.Schema + "." + t.Name }

// Column is one column with what the server and the sample say about it.
type Column struct {
	Name      string
	Type      string // as SQL writes it, without a length
	Width     int    // characters that fit, 0: any number
	NotNull   bool
	Generated bool
	Unique    bool
	Keyed     bool     // part of the primary key or of a foreign key, or referred to by one
	Choices   []string // what an enum type or a check constraint allows: the schema's words, not a row's
	Distinct  float64  // of pg_stats: a number of values, or below 0 minus their share of the rows; 0: not known
	Values    []string // of the sampled rows, without nulls and empty ones; cut at maxValue characters
}

// Foreign is a foreign key over one column.
type Foreign struct{ Column, Table, References string }

// Login is a role that can log in.
type Login struct {
	Name                   string
	Superuser, Replication bool
	Groups                 []string // roles that it is a member of, itself or through others
}

// Confidence is how sure a proposal is.
type Confidence int

// The confidences. A configuration protects what is High; the rest stands in it as comments.
const (
	Low Confidence = iota + 1
	Medium
	High
)

// String is the word for people.
func (c Confidence) String() string {
	switch c {
	case Low:
		return "low"
	case Medium:
		return "medium"
	case High:
		return "high"
	}
	return "none"
}

// MarshalText is String.
func (c Confidence) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Kind is what a column holds.
type Kind string

// The kinds of personal data that are told apart.
const (
	KindEmail     Kind = "e-mail address"
	KindPhone     Kind = "telephone number"
	KindName      Kind = "name of a person"
	KindBirth     Kind = "date of birth"
	KindAddress   Kind = "postal address"
	KindPlace     Kind = "place or postcode"
	KindIBAN      Kind = "bank account (IBAN)"
	KindCard      Kind = "payment card"
	KindIdentity  Kind = "identity document or insurance number"
	KindReference Kind = "ticket or reference number"
	KindText      Kind = "free text"
	KindHandle    Kind = "user name or profile"
	KindAddressIP Kind = "network address"
)

// Candidate is one column that holds, or may hold, personal data.
type Candidate struct {
	Column     sallyport.Column
	Kind       Kind
	Class      sallyport.Class
	Scheme     sallyport.Scheme
	Group      string
	Prefixes   map[string]string
	Region     string // whose telephone numbers are written without a country code
	Vault      bool   // a few values have no token of the scheme: new ones like them are to be kept sealed
	Confidence Confidence
	Evidence   []string // counts and names of columns, never values
	Obstacles  []string // what must be done before it can be protected; with one of them it is no line of the configuration
	Warnings   []string // what will be noticed once it is protected
}

// Proposed tells whether the candidate is a line of the configuration rather than a comment.
func (c *Candidate) Proposed() bool { return c.Confidence == High && len(c.Obstacles) == 0 }

// Proposal is what Propose found.
type Proposal struct {
	Customer  string // schema.table; empty where none was recognised
	Key       string
	Columns   []Candidate // by table and place in it
	Paths     []Path
	Ticket    *Ticket
	Contact   *Contact
	Roles     []Role
	Notes     []string // what was not looked at, and why
	Looked    int      // columns that were looked at
	SampledIn int      // tables with a sample
}

// Settings change what Propose does.
type Settings struct {
	Customer string // schema.table that the user says is the customers'; empty: the one that looks most like it
}

// Propose says what is personal.
func Propose(db *Database, s Settings) (*Proposal, error) {
	p := &proposer{db: db, forms: newForms(), proposal: &Proposal{}}
	p.lookAtColumns()
	if err := p.findCustomer(s.Customer); err != nil {
		return nil, err
	}
	p.findPaths()
	p.doubtOthers()
	p.lookAtTexts() // quoted values count where rows belong to a customer
	if err := p.fit(); err != nil {
		return nil, err
	}
	p.findReasons()
	p.findRoles()
	p.order()
	return p.proposal, nil
}

// proposer gathers a proposal.
type proposer struct {
	db       *Database
	forms    *forms
	home     string // the country that the database is about; empty where nothing says
	region   string // whose national telephone numbers most columns hold
	proposal *Proposal
	tables   []*judged
	customer *judged
}

// judged is a table with what its columns look like.
type judged struct {
	*Table
	columns []*judgedColumn
	staff   bool  // its name or columns say that it is about staff, suppliers or the like
	path    *Path // to the customer; nil for the customer table itself, and where there is none
	reaches bool  // its rows belong to customers
}

// belongs tells whether rows of the table belong to customers, as far as anybody can tell.
func (t *judged) belongs() bool { return t.reaches || t.path != nil }

type judgedColumn struct {
	*Column
	table   *judged
	tally   tally
	words   []string // of its name
	verdict *Candidate
}

func (t *judged) column(name string) *judgedColumn {
	for _, c := range t.columns {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func (p *proposer) table(name string) *judged {
	for _, t := range p.tables {
		if t.String() == name {
			return t
		}
	}
	return nil
}

// lookAtColumns judges each column by its name and its values.
func (p *proposer) lookAtColumns() {
	p.proposal.Notes = append(p.proposal.Notes, p.db.Notes...)
	for i := range p.db.Tables {
		t := &judged{Table: &p.db.Tables[i]}
		t.staff = aboutOthers(t)
		for j := range t.Table.Columns {
			c := &judgedColumn{Column: &t.Table.Columns[j], table: t}
			c.words, c.tally = wordsOf(c.Name), p.tallyOf(c.Column)
			c.tally.heed(c.Distinct, t.Rows)
			t.columns = append(t.columns, c)
			p.proposal.Looked++
		}
		if t.Sampled > 0 {
			p.proposal.SampledIn++
		}
		if t.Note != "" {
			p.proposal.Notes = append(p.proposal.Notes, t.String()+": "+t.Note)
		}
		p.tables = append(p.tables, t)
	}
	p.settleRegion()
	for _, t := range p.tables {
		for _, c := range t.columns {
			c.verdict = p.judge(c)
		}
	}
}

// settleRegion finds the country whose telephone numbers are written without its code: that of most columns called after telephones.
func (p *proposer) settleRegion() {
	hits := map[string]int{}
	for _, t := range p.tables {
		for _, c := range t.columns {
			if phoneWords().hint(c.words) == strongHint {
				for region, n := range c.tally.phone.hits {
					hits[region] += n
				}
			}
		}
	}
	p.findHome()
	p.region = p.home
	if p.home == "" {
		p.region = bestRegion(hits)
	}
	for _, t := range p.tables {
		for _, c := range t.columns {
			c.tally.phone.settle(p.region)
		}
	}
}

// order puts the candidates in the order of tables, the customer's first, and columns.
func (p *proposer) order() {
	for _, t := range p.tables {
		for _, c := range t.columns {
			if c.verdict != nil {
				p.proposal.Columns = append(p.proposal.Columns, *c.verdict)
			}
		}
	}
	rank := func(c Candidate) int {
		switch table := c.Column.Schema + "." + c.Column.Table; {
		case table == p.proposal.Customer:
			return 0
		case slices.ContainsFunc(p.proposal.Paths, func(path Path) bool { return path.Table == table }):
			return 1
		}
		return 2
	}
	slices.SortStableFunc(p.proposal.Columns, func(a, b Candidate) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a.Column.Schema+"."+a.Column.Table, b.Column.Schema+"."+b.Column.Table))
	})
}
