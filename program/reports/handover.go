package reports

import (
	"context"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/program"
)

// handover is what a successor of somebody should look at.
func (r *Record) handover(ctx context.Context, q *api.ReportQuestion) (*program.Handover, error) {
	who := sallyport.Staff(q.Staff)
	his, ok := r.Roster.People[who]
	if !ok {
		return nil, config.Usagef("nobody in configuration and directory has this id")
	}
	h := program.NewHabits(r.Now.AddDate(0, 0, -q.Days), r.Now, func(who sallyport.Staff, at time.Time) (int64, bool) {
		hour, _, onShift := r.Config.Local(who, at)
		return hour, onShift
	})
	if err := r.accesses(ctx, h.Access); err != nil {
		return nil, err
	}
	var peers []sallyport.Staff
	for other, p := range r.Roster.People {
		if other != who && p.Place == his.Place {
			peers = append(peers, other)
		}
	}
	out := h.Of(who, peers)
	out.Staff = sallyport.Staff(r.Call(who))
	return out, nil
}
