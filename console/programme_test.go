package console

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/program"
)

// programme is a book on the stage's orders, and reports whose every text is hostile.
func (s *stage) programme() *api.Program {
	book := program.NewBook()
	fatal(s.t, s.orders.Fold(book.Apply))
	return &api.Program{Book: book, Training: s.learnt, Report: func(_ context.Context, _ sallyport.Staff, q *api.ReportQuestion, call func(sallyport.Staff) string) (json.RawMessage, error) {
		at := s.clock()
		var found any
		switch q.Report {
		case "assets":
			found = []program.Asset{{Name: hostile, Kind: "database", Protection: program.NoProtection, Owner: hostile, Lacks: []string{"nothing protects it"}, Copies: []program.Copy{{What: "copy", Where: hostile, Plain: true}}, Reach: []program.Reach{{Team: hostile, Role: "agent", People: 3, Firms: 1}}, Reviewed: &program.Reviewing{Name: "autumn", At: at}}}
		case "separation":
			found = separationReport{2, []program.Violation{{Rule: "two", Of: hostile, Staff: []sallyport.Staff{sallyport.Staff(call("s001"))}, Text: hostile, Last: at, Entry: 7}, {Rule: "two", Of: "empty"}}}
		case "firms":
			found = []program.FirmExposure{{Firm: hostile, Clients: []program.ClientExposure{{Client: hostile, People: 1, Customers: 17, Values: 1700}}}, {Firm: "quiet", Until: at}}
		case "status":
			practices, err := program.Practices()
			if err != nil {
				return nil, err
			}
			found = statusReport{Practices: program.NewEvidence(at.AddDate(0, 0, -90), at).Assess(practices)}
		}
		return json.Marshal(found)
	}}
}

// TestProgramme: reports are made when asked for, which is recorded; a review is decided on the page, with a reason, by whoever may.
func TestProgramme(t *testing.T) {
	s := newStage(t)
	lead := s.as("s050")
	items := map[sallyport.Staff][]string{"s001": {"support.customers.email: not used"}, "s050": {"own"}}
	until := s.clock().Add(8 * 24 * time.Hour)
	for who, list := range items {
		fatal(t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: "s051", Program: &sallyport.ProgramStep{
			Do: program.ReviewOpened, Name: "autumn", Staff: who, Until: until, Items: list, Ends: true,
		}}}))
	}
	page := lead.get("/programme").is(t, http.StatusOK).has(t, "s001 · autumn", "support.customers.email: not used", "Nothing was drawn yet")
	if strings.Contains(page.body, "s050 · autumn") {
		t.Error("he is shown the review of himself")
	}
	for report, want := range map[string]string{"assets": "nothing protects it", "separation": s.names.Person("s001"), "firms": "no end is set", "status": "22. "} {
		before := len(s.asked("s050"))
		made := lead.post("/programme", "report", report).is(t, http.StatusOK).has(t, want)
		readable(t, "/programme "+report, made.body)
		if strings.Contains(made.body, "<script>alert") {
			t.Errorf("%s: a name is taken for a script", report)
		}
		if asked := s.asked("s050")[before:]; asked[0] != "program_"+report {
			t.Errorf("on record: %q", asked)
		}
	}
	lead.post("/programme", "report", "privileges").is(t, http.StatusBadRequest)
	lead.post("/programme/reviews", "name", "autumn", "staff", "s001", "keep", "yes").is(t, http.StatusBadRequest) // without a reason
	lead.post("/programme/reviews", "name", "autumn", "staff", "s050", "keep", "yes", "reason", "me").is(t, http.StatusNotFound)
	s.as("s001").post("/programme/reviews", "name", "autumn", "staff", "s050", "keep", "yes", "reason", "my lead").is(t, http.StatusNotFound)
	lead.post("/programme/reviews", "name", "autumn", "staff", "s001", "keep", "no", "reason", "has another job").is(t, http.StatusSeeOther)
	lead.get("/programme?done=reviewed").is(t, http.StatusOK).has(t, "Decided, and on record", "has another job", "ended")
	if n := s.count(sallyport.ProgramKind); n != 3 {
		t.Errorf("%d entries", n)
	}
}
