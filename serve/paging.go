package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/control"
	"sallyport/detect"
	"sallyport/respond"
)

// pager tells people of findings: each by a message, and where they are many all together by one.
type pager struct {
	r       *responding
	senders []namedSender
	most    int                        // messages an hour
	sent    []time.Time                // within the hour
	told    map[string]map[string]bool // message → senders that took it
}

type namedSender struct {
	name string
	respond.Sender
}

// room is how many messages may be sent now, and when the next one may.
func (p *pager) room(now time.Time) (n int, wait time.Duration) {
	for len(p.sent) > 0 && now.Sub(p.sent[0]) >= time.Hour {
		p.sent = p.sent[1:]
	}
	if n = p.most - len(p.sent); n > 0 {
		return n, 0
	}
	return 0, time.Hour - now.Sub(p.sent[0])
}

// tell sends what waits, and gives those of it that were sent. The last message of an hour holds all that is left.
func (p *pager) tell(ctx context.Context, waiting []control.Answer) (done []control.Answer, wait time.Duration, err error) {
	for len(waiting) > 0 {
		now := p.r.clock()
		n, until := p.room(now)
		if n == 0 {
			return done, until, err
		}
		part := waiting[:1]
		if n == 1 && p.most > 1 || p.most == 1 {
			part = waiting
		}
		if failed := p.send(ctx, p.message(part)); failed != nil {
			return done, 0, failed
		}
		p.sent = append(p.sent, now)
		done = append(done, part...)
		waiting = waiting[len(part):]
	}
	return done, longestAgain, nil
}

// send gives a message to every sender that has not taken it yet.
func (p *pager) send(ctx context.Context, m *respond.Message) error {
	took := p.told[m.ID]
	if took == nil {
		took = map[string]bool{}
		p.told[m.ID] = took
	}
	var errs []error
	for _, s := range p.senders {
		if took[s.name] {
			continue
		}
		if err := s.Send(ctx, m); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		took[s.name] = true
	}
	if len(errs) == 0 {
		delete(p.told, m.ID)
	}
	return errors.Join(errs...)
}

// message tells of one finding, or of many.
func (p *pager) message(list []control.Answer) *respond.Message {
	id, finding := p.r.calledIn(list[0].ID, &list[0]), p.r.calledIn(list[0].Finding, &list[0])
	m := &respond.Message{ID: id, Event: "finding", Acts: p.r.acts(), Time: list[0].At, Link: "sallyport explain " + finding}
	if len(list) > 1 {
		m.Event, m.Link, m.ID = "digest", "sallyport findings", fmt.Sprintf("%s+%d", id, len(list)-1)
	}
	staff := map[sallyport.Staff]bool{}
	for i := range list {
		m.Findings = append(m.Findings, p.r.calledIn(list[i].Finding, &list[i]))
		if who := list[i].About; !staff[who] {
			staff[who] = true
			m.Staff = append(m.Staff, p.r.call(who))
		}
	}
	if len(list) > 1 {
		m.Findings, m.Staff = m.Findings[:min(len(m.Findings), 200)], m.Staff[:min(len(m.Staff), 200)]
		return m
	}
	for _, f := range p.r.state.Findings() {
		if f.ID != list[0].Finding {
			continue
		}
		if found, err := FindingOf(f.JSON); err == nil {
			for i, who := range found.Staff {
				found.Staff[i] = sallyport.Staff(p.r.call(who))
			}
			m.Kind, m.Type, m.Odds, m.Exposed = found.Kind, found.Type, found.Log10Odds, found.SubjectsExposed
			sentences := detect.Explain(&found, "")
			m.Text = sentences[:4] // the last one says what to do: what was done stands beside
		}
	}
	for _, x := range p.r.state.Answers(list[0].Finding) {
		if x.Step != respond.Page && x.Step != respond.Hold {
			m.Steps = append(m.Steps, x.Step)
		}
	}
	return m
}

// call is by what people are told of somebody.
func (r *responding) call(who sallyport.Staff) string {
	if r.called == nil {
		return string(who)
	}
	return r.called(who)
}

// calledIn is the id of a step or of its finding, without a name.
func (r *responding) calledIn(id string, a *control.Answer) string {
	return api.Pseudonymous(id, a.About, r.call(a.About))
}

// page sends what waits to be told, and says when to look again.
func (r *responding) page(ctx context.Context) time.Duration {
	var waiting []control.Answer
	for _, x := range r.state.Answers("") {
		if x.Step == respond.Page && (x.State == control.Asked || x.State == control.Failed) {
			waiting = append(waiting, x)
		}
	}
	if len(waiting) == 0 || r.pager == nil {
		return longestAgain
	}
	const key = "page"
	if wait := r.due(key); wait > 0 {
		return wait
	}
	limited, cancel := context.WithTimeout(ctx, outsideFor)
	defer cancel()
	done, wait, err := r.pager.tell(limited, waiting)
	if ctx.Err() != nil {
		return longestAgain
	}
	n := r.tried(key, err)
	for i := range done {
		r.record(&done[i], control.Did, n, nil)
	}
	if err == nil {
		return wait
	}
	if n == 1 {
		r.record(&waiting[len(done)], control.Failed, n, err)
	}
	return max(r.due(key), time.Millisecond)
}
