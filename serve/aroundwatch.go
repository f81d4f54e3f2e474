package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/lease"
)

// Ways around the gateway are looked for while it serves.
const (
	watchEvery = 30 * time.Second
	// settling is how long a session of the gateway's may take between its log-in and the gateway's knowing it, or between
	// its end here and its end there.
	settling = 200 * time.Millisecond
	// lookAround is short: meanwhile the catalogue is not looked at.
	lookAround = 2 * time.Second
	mostTold   = 50 // new ways at one look; of more it is told how many
)

// stranger is a session that the gateway did not open.
type stranger struct {
	pid                             uint32
	login, application, from, began string
	told                            bool // the server says that it is a client; else it may be a worker of one
}

// sessions are those in the protected database that the gateway did not open. They are looked at twice, since sessions that
// begin or end are seen on one side before the other.
func (a *Surroundings) sessions(ctx context.Context) ([]Detour, error) {
	if a.owns == nil {
		return nil, nil
	}
	before, err := a.strangers(ctx)
	if err != nil || len(before) == 0 {
		a.doubted = nil
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("look at sessions: %w", ctx.Err())
	case <-time.After(settling):
	}
	now, err := a.strangers(ctx)
	if err != nil {
		return nil, err
	}
	var out []Detour
	doubted := map[string]bool{}
	for key, s := range now {
		if _, twice := before[key]; !twice {
			continue
		}
		if !s.told && !a.doubted[key] {
			doubted[key] = true // a worker is gone by the next look
			continue
		}
		doubted[key] = true
		out = append(out, Detour{
			Kind: "session", Todo: true, What: s.says(), Next: "Ask who that is; SELECT pg_terminate_backend(…) ends it.",
			who: sallyport.Who{Login: s.login, Application: s.application, Address: s.from, Database: a.Config.Upstream.Database},
		})
	}
	a.doubted = doubted
	return out, nil
}

// says tells of one, without what the server hides.
func (s *stranger) says() string {
	what := fmt.Sprintf("role %s has a session around the gateway, process %d", s.login, s.pid)
	if s.from != "" {
		what += " from " + s.from
	}
	if s.began != "" {
		what += ", since " + s.began
	}
	return what
}

// strangers are the sessions that are neither the gateway's nor Sallyport's own. Without pg_read_all_stats the server hides
// where a session comes from and whether it is a client's; a began that is hidden is empty, and the process alone tells.
func (a *Surroundings) strangers(ctx context.Context) (map[string]stranger, error) {
	rows, err := a.Conn.Query(ctx, `SELECT s.pid, coalesce(s.usename::text, ''), coalesce(s.application_name, ''), coalesce(pg_catalog.host(s.client_addr), ''),
			coalesce(pg_catalog.to_char(s.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''), s.backend_type IS NOT NULL
		FROM pg_catalog.pg_stat_activity s, (SELECT client_addr FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()) me
		WHERE s.datname = pg_catalog.current_database() AND s.usename IS NOT NULL AND coalesce(s.backend_type, 'client backend') = 'client backend'
			AND s.pid <> pg_catalog.pg_backend_pid()
			AND NOT (s.usename = $1 AND s.application_name = 'sallyport' AND s.client_addr IS NOT DISTINCT FROM me.client_addr)`, a.Config.Upstream.Reader.User)
	if err != nil {
		return nil, fmt.Errorf("look at sessions: %w", err)
	}
	found := map[string]stranger{}
	var s stranger
	_, err = pgx.ForEachRow(rows, []any{&s.pid, &s.login, &s.application, &s.from, &s.began, &s.told}, func() error {
		found[fmt.Sprintf("%d %s %s", s.pid, s.login, s.began)] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at sessions: %w", err)
	}
	own := a.owns()
	for key, s := range found {
		if own.holds(&s, a.Config.Upstream.Reader.User) {
			delete(found, key)
		}
	}
	return found, nil
}

// around tells of ways that were not there at the look before, in the log and on record.
func (g *guard) around(ctx context.Context) error {
	if g.catalog == nil && g.s.Hub == nil || g.s.O.Observe != nil || g.conn == nil || g.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookAround)
	defer cancel()
	if g.ways == nil {
		g.ways = &Surroundings{Config: g.s.O.Config, owns: g.s.owns, listed: g.s.staffing.owns}
	}
	g.ways.Conn = g.conn
	all, err := g.ways.Look(ctx)
	if err != nil {
		return err
	}
	now := make(map[string]bool, len(all))
	told := 0
	for _, w := range all {
		now[w.What] = true
		if g.wayKnown[w.What] {
			continue
		}
		if told++; told <= mostTold {
			g.tell(w.What, w)
		}
	}
	if told > mostTold {
		g.tell(fmt.Sprintf("and %d more ways around the gateway: sallyport check lists them", told-mostTold), Detour{Kind: "more"})
	}
	g.wayKnown = now
	return nil
}

func (g *guard) tell(what string, w Detour) {
	g.s.log.Warn("a way around the gateway", "kind", w.Kind, "what", what, "next", w.Next)
	_, _ = g.s.AccessStream.Enqueue(&sallyport.Event{Kind: sallyport.AroundKind, Time: g.s.O.Clock(), Who: w.who, Note: what}) // what is refused is counted and told of by the stream
}

// ownSessions are those in the database that belong to gateways.
type ownSessions struct {
	backends  map[uint32]bool // the server's processes of clients' sessions
	addresses []string        // where gateways come from that said which are theirs: of these only the reader's are theirs besides
	away      []string        // where gateways come from that cannot be asked: nobody can tell which of the sessions are theirs
}

// holds tells whether a session is a gateway's, or may be one's that cannot be asked.
func (o *ownSessions) holds(s *stranger, reader string) bool {
	return o.backends[s.pid] || slices.Contains(o.away, s.from) ||
		s.login == reader && s.application == "sallyport" && slices.Contains(o.addresses, s.from)
}

// owns are the sessions of this gateway, or of a controller's.
func (s *Server) owns() *ownSessions {
	if s.Hub != nil {
		return s.Hub.owns()
	}
	return &ownSessions{backends: s.backends()}
}

// censusWithin is how long gateways may take to say which sessions are theirs.
const censusWithin = 500 * time.Millisecond

// sighting is from where and when a gateway last said which sessions are its own.
type sighting struct {
	address string
	when    time.Time
}

// awayFor is how long sessions from the address of a gateway that does not answer are taken for its own. By then it has come back, or they
// are told of: without its controller it shows nothing anyway.
const awayFor = time.Minute

// owns asks all gateways.
func (h *hub) owns() *ownSessions {
	ctx, cancel := context.WithTimeout(context.Background(), censusWithin)
	defer cancel()
	answers, missing := h.Census(ctx)
	o := &ownSessions{backends: map[uint32]bool{}}
	for name, a := range answers {
		h.seenAt[name] = sighting{a.Address, time.Now()}
		o.addresses = append(o.addresses, a.Address)
		for _, pid := range a.Backends {
			o.backends[pid] = true
		}
	}
	for _, name := range missing {
		if seen, ok := h.seenAt[name]; ok && time.Since(seen.when) < awayFor {
			o.away = append(o.away, seen.address)
		}
	}
	return o
}

// census tells the controller which sessions are this gateway's.
func (s *Server) census() lease.Census {
	pids := s.backends()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := lease.Census{Known: s.gateway != nil, Address: s.link.address, Backends: slices.Collect(maps.Keys(pids))}
	if c.Known {
		c.Serves, c.Shows, c.Keys = s.serves(), s.shows(), s.worksBy()
	}
	if s.shares != nil {
		c.Missing = s.shares.Missing()
	}
	return c
}

// whence asks the database where this gateway comes from.
func (g *guard) whence(ctx context.Context) error {
	if g.s.link == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	var address string
	if err := g.conn.QueryRow(ctx, "SELECT coalesce(pg_catalog.host(pg_catalog.inet_client_addr()), '')").Scan(&address); err != nil {
		return fmt.Errorf("ask where the database sees this gateway come from: %w", err)
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	g.s.link.address = address
	return nil
}

// backends are the processes of the server that belong to the gateway's sessions.
func (s *Server) backends() map[uint32]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gateway == nil {
		return nil
	}
	return s.gateway.Backends()
}
