package program

import (
	"slices"
	"testing"
	"time"

	"sallyport"
)

// TestExposures: of each firm by client, in the time, and nobody of the company's own.
func TestExposures(t *testing.T) {
	people := []Outsider{{Staff: "x1", Firm: "north"}, {Staff: "x2", Firm: "north"}, {Staff: "y1", Firm: "south"}}
	x := NewExposures(t0, t0.AddDate(0, 0, 90), people, []Client{{"acme", map[sallyport.Subject]bool{"1": true, "2": true}}})
	x.Access(shows(1, t0, "x1", "ticket", "1", "2", "9"))
	x.Access(shows(2, t0.Add(time.Hour), "x2", "", "1"))
	x.Access(shows(3, t0.Add(-time.Hour), "x1", "ticket", "1"))
	x.Access(shows(4, t0, "own", "ticket", "1"))
	granted := shows(5, t0.AddDate(0, 0, 1), "y1", "ticket", "8")
	granted.Reveal.Grant = "gr-1"
	x.Access(granted)
	over := t0.AddDate(0, 1, 0)
	got := x.Firms(map[string]time.Time{"north": over, "south": {}, "quiet": {}}, over)
	if len(got) != 3 || got[1].Firm != "quiet" || len(got[1].Clients) != 0 {
		t.Fatalf("%+v", got)
	}
	north, south := got[0], got[2]
	acme := north.Clients[0]
	if !north.Over || len(north.People) != 2 || acme.Client != "acme" || acme.People != 2 || acme.Customers != 2 || acme.Values != 3 || acme.Days != 1 || acme.Entries != [2]uint64{1, 2} ||
		acme.Reasons["ticket"] != 1 || acme.Reasons["none"] != 1 || acme.Columns["s.t.email"] != 3 || north.Clients[1].Client != OtherClients {
		t.Errorf("%+v", north)
	}
	if south.Over || len(south.Clients) != 1 || south.Clients[0].Reasons["grant"] != 1 {
		t.Errorf("%+v", south)
	}
}

// TestOffboarding: what ended says by which entry; what did not says so.
func TestOffboarding(t *testing.T) {
	everybody := func(sallyport.Staff) bool { return true }
	at := func(h int) time.Time { return t0.Add(time.Duration(h) * time.Hour) }
	control := func(o *Offboarding, seq uint64, h int, kind sallyport.EventKind, x sallyport.Order) {
		o.Control(&sallyport.Event{Seq: seq, Time: at(h), Kind: kind, Order: &x})
	}
	access := func(o *Offboarding, seq uint64, h int, kind sallyport.EventKind, session string) {
		o.Access(&sallyport.Event{Seq: seq, Time: at(h), Kind: kind, Who: sallyport.Who{Staff: "x", Session: session}})
	}
	fill := func(lock bool) *Offboarding {
		o := NewOffboarding([]sallyport.Staff{"x"})
		control(o, 1, 0, sallyport.CredentialMade, sallyport.Order{By: "x", About: "x", Credential: &sallyport.Credential{Digest: []byte("a"), Until: at(100)}})
		control(o, 2, 0, sallyport.PasswordSet, sallyport.Order{By: "x", About: "x"})
		control(o, 3, 0, sallyport.Requested, sallyport.Order{ID: "g1", Grant: &sallyport.GrantTerms{For: "x", Minutes: 60}})
		control(o, 4, 1, sallyport.Approved, sallyport.Order{ID: "g1"})
		control(o, 5, 1, sallyport.Requested, sallyport.Order{ID: "g2", Grant: &sallyport.GrantTerms{For: "x", Minutes: 60}})
		control(o, 6, 5, sallyport.Requested, sallyport.Order{ID: "g3", Grant: &sallyport.GrantTerms{For: "x", Minutes: 600}})
		control(o, 7, 5, sallyport.Approved, sallyport.Order{ID: "g3"})
		if lock {
			control(o, 8, 6, sallyport.Locked, sallyport.Order{About: "x", Reason: "over"})
			control(o, 9, 6, sallyport.GrantEnded, sallyport.Order{ID: "g3", Reason: "he goes"})
		}
		access(o, 1, 1, sallyport.SessionStart, "s1")
		access(o, 2, 2, sallyport.SessionEnd, "s1")
		access(o, 3, 3, sallyport.SessionStart, "s2")
		return o
	}
	held := []Held{{"x", WayKey, "the database role x", "drop it"}, {"other", WayKey, "not his", ""}}
	open := func(list []Ending) (out []string) {
		for _, e := range list {
			if !e.Ended {
				out = append(out, e.Way+" "+e.What)
			}
		}
		return out
	}
	o := fill(false)
	if got := open(o.Endings(held, everybody, at(7))); !slices.Equal(got, []string{
		"role what his role lets him", "session session s2", "grant g3", "token 1 of 1 log-ins", "key the password that he set", "key the database role x",
	}) {
		t.Errorf("before: %q", got)
	}
	o = fill(true)
	if got := open(o.Endings(held, everybody, at(7))); !slices.Equal(got, []string{"session session s2"}) {
		t.Errorf("a session that nobody cut: %q", got)
	}
	if got := open(o.Endings(held, func(sallyport.Staff) bool { return false }, at(7))); len(got) < 4 {
		t.Errorf("he was unlocked since: %q", got)
	}
	access(o, 4, 7, sallyport.SessionEnd, "s2")
	list := o.Endings(held, everybody, at(7))
	if got := open(list); len(got) > 0 {
		t.Errorf("%q", got)
	}
	entries := map[string]uint64{}
	for _, e := range list {
		entries[e.Way+" "+e.What] = e.Entry
	}
	for what, want := range map[string]uint64{
		"role what his role lets him": 8, "session all 2 sessions": 4, "grant g1": 0, "grant g2": 0, "grant g3": 9, "token all 1 log-ins": 8, "key the password that he set": 8, "key the database role x": 8,
	} {
		if got, ok := entries[what]; !ok || got != want {
			t.Errorf("%s: entry %d, %v, want %d", what, got, ok, want)
		}
	}
	late := shows(5, at(8), "x", "ticket", "1")
	o.Access(late)
	if got := open(o.Endings(held, everybody, at(9))); !slices.Equal(got, []string{"session 1 results after he was locked"}) {
		t.Errorf("what came after his lock: %q", got)
	}
	o = fill(true)
	o.Access(&sallyport.Event{Seq: 9, Time: at(9), Kind: sallyport.GatewayStarted})
	if got := open(o.Endings(held, everybody, at(9))); len(got) > 0 {
		t.Errorf("the gateway had ended: %q", got)
	}
}

// TestHandover: what he does and his peers do not, and whom he kept looking at for no reason that was checked.
func TestHandover(t *testing.T) {
	h := NewHabits(t0, t0.AddDate(0, 0, 90), func(who sallyport.Staff, at time.Time) (int64, bool) { return int64(at.Hour()), at.Hour() < 20 })
	at := func(d, hour int) time.Time {
		return t0.Truncate(24*time.Hour).AddDate(0, 0, d+1).Add(time.Duration(hour) * time.Hour)
	}
	for d := range 10 {
		for _, who := range []sallyport.Staff{"p1", "p2", "old"} {
			h.Access(shows(uint64(d), at(d, 9), who, "ticket", sallyport.Subject(string(who)+"-"+string(rune('a'+d)))))
		}
		if d < 4 {
			h.Access(shows(uint64(100+d), at(d, 22), "old", "work", "friend"))
		}
		h.Access(shows(uint64(200+d), at(d, 10), "old", "ticket", "regular"))
	}
	got := h.Of("old", []sallyport.Staff{"p1", "p2", "old", "new"})
	if got.Peers != 2 || got.Days != 10 || got.Customers != 12 {
		t.Errorf("%+v", got)
	}
	var habits []string
	for _, x := range got.Habits {
		habits = append(habits, x.What)
	}
	if !slices.Equal(habits, []string{"outside of his working time", "results for the reason work"}) {
		t.Errorf("%q", habits)
	}
	if len(got.Regulars) != 1 || got.Regulars[0].Customer != "friend" || got.Regulars[0].Days != 4 || got.Regulars[0].Entry != 103 {
		t.Errorf("%+v", got.Regulars)
	}
	if peer := h.Of("p1", []sallyport.Staff{"p2", "old"}); len(peer.Habits)+len(peer.Regulars) > 0 {
		t.Errorf("a colleague: %+v", peer)
	}
	if none := h.Of("new", nil); none.Days != 0 || none.Habits == nil {
		t.Errorf("%+v", none)
	}
}

// TestAssets: where copies went, whether values could be read there, and what is missing, what nothing protects first.
func TestAssets(t *testing.T) {
	c := NewCopying(t0, t0.AddDate(0, 0, 90))
	copies := func(seq uint64, id uint64, table, refused string) {
		c.Access(&sallyport.Event{Seq: seq, Time: t0, Kind: sallyport.StatementKind, Who: sallyport.Who{Staff: "a", Session: "s", Application: "psql"}, Statement: &sallyport.Statement{
			ID: id, Verb: "COPY", Tables: []string{table}, Refused: refused,
		}})
	}
	copies(1, 1, "s.plain", "")
	copies(2, 2, "s.tokens", "")
	copies(3, 3, "s.refused", "SP001")
	reveal := shows(4, t0, "a", "", "1")
	reveal.Who.Session, reveal.Reveal.Statement = "s", 1
	c.Access(reveal)
	copies(5, 5, "s.plain", "")
	c.Access(&sallyport.Event{Seq: 6, Time: t0, Kind: sallyport.ReplicationStart, Who: sallyport.Who{Login: "backup", Address: "10.0.0.9:1"}})
	if got := c.Of("s.plain"); len(got) != 1 || !got[0].Plain || got[0].Times != 2 || got[0].Entry != 5 {
		t.Errorf("%+v", got)
	}
	if got := c.Of("s.tokens"); len(got) != 1 || got[0].Plain {
		t.Errorf("%+v", got)
	}
	if got := c.Of(""); len(c.Of("s.refused")) != 0 || len(got) != 1 || got[0].What != "replica" || got[0].Where != "backup at 10.0.0.9:1" {
		t.Errorf("%+v", got)
	}
	reviews := []Review{{Name: "old", Items: []string{"s.plain.email: used 3 times"}, Decided: t0}, {Name: "open", Items: []string{"s.plain.email: not used"}}, {Name: "other", Items: []string{"s.plainer.email: not used"}, Decided: t0.AddDate(0, 0, 9)}}
	now := t0.AddDate(0, 0, 191)
	list := []Asset{
		{Name: "s.plain", Kind: "table", Protection: ProtectedAsset, Owner: "o", Criticality: "high", Reviewed: LastReview(reviews, "s.plain")},
		{Name: "low", Kind: "database", Protection: NoProtection, Owner: "o", Criticality: "low"},
		{Name: "good", Kind: "database", Protection: ProtectedAsset, Owner: "o", Criticality: "medium"},
		{Name: "unknown", Kind: "database", Protection: NoProtection},
	}
	for i := range list {
		list[i].Complete(now)
	}
	SortAssets(list)
	var names []string
	for _, a := range list {
		names = append(names, a.Name)
	}
	if !slices.Equal(names, []string{"unknown", "low", "s.plain", "good"}) {
		t.Errorf("%q", names)
	}
	for i, want := range [][]string{{"nothing protects it", "nobody answers for it", "nobody said how critical it is"}, {"nothing protects it"}, {"its last review is older than half a year"}, {}} {
		if !slices.Equal(list[i].Lacks, want) {
			t.Errorf("%s lacks %q, want %q", list[i].Name, list[i].Lacks, want)
		}
	}
}
