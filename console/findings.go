package console

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/detect"
)

// finding is one of the queue.
type finding struct {
	detect.Finding
	First     time.Time
	Name      string
	Loss      float64 // customers that it costs, weighed by how likely it is that it is none of the innocent ways
	Responses []api.Response
	Sentences [5]string
	Chart     evidenceChart
	Case      uint64
}

// findingsPage is the queue, by expected loss, and the cases.
type findingsPage struct {
	Mode      string
	Findings  []finding
	More      int       // findings that are not shown: those that cost least
	Decided   []finding // whose case is closed
	Cases     []api.Case
	MoreCases int // older ones that are not shown
}

// The most that the page shows; sallyport findings and case ls list all.
const (
	mostFindings = 50
	mostDecided  = 25
	mostCases    = 100
)

func (s *Console) findingRoutes(mux *http.ServeMux) {
	mux.Handle("GET /findings", s.as(s.findings))
	mux.Handle("GET /findings/{id}", s.as(s.finding))
	mux.Handle("POST /findings/{id}/{do}", s.as(s.actOnFinding))
}

// readFindings are findings, the one first that probably costs most.
func (v *visit) readFindings(id string) (list []finding, mode string, err error) {
	raw, mode, err := v.api.Findings(v.r.Context(), id)
	if err != nil {
		return nil, "", err
	}
	for i := range raw {
		f := finding{First: raw[i].First, Name: raw[i].Name, Responses: raw[i].Responses}
		if err := json.Unmarshal(raw[i].Finding, &f.Finding); err != nil {
			return nil, "", fmt.Errorf("read a finding: %w", err)
		}
		if len(f.Staff) == 0 {
			return nil, "", fmt.Errorf("read finding %s: it is about nobody", f.ID)
		}
		f.Loss = (1 - f.Probabilities[detect.Benign]) * float64(f.SubjectsExposed)
		f.Sentences, f.Chart = detect.Explain(&f.Finding, f.Name), evidenceOf(&f.Finding)
		list = append(list, f)
	}
	slices.SortStableFunc(list, func(a, b finding) int {
		return cmp.Or(cmp.Compare(b.Loss, a.Loss), cmp.Compare(b.Log10Odds, a.Log10Odds), a.First.Compare(b.First))
	})
	return list, cmp.Or(mode, "observe"), nil
}

func (s *Console) findings(v *visit) error {
	list, mode, err := v.readFindings("")
	if err != nil {
		return err
	}
	p := findingsPage{Mode: mode}
	if p.Cases, err = v.api.Cases(v.r.Context()); err != nil && !isProblem(err, "no_cases") {
		return err
	}
	slices.Reverse(p.Cases)
	for _, f := range list {
		state := ""
		f.Case, state = caseAbout(p.Cases, f.ID)
		switch {
		case state == "closed" && len(p.Decided) < mostDecided:
			p.Decided = append(p.Decided, f)
		case state == "closed":
		case len(p.Findings) < mostFindings:
			p.Findings = append(p.Findings, f)
		default:
			p.More++
		}
	}
	if n := len(p.Cases) - mostCases; n > 0 {
		p.MoreCases, p.Cases = n, p.Cases[:mostCases]
	}
	return v.show("findings", "Findings and cases", p)
}

// caseAbout is the case that a finding belongs to, the newest one; 0: none that one may see.
func caseAbout(list []api.Case, id string) (n uint64, state string) {
	for _, c := range list {
		if slices.Contains(c.Findings, id) && c.Number > n {
			n, state = c.Number, c.State
		}
	}
	return n, state
}

func isProblem(err error, code string) bool {
	p, ok := err.(*api.Problem) //nolint:errorlint // the client returns it as it is
	return ok && p.Code == code
}

// pseudonym is how that of a person begins.
const pseudonym = "p-"

// findingPage is one finding, and what can be done about it.
type findingPage struct {
	finding
	Mode     string
	Undoable bool
	Decided  bool // its case is closed
	Named    bool // whoever looks knows him by name
}

func (s *Console) finding(v *visit) error {
	list, mode, err := v.readFindings(v.r.PathValue("id"))
	if err != nil {
		return err
	}
	p := findingPage{finding: list[0], Mode: mode, Named: !strings.HasPrefix(string(list[0].Staff[0]), pseudonym)}
	cases, err := v.api.Cases(v.r.Context())
	if err != nil && !isProblem(err, "no_cases") {
		return err
	}
	state := ""
	if p.Case, state = caseAbout(cases, p.ID); state == "closed" {
		p.Decided = true
	}
	for _, r := range p.Responses {
		p.Undoable = p.Undoable || r.State == "done" && !r.Undone
	}
	return v.show("finding", "Finding "+p.ID, p)
}

// actOnFinding does something about whom a finding is about. What takes rights away bites at once; what gives them back takes two people.
func (s *Console) actOnFinding(v *visit) error {
	id, reason := v.r.PathValue("id"), v.form("reason")
	page := "/findings/" + url.PathEscape(id)
	list, _, err := v.readFindings(id)
	if err != nil {
		return err
	}
	who := list[0].Staff[0]
	switch v.r.PathValue("do") {
	case "lock":
		proposal, err := v.api.TryLock(v.r.Context(), who, reason)
		if err != nil {
			return err
		}
		if proposal != "" {
			return v.done(page, "proposed")
		}
		return v.done(page, "locked")
	case "unlock":
		if _, err := v.api.Unlock(v.r.Context(), who, reason); err != nil {
			return err
		}
		return v.done(page, "proposed")
	case "undo":
		if _, err := v.api.UndoResponse(v.r.Context(), id, reason); err != nil {
			return err
		}
		return v.done(page, "proposed")
	case "unmask":
		if _, err := v.api.Unmask(v.r.Context(), string(who), reason, 0); err != nil {
			return err
		}
		return v.done(page, "proposed")
	case "case":
		n, err := v.api.OpenCase(v.r.Context(), api.CaseRequest{Text: reason, Finding: id})
		if err != nil {
			return err
		}
		return v.done("/cases/"+strconv.FormatUint(n, 10), "opened")
	}
	return noSuchDeed()
}

// casePage is one case with its timeline.
type casePage struct {
	api.Case
	Timeline []api.CaseLine
	Next     []string // states that a person may set
	Shares   shareChart
	Done     []api.Response // because of its findings
}

// mostOfCase is of how many of its findings a case shows what was done.
const mostOfCase = 10

func (s *Console) caseRoutes(mux *http.ServeMux) {
	mux.Handle("GET /cases/{n}", s.as(s.oneCase))
	mux.Handle("POST /cases/{n}/{do}", s.as(s.stepCase))
	mux.Handle("POST /cases/{n}/undo", s.as(s.undoOfCase))
	mux.Handle("POST /cases/{n}/pack/{id}", s.as(s.packOfCase))
}

func (s *Console) oneCase(v *visit) error {
	n := v.r.PathValue("n")
	c, err := v.api.Case(v.r.Context(), n)
	if err != nil {
		return err
	}
	lines, err := v.api.CaseTimeline(v.r.Context(), n)
	if err != nil {
		return err
	}
	slices.Reverse(lines)
	p := casePage{Case: c, Timeline: lines, Shares: sharesOf(c.Weighed)}
	for _, id := range c.Findings[:min(len(c.Findings), mostOfCase)] {
		list, _, err := v.readFindings(id)
		if isProblem(err, "no_such_finding") {
			continue
		}
		if err != nil {
			return err
		}
		p.Done = append(p.Done, list[0].Responses...)
	}
	if c.State != "closed" {
		for _, state := range []string{"open", "investigating", "contained"} {
			if state != c.State {
				p.Next = append(p.Next, state)
			}
		}
	}
	return v.show("case", "Case "+n, p)
}

// undoOfCase proposes to take back one step.
func (s *Console) undoOfCase(v *visit) error {
	if _, err := v.api.UndoResponse(v.r.Context(), v.form("response"), v.form("reason")); err != nil {
		return err
	}
	return v.done("/cases/"+url.PathEscape(v.r.PathValue("n")), "proposed")
}

// packOfCase hands over an evidence pack as a file. It is fetched by a form and by no link: each time is on record.
func (s *Console) packOfCase(v *visit) error {
	n, id := v.r.PathValue("n"), v.r.PathValue("id")
	b, err := v.api.Pack(v.r.Context(), n, id)
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(n, 10, 64)
	if err != nil {
		return noSuchDeed()
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/zip")
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="case%d.zip"`, number))
	_, _ = v.w.Write(b) //nolint:gosec // an archive, by its type and nosniff; a browser that left cannot be told
	return nil
}

func (s *Console) stepCase(v *visit) error {
	n, do := v.r.PathValue("n"), v.r.PathValue("do")
	q := api.CaseRequest{Text: v.form("text"), State: v.form("state"), Outcome: v.form("outcome"), People: v.r.PostForm["guilty"]}
	if t := v.form("task"); t != "" {
		q.Task, _ = strconv.ParseUint(t, 10, 64) // 0 is no task
	}
	if do == "export" && v.form("whole") != "" {
		q.State = api.WholeEntries
	}
	if v.form("kind") != "" {
		q.Link = &sallyport.CaseLink{Kind: v.form("kind"), Ref: v.form("ref")}
	}
	proposal, err := v.api.StepCase(v.r.Context(), n, do, q)
	if err != nil {
		return err
	}
	what := "stepped"
	if proposal != "" {
		what = "proposed"
	}
	return v.done("/cases/"+url.PathEscape(n), what)
}
