package cli

import (
	"context"
	"os"
	"path/filepath"
	"strconv"

	"sallyport"
)

// heldStage is the one line of --hold --json.
type heldStage struct {
	Gateway   string        `json:"gateway"` // without user and password
	Direct    string        `json:"direct"`  // the private cluster's superuser
	Staff     []heldStaff   `json:"staff"`
	Services  []heldService `json:"services"`
	Officers  []heldOfficer `json:"officers"`
	Control   string        `json:"control"`
	Data      string        `json:"data"`
	Console   string        `json:"console"`   // pages for the officers
	Customers string        `json:"customers"` // and for customers
}

type heldStaff struct {
	ID       string `json:"id"`
	Password string `json:"password"`
	Ticket   string `json:"ticket"` // the number of a genuine open one
	Customer int64  `json:"customer"`
}

type heldService struct {
	ID       string `json:"id"`
	Password string `json:"password"`
}

// heldOfficer may give orders; his password is that of his database log-in too.
type heldOfficer struct {
	ID       string `json:"id"`
	Password string `json:"password"`
	Role     string `json:"role"`
}

// hold keeps everything running until it is interrupted.
func (d *demo) hold(ctx context.Context) error {
	for _, act := range []func(context.Context) error{d.build, d.protect, d.open} {
		if err := act(ctx); err != nil {
			return err
		}
	}
	held := d.exhibits()
	if d.o.json {
		if err := printJSON(d.m.Stdout, held); err != nil {
			return err
		}
	} else {
		d.printHeld(held)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-d.server.Done():
		return d.server.Err()
	}
}

// exhibits are what a visitor needs.
func (d *demo) exhibits() *heldStage {
	held := &heldStage{Gateway: d.dsn("", d.gatewayAddress(), ""), Direct: d.cluster.SuperDSN(demoDatabase), Control: d.server.Control(), Data: d.data(), Console: "https://" + d.server.Console().String(), Customers: "https://" + d.server.Customers().String()}
	for _, agent := range d.org.Agents() {
		if own := d.org.OpenTickets(agent.ID); len(own) > 0 {
			ticket := d.org.Ticket(own[0])
			held.Staff = append(held.Staff, heldStaff{ID: string(agent.ID), Password: d.passwords[agent.ID], Ticket: ticket.No, Customer: ticket.Customer})
		}
	}
	for _, service := range d.org.Services {
		held.Services = append(held.Services, heldService{ID: string(service), Password: d.passwords[service]})
	}
	for _, officer := range d.officers {
		held.Officers = append(held.Officers, heldOfficer{ID: string(officer.ID), Password: d.passwords[officer.ID], Role: officer.Role})
	}
	return held
}

// printHeld prints what to try.
func (d *demo) printHeld(held *heldStage) {
	agent := held.Staff[0]
	try := func(who sallyport.Staff, statements string) {
		d.say("  psql '%s' %s", d.dsn(who, d.gatewayAddress(), ""), statements)
	}
	order := func(o heldOfficer, line string) {
		d.say("  SALLYPORT_PASSWORD='%s' %s %s --as %s --data %s", o.Password, thisProgram(), line, o.ID, held.Data)
	}
	id := func(i int) sallyport.Staff { return sallyport.Staff(held.Staff[i].ID) }

	d.title("Everything is running. Try it, in another terminal")
	d.say("%s, an agent, says why and reads the customer of his ticket; then his work list; then a customer who is none of his business:", agent.ID)
	try(id(0), `-x -c "SET sallyport.purpose = 'ticket:`+agent.Ticket+`'" -c "SELECT * FROM support.customers WHERE id = `+number(agent.Customer)+`"`)
	try(id(0), `-c "SET sallyport.purpose = 'work:mine'" -c "SELECT id, ticket_no, full_name FROM support.open_cases WHERE assignee = '`+agent.ID+`'"`)
	try(id(0), `-x -c "SELECT * FROM support.customers WHERE id = `+number(agent.Customer%d.org.Customers+1)+`"`)
	d.say("\nSteal: the table, a dump, by a ticket of one's own making. What a thief has then are tokens, and the first one loses his access:")
	try(id(1), `-v FETCH_COUNT=100 -c "SET sallyport.purpose = 'ticket:`+held.Staff[1].Ticket+`'" -c "SELECT * FROM support.customers"`)
	d.say("  pg_dump '%s' --data-only -t support.customers", d.dsn(id(2), d.gatewayAddress(), ""))
	try(id(3), `-c "INSERT INTO support.tickets VALUES (77000001, 'CS-7700-0001', `+number(agent.Customer)+`, '`+held.Staff[3].ID+`', 'support', 'open', 'Please call back', now())"`+
		` -c "SET sallyport.purpose = 'ticket:CS-7700-0001'" -c "SELECT * FROM support.customers WHERE id = `+number(agent.Customer)+`"`)
	d.say("\nAsk who saw whom, see a name with two people, take somebody's access away, give it back with two people:")
	order(held.Officers[0], "who-saw "+number(agent.Customer))
	order(held.Officers[0], "unmask PSEUDONYM --reason 'it is a demonstration'")
	order(held.Officers[1], "approve ID-OF-THE-PROPOSAL")
	order(held.Officers[0], "lock "+agent.ID+" --reason 'laptop stolen'")
	order(held.Officers[0], "unlock "+held.Staff[1].ID+" --reason 'it was a demonstration'")
	order(held.Officers[1], "approve ID-OF-THE-PROPOSAL")
	order(held.Officers[2], "status")
	d.say("\nRather look than read? Pages, with the same log-ins (the certificate is this run's own, so the browser asks):")
	d.say("  %s", held.Console)
	for _, o := range held.Officers {
		d.say("  %s (%s)  password %s", o.ID, o.Role, o.Password)
	}
	d.say("\nWhat customers see, who want to know whether a call is yours:")
	d.say("  %s", held.Customers)
	d.say("\nWhat the database holds, seen by its superuser:")
	d.say("  psql '%s' -x -c 'SELECT * FROM support.customers LIMIT 1'", held.Direct)
	d.say("\nMore log-ins (agents with a ticket each; services):")
	for _, s := range held.Staff[4:min(10, len(held.Staff))] {
		d.say("  %s  password %s  ticket %s  customer %d", s.ID, s.Password, s.Ticket, s.Customer)
	}
	for _, s := range held.Services {
		d.say("  %s  password %s", s.ID, s.Password)
	}
	d.say("\nThe configuration is %s. The theft in five ways, with figures: %s demo. Ctrl-C ends this and removes everything.",
		d.config.File, thisProgram())
}

// thisProgram is how to call it from the same place.
func thisProgram() string {
	path, err := os.Executable()
	if err != nil {
		return "sallyport"
	}
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if relative, err := filepath.Rel(here, path); err == nil && len(relative) < len(path) {
		return relative
	}
	return path
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
