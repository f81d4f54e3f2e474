package serve

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"sallyport"
	"sallyport/protect"
	"sallyport/token"
)

// TestTwins: rows that a unique index holds apart, and that become one value, are told by key before anything begins, by check and by protect.
func TestTwins(t *testing.T) {
	t.Parallel() // it waits more than it works
	f := newPlainFort(t, func(f *fort) {
		f.superExec(f.database, `UPDATE support.customers SET email = 'Twin@Mail.example' WHERE id = 5; UPDATE support.customers SET email = 'twin@mail.example' WHERE id = 17;
			UPDATE support.customers SET email = 'OTHER@mail.example' WHERE id = 30; UPDATE support.customers SET email = 'other@MAIL.example' WHERE id = 8; UPDATE support.customers SET email = 'Alone@Mail.example' WHERE id = 9;
			UPDATE support.customers SET phone = '+49 30 5550101', country = 'DE' WHERE id IN (11, 13); UPDATE support.customers SET phone = '+49305550101', country = 'DE' WHERE id = 12; UPDATE support.customers SET country = 'AT' WHERE id = 13;
			CREATE UNIQUE INDEX ON support.customers (country, phone) WHERE id IN (11, 12, 13)`)
	})
	list, err := CheckAs(t.Context(), filepath.Join(f.folder, "sallyport.yaml"), f.cluster.SuperDSN(f.database))
	if err != nil {
		t.Fatal(err)
	}
	findings := ""
	for _, found := range list {
		findings += found.Where + ": " + found.What + "\n"
	}
	_, err = f.moveIn()
	unfit := (*protect.UnfitError)(nil)
	if !errors.As(err, &unfit) {
		t.Fatalf("protect begins all the same: %v", err)
	}
	for what, said := range map[string]string{"check": findings, "protect": err.Error()} {
		for _, want := range []string{"support.customers.email", "support.customers_email_key", "2 times: in the rows 17 = 5, 30 = 8;", "support.customers.phone", "1 times: in the rows 11 = 12;"} {
			if !strings.Contains(said, want) {
				t.Errorf("%s does not say %q:\n%s", what, want, said)
			}
		}
		if strings.Contains(strings.ToLower(said), "twin@") || strings.Contains(said, "5550101") {
			t.Errorf("%s tells a value: %s", what, said)
		}
	}
	if begun := f.ask("SELECT coalesce(to_regclass('sallyport.mark')::text, 'no')"); begun != "no" {
		t.Error("the database is marked")
	}
	f.superExec(f.database, "UPDATE support.customers SET email = 'mended' || id || '@mail.example' WHERE id IN (5, 30); UPDATE support.customers SET phone = NULL WHERE id = 11")
	if _, err := f.moveIn(); err != nil {
		t.Errorf("mended, it does not move: %v", err)
	}
}

// TestTwinsWithoutKeys names rows by their place where the primary key is the very value, or is missing.
func TestTwinsWithoutKeys(t *testing.T) {
	f := newPlainFort(t)
	conn := f.direct()
	column := sallyport.Column{Schema: "support", Table: "subscribers", Name: "email"}
	codec, err := f.server.guard.ring.Codec(token.Spec{Column: column, Scheme: sallyport.Email})
	if err != nil {
		t.Fatal(err)
	}
	for what, sql := range map[string]string{
		"the key is the value": "CREATE TABLE support.subscribers (email text PRIMARY KEY)",
		"there is no key":      "CREATE TABLE support.subscribers (email text UNIQUE)",
	} {
		f.superExec(f.database, sql+"; INSERT INTO support.subscribers VALUES ('Twin@Mail.example'), ('alone@mail.example'), ('twin@mail.example')")
		found, err := protect.FindTwins(t.Context(), conn, []protect.Column{{Column: column, Codec: codec}})
		if err != nil || len(found) != 1 || found[0].Groups != 1 {
			t.Fatalf("%s: %+v, %v", what, found, err)
		}
		if said := found[0].Sentence(); strings.Contains(strings.ToLower(said), "twin@") || !strings.Contains(said, "(0,1) = (0,3)") {
			t.Errorf("%s: %s", what, said)
		}
		f.superExec(f.database, "DROP TABLE support.subscribers")
	}
}
