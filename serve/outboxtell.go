package serve

import (
	"context"
	"encoding/json"
	"time"

	"sallyport"
	"sallyport/assure"
)

// tellFor is how long an answer is tried: whoever hears a day later that nobody of ours had called has still time to act.
const tellFor = 24 * time.Hour

// tell writes to customers who asked until ctx ends, those first who asked before the last stop. An answer counts as told once that is on record, so after
// a crash in between one may leave twice, under the same id.
func (o *outbox) tell(ctx context.Context) {
	defer o.hook.client.CloseIdleConnections()
	tries := map[string]*attempts{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.asked:
		case <-timer.C:
		}
		timer.Reset(o.round(ctx, tries))
	}
}

// round tries whoever is due, and says how long nobody is.
func (o *outbox) round(ctx context.Context, tries map[string]*attempts) time.Duration {
	pause := longestAgain
	for _, q := range o.questions.Open() {
		if ctx.Err() != nil {
			return pause
		}
		try := tries[q.ID]
		if try == nil {
			try = &attempts{}
			tries[q.ID] = try
		}
		if time.Until(try.next) <= 0 && o.answer(ctx, &q, try) {
			delete(tries, q.ID)
			continue
		}
		pause = min(pause, time.Until(try.next))
	}
	return max(pause, 0)
}

// answer tries to write to one customer; done: there is no more to do about him.
func (o *outbox) answer(ctx context.Context, q *assure.Question, try *attempts) (done bool) {
	err := o.post(ctx, q)
	if ctx.Err() != nil {
		return false
	}
	action, end := "call_answered", &sallyport.AssuredCall{ID: q.ID, Do: assure.Told}
	switch {
	case err != nil && o.s.O.Clock().Sub(q.At) < tellFor:
		try.n++
		try.next = time.Now().Add(min(longestAgain, firstAgain<<min(try.n, 10)))
		if try.cause != err.Error() { // once for each cause
			try.cause = err.Error()
			o.s.log.Error("the outbox of customers did not take a message; it is tried again", "delivery", q.ID, "why", err.Error())
		}
		return false
	case err != nil:
		o.s.log.Error("the outbox of customers took a message for a day not; no more attempts", "delivery", q.ID, "why", err.Error())
		action, end.Do = "call_unanswered", assure.Untold
	}
	if err := o.note(action, end); err != nil {
		try.next = time.Now().Add(longestAgain)
		o.s.log.Error("that a customer was written to could not be put on record; he is written to again", "delivery", q.ID, "why", err.Error())
		return false
	}
	return true
}

// post sends what there was to say when he asked.
func (o *outbox) post(ctx context.Context, q *assure.Question) error {
	m := CustomerMessage{Event: "call_asked", Customer: q.Customer, Language: q.Language, At: q.At.UTC(), Calls: []MessageCall{}}
	for _, c := range o.s.scheduled.For(q.Customer, q.At) {
		m.Calls = append(m.Calls, MessageCall{c.Name, c.Team, c.About, c.Until})
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return o.hook.post(ctx, delivery{q.ID, body})
}
