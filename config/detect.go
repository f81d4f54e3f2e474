package config

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/respond"
	"sallyport/staff"
)

// ParseBudget reads 12/year/1000: false alarms, in which time, for how many people.
func ParseBudget(s string) (float64, error) {
	parts := strings.Split(s, "/")
	wrong := Usagef("the budget %q; expected N/year/PEOPLE, as 12/year/1000", s)
	if len(parts) != 3 {
		return 0, wrong
	}
	days := map[string]float64{"day": 1, "week": 7, "month": 365. / 12, "year": 365}[strings.TrimSpace(parts[1])]
	alarms, errA := strconv.ParseFloat(strings.TrimSpace(parts[0]), 64)
	people, errP := strconv.ParseFloat(strings.TrimSpace(parts[2]), 64)
	if days == 0 || errA != nil || errP != nil || alarms <= 0 || people <= 0 || alarms/days/people >= 1 {
		return 0, wrong
	}
	return alarms / days / people, nil
}

// ReadIDs reads a file with one id a line.
func ReadIDs(name string) (map[sallyport.Subject]bool, error) {
	if name == "" {
		return map[sallyport.Subject]bool{}, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, Usagef("read ids of customers: %w", err)
	}
	ids := map[sallyport.Subject]bool{}
	for line := range strings.Lines(string(text)) {
		if id := strings.TrimSpace(line); id != "" && !strings.HasPrefix(id, "#") {
			ids[sallyport.Subject(id)] = true
		}
	}
	return ids, nil
}

// DetectConfig says how insiders are looked for while serve runs (docs/detection.md). Absent: as the program does by itself.
type DetectConfig struct {
	Off       bool        `yaml:"off"`       // nobody looks; not while Sallyport acts on findings
	Budget    string      `yaml:"budget"`    // false alarms that are bearable, as N/year/PEOPLE; empty: 12/year/1000
	Templates string      `yaml:"templates"` // YAML file of explanations; empty: the program's own
	Canaries  string      `yaml:"canaries"`  // file with the ids of customers who do not exist, one a line; mode 0600
	Watched   string      `yaml:"watched"`   // file with the ids of famous customers and colleagues, one a line
	Personnel bool        `yaml:"personnel"` // let what the personnel department says weigh: a little, never alone. People should be able to give notice without being watched for it
	Feeds     DetectFeeds `yaml:"feeds"`     // what other systems know: files that grow, JSON Lines or CSV (docs/respond.md)
	Hook      FeedHook    `yaml:"hook"`      // the same by signed messages; absent: none are taken
	SQL       []FeedQuery `yaml:"sql"`       // the same from other databases, which are asked for what is new
}

// FeedHook is where other systems send what they know.
type FeedHook struct {
	Listen      string   `yaml:"listen"`      // HOST:PORT for signed messages at /detect. Other than loopback addresses need a certificate
	Certificate string   `yaml:"certificate"` // PEM
	Key         string   `yaml:"key"`         // of that certificate
	SecretFile  string   `yaml:"secret_file"` // one line, mode 0600, of 32 characters or more: the key of the signature (HMAC-SHA-256)
	Kinds       []string `yaml:"kinds"`       // which of feeds may come by it: who has the secret can make up tickets and calls that explain what people look at
}

// FeedQuery is what another database is asked for one kind of feed.
type FeedQuery struct {
	Kind         string `yaml:"kind"`          // one of feeds
	DSN          string `yaml:"dsn"`           // postgres://ROLE@HOST:PORT/DATABASE?sslmode=verify-full, without a password; the role may only read
	PasswordFile string `yaml:"password_file"` // its password: one line, mode 0600
	Query        string `yaml:"query"`         // one SELECT of a number that grows and of the columns of the file of that kind, what is new since the number $1, in order: SELECT id, time, staff, severity, title FROM alerts WHERE id > $1 ORDER BY id LIMIT 500
	Every        string `yaml:"every"`         // such as 1m; empty: 30s
}

// DetectFeeds are files of what other systems know; each has the columns of the file of that kind for 'sallyport analyze'.
type DetectFeeds struct {
	Tickets      string `yaml:"tickets"`       // as they stood when they were opened
	TicketEvents string `yaml:"ticket_events"` // what happened to tickets
	Contacts     string `yaml:"contacts"`      // customers who got in touch, or whom somebody did
	Jobs         string `yaml:"jobs"`          // approved work on many customers
	HR           string `yaml:"hr"`            // what the personnel department says
	LogIns       string `yaml:"logins"`        // anywhere
	Alerts       string `yaml:"alerts"`        // of other tools
	Reports      string `yaml:"reports"`       // what customers tell of calls
}

// Files are those that there are, by kind.
func (d *DetectFeeds) Files() map[string]string {
	all := map[string]string{
		FeedTickets: d.Tickets, FeedTicketEvents: d.TicketEvents, FeedContacts: d.Contacts, FeedJobs: d.Jobs, FeedHR: d.HR, FeedLogIns: d.LogIns, FeedAlerts: d.Alerts, FeedReports: d.Reports,
	}
	maps.DeleteFunc(all, func(_, name string) bool { return name == "" })
	return all
}

// RespondConfig says what is done about findings (docs/respond.md). Absent: nothing is done, and the record says what would have been.
type RespondConfig struct {
	Mode     string          `yaml:"mode"`     // observe: only say what would have been done; act. Once it acts, two people turn that off. Empty: observe
	Ladder   string          `yaml:"ladder"`   // YAML file that says what is done from which odds on; empty: the program's own (sallyport respond ladder)
	Database RespondDatabase `yaml:"database"` // who takes the log-in from somebody's roles at the server when he is locked; absent: nobody
	Provider RespondHook     `yaml:"provider"` // the identity provider's side, which is told of locks; absent: it is not
	Page     PageConfig      `yaml:"page"`     // whom findings are told to; absent: nobody
}

// RespondDatabase is a role with CREATEROLE that may alter the roles of people.
type RespondDatabase struct {
	User         string `yaml:"user"`          // the role
	PasswordFile string `yaml:"password_file"` // one line; mode 0600
}

// RespondHook is an address that signed messages are sent to.
type RespondHook struct {
	URL        string `yaml:"url"`         // https://…; http only on this machine
	SecretFile string `yaml:"secret_file"` // one line, mode 0600: the key of the signature (HMAC-SHA-256)
}

// PageConfig is whom findings are told to, all of them. What is told never names a customer.
type PageConfig struct {
	Webhook       RespondHook `yaml:"webhook"`        // a signed message
	Email         PageEmail   `yaml:"email"`          // by SMTP with TLS
	PagerDutyFile string      `yaml:"pagerduty_file"` // file with the integration key of an Events API v2 service; mode 0600
	PagerDutyURL  string      `yaml:"pagerduty_url"`  // empty: https://events.pagerduty.com/v2/enqueue
	SlackFile     string      `yaml:"slack_file"`     // file with the address of an incoming webhook; mode 0600
	PerHour       int         `yaml:"per_hour"`       // messages an hour to each; what comes beyond comes together in one. 0: 12
}

// PageEmail is a mail server and who gets the mails.
type PageEmail struct {
	Server       string   `yaml:"server"`        // HOST:PORT; 465 begins with TLS, others must offer STARTTLS
	From         string   `yaml:"from"`          // sender's address
	To           []string `yaml:"to"`            // addresses
	User         string   `yaml:"user"`          // empty: without a log-in
	PasswordFile string   `yaml:"password_file"` // one line; mode 0600
	CA           string   `yaml:"ca"`            // PEM of who signs its certificate; empty: the system's authorities
}

// checkDetect holds both sections to sense.
func (c *Config) checkDetect(r *Document) {
	if b := c.Detect.Budget; b != "" {
		if _, err := ParseBudget(b); err != nil {
			r.problemAt("detect.budget", "%v", err)
		}
	}
	if m := c.Respond.Mode; m != "" && m != control.ModeAct && m != control.ModeObserve {
		r.problemAt("respond.mode", "there is no mode %q; expected %s or %s", m, control.ModeObserve, control.ModeAct)
	}
	if d := c.Respond.Database; (d.User == "") != (d.PasswordFile == "") {
		r.problemAt("respond.database", "expected user and password_file")
	} else if d.User != "" && d.User == c.Upstream.Reader.User {
		r.problemAt("respond.database.user", "the reader must not be able to alter roles; expected another role")
	}
	c.Detect.checkFeeds(r, c)
	checkHook(r, "respond.provider", c.Respond.Provider)
	checkHook(r, "respond.page.webhook", c.Respond.Page.Webhook)
	c.Respond.Page.check(r)
}

// check holds whom findings are told to to sense.
func (p *PageConfig) check(r *Document) {
	if p.PagerDutyURL != "" {
		checkHookAddress(r, "respond.page.pagerduty_url", p.PagerDutyURL)
	}
	if p.PerHour < 0 {
		r.problemAt("respond.page.per_hour", "%d; expected 1 or more, or 0 for the default", p.PerHour)
	}
	p.Email.check(r)
}

func (e *PageEmail) check(r *Document) {
	if e.Server == "" && (e.From != "" || len(e.To) > 0) {
		r.problemAt("respond.page.email", "no server; expected HOST:PORT")
	}
	if e.Server != "" {
		if _, _, err := net.SplitHostPort(e.Server); err != nil {
			r.problemAt("respond.page.email.server", "no address; expected HOST:PORT")
		}
		for _, a := range append([]string{e.From}, e.To...) {
			if !strings.Contains(a, "@") || strings.ContainsAny(a, " \r\n<>") {
				r.problemAt("respond.page.email", "expected from and to as plain addresses")
			}
		}
		if len(e.To) == 0 {
			r.problemAt("respond.page.email", "nobody gets the mails; expected to: [ADDRESS]")
		}
		if (e.User == "") != (e.PasswordFile == "") {
			r.problemAt("respond.page.email", "expected user and password_file, or neither")
		}
	}
}

func checkHook(r *Document, path string, h RespondHook) {
	if h == (RespondHook{}) {
		return
	}
	if h.SecretFile == "" {
		r.problemAt(path, "no secret_file; expected the file with the key of the signature")
	}
	checkHookAddress(r, path+".url", h.URL)
}

func checkHookAddress(r *Document, path, text string) {
	at, err := url.Parse(text)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http":
		r.problemAt(path, "no address that can be used; expected https://HOST/PATH")
	case at.User != nil:
		r.problemAt(path, "a password in the address; expected none: the signature says who sends it")
	case at.Scheme == "http" && !loopback(at.Host) && !loopback(at.Host+":80"):
		r.problemAt(path, "http to another machine; expected https")
	}
}

// DetectOptions are what the configuration means for detection.
func (c *Config) DetectOptions() (detect.Options, error) {
	d, desks := &c.Detect, c.Helpdesks()
	o := detect.Options{Personnel: d.Personnel, Known: detect.Sources{
		Staff: true, LogIns: true, Personnel: d.fed(FeedHR), Alerts: d.fed(FeedAlerts), Jobs: d.fed(FeedJobs) || desks.tells("job"),
		Tickets:      d.fed(FeedTickets) || c.Purposes.Ticket.Table != "" || desks.tells("ticket"),
		TicketEvents: d.fed(FeedTicketEvents) || c.Purposes.Ticket.Table != "" || desks.tells("ticket"),
		Contacts:     d.fed(FeedContacts) || c.Purposes.Contact.Table != "" || desks.tells("call"),
	}}
	var err error
	if d.Budget != "" {
		if o.Budget, err = ParseBudget(d.Budget); err != nil {
			return o, err
		}
	}
	if o.Canaries, err = ReadIDs(c.Path(d.Canaries)); err != nil {
		return o, err
	}
	if o.Watched, err = ReadIDs(c.Path(d.Watched)); err != nil {
		return o, err
	}
	if d.Templates != "" {
		text, err := os.ReadFile(c.Path(d.Templates))
		if err != nil {
			return o, Usagef("read templates: %w", err)
		}
		if o.Templates, err = detect.ParseTemplates(text); err != nil {
			return o, Usagef("%s: %w", d.Templates, err)
		}
	}
	return o, nil
}

// Ladder is what is done from which odds on.
func (c *Config) Ladder() (respond.Ladder, error) {
	if c.Respond.Ladder == "" {
		return respond.DefaultLadder()
	}
	text, err := os.ReadFile(c.Path(c.Respond.Ladder))
	if err != nil {
		return respond.Ladder{}, Usagef("read the ladder: %w", err)
	}
	l, err := respond.ParseLadder(text)
	if err != nil {
		return l, Usagef("%s: %w", c.Respond.Ladder, err)
	}
	return l, nil
}

// Employees are the staff as detection knows them, in the order of their ids.
func (c *Config) Employees(roster *staff.Roster) []sallyport.Employee {
	var list []sallyport.Employee
	for _, id := range slices.Sorted(maps.Keys(roster.People)) {
		p := roster.People[id]
		e := sallyport.Employee{ID: id, Name: p.Name, Team: p.Place.Team, Role: p.Place.Role, Manager: p.Manager}
		own := c.People[string(id)]
		if own.Timezone != "" {
			e.Zone, _ = own.zone() // that it makes sense was checked
		}
		if s, err := own.hours(); err == nil && s != nil {
			e.Shift = [2]int{s.from, s.to}
		}
		list = append(list, e)
	}
	for _, id := range c.ServiceIDs() {
		list = append(list, sallyport.Employee{ID: id, Name: string(id), Team: c.Services[string(id)].Team, Service: true})
	}
	return list
}

// Owners are whose each log-in is by the configuration; one that is nobody's is a person of that name.
func (c *Config) Owners() func(string) sallyport.Staff {
	of := map[string]sallyport.Staff{}
	for id, p := range c.People {
		for _, login := range p.Logins {
			of[login] = sallyport.Staff(id)
		}
	}
	for id, s := range c.Services {
		for _, login := range s.Logins {
			of[login] = sallyport.Staff(id)
		}
	}
	return func(login string) sallyport.Staff {
		if who, ok := of[login]; ok {
			return who
		}
		return sallyport.Staff(login)
	}
}

// RolesOf are somebody's log-ins at the server.
func (c *Config) RolesOf(who sallyport.Staff) ([]string, error) {
	if p, ok := c.People[string(who)]; ok {
		return p.Logins, nil
	}
	if s, ok := c.Services[string(who)]; ok {
		return s.Logins, nil
	}
	return nil, fmt.Errorf("find the roles of %s: the configuration does not know him", who)
}

// Mail makes the sender of mails.
func (c *Config) Mail(clock func() time.Time) (*respond.Email, error) {
	e := &c.Respond.Page.Email
	mail := &respond.Email{Server: e.Server, From: e.From, To: e.To, User: e.User, TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Now: clock}
	var err error
	if e.PasswordFile != "" {
		if mail.Password, err = ReadSecretFile(c.Path(e.PasswordFile)); err != nil {
			return nil, err
		}
	}
	if e.CA != "" {
		if mail.TLS.RootCAs, err = ReadRoots(c.Path(e.CA)); err != nil {
			return nil, fmt.Errorf("read the authority of the mail server: %w", err)
		}
	}
	return mail, nil
}
