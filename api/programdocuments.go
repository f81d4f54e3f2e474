package api

import (
	"context"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"time"

	"sallyport"
	"sallyport/program"
)

// WrittenPolicy is a written policy, and whether the caller has acknowledged this version.
type WrittenPolicy struct {
	Name    string    `json:"name"`
	Version string    `json:"version"` // SHA-256 of the file
	Text    string    `json:"text"`    // Markdown
	Read    time.Time `json:"read,omitzero"`
	AsksMe  bool      `json:"asks_me"` // it applies to the caller's role or team, or to everybody
}

// documentList is what everybody is to have read. It tells nothing about anybody else, so it makes no entry.
func (s *Server) documentList(r *http.Request, me sallyport.Staff) (any, error) {
	book, err := s.book()
	if err != nil {
		return nil, err
	}
	list := []WrittenPolicy{}
	if s.c.Program.Documents == nil {
		return map[string]any{"documents": list}, nil
	}
	texts, err := s.c.Program.Documents()
	if err != nil {
		return nil, &Problem{http.StatusServiceUnavailable, "bad_document", "A written policy cannot be read: " + err.Error() + ".", "See console.documents in docs/configuration.md."}
	}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		d, err := program.ReadDocument(name, []byte(texts[name]))
		if err != nil {
			return nil, &Problem{http.StatusServiceUnavailable, "bad_document", "A written policy cannot be read: " + err.Error() + ".", "See docs/programme.md#written-policies."}
		}
		list = append(list, WrittenPolicy{name, hex.EncodeToString(d.Digest), texts[name], book.Read(name, d.Digest, me), s.applies(me, d)})
	}
	return map[string]any{"documents": list}, nil
}

// applies tells whether somebody must have read a document.
func (s *Server) applies(me sallyport.Staff, d *program.Document) bool {
	m := program.Member{Staff: me, Role: s.c.People[me].Role}
	if s.c.Directory != nil {
		for _, x := range s.c.Directory.List() {
			if x.Staff == me {
				m.Team, m.Role = x.Team, x.Role
			}
		}
	}
	return d.Concerns(m)
}

// Documents are the written policies.
func (c *Client) Documents(ctx context.Context) ([]WrittenPolicy, error) {
	var answer struct {
		Documents []WrittenPolicy `json:"documents"`
	}
	err := c.call(ctx, http.MethodGet, "/v1/program/documents", nil, &answer)
	return answer.Documents, err
}
