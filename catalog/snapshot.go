package catalog

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/query"
)

// Snapshot is one immutable state of the database's description.
type Snapshot struct {
	Schema *query.Schema
	Open   *query.Schema // as if nothing were masked, for those who see it; the same where nothing is

	// Drift says what changed in the database since the configuration was last right: a protected column that was renamed or is
	// gone, a view that the reader may not describe. Nothing in it opens anything.
	Drift []Problem

	version    string
	relations  map[uint32]*relation
	tables     map[string]*relation // by the name that the configuration uses
	numbers    map[string]attribute // of keys and links, likewise
	protected  []*Protected
	masked     []*Masked
	moving     bool // any of protected is, or is hidden
	holdsPlain bool // plain values of any stand in the database
	plain      bool // a configured column is plain still, or again
	parted     []*Protected
	sources    []source
}

// Protected is one protected column of the configuration.
type Protected struct {
	Column       sallyport.Column
	Class        sallyport.Class
	Scheme       sallyport.Scheme
	Group        string
	Prefixes     map[string]string
	NextPrefixes map[string]string
	Region       string
	Shred        string // "customer": each value has a key of its own
	Overflow     bool   // values that the scheme has no token for stand in the vault
	TypeOID      uint32 // as results announce it: the base type of a domain
	Moving       bool   // plain values stand in it beside tokens, or it is to be treated so: Hidden
	Hidden       bool   // its tokens are of two key epochs, and nothing in one tells of which it is
	Leaving      bool   // what is written into it is plain: its protection is being undone, or it is entering
	Rotating     bool   // its tokens are of two key epochs
	Whole        bool   // and equal values of its join group have equal ones at every moment
	Unique       bool   // a unique index holds it

	// Bound are the columns that foreign keys hold equal to this one, with itself among them, by name. Empty: there are none.
	Bound []*Protected

	alone bool    // one holds it alone: no value stands in it twice
	list  string  // the type of an array of them, as SQL writes it
	veil  *Masked // what hides its plain values, while it is moving

	stands Stands // of an integer or a uuid on its way
}

// Key is what tells a stored token of the column from all else that a result may hold, as text: the token itself where it has a form,
// else with its scheme and group in front, so that an equal number elsewhere is another thing.
func (p *Protected) Key(stored string) string { return Key(p.Scheme, p.Group, stored) }

// Key is Protected.Key of any column of a scheme and group.
func Key(scheme sallyport.Scheme, group, stored string) string {
	if Formless(scheme) {
		return string(scheme) + "\x00" + group + "\x00" + stored
	}
	return stored
}

// Formless tells whether tokens of the column look like any other value of its type: they mean something only where they are traced.
func (p *Protected) Formless() bool { return Formless(p.Scheme) }

// Formless is Protected.Formless of any column of a scheme.
func Formless(s sallyport.Scheme) bool {
	switch s {
	case sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return true
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
		return false
	}
	return true
}

// Origin is what one column of a result means.
type Origin struct {
	Protected   *Protected // nil: known, and not protected
	Parted      *Protected // its protection was undone
	Opaque      bool       // made from protected columns in a way that cannot be traced: tokens are found by their form
	CustomerKey bool       // holds the customer's key
	Masked      *Masked    // nil: not masked; a column that is moving is, by a mask of its own
	Veiled      bool       // made from masked columns in a way that cannot be traced
}

// Trace answers what a RowDescription's table and attribute mean; ok is false for what the catalogue does not know, where tokens
// are found by their form. Attribute 0 is the whole row.
func (s *Snapshot) Trace(oid uint32, attno uint16) (Origin, bool) {
	r := s.relations[oid]
	if r == nil {
		return Origin{}, false
	}
	if int(attno) < len(r.origins) {
		return r.origins[attno], true
	}
	// System columns (ctid, xmin, tableoid) have negative numbers; a positive one that we do not know is newer than we are.
	return Origin{}, int16(attno) < 0 //nolint:gosec // the wire's Int16, read as unsigned
}

// Columns are the protected columns, by name.
func (s *Snapshot) Columns() []*Protected { return s.protected }

// Masked are the masked columns, by name. None of them is protected.
func (s *Snapshot) Masked() []*Masked { return s.masked }

// Version is equal for equal states of the database.
func (s *Snapshot) Version() string { return s.version }

// Relation is what others may know of a table: enough to write SQL about it.
type Relation struct {
	OID     uint32
	SQL     string // quoted and schema-qualified
	Columns map[string]RelationColumn
}

// RelationColumn is one column of a Relation.
type RelationColumn struct {
	SQL       string     // quoted
	Type      string     // as SQL writes it, without a length
	Protected *Protected // nil: not protected
}

// Table finds a table or view by the name schema.table that the configuration uses.
func (s *Snapshot) Table(name string) (Relation, bool) {
	r := s.tables[name]
	if r == nil {
		return Relation{}, false
	}
	known := Relation{OID: r.OID, SQL: r.sql(), Columns: make(map[string]RelationColumn, len(r.columns))}
	for _, c := range r.columns {
		known.Columns[c.Name] = RelationColumn{SQL: quote(c.Name), Type: c.TypeName, Protected: r.origins[c.Number].Protected}
	}
	return known, true
}

// attribute names a column for as long as it exists.
type attribute struct {
	relation uint32
	number   int16
}

// relation is one table or view with what its columns mean.
type relation struct {
	rawRelation
	columns  []rawColumn
	origins  []Origin // by attribute number; 0 is the whole row
	links    map[int16]bool
	opaque   map[int16]bool // generated from protected columns
	parents  []*relation
	children []*relation
	uses     []rawUse // of a view
	hot      bool     // has protected columns, or is a view that has to do with one
	traced   bool
	veiled   bool // the same of masked columns
	smuggles string
	spills   string
	ticket   bool
	contact  bool
	anchors  []sallyport.Column // see anchor.go
	adrift   []sallyport.Column
}

func (r *relation) table() Table { return Table{r.Schema, r.Name} }

func (r *relation) sql() string { return quote(r.Schema, r.Name) }

func (r *relation) isView() bool { return r.Kind == "v" || r.Kind == "m" }

func (r *relation) column(name string) *rawColumn {
	for i := range r.columns {
		if r.columns[i].Name == name {
			return &r.columns[i]
		}
	}
	return nil
}

func (r *relation) numbered(n int16) *rawColumn {
	for i := range r.columns {
		if r.columns[i].Number == n {
			return &r.columns[i]
		}
	}
	return nil
}

// protects tells whether a column of the relation itself is protected.
func (r *relation) protects() bool {
	for _, o := range r.origins {
		if o.Protected != nil {
			return true
		}
	}
	return false
}

func quote(name ...string) string { return pgx.Identifier(name).Sanitize() }

// typeFits tells whether a token of the scheme fits into columns of the base type.
func typeFits(scheme sallyport.Scheme, base uint32, name string) bool {
	const text, bpchar, varchar = 25, 1042, 1043 // pg_type.dat
	switch scheme {
	case sallyport.Date:
		return base == 1082
	case sallyport.Timestamp:
		return base == 1114
	case sallyport.Timestamptz:
		return base == 1184
	case sallyport.Int4:
		return base == 23
	case sallyport.Int8:
		return base == 20
	case sallyport.UUID:
		return base == 2950
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Name, sallyport.Text:
		return base == text || base == bpchar || base == varchar || strings.EqualFold(name, "citext")
	}
	return false
}
