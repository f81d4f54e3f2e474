package console

import (
	"errors"
	"net/http"
	"time"

	"sallyport/api"
)

// attemptCookie holds a log-in under way. Lax, as the identity provider sends the browser back from another site; it opens nothing by itself.
const attemptCookie = "__Host-sallyport-attempt"

const attemptFor = 10 * time.Minute

// loginPage is what the page for logging in shows.
type loginPage struct {
	Provider, Password bool
	Passkeys           bool          // they are taken here
	Passkey            bool          // whoever is logged in has one
	To                 string        // where it leads afterwards: confirm, or to the first page
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
	s.pages.show(w, http.StatusOK, "login", &frame{Title: "Log in", Data: ways})
}

// leadsTo is a page that a log-in may lead to: only words of ours, whatever an address says.
func leadsTo(to string) string {
	if to == "confirm" {
		return to
	}
	return ""
}

// logIn logs somebody in by his password. The session gets a new number, whatever number the browser came with.
func (s *Console) logIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuseLogIn(w, badForm(err))
		return
	}
	who, err := s.c.API.Enter(r.RemoteAddr, r.PostFormValue("name"), r.PostFormValue("password"))
	if err != nil {
		s.refuseLogIn(w, err)
		return
	}
	s.enter(w, r, who)
	http.Redirect(w, r, "/"+leadsTo(r.PostFormValue("to")), http.StatusSeeOther)
}

func (s *Console) enter(w http.ResponseWriter, r *http.Request, who *api.Session) {
	s.sessions.end(r)
	http.SetCookie(w, s.sessions.begin(who))
}

func (s *Console) refuseLogIn(w http.ResponseWriter, err error) {
	p := s.problem(err)
	ways := s.loginWays()
	ways.Problem = p
	s.pages.show(w, p.Status, "login", &frame{Title: "Log in", Data: ways})
}

// beginProvider sends the browser to the identity provider.
func (s *Console) beginProvider(w http.ResponseWriter, r *http.Request) {
	if s.c.Address == "" {
		s.refuseLogIn(w, &api.Problem{Status: http.StatusNotFound, Code: "no_provider", Sentence: "Nobody logs in at an identity provider here.", Hint: "Log in with a password."})
		return
	}
	b, err := s.c.API.BeginEntry(r.Context(), r.RemoteAddr, s.c.Address+CallbackPath, r.URL.Query().Has("fresh"))
	if err != nil {
		s.refuseLogIn(w, err)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: attemptCookie, Value: b.ID, Path: "/", MaxAge: int(attemptFor / time.Second), Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	http.Redirect(w, r, b.URL, http.StatusSeeOther)
}

// finishProvider ends a log-in whose browser came back. It is this very browser that began it, by its cookie. The session's own cookie is not sent
// with what another site began, so a page says that all is well, and leads on from here.
func (s *Console) finishProvider(w http.ResponseWriter, r *http.Request) {
	attempt, err := r.Cookie(attemptCookie)
	if err != nil {
		s.refuseLogIn(w, &api.Problem{Status: http.StatusConflict, Code: "no_such_attempt", Sentence: "This browser has begun no log-in.", Hint: "Begin anew."})
		return
	}
	http.SetCookie(w, &http.Cookie{Name: attemptCookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	q := r.URL.Query()
	who, err := s.c.API.FinishEntry(r.Context(), attempt.Value, q.Get("state"), q.Get("code"))
	if err != nil {
		s.refuseLogIn(w, err)
		return
	}
	s.enter(w, r, who)
	s.pages.show(w, http.StatusOK, "entered", &frame{Title: "Logged in", Next: "/"})
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
