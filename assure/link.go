package assure

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"sallyport"
)

// A link shows a customer which kind of staff has seen his data. It is signed, and ends by itself; it holds a random number and a time, and nothing of
// the customer: whose it is stands on record.
const (
	// LinkLongest is how long one may hold.
	LinkLongest = 90 * 24 * time.Hour
	// MostOpened is how often it is put on record that a link was opened.
	MostOpened = 20
	linkID     = 16
	linkSize   = linkID + 8 + sha256.Size
)

// What is done with a link, as CustomerLink.Do.
const (
	IssueLink  = "issue"
	EndLink    = "end"
	OpenedLink = "open"
)

// ErrLink says that nothing can be done with a link.
var ErrLink = errors.New("customer link")

// SignLink is the text of a link.
func SignLink(key []byte, id [linkID]byte, until time.Time) string {
	b := binary.BigEndian.AppendUint64(id[:], uint64(until.Unix())) //nolint:gosec // a time of our days
	return base64.RawURLEncoding.EncodeToString(append(b, linkSum(key, b)...))
}

func linkSum(key, b []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("sallyport customer link\x00"))
	h.Write(b)
	return h.Sum(nil)
}

// LinkName is the id of a link as it stands on record.
func LinkName(id [linkID]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ReadLink is the id of a link that was signed by this key and is not over; ok is false for every other text.
func ReadLink(key []byte, text string, now time.Time) (id string, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != linkSize {
		b = make([]byte, linkSize) // the same work for what is no link
	}
	signed := b[:linkID+8]
	right := subtle.ConstantTimeCompare(linkSum(key, signed), b[linkID+8:]) == 1
	until := time.Unix(int64(binary.BigEndian.Uint64(signed[linkID:])), 0) //nolint:gosec // signed by us
	return LinkName([linkID]byte(signed[:linkID])), right && now.Before(until)
}

// Link is one that was issued.
type Link struct {
	sallyport.CustomerLink
	By     sallyport.Staff
	At     time.Time
	Ended  bool
	Opened int
}

// Links is the fold. It is safe for use by many goroutines.
type Links struct {
	mu   sync.Mutex // guards what follows
	byID map[string]*Link
	list []string
}

// NewLinks is one in which nothing stands.
func NewLinks() *Links { return &Links{byID: map[string]*Link{}} }

// Apply takes an entry of the control stream.
func (l *Links) Apply(e *sallyport.Event) {
	if e.Kind != sallyport.LinkKind || e.Order == nil || e.Order.Link == nil {
		return
	}
	x := e.Order.Link
	l.mu.Lock()
	defer l.mu.Unlock()
	switch known := l.byID[x.ID]; {
	case x.Do == IssueLink && known == nil && x.ID != "":
		l.byID[x.ID] = &Link{CustomerLink: *x, By: e.Order.By, At: e.Time}
		l.list = append(l.list, x.ID)
	case x.Do == EndLink && known != nil:
		known.Ended = true
	case x.Do == OpenedLink && known != nil:
		known.Opened++
	}
	for len(l.list) > 0 && !l.byID[l.list[0]].Until.Add(LinkLongest).After(e.Time) {
		delete(l.byID, l.list[0])
		l.list = l.list[1:]
	}
}

// Holds is the link of an id, while it holds.
func (l *Links) Holds(id string, now time.Time) (Link, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.byID[id]
	if x == nil || x.Ended || !now.Before(x.Until) {
		return Link{}, false
	}
	return *x, true
}

// Held are those that hold, in the order in which they were issued.
func (l *Links) Held(now time.Time) (list []Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.list {
		if x := l.byID[id]; !x.Ended && now.Before(x.Until) {
			list = append(list, *x)
		}
	}
	return list
}
