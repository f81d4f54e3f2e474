package console

import (
	"net/http"
	"strings"
	"testing"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
)

// TestRequest asks for access, and has two others agree: neither who asks nor one of them twice.
func TestRequest(t *testing.T) {
	s := newStage(t)
	agent := s.as("s001")
	a := agent.post("/requests", "customers", "5", "hours", "1.5", "columns", "support.customers.email", "class", "contact", "reason", "INC-311").is(t, http.StatusSeeOther)
	path, _, _ := strings.Cut(a.header.Get("Location"), "?")
	agent.get(a.header.Get("Location")).has(t, "Your request is on record", "support.customers.phone", "90 min")
	lead := s.as("s050")
	lead.get("/requests").has(t, "Asked for", ">5<", "Needed otherwise", path+"/approve", "INC-311")
	agent.post(path+"/approve").is(t, http.StatusForbidden)
	lead.post(path+"/approve").is(t, http.StatusSeeOther)
	lead.post(path+"/approve").is(t, http.StatusForbidden)
	lead.get(path).has(t, "asked")
	s.as("s060").post(path+"/approve").is(t, http.StatusSeeOther)
	agent.get(path).has(t, "active", "/end")
	agent.post(path+"/end", "reason", "done").is(t, http.StatusSeeOther)
	agent.get(path).has(t, "ended")
	for _, bad := range [][]string{{"customers", "0"}, {"customers", "5", "hours", "NaN"}, {"customers", "5", "hours", "1e300"}, {"customers", "5", "hours", "1"}} {
		agent.post("/requests", append(bad, "columns", "support.customers.email")...).is(t, http.StatusBadRequest)
	}
	if n := s.count(sallyport.Requested); n != 1 {
		t.Errorf("%d requests are on record", n)
	}
}

// TestFinding leads from a finding to a case and a lock, and back by two people.
func TestFinding(t *testing.T) {
	s := newStage(t)
	id := s.found("s001")
	b := s.as("s050")
	b.get("/findings").has(t, "Expected loss", ">289<", "/findings/"+id) // 0.9 of 321
	b.get("/findings/"+id).has(t, "&#43;5.50", "&#43;2.50", "Evidence in powers of ten of the odds. prior -3.00")
	a := b.post("/findings/"+id+"/case", "reason", "looks like a theft").is(t, http.StatusSeeOther)
	b.get(a.header.Get("Location")).has(t, "looks like a theft", "The case is open")
	b.post("/cases/1/state", "state", "investigating", "text", "asked his lead").is(t, http.StatusSeeOther)
	b.post("/cases/1/note", "text", "he is on leave").is(t, http.StatusSeeOther)
	b.get("/cases/1").has(t, "investigating", "he is on leave", "control:")
	b.post("/findings/"+id+"/lock", "reason", "") // takes a reason
	if s.count(sallyport.Locked) != 0 {
		t.Fatal("locked without a reason")
	}
	b.post("/findings/"+id+"/lock", "reason", "theft").is(t, http.StatusSeeOther)
	if !s.orders.State().Standing("s001").Locked {
		t.Fatal("not locked")
	}
	if body := b.get("/findings/" + id).body; strings.Contains(body, "s001") || strings.Contains(body, "/unlock") {
		t.Error("the page names him before two people agreed")
	}
	b.post("/findings/"+id+"/unmask", "reason", "to give it back").is(t, http.StatusSeeOther)
	s.as("s060").post("/proposals/"+s.orders.State().Proposals()[0].ID+"/approve").is(t, http.StatusSeeOther)
	b.get("/findings/s001-1").has(t, "s001", "/findings/s001-1/unlock")
	b.post("/findings/s001-1/unlock", "reason", "was the incident").is(t, http.StatusSeeOther)
	proposals := s.orders.State().Proposals()[1:]
	if len(proposals) != 1 || proposals[0].Status != control.Open {
		t.Fatalf("%+v", proposals)
	}
	b.get("/requests").has(t, "unlock", "Take back")
	b.post("/proposals/"+proposals[0].ID+"/approve").is(t, http.StatusForbidden)
	if !s.orders.State().Standing("s001").Locked {
		t.Fatal("one person gave the access back")
	}
	other := s.as("s060")
	other.get("/requests").has(t, "/proposals/"+proposals[0].ID+"/approve")
	other.post("/proposals/"+proposals[0].ID+"/approve").is(t, http.StatusSeeOther)
	if s.orders.State().Standing("s001").Locked {
		t.Error("still locked")
	}
	own := s.found("s051")
	if body := s.as("s051").get("/findings").body; strings.Contains(body, own) || strings.Contains(body, "s051-1") {
		t.Error("somebody reads what is about himself")
	}
}

// TestRecord searches the record, and shows people by pseudonym only.
func TestRecord(t *testing.T) {
	s := newStage(t)
	s.revealed("s001", "48211")
	s.revealed("s060", "7", "8")
	b := s.as("s050")
	a := b.post("/record", "stream", "access", "customer", "48211").is(t, http.StatusOK).has(t, "/record/access/1", "support.customers.email", "ticket:r-")
	if strings.Contains(a.body, "/record/access/2") || strings.Contains(a.body, "s001") || strings.Contains(a.body, "4711") {
		t.Errorf("it shows too much:\n%s", a.body)
	}
	b.post("/record", "stream", "control").is(t, http.StatusOK).has(t, "looked through the record (access) for customer 48211", "log in")
	b.get("/record/access/2").has(t, "Entry access:2", "Verify")
	b.get("/record/access/3").is(t, http.StatusNotFound)
	b.get("/record/elsewhere/1").is(t, http.StatusNotFound)
	b.post("/record", "stream", "control", "before", "x").is(t, http.StatusBadRequest)
	b.post("/customers", "customer", "48211").has(t, "1 person or program could read", "p-")
	b.post("/customers", "customer", "1").has(t, "Nobody")
	for range 70 {
		s.revealed("s001", "9")
	}
	b.post("/record", "stream", "access", "customer", "9").has(t, "Older entries", `name="before" value="23"`)
	b.post("/record", "stream", "access", "customer", "9", "before", "23").has(t, "/record/access/22", "/record/access/3")
	b.get("/now").has(t, "Revealed last", "no figures") // this stage has no history
}

// TestTrace adds reports, which somebody else confirms.
func TestTrace(t *testing.T) {
	s := newStage(t)
	b := s.as("s050")
	b.get("/trace").has(t, "Not enough yet", "7 more confirmed", "48211", "12 came before 2026-01-01")
	b.post("/trace/upload", "reports", "48211,ticket+name,2026-03-02T08:00:00Z\n\n# a remark\n48212\n", "channel", "call").is(t, http.StatusSeeOther)
	if len(*s.reports) != 2 || (*s.reports)[0].Quoted[1] != "name" || (*s.reports)[1].Customer != "48212" {
		t.Fatalf("%+v", *s.reports)
	}
	b.post("/trace/upload", "reports", "1\n2,shoe size\n").is(t, http.StatusBadRequest)
	b.post("/trace/upload", "reports", "1,name,yesterday\n").is(t, http.StatusBadRequest).has(t, "Line 1")
	if len(*s.reports) != 2 {
		t.Error("a part of a bad upload was taken")
	}
	b.post("/trace/1/judge", "real", "yes", "how", "call").is(t, http.StatusForbidden)
	if strings.Contains(b.get("/trace").body, "/trace/1/judge") {
		t.Error("who entered it is offered to confirm it")
	}
	s.as("s060").get("/trace").has(t, "/trace/1/judge")
	s.as("s060").post("/trace/1/judge", "real", "yes", "how", "call").is(t, http.StatusSeeOther)
	if s.count(sallyport.ReportJudged) != 1 {
		t.Error("not judged")
	}
}

// TestMatrix puts cells where they belong, and counts what does not fit.
func TestMatrix(t *testing.T) {
	var cells []api.Cell
	for i := range 20 {
		cells = append(cells, api.Cell{Person: string(rune('a' + i)), Application: "desk", Class: "contact", Customers: 20 - i})
	}
	cells = append(cells, api.Cell{Person: "b", Application: "desk", Class: "content", Customers: 500})
	m := matrixOf(cells)
	if m.More != 5 || len(m.Rows) != mostRows || m.Rows[0].Person != "b" || m.Heads[0] != "desk · content" || m.Rows[0].Cells[0].Customers != 500 || m.Rows[0].Cells[0].Heat != 4 || m.Rows[1].Cells[0].Heat != 0 {
		t.Errorf("%+v", m)
	}
}
