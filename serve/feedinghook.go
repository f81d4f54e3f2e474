package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"sallyport"
	"sallyport/config"
)

// feedMessage is what another system sends. docs/respond.md is its page.
type feedMessage struct {
	ID   string            `json:"id"` // of the message: what was taken once is not taken again
	Kind string            `json:"kind"`
	Rows []json.RawMessage `json:"rows"` // objects with the columns of the file of that kind
}

// Bounds of messages.
const (
	hookPath     = "/detect"
	mostFedRows  = 1000
	messagesKept = 7 * 24 * time.Hour // how long a message that comes again is known
)

// hear takes signed messages until ctx ends.
func (f *feeding) hear(ctx context.Context) {
	c := &f.s.O.Config.Detect.Hook
	l, err := f.s.listenSigned(ctx, c.Listen, c.Certificate, c.Key)
	if err == nil {
		f.mu.Lock()
		f.where = l.Addr().String()
		f.mu.Unlock()
		err = f.s.serveSigned(ctx, l, signedHook{path: hookPath, secretFile: c.SecretFile, most: mostFed, take: func(_ context.Context, body []byte) (int, string) { return f.take(body) }})
	}
	if err != nil && ctx.Err() == nil {
		f.s.log.Error("what other systems send is not taken", "why", err.Error())
		f.mu.Lock()
		f.where = ""
		f.mu.Unlock()
		f.trouble("messages", err)
	}
}

// take takes one message, whole or not at all: whoever sent it can mend it and send it again.
func (f *feeding) take(body []byte) (status int, text string) {
	var m feedMessage
	if json.Unmarshal(body, &m) != nil || m.ID == "" || len(m.ID) > 200 || len(m.Rows) == 0 || len(m.Rows) > mostFedRows {
		return http.StatusBadRequest, fmt.Sprintf("no message: expected the JSON of docs/respond.md, with an id of at most 200 characters, a kind and 1 to %d rows", mostFedRows)
	}
	kinds := f.s.O.Config.Detect.Hook.Kinds
	if !slices.Contains(kinds, m.Kind) {
		return http.StatusUnprocessableEntity, "this kind is not taken here; expected " + config.OneOf(m.Kind, kinds)
	}
	var lines bytes.Buffer
	for i, row := range m.Rows {
		if row = bytes.TrimSpace(row); len(row) == 0 || row[0] != '{' {
			return http.StatusUnprocessableEntity, fmt.Sprintf("row %d is no object", i+1)
		}
		if json.Compact(&lines, row) != nil {
			return http.StatusBadRequest, fmt.Sprintf("row %d is no JSON", i+1)
		}
		lines.WriteByte('\n')
	}
	if _, wrong := parseFed(m.Kind, lines.Bytes()); len(wrong) > 0 {
		return http.StatusUnprocessableEntity, fmt.Sprintf("row %d: %s; nothing of this message was taken", wrong[0].Line, wrong[0].What)
	}
	f.taking.Lock()
	defer f.taking.Unlock()
	now := f.s.O.Clock()
	if _, known := f.messages[m.ID]; known {
		return http.StatusOK, ""
	}
	maps.DeleteFunc(f.messages, func(_ string, at time.Time) bool { return now.Sub(at) > messagesKept })
	if _, err := f.put(hookSource, m.Kind, lines.Bytes(), sallyport.Order{Details: m.ID}); err != nil {
		f.s.log.Error("a message of another system could not be kept", "why", err.Error())
		return http.StatusServiceUnavailable, "it could not be kept: send it again"
	}
	f.messages[m.ID] = now
	return http.StatusOK, ""
}
