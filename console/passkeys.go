package console

import (
	"cmp"
	"encoding/json"
	"net/http"

	"sallyport"
	"sallyport/api"
)

// passkeyPage is what the page of one's passkeys shows.
type passkeyPage struct{ List []api.PasskeyInfo }

// firstPage is that of who has none yet.
type firstPage struct {
	Done    bool
	Problem *api.Problem
}

func (s *Console) passkeyRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /login/passkey/begin", func(w http.ResponseWriter, r *http.Request) {
		s.begun(w)(s.c.API.AskPasskey(nil, r.RemoteAddr))
	})
	mux.HandleFunc("POST /login/passkey", s.enterPasskey)
	mux.Handle("POST /confirm/passkey/begin", s.as(func(v *visit) error {
		s.begun(v.w)(s.c.API.AskPasskey(v.session, v.r.RemoteAddr))
		return nil
	}))
	mux.Handle("POST /confirm/passkey", s.as(func(v *visit) error {
		if err := s.c.API.ConfirmPasskey(v.session, v.form("id"), []byte(v.form("answer"))); err != nil {
			return err
		}
		return v.done("/", "confirmed")
	}))
	mux.Handle("GET /passkeys", s.as(s.showPasskeys))
	mux.Handle("POST /passkeys/begin", s.as(func(v *visit) error {
		s.begun(v.w)(s.c.API.BeginPasskey(v.session))
		return nil
	}))
	mux.Handle("POST /passkeys", s.as(func(v *visit) error {
		if err := s.c.API.AddPasskey(v.session, v.form("id"), v.form("label"), []byte(v.form("answer"))); err != nil {
			return err
		}
		return v.done("/passkeys", "passkey")
	}))
	mux.Handle("POST /passkeys/end", s.as(func(v *visit) error {
		if err := v.api.EndPasskey(v.r.Context(), v.form("id"), v.form("reason")); err != nil {
			return err
		}
		return v.done("/passkeys", "ended")
	}))
	mux.HandleFunc("GET /first", func(w http.ResponseWriter, _ *http.Request) { s.showFirst(w, http.StatusOK, firstPage{}) })
	mux.HandleFunc("POST /first/begin", func(w http.ResponseWriter, r *http.Request) {
		s.begun(w)(s.c.API.BeginFirst(sallyport.Staff(r.PostFormValue("name")), r.PostFormValue("first"), r.PostFormValue("second")))
	})
	mux.HandleFunc("POST /first", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.c.API.AddFirst(r.PostFormValue("id"), r.PostFormValue("label"), []byte(r.PostFormValue("answer"))); err != nil {
			p := s.problem(err)
			s.showFirst(w, p.Status, firstPage{Problem: p})
			return
		}
		s.showFirst(w, http.StatusOK, firstPage{Done: true})
	})
}

func (s *Console) showFirst(w http.ResponseWriter, status int, data firstPage) {
	s.pages.show(w, status, "first", &frame{Title: "Your first passkey", Data: data})
}

// begun answers the script with what the browser is to ask the authenticator, or with why not.
func (s *Console) begun(w http.ResponseWriter) func(id string, options json.RawMessage, err error) {
	return func(id string, options json.RawMessage, err error) {
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			p := s.problem(err)
			w.WriteHeader(p.Status)
			_ = json.NewEncoder(w).Encode(p) // a browser that left cannot be told
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"id": id, "options": options}) // likewise
	}
}

func (s *Console) enterPasskey(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		s.refuseLogIn(w, badForm(err), "")
		return
	}
	who, err := s.c.API.EnterPasskey(r.PostFormValue("id"), []byte(r.PostFormValue("answer")))
	if err != nil {
		s.refuseLogIn(w, err, r.PostFormValue("to"))
		return
	}
	s.enter(w, r, who)
	http.Redirect(w, r, cmp.Or(leadsTo(r.PostFormValue("to")), "/"), http.StatusSeeOther) //nolint:gosec // leadsTo answers pages of ours alone
}

func (s *Console) showPasskeys(v *visit) error {
	list, err := v.api.Passkeys(v.r.Context())
	if err != nil {
		return err
	}
	return v.show("passkeys", "Your passkeys", passkeyPage{list})
}
