package assure

import (
	"slices"
	"sync"
	"time"

	"sallyport"
)

// Question is one that a customer asked by a number of his, and that he has no answer to yet.
type Question struct {
	ID       string // of the answer's delivery, too: whoever gets one twice knows it by this
	Customer sallyport.Subject
	Language string
	At       time.Time
}

// Questions is the fold of those without an answer, so that a restart goes on with them. It is safe for use by many goroutines.
type Questions struct {
	mu   sync.Mutex // guards open
	open map[string]Question
}

// NewQuestions is one without any.
func NewQuestions() *Questions { return &Questions{open: map[string]Question{}} }

// Apply takes an entry of the control stream. What was asked before answers were on record has no language, and counts as answered.
func (q *Questions) Apply(e *sallyport.Event) {
	if e.Kind != sallyport.AssuredKind || e.Order == nil || e.Order.Assured == nil {
		return
	}
	a := e.Order.Assured
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case a.Do == Asked && a.Language != "":
		q.open[a.ID] = Question{a.ID, a.Customer, a.Language, e.Time}
	case a.Do == Told, a.Do == Untold:
		delete(q.open, a.ID)
	}
}

// Open are those without an answer, the oldest first.
func (q *Questions) Open() []Question {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := make([]Question, 0, len(q.open))
	for _, x := range q.open {
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b Question) int { return a.At.Compare(b.At) })
	return list
}
