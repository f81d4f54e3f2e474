package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/assure"
)

// Links show customers which kind of staff has seen their data.
type Links struct {
	Book    *assure.Links
	Key     []byte // signs them
	Address string // of the customers' pages, https://HOST[:PORT]
}

// LinkRequest issues one.
type LinkRequest struct {
	Customer sallyport.Subject `json:"customer"`
	Days     int               `json:"days,omitempty"` // that it holds; 0: 14, 90 at most
	Language string            `json:"language,omitempty"`
	Reason   string            `json:"reason"`
}

// CustomerLink is one that holds. Link is shown once, to who has just issued it: it goes to the customer's contact details on file.
type CustomerLink struct {
	ID       string            `json:"id"`
	Link     string            `json:"link,omitempty"`
	Customer sallyport.Subject `json:"customer"`
	Until    time.Time         `json:"until"`
	By       sallyport.Staff   `json:"by"`
	Opened   int               `json:"opened"`
}

// SeenLine is what a customer is told: on which day, which kind of staff, why, what, how often. Every word but Day is a key of the texts.
type SeenLine struct {
	Day   time.Time
	Who   string   // agent, lead, security, technical, program, staff
	Why   string   // ticket, call, job, grant, work, none
	What  []string // classes of data
	Times int
}

func (s *Server) linkRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/customer-links", s.as(investigators, s.listLinks))
	mux.Handle("POST /v1/customer-links", s.as(investigators, s.issueLink))
	mux.Handle("POST /v1/customer-links/{id}/end", s.as(investigators, s.endLink))
}

// HasLinks tells whether customers get links here.
func (s *Server) HasLinks() bool { return s.c.Links != nil }

func (s *Server) noLinks() error {
	if s.c.Links == nil {
		return &Problem{http.StatusConflict, "no_links", "This serve issues no links to customers.", "Section customers of the configuration has their pages."}
	}
	return nil
}

func (s *Server) listLinks(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noLinks(); err != nil {
		return nil, err
	}
	if err := s.asked(me, "customer_links", "", "listed links to customers"); err != nil {
		return nil, err
	}
	list := []CustomerLink{}
	for _, x := range s.c.Links.Book.Held(s.c.Now()) {
		list = append(list, CustomerLink{ID: x.ID, Customer: x.Customer, Until: x.Until, By: x.By, Opened: x.Opened})
	}
	return paged(r, "links", list, func(l *CustomerLink) string { return l.ID })
}

// issueLink is on record before the link is shown.
func (s *Server) issueLink(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noLinks(); err != nil {
		return nil, err
	}
	var q LinkRequest
	if err := body(r, &q); err != nil {
		return nil, err
	}
	reasoned := request{Reason: q.Reason}
	if err := reasoned.reasoned(); err != nil {
		return nil, err
	}
	days := cmp.Or(q.Days, 14)
	language := cmp.Or(q.Language, "en")
	if q.Customer == "" || len(q.Customer) > 200 || days < 1 || days > int(assure.LinkLongest/(24*time.Hour)) || len(language) > 10 || strings.Trim(language, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return nil, &Problem{http.StatusBadRequest, "bad_link", "A link names its customer, and holds from 1 to 90 days.", "sallyport assure link --customer 48211 --days 14 --reason 'he asked'"}
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails (crypto/rand, Go 1.24)
	until := s.c.Now().Add(time.Duration(days) * 24 * time.Hour).UTC().Truncate(time.Second)
	name := assure.LinkName(id)
	e := s.event(sallyport.LinkKind, me, &sallyport.Order{Action: "customer_link", By: me, Reason: reasoned.Reason, Link: &sallyport.CustomerLink{ID: name, Do: assure.IssueLink, Customer: q.Customer, Until: until}})
	if err := s.c.Orders.Give(s.stillFree(me), e); err != nil {
		return nil, err
	}
	return CustomerLink{ID: name, Link: s.c.Links.Address + "/" + language + "/seen/" + assure.SignLink(s.c.Links.Key, id, until), Customer: q.Customer, Until: until, By: me}, nil
}

func (s *Server) endLink(r *http.Request, me sallyport.Staff) (any, error) {
	if err := s.noLinks(); err != nil {
		return nil, err
	}
	q, err := s.order(r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("id")
	e := s.event(sallyport.LinkKind, me, &sallyport.Order{Action: "customer_link", By: me, Reason: q.Reason, Link: &sallyport.CustomerLink{ID: id, Do: assure.EndLink}})
	err = s.c.Orders.Give(func() error {
		if _, ok := s.c.Links.Book.Holds(id, s.c.Now()); !ok {
			return &Problem{http.StatusNotFound, "no_such_link", "There is no link of this id that holds.", "sallyport assure link ls"}
		}
		return s.stillFree(me)()
	}, e)
	if err != nil {
		return nil, err
	}
	return map[string]any{"link": id, "ended": true}, nil
}

// Seen is for the customers' page: what a link shows. Unknown, wrong, over and ended are one answer. That it was opened is put on record a few times.
func (s *Server) Seen(ctx context.Context, text string) (list []SeenLine, until time.Time, ok bool, err error) {
	if s.c.Links == nil {
		return nil, until, false, nil
	}
	now := s.c.Now()
	id, ok := assure.ReadLink(s.c.Links.Key, text, now)
	link, held := s.c.Links.Book.Holds(id, now)
	if !ok || !held {
		return nil, until, false, nil
	}
	if link.Opened < assure.MostOpened {
		e := &sallyport.Event{Time: now, Kind: sallyport.LinkKind, Order: &sallyport.Order{Action: "customer_link", Link: &sallyport.CustomerLink{ID: id, Do: assure.OpenedLink}}}
		if err := s.c.Orders.Give(nil, e); err != nil {
			return nil, until, false, err
		}
	}
	seen, err := s.past.WhoSaw(ctx, link.Customer)
	if err != nil {
		return nil, until, false, err
	}
	return s.seenLines(seen), link.Until, true, nil
}

// mostSeen is how many lines a customer is shown, the newest.
const mostSeen = 500

// seenLines are what the sightings come to in a customer's words: no name, no pseudonym, no place and no hour, by which somebody could be made out.
func (s *Server) seenLines(seen []*Sighting) (list []SeenLine) {
	at := map[string]int{}
	for _, x := range slices.Backward(seen) {
		if len(x.Columns) == 0 || x.Observed {
			continue
		}
		line := SeenLine{Day: x.Time.UTC().Truncate(24 * time.Hour), Who: s.kindOf(x.Staff), Why: whySeen(x), Times: 1}
		for _, column := range x.Columns {
			if class := cmp.Or(s.c.Classes[column], "content"); !slices.Contains(line.What, class) {
				line.What = append(line.What, class)
			}
		}
		slices.Sort(line.What)
		key := line.Day.String() + line.Who + line.Why + strings.Join(line.What, ",")
		if i, before := at[key]; before {
			list[i].Times++
			continue
		}
		if len(list) == mostSeen {
			break
		}
		at[key] = len(list)
		list = append(list, line)
	}
	return list
}

// kindOf is which kind of staff somebody is.
func (s *Server) kindOf(who sallyport.Staff) string {
	if s.c.Names.Service != nil && s.c.Names.Service(who) {
		return "program"
	}
	switch role := s.role(who); role {
	case "agent", "lead", "security":
		return role
	case "engineer", "dba":
		return "technical"
	}
	return "staff"
}

func whySeen(x *Sighting) string {
	if x.Grant != "" {
		return "grant"
	}
	for _, p := range x.Purposes {
		switch kind, _, _ := strings.Cut(p, ":"); kind {
		case "ticket", "call", "job", "grant", "work":
			return kind
		}
	}
	return "none"
}

// IssueLink issues a link, and returns it with its text.
func (c *Client) IssueLink(ctx context.Context, q LinkRequest) (l CustomerLink, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/customer-links", q, &l)
	return l, err
}

// Links lists those that hold.
func (c *Client) Links(ctx context.Context) ([]CustomerLink, error) {
	return pages[CustomerLink](ctx, c, "/v1/customer-links", "links")
}

// EndLink ends one.
func (c *Client) EndLink(ctx context.Context, id, reason string) error {
	return c.call(ctx, http.MethodPost, "/v1/customer-links/"+url.PathEscape(id)+"/end", request{Reason: reason}, nil)
}
