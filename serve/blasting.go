package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/blast"
	"sallyport/config"
	"sallyport/detect"
	"sallyport/history"
	"sallyport/record"
)

// Day is a time for people; the beginning where there is none.
func Day(t time.Time) string {
	if t.IsZero() {
		return "the beginning"
	}
	return t.Format(time.RFC3339)
}

// RadiusLine is what `sallyport blast --json` prints.
type RadiusLine struct {
	Staff     sallyport.Staff         `json:"staff"`
	Finding   string                  `json:"finding,omitempty"` // whose start it is
	Since     time.Time               `json:"since,omitzero"`    // estimated start
	SinceLow  time.Time               `json:"since_low,omitzero"`
	SinceHigh time.Time               `json:"since_high,omitzero"`
	From      time.Time               `json:"from,omitzero"` // what was before does not count
	Entries   [2]uint64               `json:"entries"`       // of the access stream, that were read
	Sessions  int                     `json:"sessions"`
	Customers radiusCounts            `json:"customers"`
	Fields    map[string]int          `json:"fields"`   // schema.table.column → customers of whom it was certainly readable
	Nameless  map[string]int          `json:"nameless"` // values of which nobody knows whose they are
	Countries map[string]radiusCounts `json:"countries,omitempty"`
	Segments  map[string]segmentLine  `json:"segments,omitempty"`
	Columns   map[string]string       `json:"columns"` // protected ones that were touched → how surely they were readable
	Tables    []string                `json:"tables"`  // that were touched
	Untouched untouchedLine           `json:"untouched"`
	Limits    []string                `json:"limits"` // what could not be seen
	List      []ExposedLine           `json:"list"`   // unexplained first
	More      int                     `json:"more"`   // that are not in the list
}

type radiusCounts struct {
	Certain     int `json:"certain"`
	Likely      int `json:"likely"`
	Possible    int `json:"possible"`
	Unexplained int `json:"unexplained"` // of all these
	Early       int `json:"early"`       // of all these, first between the early end of the interval and the estimated start
}

func (c *radiusCounts) add(x *blast.Customer, start time.Time) {
	switch x.Certainty {
	case blast.Certain:
		c.Certain++
	case blast.Likely:
		c.Likely++
	case blast.Possible:
		c.Possible++
	}
	if x.Unexplained {
		c.Unexplained++
	}
	if x.First.Before(start) {
		c.Early++
	}
}

type segmentLine struct {
	radiusCounts
	Touched bool `json:"touched"`
	Sure    bool `json:"sure"` // that it was not
}

type untouchedLine struct {
	Columns  []string `json:"columns"`
	Tables   []string `json:"tables"`
	Sure     bool     `json:"sure"` // of tables
	Segments []string `json:"segments"`
}

// ExposedLine is one customer of a blast radius as it is printed.
type ExposedLine struct {
	Customer    sallyport.Subject `json:"customer"`
	Certainty   string            `json:"certainty"`
	Unexplained bool              `json:"unexplained"`
	Fields      []string          `json:"fields"`
	Maybe       []string          `json:"maybe,omitempty"`
	Country     string            `json:"country,omitempty"`
	First       time.Time         `json:"first"`
	Last        time.Time         `json:"last"`
	Entries     []uint64          `json:"entries"`
}

// shownCustomers are in an answer to one person; the whole list takes two.
const shownCustomers = 20

// radius answers what somebody's access came to.
func (s *Server) radius(ctx context.Context, who sallyport.Staff, since time.Time, whole bool) (json.RawMessage, error) {
	line, err := s.blastRadius(ctx, who, since)
	if err != nil {
		return nil, err
	}
	if n := len(line.List); !whole && n > shownCustomers {
		line.List, line.More = line.List[:shownCustomers], n-shownCustomers
	}
	text, err := json.Marshal(line)
	if err != nil {
		return nil, fmt.Errorf("write what somebody's access came to: %w", err)
	}
	return text, nil
}

func (s *Server) blastRadius(ctx context.Context, who sallyport.Staff, since time.Time) (*RadiusLine, error) {
	line := &RadiusLine{Staff: sallyport.Staff(s.Names.Person(who)), From: since, Fields: map[string]int{}, Columns: map[string]string{}}
	s.startOf(who, line)
	if since.IsZero() {
		line.From = line.SinceLow
	}
	found, err := s.searchRadius(ctx, s.past(), who, line.From)
	if err != nil {
		return nil, err
	}
	traits, err := s.traits(ctx, found)
	if err != nil {
		return nil, err
	}
	line.fill(found, traits, &s.O.Config.Blast)
	return line, nil
}

// startOf is the start that detection estimates, of the first finding about somebody.
func (s *Server) startOf(who sallyport.Staff, line *RadiusLine) {
	for _, f := range s.State.Findings() {
		var x detect.Finding
		if json.Unmarshal(f.JSON, &x) != nil || x.Kind == separationKind || !slices.Contains(x.Staff, who) {
			continue
		}
		if line.Since.IsZero() || x.Since.Before(line.Since) {
			line.Finding, line.Since, line.SinceLow, line.SinceHigh = api.Pseudonymous(f.ID, f.About, s.Names.Person(f.About)), x.Since, x.SinceLow, x.SinceHigh
		}
	}
}

// searchRadius asks history which entries concern him and reads those, and a second time those where values that he was shown stand in others' rows.
// Without history it reads all of the access stream.
func (s *Server) searchRadius(ctx context.Context, past *history.Past, who sallyport.Staff, from time.Time) (*blast.Radius, error) {
	c := s.O.Config
	his := c.AccountsOf(who)
	search := blast.New(blast.Question{Staff: his, From: from, Tells: c.Identifies, Program: c.IsProgram, HeldBy: c.Owners()})
	last := s.AccessStream.Last()
	reasons, err := s.reasonsOf(ctx, past, his, last)
	if err != nil {
		return nil, err
	}
	found, err := past.Find(ctx, history.Wanted{Staff: his, Facts: true, Purposes: reasons})
	if err != nil {
		return nil, err
	}
	search.Know(found.Tables)
	wanted := found.Wanted()
	err = s.pick(ctx, 1, last, func(seq uint64) bool { return wanted(seq) || !search.Begun() }, func(seq uint64, e *sallyport.Event) {
		if e == nil {
			search.Pass(seq)
		} else {
			search.Add(e)
		}
	})
	if err == nil && search.Twice() {
		err = s.searchAgain(ctx, past, search, last)
	}
	if err != nil {
		return nil, err
	}
	erased, err := s.erasedEntries(s.AccessStream.ID())
	if err != nil {
		return nil, err
	}
	return search.Result(slices.Collect(maps.Keys(c.Protect.Columns)), erased), nil
}

// reasonsOf are the tickets that somebody wrote facts about: colleagues may have looked by them.
func (s *Server) reasonsOf(ctx context.Context, past *history.Past, his []sallyport.Staff, last uint64) (reasons []string, err error) {
	found, err := past.Find(ctx, history.Wanted{FactsOf: his})
	if err != nil || found.To == 0 || len(found.Entries) == 0 {
		return nil, err // without history all is read in any case
	}
	tickets := map[string]bool{}
	wanted := found.Wanted()
	err = s.pick(ctx, found.Entries[0], min(last, found.To), wanted, func(_ uint64, e *sallyport.Event) {
		if e == nil {
			return
		}
		for _, f := range e.Facts {
			tickets["ticket:"+f.ID] = true
		}
	})
	return slices.Sorted(maps.Keys(tickets)), err
}

// searchAgain reads entries once more in which values that he was shown may stand under others.
func (s *Server) searchAgain(ctx context.Context, past *history.Past, search *blast.Search, last uint64) error {
	var shown []history.Shown
	for d, under := range search.Shown() {
		shown = append(shown, history.Shown{Digest: d, Under: under})
	}
	found, err := past.Find(ctx, history.Wanted{Shown: shown})
	if err != nil || found.From == 1 && found.To >= last && len(found.Entries) == 0 {
		return err
	}
	return s.pick(ctx, 1, last, found.Wanted(), func(_ uint64, e *sallyport.Event) {
		if e != nil {
			search.Again(e)
		}
	})
}

// pick reads wanted entries of the access stream from one to another, and names the others.
func (s *Server) pick(ctx context.Context, from, last uint64, wanted func(uint64) bool, fn func(uint64, *sallyport.Event)) error {
	err := s.AccessStream.Pick(from, wanted, func(seq uint64, e *sallyport.Event) error {
		if seq > last {
			return record.ErrEnough
		}
		fn(seq, e)
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read what somebody was shown: %w", err)
	}
	return nil
}

// past is the access stream with history, where there is one.
func (s *Server) past() *history.Past {
	p := &history.Past{Record: s.AccessStream, Tells: s.O.Config.Identifies}
	if s.history != nil {
		p.Lend = s.history.Lend
	}
	return p
}

// erasedEntries counts what was erased of a stream, by the lists on record.
func (s *Server) erasedEntries(id string) (n uint64, err error) {
	err = s.ControlStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind == sallyport.Erasing && e.Order != nil && e.Order.Erased != nil && e.Order.Erased.Record == id {
			n += e.Order.Erased.Count
		}
		return nil
	})
	return n, err
}

// trait is what the database says of a customer.
type trait struct {
	country  string
	segments map[string]bool
}

// traits asks the database about customers, as it stands now.
func (s *Server) traits(ctx context.Context, r *blast.Radius) (map[sallyport.Subject]trait, error) {
	c := s.O.Config
	columns := c.Blast.Columns()
	if len(columns) == 0 || len(r.Customers) == 0 {
		return nil, nil
	}
	conn, err := s.asReader(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the database about customers: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // it only read
	table := c.Protect.Customer.Named()
	name := pgx.Identifier{table.Schema, table.Name}.Sanitize()
	key := pgx.Identifier{c.Protect.Customer.Key}.Sanitize()
	var kind string
	err = conn.QueryRow(ctx, "SELECT format_type(atttypid, NULL) FROM pg_catalog.pg_attribute WHERE attrelid = $1::pg_catalog.regclass AND attname = $2", name, c.Protect.Customer.Key).Scan(&kind)
	if err != nil {
		return nil, fmt.Errorf("ask the database about customers: %w", err)
	}
	wanted := []string{key + "::text"}
	for _, column := range columns {
		wanted = append(wanted, "coalesce("+pgx.Identifier{column}.Sanitize()+"::text, '')")
	}
	sql := "SELECT " + strings.Join(wanted, ", ") + " FROM " + name + " WHERE " + key + " = ANY($1::text[]::" + kind + "[])"
	out := map[sallyport.Subject]trait{}
	for part := range slices.Chunk(r.Customers, 10_000) {
		keys := make([]string, len(part))
		for i := range part {
			keys[i] = string(part[i].Subject)
		}
		if err := askTraits(&c.Blast, ctx, conn, sql, keys, columns, out); err != nil {
			return nil, fmt.Errorf("ask the database about customers: %w", err)
		}
	}
	return out, nil
}

// askTraits adds to what is known of customers what one query of the section says of them.
func askTraits(b *config.BlastConfig, ctx context.Context, conn *pgx.Conn, sql string, keys, columns []string, out map[sallyport.Subject]trait) error {
	rows, err := conn.Query(ctx, sql, pgx.QueryExecModeExec, keys)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		texts := make([]string, len(columns)+1)
		into := make([]any, len(texts))
		for i := range texts {
			into[i] = &texts[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		t := trait{segments: map[string]bool{}}
		for i, column := range columns {
			if column == b.Country {
				t.country = texts[i+1]
			}
			for name, s := range b.Segments {
				if s.Column == column && slices.Contains(s.Values, texts[i+1]) {
					t.segments[name] = true
				}
			}
		}
		out[sallyport.Subject(texts[0])] = t
	}
	return rows.Err()
}

// unknownCountry is of whom the database has none, or who is not there any more.
const unknownCountry = "unknown"

// fill writes what was found.
func (line *RadiusLine) fill(r *blast.Radius, traits map[sallyport.Subject]trait, b *config.BlastConfig) {
	line.Entries, line.Sessions, line.Nameless, line.Limits = r.Entries, r.Sessions, r.Nameless, r.Limits
	if b.Country != "" {
		line.Countries = map[string]radiusCounts{}
	}
	line.Segments = map[string]segmentLine{}
	for name := range b.Segments {
		line.Segments[name] = segmentLine{Sure: true}
	}
	line.List = []ExposedLine{}
	for i := range r.Customers {
		line.customer(&r.Customers[i], traits[r.Customers[i].Subject], b)
	}
	for name, c := range r.Columns {
		line.Columns[name] = c.String()
	}
	line.Tables = slices.Sorted(maps.Keys(r.Tables))
	line.Untouched = untouchedLine{Columns: r.Untouched.Columns, Tables: r.Untouched.Tables, Sure: r.Untouched.Sure, Segments: []string{}}
	for _, name := range slices.Sorted(maps.Keys(b.Segments)) {
		x := line.Segments[name]
		if tables := b.Segments[name].Tables; len(tables) > 0 {
			x.Touched, x.Sure = slices.ContainsFunc(tables, func(t string) bool { return r.Tables[t] }), r.Untouched.Sure
		} else {
			x.Touched = x.Certain+x.Likely+x.Possible > 0
			x.Sure = len(r.Limits) == 0 && len(r.Nameless) == 0
		}
		line.Segments[name] = x
		if !x.Touched {
			line.Untouched.Segments = append(line.Untouched.Segments, name)
		}
	}
	if line.Limits == nil {
		line.Limits = []string{}
	}
}

func (line *RadiusLine) customer(x *blast.Customer, t trait, b *config.BlastConfig) {
	line.Customers.add(x, line.Since)
	if x.Certainty == blast.Certain {
		for _, f := range x.Fields {
			line.Fields[f]++
		}
	}
	if b.Country != "" {
		t.country = cmp.Or(t.country, unknownCountry)
		n := line.Countries[t.country]
		n.add(x, line.Since)
		line.Countries[t.country] = n
	}
	for name := range t.segments {
		n := line.Segments[name]
		n.add(x, line.Since)
		line.Segments[name] = n
	}
	line.List = append(line.List, ExposedLine{x.Subject, x.Certainty.String(), x.Unexplained, x.Fields, x.Maybe, t.country, x.First, x.Last, x.Entries})
}
