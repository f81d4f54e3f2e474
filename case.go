package sallyport

import "time"

// CaseKind is a kind of the control stream: something about a case. Order.Case, or of a proposal the step that it is to take.
const CaseKind EventKind = "case"

// CaseStep is one thing that is done about a case. What it means is for package cases.
type CaseStep struct {
	Case      uint64       `cbor:"1,keyasint" json:"case"`
	Do        string       `cbor:"2,keyasint" json:"do"`             // open, note, task, done, decision, link, people, customers, finding, hypotheses, state, close, hold, release, aware, met
	Text      string       `cbor:"3,keyasint,omitempty" json:"text"` // for people; never a value
	State     string       `cbor:"4,keyasint,omitempty" json:"state,omitempty"`
	Task      uint64       `cbor:"5,keyasint,omitempty" json:"task,omitempty"` // of done
	People    []Staff      `cbor:"6,keyasint,omitempty" json:"people,omitempty"`
	Customers []Subject    `cbor:"7,keyasint,omitempty" json:"customers,omitempty"`
	Finding   string       `cbor:"8,keyasint,omitempty" json:"finding,omitempty"`
	Link      *CaseLink    `cbor:"9,keyasint,omitempty" json:"link,omitempty"`
	Weighed   []Hypothesis `cbor:"10,keyasint,omitempty" json:"weighed,omitempty"`
	Outcome   string       `cbor:"11,keyasint,omitempty" json:"outcome,omitempty"`
	At        time.Time    `cbor:"12,keyasint,omitzero" json:"at,omitzero"`          // of hold: since when entries are kept; of aware: when the company learned of it
	Source    string       `cbor:"13,keyasint,omitempty" json:"source,omitempty"`    // of open: finding, reports, person; of hypotheses: what they are from
	Deadline  string       `cbor:"14,keyasint,omitempty" json:"deadline,omitempty"`  // of met
	Countries []string     `cbor:"15,keyasint,omitempty" json:"countries,omitempty"` // of aware: whose laws count besides those of all
}

// CaseLink leads to others who work on it.
type CaseLink struct {
	Kind string `cbor:"1,keyasint" json:"kind"` // police, regulator, hr, legal, insurer, other
	Ref  string `cbor:"2,keyasint" json:"ref"`
}

// Hypothesis is one explanation, and how probable it is.
type Hypothesis struct {
	Staff       []Staff `cbor:"1,keyasint,omitempty" json:"staff,omitempty"` // empty: nobody of the staff
	Type        string  `cbor:"2,keyasint,omitempty" json:"type,omitempty"`  // malicious, negligent, compromised, benign; empty: the source of reports
	Probability float64 `cbor:"3,keyasint" json:"probability"`
}
