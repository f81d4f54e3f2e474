package drill

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// Every is a drill that is played again and again, at moments that nobody foresees.
type Every struct {
	Drill string
	Days  int // from one to the window of the next
	For   int // days that the window lasts
}

// Window is when the next one may come, after the last one; where there was none, from since on.
func (e Every) Window(last, since time.Time) (from, until time.Time) {
	from = since
	if !last.IsZero() {
		from = last.AddDate(0, 0, e.Days)
	}
	return from, from.AddDate(0, 0, e.For)
}

// Moment is one of what is left of a window, every second as probable as any other; draw is drawn at random. A window that is over has now left.
func Moment(from, until, now time.Time, draw uint64) time.Time {
	if now.After(from) {
		from = now
	}
	seconds := uint64(max(until.Sub(from)/time.Second, 0))
	return from.Add(time.Duration(draw%(seconds+1)) * time.Second) //nolint:gosec // below the window
}

// Run is a drill that was begun.
type Run struct {
	ID     string          `json:"id"`
	Drill  string          `json:"drill"`
	Began  time.Time       `json:"began"`
	Ended  time.Time       `json:"ended,omitzero"`
	By     sallyport.Staff `json:"by,omitempty"` // empty: Sallyport itself, by its schedule
	Note   string          `json:"note,omitempty"`
	Report *Report         `json:"report,omitempty"` // nil: cut off, or of before reports stood on record
}

// Book is a fold of what the control stream says about drills. It may be used by several at once.
type Book struct {
	mu   sync.Mutex // guards what follows
	runs []Run
}

// Apply takes one entry.
func (b *Book) Apply(e *sallyport.Event) {
	if e.Kind != sallyport.DrillKind || e.Order == nil || e.Order.Drill == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	o := e.Order
	if !o.Drill.Ended {
		b.runs = append(b.runs, Run{Drill: o.Drill.Name, Began: e.Time, By: o.By})
		return
	}
	for i := range slices.Backward(b.runs) {
		r := &b.runs[i]
		if r.Drill != o.Drill.Name || !r.Ended.IsZero() {
			continue
		}
		r.ID, r.Ended, r.Note = o.ID, e.Time, e.Note
		var report Report
		if len(o.Drilled) > 0 && json.Unmarshal(o.Drilled, &report) == nil {
			r.Report = &report
		}
		return
	}
}

// Runs are all of them, in the order of the record.
func (b *Book) Runs() []Run {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.runs)
}

// Last is when a drill was begun last; zero: never.
func (b *Book) Last(name string) (at time.Time) {
	for _, r := range b.Runs() {
		if r.Drill == name {
			at = r.Began
		}
	}
	return at
}

// Kept is what of a report stands on record: what the record says beside it and what an error said are left out.
func (r *Report) Kept() ([]byte, error) {
	x := *r
	x.State = "ended"
	if x.Trouble != "" {
		x.State = "failed"
	}
	x.Marks, x.Trouble = []Mark{}, ""
	return json.Marshal(&x)
}
