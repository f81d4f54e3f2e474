package source

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/purpose"
)

// zendesk are the tickets of an account. Its webhook says at once that a ticket has changed, the incremental export brings what a message
// that was lost would have said, and who opened, assigned and reopened a ticket is asked of its audits when somebody gives it as a reason.
type zendesk struct {
	*mirror
	api     *zendeskAPI
	secret  secret
	timeout time.Duration
	silent  time.Duration
	every   time.Duration // between two looks at the export
	log     func(string)
}

// Names by which the audits' authors are known besides people's ids.
const (
	byCustomer = "customer" // the ticket's requester
	bySystem   = "system"   // Zendesk itself: triggers, automations, rules
)

// exportEvery is how often the incremental export is asked: ten times a minute are allowed.
const exportEvery = 30 * time.Second

func openZendesk(c *purpose.ZendeskConfig, timeout, silent time.Duration, folder string, o Options) (*zendesk, error) {
	key, err := readSecret(&o, c.SecretFile)
	if err != nil {
		return nil, err
	}
	api, err := newZendeskAPI(c, o)
	if err != nil {
		return nil, err
	}
	live := o.Live
	o.Live = func(state string) bool { return state == pinned || live(state) }
	m, err := openMirror(folder, true, o)
	if err != nil {
		return nil, err
	}
	return &zendesk{mirror: m, api: api, secret: key, timeout: timeout, silent: silent, every: exportEvery, log: o.Log}, nil
}

// zendeskEvent is what the webhook brings of a ticket event (schema version 2022-06-20).
type zendeskEvent struct {
	ID     string    `json:"id"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	Detail struct {
		ID        anyID     `json:"id"`
		Status    string    `json:"status"`
		Assignee  anyID     `json:"assignee_id"`
		Requester anyID     `json:"requester_id"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	} `json:"detail"`
}

// anyID is an id that stands in JSON as a number or as a text.
type anyID string

// UnmarshalJSON reads both, and null.
func (id *anyID) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		text = ""
	}
	if _, err := strconv.ParseInt(text, 10, 64); err != nil && text != "" {
		return errors.New("no id")
	}
	*id = anyID(text)
	return nil
}

// Hear takes one message of the webhook.
func (z *zendesk) Hear(header http.Header, body []byte) (any, error) {
	stamp := header.Get("X-Zendesk-Webhook-Signature-Timestamp")
	signature, bad := base64.StdEncoding.DecodeString(header.Get("X-Zendesk-Webhook-Signature"))
	if bad != nil || !z.secret.signs(signature, stamp, string(body)) {
		return nil, problem(http.StatusUnauthorized, "the signature is not that of this message: the secret is not this webhook's")
	}
	at, err := time.Parse(time.RFC3339, stamp)
	if err != nil || !inWindow(at, z.now()) {
		return nil, problem(http.StatusUnauthorized, "the message was signed more than five minutes ago, or ahead")
	}
	var e zendeskEvent
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, problem(http.StatusBadRequest, "no event of a ticket: subscribe the webhook to ticket events")
	}
	d := &e.Detail
	switch {
	case !strings.HasPrefix(e.Type, "zen:event-type:ticket."):
		return Taken{}, nil
	case e.ID == "" || d.ID == "" || d.UpdatedAt.IsZero():
		return nil, problem(http.StatusUnprocessableEntity, "an event of a ticket without its id, the ticket's or its time")
	}
	gone := slices.Contains([]string{"soft_deleted", "permanently_deleted", "marked_as_spam", "merged"}, strings.TrimPrefix(e.Type, "zen:event-type:ticket."))
	item := Item{
		Thing:   purpose.Thing{ID: string(d.ID), State: strings.ToLower(d.Status), Assignee: string(d.Assignee), From: d.CreatedAt.UTC()},
		Version: d.UpdatedAt.UnixMicro(), Bare: true, Gone: gone,
	}
	// Only the export is a sign of life: while it cannot be read, messages that were lost would not be made up for.
	news, err := z.take(&entry{ID: e.ID, At: at.UTC(), Late: true, Items: []Item{item}})
	if err != nil {
		return nil, err
	}
	return Taken{News: news}, nil
}

// Run follows the incremental export until ctx ends: what it brings counts as having heard of Zendesk.
func (z *zendesk) Run(ctx context.Context) {
	wait := time.NewTimer(0)
	defer wait.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		next := z.every
		if err := z.follow(ctx); err != nil && ctx.Err() == nil {
			z.log(err.Error())
			if late, ok := errors.AsType[*tooMany](err); ok {
				next = max(next, late.after)
			}
		}
		wait.Reset(next)
	}
}

// follow reads the export from where it was read last to its end.
func (z *zendesk) follow(ctx context.Context) error {
	for range mostPages {
		asked := z.now().UTC()
		page, err := z.api.export(ctx, z.noted(), asked)
		if err != nil {
			return err
		}
		e := &entry{At: asked, Late: !page.End, Note: page.Cursor}
		for i := range page.Tickets {
			e.Items = append(e.Items, page.Tickets[i].item())
		}
		if _, err := z.take(e); err != nil {
			return err
		}
		if page.End || page.Cursor == "" {
			return nil
		}
	}
	return nil
}

// mostPages bounds one look at the export: the rest comes with the next.
const mostPages = 1000

// Find asks for a ticket, unless what is known of it is known whole.
func (z *zendesk) Find(ctx context.Context, ref purpose.Ref) ([]purpose.Thing, error) {
	if err := z.alive(z.silent); err != nil {
		return nil, err
	}
	id := ref.Asked()
	if _, err := strconv.ParseInt(id, 10, 64); err != nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, z.timeout)
	defer cancel()
	found := z.find(purpose.Ref{Text: id})
	if len(found) == 1 && !found[0].Bare {
		return sure(found), nil
	}
	if len(found) == 1 && !z.live(found[0].State) {
		return sure(found), nil // it is over: nobody has to be asked who did what
	}
	whole, err := z.prove(ctx, id)
	if err != nil || whole == nil {
		return nil, err
	}
	return []purpose.Thing{whole.Thing}, nil
}

// Mine are the open tickets that are assigned to somebody. Who assigned them is asked of the newest.
func (z *zendesk) Mine(ctx context.Context, names []string, most int) ([]purpose.Thing, error) {
	if err := z.alive(z.silent); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, z.timeout)
	defer cancel()
	var things []purpose.Thing
	asked := 0
	for _, item := range z.of(names, most) {
		if !item.Bare {
			things = append(things, item.Thing)
			continue
		}
		if asked++; asked > mostAsked {
			continue // they come with the next looks
		}
		whole, err := z.prove(ctx, item.ID)
		if err != nil {
			return nil, err
		}
		if whole != nil {
			things = append(things, whole.Thing)
		}
	}
	return things, nil
}

// mostAsked is how many tickets one look at the work list asks Zendesk about.
const mostAsked = 5

// prove asks for a ticket, its requester and its audits, and keeps what they say unless a message has come meanwhile.
func (z *zendesk) prove(ctx context.Context, id string) (*Item, error) {
	turn := z.turn(id)
	ticket, err := z.api.ticket(ctx, id)
	if err != nil || ticket == nil {
		return nil, err
	}
	item := ticket.item()
	item.Bare = false
	if item.Customers, err = z.customer(ctx, string(ticket.Requester)); err != nil {
		return nil, err
	}
	audits, err := z.api.audits(ctx, id)
	if err != nil {
		return nil, err
	}
	ticket.trace(&item, audits, z.live)
	taken, err := z.takeAt(turn, &entry{At: z.last(), Items: []Item{item}})
	if err == nil && !taken {
		err = errors.New("ask Zendesk: the ticket changed meanwhile")
	}
	return &item, err
}

// customer is whom a requester is: the external_id of the user, as it was when the user was first seen. Who may write it in Zendesk could
// otherwise point his ticket to anybody.
func (z *zendesk) customer(ctx context.Context, requester string) ([]sallyport.Subject, error) {
	if requester == "" {
		return nil, nil
	}
	external, err := z.api.externalID(ctx, requester)
	if err != nil || external == "" {
		return nil, err
	}
	pin := "user:" + requester // no ticket's id begins like this
	if known := z.find(purpose.Ref{Text: pin}); len(known) == 1 {
		if len(known[0].Customers) != 1 || known[0].Customers[0] != sallyport.Subject(external) {
			return nil, errors.New("the external_id of the ticket's requester is another one than when he was first seen")
		}
		return known[0].Customers, nil
	}
	customers := []sallyport.Subject{sallyport.Subject(external)}
	_, err = z.take(&entry{At: z.last(), Items: []Item{{Thing: purpose.Thing{ID: pin, Customers: customers, State: pinned}, Version: 1}}})
	return customers, err
}

// pinned is the state of what is kept for ever.
const pinned = "pinned"

// Close ends the mirror's log.
func (z *zendesk) Close() error { return z.close() }
