package canary

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
)

// Book is all that is known of canaries: a fold of both streams of the record. It is safe for concurrent use.
type Book struct {
	key      Key
	settings Settings

	values atomic.Pointer[values] // read for each value that is revealed
	any    atomic.Bool            // somebody was shown something

	mu       sync.Mutex // guards what follows
	canaries map[ID]*Canary
	subjects map[sallyport.Subject]*Canary
	tokens   map[sallyport.Digest]*Canary
	views    map[viewKey]*Sighting
	shown    map[sallyport.Digest][]*Sighting
	uses     map[sallyport.Digest]int // of numbers
	heard    []Heard
	ids      map[string]bool // of what was heard
	first    time.Time       // when the first canary was planted
}

// values are canaries by the digests of what their tokens stand for. The filter answers for nearly all values that are nobody's: a digest is as good as
// random, so two bytes of it say which bit.
type values struct {
	filter [1 << 16 / 64]uint64
	of     map[sallyport.Digest]*Canary
}

func (v *values) add(d sallyport.Digest, c *Canary) {
	at := binary.LittleEndian.Uint16(d[:])
	v.filter[at/64] |= 1 << (at % 64)
	v.of[d] = c
}

// viewKey is who is shown what.
type viewKey struct {
	canary ID
	scheme sallyport.Scheme
	viewer sallyport.Staff
	grant  string
	period string
}

// Sighting is a detail that one viewer was shown in one period.
type Sighting struct {
	Canary *Canary
	Scheme sallyport.Scheme
	Viewer sallyport.Staff
	Grant  string
	Digest sallyport.Digest
	Looks  []Look // oldest first; at most mostLooks
	text   string
	key    viewKey
}

// Look is one statement by which it was shown.
type Look struct {
	Time      time.Time
	Session   string
	Statement uint64
	Seq       uint64 // of the entry
	Who       sallyport.Who
}

// mostLooks is how many are kept of one sighting: the first ones say when it could have leaked.
const mostLooks = 100

// Heard is a mail or a call, as it stands on record.
type Heard struct {
	sallyport.CanaryHeard
	Time time.Time // when it was recorded
	Seq  uint64
}

// NewBook is an empty one. Apply fills it.
func NewBook(key Key, s Settings) *Book {
	b := &Book{
		key: key, settings: s, canaries: map[ID]*Canary{}, subjects: map[sallyport.Subject]*Canary{}, tokens: map[sallyport.Digest]*Canary{},
		views: map[viewKey]*Sighting{}, shown: map[sallyport.Digest][]*Sighting{}, uses: map[sallyport.Digest]int{}, ids: map[string]bool{},
	}
	b.values.Store(&values{})
	return b
}

// Apply folds one entry of either stream. What was sealed with another key is an error, and changes nothing.
func (b *Book) Apply(e *sallyport.Event) error {
	switch {
	case e.Kind == sallyport.CanaryShownKind && e.Canary != nil:
		b.look(e)
	case e.Kind == sallyport.CanaryPlanted && e.Order != nil:
		c, err := b.key.Open(e.Order.Sealed)
		if err != nil {
			return err
		}
		b.plant(c)
	case e.Kind == sallyport.CanaryHeardKind && e.Order != nil && e.Order.CanaryHeard != nil:
		b.mu.Lock()
		b.heard = append(b.heard, Heard{CanaryHeard: *e.Order.CanaryHeard, Time: e.Time, Seq: e.Seq})
		b.ids[e.Order.CanaryHeard.ID] = true
		b.mu.Unlock()
	}
	return nil
}

// Open opens a sealed canary.
func (b *Book) Open(sealed []byte) (*Canary, error) { return b.key.Open(sealed) }

// Key is the one that the book was made with.
func (b *Book) Key() Key { return b.key }

// plant adds a canary, or what is known of it by now.
func (b *Book) plant(c *Canary) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if old := b.canaries[c.ID]; old != nil {
		c.Values, c.Tokens = union(old.Values, c.Values), union(old.Tokens, c.Tokens)
	}
	if b.first.IsZero() || c.Planted.Before(b.first) {
		b.first = c.Planted
	}
	b.canaries[c.ID], b.subjects[c.Subject] = c, c
	for _, d := range c.Tokens {
		b.tokens[d] = c
	}
	known := &values{of: map[sallyport.Digest]*Canary{}}
	for _, one := range b.canaries {
		for _, d := range one.Values {
			known.add(d, one)
		}
	}
	b.values.Store(known)
}

func union(a, b []sallyport.Digest) []sallyport.Digest {
	out := slices.Clone(a)
	for _, d := range b {
		if !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// ByValue is the canary whose value has a digest; nil: it is nobody's. It is asked for each value that is revealed.
func (b *Book) ByValue(d sallyport.Digest) *Canary {
	known := b.values.Load()
	at := binary.LittleEndian.Uint16(d[:])
	if known.filter[at/64]>>(at%64)&1 == 0 {
		return nil
	}
	return known.of[d]
}

// Subject is the canary that a customer is; nil: he exists.
func (b *Book) Subject(s sallyport.Subject) *Canary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.subjects[s]
}

// ByToken is the canary whose token has a digest.
func (b *Book) ByToken(d sallyport.Digest) *Canary {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tokens[d]
}

// ByID is the canary that an entry speaks of.
func (b *Book) ByID(id []byte) *Canary {
	if len(id) != len(ID{}) {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.canaries[ID(id)]
}

// Show is what a view is shown in the place of a canary's detail, and what is to be recorded of it before that leaves. It is nil where the company
// has given nothing to show: then the view is shown what stands there.
func (b *Book) Show(c *Canary, scheme sallyport.Scheme, v View) (text string, e *sallyport.CanaryShown) {
	period := b.settings.period(&v)
	key := viewKey{c.ID, scheme, v.Viewer, v.Grant, period}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.views[key]
	if s == nil {
		s = &Sighting{Canary: c, Scheme: scheme, Viewer: v.Viewer, Grant: v.Grant, key: key}
		switch scheme { //nolint:exhaustive // the schemes of contact details
		case sallyport.Email:
			s.text = b.key.address(b.settings.Domains, c.ID, &v, period)
		case sallyport.Phone:
			s.text = b.number(c.ID, &v, period)
		}
		if s.text == "" {
			return "", nil
		}
		s.Digest = b.key.Digest(scheme, s.text)
		b.keep(s)
	}
	if s.text == "" {
		if s = b.retold(s); s == nil {
			return "", nil
		}
	}
	return s.text, &sallyport.CanaryShown{Canary: c.ID[:], Scheme: scheme, Period: period, Grant: v.Grant, Digest: s.Digest}
}

// keep notes a sighting. The caller holds mu.
func (b *Book) keep(s *Sighting) {
	b.views[s.key] = s
	b.shown[s.Digest] = append(b.shown[s.Digest], s)
	if s.Scheme == sallyport.Phone {
		b.uses[s.Digest]++
	}
	b.any.Store(true)
}

// number is that of the pool which the fewest were shown, in an order that nobody knows without the key. The caller holds mu.
func (b *Book) number(id ID, v *View, period string) string {
	best, least, rank := "", 0, uint64(0)
	for _, n := range b.settings.Numbers {
		uses, r := b.uses[b.key.Digest(sallyport.Phone, n)], b.key.rank(n, id, v, period)
		if best == "" || uses < least || uses == least && r < rank {
			best, least, rank = n, uses, r
		}
	}
	return best
}

// retold is a sighting that was read from the record, with its text. Where what was given is not given any more, it is another one, with something else
// to show from now on; nil: nothing is given. The caller holds mu.
func (b *Book) retold(s *Sighting) *Sighting {
	v := View{Viewer: s.Viewer, Grant: s.Grant}
	var texts []string
	if s.Scheme == sallyport.Phone {
		texts = b.settings.Numbers
	}
	for _, d := range b.settings.Domains {
		if s.Scheme == sallyport.Email {
			texts = append(texts, b.key.address([]string{d}, s.Canary.ID, &v, s.key.period))
		}
	}
	for _, text := range texts {
		if b.key.Digest(s.Scheme, text) == s.Digest {
			s.text = text
			return s
		}
	}
	fresh := &Sighting{Canary: s.Canary, Scheme: s.Scheme, Viewer: s.Viewer, Grant: s.Grant, key: s.key}
	if s.Scheme == sallyport.Email {
		fresh.text = b.key.address(b.settings.Domains, s.Canary.ID, &v, s.key.period)
	} else {
		fresh.text = b.number(s.Canary.ID, &v, s.key.period)
	}
	if fresh.text == "" {
		return nil
	}
	fresh.Digest = b.key.Digest(s.Scheme, fresh.text)
	b.keep(fresh)
	return fresh
}

// look folds that something was shown.
func (b *Book) look(e *sallyport.Event) {
	x := e.Canary
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(x.Canary) != len(ID{}) {
		return
	}
	id := ID(x.Canary)
	c := b.canaries[id]
	if c == nil {
		c = &Canary{ID: id} // its entry comes later, or cannot be opened
	}
	key := viewKey{id, x.Scheme, e.Who.Staff, x.Grant, x.Period}
	s := b.views[key]
	if s == nil || s.Digest != x.Digest {
		s = &Sighting{Canary: c, Scheme: x.Scheme, Viewer: e.Who.Staff, Grant: x.Grant, Digest: x.Digest, key: key}
		b.keep(s)
	}
	if len(s.Looks) < mostLooks {
		s.Looks = append(s.Looks, Look{Time: e.Time, Session: e.Who.Session, Statement: x.Statement, Seq: e.Seq, Who: e.Who})
	}
}

// Base is what a detail that a viewer was shown stands for: so that whoever searches by it or writes it back does as if it were the customer's.
func (b *Book) Base(viewer sallyport.Staff, scheme sallyport.Scheme, text string) (base string, ok bool) {
	if !b.any.Load() || scheme != sallyport.Email && scheme != sallyport.Phone {
		return "", false
	}
	d := b.key.Digest(scheme, text)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.shown[d] {
		c := b.canaries[s.Canary.ID]
		switch {
		case c == nil:
		case scheme == sallyport.Email && c.Email != "":
			return c.Email, true
		case scheme == sallyport.Phone && c.Phone != "" && s.Viewer == viewer:
			return c.Phone, true
		}
	}
	return "", false
}

// Who are the sightings of a detail, the earliest first.
func (b *Book) Who(scheme sallyport.Scheme, text string) []Sighting {
	return b.WhoByDigest(b.key.Digest(scheme, text))
}

// WhoByDigest is Who by the detail's digest.
func (b *Book) WhoByDigest(d sallyport.Digest) []Sighting {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Sighting
	for _, s := range b.shown[d] {
		if len(s.Looks) == 0 {
			continue // the row was cut before it left
		}
		x := *s
		x.Looks, x.text = slices.Clone(s.Looks), ""
		if c := b.canaries[s.Canary.ID]; c != nil {
			x.Canary = c
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(x, y Sighting) int { return x.Looks[0].Time.Compare(y.Looks[0].Time) })
	return out
}

// Listens tells whether a detail is one that the company gave: an address at a catch-all domain, a number of the pool.
func (b *Book) Listens(scheme sallyport.Scheme, text string) bool {
	return b.settings.Listens(scheme, text)
}

// Listens tells whether a detail is one that is heard: an address at one of the domains, a number of the pool.
func (s *Settings) Listens(scheme sallyport.Scheme, text string) bool {
	text = canonical(scheme, text)
	if scheme != sallyport.Phone && scheme != sallyport.Email {
		return false
	}
	if scheme == sallyport.Phone {
		return slices.ContainsFunc(s.Numbers, func(n string) bool { return canonical(scheme, n) == text })
	}
	return slices.ContainsFunc(s.Domains, func(d string) bool { return len(text) > len(d)+1 && text[len(text)-len(d)-1:] == "@"+d })
}

// Counts are figures that tell nobody which customers they are.
type Counts struct {
	Planted int `json:"planted"`
	Drill   int `json:"drill"`
	Shown   int `json:"shown"`   // canaries of which somebody was shown a detail
	Viewers int `json:"viewers"` // who were
	Heard   int `json:"heard"`   // mails and calls
}

// Counts counts.
func (b *Book) Counts() (n Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen, viewers := map[ID]bool{}, map[sallyport.Staff]bool{}
	for _, c := range b.canaries {
		switch {
		case c.Gone:
		case c.Drill:
			n.Drill++
		default:
			n.Planted++
		}
	}
	for _, s := range b.views {
		if len(s.Looks) > 0 {
			seen[s.Canary.ID], viewers[s.Viewer] = true, true
		}
	}
	n.Shown, n.Viewers, n.Heard = len(seen), len(viewers), len(b.heard)
	return n
}

// Canaries are all of them, in the order of planting. Only code that keeps them to itself may ask.
func (b *Book) Canaries() []*Canary {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := slices.Collect(maps.Values(b.canaries))
	slices.SortFunc(list, func(x, y *Canary) int {
		if c := x.Planted.Compare(y.Planted); c != 0 {
			return c
		}
		return slices.Compare(x.ID[:], y.ID[:])
	})
	return list
}

// WasHeard tells whether a message was heard already.
func (b *Book) WasHeard(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ids[id]
}

// Heard is what was heard at a detail, or at all of them where d is nil, in the order of arrival.
func (b *Book) Heard(d *sallyport.Digest) (list []Heard) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range b.heard {
		if d == nil || h.Digest == *d {
			list = append(list, h)
		}
	}
	return list
}

// Background is what is known of calls that come anyway: to the numbers of the pool, but one, at times at which nobody had been shown them. since is
// from when on calls are told; zero: when the first canary was planted.
func (b *Book) Background(since, now time.Time, besides *sallyport.Digest) (began time.Time, g Background) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if began = since; began.IsZero() {
		began = b.first
	}
	if began.IsZero() || began.After(now) {
		began = now
	}
	for _, n := range b.settings.Numbers {
		d := b.key.Digest(sallyport.Phone, n)
		if besides != nil && d == *besides {
			continue
		}
		until := now
		for _, s := range b.shown[d] {
			if len(s.Looks) > 0 && s.Looks[0].Time.Before(until) {
				until = s.Looks[0].Time
			}
		}
		if until.Before(began) {
			continue
		}
		g.Days += until.Sub(began).Hours() / 24
		for i := range b.heard {
			h := &b.heard[i]
			if at := h.when(); h.Digest == d && !h.Own && at.Before(until) && !at.Before(began) {
				g.Calls++
			}
		}
	}
	return began, g
}

func (h *Heard) when() time.Time {
	if h.At.IsZero() {
		return h.Time
	}
	return h.At
}
