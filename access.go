package sallyport

import "time"

// Access is one executed statement, or one access in another system, as detection, history and attribution see it: what a log in OCSF's
// class 6005 holds, or what the record's entries of one statement come to. It holds no value and no literal.
type Access struct {
	UID     string    `cbor:"1,keyasint,omitempty"` // of the event, unique; empty where the source gave none
	Time    time.Time `cbor:"2,keyasint"`
	Arrived uint64    `cbor:"-"` // the position at which it was read, which replay follows; 0 for the order in the file

	Activity    Activity `cbor:"3,keyasint,omitempty"`
	Staff       Staff    `cbor:"4,keyasint"`
	Service     bool     `cbor:"5,keyasint,omitempty"` // a program's account
	Via         Staff    `cbor:"6,keyasint,omitempty"` // the service that acts for Staff
	Session     string   `cbor:"7,keyasint,omitempty"`
	Application string   `cbor:"8,keyasint,omitempty"`
	Address     string   `cbor:"9,keyasint,omitempty"` // without a port
	Device      string   `cbor:"10,keyasint,omitempty"`

	Shape    string   `cbor:"11,keyasint,omitempty"` // the statement's fingerprint
	Database string   `cbor:"12,keyasint,omitempty"`
	Table    string   `cbor:"13,keyasint,omitempty"`
	Columns  []string `cbor:"14,keyasint,omitempty"` // protected ones touched
	Bytes    int64    `cbor:"15,keyasint,omitempty"` // returned
	Rows     int64    `cbor:"16,keyasint,omitempty"` // returned
	Refused  bool     `cbor:"17,keyasint,omitempty"`

	Subjects []Subject `cbor:"18,keyasint,omitempty"` // customers whose protected values he could read by it
	Count    int64     `cbor:"19,keyasint,omitempty"` // their number, where they are not listed
	Purpose  Purpose   `cbor:"20,keyasint,omitzero"`  // as claimed; zero for none
	Verdict  string    `cbor:"21,keyasint,omitempty"` // reveal, mask, token, wait or deny; empty where the source did not say

	// What only Sallyport's own record says. Accesses of one session with the same Statement are parts of one executed statement.
	Statement uint64    `cbor:"22,keyasint,omitempty"`
	Verb      string    `cbor:"23,keyasint,omitempty"` // SELECT, COPY …
	Reached   []Subject `cbor:"24,keyasint,omitempty"` // customers whose rows were returned outside the purpose, as tokens
	Reach     int64     `cbor:"25,keyasint,omitempty"` // their number, with the rows of which nobody knows whose they are
	Probes    int64     `cbor:"26,keyasint,omitempty"` // distinct values tokenised outside the purpose
	Powers    []string  `cbor:"27,keyasint,omitempty"` // that the statement takes
	Policy    string    `cbor:"28,keyasint,omitempty"` // that decided
	Trust     int       `cbor:"29,keyasint,omitempty"` // one more than it was then, 1 to 101; 0: not said
}

// Activity is OCSF's activity_id of class 6005.
type Activity uint8

// The activities that Sallyport writes; any other is read, too.
const (
	OtherActivity   Activity = 99
	ReadActivity    Activity = 1
	UpdateActivity  Activity = 2
	ConnectActivity Activity = 3
	QueryActivity   Activity = 4
	WriteActivity   Activity = 5
	CreateActivity  Activity = 6
	DeleteActivity  Activity = 7
	RevealActivity  Activity = 10 // Decrypt
)

// The rest are facts about the organisation that detection reads beside accesses: rows of its files, entries of the record, or messages of
// other systems. Each carries when it was true, and Arrived where it was read.

// Employee is a row of the staff file.
type Employee struct {
	ID         Staff
	Name       string
	Team       string
	Role       string
	Manager    Staff
	Site       string
	Shift      [2]int // minutes of the local day, from and to; both 0: unknown
	Zone       *time.Location
	Hired      time.Time // zero: unknown
	NoticeFrom time.Time
	Left       time.Time
	Service    bool
}

// TicketFact is a row of the tickets file, as it stood at the end.
type TicketFact struct {
	ID       string
	Customer Subject
	Opened   time.Time
	Closed   time.Time // zero: it is not; nobody may know it before
	Assignee Staff     // the last known one
	State    string    // likewise
	Queue    string
	OpenedBy Staff // empty: the customer, or unknown
	Channel  string
	Priority string
}

// TicketEvent is something that happened to a ticket.
type TicketEvent struct {
	Ticket string
	Time   time.Time
	Type   string // assigned, transferred, escalated, closed, reopened
	Staff  Staff
}

// ContactFact is a customer who got in touch, or whom somebody of the staff did.
type ContactFact struct {
	Time     time.Time
	Customer Subject
	Channel  string // call, email, chat
	Incoming bool
	Ticket   string
	Staff    Staff
}

// BulkJob is approved work on many customers.
type BulkJob struct {
	ID         string
	From, To   time.Time
	Staff      Staff // empty: anybody
	Scope      string
	Most       int64 // customers; 0: not said
	ApprovedBy Staff
}

// HRFact is something that the personnel department says. Grievances and leave never weigh; leave only explains absence.
type HRFact struct {
	Time  time.Time
	Staff Staff
	Type  string // notice, leave_start, leave_end, role_change, review, grievance, training_overdue, training_done, terminated
	Value string
}

// LogIn is one attempt to log in anywhere.
type LogIn struct {
	Time    time.Time
	Staff   Staff
	Failed  bool
	Address string
	Device  string
	Country string
	Factors bool // with a second factor
}

// Alert is what another tool of the company has seen.
type Alert struct {
	Time     time.Time
	Staff    Staff
	Source   string // endpoint, dlp, network, mail …
	Severity int    // 1 to 5
	Title    string
}

// ScamReport is what a customer tells: somebody called me pretending to be you.
type ScamReport struct {
	Time        time.Time
	Customer    Subject
	Channel     string   // call, sms, email
	Quoted      []string // what the caller knew: ticket, email, phone, name
	Unconfirmed bool     // nobody has checked with the customer yet
	Taker       Staff    // who wrote it down at Time, as the customer told it; empty where Time is when he was called
	Note        string
}

// Input is one thing that detection reads, when it became known: exactly one of the pointers is set. A ticket comes as it stood when it
// was opened; that it was closed is a TicketEvent of its own, at its own time.
type Input struct {
	Time        time.Time
	Access      *Access
	Ticket      *TicketFact
	TicketEvent *TicketEvent
	Contact     *ContactFact
	Job         *BulkJob
	HR          *HRFact
	LogIn       *LogIn
	Alert       *Alert
	Report      *ScamReport
}
