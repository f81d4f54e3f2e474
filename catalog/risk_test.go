package catalog

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRiskyFunctions(t *testing.T) {
	super, reader := database(t, tables, `
		CREATE TABLE support.audit (id bigint, what text);
		CREATE VIEW support.mails AS SELECT email FROM support.customers;
		CREATE FUNCTION support.plain(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1';
		CREATE FUNCTION support.logs() RETURNS void LANGUAGE sql AS $$ INSERT INTO support.audit VALUES (1, 'x') $$;
		CREATE FUNCTION support.looks_up(a text) RETURNS bigint LANGUAGE sql AS $$ SELECT id FROM support.Customers WHERE email = a $$;
		CREATE FUNCTION support.parsed(a text) RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT id FROM support.customers WHERE email = a; END; -- since 14
		CREATE FUNCTION support.parsed_plain() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT id FROM support.audit; END; -- since 14
		CREATE FUNCTION support.by_view() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM support.mails $$;
		CREATE FUNCTION support.calls() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN support.by_view(); END $$;
		CREATE FUNCTION support.calls_more() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN support.CALLS(); END $$;
		CREATE FUNCTION support.dynamic(a text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE a; END $$;
		CREATE FUNCTION support.xml(a text) RETURNS xml LANGUAGE sql AS $$ SELECT query_to_xml(a, true, true, '') $$;
		CREATE FUNCTION support.xml_too(text, boolean, boolean, text) RETURNS xml LANGUAGE internal AS 'query_to_xml';
		CREATE FUNCTION support.hidden() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM support.U&"cust\006fmers"); END $$;
		CREATE FUNCTION support.both(a int) RETURNS int LANGUAGE sql AS 'SELECT a';
		CREATE FUNCTION support.both(a text) RETURNS bigint LANGUAGE sql AS $$ SELECT support.looks_up(a) $$;
		CREATE FUNCTION support.step(s bigint, a text) RETURNS bigint LANGUAGE sql AS $$ SELECT support.looks_up(a) $$;
		CREATE AGGREGATE support.gather(text) (SFUNC = support.step, STYPE = bigint);
		CREATE AGGREGATE support.total(int) (SFUNC = int4pl, STYPE = int);
		CREATE PROCEDURE support."Move It"() LANGUAGE plpgsql AS $$ BEGIN UPDATE support.tickets SET subject = 'x'; END $$;
		CREATE PROCEDURE support.moves() LANGUAGE plpgsql AS $$ BEGIN CALL support."Move It"(); END $$;
		CREATE VIEW support.through AS SELECT support.looks_up('x') AS answer, 'a' AS letter;
		CREATE VIEW support.not_through AS SELECT support.plain(1) AS answer;
		CREATE FUNCTION support.by_through() RETURNS bigint LANGUAGE sql AS $$ SELECT answer FROM support.through $$;
		CREATE FUNCTION support.equals(a text, b text) RETURNS boolean LANGUAGE sql AS $$ SELECT support.looks_up(a) = support.looks_up(b) $$;
		CREATE OPERATOR support.=== (LEFTARG = text, RIGHTARG = text, FUNCTION = support.equals);
		CREATE VIEW support.through_operator AS SELECT ('a' OPERATOR(support.===) 'b')::text AS same;`)
	s := open(t, reader, config()).Snapshot()
	got := map[string]string{}
	for name, risk := range s.Schema.Functions {
		if risk.Writes != (risk.Why != "") {
			t.Errorf("%s: writes is %v, why is %q", name, risk.Writes, risk.Why)
		}
		got[name] = risk.Why
	}
	want := map[string]string{
		"plain": "", "logs": "", "parsed_plain": "", "total": "",
		"looks_up":   "support.looks_up mentions support.customers",
		"parsed":     "support.parsed mentions support.customers",
		"by_view":    "support.by_view mentions support.mails",
		"calls":      "support.calls calls support.by_view",
		"calls_more": "support.calls_more calls support.calls",
		"dynamic":    "support.dynamic runs SQL that it makes up (execute)",
		"xml":        "support.xml runs SQL that it makes up (query_to_xml)",
		"xml_too":    "support.xml_too is written in internal, which is not looked into",
		"hidden":     `support.hidden spells names in a hidden way (U&"…")`,
		"both":       "support.both calls support.looks_up",
		"step":       "support.step calls support.looks_up",
		"gather":     "support.gather calls support.step",
		"move it":    "support.Move It mentions support.tickets",
		"moves":      "support.moves calls support.Move It",
		"by_through": "support.by_through mentions support.through",
		"equals":     "support.equals calls support.looks_up",

		"operator ===": "the operator support.=== runs support.equals, which calls support.looks_up",
	}
	if cluster.Major < 14 { // functions in the standard's form
		delete(want, "parsed")
		delete(want, "parsed_plain")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for sql, want := range map[string]string{
		"SELECT * FROM support.through":          "opaque opaque",
		"SELECT * FROM support.not_through":      "-",
		"SELECT * FROM support.through_operator": "opaque",
	} {
		if got := describe(t, super, s, sql); got != want {
			t.Errorf("%s: got %s, want %s", sql, got, want)
		}
	}
}

func TestSmugglers(t *testing.T) {
	_, reader := database(t, tables, `
		CREATE TABLE support.leads (name text, mail text);
		CREATE TABLE support.quiet (name text);
		CREATE TABLE support.off (name text);
		CREATE TABLE support.gone (name text);
		CREATE TABLE support.checked (name text);
		CREATE TABLE support.ruled (name text);
		CREATE TABLE support.ruled_harmless (name text);
		CREATE TABLE support.parted (name text) PARTITION BY LIST (name);
		CREATE TABLE support.part PARTITION OF support.parted DEFAULT;
		CREATE VIEW support.plans AS SELECT id, country FROM support.customers;
		CREATE VIEW support.all_leads AS SELECT * FROM support.leads;
		CREATE FUNCTION support.promote() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN INSERT INTO support.customers (id, full_name, email, country) VALUES (1, NEW.name, NEW.mail, 'DE'); RETURN NEW; END $$;
		CREATE FUNCTION support.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := lower(NEW.name); RETURN NEW; END $$;
		CREATE FUNCTION support.keep(a text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN UPDATE support.tickets SET subject = a; RETURN true; END $$;
		CREATE TRIGGER promote AFTER INSERT ON support.leads FOR EACH ROW EXECUTE FUNCTION support.promote();
		CREATE TRIGGER stamp BEFORE INSERT ON support.quiet FOR EACH ROW EXECUTE FUNCTION support.stamp();
		CREATE TRIGGER promote AFTER INSERT ON support.off FOR EACH ROW EXECUTE FUNCTION support.promote();
		ALTER TABLE support.off DISABLE TRIGGER promote;
		CREATE TRIGGER promote AFTER DELETE ON support.gone FOR EACH ROW EXECUTE FUNCTION support.promote();
		CREATE TRIGGER promote AFTER UPDATE ON support.part FOR EACH ROW EXECUTE FUNCTION support.promote();
		CREATE TRIGGER promote AFTER INSERT ON support.messages FOR EACH ROW EXECUTE FUNCTION support.promote();
		CREATE TRIGGER promote INSTEAD OF INSERT ON support.plans FOR EACH ROW EXECUTE FUNCTION support.promote();
		ALTER TABLE support.checked ADD CHECK (support.keep(name));
		CREATE RULE forward AS ON INSERT TO support.ruled DO ALSO UPDATE support.customers SET notes = NEW.name;
		CREATE RULE forward AS ON INSERT TO support.ruled_harmless DO ALSO INSERT INTO support.quiet VALUES (NEW.name);`)
	s := open(t, reader, config()).Snapshot()
	for name, want := range map[string]string{
		"leads":          "trigger promote runs support.promote, which mentions support.customers",
		"all_leads":      "trigger promote runs support.promote",
		"quiet":          "",
		"off":            "",
		"gone":           "trigger promote runs support.promote", // of a row that somebody wrote in plain before
		"part":           "trigger promote runs support.promote",
		"parted":         "trigger promote runs support.promote",
		"messages":       "", // protected: its triggers see tokens
		"plans":          "trigger promote runs support.promote",
		"checked":        "check constraint checked_name_check runs support.keep, which mentions support.tickets",
		"ruled":          "rule forward mentions support.customers",
		"ruled_harmless": "",
		"customers":      "",
	} {
		got := find(t, s, name).Smuggles
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestLeaning finds risky functions where nobody calls them.
func TestLeaning(t *testing.T) {
	_, reader := database(t, tables, `
		CREATE FUNCTION support.keep(a text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN UPDATE support.tickets SET subject = a; RETURN true; END $$;
		CREATE FUNCTION support.plain(a text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT a <> $$x$$';
		CREATE FUNCTION support.order3(a text, b text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1 WHERE support.keep(a)';
		CREATE TABLE support.generated (a text, b boolean GENERATED ALWAYS AS (support.keep(a)) STORED);
		CREATE TABLE support.harmless (a text, b boolean GENERATED ALWAYS AS (support.plain(a)) STORED, c text DEFAULT 'customers', CHECK (support.plain(a)));
		CREATE TABLE support.indexed (a text);
		CREATE INDEX by_keep ON support.indexed (support.keep(a));
		CREATE TABLE support.partly (a text);
		CREATE INDEX partly_by ON support.partly (a) WHERE support.keep(a);
		CREATE OPERATOR CLASS support.odd FOR TYPE text USING btree AS FUNCTION 1 support.order3(text, text);
		CREATE TABLE support.classed (a text);
		CREATE INDEX by_class ON support.classed (a support.odd);
		CREATE TABLE support.split (a text) PARTITION BY LIST (support.keep(a));
		CREATE TABLE support.counted (a text);
		CREATE STATISTICS support.counts ON (support.keep(a)) FROM support.counted; -- since 14
		CREATE TABLE support.guarded (a text);
		CREATE POLICY p ON support.guarded WITH CHECK (support.keep(a));
		CREATE TABLE support.compared (a text);
		CREATE POLICY p ON support.compared USING (EXISTS (SELECT FROM support.customers c WHERE c.email = a));
		CREATE TABLE support.whole (a text);
		CREATE POLICY p ON support.whole USING (EXISTS (SELECT FROM support.customers c WHERE c::text = a));
		CREATE TABLE support.mine (id bigint, a text);
		CREATE POLICY p ON support.mine USING (EXISTS (SELECT FROM support.customers c WHERE c.id = mine.id));
		CREATE DOMAIN support.checked AS text CHECK (support.keep(VALUE));
		CREATE DOMAIN support.over AS support.checked;
		CREATE TYPE support.pair AS (a int, b support.over[]);
		CREATE TABLE support.holds (a support.pair);
		CREATE FUNCTION support.takes(a support.over) RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION support.declares(a text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE b support.Over := a; BEGIN RETURN 1; END $$;
		CREATE OPERATOR support.<~> (RIGHTARG = text, FUNCTION = support.keep);
		CREATE FUNCTION support.operates(a text) RETURNS boolean LANGUAGE sql AS 'SELECT OPERATOR(support.<~>) a';
		CREATE TYPE support.kind AS (a boolean);
		CREATE FUNCTION support.to_kind(a text) RETURNS support.kind LANGUAGE sql AS 'SELECT ROW(support.keep(a))::support.kind';
		CREATE CAST (text AS support.kind) WITH FUNCTION support.to_kind(text) AS ASSIGNMENT;
		CREATE TABLE support.kinds (a support.kind);
		CREATE UNIQUE INDEX ON support.customers (email);
		CREATE TABLE support.refers (a text REFERENCES support.customers (email));
		CREATE TABLE support.numbers (a text PRIMARY KEY);
		ALTER TABLE support.tickets ADD FOREIGN KEY (ticket_no) REFERENCES support.numbers ON UPDATE CASCADE;
		CREATE TABLE support.roots (a text PRIMARY KEY);
		CREATE TABLE support.owners (a text PRIMARY KEY REFERENCES support.roots ON UPDATE CASCADE, b text UNIQUE);
		CREATE TABLE support.owned (a text REFERENCES support.owners ON UPDATE CASCADE, b text REFERENCES support.owners (b), CHECK (support.keep(a)));
		CREATE TABLE support.beside (a text PRIMARY KEY);
		CREATE TABLE support.kept (a text REFERENCES support.beside, CHECK (support.keep(a)));`)
	s := open(t, reader, config()).Snapshot()
	for name, want := range map[string]string{
		"generated": "column b runs support.keep", "harmless": "", "indexed": "index by_keep runs", "partly": "index partly_by runs", "classed": "index by_class runs support.order3",
		"split": "its partition key runs", "counted": "statistics counts runs", "guarded": "policy p runs support.keep", "compared": "policy p compares", "whole": "policy p compares",
		"mine": "", "holds": "column a is of the type support.pair", "kinds": "column a is of the type support.kind", "refers": "foreign key refers_a_fkey compares",
		"numbers": "foreign key tickets_ticket_no_fkey compares", "customers": "", "tickets": "",
		"owners": "foreign key owned_a_fkey check constraint owned_a_check runs", "roots": "foreign key owners_a_fkey foreign key owned_a_fkey", "beside": "",
	} {
		if name == "counted" && cluster.Major < 14 {
			continue // no statistics of expressions
		}
		got := find(t, s, name).Smuggles
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	for name, want := range map[string]string{
		"checked": "the type support.checked check constraint checked_check runs support.keep", "over": "the type support.over is made of the type support.checked",
		"pair": "the type support.pair is made of", "holds": "the type support.holds is made of", "takes": "support.takes takes values of the type support.over",
		"declares": "support.declares mentions the type support.over", "operator <~>": "the operator support.<~> runs support.keep",
		"operates": "support.operates mentions the operator support.<~>", "kind": "the type support.kind runs support.to_kind", "plain": "", "mine": "",
	} {
		got := s.Schema.Functions[name].Why
		if want == "" && got != "" || !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}
