package console

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"sallyport/api"
)

// frame is what every page shows around its own content.
type frame struct {
	Title   string
	Next    string // where the page leads by itself at once; empty: nowhere
	Again   string // what is loaded anew after some seconds, while it changes; empty: nothing
	Me      *api.Me
	Nav     []navItem
	Notices []string
	Done    string // what was done just now
	Data    any
}

// navItem is one page of the menu.
type navItem struct {
	Path, Name string
	Here       bool
}

// pages are the parsed templates.
type pages struct{ byName map[string]*template.Template }

func parsePages(files fs.FS) (*pages, error) {
	base, err := template.New("base").Funcs(functions()).ParseFS(files, "pages/base.html", "pages/parts.html", "pages/asking.html")
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("read pages: %w", err)
	}
	p := &pages{byName: map[string]*template.Template{}}
	for _, name := range names {
		own := strings.TrimSuffix(path.Base(name), ".html")
		if own == "base" || own == "parts" || own == "asking" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(files, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read page %s: %w", own, err)
		}
		p.byName[own] = t
	}
	return p, nil
}

// functions are those of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"moment": func(t time.Time) string {
			if t.IsZero() {
				return "never"
			}
			return t.UTC().Format("2006-01-02 15:04")
		},
		"machine": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"percent": percent,
		"signed":  func(x float64) string { return fmt.Sprintf("%+.2f", x) },
		"odds":    oddsOf,
		"join":    strings.Join,
		"esc":     url.PathEscape,
		"words":   func(s string) string { return strings.ReplaceAll(s, "_", " ") },
		"amount":  amount,
		"at":      func(s string) bool { return strings.Contains(s, "@") },
		"parts":   parts,
		"over":    func(had, expected float64) bool { return had > 2*expected+3 },
		"day":     func(t time.Time) string { return t.UTC().Format(time.DateOnly) },
		"clock":   func(t time.Time) string { return t.UTC().Format("15:04:05") },
		"short":   func(column string) string { return column[strings.IndexByte(column, '.')+1:] },
		"anchor":  func(id string) string { return "policy-" + strings.ReplaceAll(id, ".", "-") },
		"would":   would,
		"seconds": seconds,
		"moved":   movedWords,
		"staff":   staffOf,
		"letter":  func(i int) string { return string("abcdefgh"[min(i, 7)]) },
		"hours":   func(minutes int) string { return hoursOf(minutes) },
		"span":    span,
	}
}

// amount groups the digits of a number.
func amount(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

// would says in a word what would have become of an access.
func would(what string) string {
	return map[string]string{"token": "stayed tokens", "mask": "masked", "wait": "waited", "slow": "gone slower", "suspend": "suspended", "cut": "cut", "statement": "refused"}[what]
}

// seconds is a time that may not have come.
func seconds(s *float64) string {
	if s == nil {
		return "–"
	}
	return fmt.Sprintf("%.1f s", *s)
}

// percent is a share to a tenth of a percent. What is not quite nothing, or not quite all, is not called so.
func percent(p float64) string {
	switch {
	case p > 0 && p < 0.0005:
		return "under 0.1 %"
	case p < 1 && p >= 0.9995:
		return "over 99.9 %"
	}
	return fmt.Sprintf("%.1f %%", 100*p)
}

// span is a time to go, to the minute once it is one.
func span(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Minute {
		return text
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

func hoursOf(minutes int) string {
	if minutes%60 == 0 {
		return fmt.Sprintf("%d h", minutes/60)
	}
	return fmt.Sprintf("%d min", minutes)
}

// render writes a page, or a part of one, into memory: what fails half-way shows nobody half a page.
func (p *pages) render(name, part string, f *frame) ([]byte, error) {
	var b bytes.Buffer
	if err := p.byName[name].ExecuteTemplate(&b, part, f); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return b.Bytes(), nil
}

func (p *pages) show(w http.ResponseWriter, status int, name string, f *frame) {
	b, err := p.render(name, "base", f)
	if err != nil {
		http.Error(w, "This page could not be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b) //nolint:gosec // html/template has encoded it; a browser that left cannot be told
}

// visit is one request of somebody who is logged in.
type visit struct {
	s       *Console
	w       http.ResponseWriter
	r       *http.Request
	session *api.Session
	api     *api.Client
	me      api.Me
	notices []string
}

// as wraps a page in the log-in.
func (s *Console) as(do func(*visit) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(w, r, true)
		if err == nil && r.Method == http.MethodPost {
			if err = r.ParseForm(); err != nil {
				err = badForm(err)
			}
		}
		if err == nil {
			err = do(v)
		}
		if err != nil {
			s.refuse(w, r, v, err)
		}
	})
}

// visit finds out who comes; use says that it is he himself and not his page.
func (s *Console) visit(w http.ResponseWriter, r *http.Request, use bool) (*visit, error) {
	who := s.sessions.find(r, use)
	if who == nil {
		return nil, &api.Problem{Status: http.StatusUnauthorized, Code: "log_in", Sentence: "You are not logged in, or have not been here for a while."}
	}
	v := &visit{s: s, w: w, r: r, session: who, api: s.c.API.Inside(who, r.RemoteAddr)}
	v.api.Heard = func(sentence string) { v.notices = append(v.notices, sentence) }
	var err error
	v.me, err = v.api.Me(r.Context())
	return v, err
}

// refuse shows why something was not done. Who is not logged in gets to the page for that.
func (s *Console) refuse(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	drained(r)
	p := s.problem(err)
	if p.Status == http.StatusUnauthorized {
		if _, err := r.Cookie(cookieName); err == nil { // else another site may have led here: whoever is logged in stays it
			http.SetCookie(w, cookie("", -1))
		}
		at := "/login"
		if to := leadsTo(r.URL.Path); to != "" && r.Method == http.MethodGet {
			at += "?to=" + url.QueryEscape(to)
		}
		http.Redirect(w, r, at, http.StatusSeeOther) //nolint:gosec // our own log-in
		return
	}
	data := problemPage{p, backFrom(r)}
	f := &frame{Title: "Not done", Data: data}
	if v != nil && !v.session.Ended() {
		f = v.frame("Not done", data)
	}
	s.pages.show(w, p.Status, "problem", f)
}

// problemPage says why something was not done.
type problemPage struct {
	*api.Problem
	Back string // the page on which it was tried; empty: that is this one
}

// backFrom is the page whose form was sent; empty: none was.
func backFrom(r *http.Request) string {
	if r.Method != http.MethodPost {
		return ""
	}
	parts := strings.Split(strings.Trim(path.Clean(r.URL.Path), "/"), "/")
	keep := 1
	switch parts[0] {
	case "findings", "cases", "requests", "people", "programme":
		keep = 2
	case "record":
		keep = 3
	case "proposals":
		parts[0] = "requests"
	case "links":
		parts[0] = "calls"
	}
	return leadsTo("/" + strings.Join(parts[:min(keep, len(parts))], "/"))
}

// problem is an error as people read it.
func (s *Console) problem(err error) *api.Problem {
	p, ok := err.(*api.Problem) //nolint:errorlint // the client returns it as it is, and what wraps one is told as a whole
	if ok {
		return p
	}
	s.c.Log.Error("a page could not be shown", "why", err.Error())
	return &api.Problem{Status: http.StatusInternalServerError, Code: "failed", Sentence: "This page could not be shown.", Hint: "See the log of serve."}
}

// may tells whether policies let him do this right now: for what a page offers, never for what it does.
func (v *visit) may(what string) bool {
	return slices.Contains(v.me.May, what)
}

func (v *visit) frame(title string, data any) *frame {
	f := &frame{Title: title, Me: &v.me, Notices: v.notices, Data: data, Done: doneWords(v.r.URL.Query().Get("done"))}
	items := []navItem{{Path: "/requests", Name: "Requests"}, {Path: "/programme", Name: "Programme"}}
	if v.may("investigate") {
		items = []navItem{
			{Path: "/now", Name: "Now"},
			{Path: "/requests", Name: "Requests"},
			{Path: "/findings", Name: "Findings and cases"},
			{Path: "/people", Name: "People"},
			{Path: "/customers", Name: "Customers"},
			{Path: "/trace", Name: "Trace"},
			{Path: "/record", Name: "Record"},
			{Path: "/programme", Name: "Programme"},
		}
	}
	if len(v.me.May) > 0 {
		items = append(items, navItem{Path: "/data", Name: "Data"}, navItem{Path: "/policies", Name: "Policies"}, navItem{Path: "/drills", Name: "Drills"})
	}
	items = append(items, navItem{Path: "/training", Name: "Training"})
	if v.s.c.API.HasCalls() {
		items = append(items, navItem{Path: "/calls", Name: "Calls"})
	}
	for i := range items {
		items[i].Here = v.r.URL.Path == items[i].Path || strings.HasPrefix(v.r.URL.Path, items[i].Path+"/") || items[i].Path == "/findings" && strings.HasPrefix(v.r.URL.Path, "/cases/")
	}
	f.Nav = items
	return f
}

func (v *visit) show(name, title string, data any) error {
	v.s.pages.show(v.w, http.StatusOK, name, v.frame(title, data))
	return nil
}

// done leads to a page after something was done, so that loading it anew does not do it again.
func (v *visit) done(to, what string) error {
	if what != "" {
		to += "?done=" + what
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther) //nolint:gosec // to begins with a path of ours, and what follows is escaped
	return nil
}

// doneWords says what was done: only words of ours are shown, whatever an address says.
func doneWords(what string) string {
	switch what {
	case "confirmed":
		return "You have confirmed who you are."
	case "called_off":
		return "Called off: its code says no from now on."
	case "passkey":
		return "The passkey is on record. It lets you in from now on."
	case "asked":
		return "Your request is on record. Others decide about it."
	case "approved":
		return "Approved, and on record."
	case "declined":
		return "Refused, and on record."
	case "ended":
		return "Ended, and on record."
	case "locked":
		return "Locked: his sessions have ended."
	case "proposed":
		return "Proposed: somebody else approves it, under Requests."
	case "opened":
		return "The case is open."
	case "stepped":
		return "Noted in the case."
	case "reported":
		return "The report is on record. It weighs once somebody else has asked the customer."
	case "playing":
		return "It is on record, and being played."
	case "reviewed":
		return "Decided, and on record."
	case "acknowledged":
		return "On record: you have read this version."
	case "learnt":
		return "That is right. The lesson is done."
	case "judged":
		return "Noted what the customer said."
	}
	return ""
}

func (v *visit) form(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }
