package sallyport

import "time"

// Event is one entry of a stream. Gateways write the access stream; the controller and people write the control stream.
// It never holds a value, a literal of a statement or a key: customers stand in it by id, values by keyed digest.
//
// The record assigns Seq and chains the entries; who appends leaves Seq zero. Encoded as CBOR with integer keys, so that
// a key once given keeps its meaning for ever (docs/record.md).
type Event struct {
	Seq  uint64    `cbor:"1,keyasint"`
	Time time.Time `cbor:"2,keyasint"`
	Kind EventKind `cbor:"3,keyasint"`

	Who       Who        `cbor:"4,keyasint"`
	Statement *Statement `cbor:"5,keyasint,omitempty"`
	Reveal    *Revealed  `cbor:"6,keyasint,omitempty"`
	Facts     []Fact     `cbor:"7,keyasint,omitempty"`
	Limit     *Limit     `cbor:"8,keyasint,omitempty"`
	Counters  *Counters  `cbor:"9,keyasint,omitempty"`
	Order     *Order     `cbor:"10,keyasint,omitempty"`
	Note      string     `cbor:"11,keyasint,omitempty"` // a sentence for people; never a value
	Touch     *Touched   `cbor:"12,keyasint,omitempty"`
	Power     *PowerUse  `cbor:"13,keyasint,omitempty"`
	Decision  *Decision  `cbor:"14,keyasint,omitempty"`
	Ties      []Tie      `cbor:"15,keyasint,omitempty"`
	Asserted  *Asserted  `cbor:"16,keyasint,omitempty"`
	Result    *Result    `cbor:"17,keyasint,omitempty"`
	Imported  *Imported  `cbor:"30,keyasint,omitempty"`

	// Where several gateways share budgets (lending.go).
	Origin  *Origin  `cbor:"36,keyasint,omitempty"`
	Charged []Charge `cbor:"37,keyasint,omitempty"`
	Lent    *Lent    `cbor:"38,keyasint,omitempty"`
	// Canary is what somebody was shown of a customer who does not exist.
	Canary   *CanaryShown `cbor:"40,keyasint,omitempty"`
	Restates *Restated    `cbor:"47,keyasint,omitempty"`
}

// EventKind says which part of an Event is filled.
type EventKind string

// The kinds of the access stream.
const (
	SessionStart  EventKind = "session_start"
	SessionEnd    EventKind = "session_end" // Counters, Note
	StatementKind EventKind = "statement"   // Statement: it touches something protected; durable before it is forwarded, or, if it only reads, before anything of its result leaves
	RevealKind    EventKind = "reveal"      // Reveal: one outgoing batch; recorded before the batch leaves
	TouchKind     EventKind = "touch"       // Touch: customers reached and probes made by one statement
	FactKind      EventKind = "fact"        // Facts: committed writes to tickets or contacts
	BudgetReached EventKind = "budget"      // Limit: a budget was reached, the result was cut
	RefusedKind   EventKind = "refused"     // Statement.Refused, Note
	PowerKind     EventKind = "power"       // Power, Statement, Note: durable before the statement is forwarded, or when it was refused
	CopyKind      EventKind = "copy"        // Decision, Statement, Note: durable before the statement is forwarded, or when it was refused
	TieKind       EventKind = "tie"         // Ties: tokens of names and texts seen for the first time, and whose they are from then on
	StrayKind     EventKind = "stray"       // Ties: tokens that are somebody else's, found in a customer's row, and not revealed there
	CountersKind  EventKind = "counters"    // Counters of traffic that touches nothing protected, of one session and Statement.Fingerprint, each second
	ResultKind    EventKind = "result"      // Result, Statement.ID: how a statement ended that is on record
	ShapeKind     EventKind = "shape"       // Statement.Fingerprint and Shape, once for each that is met since a gateway started
	ObservedKind  EventKind = "observed"    // what serve --observe would have done
	// Replication by a role that the configuration names: passed on byte for byte.
	ReplicationStart EventKind = "replication_start"
	ReplicationEnd   EventKind = "replication_end" // Counters: bytes of the whole session

	EntryRefused EventKind = "entry_refused" // Note: why somebody was not let in whose log-in the gateway ends itself

	AroundKind EventKind = "around" // Note: a way around the gateway that was not there before, or a session on one; Who where it is somebody's

	ActingKind EventKind = "acting" // Asserted: an application acts for the person in Who; durable before anything of a result leaves

	GatewayStarted EventKind = "gateway_started"
	GatewayStopped EventKind = "gateway_stopped"

	JoinedKind      EventKind = "joined"       // Lent: a gateway began to share budgets
	LentKind        EventKind = "lent"         // Lent: what a controller lends to a gateway; before that has it
	CountedKind     EventKind = "counted"      // Charged: what was counted for values that did not leave after all
	MarkedKind      EventKind = "marked"       // Asserted: a gateway is about to take this assertion; no other may
	ForgotKind      EventKind = "forgot"       // Lent: a gateway's disk is lost, and what was lent to it is taken for spent
	CanaryShownKind EventKind = "canary_shown" // Canary: durable before the batch that shows it leaves

	ImportedKind EventKind = "imported" // Imported: what another system's log says; it fills no budget, widens no reason and is no fact
)

// The kinds of the control stream; each carries an Order.
const (
	Locked       EventKind = "lock"
	Suspended    EventKind = "suspend"
	Proposed     EventKind = "propose" // Order.Action says what; nothing has changed yet
	Approved     EventKind = "approve" // the proposal takes effect
	Declined     EventKind = "decline"
	Confirmed    EventKind = "confirm"    // somebody proved anew who he is: Order.By and About
	Trusted      EventKind = "trust"      // from now on somebody is trusted as far as Details says, which is less than before; Reason says why
	Configured   EventKind = "configured" // a configuration took effect; Note holds its SHA-256
	Protecting   EventKind = "protecting" // protect begins to change a database; Order.Columns says what will be protected
	Protected    EventKind = "protected"  // protection of a database began
	LogInOK      EventKind = "login"      // somebody logged in for commands
	LogInBad     EventKind = "login_failed"
	Queried      EventKind = "queried"   // somebody read the record; Note says what he asked
	KeysMade     EventKind = "keys_made" // the data folder got its keys; Order.Ring
	KeysSeen     EventKind = "keys_seen" // the ring has other keys than the record knew; Order.Ring
	Unsealing    EventKind = "unseal"    // somebody brings the share of the keys that Details names
	UnsealBad    EventKind = "unseal_failed"
	KeyRotated   EventKind = "key_rotated"   // an approved proposal was carried out: the join group in Details has a new key; Note names the epochs
	KeyDestroyed EventKind = "key_destroyed" // likewise: its older key is gone
	Shredding    EventKind = "shredding"     // an approved proposal is carried out: Order.Dead and Order.Buried of the customer in Details; before the database commits
	Shredded     EventKind = "shredded"      // likewise: nothing of the customer in Details can be revealed any more; Note counts
	Recovering   EventKind = "recover"       // tokens of a dump are turned back without a gateway; before the first value is written
	// Approved and Declined are about grants, too, where Order.ID is that of a request.
	Requested     EventKind = "request"      // a grant is asked for: Order.Grant
	GrantEnded    EventKind = "grant_ended"  // Order.Reason says why; Order.Use what was seen under it
	GlassBroken   EventKind = "break_glass"  // somebody lets himself see a few customers for an incident, alone: Order.Grant
	GlassReviewed EventKind = "glass_review" // somebody else has looked at it: Details is the finding, Reason what he says
	KeyTurned     EventKind = "key_turned"   // all integers and uuids of the join group in Details, in Order.Turned, are tokens of the newer key, of Order.Epoch

	CredentialMade  EventKind = "credential"       // who logged in at the identity provider got Order.Credential; before he has it
	CredentialEnded EventKind = "credential_ended" //nolint:gosec // a word, and no credential: its owner gave it back
	APITokenEnded   EventKind = "api_token_ended"  // the one that ID names lets nobody in any more
	PasskeyAdded    EventKind = "passkey"          // the person in About proves from then on who he is by Order.Passkey
	PasskeyUsed     EventKind = "passkey_used"     // he did, and its counter stands at Count; before he is let in
	PasskeyEnded    EventKind = "passkey_ended"    // it proves nothing any more; Reason says why
	OnceKind        EventKind = "once"             // a call to the api began that is to be carried out once: Order.Once
	PasswordSet     EventKind = "password_set"     // Order.Password is from now on what the person in About gives orders by
	LockLeavers     EventKind = "lock_leavers"     // the second person has those locked who left when their source had said so of many within an hour
	Adopted         EventKind = "adopted"          // the configuration and policies whose SHA-256 is in Details hold, without two people: the first ones, or where the former said that one is enough
	OrderRefused    EventKind = "order_refused"    // policies did not let somebody do what Order.Details names: Decision; nothing has changed
	Peopled         EventKind = "people"           // Order.People and Order.Groups: what the directory's source in Details says from now on
	Erasing         EventKind = "erasing"          // Order.Erased lists what is erased next; never sealed, since whoever verifies the record must read it
	Erased          EventKind = "erased"           // it is gone; Order.ID says by which proposal

	InputKind     EventKind = "input"           // Order.Input: what another system said, as detection reads it; its sequence is when it arrived
	RecordRoom    EventKind = "record_room"     // how full the disk of the record is: Details is fine, 80 %, 90 % or full, Note the figures
	ImportOrdered EventKind = "import"          // Order.Importing: somebody begins to import another system's log; before its first entry
	HistoryMade   EventKind = "history_rebuild" // somebody has history made again from the record

	FindingKind     EventKind = "finding"        // Order.Finding: a line of what detection found; before anything is done about it
	ResponseKind    EventKind = "response"       // Order.Response: what Sallyport does about a finding, did, or would have done
	DetectingKind   EventKind = "detecting"      // how far detection has read: Order.Position and Order.Taken; Details, where it is filled, says by which settings from there on
	CanaryPlanning  EventKind = "canary_plan"    // Order.Planting: customers who do not exist are to be made
	CanaryPlanted   EventKind = "canary_planted" // Order.Sealed: which customer does not exist; before its row is committed
	CanaryHeardKind EventKind = "canary_heard"   // Order.CanaryHeard: somebody wrote to or called one

	DrillKind EventKind = "drill" // Order.Drill: a theft is played, or was; Note says what came of it

	RespondingKind EventKind = "responding" // Details says whether Sallyport acts on findings, by its configuration: act or observe
)

// Who is the actor of an event.
type Who struct {
	Staff       Staff  `cbor:"1,keyasint"`
	Login       string `cbor:"2,keyasint,omitempty"` // the database role
	Session     string `cbor:"3,keyasint,omitempty"`
	Application string `cbor:"4,keyasint,omitempty"`
	Address     string `cbor:"5,keyasint,omitempty"`
	Database    string `cbor:"6,keyasint,omitempty"`
	Team        string `cbor:"7,keyasint,omitempty"`
	Via         Staff  `cbor:"8,keyasint,omitempty"` // the service that acts for Staff
	Claimed     bool   `cbor:"9,keyasint,omitempty"` // on its own word alone: what it shows is signed with a key that it can use itself
	Device      string `cbor:"10,keyasint,omitempty"`
	Country     string `cbor:"11,keyasint,omitempty"`
}

// Statement describes one statement without its literals.
type Statement struct {
	ID          uint64    `cbor:"1,keyasint"` // unique within the session; Reveal and Touch entries refer to it
	Fingerprint string    `cbor:"2,keyasint,omitempty"`
	Verb        string    `cbor:"3,keyasint,omitempty"` // SELECT, INSERT, COPY …
	Columns     []Column  `cbor:"4,keyasint,omitempty"` // protected columns read, written or compared
	Purposes    []Purpose `cbor:"5,keyasint,omitempty"`
	Covers      []Subject `cbor:"6,keyasint,omitempty"` // customers that the purposes covered; at most the first 100
	Refused     string    `cbor:"7,keyasint,omitempty"` // code of the refusal
	Writes      bool      `cbor:"8,keyasint,omitempty"`
	// Tables that it mentions, as schema.table; also those that hold nothing protected.
	Tables []string `cbor:"9,keyasint,omitempty"`
	// Shape is the text without literals, of kind shape.
	Shape string `cbor:"10,keyasint,omitempty"`
	// Resolved says of each of Purposes how many customers it covered, all of them where Covers has the first ones.
	Resolved []uint64 `cbor:"11,keyasint,omitempty"`
	// Trust is one more than how far the person was trusted when the policies were asked; 0: they were not.
	Trust int64  `cbor:"12,keyasint,omitempty"`
	Known *Known `cbor:"20,keyasint,omitempty"` // what policies were told; entries of before that was noted have none
}

// Revealed lists the values of one outgoing batch that left in plain.
type Revealed struct {
	Statement uint64    `cbor:"1,keyasint"`
	Columns   []Column  `cbor:"2,keyasint"` // the columns that Values refer to
	Values    Values    `cbor:"3,keyasint"` // repeats within a batch stand once
	Purposes  []Purpose `cbor:"4,keyasint,omitempty"`
	Grant     string    `cbor:"5,keyasint,omitempty"` // id of the grant where values left under one
	// Rulings are what the policies said for this statement so far, and Trust one more than how far the person was trusted then; they stand in the
	// first batch of a statement, and again where they have changed.
	Rulings []Ruled `cbor:"6,keyasint,omitempty"`
	Trust   int64   `cbor:"7,keyasint,omitempty"`
}

// Ruled is what the policies said of one column under one purpose or grant, for one statement.
type Ruled struct {
	Column  Column `cbor:"1,keyasint"`
	Verdict string `cbor:"2,keyasint"`           // reveal, mask, token, wait or deny
	Policy  string `cbor:"3,keyasint"`           // ids of the policies that decided, with commas; "default" where none did
	Purpose int    `cbor:"4,keyasint,omitempty"` // one more than its place among the statement's purposes
	Grant   string `cbor:"5,keyasint,omitempty"` // in its place
}

// Result is how a statement ended.
type Result struct {
	Rows     uint64  `cbor:"1,keyasint,omitempty"` // that were returned
	Bytes    uint64  `cbor:"2,keyasint,omitempty"` // likewise, with what describes them
	Failed   bool    `cbor:"3,keyasint,omitempty"` // by an error, of the server's or ours
	Revealed uint64  `cbor:"4,keyasint,omitempty"` // values that left in plain
	Left     uint64  `cbor:"5,keyasint,omitempty"` // protected values that stayed tokens
	Masked   uint64  `cbor:"6,keyasint,omitempty"` // protected values that left as masks
	Rulings  []Ruled `cbor:"7,keyasint,omitempty"` // all that the policies said for it
	Trust    int64   `cbor:"8,keyasint,omitempty"` // one more than how far the person was trusted when they were asked last
}

// Heard is what another system said: a line of a file, an object that was sent, a row that was read. Whoever writes it has taken protected values and
// literals of statements out of it before.
type Heard struct {
	Source string `cbor:"1,keyasint"`           // by its name in the configuration
	Format string `cbor:"2,keyasint"`           // what the text is: tickets, hr, logins, alerts, reports, …
	Text   string `cbor:"3,keyasint"`           // at most MostHeard bytes
	Cut    bool   `cbor:"4,keyasint,omitempty"` // it was longer
}

// MostHeard is how long the text of a Heard may be.
const MostHeard = 64 << 10

// Asserted is the assertion by which an application acts for a person: it is good for one transaction.
type Asserted struct {
	ID      Digest    `cbor:"1,keyasint"` // of its issuer and its id
	Source  string    `cbor:"2,keyasint"` // who signed it, by his name in the configuration
	Expires time.Time `cbor:"3,keyasint"`
}

// Decision is what a policy said of an action, and which one. The zero Decision denies.
type Decision struct {
	Action    string   `cbor:"1,keyasint"` // copy; query, search or write where it was denied
	Columns   []Column `cbor:"2,keyasint,omitempty"`
	Permitted bool     `cbor:"3,keyasint,omitempty"`
	Policy    string   `cbor:"4,keyasint"` // id of the policy that decided, "default" where none did; several permits with commas
}

// Touched lists what one statement reached without revealing, and what it probed.
type Touched struct {
	Statement uint64    `cbor:"1,keyasint"`
	Reached   []Subject `cbor:"2,keyasint,omitempty"` // customers whose rows were returned outside the purpose
	Values    []Digest  `cbor:"3,keyasint,omitempty"` // rows reached whose customer is not known, by digest of their token
	Probes    []Digest  `cbor:"4,keyasint,omitempty"` // distinct values tokenised outside the purpose, but for dates
	Dates     []Digest  `cbor:"5,keyasint,omitempty"` // distinct dates so tokenised: each counts tenfold
}

// Tie says at which customer a token of a name or text stood.
type Tie struct {
	Handle  []byte  `cbor:"1,keyasint"` // the random bytes that tell it from all others
	Subject Subject `cbor:"2,keyasint"`
}

// Fact is what the gateway saw committed about a ticket or a contact, and who wrote it.
type Fact struct {
	Table    string    `cbor:"1,keyasint"` // "ticket" or "contact"
	ID       string    `cbor:"2,keyasint"`
	Customer Subject   `cbor:"3,keyasint"`
	Assignee string    `cbor:"4,keyasint,omitempty"` // log-in; for a contact the staff that took it
	Open     bool      `cbor:"5,keyasint,omitempty"`
	Wrote    []string  `cbor:"6,keyasint,omitempty"` // which of customer, assignee, state the statement made what they are
	Ticket   string    `cbor:"7,keyasint,omitempty"`
	Incoming bool      `cbor:"8,keyasint,omitempty"`
	At       time.Time `cbor:"9,keyasint,omitzero"`
}

// Limit names a budget that was reached.
type Limit struct {
	Measure string `cbor:"1,keyasint"` // revealed, reached, probed
	Window  string `cbor:"2,keyasint"` // hour, day, 30 days; of a grant: grant, grant's time
	Budget  int    `cbor:"3,keyasint"`
	Count   int    `cbor:"4,keyasint"`
	Scope   string `cbor:"5,keyasint,omitempty"` // of a budget that several share: team, service, application, device, country, purpose
	Name    string `cbor:"6,keyasint,omitempty"` // likewise: which one
}

// Counters are sums over unprotected traffic.
type Counters struct {
	Statements uint64 `cbor:"1,keyasint,omitempty"`
	Rows       uint64 `cbor:"2,keyasint,omitempty"`
	BytesIn    uint64 `cbor:"3,keyasint,omitempty"`
	BytesOut   uint64 `cbor:"4,keyasint,omitempty"`
}

// Order is an entry of the control stream: who wants what about whom.
type Order struct {
	ID      string `cbor:"1,keyasint,omitempty"` // of a proposal
	Action  string `cbor:"2,keyasint,omitempty"` // lock, suspend, unlock, accept_mark, keys_init, keys_rewrap, keys_recover, unseal
	By      Staff  `cbor:"3,keyasint,omitempty"` // empty: Sallyport itself
	About   Staff  `cbor:"4,keyasint,omitempty"`
	Reason  string `cbor:"5,keyasint,omitempty"`
	Limit   *Limit `cbor:"6,keyasint,omitempty"`
	Details string `cbor:"7,keyasint,omitempty"`
	// Columns are what protect protects: schema.table.column → the form of its tokens.
	Columns map[string]string `cbor:"8,keyasint,omitempty"`
	// Moving are those of Columns in which plain values stand beside tokens from now on; in Leaving, what is written is plain again. In a column that
	// stands in both it is a token still: two people agreed that it leaves, and the database may refuse plain values as yet.
	Moving  []string `cbor:"9,keyasint,omitempty"`
	Leaving []string `cbor:"10,keyasint,omitempty"`
	// Dead are the digests of random tokens that stand in a shredded customer's rows: none is ever revealed. Buried are those of the tokens that
	// stood there before: of names and texts the handles, which are never revealed either; of what others may have, too, they are revealed only
	// in rows that are known to be another's.
	Dead   []Digest `cbor:"11,keyasint,omitempty"`
	Buried []Digest `cbor:"12,keyasint,omitempty"`
	// Gone are keys of single tokens of the customer: each is destroyed, whatever file it comes back in.
	Gone []GoneKeys `cbor:"13,keyasint,omitempty"`
	// Ring is what the ring of keys has from now on: an older one that is put back shows by it.
	Ring *Ring `cbor:"14,keyasint,omitempty"`
	// Epoch is that of the newer key of a rotation. Whole says that equal values of the group have equal tokens at every moment of it.
	Epoch int  `cbor:"15,keyasint,omitempty"`
	Whole bool `cbor:"16,keyasint,omitempty"`

	Grant *GrantTerms `cbor:"40,keyasint,omitempty"` // of a request or a break-glass
	Vote  *GrantVote  `cbor:"41,keyasint,omitempty"` // of an approval or a refusal of a request
	Use   *GrantUse   `cbor:"42,keyasint,omitempty"` // of a grant that ended
	// Turned are columns whose tokens show no epoch, and are of Epoch now.
	Turned []string `cbor:"17,keyasint,omitempty"`
	// People and Groups are what a source of the directory says. Delay is how long what a proposal gives waits after it was approved.
	People []Listed      `cbor:"60,keyasint,omitempty"`
	Groups []ListedGroup `cbor:"61,keyasint,omitempty"`
	Delay  time.Duration `cbor:"62,keyasint,omitempty"`
	// Of the proposal of configuration and policies: the SHA-256 of those that it is to follow on, what changes, who is not to decide because it
	// is about him, and whether whoever writes the files may change them from then on.
	Base     string  `cbor:"63,keyasint,omitempty"`
	Diff     string  `cbor:"64,keyasint,omitempty"`
	Subjects []Staff `cbor:"65,keyasint,omitempty"`
	Alone    bool    `cbor:"66,keyasint,omitempty"`
	Input    *Heard  `cbor:"80,keyasint,omitempty"` // of kind input
	Most     int     `cbor:"67,keyasint,omitempty"` // of kind people: how many leavers of this source an hour are locked by its word alone
	// Credential is one that was made or ended. Password is an Argon2id hash. Code is the digest of half a code by which a password is set.
	Credential *Credential `cbor:"50,keyasint,omitempty"`
	Password   string      `cbor:"51,keyasint,omitempty"`
	Code       []byte      `cbor:"52,keyasint,omitempty"`
	Importing  *Importing  `cbor:"100,keyasint,omitempty"` // of an import
	Erased     *Erasure    `cbor:"85,keyasint,omitempty"`  // of a proposal to erase, and of kind erasing
	Unmask     *Unmasking  `cbor:"95,keyasint,omitempty"`  // of a proposal to show two people who About is
	// Finding is a line of a finding as JSON, whose ID is ID and whose first person is About. Position is the entry of the access stream that
	// detection had read last, and Taken that of this stream.
	Finding  []byte    `cbor:"110,keyasint,omitempty"`
	Position uint64    `cbor:"111,keyasint,omitempty"`
	Taken    uint64    `cbor:"112,keyasint,omitempty"`
	Response *Response `cbor:"113,keyasint,omitempty"`
	// Grown says of a finding that an earlier line of it is on record. Settled are, of the approval by which a case is closed, the findings that it had.
	Grown   bool      `cbor:"124,keyasint,omitempty"`
	Settled []Settled `cbor:"125,keyasint,omitempty"`
	// Customer is, of a proposal to erase, because of whom: what entries say of others, too, is said again from the entry after Position on.
	Customer Subject `cbor:"126,keyasint,omitempty"`
	// Sealed says of which customer that he does not exist, to who has the key. Planting is what was asked for, CanaryHeard what came.
	Sealed      []byte       `cbor:"140,keyasint,omitempty"`
	Planting    *Planting    `cbor:"141,keyasint,omitempty"`
	CanaryHeard *CanaryHeard `cbor:"142,keyasint,omitempty"`
	Drill       *DrillRun    `cbor:"143,keyasint,omitempty"`
	Judged      *Judged      `cbor:"150,keyasint,omitempty"` // of report_judged
	Case        *CaseStep    `cbor:"151,keyasint,omitempty"` // of case, and of a proposal the step that it is to take
	// Copies are, of kind erasing, where the same entries stand in gateways' own streams. Of is whose stream it is that Erased, or what was
	// erased, is about: a gateway's; empty: one here.
	Copies    []Copied     `cbor:"152,keyasint,omitempty"`
	Of        string       `cbor:"153,keyasint,omitempty"`
	CasesFrom uint64       `cbor:"170,keyasint,omitempty"` // of case: findings from this entry of the stream on open cases
	Assured   *AssuredCall `cbor:"160,keyasint,omitempty"` // of assured_call
	Program   *ProgramStep `cbor:"176,keyasint,omitempty"` // of program
	// Training is of kind training. Drilled is the report of a drill as JSON, where it ended.
	Training *TrainingStep `cbor:"180,keyasint,omitempty"`
	Drilled  []byte        `cbor:"181,keyasint,omitempty"`
	// Entering are those of Moving in which what is written is plain as yet: everybody is to have heard that they move before anybody makes tokens.
	Entering []string      `cbor:"182,keyasint,omitempty"`
	APIToken *APIToken     `cbor:"164,keyasint,omitempty"` // of a proposal to make one
	Once     *Once         `cbor:"165,keyasint,omitempty"` // of once
	Link     *CustomerLink `cbor:"167,keyasint,omitempty"` // of customer_link
	Passkey  *Passkey      `cbor:"166,keyasint,omitempty"` // of one that was added, used or ended
}

// Response is one step because of a finding. Of what takes effect by an entry of its own kind (trust, suspend, lock, grant_ended) it stands there.
type Response struct {
	ID       string `cbor:"1,keyasint"` // FINDING/STEP
	Finding  string `cbor:"2,keyasint"`
	Step     string `cbor:"3,keyasint"`           // throttle, step_up, second_person, mask, suspend, lock, revoke, database, provider, hold, page
	State    string `cbor:"4,keyasint"`           // would, asked, done, failed, reversed
	Held     *Held  `cbor:"5,keyasint,omitempty"` // of hold
	Attempts int    `cbor:"6,keyasint,omitempty"` // of what is done outside
	Trouble  string `cbor:"7,keyasint,omitempty"` // of failed: why
}

// Settled is a finding about which people have come to an end.
type Settled struct {
	Finding string `cbor:"1,keyasint"`
	About   Staff  `cbor:"2,keyasint,omitempty"`
}

// Held are entries of the access stream that must be kept as evidence.
type Held struct {
	From uint64 `cbor:"1,keyasint"`
	To   uint64 `cbor:"2,keyasint"`
}

// Unmasking says whom, as he is known to those who browse, and for how long from the approval on.
type Unmasking struct {
	Pseudonym string        `cbor:"1,keyasint"`
	Lasts     time.Duration `cbor:"2,keyasint"`
}

// Credential is what a person logs in with for a while, after the identity provider said who he is. Nobody can log in by what stands here.
type Credential struct {
	Digest  []byte    `cbor:"1,keyasint"` // SHA-256 of its text
	Until   time.Time `cbor:"2,keyasint,omitzero"`
	Proven  time.Time `cbor:"3,keyasint,omitzero"`  // when he proved to the provider who he is; zero: it did not say
	Factors bool      `cbor:"4,keyasint,omitempty"` // with more than a password
}

// APIToken is what a program logs in with in somebody's name, for a few things and a while.
type APIToken struct {
	Scopes []string  `cbor:"1,keyasint"`
	Until  time.Time `cbor:"2,keyasint,omitzero"`
}

// Passkey is the public half of a key that lies in an authenticator of somebody's. Nobody can log in by what stands here.
type Passkey struct {
	ID     []byte `cbor:"1,keyasint"`
	Public []byte `cbor:"2,keyasint,omitempty"` // COSE key (RFC 9053)
	Count  uint32 `cbor:"3,keyasint,omitempty"` // of its uses, as far as it counts them
	Backup bool   `cbor:"4,keyasint,omitempty"` // it may be copied to other devices of his by who made it
	Kind   []byte `cbor:"5,keyasint,omitempty"` // AAGUID: the model
	Label  string `cbor:"6,keyasint,omitempty"` // what he calls it
}

// Once tells one call from another: the key that its caller gave it, with who he is and what he called, and its body, both as SHA-256.
type Once struct {
	Key  []byte `cbor:"1,keyasint"`
	Body []byte `cbor:"2,keyasint"`
}

// Leaf names the key that one token has to itself.
type Leaf struct {
	Group string // join group
	Epoch int
	At    uint64 // the first bytes of the token's handle, the lowest bit set
}

// GoneKeys are keys of one join group and epoch that are destroyed.
type GoneKeys struct {
	Group  string   `cbor:"1,keyasint"`
	Epoch  int      `cbor:"2,keyasint"`
	Leaves []uint64 `cbor:"3,keyasint"`
}

// Ring is what may be known of a ring of keys without being able to open it.
type Ring struct {
	Serial uint64    `cbor:"1,keyasint"` // one more with each change
	Keys   []RingKey `cbor:"2,keyasint"`
}

// RingKey is one data key of a ring.
type RingKey struct {
	Tenant string `cbor:"1,keyasint"`
	Group  string `cbor:"2,keyasint,omitempty"` // join group; empty: for digests in the record
	Epoch  int    `cbor:"3,keyasint"`
	ID     []byte `cbor:"4,keyasint,omitempty"` // tells the key from another one of the same epoch; empty: it was destroyed
}
