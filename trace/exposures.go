package trace

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sallyport"
)

// Fields are what somebody saw of a customer, or what a caller knew: a set of bits.
type Fields uint8

// The fields that a report can quote.
const (
	NameField Fields = 1 << iota
	PhoneField
	EmailField
	TicketField
	AllFields = NameField | PhoneField | EmailField | TicketField
)

// Seen is one customer whom somebody was shown.
type Seen struct {
	Staff    sallyport.Staff
	Customer sallyport.Subject
	At       time.Time
	Fields   Fields // 0: not known which, so any

	Unexplained bool // nobody can explain why
	Made        bool // Staff made the reason, and somebody else looked
}

// A view is one of the sets of customers that a person may have sold: all that he saw, what nobody can explain of it, or those for whom he
// made somebody else a reason to look.
type view uint8

const (
	whole view = iota
	unexplained
	made
	views // how many there are
)

// seen is a row of the index: a customer in a view, and when he first stood there.
type seen struct {
	customer uint32 // number of the customer in the index
	viewer   uint32 // views × number of the person + view
	at       uint32 // seconds since 1970
	fields   Fields // all that were seen by then; first come, the rest is added whatever the time
}

// Exposures is who was shown which customer, and when first. It takes 32 bytes a customer and person, and the customer's key once.
type Exposures struct {
	Team map[sallyport.Staff]string          // of whom it is known
	Same map[sallyport.Staff]sallyport.Staff // accounts that are one person's: account → person
	byNo []sallyport.Staff                   // person's number → person
	no   map[sallyport.Staff]uint32          // and back
	text map[sallyport.Subject]uint32        // customers whose key is no number
	num  map[uint64]uint32                   // customers whose key is one
	back []sallyport.Subject                 // customer's number → key; made by index for those asked for
	rows []seen
	sum  index
}

// index is what questions are put to: rows by customer, and per viewer when each of his customers came.
type index struct {
	rows   int      // how many of Exposures.rows it holds
	start  []uint32 // customer → first of his rows; one more at the end
	times  [][]uint32
	whom   [][]uint32 // which customers these are
	anyone []uint32   // when each customer was first seen by anybody, in order
}

// NewExposures is the state before the first event.
func NewExposures() *Exposures {
	return &Exposures{no: map[sallyport.Staff]uint32{}, text: map[sallyport.Subject]uint32{}, num: map[uint64]uint32{}}
}

// Add notes one customer whom somebody was shown; what is not known of (an empty id) is left out. The order does not matter.
func (x *Exposures) Add(s Seen) {
	if s.Customer == "" || s.Staff == "" {
		return
	}
	if s.Fields == 0 {
		s.Fields = AllFields
	}
	row := seen{customer: x.customer(s.Customer), viewer: viewerOf(x.person(s.Staff), whole), at: seconds(s.At), fields: s.Fields}
	if s.Made {
		row.viewer += uint32(made)
		x.rows = append(x.rows, row)
		return
	}
	x.rows = append(x.rows, row)
	if s.Unexplained {
		row.viewer += uint32(unexplained)
		x.rows = append(x.rows, row)
	}
}

// Rows is how many customers and people it holds, each pair once after a question.
func (x *Exposures) Rows() int { return len(x.rows) }

// Apply notes what an entry of the access stream shows. A value of which only the digest is known counts for nobody.
func (x *Exposures) Apply(e *sallyport.Event) {
	if e.Reveal == nil || e.Kind != sallyport.RevealKind {
		return
	}
	for v := range e.Reveal.Values.All() {
		var f Fields
		if int(v.Column) < len(e.Reveal.Columns) {
			f = FieldOf(e.Reveal.Columns[v.Column].Name)
		}
		if f != 0 && slices.ContainsFunc(e.Reveal.Purposes, func(p sallyport.Purpose) bool { return p.Kind == "ticket" }) {
			f |= TicketField // he who names a ticket knows it
		}
		x.Add(Seen{Staff: e.Who.Staff, Customer: v.Subject, At: e.Time, Fields: f})
	}
}

func viewerOf(person uint32, v view) uint32 { return person*uint32(views) + uint32(v) }

// one is the person whose account it is.
func (x *Exposures) one(s sallyport.Staff) sallyport.Staff {
	if p, ok := x.Same[s]; ok {
		return p
	}
	return s
}

func (x *Exposures) person(s sallyport.Staff) uint32 {
	s = x.one(s)
	n, ok := x.no[s]
	if !ok {
		n = uint32(len(x.byNo)) //nolint:gosec // a company has fewer people
		x.no[s] = n
		x.byNo = append(x.byNo, s)
	}
	return n
}

func (x *Exposures) customer(c sallyport.Subject) uint32 {
	next := uint32(len(x.back)) //nolint:gosec // bounded by 4 G customers
	if key, ok := sallyport.WholeNumber(c); ok {
		if n, ok := x.num[key]; ok {
			return n
		}
		x.num[key] = next
	} else {
		if n, ok := x.text[c]; ok {
			return n
		}
		x.text[c] = next
	}
	x.back = append(x.back, c)
	return next
}

// known is the number of a customer whom somebody saw.
func (x *Exposures) known(c sallyport.Subject) (uint32, bool) {
	if key, ok := sallyport.WholeNumber(c); ok {
		n, ok := x.num[key]
		return n, ok
	}
	n, ok := x.text[c]
	return n, ok
}

func seconds(t time.Time) uint32 {
	return uint32(min(max(t.Unix(), 0), math.MaxUint32)) //nolint:gosec // bounded
}

// build brings the index up to what was added since: each customer and viewer once, at the first time.
func (x *Exposures) build() {
	if x.sum.rows == len(x.rows) && x.sum.start != nil {
		return
	}
	x.sort()
	kept := x.rows[:0]
	for _, r := range x.rows {
		if n := len(kept); n > 0 && kept[n-1].customer == r.customer && kept[n-1].viewer == r.viewer {
			kept[n-1].fields |= r.fields
			continue
		}
		kept = append(kept, r)
	}
	x.rows = kept
	s := index{
		rows: len(kept), start: make([]uint32, len(x.back)+1), anyone: make([]uint32, len(x.back)),
	}
	for i := range s.anyone {
		s.anyone[i] = math.MaxUint32
	}
	for _, r := range kept {
		s.start[r.customer+1]++
		if r.viewer%uint32(views) == uint32(whole) {
			s.anyone[r.customer] = min(s.anyone[r.customer], r.at)
		}
	}
	for i := 1; i < len(s.start); i++ {
		s.start[i] += s.start[i-1]
	}
	slices.Sort(s.anyone)
	s.times, s.whom = x.byViewer(kept)
	x.sum = s
}

// byViewer is when each of a viewer's customers came, in order, and who that was.
func (x *Exposures) byViewer(rows []seen) (times, whom [][]uint32) {
	n := len(x.byNo) * int(views)
	count := make([]int, n)
	for _, r := range rows {
		count[r.viewer]++
	}
	times, whom = make([][]uint32, n), make([][]uint32, n)
	for v, k := range count {
		if k > 0 {
			times[v], whom[v] = make([]uint32, 0, k), make([]uint32, 0, k)
		}
	}
	for _, r := range rows {
		times[r.viewer], whom[r.viewer] = append(times[r.viewer], r.at), append(whom[r.viewer], r.customer)
	}
	each(n, func(v int) {
		both := make([]uint64, len(times[v]))
		for i, at := range times[v] {
			both[i] = uint64(at)<<32 | uint64(whom[v][i])
		}
		slices.Sort(both)
		for i, b := range both {
			times[v][i], whom[v][i] = uint32(b>>32), uint32(b) //nolint:gosec // its two halves
		}
	})
	return times, whom
}

// each does something n times, on as many processors as there are. What is done for one number must not depend on another.
func each(n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

// sort puts rows in the order of customer, viewer and time: dealt out by customer first, since there may be a hundred million.
func (x *Exposures) sort() {
	next := make([]uint32, len(x.back)+1)
	for _, r := range x.rows {
		next[r.customer+1]++
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	dealt := make([]seen, len(x.rows))
	for _, r := range x.rows {
		dealt[next[r.customer]] = r
		next[r.customer]++
	}
	begin := uint32(0)
	for c := range x.back {
		end := next[c]
		slices.SortFunc(dealt[begin:end], func(a, b seen) int {
			return cmp.Or(cmp.Compare(a.viewer, b.viewer), cmp.Compare(a.at, b.at))
		})
		begin = end
	}
	x.rows = dealt
}

// of are the rows of one customer.
func (x *Exposures) of(customer uint32) []seen {
	return x.rows[x.sum.start[customer]:x.sum.start[customer+1]]
}

// upTo counts those of an ordered list that are not after at.
func upTo(times []uint32, at uint32) int {
	n, _ := slices.BinarySearchFunc(times, at, func(t, at uint32) int {
		if t <= at {
			return -1
		}
		return 1
	})
	return n
}

// cursor counts those of an ordered list that are not after a time; quickly where one time follows on another.
type cursor struct {
	times []uint32
	at    uint32
	n     int
}

func (c *cursor) upTo(at uint32) int {
	if at < c.at {
		c.n = 0
	}
	c.at = at
	rest := c.times[c.n:]
	if len(rest) == 0 || rest[0] > at {
		return c.n
	}
	step := 1
	for step < len(rest) && rest[step] <= at {
		step *= 2
	}
	c.n += step/2 + upTo(rest[step/2:min(step, len(rest))], at)
	return c.n
}

// viewed is who stands behind a viewer.
func (x *Exposures) viewed(viewer uint32) sallyport.Staff { return x.byNo[viewer/uint32(views)] }

// FieldOf is what a column's name says that it shows; 0 where it says nothing.
func FieldOf(column string) Fields {
	switch column {
	case "full_name", "name", "first_name", "last_name":
		return NameField
	case "phone", "mobile", "telephone":
		return PhoneField
	case "email", "mail":
		return EmailField
	case "ticket_no", "ticket", "number":
		return TicketField
	default:
		return 0
	}
}

// ParseFields reads what a report quotes; words that no column answers to are left out.
func ParseFields(quoted []string) (f Fields) {
	for _, word := range quoted {
		f |= FieldOf(word)
	}
	return f
}
