package sallyport

import "time"

// GrantTerms are what a grant is to allow, as it was asked for: whoever approves it approves these and nothing else.
type GrantTerms struct {
	For       Staff     `cbor:"1,keyasint"`           // who reads under it: a person, or a service
	Columns   []string  `cbor:"2,keyasint"`           // schema.table.column
	Customers int       `cbor:"3,keyasint"`           // at most, over its life
	Minutes   int       `cbor:"4,keyasint"`           // how long it lasts, from the last approval on
	Only      []Subject `cbor:"5,keyasint,omitempty"` // these customers and no others
	Team      string    `cbor:"6,keyasint,omitempty"` // customers of this team's open tickets and no others
	Incident  string    `cbor:"7,keyasint,omitempty"` // of a break-glass

	Rule  string   `cbor:"8,keyasint,omitempty"` // of the configuration, that fits
	Needs [][]Need `cbor:"9,keyasint,omitempty"` // who must approve: any of the lists is enough, of a list everything
	// Person is who asks, whatever account he uses.
	Person string `cbor:"10,keyasint,omitempty"`
	Others int    `cbor:"11,keyasint,omitempty"` // customers that he asked for by other grants in the 30 days before
	Usual  Usual  `cbor:"12,keyasint,omitzero"`  // what the beneficiary usually needs
	From   uint64 `cbor:"13,keyasint,omitempty"` // the access stream's last entry when it was asked for
}

// Usual is how many distinct customers a day somebody needed in the 30 days before, on the days on which he saw any, by other ways than grants.
type Usual struct {
	Median int `cbor:"1,keyasint,omitempty" json:"median"`
	Most   int `cbor:"2,keyasint,omitempty" json:"most"`
	Days   int `cbor:"3,keyasint,omitempty" json:"days"` // on which he saw any
}

// Need is that so many of a group approve.
type Need struct {
	Of   int    `cbor:"1,keyasint" yaml:"of"`   // so many different people
	From string `cbor:"2,keyasint" yaml:"from"` // name of a group
}

// GrantVote is what counts of an approval besides whose it is, at its moment.
type GrantVote struct {
	Person string   `cbor:"1,keyasint"`           // who approves, whatever account he uses
	Groups []string `cbor:"2,keyasint,omitempty"` // of those that are needed, the ones that he is in
	Line   Line     `cbor:"3,keyasint,omitempty"` // where he stands in the report line of who asks
}

// Line is where somebody stands in another's report line. The zero value is outside of it.
type Line string

// The places in a report line.
const (
	Outside  Line = ""
	Above    Line = "above"
	Below    Line = "below"
	SameTeam Line = "team" // where nobody is named as a manager the team stands for the line
)

// GrantUse is what was seen under a grant.
type GrantUse struct {
	Customers  int       `cbor:"1,keyasint,omitempty" json:"customers"`
	Values     int       `cbor:"2,keyasint,omitempty" json:"values"`
	Statements int       `cbor:"3,keyasint,omitempty" json:"statements"`
	Sessions   int       `cbor:"4,keyasint,omitempty" json:"sessions"`
	First      time.Time `cbor:"5,keyasint,omitzero" json:"first,omitzero"`
	Last       time.Time `cbor:"6,keyasint,omitzero" json:"last,omitzero"`
	Columns    []string  `cbor:"7,keyasint,omitempty" json:"columns,omitempty"`
}
