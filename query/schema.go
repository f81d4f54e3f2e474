package query

import (
	"strings"

	"sallyport"
)

// Schema is an immutable snapshot of what the database is. The catalogue builds it; analysis only reads it.
type Schema struct {
	Relations []*Relation
	// Functions, by unqualified lower-case name; absent or zero: harmless. Types whose checks are dangerous stand here under
	// their own name, operators as "operator ==>".
	Functions map[string]FunctionRisk
	// BuiltIn has what came with the server, under names of the same kinds. Statements that use anything else lean on it.
	BuiltIn map[string]struct{}
	// Spoken has the words of the texts of all functions of the database, in lower case: a function that takes one for its name
	// may be called by them in place of what they meant.
	Spoken map[string]struct{}

	// Masks says that some column is masked, OnlyMasks that none is protected besides.
	Masks, OnlyMasks bool

	byName map[string][]*Relation
	typed  map[sallyport.Scheme]bool // the schemes of protected columns that are named after the column's type
}

// Relation is a table, view, materialised view or partition.
type Relation struct {
	Schema, Name string
	View         bool
	Columns      []ColumnInfo // in attribute order, without dropped ones
	Smuggles     string       // not empty: writing here runs a trigger or rule that may write protected columns; a sentence says which
	Spills       string       // not empty: writing here runs something that reads masked columns, and might speak of them
	Ticket       bool         // its committed writes become facts
	Contact      bool         // likewise

	// Anchors are columns by whose values rows of other tables find their customer: whoever takes a row away and puts another one with its
	// key in its place makes those another customer's. Adrift are those of them, here or where rows are deleted with those here, of which nothing
	// in the database keeps the row while others hang on it.
	Anchors, Adrift []sallyport.Column
}

// ColumnInfo is one column of a relation.
type ColumnInfo struct {
	Name    string
	Protect *Protection
	Parted  *Protection // its protection was undone: nothing of it is protected, but what was read before may be written back
	Opaque  bool        // a view's output computed from protected columns, which cannot be traced
	Mask    *Mask
	Link    bool // rows find their customer through it
	Key     bool // the table's primary key is this column
	TypeOID uint32
	Length  int // varchar(n), else 0

	Customer  bool // holds the customer's key
	Generated bool // the database computes it: nobody writes it
}

// Protection is how a column is protected. For a view's column it is that of the base table.
type Protection struct {
	Column sallyport.Column
	Scheme sallyport.Scheme
	Group  string // columns of one scheme and group have equal tokens for equal values

	// Moving says that plain values stand beside tokens. Forms is how many forms of one value a search of this column has to match;
	// below 2: the token alone. List is the type of an array of them in SQL.
	Moving bool
	Closed bool // likewise, and nothing tells the two apart: searched in all forms, never compared with columns
	Unique bool // of which no two rows hold the same
	Forms  int
	List   string
	// Plain says that what is written is no token: protection is being undone.
	Plain bool
	// Whole says that equal values stand in one form at every moment, so that columns may be compared with each other though Forms is above 1.
	Whole bool

	// Bond is equal for columns that foreign keys hold equal, and empty for others: a value stands in all of them in one form, whichever.
	Bond string
}

// FunctionRisk says what a function could do behind the gateway's back: write protected columns, compare with them, or run dynamic SQL.
type FunctionRisk struct {
	Writes bool
	Why    string // a sentence; not empty where there is a risk
}

// NewSchema indexes relations and functions. Both MUST NOT be changed afterwards.
func NewSchema(relations []*Relation, functions map[string]FunctionRisk) *Schema {
	s := &Schema{Relations: relations, Functions: functions, byName: make(map[string][]*Relation, len(relations)), typed: map[sallyport.Scheme]bool{}}
	for _, r := range relations {
		s.byName[r.Name] = append(s.byName[r.Name], r)
		for i := range r.Columns {
			for _, p := range []*Protection{r.Columns[i].Protect, r.Columns[i].Parted} {
				if p != nil && typed(p.Scheme) {
					s.typed[p.Scheme] = true
				}
			}
		}
	}
	return s
}

// Find returns the relations that a name may mean. With an empty schema every relation of that name is returned, whatever
// the search_path says: protection must not depend on a setting that the gateway cannot follow. A schema that has no such
// relation is treated the same way where a protected relation has that name: it may have come into being just now.
func (s *Schema) Find(schema, name string) []*Relation {
	all := s.byName[name]
	if schema == "" {
		return all
	}
	for i, r := range all {
		if r.Schema == schema {
			return all[i : i+1]
		}
	}
	for _, r := range all {
		if r.closed() {
			return all
		}
	}
	return nil
}

// Protected tells whether any column is protected or computed from protected ones.
func (r *Relation) Protected() bool {
	for i := range r.Columns {
		if r.Columns[i].Protect != nil || r.Columns[i].Opaque {
			return true
		}
	}
	return false
}

func (r *Relation) has(column string) bool {
	for i := range r.Columns {
		if r.Columns[i].Name == column {
			return true
		}
	}
	return false
}

// guarded tells whether the relation matters to more than its own rows: it is protected, or leads to what is.
func (r *Relation) guarded() bool {
	if r.Smuggles != "" || r.Ticket || r.Contact || r.closed() || len(r.Anchors)+len(r.Adrift) > 0 {
		return true
	}
	for i := range r.Columns {
		if r.Columns[i].Link {
			return true
		}
	}
	return false
}

// holdsProtected tells whether a schema (a namespace of the database) holds a relation with protected or masked columns.
func (s *Schema) holdsProtected(schema string) bool {
	for _, r := range s.Relations {
		if r.Schema == schema && r.closed() {
			return true
		}
	}
	return false
}

// shadows tells whether a new relation of that name would hide one with protected or masked columns.
func (s *Schema) shadows(name string) bool {
	for _, r := range s.byName[name] {
		if r.closed() {
			return true
		}
	}
	return false
}

// risk returns what is dangerous about a function, by any part of its name.
func (s *Schema) risk(name string) (FunctionRisk, bool) {
	risk, ok := s.Functions[strings.ToLower(name)]
	return risk, ok && (risk.Writes || risk.Why != "")
}

// ours tells whether a function, type or operator may be one of the database's own.
func (s *Schema) ours(qualifier, name string) bool {
	name = strings.ToLower(name)
	_, builtIn := s.BuiltIn[name]
	_, own := s.Functions[name]
	return !builtIn || own || qualifier != "" && qualifier != "pg_catalog"
}

// integers tells whether a column is known to hold integers or floats.
func (s *Schema) integers(c sallyport.Column) bool {
	for _, r := range s.byName[c.Table] {
		if r.Schema != c.Schema {
			continue
		}
		for i := range r.Columns {
			if r.Columns[i].Name == c.Name {
				return integerType(r.Columns[i].TypeOID)
			}
		}
	}
	return false
}

// deterministic tells whether equal values of a scheme have equal tokens.
func deterministic(s sallyport.Scheme) bool {
	switch s {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		return true
	case sallyport.Name, sallyport.Text:
		return false
	}
	return false
}
