package sallyport

import "time"

// Access is one executed statement, or one access in another system, as detection, history and attribution see it: what a log in OCSF's
// class 6005 holds, or what the record's entries of one statement come to. It holds no value and no literal.
type Access struct {
	UID     string // of the event, unique; empty where the source gave none
	Time    time.Time
	Arrived uint64 // the position at which it was read, which replay follows; 0 for the order in the file

	Activity    Activity
	Staff       Staff
	Service     bool  // a program's account
	Via         Staff // the service that acts for Staff
	Session     string
	Application string
	Address     string // without a port
	Device      string

	Shape    string // the statement's fingerprint
	Database string
	Table    string
	Columns  []string // protected ones touched
	Bytes    int64    // returned
	Rows     int64    // returned
	Refused  bool

	Subjects []Subject // customers whose protected values he could read by it
	Count    int64     // their number, where they are not listed
	Purpose  Purpose   // as claimed; zero for none
	Verdict  string    // reveal, mask, token, wait or deny; empty where the source did not say
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
	Type  string // notice, leave_start, leave_end, role_change, review, grievance, training_overdue, terminated
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
