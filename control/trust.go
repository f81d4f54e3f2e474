package control

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"sallyport"
)

// FullTrust is what everybody has of whom nothing else was said.
const FullTrust = 100

// doors are what the second door goes by: how far somebody is trusted right now, and when he last proved who he is.
type doors struct {
	trust     map[sallyport.Staff]int            // by people's word
	word      map[sallyport.Staff]Doubt          // likewise, with whose and why
	caps      map[sallyport.Staff]map[string]int // by Sallyport's own, by the response that lowered it: each is undone by itself
	confirmed map[sallyport.Staff]time.Time
	how       map[sallyport.Staff]string // he last did, as Order.Details
	seconded  map[sallyport.Staff]time.Time
	turned    chan struct{} // closed and made anew with each change
}

func newDoors() doors {
	return doors{trust: map[sallyport.Staff]int{}, word: map[sallyport.Staff]Doubt{}, caps: map[sallyport.Staff]map[string]int{}, confirmed: map[sallyport.Staff]time.Time{}, how: map[sallyport.Staff]string{}, seconded: map[sallyport.Staff]time.Time{}, turned: make(chan struct{})}
}

// turn tells whoever waits at a door that something changed. The caller holds the state's mu.
func (d *doors) turn() {
	close(d.turned)
	d.turned = make(chan struct{})
}

// How somebody confirmed who he is, as Order.Details. Empty: by his password.
const (
	ByProvider   = "oidc"             // at the identity provider, which does not say by which means
	ByOneFactor  = "oidc one factor"  // likewise; it names means, and none that is more than a password
	ByTwoFactors = "oidc two factors" // likewise, with more than a password
	ByPasskey    = "passkey"          // by a passkey that had him prove who he is to it
)

// confirm notes that somebody has just proven who he is.
func (d *doors) confirm(e *sallyport.Event, o *sallyport.Order) {
	if o.By == "" || o.By != o.About {
		return
	}
	d.confirmed[o.By], d.how[o.By] = e.Time, o.Details
	d.turn()
}

// believe sets somebody's trust. It goes down by anybody's word but his own; up it goes by an approved proposal alone.
func (d *doors) believe(who sallyport.Staff, text string, word Doubt, approved bool) {
	n, ok := ParseTrust(text)
	if !ok || who == "" || who == word.By && !approved || !approved && n > d.of(who) {
		return
	}
	word.Trust = n
	d.trust[who], d.word[who] = n, word
	if approved {
		delete(d.caps, who) // two people have looked at it
	}
	d.turn()
}

// cap lowers somebody's trust because of a finding.
func (d *doors) cap(who sallyport.Staff, response, text string) {
	n, ok := ParseTrust(text)
	if !ok || who == "" {
		return
	}
	if d.caps[who] == nil {
		d.caps[who] = map[string]int{}
	}
	d.caps[who][response] = n
	d.turn()
}

// uncap takes that back.
func (d *doors) uncap(who sallyport.Staff, response string) {
	if _, ok := d.caps[who][response]; ok {
		delete(d.caps[who], response)
		d.turn()
	}
}

func (d *doors) of(who sallyport.Staff) int {
	n, ok := d.trust[who]
	if !ok {
		n = FullTrust
	}
	for _, most := range d.caps[who] {
		n = min(n, most)
	}
	return n
}

// ParseTrust reads a trust of 0 to 100.
func ParseTrust(text string) (n int, ok bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 0 && n <= FullTrust
}

// Doubt is one reason for which somebody is trusted less.
type Doubt struct {
	Trust    int    // that it leaves him
	Response string // of Sallyport itself, because of a finding; empty: a person's word
	By       sallyport.Staff
	At       time.Time // of a person's word
	Reason   string    // likewise
}

// Doubts are the reasons why somebody is trusted as he is, the weightiest first.
func (s *State) Doubts(who sallyport.Staff) (list []Doubt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, ok := s.doors.word[who]; ok && w.Trust < FullTrust {
		list = append(list, w)
	}
	for id, n := range s.doors.caps[who] {
		list = append(list, Doubt{Trust: n, Response: id})
	}
	slices.SortFunc(list, func(a, b Doubt) int { return cmp.Or(a.Trust-b.Trust, cmp.Compare(a.Response, b.Response)) })
	return list
}

// Door is what is known of somebody at the second door. A time that is zero: never.
type Door struct {
	Trust     int       // 0 to 100
	Confirmed time.Time // when he last proved who he is, beside his log-in
	How       string    // by which means then: ByProvider, …
	Seconded  time.Time // when a colleague last agreed to what he does
}

// Door is that of one person.
func (s *State) Door(who sallyport.Staff) Door {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Door{Trust: s.doors.of(who), Confirmed: s.doors.confirmed[who], How: s.doors.how[who], Seconded: s.doors.seconded[who]}
}

// Turn has what is known of people asked anew: something beside this state has changed it.
func (s *State) Turn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doors.turn()
}

// Turned is closed when somebody's door changes after this call.
func (s *State) Turned() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doors.turned
}
