package purpose

import (
	"context"
	"errors"
	"slices"
	"time"

	"sallyport"
)

// Source answers what a system outside the protected database says about tickets, calls or jobs. It MUST answer or fail within its own
// time limit: an error covers nothing, and its sentence is shown to who asks, so it holds no value. It is safe for use by several
// goroutines.
type Source interface {
	// Find returns the things that a reference names: none, one, or two where it is ambiguous.
	Find(ctx context.Context, ref Ref) ([]Thing, error)
	// Mine returns things that are assigned to any of these names, the newest first, at most so many. Small and capital letters are the
	// same; each name comes as it is written and in small letters.
	Mine(ctx context.Context, names []string, most int) ([]Thing, error)
	// Close gives back what the source holds.
	Close() error
}

// Ref is what somebody wrote behind ticket: or call:.
type Ref struct {
	Text   string // as it stands on record: an id, or the token of a number
	Number string // the number in plain, where Text is its token; it MUST NOT be kept or shown
}

// Asked is what another system is asked by.
func (r Ref) Asked() string {
	if r.Number != "" {
		return r.Number
	}
	return r.Text
}

// Thing is a ticket, a call or a job as its source has it. People and programs stand in it by the names that the source calls them.
type Thing struct {
	ID         string              `json:"id"`
	Number     string              `json:"number,omitempty"` // what people call it; where a source keeps things, hidden (Hide)
	Customers  []sallyport.Subject `json:"customers,omitempty"`
	Assignee   string              `json:"assignee,omitempty"` // of a ticket; who took the call; who runs the job
	State      string              `json:"state,omitempty"`    // as the source writes it; of a call how it came about
	OpenedBy   string              `json:"opened_by,omitempty"`
	AssignedBy string              `json:"assigned_by,omitempty"` // of a job who approved it
	ReopenedBy string              `json:"reopened_by,omitempty"` // empty: it was never closed
	Contacted  time.Time           `json:"contacted_at,omitzero"` // when the customer last got in touch about it
	From       time.Time           `json:"begins_at,omitzero"`    // it was opened, the call began, the job may begin
	Until      time.Time           `json:"ends_at,omitzero"`      // the call ended, the job must end
}

// ErrSilent says that a source is there and what it knows is too old to go by.
var ErrSilent = errors.New("has not been heard of for too long")

// Kind says by which source one kind of purpose is checked, and what its words mean.
type Kind struct {
	Source   string   `yaml:"source"`   // one of purposes.sources; of calls also contact, for purposes.contact: whatever its writers say came in
	States   []string `yaml:"states"`   // in which a thing is a reason; empty: open and pending of a ticket, incoming of a call, approved of a job
	Programs []string `yaml:"programs"` // names of programs in that source whose word counts besides that of people of the directory, such as customer or telephony
	// Scheduled are the states of a call that somebody else arranged; empty: scheduled.
	Scheduled []string `yaml:"scheduled"`
	// After is how long a call covers once it has ended, such as 10m, and a scheduled one before it begins; empty: 10m.
	After string `yaml:"after"`
	// Longest is when a call that nobody ended counts as ended; empty: 2h.
	Longest string `yaml:"longest"`
	// Contact is how long after the customer got in touch somebody may make the ticket his own; empty: 72h.
	Contact string `yaml:"contact"`
}

// OwnContacts is the source of calls that stand in the table of contacts of the protected database.
const OwnContacts = "contact"

// Defaults of Kind.
const (
	usualAfter   = 10 * time.Minute
	usualLongest = 2 * time.Hour
	usualContact = 72 * time.Hour
)

// duration reads one that may be left out.
func duration(text string, usual time.Duration) (time.Duration, error) {
	if text == "" {
		return usual, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errors.New("no length of time; expected one such as 10m or 2s")
	}
	return d, nil
}

// Holds tells whether a thing in this state may be a reason.
func (k *Kind) Holds(kind, state string) bool {
	states := k.States
	if len(states) == 0 {
		states = usualStates(kind)
	}
	if kind != "call" {
		return slices.Contains(states, state)
	}
	return slices.Contains(states, state) || k.IsScheduled(state)
}

// IsScheduled tells whether a call in this state is one that somebody else arranged.
func (k *Kind) IsScheduled(state string) bool {
	scheduled := k.Scheduled
	if len(scheduled) == 0 {
		scheduled = usualScheduled()
	}
	return slices.Contains(scheduled, state)
}

func usualScheduled() []string { return []string{"scheduled"} }
