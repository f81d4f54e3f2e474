package program

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport"
)

// Known is what a company says of one of its assets.
type Known struct {
	Owner       string `yaml:"owner"`        // id of the person who answers for it
	Criticality string `yaml:"criticality"`  // high, medium or low
	Where       string `yaml:"where"`        // of what is beyond this database: where it stands
	CopyOf      string `yaml:"copy_of"`      // likewise: the asset whose data it has
	ProtectedBy string `yaml:"protected_by"` // likewise: another serve that stands before it; empty: nothing does
}

// Criticalities are the grades, highest first.
func Criticalities() []string { return []string{"high", "medium", "low"} }

// The kinds of protection.
const (
	ProtectedAsset = "protected"
	MaskedAsset    = "masked"
	MovingAsset    = "moving"
	ElsewhereAsset = "elsewhere" // another serve stands before it, says the configuration
	NoProtection   = "none"
)

// Asset is something that holds personal data, or may.
type Asset struct {
	Name        string     `json:"name"`
	Kind        string     `json:"kind"` // database, table
	Where       string     `json:"where,omitempty"`
	Protection  string     `json:"protection"`
	Columns     []string   `json:"columns"` // protected or masked
	Classes     []string   `json:"classes"`
	Owner       string     `json:"owner"`
	Criticality string     `json:"criticality"`
	Copies      []Copy     `json:"copies"`
	Reach       []Reach    `json:"reach"`
	Reviewed    *Reviewing `json:"reviewed,omitempty"`
	Lacks       []string   `json:"lacks"` // what is missing, in words
}

// Copy is somewhere else that data of an asset are.
type Copy struct {
	What   string          `json:"what"` // replica, copy, grant, export, database
	Where  string          `json:"where"`
	Who    sallyport.Staff `json:"who,omitempty"`
	Plain  bool            `json:"plain"` // values can be read there
	Times  int             `json:"times,omitempty"`
	Last   time.Time       `json:"last,omitzero"`
	Until  time.Time       `json:"until,omitzero"`
	Stream string          `json:"stream,omitempty"`
	Entry  uint64          `json:"entry,omitempty"`
}

// Reach is how many of a team and role may read something of it in plain.
type Reach struct {
	Team   string `json:"team"`
	Role   string `json:"role"`
	People int    `json:"people"`
	Firms  int    `json:"firms"` // of them, of outside firms
}

// Reviewing is the last review of access that spoke of it.
type Reviewing struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// Copying folds the access stream into where copies went.
type Copying struct {
	From, Until time.Time
	tables      map[string]map[string]*Copy // table, empty: the whole database → key
	open        map[copyKey][]*Copy         // copies whose values may still come
}

type copyKey struct {
	session string
	id      uint64
}

// NewCopying counts between two moments.
func NewCopying(from, until time.Time) *Copying {
	return &Copying{from, until, map[string]map[string]*Copy{}, map[copyKey][]*Copy{}}
}

// Access takes an entry of the access stream.
func (c *Copying) Access(e *sallyport.Event) {
	if e.Time.Before(c.From) || !e.Time.Before(c.Until) {
		return
	}
	switch {
	case e.Kind == sallyport.ReplicationStart:
		c.note("", "replica", cmp.Or(e.Who.Application, e.Who.Login)+" at "+cmp.Or(e.Who.Address, "an unknown address"), e)
	case e.Kind == sallyport.StatementKind && e.Statement != nil && e.Statement.Verb == "COPY" && !e.Statement.Writes && e.Statement.Refused == "":
		key := copyKey{e.Who.Session, e.Statement.ID}
		for _, table := range e.Statement.Tables {
			c.open[key] = append(c.open[key], c.note(table, "copy", cmp.Or(e.Who.Application, "a client"), e))
		}
	case e.Reveal != nil:
		for _, at := range c.open[copyKey{e.Who.Session, e.Reveal.Statement}] {
			at.Plain = true
		}
	case e.Kind == sallyport.ResultKind && e.Statement != nil:
		delete(c.open, copyKey{e.Who.Session, e.Statement.ID})
	}
}

func (c *Copying) note(table, what, where string, e *sallyport.Event) *Copy {
	if c.tables[table] == nil {
		c.tables[table] = map[string]*Copy{}
	}
	key := what + "\n" + where + "\n" + string(e.Who.Staff)
	x := c.tables[table][key]
	if x == nil {
		x = &Copy{What: what, Where: where, Who: e.Who.Staff, Stream: "access"}
		c.tables[table][key] = x
	}
	x.Times++
	x.Last, x.Entry = e.Time, e.Seq
	return x
}

// Of are the copies of a table; of the empty name those of the whole database.
func (c *Copying) Of(table string) (out []Copy) {
	for _, key := range slices.Sorted(maps.Keys(c.tables[table])) {
		out = append(out, *c.tables[table][key])
	}
	return out
}

// LastReview is the last decision about anybody's access that named a column below a table.
func LastReview(reviews []Review, table string) (out *Reviewing) {
	for i := range reviews {
		r := &reviews[i]
		named := slices.ContainsFunc(r.Items, func(item string) bool { return strings.HasPrefix(item, table+".") })
		if named && !r.Decided.IsZero() && (out == nil || r.Decided.After(out.At)) {
			out = &Reviewing{r.Name, r.Decided}
		}
	}
	return out
}

// reviewedWithin is how old a review may be: access is reviewed twice a year.
const reviewedWithin = 190 * 24 * time.Hour

// Complete sorts what stands in an asset, and says what it lacks.
func (a *Asset) Complete(now time.Time) {
	a.Lacks = []string{}
	lacks := func(missing bool, what string) {
		if missing {
			a.Lacks = append(a.Lacks, what)
		}
	}
	lacks(a.Protection == NoProtection, "nothing protects it")
	lacks(a.Owner == "", "nobody answers for it")
	lacks(a.Criticality == "", "nobody said how critical it is")
	if a.Kind == "table" {
		lacks(a.Reviewed == nil, "nobody has reviewed who reads it")
		lacks(a.Reviewed != nil && now.Sub(a.Reviewed.At) > reviewedWithin, "its last review is older than half a year")
	}
	slices.Sort(a.Columns)
	slices.Sort(a.Classes)
	a.Classes = slices.Compact(a.Classes)
	for _, list := range []*[]string{&a.Columns, &a.Classes} {
		if *list == nil {
			*list = []string{}
		}
	}
	if a.Copies == nil {
		a.Copies = []Copy{}
	}
	if a.Reach == nil {
		a.Reach = []Reach{}
	}
}

// SortAssets puts what nothing protects first, then the most critical.
func SortAssets(list []Asset) {
	grade := func(a *Asset) int {
		if i := slices.Index(Criticalities(), a.Criticality); i >= 0 {
			return i
		}
		return 0 // unknown is as if it were high
	}
	bare := func(a *Asset) int {
		if a.Protection == NoProtection {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b Asset) int {
		return cmp.Or(bare(&a)-bare(&b), grade(&a)-grade(&b), cmp.Compare(a.Name, b.Name))
	})
}
