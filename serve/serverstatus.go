package serve

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"

	"sallyport/api"
)

// status is what `sallyport status` prints besides the record.
func (s *Server) status(ctx context.Context) []api.Standby {
	s.mu.Lock()
	opened := s.opened
	s.mu.Unlock()
	reasons := opened.status(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	disk := []api.Standby{{What: "disk", How: s.room.Status()}, {What: "at rest", How: s.sealedStatus()}}
	if s.Hub != nil {
		if s.turns != nil {
			disk = append(disk, append(s.turns.status(), s.turns.shreds()...)...)
		}
		return append(s.parts(ctx), slices.Concat(disk, s.detection.status(), s.filesStatus(), s.ledgerStatus(), s.historyStatus())...)
	}
	if s.gateway == nil {
		return append([]api.Standby{{What: "clients", How: fmt.Sprintf("are refused: %v", s.waiting)}}, slices.Concat(disk, s.filesStatus(), s.ledgerStatus())...)
	}
	guards := "nothing is protected"
	if database := s.O.Config.Upstream.Database; s.O.Config.Protects() {
		guards = fmt.Sprintf("database %s, %d columns%s", database, len(s.O.Config.Protect.Columns), s.OnTheirWay())
	}
	if s.O.Observe != nil {
		guards = "nothing is protected, only observed"
	}
	if n := len(s.O.Config.Mask.Columns); n > 0 && s.O.Observe == nil {
		guards += fmt.Sprintf("; %d columns are masked, not protected", n)
	}
	return append([]api.Standby{
		{What: "guards", How: guards},
		{What: "clients", How: fmt.Sprintf("%d sessions on %s", s.gateway.Sessions(), s.listener.Addr())},
	}, slices.Concat(disk, s.turns.status(), s.turns.shreds(), reasons, s.detection.status(), s.filesStatus(), s.ledgerStatus(), s.historyStatus(), s.reports.status())...)
}

// filesStatus says who waits to be locked, and whether what is approved, what is on disk and what holds are the same.
func (s *Server) filesStatus() []api.Standby {
	var out []api.Standby
	if n, _ := s.State.Leavers(""); n > 0 {
		out = append(out, api.Standby{What: "leavers", How: fmt.Sprintf("%d may not work, and their lock waits for a second person: sallyport directory lock-leavers", n)})
	}
	approved, _ := s.State.Files()
	if approved == "" {
		return out
	}
	if b, err := keptBundle(s.O.Data, approved); err == nil && b.Config != s.O.Config.Text {
		return append(out, api.Standby{What: "files", How: "another configuration was approved; it holds from the next start of serve on"})
	}
	if s.Unapproved {
		return append(out, api.Standby{What: "files", How: "those on disk are not approved, the approved ones hold: sallyport config propose --config " + s.O.Config.File + ", or put back " + filepath.Join(s.O.Data, approvedFolder, approved)})
	}
	return out
}

// rotations are the join groups with two keys, once the database is served.
func (s *Server) rotations() []api.Rotation {
	turns := s.turning()
	if turns == nil {
		return nil
	}
	return turns.all()
}

// OnTheirWay says how many of the configured columns are plain still, and how many are moving in or out.
func (s *Server) OnTheirWay() (text string) {
	database := s.O.Config.Upstream.Database
	protected, known := s.State.Protects(database)
	moving, leaving := s.State.Moving(database)
	moving = slices.DeleteFunc(moving, func(name string) bool { return slices.Contains(leaving, name) }) // about to leave
	plain := 0
	for name := range s.O.Config.Protect.Columns {
		if _, ok := protected[name]; !ok && (known || s.O.MovingIn) {
			plain++
		}
	}
	for _, part := range []struct {
		n    int
		what string
	}{{plain, "plain still, and pass as they are"}, {len(moving), "moving in"}, {len(leaving), "moving out"}} {
		if part.n > 0 {
			text += fmt.Sprintf("; %d of them %s", part.n, part.what)
		}
	}
	return text
}

// ticketID finds a ticket for who-saw, once the database is served.
func (s *Server) ticketID(ctx context.Context, number string) (id string, ok bool) {
	s.mu.Lock()
	reasons := s.reasons
	s.mu.Unlock()
	if reasons == nil {
		return "", false
	}
	return reasons.TicketID(ctx, number)
}

func (s *Server) unacceptedMark() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark
}
