// Package assure lets a customer find out whether a call is the company's: of scheduled calls and their codes it keeps what holds right now, as a fold
// of the control stream, and bounds how often one place asks.
//
// It refuses to say anything for less than a whole code: a telephone number and a ticket number prove nothing, since a thief has both. Unknown, wrong,
// called off, too early and too late are one answer. It knows no customer by whom it could be asked.
// Invariant: whoever has no code learns nothing of any call, however often and from however many places he asks.
package assure

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport"
)

// What is done about a call, as AssuredCall.Do.
const (
	Schedule = "schedule"
	Cancel   = "cancel"
	Check    = "check"  // who had the code asked about it
	Asked    = "ask"    // somebody typed a number of this customer's, who is written to
	Told     = "told"   // the answer has left
	Untold   = "untold" // nobody took the answer, for as long as it was tried
)

// Topics are what a call can be about. The customer is told in the words of the texts.
func Topics() []string { return []string{"request", "contract", "invoice", "technical", "security"} }

// The bounds of calls.
const (
	Ahead        = 14 * 24 * time.Hour // a call is scheduled so far ahead at most
	Longest      = 8 * time.Hour       // and its window is no longer
	Early        = 5 * time.Minute     // people call a little before the time, and a little after
	mostOpen     = 50                  // calls of one caller that are to come
	MostChecks   = 5                   // of one call that are put on record
	CodeLetters  = 12                  // of 32 letters each: 60 bits, which nobody tries through
	codeAlphabet = "ABCDEFGHJKMNPQRSTVWXYZ0123456789"
)

// ErrCall says that something about a call cannot be done.
var ErrCall = errors.New("this call cannot be scheduled")

// Code is the code of a call, as people read it out: made of 60 random bits, in three groups.
func Code(random [8]byte) string {
	n := binary.BigEndian.Uint64(random[:])
	var b strings.Builder
	for i := range CodeLetters {
		if i > 0 && i%4 == 0 {
			b.WriteByte('-')
		}
		b.WriteByte(codeAlphabet[n&31])
		n >>= 5
	}
	return b.String()
}

// Digest is that of a code, however it was typed: in small letters, without dashes, with the letters that look like numbers.
func Digest(code string) (d [sha256.Size]byte, ok bool) {
	clean := strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == ' ' || r == '.' || r == '\t':
			return -1
		case r == 'o' || r == 'O':
			return '0'
		case r == 'i' || r == 'I' || r == 'l' || r == 'L':
			return '1'
		case r == 'u' || r == 'U':
			return 'V'
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, code)
	if len(clean) != CodeLetters || strings.Trim(clean, codeAlphabet) != "" {
		return d, false
	}
	return sha256.Sum256([]byte("sallyport call " + clean)), true
}

// Call is one that was scheduled.
type Call struct {
	sallyport.AssuredCall
	By        sallyport.Staff
	At        time.Time
	Cancelled bool
	Checks    int
}

// Book is the fold. It is safe for use by many goroutines.
type Book struct {
	mu     sync.Mutex // guards what follows
	calls  map[string]*Call
	byCode map[[sha256.Size]byte]*Call
	order  []string
}

// NewBook is one in which nothing stands.
func NewBook() *Book {
	return &Book{calls: map[string]*Call{}, byCode: map[[sha256.Size]byte]*Call{}}
}

// Apply takes an entry of the control stream.
func (b *Book) Apply(e *sallyport.Event) {
	if e.Kind != sallyport.AssuredKind || e.Order == nil || e.Order.Assured == nil {
		return
	}
	a := e.Order.Assured
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[a.ID]
	switch {
	case a.Do == Schedule && c == nil && len(a.Code) == sha256.Size:
		c = &Call{AssuredCall: *a, By: e.Order.By, At: e.Time}
		b.calls[a.ID], b.byCode[[sha256.Size]byte(a.Code)] = c, c
		b.order = append(b.order, a.ID)
	case a.Do == Cancel && c != nil:
		c.Cancelled = true
	case a.Do == Check && c != nil:
		c.Checks++
	}
	b.forget(e.Time)
}

// forget drops calls that were over long ago. b.mu is held.
func (b *Book) forget(now time.Time) {
	for len(b.order) > 0 {
		c := b.calls[b.order[0]]
		if now.Sub(c.Until) < Ahead {
			return
		}
		delete(b.calls, c.ID)
		delete(b.byCode, [sha256.Size]byte(c.Code))
		b.order = b.order[1:]
	}
}

// CheckSchedule tells whether a call can be scheduled, at the moment of doing so.
func (b *Book) CheckSchedule(a *sallyport.AssuredCall, now time.Time) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	open := 0
	for _, c := range b.calls {
		if c.Caller == a.Caller && !c.Cancelled && c.Until.After(now) {
			open++
		}
	}
	bad := func(why string) error { return fmt.Errorf("%w: %s", ErrCall, why) }
	switch {
	case a.ID == "" || b.calls[a.ID] != nil || len(a.Code) != sha256.Size || b.byCode[[sha256.Size]byte(a.Code)] != nil:
		return bad("its id or its code is there already")
	case a.Customer == "" || a.Caller == "":
		return bad("it names its customer and who calls")
	case !slices.Contains(Topics(), a.About):
		return bad("it is about one of " + strings.Join(Topics(), ", "))
	case !a.Until.After(now) || !a.Until.After(a.From):
		return bad("it is over already")
	case a.From.Sub(now) > Ahead:
		return bad("it is more than 14 days ahead")
	case a.Until.Sub(a.From) > Longest:
		return bad("it takes 8 hours at most")
	case open >= mostOpen:
		return bad("so many of this person are to come already")
	}
	return nil
}

// CheckCancel tells whether a call can be called off: by who calls, who scheduled it, and whoever oversees access.
func (b *Book) CheckCancel(id string, by sallyport.Staff, oversees bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.calls[id]
	if c == nil || c.Cancelled || !oversees && by != c.Caller && by != c.By {
		return fmt.Errorf("%w: there is none of this id that is yours to call off", ErrCall)
	}
	return nil
}

// For lists the calls of a customer that are to be made at this moment.
func (b *Book) For(customer sallyport.Subject, now time.Time) (list []Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		if c := b.calls[id]; c.Customer == customer && !c.Cancelled && !now.Before(c.From.Add(-Early)) && !now.After(c.Until.Add(Early)) {
			list = append(list, *c)
		}
	}
	return list
}

// Of lists calls that are not over: somebody's own, or everybody's.
func (b *Book) Of(who sallyport.Staff, all bool, now time.Time) (list []Call) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range b.order {
		if c := b.calls[id]; c.Until.Add(Early).After(now) && !c.Cancelled && (all || c.Caller == who || c.By == who) {
			list = append(list, *c)
		}
	}
	return list
}

// Now is the call of a code, if it is to be made at this moment. Every other answer is the same one, from the same work.
func (b *Book) Now(code string, now time.Time) (Call, bool) {
	d, _ := Digest(code) // what is no code is looked up as one: nobody has it
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.byCode[d]
	if c == nil || c.Cancelled || now.Before(c.From.Add(-Early)) || now.After(c.Until.Add(Early)) {
		return Call{}, false
	}
	return *c, true
}
