package console

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
)

// PublicConfig is what the customers' pages need; every field without a word about nil is required.
type PublicConfig struct {
	Now    func() time.Time
	Points ContactPoints
	Texts  fs.FS // LANGUAGE.json each; what a file lacks is said in English
	// Check is the call of a code, if it is to be made right now.
	Check func(ctx context.Context, code string) (assure.Call, bool)
	// Report takes what a customer tells. It weighs nothing until somebody has asked him.
	Report func(r api.Report) error
	// Seen is what a link shows to who has it, and until when it holds. nil: no link shows anything.
	Seen func(ctx context.Context, link string) (list []api.SeenLine, until time.Time, ok bool)
	// Ask takes what somebody typed who wants an answer to contact details on file. It returns at once, and tells nothing. nil: nobody answers.
	Ask func(typed, language string)
}

// Public serves the pages for customers. Nothing of the staff is behind it but the first name and team of who is to call, for who has the code.
type Public struct {
	c       PublicConfig
	texts   map[string]map[string]string
	page    *template.Template
	checks  assure.Limit
	reports assure.Limit
	asks    assure.Limit
	handler http.Handler
}

//go:embed public texts
var publicFiles embed.FS

// Texts are the texts that the program brings.
func Texts() (fs.FS, error) { return fs.Sub(publicFiles, "texts") }

// publicPolicy lets in even less than that of the staff: there is no script.
const publicPolicy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// NewPublic makes the pages.
func NewPublic(c PublicConfig) (*Public, error) {
	if c.Now == nil || c.Check == nil || c.Report == nil || c.Texts == nil || c.Points.Company == "" {
		return nil, errors.New("make the customers' pages: every field is required")
	}
	p := &Public{
		c: c, texts: map[string]map[string]string{},
		checks: assure.Limit{Each: 20, All: 20_000, Every: 10 * time.Minute}, reports: assure.Limit{Each: 5, All: 300, Every: time.Hour},
		asks: assure.Limit{Each: 5, All: 300, Every: time.Hour},
	}
	own, err := Texts()
	if err != nil {
		return nil, fmt.Errorf("make the customers' pages: %w", err)
	}
	for _, files := range []fs.FS{own, c.Texts} {
		if err := p.read(files); err != nil {
			return nil, fmt.Errorf("make the customers' pages: %w", err)
		}
	}
	if p.page, err = template.ParseFS(publicFiles, "public/public.html"); err != nil {
		return nil, fmt.Errorf("make the customers' pages: %w", err)
	}
	p.handler = guarded(p.routes(), publicPolicy)
	return p, nil
}

// mostTexts bounds a file of texts.
const mostTexts = 256 << 10

// gaps are the places of a text that the program fills in.
var gaps = regexp.MustCompile(`%(\[[0-9]\])?[sd]`) //nolint:gochecknoglobals // a constant

// read takes files of texts.
func (p *Public) read(files fs.FS) error {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return err
	}
	for _, name := range names {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		lang := strings.TrimSuffix(path.Base(name), ".json")
		texts := map[string]string{}
		if err := json.Unmarshal(b, &texts); err != nil || len(b) > mostTexts || len(lang) < 2 || strings.Trim(lang, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return fmt.Errorf("%s is no file of texts; expected LANGUAGE.json with one object of texts", name)
		}
		for key, text := range texts {
			if english, ok := p.texts["en"][key]; ok && len(gaps.FindAllString(text, -1)) != len(gaps.FindAllString(english, -1)) {
				return fmt.Errorf("%s: the text %s has not as many %%s as the English one", name, key)
			}
		}
		if p.texts[lang] == nil {
			p.texts[lang] = maps.Clone(p.texts["en"])
		}
		if p.texts[lang] == nil {
			p.texts[lang] = map[string]string{}
		}
		maps.Copy(p.texts[lang], texts)
	}
	return nil
}

// ServeHTTP is http.Handler's.
func (p *Public) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

func (p *Public) routes() http.Handler {
	mux := http.NewServeMux()
	for _, name := range []string{"style.css", "icon.svg"} {
		mux.HandleFunc("GET /_/"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=3600")
			http.ServeFileFS(w, r, files, "static/"+name)
		})
	}
	mux.HandleFunc("GET /.well-known/contact-points.json", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, p.c.Points) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/"+p.preferred(r)+"/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /api/check", p.apiCheck)
	mux.HandleFunc("POST /api/report", p.apiReport)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/api/") {
			writeProblem(w, http.StatusNotFound, "there is POST /api/check and POST /api/report")
			return
		}
		p.in(p.preferred(r), func(f *publicFrame, _ *http.Request) int { return f.at("nowhere", http.StatusNotFound) })(w, r)
	})
	for lang := range p.texts {
		for _, form := range []string{"check", "ours", "ask"} { // what was answered is not kept: who loads it anew gets to the form
			mux.HandleFunc("GET /"+lang+"/"+form, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+lang+"/", http.StatusSeeOther) })
		}
		mux.HandleFunc("GET /"+lang, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+lang+"/", http.StatusSeeOther) })
		mux.HandleFunc("GET /"+lang+"/{$}", p.in(lang, func(f *publicFrame, _ *http.Request) int { return f.at("check", http.StatusOK) }))
		mux.HandleFunc("GET /"+lang+"/contacts", p.in(lang, func(f *publicFrame, _ *http.Request) int { return f.at("contacts", http.StatusOK) }))
		mux.HandleFunc("GET /"+lang+"/report", p.in(lang, func(f *publicFrame, _ *http.Request) int { return f.at("report", http.StatusOK) }))
		mux.HandleFunc("POST /"+lang+"/check", p.in(lang, p.check))
		mux.HandleFunc("POST /"+lang+"/ours", p.in(lang, p.ours))
		mux.HandleFunc("GET /"+lang+"/seen/{link}", p.in(lang, p.seen))
		if p.c.Ask != nil {
			mux.HandleFunc("POST /"+lang+"/ask", p.in(lang, p.ask))
		}
		mux.HandleFunc("POST /"+lang+"/report", p.in(lang, p.report))
	}
	return mux
}

// publicFrame is a page.
type publicFrame struct {
	Lang, Page string
	Points     *ContactPoints
	Others     []publicFrame // other languages
	Name       string        // of the language
	Path       string        // of another language: the same page, below it
	Typed      publicTyped   // in a form that was not taken
	Call       assure.Call
	About      string // key of the text
	Ours, Bad  bool
	Asks       bool // an answer goes to contact details on file
	Seen       []api.SeenLine
	Until      time.Time
	Sender     string
	texts      map[string]string
}

// publicTyped is what somebody filled in, so that he need not do so again.
type publicTyped struct {
	Customer, Day, Channel string
	Knew                   []string
}

// Has tells whether a box was ticked.
func (t publicTyped) Has(word string) bool { return slices.Contains(t.Knew, word) }

// Channels are the ways on which somebody is reached, and their texts.
func (f *publicFrame) Channels() [][2]string {
	return [][2]string{{"call", "call"}, {"sms", "sms"}, {"email", "email"}, {"letter", "letter"}, {"chat", "chat"}, {"other", "other_way"}}
}

// T is a text.
func (f *publicFrame) T(key string, args ...any) string {
	text, ok := f.texts[key]
	if !ok {
		return key
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

func (f *publicFrame) at(page string, status int) int {
	f.Page = page
	return status
}

// in shows a page in a language.
func (p *Public) in(lang string, do func(*publicFrame, *http.Request) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f := &publicFrame{Lang: lang, Points: &p.c.Points, texts: p.texts[lang], Asks: p.c.Ask != nil}
		for _, other := range slices.Sorted(maps.Keys(p.texts)) {
			if other != lang {
				f.Others = append(f.Others, publicFrame{Lang: other, Name: p.texts[other]["language"]})
			}
		}
		status := http.StatusBadRequest
		if err := r.ParseForm(); err != nil {
			f.Page = "check"
		} else {
			status = do(f, r)
		}
		if r.Method == http.MethodGet && slices.Contains([]string{"contacts", "report", "seen"}, f.Page) { // the other pages say the same wherever they are
			rest, _ := strings.CutPrefix(r.URL.EscapedPath(), "/"+lang+"/")
			for i := range f.Others {
				f.Others[i].Path = rest
			}
		}
		var b bytes.Buffer
		if err := p.page.ExecuteTemplate(&b, "base", f); err != nil {
			http.Error(w, "This page could not be shown.", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes()) // a browser that left cannot be told
	}
}

// preferred is the first language that the browser asks for and there is; else English.
func (p *Public) preferred(r *http.Request) string {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		lang, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		lang, _, _ = strings.Cut(strings.ToLower(lang), "-")
		if p.texts[lang] != nil {
			return lang
		}
	}
	return "en"
}

// from is the place that asks. Behind a proxy all have its place: put the pages where browsers reach them themselves.
func from(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return at.Addr()
}

// check answers about a code. Unknown, wrong, too early, too late, called off, a telephone number and a ticket number are one answer.
func (p *Public) check(f *publicFrame, r *http.Request) int {
	now := p.c.Now()
	if !p.checks.Take(from(r), now) {
		return f.at("busy", http.StatusTooManyRequests)
	}
	call, ok := p.c.Check(r.Context(), r.PostFormValue("code"))
	if !ok {
		return f.at("no", http.StatusOK)
	}
	f.Call, f.About = call, "about_"+call.About
	f.Call.Name, f.Call.Team = cmp.Or(call.Name, f.T("who_staff")), cmp.Or(call.Team, f.Points.Company)
	return f.at("yes", http.StatusOK)
}

// seen shows what a link shows. Unknown, wrong, over and ended are one answer.
func (p *Public) seen(f *publicFrame, r *http.Request) int {
	if !p.checks.Take(from(r), p.c.Now()) {
		return f.at("busy", http.StatusTooManyRequests)
	}
	link := r.PathValue("link")
	if p.c.Seen == nil || len(link) > 200 {
		return f.at("unseen", http.StatusNotFound)
	}
	list, until, ok := p.c.Seen(r.Context(), link)
	if !ok {
		return f.at("unseen", http.StatusNotFound)
	}
	f.Seen, f.Until = list, until
	return f.at("seen", http.StatusOK)
}

// ask says the same whatever was typed: what there is to say goes to the contact details on file.
func (p *Public) ask(f *publicFrame, r *http.Request) int {
	if !p.asks.Take(from(r), p.c.Now()) {
		return f.at("busy", http.StatusTooManyRequests)
	}
	if typed := strings.TrimSpace(r.PostFormValue("known")); typed != "" && len(typed) <= 64 {
		p.c.Ask(typed, f.Lang)
	}
	return f.at("asked", http.StatusOK)
}

// Day is a day as people of the language write it.
func (f *publicFrame) Day(t time.Time) string { return t.Format(f.T("day_form")) }

// ours tells whether a sender or a number is one of the company's, which everybody may know.
func (p *Public) ours(f *publicFrame, r *http.Request) int {
	f.Sender = strings.TrimSpace(r.PostFormValue("sender"))
	if len(f.Sender) > 254 {
		f.Sender = f.Sender[:254]
	}
	f.Ours = p.c.Points.Has(f.Sender)
	return f.at("ours", http.StatusOK)
}

// report takes what a customer tells, and thanks him in any case: whether there is such a customer is told to nobody.
func (p *Public) report(f *publicFrame, r *http.Request) int {
	f.Typed = publicTyped{r.PostFormValue("customer"), r.PostFormValue("day"), r.PostFormValue("channel"), r.PostForm["knew"]}
	day, err := time.Parse(time.DateOnly, f.Typed.Day)
	if err == nil {
		err = p.take(r, publicReport{f.Typed.Customer, day, f.Typed.Channel, slices.Clone(f.Typed.Knew)})
	}
	switch {
	case errors.Is(err, errBusy):
		return f.at("busy", http.StatusTooManyRequests)
	case err != nil:
		f.Bad = true
		return f.at("report", http.StatusBadRequest)
	}
	return f.at("thanks", http.StatusOK)
}

// publicReport is what a customer tells.
type publicReport struct {
	Customer string    `json:"customer"`
	Day      time.Time `json:"day"`
	Channel  string    `json:"channel"`
	Knew     []string  `json:"knew"` // name, phone, email, ticket
}

var errBusy = errors.New("too many at once") //nolint:gochecknoglobals // a sentinel

// take puts it on record. Of the day its end counts: whoever saw him on that day may have called him on it.
func (p *Public) take(r *http.Request, q publicReport) error {
	now := p.c.Now()
	report := api.Report{Customer: sallyport.Subject(strings.TrimSpace(q.Customer)), Time: q.Day.UTC().Truncate(24 * time.Hour).Add(24*time.Hour - time.Second), Channel: q.Channel, Quoted: q.Knew}
	if why := report.Check(now); why != "" || now.Sub(report.Time) > 10*366*24*time.Hour {
		return errors.New("the report cannot be taken")
	}
	if !p.reports.Take(from(r), now) {
		return errBusy
	}
	if err := p.c.Report(report); err != nil {
		return errBusy // the record is full, or its disk is away: he is asked to call
	}
	return nil
}

// apiCheck is check for programs.
func (p *Public) apiCheck(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Code string `json:"code"`
	}
	if json.NewDecoder(r.Body).Decode(&q) != nil {
		writeProblem(w, http.StatusBadRequest, "expected {\"code\": …}")
		return
	}
	if !p.checks.Take(from(r), p.c.Now()) {
		writeProblem(w, http.StatusTooManyRequests, "so many questions come from this place; try again in some minutes")
		return
	}
	call, ok := p.c.Check(r.Context(), q.Code)
	if !ok {
		writeJSON(w, http.StatusOK, map[string]any{"ours": false})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"ours": true, "name": call.Name, "team": call.Team, "about": call.About, "until": call.Until})
}

// apiReport is report for programs.
func (p *Public) apiReport(w http.ResponseWriter, r *http.Request) {
	var q publicReport
	if json.NewDecoder(r.Body).Decode(&q) != nil || q.Day.IsZero() {
		writeProblem(w, http.StatusBadRequest, "expected {\"customer\": …, \"day\": \"2026-03-02T00:00:00Z\", \"channel\": \"call\", \"knew\": [\"name\"]}")
		return
	}
	switch err := p.take(r, q); {
	case errors.Is(err, errBusy):
		writeProblem(w, http.StatusTooManyRequests, "too many reports at once; try again later")
	case err != nil:
		writeProblem(w, http.StatusBadRequest, err.Error())
	default:
		writeJSON(w, http.StatusOK, map[string]any{"thanks": true})
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that left cannot be told
}

// writeProblem is by RFC 9457.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "title": http.StatusText(status), "detail": detail}) // likewise
}
