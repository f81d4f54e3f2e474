package gateway

import (
	"fmt"
	"time"

	"sallyport"
)

// While observing nothing is refused, cut or changed: what would have been done is told and recorded. Values stand there in plain still.

func (g *Gateway) observing() bool { return g.Observe != nil }

func (s *session) observing() bool { return s.gw.observing() }

// observe prints what would have been done.
func (s *session) observe(sentence string) {
	if !s.observing() {
		return
	}
	fmt.Fprintf(s.gw.Observe, "%s %s: %s\n", s.gw.Clock().Format(time.RFC3339), s.person.Staff, sentence)
	s.note(sallyport.Event{Kind: sallyport.ObservedKind, Note: sentence})
}

// onlyObserves says whether a refusal is only printed, and prints it.
func (s *session) onlyObserves(sentence string) bool {
	if !s.observing() {
		return false
	}
	s.observe("would have been refused: " + sentence)
	return true
}

// observedOr is the kind of an entry, or that of what was only observed.
func (s *session) observedOr(kind sallyport.EventKind) sallyport.EventKind {
	if s.observing() {
		return sallyport.ObservedKind
	}
	return kind
}

// observedLimit is what --observe prints for a limit.
func observedLimit(l *sallyport.Limit) string {
	sentence, _ := limitSentence(l)
	if l.Scope != "" {
		return "would have cut the result: " + sentence
	}
	return "would have cut the result and suspended: " + sentence
}
