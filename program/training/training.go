// Package training is what people have learnt and are to learn: courses and phishing tests that other systems tell of, and short lessons that follow
// from mistakes; who is overdue with what, and whether lessons change what people do.
//
// It does no I/O and reads no clock. It refuses to grade anybody: it counts, and what overdue training means is for policies to say.
//
// Invariant: the same entries in the same order give the same state, everywhere.
package training

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport"
)

// The steps.
const (
	Imported = "imported"
	Assigned = "assigned"
	Read     = "read"
)

// The kinds of facts, and what came of them.
const (
	Course   = "course"
	Phishing = "phishing"

	Passed   = "passed" // of a course; empty: not yet
	Failed   = "failed"
	Ignored  = "ignored" // of a phishing test
	Reported = "reported"
	Clicked  = "clicked"
	Entered  = "entered" // he typed something into its page
)

// Where rows come from.
const (
	FromFile    = "file"
	FromWebhook = "webhook"
	FromHR      = "hr"
)

// MostRows are those of one entry.
const MostRows = 500

// Check holds a row to sense.
func Check(f *sallyport.TrainingFact) error {
	long := func(s string) bool { return s == "" || len(s) > 100 || strings.ContainsAny(s, "\r\n") }
	switch {
	case long(string(f.Staff)) || long(f.Name):
		return errors.New("staff and name are texts of at most 100 characters")
	case f.Kind == Course && !slices.Contains([]string{"", Passed, Failed}, f.Result):
		return fmt.Errorf("the result of a course is %s or %s, or nothing yet", Passed, Failed)
	case f.Kind == Course && f.Due.IsZero() && f.Done.IsZero():
		return errors.New("a course has due or done, or both")
	case f.Kind == Phishing && f.Time.IsZero():
		return errors.New("a phishing test has a time")
	case f.Kind == Phishing && !slices.Contains([]string{Ignored, Reported, Clicked, Entered}, f.Result):
		return fmt.Errorf("the result of a phishing test is %s, %s, %s or %s", Ignored, Reported, Clicked, Entered)
	case f.Kind != Course && f.Kind != Phishing:
		return fmt.Errorf("the kind is %s or %s", Course, Phishing)
	}
	return nil
}

// Book is a fold of what the control stream says about training. It may be used by several at once.
type Book struct {
	mu       sync.Mutex // guards what follows
	people   map[sallyport.Staff]*learner
	messages map[string]bool
	rows     int
}

type learner struct {
	courses  []sallyport.TrainingFact // one of each name: as it was told last
	phishing []sallyport.TrainingFact // one of each name
	lessons  []Taught
}

// Taught is a lesson that somebody was given.
type Taught struct {
	Staff  sallyport.Staff           `json:"staff"`
	Lesson string                    `json:"lesson"`
	At     time.Time                 `json:"-"`    // of the mistake
	From   time.Time                 `json:"from"` // when he is told
	Due    time.Time                 `json:"due"`
	Read   time.Time                 `json:"read,omitzero"`
	Drawn  bool                      `json:"-"` // a draw decided when he is told
	Misses []sallyport.TrainingCause `json:"-"`
}

// NewBook is an empty one.
func NewBook() *Book {
	return &Book{people: map[sallyport.Staff]*learner{}, messages: map[string]bool{}}
}

// Apply takes one entry.
func (b *Book) Apply(e *sallyport.Event) {
	if e.Kind != sallyport.TrainingKind || e.Order == nil || e.Order.Training == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	step := e.Order.Training
	switch step.Do {
	case Imported:
		if step.ID != "" {
			b.messages[step.ID] = true
		}
		for _, f := range step.Rows {
			b.learner(f.Staff).take(f)
			b.rows++
		}
	case Assigned:
		p, at := b.learner(step.Staff), e.Time
		if n := len(step.Misses); n > 0 {
			at = step.Misses[n-1].Time
		}
		p.lessons = append(p.lessons, Taught{Staff: step.Staff, Lesson: step.Lesson, At: at, From: step.From, Due: step.Due, Drawn: step.Drawn, Misses: step.Misses})
	case Read:
		for i := range b.learner(step.Staff).lessons {
			if t := &b.people[step.Staff].lessons[i]; t.Lesson == step.Lesson && t.Read.IsZero() && !e.Time.Before(t.From) {
				t.Read = e.Time
			}
		}
	}
}

func (b *Book) learner(who sallyport.Staff) *learner {
	p := b.people[who]
	if p == nil {
		p = &learner{}
		b.people[who] = p
	}
	return p
}

// take takes a row in place of the one of the same name. A course that is done stays done until a row brings a later due date.
func (p *learner) take(f sallyport.TrainingFact) {
	list := &p.courses
	if f.Kind == Phishing {
		list = &p.phishing
	}
	i := slices.IndexFunc(*list, func(x sallyport.TrainingFact) bool { return x.Name == f.Name })
	if i < 0 {
		*list = append(*list, f)
		return
	}
	if was := (*list)[i]; f.Kind == Course && done(&was) && !done(&f) && !f.Due.After(was.Due) {
		return
	}
	if f.Due.IsZero() {
		f.Due = (*list)[i].Due
	}
	(*list)[i] = f
}

func done(f *sallyport.TrainingFact) bool { return !f.Done.IsZero() && f.Result != Failed }

// Fell tells whether somebody fell for a phishing test.
func Fell(f *sallyport.TrainingFact) bool { return f.Result == Clicked || f.Result == Entered }

// Taken tells whether a message came before.
func (b *Book) Taken(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.messages[id]
}

// Known tells whether there is anything about training at all.
func (b *Book) Known() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.people) > 0
}

// Overdue is how many days somebody is behind with the oldest thing that he had to learn: 1 from the moment at which it was due; 0: with nothing.
func (b *Book) Overdue(who sallyport.Staff, now time.Time) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[who]
	if p == nil {
		return 0
	}
	oldest := now
	for i := range p.courses {
		if f := &p.courses[i]; !done(f) && !f.Due.IsZero() && f.Due.Before(oldest) {
			oldest = f.Due
		}
	}
	for i := range p.lessons {
		if t := &p.lessons[i]; t.Read.IsZero() && t.Due.Before(oldest) {
			oldest = t.Due
		}
	}
	if !oldest.Before(now) {
		return 0
	}
	return 1 + int64(now.Sub(oldest)/(24*time.Hour))
}

// Given tells whether somebody was given a lesson after a moment.
func (b *Book) Given(who sallyport.Staff, lesson string, after time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[who]
	return p != nil && slices.ContainsFunc(p.lessons, func(t Taught) bool { return t.Lesson == lesson && t.At.After(after) })
}

// Status is how somebody stands.
type Status struct {
	Staff    sallyport.Staff          `json:"staff"`
	Overdue  int64                    `json:"overdue_days"`
	Courses  []sallyport.TrainingFact `json:"courses"`
	Phishing []sallyport.TrainingFact `json:"phishing"`
	Lessons  []Taught                 `json:"lessons"`
}

// Lessons are all that were given, also to whom nobody has told of it yet, in the order of people and time.
func (b *Book) Lessons() (list []Taught) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, who := range slices.Sorted(maps.Keys(b.people)) {
		list = append(list, b.people[who].lessons...)
	}
	return list
}

// People are all of whom there is something, by id, with the lessons of which they have been told.
func (b *Book) People(now time.Time) []Status {
	b.mu.Lock()
	list := make([]Status, 0, len(b.people))
	for who, p := range b.people {
		told := slices.DeleteFunc(slices.Clone(p.lessons), func(t Taught) bool { return now.Before(t.From) })
		list = append(list, Status{Staff: who, Courses: slices.Clone(p.courses), Phishing: slices.Clone(p.phishing), Lessons: told})
	}
	b.mu.Unlock()
	slices.SortFunc(list, func(x, y Status) int { return cmp.Compare(x.Staff, y.Staff) })
	for i := range list {
		list[i].Overdue = b.Overdue(list[i].Staff, now)
	}
	return list
}
