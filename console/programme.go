package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sallyport"
	"sallyport/api"
)

// programmePage leads to what an insider-threat programme does beside the software, a page each, and says what waits.
type programmePage struct{ Parts []programmePart }

// programmePart is one of those pages.
type programmePart struct{ Path, Name, Words, Waits string }

func (s *Console) programmeRoutes(mux *http.ServeMux) {
	mux.Handle("GET /programme", s.as(func(v *visit) error { return v.programme() }))
	mux.Handle("GET /programme/reviews", s.as(func(v *visit) error { return v.reviews() }))
	mux.Handle("POST /programme/reviews", s.as(s.decideReview))
	mux.Handle("GET /programme/documents", s.as(func(v *visit) error { return v.documents() }))
	mux.Handle("POST /programme/documents", s.as(s.acknowledge))
	mux.Handle("GET /programme/rotation", s.as(func(v *visit) error { return v.rotation(nil) }))
	mux.Handle("POST /programme/rotation/upload", s.as(s.verifyDraw))
	for _, r := range reports() {
		mux.Handle("GET /programme/"+r.Name, s.as(func(v *visit) error { return v.emptyReport(r) }))
		mux.Handle("POST /programme/"+r.Name, s.as(func(v *visit) error { return v.makeReport(r) }))
	}
}

// programme shows the way to each page. Whoever may not investigate has his people's reviews, and what he is to have read.
func (v *visit) programme() error {
	p := &programmePage{}
	open, err := v.openReviews()
	if err != nil {
		return err
	}
	unread, err := v.unread()
	if err != nil {
		return err
	}
	p.Parts = []programmePart{
		{"/programme/reviews", "Reviews of access", "Whether people go on reading what they may read; what nobody decides ends by its date.", waiting(open, "to be decided")},
		{"/programme/documents", "Written policies", "What is to be read, and acknowledged version by version.", waiting(unread, "for you to read")},
	}
	if v.may("investigate") {
		draws, err := v.api.Rotations(v.r.Context())
		if err != nil {
			return err
		}
		due := 0
		for _, d := range draws {
			if d.State == "due" {
				due++
			}
		}
		p.Parts = append(p.Parts, programmePart{"/programme/rotation", "Rotation", "Who serves whom, drawn so that nobody foresees or steers it; repeat a draw.", waiting(due, "to be drawn")})
		for _, r := range reports() {
			p.Parts = append(p.Parts, programmePart{"/programme/" + r.Name, r.Title, r.Words, ""})
		}
	}
	p.Parts = append(p.Parts, programmePart{"/training", "Training and drills", "Courses, lessons and their questions; scores of drills.", ""})
	return v.show("programme", "Programme", p)
}

func waiting(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n, " ", what)
}

// reportPage is a report, made or to be asked for: each reads the whole record, so none is made by looking at its page.
type reportPage struct {
	report
	Asked  api.ReportQuestion // as it was asked for; of an empty page what stands in its fields
	Answer *api.ReportAnswer  // nil: it was not made
	Found  any                // what the report of that name found
}

// Wants tells whether a report is asked with something.
func (p *reportPage) Wants(what string) bool { return strings.Contains(p.Asks, what) }

// DaysBack are how far back one can ask.
func (p *reportPage) DaysBack() []int { return []int{30, 90, 365} }

// Standards are what can be gone through.
func (p *reportPage) Standards() map[string]string {
	return map[string]string{"cert": "The 22 practices of CERT's guide", "attack": "Techniques of insiders in MITRE ATT&CK", "all": "Both"}
}

// emptyReport shows what can be asked for, to whom policies let ask it: a courtesy, since the route refuses all others.
func (v *visit) emptyReport(r report) error {
	if !v.may("investigate") {
		return &api.Problem{Status: http.StatusForbidden, Code: "not_your_role", Sentence: "Your role may not ask for reports of the programme.", Hint: "Ask a lead or security."}
	}
	p := &reportPage{report: r, Asked: api.ReportQuestion{Days: 90, Standard: "cert"}}
	if p.Wants("month") {
		p.Asked.Month = v.s.c.Now().UTC().Format("2006-01")
	}
	return v.show("programme-"+r.Name, r.Title, p)
}

// makeReport has a report made, which is on record first.
func (v *visit) makeReport(r report) error {
	p := &reportPage{report: r, Asked: api.ReportQuestion{
		Report: r.Name, Days: 90, Month: v.form("month"), Staff: v.form("staff"), Firm: v.form("firm"), Client: v.form("client"), Standard: v.form("standard"),
	}}
	if p.Wants("days") {
		p.Asked.Days, _ = strconv.Atoi(v.form("days")) // what is no number is refused
		if p.Asked.Days <= 0 {
			return &api.Problem{Status: http.StatusBadRequest, Code: "bad_report", Sentence: "A report looks 1 to 3,660 days back."}
		}
	}
	answer, err := v.api.ProgramReport(v.r.Context(), &p.Asked)
	if err != nil {
		return err
	}
	found := r.found()
	if err := json.Unmarshal(answer.Found, found); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	p.Answer, p.Found = answer, found
	return v.show("programme-"+r.Name, r.Title, p)
}

// staffOf names people, or nobody.
func staffOf(list []sallyport.Staff) string {
	if len(list) == 0 {
		return "nobody"
	}
	names := make([]string, len(list))
	for i, who := range list {
		names[i] = string(who)
	}
	return strings.Join(names, ", ")
}
