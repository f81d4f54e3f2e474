// Package program is what an insider-threat programme does beside the software, held together by it: each part is a pure function of the record and of
// a few files, and comes to a report.
//
// It does no I/O and reads no clock. It refuses to be a second product: it keeps no state but what stands in the record, and says nothing without the
// evidence. Invariant: the same entries and files in the same order give the same report, everywhere.
package program

import (
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"sallyport"
)

// The steps.
const (
	RotationCommit = "rotation_commit"
	RotationDraw   = "rotation_draw"
	Acknowledged   = "acknowledged"
	ReviewOpened   = "review_opened"
	ReviewDecided  = "review_decided"
	ReviewLapsed   = "review_lapsed"    // nobody decided in time: Sallyport's own word
	ReviewProlongs = "review_prolonged" // of a proposal: two people give those of its Subjects another date
)

// Book is a fold of what the control stream says about the programme. It may be used by several at once.
type Book struct {
	mu        sync.Mutex // guards what follows
	rotations []Rotation
	read      map[string]map[sallyport.Staff]time.Time // by document and digest: who has acknowledged it
	reviews   []Review
	of        map[sallyport.Staff][]int // places in reviews
	prolongs  map[string]prolonging     // by proposal
}

// NewBook is an empty one.
func NewBook() *Book {
	return &Book{read: map[string]map[sallyport.Staff]time.Time{}, of: map[sallyport.Staff][]int{}, prolongs: map[string]prolonging{}}
}

// Apply takes one entry.
func (b *Book) Apply(e *sallyport.Event) {
	if e.Order == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Kind != sallyport.ProgramKind {
		b.prolong(e)
		return
	}
	p := e.Order.Program
	if p == nil {
		return
	}
	switch p.Do {
	case RotationCommit:
		b.rotations = append(b.rotations, Rotation{Name: p.Name, Commitment: hex.EncodeToString(p.Digest), Beacon: p.Beacon, At: e.Time, By: e.Order.By, Due: p.Until})
	case RotationDraw:
		for i := range b.rotations {
			if r := &b.rotations[i]; r.Name == p.Name && r.Commitment == hex.EncodeToString(p.Of) && r.Drawn.IsZero() {
				r.Drawn, r.DrawnBy, r.File, r.Plan, r.Result = e.Time, e.Order.By, hex.EncodeToString(p.Digest), hex.EncodeToString(p.Plan), p.Text
			}
		}
	case Acknowledged:
		key := version(p.Name, p.Digest)
		if b.read[key] == nil {
			b.read[key] = map[sallyport.Staff]time.Time{}
		}
		if _, before := b.read[key][e.Order.By]; !before {
			b.read[key][e.Order.By] = e.Time
		}
	case ReviewOpened, ReviewDecided, ReviewLapsed:
		b.review(e, p)
	}
}

func version(name string, digest []byte) string { return name + "\n" + hex.EncodeToString(digest) }

// Rotation is a draw that was committed to.
type Rotation struct {
	Name       string          `json:"name"`
	Commitment string          `json:"commitment"`
	Beacon     string          `json:"beacon"`
	At         time.Time       `json:"at"`
	By         sallyport.Staff `json:"by"`
	Due        time.Time       `json:"due"` // when the beacon's value is there
	Drawn      time.Time       `json:"drawn,omitzero"`
	DrawnBy    sallyport.Staff `json:"drawn_by,omitempty"`
	File       string          `json:"file,omitempty"` // SHA-256 of what was made public
	Plan       string          `json:"plan,omitempty"`
	Result     string          `json:"result,omitempty"`
}

// Patience is how long after its beacon a draw may wait: who does not like what comes would else never draw, and commit anew.
const Patience = 7 * 24 * time.Hour

// Lapsed tells whether it was committed to and never drawn.
func (r *Rotation) Lapsed(now time.Time) bool {
	return r.Drawn.IsZero() && now.After(r.Due.Add(Patience))
}

// Rotations are all of them, in the order of the record.
func (b *Book) Rotations() []Rotation {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.rotations)
}

// Open is the one of a name that waits for its draw.
func (b *Book) Open(name string, now time.Time) (Rotation, bool) {
	for _, r := range b.Rotations() {
		if r.Name == name && r.Drawn.IsZero() && !r.Lapsed(now) {
			return r, true
		}
	}
	return Rotation{}, false
}

// Read is when somebody acknowledged a version of a document; zero: never.
func (b *Book) Read(name string, digest []byte, who sallyport.Staff) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.read[version(name, digest)][who]
}
