package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/assure"
)

// outbox answers customers who typed a telephone number or a ticket number: to their contact details on file, by another system, which is told which
// customer it is and what there is to say. What was typed goes nowhere, and the page has answered before anybody looks.
type outbox struct {
	s     *Server
	hook  *webhook
	typed chan typed
}

type typed struct{ text, language string }

// CustomerMessage is the body of what the outbox gets (docs/customers.md).
type CustomerMessage struct {
	Event    string            `json:"event"` // call_asked
	Customer sallyport.Subject `json:"customer"`
	Language string            `json:"language"`
	At       time.Time         `json:"at"`
	Calls    []MessageCall     `json:"calls"` // of ours that are to be made right now; empty: none, so a caller is not ours
}

// MessageCall is one of them, as the customer is told.
type MessageCall struct {
	Name  string    `json:"name"`
	Team  string    `json:"team"`
	About string    `json:"about"`
	Until time.Time `json:"until"`
}

// newOutbox reads the secret; nil: nobody answers.
func (s *Server) newOutbox() (*outbox, error) {
	c := s.o.Config.Customers.Outbox
	if c.URL == "" {
		return nil, nil
	}
	secret, err := readSecretFile(s.o.Config.path(c.SecretFile))
	if err != nil {
		return nil, fmt.Errorf("open the outbox of customers: %w", err)
	}
	if len(secret) < 16 {
		return nil, usagef("the secret of the outbox of customers has %d bytes; expected 16 or more: openssl rand -hex 32", len(secret))
	}
	return &outbox{s: s, typed: make(chan typed, webhookQueue), hook: &webhook{
		what: "the outbox of customers", url: c.URL, secret: []byte(secret), queue: make(chan delivery, webhookQueue), clock: s.o.Clock, log: s.log, pauses: webhookPauses(),
		client: &http.Client{Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") }},
	}}, nil
}

// ask hands over what somebody typed. It does not wait.
func (o *outbox) ask(text, language string) {
	select {
	case o.typed <- typed{text, language}:
	default:
		o.s.log.Error("more customers ask for an answer than can be looked up; somebody gets none")
	}
}

// run answers until ctx ends.
func (o *outbox) run(ctx context.Context) {
	if o == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.hook.run(ctx)
	}()
	defer func() { <-done }()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-o.typed:
			if err := o.answer(ctx, t); err != nil {
				o.s.log.Error("a customer who asked gets no answer", "why", err.Error())
			}
		}
	}
}

// answer finds out whose the number is. That he asked is on record before anything is told.
func (o *outbox) answer(ctx context.Context, t typed) error {
	customer, ok, err := o.s.holderOf(ctx, t.text)
	if err != nil || !ok {
		return err
	}
	now := o.s.o.Clock()
	a := &sallyport.AssuredCall{ID: "as-" + strings.ToLower(rand.Text()[:10]), Do: assure.Asked, Customer: customer}
	if err := o.s.orders.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.AssuredKind, Order: &sallyport.Order{Action: "call_asked", Assured: a}}); err != nil {
		return err
	}
	m := CustomerMessage{Event: "call_asked", Customer: customer, Language: t.language, At: now.UTC(), Calls: []MessageCall{}}
	for _, c := range o.s.scheduled.For(customer, now) {
		m.Calls = append(m.Calls, MessageCall{c.Name, c.Team, c.About, c.Until})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write the message: %w", err)
	}
	select {
	case o.hook.queue <- delivery{strings.ToLower(rand.Text()), body}:
		return nil
	default:
		return errors.New("the outbox is behind")
	}
}

// holderOf is the one customer of whom the database holds a telephone number or a ticket number.
func (s *Server) holderOf(ctx context.Context, text string) (sallyport.Subject, bool, error) {
	s.mu.Lock()
	reasons, g := s.reasons, s.guard
	s.mu.Unlock()
	if reasons == nil || g == nil || g.catalog == nil {
		return "", false, nil
	}
	var found sallyport.Subject
	for _, q := range g.catalog.Snapshot().HolderQueries(sallyport.Phone, sallyport.Number) {
		codec, err := g.codecFor(q.Column)
		if err != nil {
			continue
		}
		searches, err := codec.Searches([]byte(text))
		if err != nil {
			continue // it is no such number
		}
		forms := make([]string, len(searches))
		for i := range searches {
			forms[i] = string(searches[i])
		}
		customer, ok, err := reasons.Holder(ctx, q, forms)
		if err != nil {
			return "", false, err
		}
		if ok && found != "" && found != customer {
			return "", false, nil
		}
		if ok {
			found = customer
		}
	}
	return found, found != "", nil
}

// linkKeyName is the file of the key by which links to customers are signed, in the data folder.
const linkKeyName = "links.key"

// links are those that customers get; nil: they have no pages.
func (s *Server) links() (*api.Links, error) {
	c := &s.o.Config.Customers
	if c.Listen == "" {
		return nil, nil
	}
	path := filepath.Join(s.o.Data, linkKeyName)
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // never fails (crypto/rand, Go 1.24)
		err = os.WriteFile(path, key, 0o600)
	}
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("%s has %d bytes; expected 32: take it away, and links are issued anew", path, len(key))
	}
	if err != nil {
		return nil, fmt.Errorf("open the key of customers' links: %w", err)
	}
	l := &api.Links{Book: assure.NewLinks(), Key: key, Address: strings.TrimSuffix(c.Address, "/")}
	if l.Address == "" {
		l.Address = "https://" + c.Listen
	}
	return l, s.orders.Fold(l.Book.Apply)
}
