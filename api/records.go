package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport"
	"sallyport/history"
	"sallyport/record"
)

// The streams, as they are asked for.
const (
	accessStream  = "access"
	controlStream = "control"
)

// RecordLine is an entry of the record as whoever browses it may see it: people by pseudonym, no customer, and of an order neither whom it is about
// nor its reason, since these are told where they belong (findings, cases, proposals).
type RecordLine struct {
	Stream      string    `json:"stream"`
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Kind        string    `json:"kind"`
	Person      string    `json:"person,omitempty"`
	Via         string    `json:"via,omitempty"`
	Application string    `json:"application,omitempty"`
	Verb        string    `json:"verb,omitempty"`
	Columns     []string  `json:"columns,omitempty"`
	Purposes    []string  `json:"purposes,omitempty"`
	Customers   int       `json:"customers,omitempty"` // distinct ones that it names
	Refused     string    `json:"refused,omitempty"`   // code
	By          string    `json:"by,omitempty"`        // of an order: who gave it, in his office
	Action      string    `json:"action,omitempty"`
	ID          string    `json:"id,omitempty"`   // of a proposal or a grant
	Note        string    `json:"note,omitempty"` // what an investigator asked
}

// RecordLines are entries, the newest first.
type RecordLines struct {
	Lines   []RecordLine `json:"lines"`
	Before  uint64       `json:"before,omitempty"` // ask on from here; 0: there is nothing before
	Scanned int          `json:"scanned"`          // entries that were looked at
	Last    uint64       `json:"last"`             // the newest entry of the stream
}

// Proven says that an entry stands in the ledger, by hashes alone: what it says stays where it is.
type Proven struct {
	Event      string   `json:"event"`
	Leaf       uint64   `json:"leaf"`
	LeafHash   string   `json:"leaf_hash"` // RFC 6962
	Size       uint64   `json:"size"`      // of the ledger under the checkpoint
	Inclusion  []string `json:"inclusion"`
	Checkpoint string   `json:"checkpoint"` // the signed note
	Key        string   `json:"key"`        // that verifies it
	Cosigned   bool     `json:"cosigned"`   // a witness has signed it, too
}

// recordQuery is what somebody looks for.
type recordQuery struct {
	stream, kind, person string
	customer             sallyport.Subject
	before               uint64
	most                 int
	window               int // entries that are looked at at most
}

// The bounds of one look.
const (
	mostLines   = 200
	mostScanned = 50_000
	scanStep    = 2000
	firstStep   = 8 // entries looked at first for each line that is wanted: mostly they are enough
)

func (s *Server) recordRoutes(mux *http.ServeMux) {
	mux.Handle("GET /v1/record", s.as(investigators, s.searchRecord))
	mux.Handle("GET /v1/record/{stream}/{seq}", s.as(investigators, s.showEntry))
	mux.Handle("GET /v1/record/{stream}/{seq}/proof", s.as(investigators, s.proveEntry))
}

// searchRecord looks through a stream from its end. That somebody does is recorded first.
func (s *Server) searchRecord(r *http.Request, me sallyport.Staff) (any, error) {
	v := r.URL.Query()
	q := recordQuery{stream: v.Get("stream"), kind: v.Get("kind"), person: v.Get("person"), customer: sallyport.Subject(v.Get("customer")), most: 50, window: mostScanned}
	var err error
	if before := v.Get("before"); before != "" {
		q.before, err = strconv.ParseUint(before, 10, 64)
	}
	if n := v.Get("most"); n != "" && err == nil {
		q.most, err = strconv.Atoi(n)
	}
	if err != nil || q.most < 1 || q.most > mostLines || len(q.customer) > 200 || len(q.person) > 200 || len(q.kind) > 40 || q.streamOf(s) == nil {
		return nil, &Problem{http.StatusBadRequest, "bad_request", "This is no search of the record.", "Give ?stream=access or control, and kind, person (a pseudonym), customer, before (an entry), most (up to 200)."}
	}
	note := "looked through the record (" + q.stream + ")"
	if q.customer != "" {
		note += " for customer " + string(q.customer)
	}
	if err := s.asked(me, "record", q.stream, note); err != nil {
		return nil, err
	}
	return s.lines(q, me)
}

func (q *recordQuery) streamOf(s *Server) *record.Stream {
	switch q.stream {
	case accessStream:
		return s.c.Access
	case controlStream:
		return s.c.Orders.stream
	}
	return nil
}

// lines looks through a stream backwards, a step at a time.
func (s *Server) lines(q recordQuery, me sallyport.Staff) (RecordLines, error) {
	stream := q.streamOf(s)
	out := RecordLines{Lines: []RecordLine{}, Last: stream.Last()}
	end := out.Last + 1
	if q.before > 0 && q.before < end {
		end = q.before
	}
	see := s.seer(q.stream, me)
	for size := min(scanStep, firstStep*q.most); end > 1 && out.Scanned < q.window && len(out.Lines) < q.most; size = scanStep {
		begin := max(1, int64(end)-int64(size))                 //nolint:gosec // a sequence
		step, err := q.between(stream, uint64(begin), end, see) //nolint:gosec // at least 1
		if err != nil {
			return out, err
		}
		slices.Reverse(step)
		out.Scanned += int(end) - int(begin) //nolint:gosec // at most scanStep
		if left := q.most - len(out.Lines); len(step) > left {
			step = step[:left]
			begin = int64(step[left-1].Seq) //nolint:gosec // a sequence
		}
		out.Lines = append(out.Lines, step...)
		end = uint64(begin) //nolint:gosec // at least 1
	}
	if end > 1 {
		out.Before = end
	}
	return out, nil
}

// between are the lines wanted of entries from begin on and before end, the oldest first.
func (q *recordQuery) between(stream *record.Stream, begin, end uint64, see func(*sallyport.Event) (RecordLine, bool)) (step []RecordLine, err error) {
	err = stream.Read(begin, func(e *sallyport.Event) error {
		if e.Seq >= end {
			return record.ErrEnough
		}
		if q.kind != "" && q.kind != string(e.Kind) {
			return nil // what it says of whom need not be found out
		}
		if line, ok := see(e); ok && q.wants(e, &line) {
			step = append(step, line)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look through the record: %w", err)
	}
	return step, nil
}

// wants tells whether an entry is one that is looked for.
func (q *recordQuery) wants(e *sallyport.Event, line *RecordLine) bool {
	return (q.kind == "" || q.kind == line.Kind) && (q.person == "" || q.person == line.Person) && (q.customer == "" || namesCustomer(e, q.customer))
}

// namesCustomer tells whether an entry names a customer.
func namesCustomer(e *sallyport.Event, customer sallyport.Subject) bool {
	return customersOf(e)[customer]
}

// customersOf are those that an entry names.
func customersOf(e *sallyport.Event) map[sallyport.Subject]bool {
	set := map[sallyport.Subject]bool{}
	if e.Reveal != nil {
		for v := range e.Reveal.Values.All() {
			if v.Subject != "" {
				set[v.Subject] = true
			}
		}
	}
	if e.Touch != nil {
		for _, c := range e.Touch.Reached {
			set[c] = true
		}
	}
	if e.Statement != nil {
		for _, c := range e.Statement.Covers {
			set[c] = true
		}
	}
	for _, f := range e.Facts {
		if f.Customer != "" {
			set[f.Customer] = true
		}
	}
	return set
}

// seer makes lines of entries, as somebody may see them; ok is false for what he may not know of.
func (s *Server) seer(stream string, me sallyport.Staff) func(*sallyport.Event) (RecordLine, bool) {
	shown := s.shownTo(me)
	if stream == controlStream {
		return func(e *sallyport.Event) (RecordLine, bool) { return s.orderLine(e, me) }
	}
	return func(e *sallyport.Event) (RecordLine, bool) {
		x := &history.Sighting{Staff: e.Who.Staff, Login: e.Who.Login, Application: e.Who.Application}
		purposes := []sallyport.Purpose(nil)
		line := RecordLine{Stream: stream, Seq: e.Seq, Time: e.Time, Kind: string(e.Kind), Via: string(e.Who.Via), Customers: len(customersOf(e))}
		columns := []sallyport.Column(nil)
		switch {
		case e.Statement != nil:
			line.Verb, line.Refused, columns, purposes = e.Statement.Verb, e.Statement.Refused, e.Statement.Columns, e.Statement.Purposes
		case e.Reveal != nil:
			columns, purposes = e.Reveal.Columns, e.Reveal.Purposes
		}
		for _, c := range columns {
			line.Columns = append(line.Columns, history.ColumnName(c))
		}
		for _, p := range purposes {
			x.Purposes = append(x.Purposes, p.String())
		}
		s.c.Names.Mask([]*history.Sighting{x}, shown)
		line.Person, line.Application, line.Purposes = string(x.Staff), x.Application, x.Purposes
		return line, true
	}
}

// orderLine is an entry of the control stream. What is about whoever asks, or of a case that he may not see, is not there for him.
func (s *Server) orderLine(e *sallyport.Event, me sallyport.Staff) (RecordLine, bool) {
	line := RecordLine{Stream: controlStream, Seq: e.Seq, Time: e.Time, Kind: string(e.Kind)}
	o := e.Order
	if o == nil {
		return line, true
	}
	if o.About == me && o.By != me || slices.Contains(o.Subjects, me) || o.Case != nil && !s.seesCase(o.Case.Case, me) {
		return line, false
	}
	switch e.Kind {
	case sallyport.FindingKind, sallyport.ResponseKind, sallyport.Trusted, sallyport.InputKind, sallyport.CanaryPlanted:
		return line, true // what they say is told elsewhere, to whom it concerns
	case sallyport.Proposed, sallyport.Approved, sallyport.Declined, sallyport.Requested, sallyport.GrantEnded, sallyport.GlassBroken, sallyport.GlassReviewed:
		line.ID = o.ID
	case sallyport.Queried:
		line.Note = e.Note
	default:
		// The rest is told by its kind and action.
	}
	line.Action, line.By = o.Action, s.inOffice(o.By)
	return line, true
}

// inOffice names who gives orders in his office. Of anybody else a name beside a time would tell whose pseudonym worked at that time.
func (s *Server) inOffice(who sallyport.Staff) string {
	if role := s.role(who); who == "" || role == "lead" || role == "security" {
		return byWhom(who)
	}
	return "a member of the staff"
}

func (s *Server) seesCase(n uint64, me sallyport.Staff) bool {
	if s.c.Cases == nil {
		return false
	}
	c, ok := s.c.Cases.Book.Case(n)
	return ok && c.Barred(me, s.c.Cases.Line) == ""
}

// entryAt is the entry that a path names.
func (s *Server) entryAt(r *http.Request) (q recordQuery, seq uint64, err error) {
	q = recordQuery{stream: r.PathValue("stream")}
	seq, err = strconv.ParseUint(r.PathValue("seq"), 10, 64)
	stream := q.streamOf(s)
	if err != nil || stream == nil || seq == 0 || seq > stream.Last() {
		return q, 0, noSuchEntry()
	}
	return q, seq, nil
}

func noSuchEntry() error {
	return &Problem{http.StatusNotFound, "no_such_entry", "There is no such entry that you may see.", "Entries are access/SEQ and control/SEQ, from 1 on."}
}

// showEntry is one entry.
func (s *Server) showEntry(r *http.Request, me sallyport.Staff) (any, error) {
	q, seq, err := s.entryAt(r)
	if err != nil {
		return nil, err
	}
	if err := s.asked(me, "entry", fmt.Sprintf("%s:%d", q.stream, seq), "read an entry of the record"); err != nil {
		return nil, err
	}
	q.before, q.most, q.window = seq+1, 1, 1
	var found *RecordLine
	see := s.seer(q.stream, me)
	err = q.streamOf(s).Read(seq, func(e *sallyport.Event) error {
		if line, ok := see(e); ok && e.Seq == seq {
			found = &line
		}
		return record.ErrEnough
	})
	if err != nil {
		return nil, fmt.Errorf("read the entry: %w", err)
	}
	if found == nil {
		return nil, noSuchEntry()
	}
	return found, nil
}

// proveEntry shows by hashes that an entry stands in the ledger, and how.
func (s *Server) proveEntry(r *http.Request, me sallyport.Staff) (any, error) {
	q, seq, err := s.entryAt(r)
	if err != nil {
		return nil, err
	}
	if s.c.Prove == nil {
		return nil, &Problem{http.StatusConflict, "no_ledger", "This serve keeps no ledger.", ""}
	}
	if err := s.asked(me, "proof", fmt.Sprintf("%s:%d", q.stream, seq), "verified an entry of the record"); err != nil {
		return nil, err
	}
	p, err := s.c.Prove(r.Context(), q.stream, seq)
	if err != nil {
		return nil, &Problem{http.StatusConflict, "not_proven", "This entry could not be verified: " + strings.TrimSuffix(err.Error(), ".") + ".", "sallyport ledger verify looks at the whole record."}
	}
	return p, nil
}

// SearchRecord looks through a stream; values are those of GET /v1/record.
func (c *Client) SearchRecord(ctx context.Context, values url.Values) (out RecordLines, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/record?"+values.Encode(), nil, &out)
	return out, err
}

// Entry is one entry of the record.
func (c *Client) Entry(ctx context.Context, stream, seq string) (line RecordLine, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/record/"+url.PathEscape(stream)+"/"+url.PathEscape(seq), nil, &line)
	return line, err
}

// Prove verifies an entry of the record.
func (c *Client) Prove(ctx context.Context, stream, seq string) (p Proven, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/record/"+url.PathEscape(stream)+"/"+url.PathEscape(seq)+"/proof", nil, &p)
	return p, err
}
