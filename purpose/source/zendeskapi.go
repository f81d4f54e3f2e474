package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/purpose"
)

// zendeskAPI is Zendesk's REST API, version 2, as far as it is asked: https://developer.zendesk.com/api-reference/ticketing/.
type zendeskAPI struct {
	base  *url.URL
	email string
	token string
	http  *http.Client
}

func newZendeskAPI(c *purpose.ZendeskConfig, o Options) (*zendeskAPI, error) {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil {
		return nil, errors.New("the url is no address of Zendesk")
	}
	token, err := o.Secret(o.Path(c.TokenFile))
	if err != nil {
		return nil, err
	}
	client := o.HTTP
	if client == nil {
		client = &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &zendeskAPI{base: base, email: c.Email, token: token, http: client}, nil
}

// tooMany says that Zendesk wants to be asked later (429).
type tooMany struct{ after time.Duration }

// Error says when.
func (t *tooMany) Error() string {
	return fmt.Sprintf("Zendesk was asked too often; it may be asked again in %s", t.after)
}

// mostAnswer bounds what is read of an answer.
const mostAnswer = 32 << 20

// get asks for one path below /api/v2, or for an address that Zendesk gave for the next page. ok is false where there is nothing (404).
func (z *zendeskAPI) get(ctx context.Context, path string, query url.Values, into any) (ok bool, err error) {
	at := *z.base
	at.Path, at.RawQuery = at.Path+"/api/v2/"+path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return false, fmt.Errorf("ask Zendesk: %w", err)
	}
	request.SetBasicAuth(z.email+"/token", z.token)
	request.Header.Set("Accept", "application/json")
	answer, err := z.http.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("ask Zendesk: %w", ctx.Err())
		}
		return false, errors.New("ask Zendesk: it cannot be reached") // the error would repeat the address
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return false, nil
	case http.StatusTooManyRequests:
		seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
		if err != nil || seconds < 1 {
			seconds = 60
		}
		return false, &tooMany{time.Duration(min(seconds, 3600)) * time.Second}
	default:
		return false, fmt.Errorf("ask Zendesk: it answered with status %d", answer.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, mostAnswer)).Decode(into); err != nil {
		if ctx.Err() != nil {
			return false, fmt.Errorf("ask Zendesk: %w", ctx.Err())
		}
		return false, errors.New("ask Zendesk: its answer is not the documented JSON")
	}
	return true, nil
}

// zendeskTicket is a ticket as the API shows it.
type zendeskTicket struct {
	ID        anyID     `json:"id"`
	Status    string    `json:"status"`
	Assignee  anyID     `json:"assignee_id"`
	Requester anyID     `json:"requester_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// item is what of it can be known without its audits.
func (t *zendeskTicket) item() Item {
	return Item{
		Thing:   purpose.Thing{ID: string(t.ID), State: strings.ToLower(t.Status), Assignee: string(t.Assignee), From: t.CreatedAt.UTC()},
		Version: t.UpdatedAt.UnixMicro(), Bare: true, Gone: strings.EqualFold(t.Status, "deleted"),
	}
}

// exportPage is one page of the incremental ticket export, cursor based.
type exportPage struct {
	Tickets []zendeskTicket `json:"tickets"`
	Cursor  string          `json:"after_cursor"`
	End     bool            `json:"end_of_stream"`
}

// exportBack is how far back the export begins where nothing was read yet: for the work list. Older tickets are asked for when somebody
// gives them.
const exportBack = 30 * 24 * time.Hour

func (z *zendeskAPI) export(ctx context.Context, cursor string, now time.Time) (*exportPage, error) {
	query := url.Values{"cursor": {cursor}}
	if cursor == "" {
		query = url.Values{"start_time": {strconv.FormatInt(now.Add(-exportBack).Unix(), 10)}}
	}
	page := &exportPage{}
	ok, err := z.get(ctx, "incremental/tickets/cursor.json", query, page)
	if err == nil && !ok {
		err = errors.New("ask Zendesk: it has no incremental export for this token; expected an administrator's")
	}
	if page.Cursor == "" && cursor != "" {
		page.Cursor = cursor
	}
	return page, err
}

// ticket is one ticket, nil where there is none.
func (z *zendeskAPI) ticket(ctx context.Context, id string) (*zendeskTicket, error) {
	var answer struct {
		Ticket zendeskTicket `json:"ticket"`
	}
	ok, err := z.get(ctx, "tickets/"+url.PathEscape(id)+".json", nil, &answer)
	if err != nil || !ok || string(answer.Ticket.ID) != id {
		return nil, err
	}
	return &answer.Ticket, nil
}

// externalID is what the company's own systems call a user; empty for one who is no end user: an agent is nobody's customer, and would
// otherwise be his own.
func (z *zendeskAPI) externalID(ctx context.Context, user string) (string, error) {
	var answer struct {
		User struct {
			ID         anyID   `json:"id"`
			ExternalID *string `json:"external_id"`
			Role       string  `json:"role"`
		} `json:"user"`
	}
	ok, err := z.get(ctx, "users/"+url.PathEscape(user)+".json", nil, &answer)
	if err != nil || !ok || string(answer.User.ID) != user || answer.User.ExternalID == nil || answer.User.Role != "end-user" {
		return "", err
	}
	return *answer.User.ExternalID, nil
}

// audit is one update of a ticket: who, when, and what changed.
type audit struct {
	Author    anyID     `json:"author_id"`
	CreatedAt time.Time `json:"created_at"`
	Events    []struct {
		Type     string          `json:"type"` // Create, Change, Comment, …
		Field    string          `json:"field_name"`
		Value    json.RawMessage `json:"value"`
		Previous json.RawMessage `json:"previous_value"`
		Author   anyID           `json:"author_id"` // of a comment
		Public   bool            `json:"public"`
	} `json:"events"`
}

// mostAuditPages bounds how many pages of 100 audits are read of one ticket.
const mostAuditPages = 20

// audits are all updates of a ticket, the oldest first.
func (z *zendeskAPI) audits(ctx context.Context, id string) ([]audit, error) {
	var all []audit
	query := url.Values{"page[size]": {"100"}}
	for range mostAuditPages {
		var page struct {
			Audits []audit `json:"audits"`
			Meta   struct {
				More   bool   `json:"has_more"`
				Cursor string `json:"after_cursor"`
			} `json:"meta"`
		}
		ok, err := z.get(ctx, "tickets/"+url.PathEscape(id)+"/audits.json", query, &page)
		if err != nil {
			return nil, err
		}
		if !ok {
			return nil, errors.New("ask Zendesk: a ticket without audits")
		}
		all = append(all, page.Audits...)
		if !page.Meta.More {
			return all, nil
		}
		query.Set("page[after]", page.Meta.Cursor)
	}
	return nil, errors.New("ask Zendesk: the ticket has more than 2000 updates")
}

// trace fills in who opened, assigned and reopened a ticket, and when its customer last got in touch, by its audits. What they do not
// say stays empty, and is no reason.
func (t *zendeskTicket) trace(item *Item, audits []audit, live func(state string) bool) {
	item.OpenedBy, item.AssignedBy, item.ReopenedBy = "", "", ""
	assignee, requester := "", ""
	for i := range audits {
		a := &audits[i]
		by := t.author(a.Author)
		if i == 0 {
			item.OpenedBy = by
		}
		for _, e := range a.Events {
			if e.Type == "Comment" && e.Public && e.Author == t.Requester && a.Author == t.Requester && a.CreatedAt.After(item.Contacted) {
				item.Contacted = a.CreatedAt.UTC()
			}
			if e.Type != "Create" && e.Type != "Change" {
				continue
			}
			value, previous := unquoted(e.Value), unquoted(e.Previous)
			switch {
			case e.Field == "assignee_id":
				item.AssignedBy, assignee = by, value
			case e.Field == "requester_id":
				// Who says whose ticket it is, opened it, whatever stood there before.
				item.OpenedBy, requester = by, value
			case e.Field == "status" && e.Type == "Change" && !live(strings.ToLower(previous)) && live(strings.ToLower(value)):
				item.ReopenedBy = by
			}
		}
	}
	if assignee != string(t.Assignee) { // it changed in a way that no audit tells of
		item.AssignedBy = ""
	}
	if requester != "" && requester != string(t.Requester) {
		item.OpenedBy = ""
	}
}

// author is the name of who made an update.
func (t *zendeskTicket) author(id anyID) string {
	switch {
	case id == "-1":
		return bySystem
	case id == t.Requester && id != "":
		return byCustomer
	}
	return string(id)
}

// unquoted is a JSON text or number as a text; what is neither is empty.
func unquoted(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	if json.Unmarshal(raw, &number) == nil {
		return number.String()
	}
	return ""
}

// checkZendesk says what does not work: the way there, the token, what it may see.
func checkZendesk(ctx context.Context, c *purpose.ZendeskConfig, o Options) ([]string, error) {
	api, err := newZendeskAPI(c, o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := api.export(ctx, "", o.Now()); err != nil {
		return []string{err.Error()}, nil
	}
	return nil, nil
}
