package query

import "sallyport"

// Plan is what was found about one text of SQL. It is immutable and shared by sessions.
type Plan struct {
	Text       string // without the last comment, where that spoke to Sallyport
	Statements []Statement
	Edits      []Edit // only where Text holds no statement at all: its comments that must not reach the server
}

// Statement is one statement of a Plan. All offsets count bytes of Plan.Text.
type Statement struct {
	Start, End  int    // without the separating semicolon; white space and comments around the statement are inside
	Verb        string // SELECT, INSERT, CREATE VIEW …; EXPLAIN, PREPARE and DECLARE stand for what they hold
	Fingerprint string // hash of the shape: equal for statements that differ only in literals and in lengths of literal lists

	Shape string // the text that it is the hash of, of statements that work on data: no literal stands in it

	Mentions []string // tables and views by schema.table, as far as the catalogue knows them; sorted

	Touches bool               // a relation with protected columns is mentioned, or (FETCH) may be
	Columns []sallyport.Column // protected columns read, written or compared, also through *, whole rows and views; sorted
	Tables  []sallyport.Column // tables with protected columns that it mentions, also through views, without a Name; sorted
	Masks   bool               // a relation with masked columns is mentioned, or what it sets off may speak of one
	Veiled  []bool             // for each column of the result: something of masked columns may stand in it. nil while Masks: in any
	Explain bool               // the result is a plan
	Fetch   bool               // the result is a cursor's
	Cursor  string             // that it declares or fetches from
	Keeps   bool               // the result becomes a relation
	Parted  bool               // it writes values into columns whose protection was undone
	Writes  bool               // the database may be another one afterwards
	DDL     bool               // the catalogue may be another one afterwards
	Leans   bool               // what it is taken for hangs on objects of the database that may just have changed: protected ones, views, new ones, functions of its own
	Lookup  bool               // it reads columns of one protected table by its whole-numbered key and does nothing else
	ByKey   bool               // likewise, and what is masked may be among them
	Copies  []sallyport.Column // what is made another customer's: Link columns that an existing row's is changed, protected ones that get other rows' tokens; sorted

	Powers []sallyport.Power // it takes; those of a body that is prepared too
	Alone  bool              // MUST be forwarded only outside of a transaction and by itself: else its session would see what nobody else does
	exact  bool              // what was found hangs on a literal

	Refusal *Refusal // MUST NOT be forwarded
	Edits   []Edit   // sorted, not overlapping; one behind the last semicolon belongs to the last statement
	Params  []Param  // uses of $n that must be tokenised, by number
	Highest int      // number of a parameter in the text; further forms of parameters are numbered behind it

	Comment    *string        // the value of a trailing /*sallyport.purpose='…'*/; Plan.Text is without that comment, or its removal is one of Edits
	Actor      *string        // the assertion that says for whom the statement is, by the text's last comment or SET LOCAL sallyport.actor
	SetsActor  bool           // it is SET LOCAL sallyport.actor: it holds from here on
	Purpose    *PurposeChange // SET, RESET or DISCARD of sallyport.purpose
	Tx         *TxChange
	Copy       *Copy
	Prepare    *Prepare
	Execute    *Execute // also of EXPLAIN EXECUTE and CREATE TABLE AS EXECUTE
	Deallocate *Deallocate
	Capture    *Capture
}

// Edit replaces [Start, End) of the text: by Text, or, where Slot is set, by the quoted token of the Slot.
type Edit struct {
	Start, End int
	Text       string
	Slot       *Slot
	Param      int   // a parameter in all its forms, where Wide is set and Slot is not
	Wide       *Wide // nil: the token alone
}

// Wide says how all forms of a value are written in its place: Open, each form between Before and After with commas between them,
// Close. As an Array they are one literal.
type Wide struct {
	Open, Close, Before, After string
	Array                      bool
}

// Use says what a value is wanted for.
type Use uint8

// The uses. For deterministic schemes both need the same token.
const (
	Store Use = iota // it is written
	Match            // it is compared with what is stored
)

// String is the use's name in tests and documents.
func (u Use) String() string {
	switch u {
	case Store:
		return "store"
	case Match:
		return "match"
	}
	return "unknown use"
}

// Slot is a value of a statement that must be tokenised.
type Slot struct {
	Column  sallyport.Column
	Scheme  sallyport.Scheme
	Group   string
	Use     Use
	Value   string  // the decoded literal; empty for a parameter
	Row     *RowKey // of Store: the row that the value goes to, where the statement pins it by its key
	Number  bool    // the literal is written as a number
	Array   bool    // an array's text form, '{a,b}', or an array parameter: every element is tokenised
	Forms   int     // of the value that are wanted, the token first; below 2: the token alone
	Plain   bool    // of Store: it stays plain, as long as the column leaves; a statement that was prepared before means something else
	Parted  bool    // of Store, into a column whose protection was undone: it stays as it is written, unless it is what was shown in a value's place
	Purpose bool    // the value of SET sallyport.purpose: ticket numbers in it become tokens; Column is empty
	Actor   bool    // the assertion of SET LOCAL sallyport.actor: the person's id stands in its place; Column is empty
}

// RowKey pins one row of a table by its primary key.
type RowKey struct {
	Schema, Table, Column string
	TypeOID               uint32 // of the column
	Value                 string // decoded
	Param                 int    // the parameter that holds the value instead; 0: none
}

// Param is one parameter that must be tokenised. A number stands once.
type Param struct {
	Number int
	Slot   Slot
}

// PurposeChange is what a statement does to the setting sallyport.purpose.
type PurposeChange struct {
	Local bool   // SET LOCAL
	Reset bool   // RESET, SET … TO DEFAULT, RESET ALL, DISCARD ALL: back to the start-up value
	All   bool   // RESET ALL, DISCARD ALL
	Value string // as written
}

// TxKind says what a TxChange does.
type TxKind uint8

// The kinds of transaction control.
const (
	Begin TxKind = iota + 1
	Commit
	Rollback
	Savepoint
	Release
	RollbackTo
	PrepareTransaction // ends the session's transaction
	CommitPrepared     // outside the session's transaction
	RollbackPrepared   // outside the session's transaction
)

// TxChange is a statement of transaction control.
type TxChange struct {
	Kind  TxKind
	Name  string // of the savepoint
	Chain bool   // AND CHAIN: the next transaction begins at once
}

// Copy describes COPY.
type Copy struct {
	In       bool
	Relation *Relation // nil where the schema does not know it, and for a query
	Columns  []string  // as listed; empty: all
	Query    bool      // COPY (query) TO
	Program  bool
	File     bool

	Format                   string // text, csv, binary
	Header                   bool
	Match                    bool // of the header's names: the server holds them to the columns'
	Delimiter, Quote, Escape byte
	Null                     string
	Default                  *string // what stands for a column's default; nil: nothing

	Outputs []ColumnInfo // of COPY TO STDOUT, as far as the text tells: one for each field of a row, zero where it is an expression. Empty: unknown
	Fields  []CopyField  // of COPY FROM STDIN into protected columns: one for each field of a row. Empty: rows pass as they are
}

// CopyField is one field of a row that COPY writes.
type CopyField struct {
	Name               string
	Slot               *Slot // nil: it passes
	ForceNull, NotNull bool  // FORCE_NULL and FORCE_NOT_NULL name it
}

// Prepare is SQL's PREPARE.
type Prepare struct {
	Name string
	Body *Statement // its offsets count in the same text; its Edits are among those of the whole
}

// Execute is SQL's EXECUTE.
type Execute struct {
	Name string
	Args []Arg
}

// Arg is one argument of EXECUTE.
type Arg struct {
	Start, End int    // of the literal, without a cast around it
	Value      string // decoded
	Literal    bool   // a literal that can be replaced
	Null       bool
}

// Deallocate is SQL's DEALLOCATE, and DISCARD ALL.
type Deallocate struct {
	Name string
	All  bool
}

// Capture is how the gateway learns what an INSERT or UPDATE of tickets or contacts wrote: it inserts Text at byte At of
// the text and takes the last Columns columns of the result for itself; all of them are of type text.
// Ticket: id, customer, assignee, state, and behind an UPDATE or ON CONFLICT that writes any of them what stood there before:
// customer, assignee and state as a JSON array, [] where there was no row, NULL where nothing is known. Contact: id, customer, staff, ticket, direction, at (seconds since 1970).
type Capture struct {
	Relation     *Relation
	Contact      bool
	At           int // not before the end of any of the statement's Edits
	Text         string
	Columns      int
	HadReturning bool     // else the statement returned no rows to its client, and must not now
	Wrote        []string // of a ticket: which of customer, assignee, state were surely written, though maybe to what they were; of a contact: all three where its whole row was
}

// Refusal says why a statement is not forwarded. It never quotes the statement.
type Refusal struct {
	Code     string // SQLSTATE
	Sentence string
	Hint     string // what to do instead
	Position int    // byte offset in the text, -1 where unknown

	Decision *sallyport.Decision // of the policy that denied it; nil: none was asked
}

// Codes of refusals. Class SP is Sallyport's own.
const (
	CodeUntraceable = "SP001" // where a value flows from or to cannot be traced
	CodeUnanswered  = "SP002" // tokens cannot answer this comparison
	CodeMasked      = "SP008" // it would tell of a masked column, or copy it
	CodeActor       = "SP018" // who acts cannot be read, or does not check out
	CodeForbidden   = "SP003" // this kind of statement is not allowed in a protected database
	CodeTooComplex  = "54001"
	CodeSyntax      = "42601"
)

// Error is the sentence with its code.
func (r *Refusal) Error() string { return r.Sentence + " (SQLSTATE " + r.Code + ")" }
