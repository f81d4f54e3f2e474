package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"

	"sallyport"
)

// World is what policies can speak of: the catalogue and the directory. Lists hold no doubles; their order means nothing.
type World struct {
	Teams    []string
	Roles    []string
	Staff    []Member
	Services []Service
	Columns  []Column
}

// Member is somebody of the directory.
type Member struct {
	ID         sallyport.Staff
	Team, Role string // empty: none
	Manager    sallyport.Staff
	Employment string // employed, notice, leave, left; empty: employed
	Firm       string // of outside; empty: he is the company's own
}

// Service is a program's account.
type Service struct {
	ID    sallyport.Staff
	Team  string
	Owner sallyport.Staff // a person; empty: nobody is named
}

// Column is a protected column, or one through which rows find their customer: that has no class.
type Column struct {
	sallyport.Column
	Class  sallyport.Class
	Scheme sallyport.Scheme
}

// The entity types of the schema.
const (
	typeStaff    = types.EntityType("Staff")
	typeService  = types.EntityType("Service")
	typeTeam     = types.EntityType("Team")
	typeRole     = types.EntityType("Role")
	typeColumn   = types.EntityType("Column")
	typeTable    = types.EntityType("Table")
	typeClass    = types.EntityType("Class")
	typeKind     = types.EntityType("Kind")
	typeStrength = types.EntityType("Strength")
	typeSystem   = types.EntityType("System")
	typeAction   = types.EntityType("Action")
)

// The actions that policies decide about.
const (
	ActionQuery       = "query"       // a statement that touches a table with protected columns
	ActionReveal      = "reveal"      // a value of a column leaves in plain
	ActionSearch      = "search"      // a value is searched in a column, by its token
	ActionExport      = "export"      // values of a column leave in plain by COPY
	ActionWrite       = "write"       // a value is written into a column
	ActionApprove     = "approve"     // somebody's request or proposal is granted, or declined
	ActionInvestigate = "investigate" // the record, the directory and other people's grants are read
	ActionAdminister  = "administer"  // Sallyport itself is changed, or that is proposed: locks, keys, files, protection
	ActionReplicate   = "replicate"   // whole tables leave, as tokens
)

// Strength is how well a log-in proves who somebody is.
type Strength string

// The strengths, weakest first.
const (
	NoLogin     Strength = "none"        // nobody has proven anything
	ByMD5       Strength = "md5"         // the database checked an MD5 hash
	ByDatabase  Strength = "database"    // the database checked a password: who can write pg_authid can pass as anybody
	ByClaim     Strength = "claim"       // a service says so, with a key that it holds itself
	ByPassword  Strength = "password"    // Sallyport's own password
	ByIssuer    Strength = "issuer"      // an application shows the issuer's word about a person
	ByOIDC      Strength = "oidc"        // the company's identity provider
	Certificate Strength = "certificate" // a client certificate
	ByPasskey   Strength = "passkey"     // a passkey
)

// Strengths are all of them, weakest first.
func Strengths() []Strength {
	return []Strength{NoLogin, ByMD5, ByDatabase, ByClaim, ByPassword, ByIssuer, ByOIDC, Certificate, ByPasskey}
}

// Kinds are the kinds of purposes.
func Kinds() []string { return []string{Ticket, Work, Call, Job, ByGrant} }

// classes are all of sallyport.Class.
func classes() []sallyport.Class {
	return []sallyport.Class{sallyport.Identity, sallyport.Contact, sallyport.Content, sallyport.Reference}
}

// Schema is the Cedar schema that policies are held to.
func (w *World) Schema() string {
	var b strings.Builder
	enum := func(name string, values []string) {
		if len(values) == 0 {
			values = []string{""} // an enumeration has a member at least; nothing is in this one
		}
		quoted := make([]string, len(values))
		for i, v := range slices.Sorted(slices.Values(values)) {
			quoted[i] = string(types.String(v).MarshalCedar())
		}
		fmt.Fprintf(&b, "entity %s enum [%s];\n", name, strings.Join(quoted, ", "))
	}
	b.WriteString("// Who asks. Teams, roles and classes are those of the configuration: others are mistakes.\n")
	enum("Team", w.Teams)
	enum("Role", w.Roles)
	enum("Class", asText(classes()))
	enum("Kind", Kinds())
	enum("Strength", asText(Strengths()))
	b.WriteString(fixedSchema)
	return b.String()
}

func asText[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

// fixedSchema is what is the same everywhere. Its comments are read by who writes policies (`sallyport policy schema`).
const fixedSchema = `entity Staff in [Team, Role] {
  employment: String,        // employed, notice, leave, left
  firm?: String,             // the outside firm that he is of; absent: he is the company's own
  manager?: Staff,
};
entity Service in [Team] {
  owner?: Staff,
};

// About what: Column::"support.customers.email", in Table::"support.customers" and Class::"contact".
entity Table;
entity Column in [Table, Class] {
  scheme: String,            // email, phone, name, …; empty where nothing is tokenised
  copiers: Set<Service>,     // whom copy: of the configuration names
  attesters: Set<Service>,   // whose word about tickets or contacts counts
};
entity System;               // System::"sallyport": the actions about Sallyport itself

// Why. Facts that somebody made himself are not his: mine, open and contacted are by the word of others.
type Purpose = {
  kind: Kind,
  covers: Bool,              // it is about this very customer
  open: Bool,                // the ticket is open, the job approved, the call under way
  state: String,             // as the ticket's source writes it
  mine: Bool,                // the principal's own
  team?: Team,               // of whom it is assigned to
  minutes: Long,             // since it was opened
  openedBySelf: Bool,
  assignedBySelf: Bool,
  contacted: Bool,           // the customer got in touch
  looks: Long,               // how often anybody saw this customer in 24 hours
  lookers: Long,             // how many people did
  ownLooks: Long,            // how often the principal did: his own doing, so nothing that speaks for him
  assignee?: Staff,          // of whom is known
  openedBy?: Staff,          // a person who opened it, or says whose it is
  assignedBy?: Staff,        // a person who assigned it; of a job who approved it
  openedByProgram?: String,  // a program that did, by the name that its system has for it
  assignedByProgram?: String,
};

// A grant that two people approved, for this column.
type Grant = {
  id: String,
  customers: Long,           // it was asked for
  left: Long,                // are still unused
};

type Context = {
  purpose?: Purpose,
  grant?: Grant,
  via?: Service,             // the application that speaks for the principal
  strength: Strength,        // of the log-in
  mfaMinutes?: Long,         // since the person last proved who he is, beside the log-in
  secondMinutes?: Long,      // since a colleague last agreed to what he does
  trust: Long,               // 0 to 100
  device?: String,
  address?: ipaddr,
  hour: Long,                // 0 to 23, in the person's zone
  weekday: Long,             // 1 Monday to 7
  onShift: Bool,
  seenHour: Long,            // distinct customers revealed to the principal in an hour,
  seenDay: Long,             // a day,
  seenMonth: Long,           // 30 days
  budgetUsed: Long,          // how much of the principal's own budget is used: percent, in steps of ten
  sharedUsed: Long,          // of the fullest budget that he shares: of his team, application, device, …
  ended?: String,            // what ended his access: review (reveal and export are refused without a grant, whatever policies say), contract (everything is)
  trainingOverdue: Long,     // days since the oldest course or lesson was due that the principal has not done; 0: none is overdue
  named: Bool,               // of approve and replicate: the configuration names the principal, in a rule of grants or under replication
};

action reveal, search, export, write, copy appliesTo {
  principal: [Staff, Service], resource: [Column], context: Context
};
action query, replicate appliesTo {
  principal: [Staff, Service], resource: [Table], context: Context
};
action approve, investigate, administer appliesTo {
  principal: [Staff, Service], resource: [System], context: Context
};
`
