package gateway_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/exposure"
	"sallyport/purpose"
)

// TestActing: an application on behalf of people, on a real server. Each of the parts is one way in which somebody's access could become
// somebody else's.
func TestActing(t *testing.T) {
	o := newOffice(t, nil)
	ann, bob := &o.ann, &o.bob
	both := ann.read() + " UNION ALL " + bob.read()
	t.Run("one transaction", func(t *testing.T) {
		w := o.desk()
		w.expect("the service itself", w.do(both))
		w.do("BEGIN")
		w.do("SET LOCAL sallyport.actor = '" + o.word(ann.id) + "'")
		w.expect("without a reason", w.do(both))
		w.do("SET LOCAL sallyport.purpose = '" + ann.reason() + "'")
		w.expect("Ann", w.do(both), ann)
		if got := w.do("SHOW sallyport.actor"); !strings.Contains(got, string(ann.id)) {
			t.Errorf("the server knows the actor as %q", got)
		}
		w.do("COMMIT")
		w.expect("behind it", w.do(both))
		w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(bob.id) + "'; SET LOCAL sallyport.purpose = '" + bob.reason() + "," + ann.reason() + "'")
		w.expect("Bob", w.do(both), bob)
		w.do("ROLLBACK")
		w.expect("behind it", w.do(both))
		w.do("SET sallyport.purpose = '" + ann.reason() + "'")
		w.expect("a reason of the service's", w.do(comment(both, o.word(ann.id), "")))
		w.do("RESET sallyport.purpose")
		w.expect("all in one", w.do("BEGIN; SET LOCAL sallyport.actor = '"+o.word(ann.id)+"'; SET LOCAL sallyport.purpose = '"+ann.reason()+"'; "+both+"; COMMIT; "), ann)
		w.expect("and what follows its end", w.do("BEGIN; SET LOCAL sallyport.actor = '"+o.word(ann.id)+"'; SET LOCAL sallyport.purpose = '"+ann.reason()+"'; COMMIT; "+both))
	})
	t.Run("a comment", func(t *testing.T) {
		w := o.desk()
		w.expect("simple", w.do(comment(both, o.word(ann.id), ann.reason())), ann)
		w.expect("behind it", w.do(both))
		got, err := w.extended(comment(strings.Replace(ann.read(), fmt.Sprint(ann.own.ID), "$1", 1), o.word(ann.id), ann.reason()), fmt.Sprint(ann.own.ID))
		w.expect(fmt.Sprint("extended ", err), got, ann)
		w.expect("with its semicolon, and other people's keys", w.do(comment(both, o.word(bob.id), bob.reason())+" ; "), bob)
		word := o.word(ann.id)
		w.do("BEGIN")
		w.expect("first", w.do(comment(both, word, ann.reason())), ann)
		w.expect("again in the same transaction", w.do(comment(both, word, ann.reason())), ann)
		w.expect("without one, without reason", w.do(both))
		w.refused("SP018", comment(both, o.word(bob.id), bob.reason()))
		w.do("ROLLBACK")
		w.refused("SP018", comment(both, word, ann.reason()))
		w.refused("SP018", "BEGIN; SET LOCAL sallyport.actor = '"+word+"'")
		w.do("ROLLBACK")
		other := o.desk()
		other.refused("SP018", comment(both, word, ann.reason()))
	})
	t.Run("no way back to the service", func(t *testing.T) { o.noWayBack(t) })
	t.Run("pipelines", func(t *testing.T) { o.pipelines(t) })
	t.Run("prepared", func(t *testing.T) { o.preparedOnes(t) })
	t.Run("cursors", func(t *testing.T) { o.cursors(t) })
	t.Run("what was written", func(t *testing.T) {
		w := o.desk()
		w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(ann.id) + "'; SET LOCAL sallyport.purpose = '" + ann.reason() + "'")
		got := w.do(fmt.Sprintf("UPDATE support.customers SET email = 'written@by.example' WHERE id = %d RETURNING email", ann.own.ID))
		if !strings.Contains(got, "written@by.example") {
			t.Error("who wrote a value does not read it back")
		}
		w.do(fmt.Sprintf("UPDATE support.customers SET email = '%s' WHERE id = %d", ann.own.Email, ann.own.ID))
		w.do("COMMIT")
		w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(bob.id) + "'; SET LOCAL sallyport.purpose = '" + bob.reason() + "'")
		w.expect("who did not write it", w.do(ann.read()))
		w.do("COMMIT")
	})
	t.Run("where nothing is known", func(t *testing.T) { // nothing of it is known when it is sent
		w := o.desk()
		peek := fmt.Sprintf("SELECT string_agg(note, ' ') FROM public.kept WHERE id IN (%d, %d)", ann.own.ID, bob.own.ID)
		w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(ann.id) + "'; SET LOCAL sallyport.purpose = '" + ann.reason() + "'")
		w.expect("set", w.do(peek), ann)
		w.do("COMMIT")
		w.expect("by a comment", w.do(comment(peek, o.word(bob.id), bob.reason())), bob)
		w.expect("by nobody", w.do(peek))
	})
	t.Run("expiry", func(t *testing.T) {
		w := o.desk()
		w.do("BEGIN; SAVEPOINT a; SET LOCAL sallyport.actor = '" + o.word(ann.id) + "'; SET LOCAL sallyport.purpose = '" + ann.reason() + "'")
		w.expect("in time", w.do(ann.read()), ann)
		o.ahead.Store(int64(6 * time.Minute))
		defer o.ahead.Store(0)
		w.expect("late", w.refused("SP018", ann.read()))
		w.do("ROLLBACK TO a")
		w.expect("late, behind a savepoint", w.refused("SP018", ann.read()))
		w.do("ROLLBACK")
	})
	t.Run("copy", func(t *testing.T) {
		w := o.desk()
		w.expect("out, without a grant", w.do(comment("COPY ("+both+") TO STDOUT", o.word(ann.id), ann.reason())))
		w.expect("out, of nobody", w.do("COPY ("+both+") TO STDOUT"))
		w.expect("explained", w.do(comment("EXPLAIN ANALYZE "+both, o.word(ann.id), ann.reason())))
	})
	t.Run("whose word", func(t *testing.T) { o.whoseWord(t) })
	t.Run("others", func(t *testing.T) {
		conn, kept := o.dial(string(ann.id), o.passwords[ann.id])
		defer conn.Close(t.Context())
		w := &wireTap{o: o, PgConn: conn, ear: kept}
		w.refused("SP018", comment(both, o.word(bob.id), bob.reason()))
		w.refused("SP018", "BEGIN; SET LOCAL sallyport.actor = '"+o.word(ann.id)+"'")
		w.do("ROLLBACK")
		phone, heard := o.dial("svc_phone", o.passwords["svc_phone"])
		defer phone.Close(t.Context())
		(&wireTap{o: o, PgConn: phone, ear: heard}).refused("SP018", comment("SELECT 1", o.word(bob.id), ""))
	})
	if _, heard, found := strings.Cut(o.heard.String()+o.log.String(), "eyJhbGci"); found {
		t.Errorf("an assertion reached the server, or its log, or ours, before %.200q", heard)
	}
	o.records(t)
}

// noWayBack: behind an assertion that does not hold nothing of the transaction is the service's.
func (o *office) noWayBack(t *testing.T) {
	w := o.desk()
	mine := o.desk().reasonOfItsOwn()
	bad := map[string]string{
		"expired":  o.word(o.ann.id, map[string]any{"exp": time.Now().Add(-time.Second).Unix()}),
		"not ours": o.word(o.ann.id, map[string]any{"aud": "somebody"}),
		"forged":   o.sign(o.key(), "idp", "https://idp.example", o.ann.id),
		"empty":    "",
		"nonsense": "a.b.c",
		"none":     "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2lkcC5leGFtcGxlIn0.",
	}
	for name, word := range bad {
		w.expect(name, w.refused("SP018", comment(mine, word, "")))
		w.do("BEGIN")
		w.expect(name, w.refused("SP018", "SET LOCAL sallyport.actor = '"+word+"'"))
		w.refused("25P02", mine)
		w.do("ROLLBACK")
		w.do("BEGIN; SAVEPOINT a")
		w.refused("SP018", comment(mine, word, ""))
		w.do("ROLLBACK TO a")
		w.expect(name+", behind a savepoint", w.refused("SP018", mine))
		w.do("ROLLBACK TO a")
		w.expect(name+", in a table of which nothing is known", w.do(fmt.Sprintf("SELECT string_agg(note, ' ') FROM public.kept WHERE id = %d", o.ann.own.ID)))
		w.refused("SP018", comment(mine, o.word(o.ann.id), o.ann.reason()))
		w.do("ROLLBACK")
		w.refused("SP018", "SELECT 1; "+comment(mine, word, ""))
		if _, err := w.extended(comment(mine, word, "")); !strings.Contains(fmt.Sprint(err), "SP018") {
			t.Errorf("%s: extended: %v", name, err)
		}
	}
	for _, sql := range []string{
		"SET sallyport.actor = '{}'", "SET LOCAL sallyport.actor = '{}'", "SELECT set_config('sallyport.actor', '{}', true)", "RESET sallyport.actor",
		"BEGIN; COMMIT; BEGIN; SET LOCAL sallyport.actor = '{}'", "/*sallyport_actor='{}'*/ SELECT 1", "SELECT 1 /*sallyport_actor='{}'*/ -- x",
		"SELECT 1 /*sallyport_actor='{}',sallyport.actor='{}'*/", "BEGIN /*sallyport_actor='{}'*/", "BEGIN; SELECT 1; COMMIT /*sallyport_actor='{}'*/",
	} {
		w.refused("SP018", strings.ReplaceAll(sql, "{}", o.word(o.ann.id)))
	}
	w.do("ROLLBACK")
	w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.refused("SP013", "SET sallyport.purpose = '"+o.ann.reason()+"'")
	w.do("ROLLBACK")
	w.do("BEGIN; SAVEPOINT a; SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'; ROLLBACK TO a")
	w.expect("rolled back to before it", w.do(mine))
	w.do("RESET ALL; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.expect("still hers", w.do(o.ann.read()), &o.ann)
	w.do("COMMIT AND CHAIN")
	w.expect("the next of the chain", w.do(o.ann.read()))
	w.refused("SP007", "COMMIT; PREPARE q AS SELECT set_config($1, $2, false); EXECUTE q ('sallyport.actor', 'x')")
	w.do("ROLLBACK")
	w.refused("SP003", "DO $$BEGIN PERFORM set_config('sallyport.actor', 'x', false); END$$")
	w.expect("in the end", w.do(o.ann.read()))
}

// reasonOfItsOwn is a statement that shows nothing to anybody but through the assertion: were there a way back, the entry would tell.
func (w *wireTap) reasonOfItsOwn() string { return w.o.ann.read() }

// pipelines: transactions that are sent in one go, so that none has ended when the next is looked at.
func (o *office) pipelines(t *testing.T) {
	w := o.desk()
	send := func(texts ...string) []string {
		t.Helper()
		p := w.StartPipeline(t.Context())
		for _, sql := range texts {
			if sql == "sync" {
				p.SendPipelineSync()
				continue
			}
			p.SendQueryParams(sql, nil, nil, nil, nil)
		}
		if err := p.Flush(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			results, err := p.GetResults()
			if err != nil {
				got = append(got, err.Error())
			}
			if results == nil && err == nil {
				break
			}
			if reader, ok := results.(interface{ Close() }); ok && results != nil {
				reader.Close()
			}
			got = append(got, string(w.ear.read.take()))
			if len(got) > 50 {
				break
			}
		}
		if err := p.Close(); err != nil {
			got = append(got, err.Error())
		}
		return append(got, string(w.ear.read.take()))
	}
	a, b := o.ann.read(), o.bob.read()
	got := strings.Join(send(comment(a, o.word(o.ann.id), o.ann.reason()), "sync", b, "sync", comment(b, o.word(o.bob.id), o.bob.reason()), "sync"), "")
	w.expect("three in one go", got, &o.ann, &o.bob)
	got = strings.Join(send(comment(a, o.word(o.ann.id), o.ann.reason()), "sync", comment(b, "", o.bob.reason()), "sync", b, "sync"), "")
	w.expect("of which the second does not hold", got, &o.ann)
	got = strings.Join(send("BEGIN", "SET LOCAL sallyport.actor = '"+o.word(o.ann.id)+"'", "SET LOCAL sallyport.purpose = '"+o.ann.reason()+"'", a, "COMMIT", b, a, "sync"), "")
	w.expect("behind a COMMIT", got, &o.ann)
	word := o.word(o.ann.id)
	got = strings.Join(send(comment("SELECT 1", word, ""), "sync", comment(a, word, o.ann.reason()), "sync"), "")
	w.expect("one assertion for two", got)
	if !strings.Contains(got, "SP018") {
		t.Errorf("one assertion for two transactions of a pipeline")
	}
	word = o.word(o.ann.id)
	got = strings.Join(send(comment("SELECT 1", word, ""), comment(a, word, o.ann.reason()), "sync"), "")
	w.expect("one assertion for two statements of one transaction", got, &o.ann)
}

// preparedOnes: a prepared statement carries nobody from one transaction into the next.
func (o *office) preparedOnes(t *testing.T) {
	w := o.desk()
	ctx := t.Context()
	read := func(name string) string {
		w.ear.read.take()
		result := w.ExecPrepared(ctx, name, nil, nil, nil).Read()
		return fmt.Sprint(result.Err) + string(w.ear.read.take())
	}
	if _, err := w.Prepare(ctx, "plain", o.ann.read(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Prepare(ctx, "hers", comment(o.ann.read(), o.word(o.ann.id), o.ann.reason()), nil); err != nil {
		t.Fatal(err)
	}
	w.expect("as the service", read("plain"))
	w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.expect("as Ann", read("plain"), &o.ann)
	w.do("COMMIT")
	w.expect("as the service again", read("plain"))
	w.expect("with the assertion in its text", read("hers"), &o.ann)
	if again := read("hers"); !strings.Contains(again, "SP018") || o.ann.shows(again) {
		t.Errorf("the assertion in a prepared statement is good twice: %s", again)
	}
	w.do("PREPARE p AS " + o.ann.read())
	w.expect("EXECUTE as Ann", w.do(comment("EXECUTE p", o.word(o.ann.id), o.ann.reason())), &o.ann)
	w.expect("EXECUTE as the service", w.do("EXECUTE p"))
	set := "SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'"
	if _, err := w.extended(set); !strings.Contains(fmt.Sprint(err), "SP018") {
		t.Errorf("set outside of a transaction: %v", err)
	}
	w.do("BEGIN")
	if _, err := w.extended(set); err != nil {
		t.Error(err)
	}
	w.do("SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.expect("set by the extended protocol", read("plain"), &o.ann)
	w.do("COMMIT")
}

// cursors: what was opened for one is read by whoever reads it.
func (o *office) cursors(t *testing.T) {
	w := o.desk()
	w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.do("DECLARE c CURSOR WITH HOLD FOR " + o.ann.read() + " UNION ALL " + o.ann.read() + " UNION ALL " + o.ann.read() + " UNION ALL " + o.ann.read())
	w.expect("hers", w.do("FETCH 1 FROM c"), &o.ann)
	w.do("COMMIT")
	w.expect("held", w.do("FETCH 1 FROM c"))
	w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(o.bob.id) + "'; SET LOCAL sallyport.purpose = '" + o.bob.reason() + "," + o.ann.reason() + "'")
	w.expect("by Bob", w.do("FETCH 1 FROM c"))
	w.do("COMMIT")
	w.expect("by Ann again", w.do(comment("FETCH 1 FROM c", o.word(o.ann.id), o.ann.reason())), &o.ann)
}

// whoseWord: what is written about tickets, and what is probed, is on record as the person's, whatever service it comes through: nobody is
// his own witness through one whose word counts.
func (o *office) whoseWord(t *testing.T) {
	o.exec(o.cluster.SuperDSN("support"), "GRANT support_agents TO svc_router")
	conn, kept := o.dial("svc_router", o.passwords["svc_router"])
	defer conn.Close(t.Context())
	router := &wireTap{o: o, PgConn: conn, ear: kept}
	foreign := o.bob.ticket.ID
	from := o.access.Last()
	router.do(comment(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", o.ann.id, foreign), o.word(o.ann.id), ""))
	router.expect("a ticket that she gave herself", router.do(comment(o.bob.read(), o.word(o.ann.id), fmt.Sprint("ticket:", foreign))))
	router.do(comment("SELECT id FROM support.customers WHERE email = 'nobody@at.all.example'", o.word(o.ann.id), ""))
	facts, probes := 0, 0
	o.must(o.access.Sync())
	o.must(o.access.Read(from+1, func(e *sallyport.Event) error {
		if len(e.Facts) > 0 {
			facts++
		}
		if e.Touch != nil && len(e.Touch.Probes) > 0 {
			probes++
		}
		if (len(e.Facts) > 0 || e.Touch != nil) && (e.Who.Staff != o.ann.id || e.Who.Via != "svc_router") {
			t.Errorf("%s by %+v", e.Kind, e.Who)
		}
		return nil
	}))
	if facts == 0 || probes == 0 {
		t.Errorf("%d facts, %d probes", facts, probes)
	}
	router.do(fmt.Sprintf("UPDATE support.tickets SET assignee = '%s' WHERE id = %d", o.bob.id, foreign))
}

// records: everything that was revealed here is somebody's, through the service.
func (o *office) records(t *testing.T) {
	acted, revealed := 0, 0
	err := o.access.Read(1, func(e *sallyport.Event) error {
		switch {
		case e.Kind == sallyport.ActingKind:
			acted++
			if e.Asserted == nil || !strings.HasPrefix(string(e.Who.Via), "svc_") || e.Who.Staff == e.Who.Via || e.Asserted.Source != "idp" {
				t.Errorf("an entry of acting: %+v", e)
			}
		case e.Reveal != nil:
			revealed++
			if e.Who.Via != "svc_desk" || e.Who.Login != "svc_desk" || !slices.Contains([]sallyport.Staff{o.ann.id, o.bob.id}, e.Who.Staff) || e.Who.Team == "" {
				t.Errorf("revealed to %+v", e.Who)
			}
		}
		return nil
	})
	if err != nil || acted == 0 || revealed == 0 {
		t.Errorf("%d entries of acting, %d reveals, %v", acted, revealed, err)
	}
}

// TestActingOutlivesRestart: an assertion that was used before a restart is used up behind it, and so is what a claim was charged to.
func TestActingOutlivesRestart(t *testing.T) {
	one := exposure.Budget{Hour: 1, Day: 1, Month: 1}
	many := exposure.Budget{Hour: 9, Day: 9, Month: 9}
	var suspended []sallyport.Staff
	o := newOffice(t, func(s *stage) {
		s.budgets = func(p purpose.Person) exposure.Budgets {
			if p.Staff == "svc_desk" {
				return exposure.Budgets{Revealed: one, Reached: many, Probed: many}
			}
			return exposure.Budgets{Revealed: many, Reached: many, Probed: many}
		}
		s.suspend = func(who sallyport.Staff, _ sallyport.Limit) error {
			suspended = append(suspended, who)
			return nil
		}
	})
	w := o.desk()
	used, claim := o.word(o.ann.id), o.claim(o.ann.id)
	w.expect("the issuer's word", w.do(comment(o.ann.read(), used, o.ann.reason())), &o.ann)
	w.expect("the service's", w.do(comment(o.ann.read(), claim, o.ann.reason())), &o.ann)
	o.stop()
	o.serve()
	w = o.desk()
	w.refused("SP018", comment(o.ann.read(), used, o.ann.reason()))
	w.refused("SP018", comment(o.ann.read(), claim, o.ann.reason()))
	w.expect("the issuer's word costs the service nothing", w.do(comment(o.bob.read(), o.word(o.bob.id), o.bob.reason())), &o.bob)
	w.expect("known to the service", w.do(comment(o.ann.read(), o.claim(o.ann.id), o.ann.reason())), &o.ann)
	w.expect("one too many for the service", w.refused("SP010", comment(o.bob.read(), o.claim(o.bob.id), o.bob.reason())))
	if len(suspended) != 1 || suspended[0] != "svc_desk" {
		t.Errorf("suspended: %v", suspended)
	}
}

// TestActingUnderLock: a lock of the person ends the session that acts for him, one of the service ends all of its own, and neither comes in again.
func TestActingUnderLock(t *testing.T) {
	o := newOffice(t, nil)
	lock := func(who sallyport.Staff) {
		o.standing.Apply(&sallyport.Event{Time: time.Now(), Kind: sallyport.Locked, Order: &sallyport.Order{Action: "lock", By: "x", About: who}})
		o.gw.EndSessions(who, "locked", "")
	}
	w, idle := o.desk(), o.desk()
	w.do("BEGIN; SET LOCAL sallyport.actor = '" + o.word(o.ann.id) + "'; SET LOCAL sallyport.purpose = '" + o.ann.reason() + "'")
	w.expect("before", w.do(o.ann.read()), &o.ann)
	lock(o.ann.id)
	if got, err := w.simple(o.ann.read()); err == nil || o.ann.shows(got) {
		t.Errorf("a locked person reads on through an application: %v", err)
	}
	idle.refused("SP011", comment(o.ann.read(), o.word(o.ann.id), o.ann.reason()))
	idle.do("BEGIN; SAVEPOINT a")
	idle.refused("SP011", comment(o.ann.read(), o.word(o.ann.id), o.ann.reason()))
	idle.do("ROLLBACK TO a")
	idle.refused("SP011", o.ann.read())
	idle.do("ROLLBACK")
	idle.expect("Bob works on", idle.do(comment(o.bob.read(), o.word(o.bob.id), o.bob.reason())), &o.bob)
	lock("svc_desk")
	if _, err := idle.simple(comment(o.bob.read(), o.word(o.bob.id), o.bob.reason())); err == nil {
		t.Error("a locked service acts on")
	}
}

// TestActingWithLowTrust: on a service's word alone somebody is trusted no further than the service.
func TestActingWithLowTrust(t *testing.T) {
	state := control.NewState()
	o := newOffice(t, func(s *stage) { s.standing = state })
	o.trust = func(p purpose.Person) int {
		if p.Staff == "svc_desk" {
			return 20
		}
		return control.FullTrust
	}
	w := o.desk()
	w.expect("the issuer's word", w.do(comment(o.ann.read(), o.word(o.ann.id), o.ann.reason())), &o.ann)
	w.expect("the service's", w.do(comment(o.ann.read(), o.claim(o.ann.id), o.ann.reason())))
}
