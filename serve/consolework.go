package serve

import (
	"context"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/detect"
)

// work answers how people work, from what detection keeps of them; nil where nobody looks.
func (s *Server) work() *api.Work {
	if s.detection == nil {
		return nil
	}
	d := s.detection.detecting
	return &api.Work{
		Sums: func(ctx context.Context, since time.Time) (list []api.WorkSum, ok bool) {
			ok = d.ask(ctx, func(x *detect.Detector) {
				for _, sum := range x.Sums(since) {
					list = append(list, api.WorkSum(sum))
				}
			})
			return list, ok
		},
		Profile: func(ctx context.Context, who sallyport.Staff) (out api.WorkProfile, ok bool) {
			ok = d.ask(ctx, func(x *detect.Detector) {
				p, _ := x.Profile(who)
				out.Peers, out.Of = p.Peers, p.Of
				for _, day := range p.Days {
					out.Days = append(out.Days, api.WorkDay(day))
				}
			})
			return out, ok
		},
	}
}
