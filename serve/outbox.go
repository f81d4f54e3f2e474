package serve

import (
	"context"
	"crypto/rand"
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
	"sallyport/config"
)

// outbox answers customers who typed a telephone number or a ticket number: to their contact details on file, by another system, which is told which
// customer it is and what there is to say. What was typed goes nowhere, and the page has answered before anybody looks. Whom there is to write to stands
// on record from then on until he was written to, so that no crash loses him.
type outbox struct {
	s         *Server
	hook      *webhook
	typed     chan typed
	questions *assure.Questions
	asked     chan struct{} // there is a new one
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
	c := s.O.Config.Customers.Outbox
	if c.URL == "" {
		return nil, nil
	}
	secret, err := config.ReadSecretFile(s.O.Config.Path(c.SecretFile))
	if err != nil {
		return nil, fmt.Errorf("open the outbox of customers: %w", err)
	}
	if len(secret) < 16 {
		return nil, config.Usagef("the secret of the outbox of customers has %d bytes; expected 16 or more: openssl rand -hex 32", len(secret))
	}
	o := &outbox{s: s, typed: make(chan typed, webhookQueue), questions: assure.NewQuestions(), asked: make(chan struct{}, 1), hook: &webhook{
		what: "the outbox of customers", url: c.URL, secret: []byte(secret), clock: s.O.Clock, log: s.log,
		client: &http.Client{Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") }},
	}}
	return o, s.orders.Fold(o.questions.Apply)
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
		o.tell(ctx)
	}()
	defer func() { <-done }()
	for {
		select {
		case <-ctx.Done():
			return
		case t := <-o.typed:
			if err := o.look(ctx, t); err != nil {
				o.s.log.Error("a customer who asked gets no answer", "why", err.Error())
			}
		}
	}
}

// look finds out whose the number is, and puts on record that he asked: he is written to from there on.
func (o *outbox) look(ctx context.Context, t typed) error {
	customer, ok, err := o.holder(ctx, t.text)
	if err != nil || !ok {
		return err
	}
	a := &sallyport.AssuredCall{ID: "as-" + strings.ToLower(rand.Text()[:10]), Do: assure.Asked, Customer: customer, Language: t.language}
	if err := o.note("call_asked", a); err != nil {
		return err
	}
	select {
	case o.asked <- struct{}{}:
	default:
	}
	return nil
}

// mostLookPause is the longest between two looks: who comes behind waits, too.
const mostLookPause = 10 * time.Second

// holder asks the database a few times: it may be away for a moment, and what was typed is nowhere else.
func (o *outbox) holder(ctx context.Context, text string) (who sallyport.Subject, ok bool, err error) {
	for _, pause := range append([]time.Duration{0}, webhookPauses()...) {
		wait := time.NewTimer(min(pause, mostLookPause))
		select {
		case <-ctx.Done():
			wait.Stop()
			return "", false, ctx.Err()
		case <-wait.C:
		}
		if who, ok, err = o.s.holderOf(ctx, text); err == nil {
			return who, ok, nil
		}
	}
	return "", false, err
}

func (o *outbox) note(action string, a *sallyport.AssuredCall) error {
	return o.s.orders.Give(nil, &sallyport.Event{Time: o.s.O.Clock(), Kind: sallyport.AssuredKind, Order: &sallyport.Order{Action: action, Assured: a}})
}

// holderOf is the one customer of whom the database holds a telephone number or a ticket number.
func (s *Server) holderOf(ctx context.Context, text string) (sallyport.Subject, bool, error) {
	s.mu.Lock()
	reasons, g := s.reasons, s.guard
	s.mu.Unlock()
	if reasons == nil || g == nil || g.catalog == nil {
		return "", false, errors.New("the database is not served yet")
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
	c := &s.O.Config.Customers
	if c.Listen == "" {
		return nil, nil
	}
	path := filepath.Join(s.O.Data, linkKeyName)
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
