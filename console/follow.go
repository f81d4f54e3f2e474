package console

import (
	"cmp"
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
	_ = out.SetReadDeadline(time.Time{}) // the request has come; what bounds its reading would end the stream
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(streamEvery)
	defer tick.Stop()
	over := time.NewTimer(streamFor)
	defer over.Stop()
	last := cmp.Or(r.Header.Get("Last-Event-ID"), r.FormValue("after"))
	for {
		now, err := look(v)
		if here := s.sessions.find(r, false) != nil; err != nil || !here {
			_, _ = fmt.Fprintf(w, "event: over\ndata: %s\n\n", map[bool]string{true: "failed", false: "log in"}[here])
			_ = out.Flush() // likewise
			return
		}
		text := ": nothing new\n\n"
		if now != last && last != "" {
			text = fmt.Sprintf("id: %s\ndata: %s\n\n", now, now)
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
