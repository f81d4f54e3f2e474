package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
)

// Config says which columns hold personal data and how a row finds its customer.
type Config struct {
	Customer    CustomerTable           `yaml:"customer"`     // the table with one row a customer
	Columns     map[string]ColumnConfig `yaml:"columns"`      // schema.table.column → how it is protected
	Paths       map[string]string       `yaml:"paths"`        // schema.table → "customer_id" or "ticket_id -> support.tickets"
	EmailDomain string                  `yaml:"email_domain"` // of e-mail tokens: "k1.invalid"
	Masked      map[string]MaskColumn   `yaml:"-"`            // of the section mask, which protects nothing
	States      map[string]State        `yaml:"-"`            // of Columns whose values are not all tokens; absent: Settled
}

// CustomerTable is the table with one row a customer.
type CustomerTable struct {
	Table string `yaml:"table"` // schema.table
	Key   string `yaml:"key"`   // column that identifies a customer
}

// Named is the table's name in parts; empty where it has none of the form schema.table.
func (c CustomerTable) Named() Table {
	t, _ := parseTable(c.Table)
	return t
}

// ColumnConfig is one protected column.
type ColumnConfig struct {
	Class     sallyport.Class   `yaml:"class"`     // identity, contact, content, reference
	Scheme    sallyport.Scheme  `yaml:"scheme"`    // name, email, phone, date, number, text; or after the column's type: timestamp, timestamptz, int4, int8, uuid
	Group     string            `yaml:"group"`     // columns of one join group share a key; empty: the scheme's name
	Prefixes  map[string]string `yaml:"prefixes"`  // of number: plain prefix → prefix of its tokens
	Region    string            `yaml:"region"`    // of phone: numbers without a country code are read as in this country ("DE"); empty: they are refused
	Canonical int               `yaml:"canonical"` // version of the form to which values are brought; 0: 1
	Overflow  string            `yaml:"overflow"`  // "vault": values that the scheme has no token for are kept sealed; empty: they are refused
	Shred     string            `yaml:"shred"`     // "customer", of name and text: each value has a key of its own, which 'keys shred' destroys with its customer; empty: all share the group's
	// NextPrefixes are the prefixes of tokens in every second key epoch: without them the keys of the column cannot be rotated.
	NextPrefixes map[string]string `yaml:"next_prefixes"`
}

// Vault is the value of overflow that keeps values for which the scheme has no token.
const Vault = "vault"

// ShredCustomer is the value of shred that gives each value a key of its own.
const ShredCustomer = "customer"

// Problem is what is wrong with one key of the configuration, as a sentence. Path leads to the key from the section's root:
// "columns.support.customers.email.scheme".
type Problem struct{ Path, Text string }

// Problems is a list of them as an error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Path + ": " + problem.Text
	}
	return strings.Join(lines, "\n")
}

// Check says what is wrong with the configuration by itself, in the order of its keys; Load compares it with the database.
// An empty one protects nothing and is fine.
func (c *Config) Check() []Problem {
	var found []Problem
	report := func(path, format string, args ...any) {
		found = append(found, Problem{path, fmt.Sprintf(format, args...)})
	}
	c.checkMasks(report)
	if c.Customer == (CustomerTable{}) && len(c.Columns) == 0 && len(c.Paths) == 0 {
		return found
	}
	if _, ok := parseTable(c.Customer.Table); !ok {
		report("customer.table", "expected schema.table, for example support.customers")
	}
	if c.Customer.Key == "" {
		report("customer.key", "expected the column that identifies a customer, for example id")
	}
	for _, table := range slices.Sorted(maps.Keys(c.Paths)) {
		if text := c.checkPath(table); text != "" {
			report("paths."+table, "%s", text)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Columns)) {
		c.checkColumn(name, report)
	}
	return found
}

func (c *Config) checkColumn(name string, report func(path, format string, args ...any)) {
	at := "columns." + name
	column, ok := ParseColumn(name)
	if !ok {
		report(at, "expected schema.table.column, for example support.customers.email")
		return
	}
	settings := c.Columns[name]
	switch settings.Class {
	case sallyport.Identity, sallyport.Contact, sallyport.Content, sallyport.Reference:
	default:
		report(at+".class", "there is no class %q: expected identity, contact, content or reference", settings.Class)
	}
	switch settings.Scheme {
	case sallyport.Number:
	case sallyport.Email, sallyport.Phone, sallyport.Name, sallyport.Text, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz,
		sallyport.Int4, sallyport.Int8, sallyport.UUID:
		if len(settings.Prefixes)+len(settings.NextPrefixes) > 0 {
			report(at+".prefixes", "only the scheme number has prefixes; expected none here")
		}
	case "int2", "smallint":
		report(at+".scheme", "there is no scheme %q: a smallint has 65,536 values, fewer than the million below which tokens can be guessed (SP 800-38G Rev. 1); make the column an integer", settings.Scheme)
	default:
		report(at+".scheme", "there is no scheme %q: expected name, email, phone, date, number or text, or after the column's type timestamp, timestamptz, int4, int8 or uuid", settings.Scheme)
	}
	c.checkOverflow(at, settings, report)
	checkShred(at, settings, report)
	if settings.Region != "" && settings.Scheme != sallyport.Phone {
		report(at+".region", "only the scheme phone has a region; expected none here")
	}
	if settings.Canonical != 0 && settings.Canonical != 1 {
		report(at+".canonical", "there is no version %d of the canonical form: expected 1", settings.Canonical)
	}
	table := column.Schema + "." + column.Table
	if _, ok := c.Paths[table]; !ok && table != c.Customer.Table {
		report(at, "nothing says whose its rows are: expected a line for %s under paths", table)
	}
	if table == c.Customer.Table && column.Name == c.Customer.Key {
		report(at, "the customer's key cannot be protected: everything else finds its customer by it; expected another column")
	}
}

func (c *Config) checkOverflow(at string, settings ColumnConfig, report func(path, format string, args ...any)) {
	if settings.Overflow == "" {
		return
	}
	if settings.Overflow != Vault {
		report(at+".overflow", "there is no overflow %q: expected %s, or no line", settings.Overflow, Vault)
	}
	switch settings.Scheme {
	case sallyport.Email, sallyport.Phone, sallyport.Number, sallyport.Date, sallyport.Timestamp, sallyport.Timestamptz:
	case sallyport.Int4, sallyport.Int8, sallyport.UUID, sallyport.Name, sallyport.Text:
		report(at+".overflow", "every value of the scheme %s has a token; expected no line here", settings.Scheme)
	default: // reported with the scheme
	}
}

func checkShred(at string, settings ColumnConfig, report func(path, format string, args ...any)) {
	if settings.Shred == "" {
		return
	}
	if settings.Shred != ShredCustomer {
		report(at+".shred", "there is no shred %q: expected %s, or no line", settings.Shred, ShredCustomer)
	}
	if s := settings.Scheme; s != sallyport.Name && s != sallyport.Text {
		report(at+".shred", "only the schemes name and text have keys of single values, since all others must give equal values one token; expected no line here")
	}
}

// checkPath follows the path of one table to the customer table.
func (c *Config) checkPath(table string) string {
	const form = "expected COLUMN, or COLUMN -> schema.table, for example ticket_id -> support.tickets"
	if _, ok := parseTable(table); !ok {
		return "expected schema.table in front of the colon, for example support.tickets"
	}
	if table == c.Customer.Table {
		return "this is the customer table: its rows need no path; expected no line for it"
	}
	seen := map[string]bool{}
	for at := table; at != c.Customer.Table; {
		if seen[at] {
			return "the path goes round in a circle and never reaches the customer table; expected a way that ends there"
		}
		seen[at] = true
		step, ok := parseStep(c.Paths[at])
		switch {
		case c.Paths[at] == "":
			return fmt.Sprintf("it leads to %s, which has no line under paths; expected one for it", at)
		case !ok:
			return form
		case step.target == "":
			return ""
		}
		at = step.target
	}
	return ""
}

// step is one hop on the way from a row to its customer.
type step struct {
	column string
	target string // schema.table whose key the column holds; empty: the column holds the customer's key
}

func parseStep(text string) (step, bool) {
	column, target, arrow := strings.Cut(text, "->")
	s := step{strings.TrimSpace(column), strings.TrimSpace(target)}
	if s.column == "" || strings.ContainsAny(s.column, " .\t") {
		return step{}, false
	}
	if _, ok := parseTable(s.target); arrow && !ok {
		return step{}, false
	}
	return s, true
}

// Table names a table or view.
type Table struct{ Schema, Name string }

// String is schema.table, unquoted, as in the configuration.
func (t Table) String() string { return t.Schema + "." + t.Name }

func parseTable(s string) (Table, bool) {
	schema, name, ok := strings.Cut(s, ".")
	if !ok || schema == "" || name == "" || strings.Contains(name, ".") {
		return Table{}, false
	}
	return Table{schema, name}, true
}

// ParseColumn reads schema.table.column.
func ParseColumn(s string) (sallyport.Column, bool) {
	part := strings.Split(s, ".")
	if len(part) != 3 || slices.Contains(part, "") {
		return sallyport.Column{}, false
	}
	return sallyport.Column{Schema: part[0], Table: part[1], Name: part[2]}, true
}
