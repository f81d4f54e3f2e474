package api

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"sallyport"
	"sallyport/history"
)

// History is what answers questions in SQL.
type History struct {
	Lend    func() (store history.Store, release func()) // see history.Keeper
	Rebuild func()
	Bounds  history.Bounds
}

type historyRequest struct {
	SQL string `json:"sql"`
}

func (s *Server) historyRoutes(mux *http.ServeMux) {
	mux.Handle("POST /v1/history/query", s.as(investigators, s.historyQuery))
	mux.Handle("POST /v1/history/rebuild", s.as(administrators, s.historyRebuild))
}

// historyQuery answers one SELECT. That somebody asked is recorded before it runs.
func (s *Server) historyQuery(r *http.Request, me sallyport.Staff) (any, error) {
	var q historyRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	if strings.TrimSpace(q.SQL) == "" {
		return nil, &Problem{http.StatusBadRequest, "no_question", "Nothing is asked.", "Give one SELECT over reveals, reached, accesses, sessions or findings; see docs/history.md."}
	}
	if s.c.History == nil {
		return nil, &Problem{http.StatusConflict, "no_history", "This serve keeps no history.", "See 'history' in docs/configuration.md; who-saw asks the record itself."}
	}
	sum := sha256.Sum256([]byte(q.SQL))
	e := s.event(sallyport.Queried, me, &sallyport.Order{Action: "history_query", By: me, Details: hex.EncodeToString(sum[:])})
	e.Note = "asked history: " + WithoutLiterals(q.SQL)
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	if !s.asking.TryLock() {
		return nil, &Problem{http.StatusTooManyRequests, "busy", "Another question is being answered.", "Ask again in a moment."}
	}
	defer s.asking.Unlock()
	store, release := s.c.History.Lend()
	defer release()
	if store == nil {
		return nil, &Problem{http.StatusServiceUnavailable, "not_ready", "History is not open: it is starting, or being made again.", "See 'sallyport status'; who-saw answers meanwhile, from the record."}
	}
	rows, err := store.Select(r.Context(), q.SQL, s.c.History.Bounds)
	if errors.Is(err, history.ErrRefused) {
		return nil, &Problem{http.StatusBadRequest, "refused", "History does not answer this: " + strings.TrimPrefix(err.Error(), history.ErrRefused.Error()+": "), "docs/history.md says what may be asked."}
	}
	if err != nil {
		return nil, err
	}
	at, err := store.Position(r.Context())
	if err != nil {
		return nil, err
	}
	return HistoryAnswer{*rows, at.Entry}, nil
}

// HistoryAnswer are rows, and up to which entry of the record they tell.
type HistoryAnswer struct {
	history.Rows
	Entry uint64 `json:"entry"`
}

// historyRebuild has history made again from the record.
func (s *Server) historyRebuild(r *http.Request, me sallyport.Staff) (any, error) {
	if _, err := s.order(r); err != nil {
		return nil, err
	}
	if s.c.History == nil {
		return nil, &Problem{http.StatusConflict, "no_history", "This serve keeps no history.", "See 'history' in docs/configuration.md."}
	}
	e := s.event(sallyport.HistoryMade, me, &sallyport.Order{Action: "history_rebuild", By: me})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	s.c.History.Rebuild()
	return map[string]any{"rebuilding": true}, nil
}

// longestTemplate bounds what stands in the record of a question.
const longestTemplate = 2000

// WithoutLiterals is a question as it may stand in the record: without texts, comments and long numbers, any of which may be a customer's value.
func WithoutLiterals(sql string) string {
	var b strings.Builder
	for rest := sql; rest != "" && b.Len() < longestTemplate; {
		cut, shown := literalAt(rest, b.String())
		b.WriteString(shown)
		rest = rest[cut:]
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// literalAt is how long the next piece is, and how it is shown.
func literalAt(s, before string) (length int, shown string) {
	switch {
	case s[0] == '\'' || s[0] == '"' || strings.HasPrefix(s, "$$"):
		mark := s[:1]
		if s[0] == '$' {
			mark = "$$"
		}
		end := strings.Index(s[len(mark):], mark)
		if end < 0 {
			return len(s), "?"
		}
		length = end + 2*len(mark)
		if text := s[len(mark) : len(mark)+end]; mark == "\"" && plainName(text) || mark == "'" && len(text) <= longestNumber && strings.Trim(text, "0123456789") == "" || history.Pseudonym(text) {
			return length, s[:length]
		}
		return length, "?"
	case strings.HasPrefix(s, "--"):
		if end := strings.IndexByte(s, '\n'); end >= 0 {
			return end, ""
		}
		return len(s), ""
	case strings.HasPrefix(s, "/*"):
		if end := strings.Index(s, "*/"); end >= 0 {
			return end + 2, ""
		}
		return len(s), ""
	case s[0] == '$':
		return len(s), "?" // a tagged quote: what follows is not looked into
	case s[0] >= '0' && s[0] <= '9' && !endsInName(before):
		length = len(s) - len(strings.TrimLeft(s, "0123456789_."))
		if length > longestNumber {
			return length, "?"
		}
		return length, s[:length]
	}
	return 1, s[:1]
}

// longestNumber may be a customer's id; a longer one may be a telephone number.
const longestNumber = 9

func endsInName(s string) bool {
	return s != "" && (s[len(s)-1] == '_' || s[len(s)-1] >= '0' && s[len(s)-1] <= '9' || unicode.IsLetter(rune(s[len(s)-1])))
}

func plainName(s string) bool {
	return s != "" && len(s) < 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// HistoryQuery asks history one SELECT.
func (c *Client) HistoryQuery(ctx context.Context, sql string) (HistoryAnswer, error) {
	var answer HistoryAnswer
	err := c.call(ctx, http.MethodPost, "/v1/history/query", historyRequest{SQL: sql}, &answer)
	return answer, err
}

// HistoryRebuild has history made again from the record.
func (c *Client) HistoryRebuild(ctx context.Context, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/history/rebuild", request{Reason: reason}, nil)
}

// DefaultBounds of a question where the configuration says nothing.
var DefaultBounds = history.Bounds{Time: 30 * time.Second, Rows: 10_000, Bytes: 8 << 20} //nolint:gochecknoglobals // a constant
