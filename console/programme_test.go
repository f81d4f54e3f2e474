package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/program"
	"sallyport/program/board"
	"sallyport/program/rotation"
	"sallyport/program/training"
)

const written = "# Access\n\nApplies to: lead\n\n1.1 Nobody reads without a reason. (enforced by: reason.none)\n\n" + hostile + "\n"

// programme is a book on the stage's orders, and reports whose every text is hostile.
func (s *stage) programme() *api.Program {
	book := program.NewBook()
	fatal(s.t, s.orders.Fold(book.Apply))
	return &api.Program{
		Book: book, Training: s.learnt, Documents: func() (map[string]string, error) { return map[string]string{"access.md": written}, nil },
		Report: func(_ context.Context, _ sallyport.Staff, q *api.ReportQuestion, call func(sallyport.Staff) string) (json.RawMessage, error) {
			found, err := s.report(q, call)
			if err != nil {
				return nil, err
			}
			return json.Marshal(found)
		},
	}
}

func (s *stage) report(q *api.ReportQuestion, call func(sallyport.Staff) string) (any, error) {
	at := s.clock()
	him := sallyport.Staff(call("s001"))
	switch q.Report {
	case "board":
		month, err := time.Parse("2006-01", q.Month)
		if err != nil {
			return nil, &api.Problem{Status: 400, Code: "bad_report", Sentence: "That is no month."}
		}
		b := board.NewBook(0.001)
		for i := range 6 {
			b.Input(&sallyport.Input{Time: month.AddDate(0, -i*2, 1), Ticket: &sallyport.TicketFact{ID: "1"}}, 0, 0, 0)
			b.Input(&sallyport.Input{Time: month.AddDate(0, -i*2, 1), Access: &sallyport.Access{Staff: "s001", Subjects: []sallyport.Subject{"7"}, Verdict: "reveal"}}, 10, int64(i), 5)
		}
		page := b.Page(month, at)
		page.Record, page.Drills, page.Drift = hostile, []board.Score{{At: at, Drill: hostile, Score: 95, Lost: 1, Of: 120}}, &board.Drift{Documents: 1, Unread: 3}
		return page, nil
	case "assets":
		return []program.Asset{{Name: hostile, Kind: "database", Protection: program.NoProtection, Owner: hostile, Lacks: []string{"nothing protects it"}, Copies: []program.Copy{{What: "copy", Where: hostile, Plain: true}}, Reach: []program.Reach{{Team: hostile, Role: "agent", People: 3, Firms: 1}}, Reviewed: &program.Reviewing{Name: "autumn", At: at}}}, nil
	case "privileges":
		return map[string]any{
			"privileges": program.Privileges{
				From: at.AddDate(0, 0, -90), Until: at, Allowed: 40, Used: 22, Nobody: []string{hostile}, Teams: []program.TeamUse{{Team: hostile, Role: "agent", People: 9, Columns: map[string]int{"support.customers.email": 4, hostile: 0}}},
				People: slices.Repeat([]program.PersonUse{{Staff: him, Used: []program.ColumnUse{{Column: "support.customers.email", Times: 17}}, Unused: []string{hostile}}}, mostPeople+2),
			},
			"proposal": map[string]any{
				"removes": 0.41, "accesses": 2, "people": 1, "replay_days": 365, "cedar": "forbid (principal, action, resource); // " + hostile,
				"diff":   []any{map[string]any{"staff": []string{"s001"}, "action": "reveal", "columns": []string{hostile}, "loses": []string{"with a ticket"}}},
				"replay": map[string]any{"from": at, "until": at, "accesses": 1200, "values": 4000, "refused": []any{map[string]any{"policy": "unused.agent", "what": "token", "accesses": 2, "new": 2, "people": 1}}},
			},
		}, nil
	case "drift":
		place := []program.Place{{Where: "access.md#2.7", What: hostile}}
		return program.Drift{
			Paragraphs: 40, Enforced: 30, ByPeople: 9, Unenforced: place, Broken: place, Unwritten: place, Contradicted: []program.Contrary{{Where: "access.md#2.6", Policy: hostile, Accesses: 3, People: 2}},
			Documents: []program.DocVersion{{Name: hostile, Version: strings.Repeat("ab", 32), Readers: 4, Have: 3}}, Unread: []program.Unread{{Document: hostile, Staff: []sallyport.Staff{"s001"}}},
		}, nil
	case "handover":
		return program.Handover{
			Staff: sallyport.Staff(call(sallyport.Staff(q.Staff))), From: at.AddDate(0, 0, -90), Until: at, Peers: 8, Days: 44, Customers: 312, Habits: []program.Habit{{What: hostile, His: 0.3, Peers: 0.02, Look: "Is there a duty at that hour?"}},
			Regulars: []program.Regular{{Customer: "48211", Days: 9, Without: 8, With: 1, Last: at, Entry: 1}},
		}, nil
	case "separation":
		return separationReport{2, []program.Violation{{Rule: "two", Kind: "at_least", Of: hostile, Staff: []sallyport.Staff{him}, Text: hostile, Last: at, Entry: 1}, {Rule: "two", Of: "empty"}}}, nil
	case "firms":
		return []program.FirmExposure{{Firm: hostile, Clients: []program.ClientExposure{{Client: hostile, People: 1, Customers: 17, Values: 1700}}}, {Firm: "quiet", Until: at}}, nil
	case "firm":
		return clientReport{Name: hostile, Client: q.Client, From: at.AddDate(0, 0, -90), Until: at, People: 4, Record: "r", Seen: program.ClientExposure{People: 2, Customers: 17, Values: 1700, Days: 5, Last: at, Entries: [2]uint64{3, 99}, Columns: map[string]int{hostile: 1700}, Reasons: map[string]int{"ticket": 12}}}, nil
	case "offboarding":
		return []program.Ending{{Staff: "s001", Way: "role", What: hostile, Ended: true, At: at, Stream: "control", Entry: 1, Note: hostile}, {Staff: "s001", Way: "key", What: "the database role s001", Note: "DROP ROLE or NOLOGIN"}}, nil
	case "effect":
		return []training.Effect{{Days: 28, Told: training.Group{People: 12, Before: 1.2, After: 0.5}, Wait: training.Group{People: 11, Before: 1.1, After: 1.0}, Ratio: 0.46, Low: 0.3, High: 0.7, Says: training.Fewer}, {Lesson: training.Mail, Says: training.NotMeasured, Why: "too few"}}, nil
	case "status":
		practices, err := program.Practices()
		if err != nil {
			return nil, err
		}
		techniques, err := program.Techniques()
		if err != nil {
			return nil, err
		}
		v := program.NewEvidence(at.AddDate(0, 0, -90), at)
		return standardsReport{v.Assess(practices), v.AssessTechniques(techniques)}, nil
	}
	return nil, &api.Problem{Status: 400, Code: "bad_report", Sentence: "There is no such report."}
}

// askedFor are what each report's form is filled with here, and what its page then shows.
func (s *stage) askedFor(name string) (fields []string, shown string) {
	switch name {
	case "board":
		return []string{"month", "2026-02"}, "Insider threat programme, 2026-02"
	case "assets":
		return []string{"days", "90"}, "nothing protects it"
	case "privileges":
		return []string{"days", "365"}, "It removes 41.0 % of what is allowed. In the last 365 days it would have hindered 2 accesses of 1 people"
	case "drift":
		return []string{"days", "90"}, "The record contradicts"
	case "handover":
		return []string{"days", "90", "staff", s.names.Person("s001")}, "Is there a duty at that hour?"
	case "separation":
		return []string{"days", "30"}, s.names.Person("s001")
	case "firms":
		return []string{"days", "90"}, "No end is set for its contract"
	case "firm":
		return []string{"days", "90", "firm", "north", "client", "acme"}, "the entries 3 to 99 of the record"
	case "offboarding":
		return []string{"firm", "north"}, "DROP ROLE or NOLOGIN"
	case "effect":
		return nil, "× 0.46 (0.30 to 0.70)"
	}
	return []string{"days", "90", "standard", "all"}, "T1213.006 Databases"
}

// programmePages are those of the programme that can be opened by their address.
func programmePages() []string {
	list := []string{"/programme", "/programme/reviews", "/programme/documents", "/programme/rotation"}
	for _, r := range reports() {
		list = append(list, "/programme/"+r.Name)
	}
	return list
}

// TestProgramme: each report has a page on which it is made when asked for, which is recorded; looking at the page asks nothing.
func TestProgramme(t *testing.T) {
	s := newStage(t)
	s.revealed("s001", "48211")
	lead, agent := s.as("s050"), s.as("s001")
	lead.get("/programme").is(t, http.StatusOK).has(t, "/programme/board", "/programme/offboarding", "1 for you to read")
	if body := agent.get("/programme").is(t, http.StatusOK).body; strings.Contains(body, "/programme/board") || strings.Contains(body, "for you to read") {
		t.Errorf("an agent is offered what is not his:\n%s", body)
	}
	for _, r := range reports() {
		path := "/programme/" + r.Name
		before := len(s.asked("s050"))
		readable(t, path, lead.get(path).is(t, http.StatusOK).body)
		if n := len(s.asked("s050")); n != before {
			t.Errorf("%s: to look at the form asks the record", r.Name)
		}
		fields, want := s.askedFor(r.Name)
		made := lead.post(path, fields...).is(t, http.StatusOK).has(t, want)
		readable(t, path, made.body)
		if strings.Contains(made.body, "<script>alert") {
			t.Errorf("%s: a name is taken for a script", r.Name)
		}
		if strings.Contains(made.body, ">s001<") && r.Name != "offboarding" && r.Name != "drift" && r.Name != "privileges" { // by name where it is not told what he did; the diff is of policies
			t.Errorf("%s names somebody:\n%s", r.Name, made.body)
		}
		if asked := s.asked("s050")[before:]; !slices.Equal(asked, []string{"program_" + r.Name}) {
			t.Errorf("%s, on record: %q", r.Name, asked)
		}
		agent.get(path).is(t, http.StatusForbidden)
		agent.post(path, fields...).is(t, http.StatusForbidden)
	}
	lead.post("/programme/assets", "days", "x").is(t, http.StatusBadRequest)
	lead.post("/programme/board", "month", "November").is(t, http.StatusBadRequest).has(t, "That is no month")
	lead.post("/programme/handover", "days", "90", "staff", "s001").is(t, http.StatusNotFound) // by name only once two agreed
	lead.post("/programme/rewards").is(t, http.StatusNotFound)
}

// TestReviewsPage: a review is decided on the page, with a reason, by whoever may.
func TestReviewsPage(t *testing.T) {
	s := newStage(t)
	lead := s.as("s050")
	items := map[sallyport.Staff][]string{"s001": {"support.customers.email: not used"}, "s050": {"own"}}
	until := s.clock().Add(8 * 24 * time.Hour)
	for who, list := range items {
		fatal(t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: "s051", Program: &sallyport.ProgramStep{
			Do: program.ReviewOpened, Name: "autumn", Staff: who, Until: until, Items: list, Ends: true,
		}}}))
	}
	lead.get("/programme").is(t, http.StatusOK).has(t, "1 to be decided")
	page := lead.get("/programme/reviews").is(t, http.StatusOK).has(t, "s001 · autumn", "support.customers.email: not used")
	readable(t, "/programme/reviews", page.body)
	if strings.Contains(page.body, "s050 · autumn") {
		t.Error("he is shown the review of himself")
	}
	lead.post("/programme/reviews", "name", "autumn", "staff", "s001", "keep", "yes").is(t, http.StatusBadRequest) // without a reason
	lead.post("/programme/reviews", "name", "autumn", "staff", "s050", "keep", "yes", "reason", "me").is(t, http.StatusNotFound)
	s.as("s001").post("/programme/reviews", "name", "autumn", "staff", "s050", "keep", "yes", "reason", "my lead").is(t, http.StatusNotFound)
	lead.post("/programme/reviews", "name", "autumn", "staff", "s001", "keep", "no", "reason", "has another job").is(t, http.StatusSeeOther)
	lead.get("/programme/reviews?done=reviewed").is(t, http.StatusOK).has(t, "Decided, and on record", "has another job", "ended")
	if n := s.count(sallyport.ProgramKind); n != 3 {
		t.Errorf("%d entries", n)
	}
}

// TestDocumentsPage: somebody reads a written policy and acknowledges the version that he was shown, once.
func TestDocumentsPage(t *testing.T) {
	s := newStage(t)
	lead := s.as("s050")
	sum := sha256.Sum256([]byte(written))
	version := hex.EncodeToString(sum[:])
	readable(t, "/programme/documents", lead.get("/programme/documents").is(t, http.StatusOK).has(t, "You are to read this version", "1.1 Nobody reads", version).body)
	s.as("s001").get("/programme/documents").is(t, http.StatusOK).has(t, "does not apply to your role")
	for range 2 {
		lead.post("/programme/documents", "document", "access.md", "version", version).is(t, http.StatusSeeOther)
	}
	lead.get("/programme/documents?done=acknowledged").is(t, http.StatusOK).has(t, "you have read this version", "You have acknowledged this version")
	lead.post("/programme/documents", "document", "access.md", "version", "x").is(t, http.StatusBadRequest)
	if n := s.count(sallyport.ProgramKind); n != 1 {
		t.Errorf("%d entries", n)
	}
}

const plan = "name: desk\nstart: {from: 2026-12-07, to: 2026-12-18}\npeople:\n- {id: t01}\n- {id: t02}\nposts:\n- {id: acme}\n- {id: bolt}\n"

// committed puts a commitment to a draw on record, and gives the file of the draw.
func (s *stage) committed() (file []byte) {
	s.t.Helper()
	proof := []byte(`{"round":1000,"randomness":"fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd","signature":"b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"}`)
	b := &rotation.Beacon{Round: 1000}
	secret := [32]byte{7}
	reveal, _, err := rotation.Make([]byte(plan), secret, b, proof)
	fatal(s.t, err)
	file, err = reveal.Encode()
	fatal(s.t, err)
	digest, err := hex.DecodeString(reveal.Commitment)
	fatal(s.t, err)
	fatal(s.t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: "s051", Program: &sallyport.ProgramStep{
		Do: program.RotationCommit, Name: "desk", Digest: digest, Beacon: b.String(), Until: s.clock().Add(time.Hour),
	}}}))
	return file
}

// drawn puts it on record that it was drawn.
func (s *stage) drawn(file []byte) {
	s.t.Helper()
	reveal, _, err := rotation.Verify(file)
	fatal(s.t, err)
	sum := sha256.Sum256(file)
	of, err := hex.DecodeString(reveal.Commitment)
	fatal(s.t, err)
	fatal(s.t, s.orders.Give(nil, &sallyport.Event{Time: s.clock(), Kind: sallyport.ProgramKind, Order: &sallyport.Order{By: "s051", Program: &sallyport.ProgramStep{
		Do: program.RotationDraw, Name: "desk", Digest: sum[:], Of: of, Text: string(reveal.Result),
	}}}))
}

// upload sends a file as a browser does.
func (b *browser) upload(path string, file []byte) page {
	b.s.t.Helper()
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	part, err := w.CreateFormFile("file", "plan.draw.json")
	fatal(b.s.t, err)
	_, err = part.Write(file)
	fatal(b.s.t, err)
	fatal(b.s.t, w.Close())
	r, err := http.NewRequestWithContext(b.s.t.Context(), http.MethodPost, b.s.web.URL+path, &body)
	fatal(b.s.t, err)
	r.Header.Set("Content-Type", w.FormDataContentType())
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return b.do(r)
}

// TestRotationPage: what was committed to and drawn is shown, and a draw is repeated from its file and held to the record.
func TestRotationPage(t *testing.T) {
	s := newStage(t)
	lead := s.as("s050")
	lead.get("/programme/rotation").is(t, http.StatusOK).has(t, "Nothing was drawn yet")
	file := s.committed()
	lead.upload("/programme/rotation/upload", file).is(t, http.StatusOK).has(t, "this draw is not on record")
	s.add(2 * time.Hour)
	lead = s.as("s050")
	lead.get("/programme").has(t, "1 to be drawn")
	s.drawn(file)
	readable(t, "/programme/rotation", lead.get("/programme/rotation").is(t, http.StatusOK).has(t, "drawn", "it holds from 2026-12-", "acme", "t02", "drand").body)
	before := len(s.asked("s050"))
	readable(t, "verified", lead.upload("/programme/rotation/upload", file).is(t, http.StatusOK).has(t, "It comes out as the file says. It was committed to", "the only one of its name").body)
	if asked := s.asked("s050")[before:]; !slices.Contains(asked, "rotation_verify") {
		t.Errorf("on record: %q", asked)
	}
	forged := bytes.Replace(file, []byte(`"t01"`), []byte(`"t03"`), 1)
	if bytes.Equal(forged, file) {
		t.Fatal("nothing was forged")
	}
	lead.upload("/programme/rotation/upload", forged).is(t, http.StatusBadRequest)
	lead.upload("/programme/rotation/upload", []byte("no draw")).is(t, http.StatusBadRequest)
	lead.post("/programme/rotation/upload").is(t, http.StatusBadRequest)
	lead.upload("/programme/rotation/upload", bytes.Repeat([]byte("a"), mostUpload)).is(t, http.StatusRequestEntityTooLarge)
	s.as("s001").upload("/programme/rotation/upload", file).is(t, http.StatusForbidden)
	s.as("s001").get("/programme/rotation").is(t, http.StatusForbidden)
}
