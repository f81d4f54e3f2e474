package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport"
	"sallyport/detect"
	"sallyport/program"
	"sallyport/program/reports"
	"sallyport/record"
)

// separationWatch checks the rules once a day.
type separationWatch struct {
	s    *Server
	next time.Time // zero: at the start
}

// The bounds of a daily check.
const (
	separationEvery = 24 * time.Hour
	separationAgain = 10 * time.Minute // after one that failed
	separationBack  = 90               // days
	mostViolations  = 20               // new findings of one check; the report has all
)

// look checks if it is time. What breaks a rule is a finding, once: a start checks again and finds the same.
func (w *separationWatch) look(ctx context.Context) {
	now := w.s.O.Clock()
	if len(w.s.O.Config.Program.Separation.Rules) == 0 || now.Before(w.next) {
		return
	}
	w.next = now.Add(separationEvery)
	if err := w.check(ctx, now); err != nil && ctx.Err() == nil && !errors.Is(err, record.ErrClosed) {
		w.next = now.Add(separationAgain)
		w.s.log.Error("the rules of many eyes were not checked; it is tried again", "why", err.Error())
	}
}

func (w *separationWatch) check(ctx context.Context, now time.Time) error {
	r := &reports.Record{Config: w.s.O.Config, Access: w.s.AccessStream, Control: w.s.ControlStream, Now: now}
	list, err := r.Violations(ctx, separationBack)
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, f := range w.s.State.Findings() {
		known[f.ID] = true
	}
	fresh := 0
	for i := range list {
		v := &list[i]
		if len(v.Staff) == 0 || known[v.ID()] {
			continue
		}
		if fresh++; fresh > mostViolations {
			w.s.log.Warn("more rules of many eyes are broken than are put on record at once", "broken", len(list), "see", "sallyport program separation")
			return nil
		}
		if err := w.find(v, now); err != nil {
			return err
		}
	}
	w.s.log.Info("the rules of many eyes were checked", "broken", len(list), "new", fresh)
	return nil
}

// separationKind is the kind of a finding that says that a rule was broken. It suspects nobody: it opens no case, and nothing is done about it by itself.
const separationKind = program.SeparationFinding

// find puts a broken rule on record as a finding. Its action is another word than detection's, which counts its own.
func (w *separationWatch) find(v *program.Violation, now time.Time) error {
	f := &detect.Finding{
		Time: now, ID: v.ID(), Kind: separationKind, Staff: v.Staff, Type: detect.Benign, Probabilities: map[string]float64{detect.Benign: 1},
		Evidence: []detect.Evidence{{Source: separationKind, Text: v.Text + " (rule " + v.Rule + ")"}},
		Since:    v.Since, SinceLow: v.Since, SinceHigh: v.Since, Attack: []string{}, Action: "page",
	}
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write a finding: %w", err)
	}
	return w.s.orders.Give(nil, &sallyport.Event{Time: now, Kind: sallyport.FindingKind, Order: &sallyport.Order{ID: f.ID, Action: "separate", About: v.Staff[0], Finding: text}})
}
