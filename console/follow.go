package console

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The life of a stream: then the browser asks anew.
const (
	streamEvery = 3 * time.Second
	streamFor   = 10 * time.Minute
)

// part answers with the part of a page that changes, without what stands around it.
func (v *visit) part(name, title string, data any) error {
	b, err := v.s.pages.render(name, "live", v.frame(title, data))
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = v.w.Write(b) //nolint:gosec // html/template made it; a browser that left cannot be told
	return nil
}

// follow tells an open page when what look says is not any more what it was as the page was made (?after=), by server-sent events, for who may do one of
// some things. It does not keep a session alive: that takes a person.
func (s *Console) follow(w http.ResponseWriter, r *http.Request, look func(*visit) (string, error), may ...string) {
	v, err := s.visit(w, r, false)
	if err != nil {
		http.Error(w, "log in", http.StatusUnauthorized)
		return
	}
	if !slices.ContainsFunc(may, v.may) {
		http.Error(w, "not for you", http.StatusForbidden)
		return
	}
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	over := time.NewTimer(streamFor)
	defer over.Stop()
	last := r.FormValue("after")
	for {
		now, err := look(v)
		if err != nil || s.sessions.find(r, false) == nil {
			_, _ = fmt.Fprint(w, "event: over\ndata: over\n\n")
			_ = out.Flush() // likewise
			return
		}
		text := ": nothing new\n\n"
		if now != last && last != "" {
			text = fmt.Sprintf("data: %s\n\n", now)
		}
		last = now
		if _, err := fmt.Fprint(w, text); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-over.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}
