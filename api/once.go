package api

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"maps"
	"net/http"
	"sync"
	"time"

	"sallyport"
)

// onceHeader is the key by which a caller has a POST carried out once, however often it arrives.
const onceHeader = "Idempotency-Key"

// Bounds of what is remembered of keys.
const (
	onceFor     = 24 * time.Hour
	mostOnce    = 10_000
	mostOnceKey = 200
	mostAnswer  = 64 << 10
)

// once remembers calls that are to be carried out once. That one began is on record before it does, so that a restart does not forget it; what it was
// answered is in memory alone, since it may be half of a code.
type once struct {
	mu    sync.Mutex // guards calls
	calls map[[sha256.Size]byte]*onceCall
}

type onceCall struct {
	body   [sha256.Size]byte
	at     time.Time
	ended  bool
	answer *answer // nil: it is gone, with a restart, or is too long to keep
}

// repeats says which endpoints change nothing, and answer what is not to be kept in memory.
func repeats(path string) bool {
	switch path {
	case "/v1/reveal", "/v1/tokenise", "/v1/history/query", "/api/v1/reveal", "/api/v1/tokenise", "/api/v1/history/query":
		return true
	}
	return false
}

// onceOnly carries a call out unless its key was used before.
func (s *Server) onceOnly(w http.ResponseWriter, r *http.Request, me sallyport.Staff, do func(http.ResponseWriter, *http.Request)) {
	key := r.Header.Get(onceHeader)
	if key == "" || r.Method != http.MethodPost || repeats(r.URL.Path) {
		do(w, r)
		return
	}
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		s.answer(w, nil, &Problem{http.StatusRequestEntityTooLarge, "bad_request", "The request's body is too long.", ""})
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	if len(key) > mostOnceKey {
		s.answer(w, nil, &Problem{http.StatusBadRequest, "bad_key", "A key of a call has at most 200 bytes.", "A random number will do."})
		return
	}
	name := sha256.Sum256([]byte(string(me) + "\x00" + r.URL.Path + "\x00" + key))
	kept, err := s.begin(name, sha256.Sum256(sent), me)
	switch {
	case err != nil:
		s.answer(w, nil, err)
	case kept != nil:
		maps.Copy(w.Header(), kept.header)
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(kept.status)
		_, _ = w.Write(kept.body.Bytes()) // a client that left cannot be told
	default:
		s.carryOut(w, r, name, do)
	}
}

// begin puts on record that a call begins, or finds what it was answered.
func (s *Server) begin(name, body [sha256.Size]byte, me sallyport.Staff) (*answer, error) {
	o, now := &s.once, s.c.Now()
	o.mu.Lock()
	if c := o.calls[name]; c != nil && now.Sub(c.at) < onceFor {
		defer o.mu.Unlock()
		switch {
		case subtle.ConstantTimeCompare(c.body[:], body[:]) == 0:
			return nil, &Problem{http.StatusUnprocessableEntity, "key_of_another", "This key was used for a call that said something else.", "Each call has a key of its own."}
		case !c.ended:
			return nil, &Problem{http.StatusConflict, "under_way", "The call of this key is being carried out.", "Ask again in a moment."}
		case c.answer == nil:
			return nil, &Problem{http.StatusConflict, "answer_gone", "The call of this key was begun before, and what it was answered is gone.", "Look whether it was done; if not, send it under another key."}
		}
		return c.answer, nil
	}
	o.sweep(now)
	if len(o.calls) >= mostOnce {
		o.mu.Unlock()
		return nil, &Problem{http.StatusTooManyRequests, "too_many_requests", "Too many keys of calls are remembered.", "Send it without one, or later."}
	}
	o.calls[name] = &onceCall{body: body, at: now}
	o.mu.Unlock()
	e := s.event(sallyport.OnceKind, me, &sallyport.Order{Action: "call", By: me, Once: &sallyport.Once{Key: name[:], Body: body[:]}})
	if err := s.c.Orders.Give(nil, e); err != nil {
		o.forget(name)
		return nil, err
	}
	return nil, nil
}

// carryOut answers, and keeps what was answered to a call that was done. What was not done may be tried again under its key.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, name [sha256.Size]byte, do func(http.ResponseWriter, *http.Request)) {
	a := &answer{header: http.Header{}}
	fault := true
	defer func() {
		s.once.end(name, a, fault)
	}()
	do(a, r)
	fault = false
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body.Bytes()) // a client that left cannot be told
}

func (o *once) end(name [sha256.Size]byte, a *answer, fault bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := o.calls[name]
	switch {
	case c == nil:
	case fault, a.status == http.StatusOK && a.body.Len() > mostAnswer: // it may have been done
		c.ended = true
	case a.status == http.StatusOK:
		c.ended, c.answer = true, a
	default:
		delete(o.calls, name)
	}
}

func (o *once) forget(name [sha256.Size]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.calls, name)
}

// sweep forgets what is too old. o.mu is held.
func (o *once) sweep(now time.Time) {
	if len(o.calls) < mostOnce {
		return
	}
	for name, c := range o.calls {
		if now.Sub(c.at) >= onceFor {
			delete(o.calls, name)
		}
	}
}

// fold takes up what is on record since before this start.
func (o *once) fold(now time.Time) func(*sallyport.Event) {
	return func(e *sallyport.Event) {
		if e.Kind != sallyport.OnceKind || e.Order == nil || e.Order.Once == nil || now.Sub(e.Time) >= onceFor {
			return
		}
		x := e.Order.Once
		if len(x.Key) != sha256.Size || len(x.Body) != sha256.Size {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		name := [sha256.Size]byte(x.Key)
		if o.calls[name] == nil && len(o.calls) < mostOnce {
			o.calls[name] = &onceCall{body: [sha256.Size]byte(x.Body), at: e.Time, ended: true}
		}
	}
}

// restoreOnce reads the record for keys that were used within the day.
func (s *Server) restoreOnce() error {
	s.once.calls = map[[sha256.Size]byte]*onceCall{}
	fold := s.once.fold(s.c.Now())
	return errors.Join(s.c.Orders.stream.Read(1, func(e *sallyport.Event) error { fold(e); return nil }))
}
