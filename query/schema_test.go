package query

import "sallyport"

// The reference database (DESIGN, support.sql) as the catalogue describes it, with a few relations more that make trouble.

func protect(table, column string, scheme sallyport.Scheme) *Protection {
	return &Protection{Column: sallyport.Column{Schema: "support", Table: table, Name: column}, Scheme: scheme, Group: string(scheme)}
}

func plain(names ...string) []ColumnInfo {
	var out []ColumnInfo
	for _, name := range names {
		out = append(out, ColumnInfo{Name: name, TypeOID: 25})
	}
	return out
}

func number(name string) ColumnInfo { return ColumnInfo{Name: name, TypeOID: 20} }
func link(name string) ColumnInfo   { return ColumnInfo{Name: name, TypeOID: 20, Link: true} }

func guard(table, column string, scheme sallyport.Scheme) ColumnInfo {
	oid := uint32(25)
	if scheme == sallyport.Date {
		oid = 1082
	}
	return ColumnInfo{Name: column, TypeOID: oid, Protect: protect(table, column, scheme)}
}

func table(name string, columns ...[]ColumnInfo) *Relation {
	r := &Relation{Schema: "support", Name: name}
	for _, list := range columns {
		r.Columns = append(r.Columns, list...)
	}
	return r
}

func one(c ...ColumnInfo) []ColumnInfo { return c }

func refSchema() *Schema {
	customers := table("customers",
		one(link("id"), guard("customers", "full_name", sallyport.Name), guard("customers", "email", sallyport.Email),
			guard("customers", "phone", sallyport.Phone), guard("customers", "birth_date", sallyport.Date)),
		plain("country", "plan"), one(guard("customers", "notes", sallyport.Text)), plain("created_at", "segment"))
	tickets := table("tickets",
		one(number("id"), guard("tickets", "ticket_no", sallyport.Number), link("customer_id")), plain("assignee", "queue", "state"),
		one(guard("tickets", "subject", sallyport.Text)), plain("opened_at", "closed_at"))
	tickets.Ticket = true
	tickets.Anchors = []sallyport.Column{{Schema: "support", Table: "tickets", Name: "id"}}
	customers.Columns[0].Customer, tickets.Columns[2].Customer = true, true
	messages := table("messages", one(number("id"), link("ticket_id")), plain("author"), one(guard("messages", "body", sallyport.Text)), plain("sent_at"))
	contacts := table("contacts", one(number("id"), link("customer_id"), number("ticket_id")), plain("channel", "direction", "staff", "at"))
	contacts.Contact = true
	staff := table("staff", plain("id", "name", "team", "role"))
	open := table("open_cases",
		one(number("id"), guard("tickets", "ticket_no", sallyport.Number)), plain("assignee"), one(guard("tickets", "subject", sallyport.Text),
			guard("customers", "full_name", sallyport.Name), guard("customers", "email", sallyport.Email), guard("customers", "phone", sallyport.Phone)))
	open.View = true
	open.Anchors = tickets.Anchors
	labels := table("labels", one(number("id"), ColumnInfo{Name: "label", TypeOID: 25, Opaque: true}))
	labels.View = true
	leads := table("leads", one(number("id"), guard("leads", "email", sallyport.Email), guard("leads", "mobile", sallyport.Phone)), plain("source"))
	orders := table("orders", one(number("id"), link("customer_id")), plain("state")) // no foreign key keeps what hangs on it
	orders.Anchors = []sallyport.Column{{Schema: "support", Table: "orders", Name: "id"}}
	orders.Adrift = orders.Anchors
	inbox := table("inbox", plain("id", "email", "text"))
	inbox.Smuggles = "the trigger inbox_copy writes support.customers.email"
	return NewSchema([]*Relation{customers, tickets, messages, contacts, staff, open, labels, leads, orders, inbox}, map[string]FunctionRisk{
		"find_customer": {Why: "support.find_customer reads support.customers"},
		"add_customer":  {Writes: true, Why: "support.add_customer writes support.customers"},
		"risky_type":    {Why: "the CHECK of support.risky_type reads support.customers"},
		"operator ==>":  {Why: "the operator ==> reads support.customers"},
		"slug":          {},
	})
}

func refFacts() FactColumns {
	return FactColumns{
		Ticket:  TicketColumns{ID: "id", Customer: "customer_id", Assignee: "assignee", State: "state"},
		Contact: ContactColumns{ID: "id", Customer: "customer_id", Staff: "staff", Ticket: "ticket_id", Direction: "direction", At: "at"},
	}
}
