package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
)

// SubjectOf is a customer's key as the record writes it.
func SubjectOf(text string) sallyport.Subject { return sallyport.Subject(strings.TrimSpace(text)) }

// reporting keeps what customers tell of scam calls. Each report is an input of the record, whoever sent it, and weighs nothing until somebody has
// asked the customer. The list is a fold of the control stream.
type reporting struct {
	s      *Server
	http   *http.Server
	secret []byte
	where  listenedAt
	tracer tracer

	mu   sync.Mutex // guards what follows
	read uint64     // the entry of the control stream that was read last
	list []*api.Report
	byID map[string]*api.Report
	sent map[string]bool // ids of messages that were taken
	bad  int64           // messages that were not taken

	hour   time.Time // in which senders of mails were nobody
	misses int       // how many
}

// Sources of reports.
const (
	hookReports = "reports"      // signed messages
	mailReports = "reports.mail" // likewise, of a mail hook
	// asOfNow is how long a report may take from whoever enters it to the record: one that was longer on its way says when the customer was called.
	asOfNow = time.Minute
	// mostAtOnce is how many reports one message has.
	mostAtOnce = 200
)

func newReporting(s *Server) *reporting {
	r := &reporting{s: s, byID: map[string]*api.Report{}, sent: map[string]bool{}}
	r.tracer.r, r.tracer.past = r, s.past
	return r
}

// heardReport is a report as it stands in an input: a line of the file of that kind, with the message that it came by.
type heardReport struct {
	Time      time.Time         `json:"time"`
	Customer  sallyport.Subject `json:"customer"`
	Channel   string            `json:"channel,omitempty"`
	Quoted    string            `json:"quoted,omitempty"`
	Confirmed string            `json:"confirmed"`
	Message   string            `json:"message,omitempty"`
	Taker     sallyport.Staff   `json:"taken_by,omitempty"`
}

// refresh reads what has come since. r.mu is held.
func (r *reporting) refresh() error {
	err := r.s.ControlStream.Read(r.read+1, func(e *sallyport.Event) error {
		r.read = e.Seq
		switch {
		case e.Order == nil:
		case e.Kind == sallyport.InputKind && e.Order.Input != nil && e.Order.Input.Format == config.FeedReports:
			r.note(e)
		case e.Kind == sallyport.ReportJudged && e.Order.Judged != nil:
			j := e.Order.Judged
			if x := r.byID[j.Report]; x != nil {
				x.State, x.By, x.How = api.ReportDenied, e.Order.By, j.How
				if j.Real {
					x.State = api.ReportConfirmed
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read reports: %w", err)
	}
	return nil
}

// note takes the reports of one input.
func (r *reporting) note(e *sallyport.Event) {
	list := fed(e)
	for i := range list {
		in := list[i].Report
		if in == nil {
			continue
		}
		x := &api.Report{
			ID: reportID(e.Seq, i, len(list)), Arrived: e.Time, Source: e.Order.Input.Source, Time: in.Time, Customer: in.Customer, Channel: in.Channel, Quoted: in.Quoted, State: api.ReportConfirmed, Taker: in.Taker,
		}
		if x.Time.After(e.Time) {
			x.Time = e.Time
		}
		if in.Unconfirmed {
			x.State = api.ReportOpen
		}
		if who, ok := strings.CutPrefix(x.Source, api.EnteredBy); ok && x.Taker == "" && x.Arrived.Sub(x.Time) <= asOfNow {
			x.Taker = sallyport.Staff(who)
		}
		r.list = append(r.list, x)
		r.byID[x.ID] = x
	}
	if e.Order.Input.Source == hookReports || e.Order.Input.Source == mailReports {
		var line heardReport
		first, _, _ := strings.Cut(e.Order.Input.Text, "\n")
		if json.Unmarshal([]byte(first), &line) == nil && line.Message != "" {
			r.sent[line.Message] = true
		}
	}
}

// all is the list as it stands.
func (r *reporting) all() ([]api.Report, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return nil, err
	}
	list := make([]api.Report, len(r.list))
	for i, x := range r.list {
		list[i] = *x
	}
	return list, nil
}

// arrive puts reports on record as they come from outside, none of them confirmed, and says how many were new: a message is taken once. Whatever
// else a message holds is not kept: only which customer, when, by which way, and which fields the caller knew.
func (r *reporting) arrive(source, message string, list []api.Report) (taken int, first string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(); err != nil {
		return 0, "", err
	}
	if message != "" && r.sent[message] {
		return 0, "", nil
	}
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for i := range list {
		x := &list[i]
		err := lines.Encode(heardReport{x.Time.UTC(), x.Customer, x.Channel, strings.Join(x.Quoted, "+"), "no", message, x.Taker})
		if err != nil {
			return 0, "", fmt.Errorf("write a report: %w", err)
		}
	}
	if text.Len() > sallyport.MostHeard {
		return 0, "", &api.Problem{Status: http.StatusRequestEntityTooLarge, Code: "bad_report", Sentence: "These reports are longer than 64 KiB together.", Hint: "Send fewer at once."}
	}
	seq, err := r.s.ControlStream.AppendInput(sallyport.Heard{Source: source, Format: config.FeedReports, Text: text.String()}, r.s.O.Clock())
	if err != nil {
		return 0, "", fmt.Errorf("record reports: %w", err)
	}
	return len(list), reportID(seq, 0, len(list)), r.refresh()
}

// desk is what the api asks.
func (r *reporting) desk() *api.Reports {
	return &api.Reports{
		List: r.all,
		Take: func(by sallyport.Staff, x api.Report) (string, error) {
			_, id, err := r.arrive(api.EnteredBy+string(by), "", []api.Report{x})
			return id, err
		},
		Trace: r.tracer.answer,
	}
}

func (r *reporting) status() []api.Standby {
	list, err := r.all()
	if err != nil {
		return []api.Standby{{What: "reports", How: "cannot be read: " + err.Error()}}
	}
	n := map[string]int{}
	for _, x := range list {
		n[x.State]++
	}
	r.mu.Lock()
	bad := r.bad
	r.mu.Unlock()
	if len(list) == 0 && bad == 0 && r.http == nil {
		return nil
	}
	return []api.Standby{{What: "reports", How: fmt.Sprintf("%d confirmed, %d open, %d denied; %d messages were refused since the start", n[api.ReportConfirmed], n[api.ReportOpen], n[api.ReportDenied], bad)}}
}

// run listens until ctx ends.
func (r *reporting) run(ctx context.Context) {
	if r.http == nil {
		return
	}
	done := make(chan error, 1)
	go func() { done <- r.http.Serve(r.where.listener) }()
	select {
	case <-ctx.Done():
		_ = r.http.Close() // what was taken is on record; the rest is sent again
		<-done             //nolint:errcheck // it was closed just now
	case err := <-done:
		if !errors.Is(err, http.ErrServerClosed) {
			r.s.log.Error("reports are not taken any more", "why", err.Error())
		}
	}
}
