package serve

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"sallyport/config"
	"sallyport/policy"
	"sallyport/replay"
	"sallyport/rulebook"
)

// How far back a change is replayed that is proposed, and how long that may take.
const (
	replayDays    = 90
	replayTimeout = 5 * time.Minute
)

// replayChange runs the last 90 days under what a proposal would have hold. Both sets are of the configuration that would: its people and columns. It is
// made while serve runs, and only reads. Empty: neither policies nor budgets change.
func (s *Server) replayChange(ctx context.Context, old, c *config.Config, before, after *policy.Set, same bool) (string, error) {
	if same && reflect.DeepEqual(old.Budgets, c.Budgets) {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, replayTimeout)
	defer cancel()
	now := s.O.Clock()
	report, err := rulebook.Replay(c, ctx, rulebook.Replayed{Before: before, After: after, Access: s.AccessStream, Control: s.ControlStream, From: now.AddDate(0, 0, -replayDays), Until: now, Names: s.Names})
	if err != nil {
		return "", fmt.Errorf("replay the change over the record: %w", err)
	}
	return replayLines(report), nil
}

// mostLines bounds what of a replay stands in a proposal; the whole report is made again by the command, and has the same hash as long as the record is the same.
const mostLines = 20

// replayLines say what a replay found, for who decides about a change.
func replayLines(r *replay.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "replay: %s until %s, %d accesses, %d values (sallyport replay, report %s)\n", r.From.Format(time.DateOnly), r.Until.Format(time.DateOnly), r.Accesses, r.Values, r.Hash)
	lines := 0
	line := func(format string, args ...any) {
		if lines++; lines <= mostLines {
			fmt.Fprintf(&b, "replay: "+format+"\n", args...)
		}
	}
	for _, f := range r.Refused {
		line("would have %s by %s: %d accesses (%d new), %d customers, %d people", rulebook.Would(f.What), f.Policy, f.Accesses, f.New, f.Customers, f.People)
	}
	for _, p := range r.People {
		if p.Cut != nil {
			line("%s would have been cut at %d %s per %s, on %s", p.Staff, p.Cut.Count, p.Cut.Measure, p.Cut.Window, Several(int64(p.Cuts), "day"))
		}
	}
	for _, g := range r.Opened {
		line("%s would have read %s in %s, by %s", g.Staff, g.Column, Several(int64(g.Statements), "statement"), g.Policy)
	}
	if lines > mostLines {
		fmt.Fprintf(&b, "replay: … and %d lines more\n", lines-mostLines)
	}
	if lines == 0 {
		b.WriteString("replay: nobody would have been hindered, and nothing opened\n")
	}
	return b.String()
}
