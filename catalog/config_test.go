package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Config)
		want   []string // paths of the problems
	}{
		{"the reference", func(*Config) {}, nil},
		{"nothing", func(c *Config) { *c = Config{} }, nil},
		{"an unknown scheme", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: "mail"}
		}, []string{"columns.support.customers.email.scheme"}},
		{"a smallint", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: "int2"}
		}, []string{"columns.support.customers.email.scheme"}},
		{"a scheme after a type", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.UUID}
		}, nil},
		{"a region", func(c *Config) {
			c.Columns["support.customers.phone"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Phone, Region: "DE", Canonical: 1}
		}, nil},
		{"a region of an e-mail", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email, Region: "DE"}
		}, []string{"columns.support.customers.email.region"}},
		{"another canonical form", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email, Canonical: 2}
		}, []string{"columns.support.customers.email.canonical"}},
		{"a vault", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email, Overflow: "vault"}
		}, nil},
		{"another overflow", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email, Overflow: "drop"}
		}, []string{"columns.support.customers.email.overflow"}},
		{"a vault of names", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Name, Overflow: "vault"}
		}, []string{"columns.support.customers.email.overflow"}},
		{"an unknown class", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: "secret", Scheme: sallyport.Email}
		}, []string{"columns.support.customers.email.class"}},
		{"prefixes of an e-mail", func(c *Config) {
			c.Columns["support.customers.email"] = ColumnConfig{Class: sallyport.Contact, Scheme: sallyport.Email, Prefixes: map[string]string{"A": "B"}}
		}, []string{"columns.support.customers.email.prefixes"}},
		{"a column without a path", func(c *Config) { delete(c.Paths, "support.messages") }, []string{"columns.support.messages.body"}},
		{"two parts of a name", func(c *Config) { c.Columns["customers.email"] = ColumnConfig{} }, []string{"columns.customers.email"}},
		{"four parts of a name", func(c *Config) { c.Columns["a.b.c.d"] = ColumnConfig{} }, []string{"columns.a.b.c.d"}},
		{"the key itself", func(c *Config) {
			c.Columns["support.customers.id"] = ColumnConfig{Class: sallyport.Identity, Scheme: sallyport.Text}
		}, []string{"columns.support.customers.id"}},
		{"a path without a column", func(c *Config) { c.Paths["support.messages"] = "-> support.tickets" }, []string{"paths.support.messages"}},
		{"a path to no table", func(c *Config) { c.Paths["support.messages"] = "ticket_id -> tickets" }, []string{"paths.support.messages"}},
		{"an arrow to nowhere", func(c *Config) { c.Paths["support.messages"] = "ticket_id ->" }, []string{"paths.support.messages"}},
		{"two columns", func(c *Config) { c.Paths["support.messages"] = "ticket_id, id" }, []string{"paths.support.messages"}},
		{"a path to a table without one", func(c *Config) { c.Paths["support.messages"] = "x -> support.threads" }, []string{"paths.support.messages"}},
		{
			"a circle", func(c *Config) { c.Paths["support.tickets"] = "last_message -> support.messages" },
			[]string{"paths.support.messages", "paths.support.tickets"},
		},
		{"a path of the customer table", func(c *Config) { c.Paths["support.customers"] = "id" }, []string{"paths.support.customers"}},
		{"a path to the customer table by name", func(c *Config) { c.Paths["support.tickets"] = "customer_id -> support.customers" }, nil},
		{"no customer table", func(c *Config) { c.Customer = CustomerTable{Key: "id"} }, []string{"customer.table", "paths.support.contacts", "paths.support.messages", "paths.support.tickets"}},
		{"no key", func(c *Config) { c.Customer.Key = "" }, []string{"customer.key"}},
	} {
		configured := config()
		c.change(&configured)
		var got []string
		for _, p := range configured.Check() {
			got = append(got, p.Path)
			if p.Text == "" {
				t.Errorf("%s: no sentence at %s", c.what, p.Path)
			}
		}
		if c.what == "no customer table" { // what else is wrong then follows from it
			got = got[:1]
			c.want = c.want[:1]
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: %s", c.what, diff)
		}
	}
}
