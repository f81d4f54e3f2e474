// Package config is sallyport.yaml: its keys with what they mean, how it is read, held to sense and completed by an editor (the JSON schema). It reads
// files that the configuration names, and asks neither the database nor the network.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/api"
	"sallyport/catalog"
	"sallyport/exposure"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/staff"
)

// Config is sallyport.yaml. What stands here is the reference: the comment of a field says what it means, its tag how it is
// written, and examples/sallyport.yaml shows all of them. Paths are relative to the folder of the file.
type Config struct {
	// Version of this format: 1.
	Version int `yaml:"version"`

	// Upstream is the PostgreSQL that Sallyport stands in front of.
	Upstream Upstream `yaml:"upstream"`

	// Listen is HOST:PORT for clients, or unix:PATH. Other than loopback addresses need TLS while columns are protected.
	Listen string `yaml:"listen"`

	// ListenMode is the mode of the socket under unix:PATH, in octal; empty: 0777, as PostgreSQL's own (unix_socket_permissions).
	ListenMode string `yaml:"listen_mode"`

	// TLS towards clients; empty: none.
	TLS TLS `yaml:"tls"`

	// Protect says which columns hold personal data and how a row finds its customer. Empty: nothing is protected.
	Protect catalog.Config `yaml:"protect"`

	// Keys says who opens the keys of the data folder. Empty: the file of --key-file.
	Keys Keys `yaml:"keys"`

	// Record says who opens the key that encrypts the record, and how much room it may take. Empty: who opens the others, and all there is.
	Record Record `yaml:"record"`

	// Mask says which columns are masked in results while their values stay in the database as they are. That protects nothing:
	// docs/masking.md says what it cannot promise.
	Mask catalog.MaskConfig `yaml:"mask"`

	// Purposes says where tickets and contacts stand, which reasons are checked against.
	Purposes purpose.Config `yaml:"purposes"`

	// Services are programs with access, by id.
	Services map[string]Service `yaml:"services"`

	// Assertions are who signs for whom an application acts, by name (docs/applications.md). Empty: no application acts for anybody.
	Assertions map[string]AssertionSource `yaml:"assertions"`

	// People are the staff with access, by id.
	People map[string]Person `yaml:"people"`

	// LogIn says how people prove to Sallyport itself who they are: at the company's identity provider, or by a certificate. Empty: at the
	// database, and for commands by a password.
	LogIn LogIn `yaml:"login"`

	// API is where commands from other machines reach serve. Empty: the control socket alone.
	API API `yaml:"api"`

	// Console is where the pages for staff are: docs/console.md. Empty: there are none.
	Console ConsoleConfig `yaml:"console"`

	// Customers is where the pages for customers are: docs/customers.md. Empty: there are none.
	Customers CustomersConfig `yaml:"customers"`

	// Firms are outside organisations whose people have access, such as service providers and contractors, by name: docs/programme.md.
	Firms map[string]Firm `yaml:"firms"`

	// Program is what the insider-threat programme is held to: docs/programme.md. Empty: nothing is checked.
	Program ProgramConfig `yaml:"program"`

	// Directory says who else tells about the staff: the identity provider, files. docs/directory.md says how.
	Directory DirectoryConfig `yaml:"directory"`

	// Networks is a CSV file of network,country (10.4.0.0/16,DE): where somebody connects from. Empty: unknown.
	Networks string `yaml:"networks"`

	// LocksPerHour is how many people one person may lock in an hour; a lock more waits for a second person. 0: 10.
	LocksPerHour int `yaml:"locks_per_hour"`

	// Budgets bound how many distinct customers somebody may see.
	Budgets Budgets `yaml:"budgets"`

	// Demonstration says that a log-in at the database is proof enough of who somebody is: for trying Sallyport out, where there is
	// nobody to protect. Without it people confirm once a shift who they are.
	Demonstration bool `yaml:"demonstration"`

	// Ledger says who else sees the ledger of the record.
	Ledger LedgerConfig `yaml:"ledger"`

	// Gateways are several serve in front of one database that share what one of them counts: docs/gateways.md.
	Gateways GatewaysConfig `yaml:"gateways"`

	// Retention says how long entries of the record are kept, and which are kept in any case.
	Retention RetentionConfig `yaml:"retention"`

	// Policies is the folder with the Cedar policies that decide who sees what, and with their cases. Empty: the program's own,
	// which 'sallyport policy init DIR' writes into a folder.
	Policies string `yaml:"policies"`

	// Grants are permissions to see what no reason of one's own covers: who must approve them, and those that stand here.
	Grants Grants `yaml:"grants"`

	// Detect says how insiders are looked for while serve runs.
	Detect DetectConfig `yaml:"detect"`

	// Respond says what is done about what is found.
	Respond RespondConfig `yaml:"respond"`

	// Drain is how long transactions under way may take to their end when serve is told to stop, such as 30s or 2m; sessions
	// that do nothing end at once. Empty: 30s.
	Drain string `yaml:"drain"`

	// Replication lists database roles that may replicate through the gateway (pg_basebackup, pg_receivewal, subscribers). They
	// get whole tables, as tokens. Empty: nobody while columns are protected.
	Replication []string `yaml:"replication"`

	// Powers names who may change privileges, roles, functions and the like through the gateway: kind of statement → ids of
	// people and services. docs/statements.md lists the kinds. Absent: nobody while columns are protected or masked.
	Powers map[string][]string `yaml:"powers"`

	// Copy names the services that may move tokens to other rows, or rows to other customers: schema.table.column → ids. A column
	// is a protected one, or one through which rows find their customer. Nobody else may, but purposes.ticket.routers and
	// purposes.contact.writers for the customer of a ticket and of a contact.
	Copy map[string][]string `yaml:"copy"`

	// Export are the places to which serve writes the record for other systems (docs/export.md).
	Export []ExportOutput `yaml:"export"`

	// Metrics is where Prometheus reads counts, which name nobody. Empty: nowhere.
	Metrics MetricsConfig `yaml:"metrics"`

	// History is the past in columns, beside the record: docs/history.md.
	History HistoryConfig `yaml:"history"`

	// Canary says how customers who do not exist are planted, and what each viewer of one is shown: docs/canaries.md.
	Canary CanaryConfig `yaml:"canary"`
	// Reports are what customers tell of scam calls in the company's name: docs/trace.md.
	Reports ReportsConfig `yaml:"reports"`

	// Blast says what tells customers apart for who counts those affected: docs/blast.md.
	Blast BlastConfig `yaml:"blast"`

	// Drill says by which accounts thefts are played to see what would become of one: docs/drills.md.
	Drill DrillConfig `yaml:"drill"`

	// Training says whether people are given lessons for mistakes, and where courses and phishing tests are told of: docs/programme.md#training.
	Training TrainingConfig `yaml:"training"`

	File   string        `yaml:"-"` // where it was read from
	Hash   string        `yaml:"-"` // SHA-256 of the file, for the record
	Text   string        `yaml:"-"` // of the file
	Roster *staff.Roster `yaml:"-"` // everybody, for commands that were given a list; nil: the configuration's people
	Kept   []policy.Text `yaml:"-"` // the policies that hold, whatever their folder has by now; nil: those of the folder
	Places *Document     `yaml:"-"` // where each key stands
}

// Upstream is the server behind.
type Upstream struct {
	Address   string      `yaml:"address"`   // HOST:PORT, or unix:PATH
	Database  string      `yaml:"database"`  // the protected database; every other database of the server is relayed, or refused
	TLS       UpstreamTLS `yaml:"tls"`       // on the way to the server
	Reader    Reader      `yaml:"reader"`    // Sallyport's own log-in, which reads tickets and contacts to check reasons
	Verifiers string      `yaml:"verifiers"` // the database with the function of `sallyport check --sql`; empty: Database
	Enter     []Enter     `yaml:"enter"`     // log-ins that Sallyport ends itself, and how it enters the database for them; the first that fits holds
	Others    string      `yaml:"others"`    // the server's other databases: relay (default) or refuse. Roles, rights and settings of the server can be changed from any of them
}

// UpstreamTLS is how the server is reached over TCP. Files are PEM.
type UpstreamTLS struct {
	// Mode is libpq's sslmode (disable, prefer, require, verify-ca, verify-full), or mirror: TLS if the client came with TLS.
	// Empty: mirror; but verify-full for an address that is not loopback while columns are protected, and then verify-ca at least.
	Mode        string `yaml:"mode"`
	CA          string `yaml:"ca"`          // who signs the server's certificate; empty: the system's authorities
	ServerName  string `yaml:"server_name"` // that stands in it; empty: the host of the address
	Certificate string `yaml:"certificate"` // shown to the server; empty: none
	Key         string `yaml:"key"`         // of that certificate
}

// Reader is the role that reads for Sallyport itself.
type Reader struct {
	User         string `yaml:"user"`          // the role, which protect makes
	PasswordFile string `yaml:"password_file"` // one line; mode 0600
}

// TLS names a certificate chain and its key, both PEM. They are read again when they change, and on SIGHUP.
type TLS struct {
	Certificate string `yaml:"certificate"` // the chain, its own first
	Key         string `yaml:"key"`         // of the certificate

	// ClientCA signs the clients' certificates. With it every client over TCP shows one whose common name is the role that he
	// logs in as (clientcert=verify-full in PostgreSQL's words), besides whatever the server asks him for.
	ClientCA string `yaml:"client_ca"`
}

// Service is a program's account.
type Service struct {
	Logins  []string `yaml:"logins"`   // database roles that it logs in with
	Team    string   `yaml:"team"`     // whose budgets it has; empty: the default ones
	Owner   string   `yaml:"owner"`    // the person who answers for it, by id; must be there for one that acts for people
	ActsFor ActsFor  `yaml:"acts_for"` // people for whom it may act; empty: nobody
}

// Person is a member of staff.
type Person struct {
	Name     string           `yaml:"name"`     // as people call him
	Team     string           `yaml:"team"`     // whose budgets he has; empty: the default ones
	Role     string           `yaml:"role"`     // agent, lead, engineer, dba, security; empty: for the directory's sources to say
	Logins   []string         `yaml:"logins"`   // database roles that are his; none: he gives orders only, by his password
	Timezone string           `yaml:"timezone"` // his, such as Europe/Berlin, for policies that speak of hours; empty: that of the machine
	Shift    string           `yaml:"shift"`    // his working time, 08:00-16:00; over midnight 22:00-06:00; empty: always
	KnownAs  []string         `yaml:"known_as"` // what the sources of purposes call him besides his id and log-ins: an e-mail address, an id in Zendesk
	Password api.PasswordHash `yaml:"password"` // for commands, made with 'sallyport passwd'; empty: may not use them
	SameAs   string           `yaml:"same_as"`  // id of his first account, where this is another one of the same person: they approve as one

	Manager    string `yaml:"manager"`    // id of whom he reports to; empty: for the directory's sources to say
	Employment string `yaml:"employment"` // employed, notice, leave or left; of what this and the sources say the strictest counts
	Firm       string `yaml:"firm"`       // the outside firm that he is of, one of firms; empty: none, or for the directory's sources to say
	Until      string `yaml:"until"`      // last day of his contract, such as 2027-01-31: after it he may nothing any more; empty: nobody said
	Account    string `yaml:"account"`    // his user name at the identity provider, where his id is another one
}

// Budgets of everybody, and of teams where they differ. A number that is 0 or absent is the default.
type Budgets struct {
	Default exposure.Budgets            `yaml:"default"` // of everybody
	Teams   map[string]exposure.Budgets `yaml:"teams"`   // of each of a team, by its name, where they differ
	Shared  SharedBudgets               `yaml:"shared"`  // of all together who have something in common: customers revealed. Who reaches one is cut, and nobody is suspended
}

// Of is what each of a team may see: the team's budgets, else those of everybody, else the built-in ones. An hour for which nobody configured anything may
// use up the day.
func (b *Budgets) Of(team string) exposure.Budgets {
	of := b.Teams[team].Over(b.Default)
	for _, m := range []*exposure.Budget{&of.Revealed, &of.Reached, &of.Probed} {
		if m.Hour == 0 {
			m.Hour = m.Day
		}
	}
	return of.Over(exposure.Default())
}

// maxConfig bounds the file; a directory of 10,000 people takes about 2 MiB.
const maxConfig = 16 << 20

// Load reads and checks a configuration. What is wrong with it comes back as an *Error with every problem.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > maxConfig {
		return nil, fmt.Errorf("read configuration %s: it has %d bytes, at most %d are read", path, info.Size(), maxConfig)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, text)
}

// Parse checks the text of a configuration; path is what errors name and what relative paths start from.
func Parse(path string, text []byte) (*Config, error) {
	sum := sha256.Sum256(text)
	c := &Config{File: path, Hash: hex.EncodeToString(sum[:]), Text: string(text)}
	r := ReadYAML(text, c)
	c.Protect.Masked = c.Mask.Columns
	if len(r.Problems) == 0 {
		c.Check(r)
	}
	if len(r.Problems) > 0 {
		return nil, &Error{File: path, Problems: r.Sorted()}
	}
	c.Places = r
	return c, nil
}

// Misfits says where in the file stands what the database does not have. It is nil where there are none. Paths begin with
// purposes, or are below protect.
func (c *Config) Misfits(problems catalog.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	r := &Document{}
	if c.Places != nil {
		r.Keys, r.values = c.Places.Keys, c.Places.values
	}
	for _, p := range problems {
		path := sectionPath(p.Path)
		r.problemAt(path, "%s", p.Text)
	}
	return &Error{File: c.File, Problems: r.Sorted()}
}

// sectionPath is where a problem of the catalogue stands in the file.
func sectionPath(path string) string {
	if strings.HasPrefix(path, "purposes.") || strings.HasPrefix(path, "mask.") {
		return path
	}
	return "protect." + path
}

// PurposeMisfits are the columns of reasons that the database does not have.
func (c *Config) PurposeMisfits(s *catalog.Snapshot) catalog.Problems {
	found := c.Purposes.CheckDatabase(s)
	for i := range found {
		found[i].Path = "purposes." + found[i].Path
	}
	return found
}

// Protects tells whether any column is protected.
func (c *Config) Protects() bool { return len(c.Protect.Columns) > 0 }

// Path is a file that the configuration names.
func (c *Config) Path(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(c.File), name)
}
