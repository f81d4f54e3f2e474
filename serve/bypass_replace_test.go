package serve

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/sim"
)

// TestBypassReplacedRow puts another row in the place of a ticket, with its id and one's own customer: what hung on the ticket would be
// readable for the reason that one has. A foreign key keeps the ticket where it is, unless one statement does both or none looks.
func TestBypassReplacedRow(t *testing.T) {
	const insert = "INSERT INTO support.tickets (id, ticket_no, customer_id, queue, state, subject, opened_at) "
	const messages = "ALTER TABLE support.messages DROP CONSTRAINT messages_ticket_id_fkey; "
	const contacts = "ALTER TABLE support.contacts DROP CONSTRAINT contacts_ticket_id_fkey; "
	f := newFort(t, rich)
	var engineer sim.Person
	for _, p := range f.org.Staff {
		if p.Role == sim.Engineer {
			engineer = p
		}
	}
	for i, k := range []struct {
		name, around string // what a DBA did around the gateway stays done for the rows below
		sql          []string
	}{
		{"by one statement", "", []string{"WITH d AS (DELETE FROM support.tickets WHERE id = {victim} RETURNING id) " + insert + "SELECT id, 'CS-0900-0001', {own}, 'q', 'open', 'x', now() FROM d"}},
		{"the other way round", "", []string{"WITH i AS (" + insert + "VALUES ({victim}, 'CS-0900-0002', {own}, 'q', 'open', 'x', now())) DELETE FROM support.tickets WHERE id = {victim}"}},
		{"by MERGE", "", []string{`MERGE INTO support.tickets t USING (VALUES ({victim}, 1), ({victim}, 2)) v(id, k) ON t.id = v.id AND v.k = 1 WHEN MATCHED THEN DELETE
			WHEN NOT MATCHED THEN INSERT (id, ticket_no, customer_id, queue, state, subject, opened_at) VALUES (v.id, 'CS-0900-0003', {own}, 'q', 'open', 'x', now())`}},
		{"through a view", "CREATE VIEW support.bare AS SELECT id, queue FROM support.tickets; GRANT ALL ON support.bare TO support_engineers", []string{
			"WITH d AS (DELETE FROM support.bare WHERE id = {victim} RETURNING id) " + insert + "SELECT id, 'CS-0900-0004', {own}, 'q', 'open', 'x', now() FROM d",
		}},
		{"prepared", "", []string{"PREPARE r AS WITH d AS (DELETE FROM support.tickets WHERE id = $1 RETURNING id) " + insert + "SELECT id, 'CS-0900-0005', {own}, 'q', 'open', 'x', now() FROM d", "EXECUTE r ({victim})"}},
		{"in two steps, where no key looks", messages + contacts, []string{"DELETE FROM support.tickets WHERE id = {victim}", insert + "VALUES ({victim}, 'CS-0900-0006', {own}, 'q', 'open', 'x', now())"}},
		{
			"in two steps, where the key waits", "ALTER TABLE support.messages ADD FOREIGN KEY (ticket_id) REFERENCES support.tickets DEFERRABLE INITIALLY DEFERRED NOT VALID",
			[]string{"BEGIN; DELETE FROM support.tickets WHERE id = {victim}", insert + "VALUES ({victim}, 'CS-0900-0007', {own}, 'q', 'open', 'x', now())", "COMMIT"},
		},
		{
			"by the customer's own end", `ALTER TABLE support.messages DROP CONSTRAINT messages_ticket_id_fkey; ALTER TABLE support.contacts DROP CONSTRAINT contacts_customer_id_fkey; ALTER TABLE support.tickets DROP CONSTRAINT tickets_customer_id_fkey;
			ALTER TABLE support.tickets ADD FOREIGN KEY (customer_id) REFERENCES support.customers ON DELETE CASCADE`,
			[]string{"DELETE FROM support.customers WHERE id = {theirs}", insert + "VALUES ({victim}, 'CS-0900-0008', {own}, 'q', 'open', 'x', now())"},
		},
	} {
		t.Run(k.name, func(t *testing.T) {
			who, ticket, own := f.hasTicket(i)
			victim, body := strangeMessage(f, i)
			if k.around != "" {
				f.superExec(f.database, k.around)
				if _, err := f.server.gateway.Protection.Catalog.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			c, refused := f.connect(engineer.ID), false
			for _, sql := range k.sql {
				sql = strings.NewReplacer("{victim}", fmt.Sprint(victim.ID), "{own}", fmt.Sprint(own.ID), "{theirs}", fmt.Sprint(victim.Customer)).Replace(sql)
				if _, err := c.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
					refused = refused || strings.Contains(err.Error(), "SP006")
				}
			}
			if !refused {
				t.Error("nothing of it was refused")
			}
			a := f.connect(who)
			a.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
			if name := a.one(fmt.Sprintf("SELECT full_name FROM support.customers WHERE id = %d", own.ID)); name != own.FullName {
				t.Fatal("the reason covers nothing: the trick is not tried")
			}
			for _, row := range a.must(fmt.Sprintf("SELECT body FROM support.messages WHERE ticket_id = %d", victim.ID)) {
				if row[0] == body || !strings.HasPrefix(row[0], "tk1:") {
					t.Error("somebody else's message is readable")
				}
			}
		})
	}
}

// strangeMessage is a ticket with the text of one of its messages, about a customer of whom nobody's reason is. Each number gives another one.
func strangeMessage(f *fort, number int) (sim.Ticket, string) {
	served := map[int64]bool{}
	for _, a := range f.org.Agents() {
		for _, id := range f.org.OpenTickets(a.ID) {
			served[f.org.Ticket(id).Customer] = true
		}
	}
	for id := int64(1); ; id += 5 {
		m := f.org.Message(id)
		if t := f.org.Ticket(m.Ticket); !served[t.Customer] {
			if number--; number < 0 {
				return t, m.Body
			}
		}
	}
}
