package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// feedKinds are what can be fed.
func feedKinds() []string {
	return []string{FeedTickets, FeedTicketEvents, FeedContacts, FeedJobs, FeedHR, FeedLogIns, FeedAlerts, FeedReports}
}

// fed tells whether a kind comes from another system, whichever way.
func (d *DetectConfig) fed(kind string) bool {
	return d.Feeds.Files()[kind] != "" || slices.Contains(d.Hook.Kinds, kind) || slices.ContainsFunc(d.SQL, func(q FeedQuery) bool { return q.Kind == kind })
}

// usualFeedEvery is how often another database is asked.
const usualFeedEvery = 30 * time.Second

// Pause is how often it is asked.
func (q *FeedQuery) Pause() (time.Duration, error) {
	if q.Every == "" {
		return usualFeedEvery, nil
	}
	d, err := time.ParseDuration(q.Every)
	if err != nil || d < time.Second {
		return 0, fmt.Errorf("%q; expected a length of time of a second or more, such as 1m", q.Every)
	}
	return d, nil
}

// checkFeeds holds what other systems tell detection to sense. Reports have a listener of their own, where they weigh nothing until the customer was asked.
func (d *DetectConfig) checkFeeds(r *Document, c *Config) {
	h := &d.Hook
	if h.Listen != "" {
		checkAddress(r, "detect.hook.listen", h.Listen)
		if h.Certificate == "" && !loopback(h.Listen) {
			r.problemAt("detect.hook.listen", "%s is no loopback address; expected one, or certificate and key", h.Listen)
		}
	}
	if (h.Listen == "") != (h.SecretFile == "") || (h.Listen == "") != (len(h.Kinds) == 0) {
		r.problemAt("detect.hook", "expected listen, secret_file and kinds, or none of them")
	}
	if (h.Certificate == "") != (h.Key == "") {
		r.problemAt("detect.hook.certificate", "expected certificate and key, or neither")
	}
	for i, kind := range h.Kinds {
		checkFeedKind(r, fmt.Sprintf("detect.hook.kinds[%d]", i), kind)
	}
	asked := map[string]bool{}
	for i := range d.SQL {
		q, at := &d.SQL[i], fmt.Sprintf("detect.sql[%d]", i)
		checkFeedKind(r, at+".kind", q.Kind)
		if asked[q.Kind] {
			r.problemAt(at+".kind", "%q is asked for twice; expected one query of each kind: UNION ALL makes one of two", q.Kind)
		}
		asked[q.Kind] = true
		if _, err := q.Pause(); err != nil {
			r.problemAt(at+".every", "%v", err)
		}
		if q.Query == "" {
			r.problemAt(at+".query", "no query; expected SELECT NUMBER, COLUMNS … WHERE NUMBER > $1 ORDER BY NUMBER LIMIT 500")
		}
		switch _, err := pgx.ParseConfig(q.DSN); {
		case q.DSN == "" || err != nil:
			r.problemAt(at+".dsn", "no address of a database; expected postgres://ROLE@HOST:PORT/DATABASE")
		case c.isProtected(q.DSN):
			r.problemAt(at+".dsn", "this is the protected database, which people write; expected purposes.ticket and purposes.contact for its tables")
		}
	}
}

func checkFeedKind(r *Document, path, kind string) {
	switch {
	case kind == FeedReports:
		r.problemAt(path, "reports come by section reports, where they weigh nothing until the customer was asked; expected another kind")
	case !slices.Contains(feedKinds(), kind):
		r.problemAt(path, "there is no kind %q; expected %s", kind, OneOf(kind, feedKinds()))
	}
}

// The kinds of facts that are fed.
const (
	FeedTickets      = "tickets"
	FeedTicketEvents = "ticket_events"
	FeedContacts     = "contacts"
	FeedJobs         = "jobs"
	FeedHR           = "hr"
	FeedLogIns       = "logins"
	FeedAlerts       = "alerts"
	FeedReports      = "reports"
)
