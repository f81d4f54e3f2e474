package catalog

import (
	"slices"
	"strings"
	"testing"
)

// TestAnchors looks at what is known of rows that others hang on: of tickets here, by whose id messages find their customer. adrift are
// the relations whose rows may be deleted while nothing keeps the messages from hanging on what takes the ticket's place.
func TestAnchors(t *testing.T) {
	const foreignKey = "ALTER TABLE support.messages DROP CONSTRAINT messages_ticket_id_fkey; ALTER TABLE support.messages ADD CONSTRAINT k FOREIGN KEY (ticket_id) REFERENCES support.tickets "
	for _, c := range []struct{ name, ddl, anchors, adrift string }{
		{"the reference schema", "SELECT 1", "tickets", ""},
		{"views over it", "CREATE VIEW support.v AS SELECT subject FROM support.tickets; CREATE VIEW support.w AS SELECT * FROM support.v", "tickets v w", ""},
		{"children go with it", foreignKey + "ON DELETE CASCADE", "tickets", ""},
		{"a key that waits", foreignKey + "DEFERRABLE", "tickets", "tickets"},
		{"a key that was never looked at", foreignKey + "NOT VALID", "tickets", "tickets"},
		{"no key", "ALTER TABLE support.messages DROP CONSTRAINT messages_ticket_id_fkey; CREATE VIEW support.v AS SELECT state FROM support.tickets", "tickets v", "tickets v"},
		{
			"no key, and tickets go with customers", `ALTER TABLE support.messages DROP CONSTRAINT messages_ticket_id_fkey; ALTER TABLE support.tickets DROP CONSTRAINT tickets_customer_id_fkey;
			ALTER TABLE support.tickets ADD FOREIGN KEY (customer_id) REFERENCES support.customers ON DELETE CASCADE`, "tickets", "customers tickets",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, reader := database(t, tables, c.ddl)
			s := open(t, reader, config()).Snapshot()
			var anchors, adrift []string
			for _, r := range s.Schema.Relations {
				for _, a := range r.Anchors {
					if a.String() != "support.tickets.id" {
						t.Errorf("%s has the anchor %s", r.Name, a)
					}
					anchors = append(anchors, r.Name)
				}
				if len(r.Adrift) > 0 {
					adrift = append(adrift, r.Name)
				}
			}
			slices.Sort(anchors)
			slices.Sort(adrift)
			got := strings.Join(anchors, " ") + " | " + strings.Join(adrift, " ")
			if want := c.anchors + " | " + c.adrift; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}
