package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/staff"
)

// Directory is what serve knows of the staff. Every function is required.
type Directory struct {
	List   func() []Member
	Show   func(who sallyport.Staff) (MemberDetails, bool)
	Import func(me sallyport.Staff, rows []ImportRow, complete bool, dry bool, give GiveImport) (ImportResult, error)
	Most   int           // leavers an hour whom a file locks by itself; 0: control.DefaultLeavers
	Delay  time.Duration // between the approval of a place with power and its beginning
}

// GiveImport puts on record what an import changes: make is called at a moment at which nothing else changes.
type GiveImport func(build func() []sallyport.Listed) error

// Member is somebody as he stands right now.
type Member struct {
	Staff      sallyport.Staff `json:"staff"`
	Name       string          `json:"name,omitempty"`
	Team       string          `json:"team,omitempty"`
	Role       string          `json:"role,omitempty"`
	Manager    sallyport.Staff `json:"manager,omitempty"`
	Employment string          `json:"employment"`
	Sources    []string        `json:"sources"`
	Locked     bool            `json:"locked,omitempty"`
	Suspended  bool            `json:"suspended,omitempty"`
	Left       bool            `json:"left,omitempty"` // he may not work, and the lock waits for a second person
	// Wants is the place with power, role@team, that a source lists him for and that he does not have; From when he will, if two people agreed.
	Wants    string    `json:"wants,omitempty"`
	From     time.Time `json:"from,omitzero"`
	Proposal string    `json:"proposal,omitempty"` // that is open about it
}

// MemberDetails is a member with what each source says of him.
type MemberDetails struct {
	Member
	Delay  string                      `json:"delay"` // of power, after two people agreed
	Listed map[string]sallyport.Listed `json:"listed"`
}

// ImportRow is one line of a staff file.
type ImportRow struct {
	Listed sallyport.Listed `json:"listed"`
	Says   sallyport.Place  `json:"says"`
}

// ImportResult is what an import changes, or would.
type ImportResult struct {
	Changes  []ImportChange  `json:"changes"`
	Same     int             `json:"same"`    // people of whom the file says what was known
	Missing  []string        `json:"missing"` // of an earlier import, and not in the file
	Problems []ImportProblem `json:"problems"`
	Dry      bool            `json:"dry_run,omitempty"`
}

// ImportChange is what changes about somebody.
type ImportChange struct {
	Staff  sallyport.Staff `json:"staff"`
	New    bool            `json:"new,omitempty"`
	Leaves bool            `json:"leaves,omitempty"` // he is locked by it
	Wants  string          `json:"wants,omitempty"`  // power that waits for two people
	Fields []staff.Field   `json:"fields"`
}

// ImportProblem is a line that is left out.
type ImportProblem struct {
	Row   int    `json:"row"` // of the request, from 0
	Field string `json:"field"`
	Text  string `json:"text"`
}

// importRequest is a staff file.
type importRequest struct {
	Rows     []ImportRow `json:"rows"`
	Complete bool        `json:"complete,omitempty"` // who was imported before and is not in it has left
	Dry      bool        `json:"dry_run,omitempty"`
}

// maxImport bounds a staff file: 100,000 people take about 30 MB.
const maxImport = 64 << 20

func (s *Server) directoryRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/directory", s.as(overseers, s.listDirectory))
	mux.Handle("GET /v1/directory/{id}", s.as(overseers, s.showMember))
	mux.Handle("POST /v1/directory/import", s.upTo(maxImport, administrators, s.importDirectory))
	mux.Handle("POST /v1/directory/lock-leavers", s.as(administrators, s.lockLeavers))
	mux.Handle("POST /v1/directory/empower", s.as(administrators, s.empower))
}

// role is somebody's right now.
func (s *Server) role(who sallyport.Staff) string {
	if s.c.Role != nil {
		return s.c.Role(who)
	}
	return s.c.People[who].Role
}

func (s *Server) directory() (*Directory, error) {
	if s.c.Directory == nil {
		return nil, &Problem{http.StatusConflict, "no_directory", "This serve keeps no directory.", ""}
	}
	return s.c.Directory, nil
}

func (s *Server) listDirectory(r *http.Request, _ sallyport.Staff) (any, error) {
	d, err := s.directory()
	if err != nil {
		return nil, err
	}
	return paged(r, "staff", d.List(), func(m *Member) string { return string(m.Staff) })
}

func (s *Server) showMember(r *http.Request, _ sallyport.Staff) (any, error) {
	d, err := s.directory()
	if err != nil {
		return nil, err
	}
	m, ok := d.Show(sallyport.Staff(r.PathValue("id")))
	if !ok {
		return nil, noSuchStaff()
	}
	return m, nil
}

func noSuchStaff() *Problem {
	return &Problem{http.StatusNotFound, "no_such_staff", "Nobody has this id.", "sallyport directory ls lists everybody."}
}

func (s *Server) importDirectory(r *http.Request, me sallyport.Staff) (any, error) {
	d, err := s.directory()
	if err != nil {
		return nil, err
	}
	var q importRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	return d.Import(me, q.Rows, q.Complete, q.Dry, func(build func() []sallyport.Listed) error {
		order := &sallyport.Order{Action: "people", By: me, Details: staff.CSV, Most: d.Most}
		return s.c.Orders.Give(func() error {
			if err := s.stillFree(me)(); err != nil {
				return err
			}
			order.People = build()
			return nil
		}, s.event(sallyport.Peopled, me, order))
	})
}

// lockLeavers has those locked who left when their source had said so of many within an hour, but for whom this person imported himself.
func (s *Server) lockLeavers(r *http.Request, me sallyport.Staff) (any, error) {
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	var locked []sallyport.Staff
	e := s.event(sallyport.LockLeavers, me, &sallyport.Order{Action: "lock_leavers", By: me, Reason: q.Reason})
	err = s.c.Orders.Give(func() error {
		if err := s.stillFree(me)(); err != nil {
			return err
		}
		all, his := s.state.Leavers(me)
		if locked = his; len(his) > 0 {
			return nil
		}
		if all > 0 {
			return &Problem{http.StatusForbidden, "not_yours_to_decide", "You imported that they left yourself.", "Ask another lead or security."}
		}
		return &Problem{http.StatusConflict, "nobody_waits", "Nobody's lock waits for a second person.", ""}
	}, e)
	if err != nil {
		return nil, err
	}
	return map[string]any{"locked": locked}, nil
}

// empower proposes to give somebody the place with power that a source lists him for. What it is stands in the directory, not in the request.
func (s *Server) empower(r *http.Request, me sallyport.Staff) (any, error) {
	d, err := s.directory()
	if err != nil {
		return nil, err
	}
	q, err := s.orderAbout(r)
	if err != nil {
		return nil, err
	}
	m, ok := d.Show(q.Staff)
	if !ok {
		return nil, noSuchStaff()
	}
	switch {
	case m.Wants == "":
		return nil, &Problem{http.StatusConflict, "nothing_wanted", "No source lists this person for a place with power that he does not have.", "The identity provider's groups or an import say first who is to be what."}
	case !m.From.IsZero():
		return nil, &Problem{http.StatusConflict, "agreed_already", "Two people agreed to that already; it begins at " + m.From.Format(time.RFC3339) + ".", ""}
	case m.Proposal != "":
		return nil, &Problem{http.StatusConflict, "proposed_already", "That is proposed already: " + m.Proposal + ".", "sallyport approve " + m.Proposal}
	}
	order := sallyport.Order{Action: control.Empower, About: q.Staff, Reason: q.Reason, Details: m.Wants, Delay: d.Delay}
	return s.propose(me, order, func() error { return nil })
}

// Directory lists everybody as he stands right now.
func (c *Client) Directory(ctx context.Context) ([]Member, error) {
	return pages[Member](ctx, c, "/v1/directory", "staff")
}

// Member is one of them, with what each source says of him.
func (c *Client) Member(ctx context.Context, who sallyport.Staff) (MemberDetails, error) {
	var m MemberDetails
	err := c.call(ctx, http.MethodGet, "/v1/directory/"+url.PathEscape(string(who)), nil, &m)
	return m, err
}

// Import takes a staff file; a dry run only says what it would change.
func (c *Client) Import(ctx context.Context, rows []ImportRow, complete, dry bool) (ImportResult, error) {
	var result ImportResult
	err := c.call(ctx, http.MethodPost, "/v1/directory/import", importRequest{Rows: rows, Complete: complete, Dry: dry}, &result)
	return result, err
}

// LockLeavers has those locked who left when their source had said so of many within an hour.
func (c *Client) LockLeavers(ctx context.Context, reason string) (locked []sallyport.Staff, err error) {
	var answer struct {
		Locked []sallyport.Staff `json:"locked"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/directory/lock-leavers", request{Reason: reason}, &answer)
	return answer.Locked, err
}

// Empower proposes to give somebody the place with power that he is listed for, and returns the proposal's id.
func (c *Client) Empower(ctx context.Context, who sallyport.Staff, reason string) (string, error) {
	return c.propose(ctx, "/v1/directory/empower", request{Staff: who, Reason: reason})
}
