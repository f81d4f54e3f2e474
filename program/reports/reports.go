// Package reports makes the reports of an insider-threat programme from a record and the configuration that it belongs to: a serve's own while it runs, or
// the files of one that does not.
//
// What a report is about is package program, which is pure; here it is fed. It writes nothing, and names people only as it is told they are called.
package reports

import (
	"context"
	"fmt"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/history"
	"sallyport/policy"
	"sallyport/program"
	"sallyport/record"
	"sallyport/staff"
)

// Record is a record that is read, with the configuration that it belongs to.
type Record struct {
	Config          *config.Config
	Set             *policy.Set // that hold today
	Book            *program.Book
	State           *control.State
	Roster          *staff.Roster
	Access, Control *record.Stream
	Names           *history.Names                          // pseudonyms, in replays
	Inputs          func() Inputs                           // those of a record that is read from its beginning
	Call            func(sallyport.Staff) string            // what those are called whose work is told
	Asker           sallyport.Staff                         // who asked a running serve: what is about himself is not told; empty: somebody who has the files
	Beside          func(context.Context) ([]string, error) // other databases of the server; nil: nobody can ask
	Now             time.Time
}

// Inputs are what detection reads of each entry: one of the access stream, and one of the control stream. What they return is good until the next call.
type Inputs struct {
	Access, Control func(*sallyport.Event) []sallyport.Input
}

// Report makes one of them.
func (r *Record) Report(ctx context.Context, q *api.ReportQuestion) (any, error) {
	if len(q.Documents) == 0 && (q.Report == "drift" || q.Report == "board") {
		of := *q
		var err error
		if of.Documents, err = r.Config.DocumentTexts(); err != nil {
			return nil, err
		}
		q = &of
	}
	switch q.Report {
	case "assets":
		return r.assets(ctx, q.Days)
	case "board":
		return r.board(ctx, q)
	case "effect":
		return r.effects(ctx)
	case "drift":
		return r.drift(ctx, q)
	case "firms", "firm":
		return r.firms(ctx, q)
	case "handover":
		return r.handover(ctx, q)
	case "offboarding":
		return r.offboarding(ctx, q.Firm)
	case "privileges":
		return r.privilegesReport(ctx, q)
	case "separation":
		return r.Separation(ctx, q.Days)
	case "status":
		return r.status(ctx, q)
	}
	return nil, fmt.Errorf("there is no report %q", q.Report)
}

// members are everybody who may have to read something or decide.
func (r *Record) members() (out []program.Member) {
	for who, p := range r.Roster.People {
		if p.Employment != "left" {
			out = append(out, program.Member{Staff: who, Team: p.Place.Team, Role: p.Place.Role, Away: p.Employment == "leave"})
		}
	}
	return out
}

// accesses hands every entry of the access stream, as it stands now, to each of them.
func (r *Record) accesses(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.Access, take...)
}

// orders hands every entry of the control stream to each of them.
func (r *Record) orders(ctx context.Context, take ...func(*sallyport.Event)) error {
	return readTo(ctx, r.Control, take...)
}

func readTo(ctx context.Context, s *record.Stream, take ...func(*sallyport.Event)) error {
	for e, err := range s.Events(ctx) {
		if err != nil {
			return fmt.Errorf("read the record: %w", err)
		}
		for _, t := range take {
			t(e)
		}
	}
	return nil
}
