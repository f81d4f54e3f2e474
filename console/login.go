package console

import (
	"cmp"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"sallyport/api"
)

// attemptCookie holds a log-in under way. Lax, as the identity provider sends the browser back from another site; it opens nothing by itself.
const attemptCookie = "__Host-sallyport-attempt"

// leadsCookie holds the page that a log-in under way leads to, which is looked at again before it does.
const leadsCookie = "__Host-sallyport-leads"

const attemptFor = 10 * time.Minute

// loginPage is what the page for logging in shows.
type loginPage struct {
	Provider, Password bool
	Passkeys           bool          // they are taken here
	Passkey            bool          // whoever is logged in has one
	To                 string        // the page that it leads to afterwards; empty: the first one
	Elsewhere          bool          // another site led here, so the browser kept the session's cookie back: there may be one
	Waiting            []api.Waiting // what a confirmation opens
	Problem            *api.Problem
}

func (s *Console) loginWays() loginPage {
	provider, password := s.c.API.Ways()
	return loginPage{Provider: provider && s.c.Address != "", Password: password, Passkeys: s.c.API.HasPasskeys()}
}

func (s *Console) showLogin(w http.ResponseWriter, r *http.Request) {
	ways := s.loginWays()
	ways.To = leadsTo(r.URL.Query().Get("to"))
	ways.Elsewhere = ways.To != "" && r.Header.Get("Sec-Fetch-Site") == "cross-site"
	s.pages.show(w, http.StatusOK, "login", &frame{Title: "Log in", Data: ways})
}

// ourPage is the shape of an address of these pages.
var ourPage = regexp.MustCompile(`^/(now|requests|findings|cases|people|customers|trace|record|programme|data|policies|drills|training|calls|passkeys|confirm)(/[A-Za-z0-9_~:-]{1,128}){0,2}$`) //nolint:gochecknoglobals // a constant

// confirmPage is where people confirm who they are.
const confirmPage = "/confirm"

// leadsTo is a page that a log-in may lead to: one of ours, whatever an address says; empty: the first one.
func leadsTo(to string) string {
	if !ourPage.MatchString(to) || strings.HasSuffix(to, "/part") || strings.HasSuffix(to, "/stream") {
		return ""
	}
	return to
}

// Confirms tells whether a log-in is to confirm something that waits.
func (p loginPage) Confirms() bool { return p.To == confirmPage }

// logIn logs somebody in by his password. The session gets a new number, whatever number the browser came with.
func (s *Console) logIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuseLogIn(w, badForm(err), "")
		return
	}
	who, err := s.c.API.Enter(r.RemoteAddr, r.PostFormValue("name"), r.PostFormValue("password"))
	if err != nil {
		s.refuseLogIn(w, err, r.PostFormValue("to"))
		return
	}
	s.enter(w, r, who)
	http.Redirect(w, r, cmp.Or(leadsTo(r.PostFormValue("to")), "/"), http.StatusSeeOther) //nolint:gosec // leadsTo answers pages of ours alone
}

func (s *Console) enter(w http.ResponseWriter, r *http.Request, who *api.Session) {
	s.sessions.end(r)
	http.SetCookie(w, s.sessions.begin(who))
}

func (s *Console) refuseLogIn(w http.ResponseWriter, err error, to string) {
	p := s.problem(err)
	ways := s.loginWays()
	ways.Problem, ways.To = p, leadsTo(to)
	s.pages.show(w, p.Status, "login", &frame{Title: "Log in", Data: ways})
}

// beginProvider sends the browser to the identity provider.
func (s *Console) beginProvider(w http.ResponseWriter, r *http.Request) {
	if s.c.Address == "" {
		s.refuseLogIn(w, &api.Problem{Status: http.StatusNotFound, Code: "no_provider", Sentence: "Nobody logs in at an identity provider here.", Hint: "Log in with a password."}, "")
		return
	}
	b, err := s.c.API.BeginEntry(r.Context(), r.RemoteAddr, s.c.Address+CallbackPath, r.URL.Query().Has("fresh"))
	if err != nil {
		s.refuseLogIn(w, err, "")
		return
	}
	http.SetCookie(w, underWay(attemptCookie, b.ID, int(attemptFor/time.Second)))
	if to := leadsTo(r.URL.Query().Get("to")); to != "" {
		http.SetCookie(w, underWay(leadsCookie, to, int(attemptFor/time.Second)))
	}
	http.Redirect(w, r, b.URL, http.StatusSeeOther)
}

// finishProvider ends a log-in whose browser came back. It is this very browser that began it, by its cookie. The session's own cookie is not sent
// with what another site began, so a page says that all is well, and leads on from here.
func (s *Console) finishProvider(w http.ResponseWriter, r *http.Request) {
	attempt, err := r.Cookie(attemptCookie)
	if err != nil {
		s.refuseLogIn(w, &api.Problem{Status: http.StatusConflict, Code: "no_such_attempt", Sentence: "This browser has begun no log-in.", Hint: "Begin anew."}, "")
		return
	}
	http.SetCookie(w, underWay(attemptCookie, "", -1))
	to := ""
	if c, err := r.Cookie(leadsCookie); err == nil {
		to = leadsTo(c.Value)
		http.SetCookie(w, underWay(leadsCookie, "", -1))
	}
	q := r.URL.Query()
	who, err := s.c.API.FinishEntry(r.Context(), attempt.Value, q.Get("state"), q.Get("code"))
	if err != nil {
		s.refuseLogIn(w, err, to)
		return
	}
	s.enter(w, r, who)
	if to == confirmPage { // the fresh log-in has confirmed it
		to = ""
	}
	s.pages.show(w, http.StatusOK, "entered", &frame{Title: "Logged in", Next: cmp.Or(to, "/")})
}

// underWay is a cookie of a log-in under way; a negative age takes it away.
func underWay(name, value string, age int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

func (s *Console) logOut(v *visit) error {
	s.sessions.end(v.r)
	http.SetCookie(v.w, cookie("", -1))
	http.Redirect(v.w, v.r, "/login", http.StatusSeeOther)
	return nil
}

func (s *Console) showConfirm(v *visit) error {
	ways := s.loginWays()
	var err error
	if ways.Waiting, err = v.api.Waiting(v.r.Context()); err != nil {
		return err
	}
	if ways.Passkeys {
		list, err := v.api.Passkeys(v.r.Context())
		if err != nil {
			return err
		}
		ways.Passkey = len(list) > 0
	}
	return v.show("confirm", "Confirm who you are", ways)
}

func (s *Console) confirm(v *visit) error {
	if err := s.c.API.ConfirmEntry(v.session, v.r.RemoteAddr, v.r.PostFormValue("password")); err != nil {
		return err
	}
	return v.done("/", "confirmed")
}

// badForm is a body that is no form, or too long.
func badForm(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &api.Problem{Status: http.StatusRequestEntityTooLarge, Code: "too_long", Sentence: "This is longer than a page takes.", Hint: "Send less at once."}
	}
	return &api.Problem{Status: http.StatusBadRequest, Code: "bad_request", Sentence: "What was sent is no form of these pages.", Hint: "Load the page anew."}
}
