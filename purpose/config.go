package purpose

import (
	"fmt"
	"slices"
	"strings"

	"sallyport"
	"sallyport/catalog"
)

// Config says where reasons stand. Without a ticket table no ticket counts; without a contact table no contact supports one.
type Config struct {
	Ticket  TicketSource  `yaml:"ticket"`  // where tickets stand; absent: no ticket is a reason
	Contact ContactSource `yaml:"contact"` // where calls, mails and chats stand; absent: none supports a ticket

	Kinds    map[string]Kind         `yaml:"kinds"`    // ticket, call, job → by which source they are checked, where that is not the protected database
	Sources  map[string]SourceConfig `yaml:"sources"`  // other systems that say what is a reason, by a name of yours
	Webhooks WebhooksConfig          `yaml:"webhooks"` // where sources listen that other systems send to
}

// TicketSource is the table of tickets. All fields but Table and the lists name columns of it.
type TicketSource struct {
	Table    string            `yaml:"table"`     // schema.table
	ID       string            `yaml:"id"`        // digits
	Number   string            `yaml:"number"`    // what people call the ticket; may be empty
	Customer string            `yaml:"customer"`  // the customer's key
	Assignee string            `yaml:"assignee"`  // a log-in
	State    string            `yaml:"state"`     // open or closed, as words
	Open     []string          `yaml:"open"`      // the states in which a ticket is a reason
	OpenedAt string            `yaml:"opened_at"` // a time stamp
	Routers  []sallyport.Staff `yaml:"routers"`   // services whose word about tickets counts
}

// ContactSource is the table of calls, mails and chats as the telephone and mail systems saw them.
type ContactSource struct {
	Table     string            `yaml:"table"`     // schema.table
	ID        string            `yaml:"id"`        // its key
	Customer  string            `yaml:"customer"`  // the customer's key
	Ticket    string            `yaml:"ticket"`    // may be null in a row
	Staff     string            `yaml:"staff"`     // who took it, a log-in; may be null in a row
	Direction string            `yaml:"direction"` // who began, as words
	Incoming  []string          `yaml:"incoming"`  // the directions that mean that the customer began
	At        string            `yaml:"at"`        // a time stamp
	Writers   []sallyport.Staff `yaml:"writers"`   // services whose rows count
}

// Check says what is wrong with the configuration by itself, given the ids of the configured services.
func (c *Config) Check(services []sallyport.Staff) []catalog.Problem {
	var found []catalog.Problem
	report := func(path, format string, args ...any) {
		found = append(found, catalog.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	t, k := &c.Ticket, &c.Contact
	if t.Table != "" {
		checkTable(report, "ticket.table", t.Table)
		checkNamed(report, "ticket", map[string]string{
			"id": t.ID, "customer": t.Customer, "assignee": t.Assignee, "state": t.State, "opened_at": t.OpenedAt,
		})
		if len(t.Open) == 0 {
			report("ticket.open", "expected the states of an open ticket, for example [open, pending]")
		}
		checkServices(report, "ticket.routers", t.Routers, services)
	}
	if k.Table != "" {
		checkTable(report, "contact.table", k.Table)
		checkNamed(report, "contact", map[string]string{
			"id": k.ID, "customer": k.Customer, "ticket": k.Ticket, "staff": k.Staff, "direction": k.Direction, "at": k.At,
		})
		if len(k.Incoming) == 0 {
			report("contact.incoming", "expected the directions of a contact that the customer began, for example [in]")
		}
		if t.Table == "" {
			report("contact", "contacts support tickets, and no ticket table is configured; expected purposes.ticket")
		}
		checkServices(report, "contact.writers", k.Writers, services)
	}
	c.checkOutside(report)
	slices.SortFunc(found, func(a, b catalog.Problem) int { return strings.Compare(a.Path, b.Path) })
	return found
}

func checkTable(report func(path, format string, args ...any), path, table string) {
	if schema, name, ok := strings.Cut(table, "."); !ok || schema == "" || name == "" || strings.Contains(name, ".") {
		report(path, "expected schema.table, for example support.tickets")
	}
}

func checkNamed(report func(path, format string, args ...any), section string, columns map[string]string) {
	for key, column := range columns {
		if column == "" {
			report(section+"."+key, "expected the name of a column")
		}
	}
}

// checkServices keeps people out of the lists of those whose word counts: that power belongs to configured programs.
func checkServices(report func(path, format string, args ...any), path string, listed, services []sallyport.Staff) {
	for i, id := range listed {
		if !slices.Contains(services, id) {
			report(fmt.Sprintf("%s[%d]", path, i), "%q is not one of the services: only a program's word counts here, never a person's; expected the id of a service", id)
		}
	}
}

// Tables are the tables whose committed writes become facts, for the catalogue.
func (c *Config) Tables() catalog.FactTables {
	return catalog.FactTables{Ticket: c.Ticket.Table, Contact: c.Contact.Table}
}
