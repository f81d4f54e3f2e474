package serve

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/entrance"
	"sallyport/internal/upstream"
	"sallyport/respond"
	logs "sallyport/sources"
)

// detection is what looks for insiders while serve runs, and what answers; nil where nobody looks.
type detection struct {
	detecting  *detecting
	responding *responding
	feeds      *feeding
	ignored    string // what of the configuration does not hold, for status
}

// openDetection makes it, unless the configuration wants none. While Sallyport acts on findings, a configuration alone turns that off no more
// than one person does.
func (s *Server) openDetection() error {
	if s.link != nil {
		return nil // the controller has what all gateways saw
	}
	c := s.O.Config
	x := &detection{}
	if c.Detect.Off {
		if s.State.Responds() != control.ModeAct {
			return nil
		}
		x.ignored = "detect.off does not hold while Sallyport acts on findings; two people turn that off first: sallyport respond mode observe"
	}
	d, err := s.newDetecting()
	if err != nil {
		return err
	}
	if x.responding, err = s.newResponding(); err != nil {
		return err
	}
	x.detecting = d
	d.respond = x.responding.answer
	x.feeds = newFeeding(s)
	if err := s.respondMode(x); err != nil {
		return err
	}
	s.detection = x
	return nil
}

// respondMode puts on record that the configuration has Sallyport act. That it shall not any more takes two people.
func (s *Server) respondMode(x *detection) error {
	mode, now := s.O.Config.Respond.Mode, s.State.Responds()
	switch {
	case s.O.Observe != nil:
		return nil
	case mode == control.ModeAct && now == "":
		return s.orders.Give(nil, &sallyport.Event{Time: s.O.Clock(), Kind: sallyport.RespondingKind, Order: &sallyport.Order{Action: "respond_mode", Details: mode}})
	case mode == control.ModeAct && now == control.ModeObserve:
		x.ignored = "respond.mode act does not hold: two people agreed to observe; two people agree to act again: sallyport respond mode act"
	case mode != control.ModeAct && now == control.ModeAct && x.ignored == "":
		x.ignored = "respond.mode observe does not hold: Sallyport acts until two people agree that it does not: sallyport respond mode observe"
	}
	return nil
}

func (s *Server) newDetecting() (*detecting, error) {
	c := s.O.Config
	options, err := c.DetectOptions()
	if err != nil {
		return nil, err
	}
	if options.Canaries == nil {
		options.Canaries = map[sallyport.Subject]bool{} // those that are planted come in
	}
	program := func(who sallyport.Staff) bool { return c.IsProgram(who) }
	d := &detecting{access: s.AccessStream, control: s.ControlStream, orders: s.orders, options: options, staff: c.Employees(s.staffing.now()), clock: s.O.Clock, log: s.log, keep: newDetectKeep(s.O.Data, s.key), asks: make(chan func(*detect.Detector))}
	d.heard = hearing{parts: logs.Parts{Record: s.AccessStream.ID(), Service: program}, login: c.Owners(), program: program, desks: c.Helpdesks(), tickets: map[string]heardTicket{}, canary: options.Canaries, traps: s.newTraps()}
	canaries, watched := subjectsOf(options.Canaries), subjectsOf(options.Watched)
	parts := []any{detectionVersion, options.Budget, options.Templates, canaries, watched, options.Personnel, options.Known, d.staff}
	if len(c.Drill.Accounts) > 0 {
		parts = append(parts, struct { // when drills are played changes nothing of what is found
			Accounts []config.DrillAccount
			Team     string
		}{c.Drill.Accounts, c.Drill.Team})
	}
	d.settings, err = d.digest(parts...)
	return d, err
}

// detectionVersion is to change when detection finds something else from the same record.
const detectionVersion = 3

func subjectsOf(set map[sallyport.Subject]bool) []sallyport.Subject {
	list := make([]sallyport.Subject, 0, len(set))
	for s := range set {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func (s *Server) newResponding() (*responding, error) {
	c := s.O.Config
	ladder, err := c.Ladder()
	if err != nil {
		return nil, err
	}
	r := &responding{
		orders: s.orders, state: s.State, ladder: ladder, clock: s.O.Clock, log: s.log, wake: make(chan struct{}, 1), tries: map[string]*attempts{},
		acts:    func() bool { return s.O.Observe == nil && s.State.Responds() == control.ModeAct },
		program: c.IsProgram, plays: c.Drill.Plays(c), last: s.AccessStream.Last, outside: map[string]doer{}, called: func(who sallyport.Staff) string { return s.Names.Person(who) },
		from: func(since time.Time) uint64 { return s.granting.days.from(dayOf(since)) },
	}
	if d := c.Respond.Database; d.User != "" {
		password, err := config.ReadSecretFile(c.Path(d.PasswordFile))
		if err != nil {
			return nil, err
		}
		r.outside[respond.Database] = &logInTaker{c: c, server: s.Upstream, user: d.User, password: password}
	}
	client := &http.Client{Timeout: webhookTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return errors.New("redirects are not followed") }}
	if h := c.Respond.Provider; h.URL != "" {
		hook, err := hookOf(c, h, client, s.O.Clock)
		if err != nil {
			return nil, err
		}
		r.outside[respond.Provider] = &providerTeller{hook: hook, clock: s.O.Clock}
	}
	r.pager, err = pagerOf(c, client, r)
	return r, err
}

// hookOf is one receiver of signed messages about findings.
func hookOf(c *config.Config, h config.RespondHook, client *http.Client, clock func() time.Time) (*respond.Webhook, error) {
	secret, err := config.ReadSecretFile(c.Path(h.SecretFile))
	if err != nil {
		return nil, err
	}
	if len(secret) < 16 {
		return nil, config.Usagef("the secret in %s has %d bytes; expected 16 or more: openssl rand -hex 32", h.SecretFile, len(secret))
	}
	return &respond.Webhook{URL: h.URL, Secret: []byte(secret), Client: client, Now: clock}, nil
}

// pagerOf makes the senders; nil where nobody is told.
func pagerOf(c *config.Config, client *http.Client, r *responding) (*pager, error) {
	p, page := &pager{r: r, most: c.Respond.Page.PerHour, told: map[string]map[string]bool{}}, c.Respond.Page
	if p.most == 0 {
		p.most = 12
	}
	add := func(name string, s respond.Sender) { p.senders = append(p.senders, namedSender{name, s}) }
	if page.Webhook.URL != "" {
		hook, err := hookOf(c, page.Webhook, client, r.clock)
		if err != nil {
			return nil, err
		}
		add("webhook", hook)
	}
	if page.Email.Server != "" {
		mail, err := c.Mail(r.clock)
		if err != nil {
			return nil, err
		}
		add("email", mail)
	}
	if page.PagerDutyFile != "" {
		key, err := config.ReadSecretFile(c.Path(page.PagerDutyFile))
		if err != nil {
			return nil, err
		}
		address := page.PagerDutyURL
		if address == "" {
			address = "https://events.pagerduty.com/v2/enqueue"
		}
		add("pagerduty", &respond.PagerDuty{URL: address, Key: key, Client: client})
	}
	if page.SlackFile != "" {
		address, err := config.ReadSecretFile(c.Path(page.SlackFile))
		if err != nil {
			return nil, err
		}
		add("slack", &respond.Slack{URL: address, Client: client})
	}
	if len(p.senders) == 0 {
		return nil, nil
	}
	return p, nil
}

// logInTaker takes the log-in from somebody's roles at the server, and gives it back.
type logInTaker struct {
	c              *config.Config
	server         *upstream.Server
	user, password string
}

func (l *logInTaker) do(ctx context.Context, a *control.Answer) error {
	return l.alter(ctx, a.About, "NOLOGIN")
}

func (l *logInTaker) undo(ctx context.Context, a *control.Answer) error {
	return l.alter(ctx, a.About, "LOGIN")
}

func (l *logInTaker) alter(ctx context.Context, who sallyport.Staff, to string) error {
	roles, err := l.c.RolesOf(who)
	if err != nil {
		return err
	}
	config, err := entrance.As(l.server, l.c.Upstream.Database, l.user, l.password)
	if err != nil {
		return err
	}
	delete(config.RuntimeParams, "row_security")
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to %s as %s: %w", l.server.Address, l.user, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, role := range roles {
		if _, err := conn.Exec(ctx, "ALTER ROLE "+pgx.Identifier{role}.Sanitize()+" "+to); err != nil {
			return fmt.Errorf("set %s for role %s: %w", to, role, err)
		}
	}
	return nil
}

// providerTeller tells the identity provider's side of locks.
type providerTeller struct {
	hook  *respond.Webhook
	clock func() time.Time
}

func (p *providerTeller) do(ctx context.Context, a *control.Answer) error {
	return p.tell(ctx, a, "lock")
}

func (p *providerTeller) undo(ctx context.Context, a *control.Answer) error {
	return p.tell(ctx, a, "restore")
}

func (p *providerTeller) tell(ctx context.Context, a *control.Answer, what string) error {
	return p.hook.Send(ctx, &respond.Message{ID: a.ID + "-" + what, Event: what, Findings: []string{a.Finding}, Staff: []string{string(a.About)}, Acts: true, Time: p.clock()})
}

// run looks and answers until ctx ends.
func (x *detection) run(ctx context.Context, renew func() (*detecting, error)) {
	if x == nil {
		return
	}
	done := make(chan struct{}, 2)
	go func() { x.responding.tend(ctx); done <- struct{}{} }()
	go func() { x.feeds.run(ctx); done <- struct{}{} }()
	x.detecting.tend(ctx, renew)
	<-done
	<-done
}

// status is its part of `sallyport status`.
func (x *detection) status() []api.Standby {
	if x == nil {
		return []api.Standby{{What: "detects", How: "nobody looks for insiders (detect.off)"}}
	}
	out := append([]api.Standby{{What: "detects", How: x.detecting.status()}}, x.responding.status()...)
	if x.ignored != "" {
		out = append(out, api.Standby{What: "ignored", How: x.ignored})
	}
	return append(out, x.feeds.status()...)
}
