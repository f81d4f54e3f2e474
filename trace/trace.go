// Package trace goes from "I got a strange call" to a name: it compares whose data each person had seen before customers reported with what
// chance would give to somebody who sees as many.
//
// It does no I/O and reads no clock. It refuses to count what was seen after a report, to let a report weigh that nobody has confirmed with
// the customer, and to name anybody below a posterior of 0.95: then it says "not enough".
//
// Invariant: the same exposures and the same reports give the same result, in whatever order they came.
//
// The model. Of the reports a share β has nothing to do with this company; the others come from the set V of customers that the source has
// sold, each as likely as the other:
//
//	P(c | source) = β·q(c) + (1−β)·[c ∈ V(t)] / |V(t)|
//
// V(t) is what he had seen when the report came. q is who reports a call anyhow: any customer alike, customers who were in touch with the
// company, or these in proportion to how many people saw them, or a mixture; the reports themselves decide which. Neither β nor q is known:
// both are summed over. How many customers report at all does not matter, since only who they are is compared.
package trace

import (
	"cmp"
	"math"
	"slices"
	"time"

	"sallyport"
)

// Report is a customer who says: somebody called me pretending to be you.
type Report struct {
	Customer    sallyport.Subject
	At          time.Time
	Quoted      Fields // what the caller knew; 0: not said
	Unconfirmed bool   // nobody has asked the customer yet at contact details on file
	// Taker wrote down as of then what the customer told him: he looked at him for that, so that his looks of the hour before say nothing. Empty: not known,
	// or At is when the customer was called.
	Taker sallyport.Staff
}

// takenWithin is how long before he writes a report down its taker may look at the customer for it, in seconds.
const takenWithin = 3600

// Options of Trace. The zero value is safe.
type Options struct {
	Customers int64   // how many the company has; 0: as many as somebody saw or who reported
	None      float64 // probability beforehand that no listed person is the source; 0 means 0.3
	// From is the first moment at which reports are suspected to be of a theft. Those before are background, whoever is the source, and tell from whom background
	// comes and at what rate; so they must be all there were since the first of them, confirmed or not. Zero: all are suspected, and when they came
	// says nothing.
	From time.Time
	// Without are people who are not weighed: nobody is told how likely he is himself.
	Without []sallyport.Staff
}

// Suspect is a person, or two who act together.
type Suspect struct {
	Staff     []sallyport.Staff
	Posterior float64
	LogOdds   float64 // log10 of the odds against everything else
	Seen      int     // reports about customers whom they had seen before
	Expected  float64 // how many of these chance would give to who sees as many
	Customers int     // whom they had seen by the last report
}

// Verdict says what a result comes to.
type Verdict string

// The verdicts.
const (
	Named     Verdict = "named"
	NotEnough Verdict = "not_enough"
	NoneOf    Verdict = "none"
)

// NamedFrom is the posterior from which somebody is named.
const NamedFrom = 0.95

// matchedFrom is how unlikely it must be that a colleague of the same team, who served the same queue, has as many of the reports by chance.
const matchedFrom = 0.05

// Result is what a list of reports says.
type Result struct {
	Reports     int // distinct customers whose reports weigh
	Calm        int // and who reported before that was suspected
	Unconfirmed int // distinct customers whose reports do not yet
	Verdict     Verdict
	Suspects    []Suspect // in order of posterior, at most ten
	None        float64   // probability that no listed person is the source
	Aside       int       // of these reports, how many were taken by somebody who first saw the customer in the hour before: his look says nothing
	Background  float64   // estimated share of reports that have nothing to do with this company
	FalseNaming float64   // probability that the first suspect is the wrong one
	Matched     float64   // probability that chance gives him so many of the reports that his team's customers made; 1 where there is nobody
	More        int       // reports that would settle it, about; 0 where it is settled, −1 where none can
	AskNext     []sallyport.Subject
	Forged      int // forged reports that would take the name away or put another there; 0 where nobody is named
}

// Trace says who may be the source of the reports.
func (x *Exposures) Trace(list []Report, o Options) Result {
	q := x.question(list, o)
	result := q.weigh()
	if len(result.Suspects) == 0 {
		return result
	}
	if best := &result.Suspects[0]; result.Verdict == Named {
		result.More, result.Forged = 0, q.forged(list, o, best, result.Background)
	} else {
		result.More = q.more(best, result.Background)
	}
	result.AskNext = q.ask(result.Suspects)
	return result
}

// weigh says what the reports come to, and not yet what to do next.
func (q *question) weigh() Result {
	result := Result{Reports: len(q.reports) - q.calm, Calm: q.calm, Unconfirmed: q.unconfirmed, Aside: len(q.aside), Verdict: NoneOf, None: 1, Background: 1, More: -1, FalseNaming: 1, Matched: 1}
	if result.Reports == 0 || len(q.hits) == 0 {
		return result
	}
	hypotheses := q.judge()
	result.Suspects, result.None = q.suspects(hypotheses)
	result.Background = q.background(hypotheses)
	if len(result.Suspects) == 0 {
		return result
	}
	best := &result.Suspects[0]
	result.FalseNaming = 1 / (1 + math.Pow(10, best.LogOdds))
	result.Matched = q.matched(best.Staff)
	switch {
	case best.Posterior >= NamedFrom && result.Matched <= matchedFrom:
		result.Verdict = Named
	case result.None >= NamedFrom:
	default:
		result.Verdict = NotEnough
	}
	return result
}

// once is the report of one customer: his earliest, with all that his reports quote.
type once struct {
	key      sallyport.Subject
	customer uint32 // number in the index; noCustomer where nobody ever saw him
	at       uint32
	quoted   Fields
	seen     bool   // by anybody, before
	taker    uint32 // person who took it; nobodyTook where several did, or that is not known
}

const nobodyTook = math.MaxUint32

const noCustomer = math.MaxUint32

// question is one list of reports against the index.
type question struct {
	x           *Exposures
	reports     []once
	unconfirmed int
	ids         map[sallyport.Subject]bool // customers who reported, or whose report is not confirmed

	customers float64           // in all
	base      [mixtures]float64 // log likelihood of all reports under each mixture of backgrounds
	ground    [][mixtures]float64
	by        []int            // of each report, how many customers anybody had seen by then
	hits      map[uint32][]hit // viewer → reports about customers whom he had seen
	none      float64
	calm      int                  // how many reports came before any was suspected
	sooner    [len(shares)]float64 // of each share of background, how much better it agrees with the rate of before than that all are; logs
	unweighed map[uint32]bool      // people, by number
	aside     map[int]bool         // reports whose taker saw the customer first as he took it
}

// hit is a report about a customer whom a viewer had seen before.
type hit struct {
	report uint32
	weight float64 // P(report | he is the source) ÷ (1−β), relative to what it quotes
}

// question sorts the reports, and finds who had seen whom.
func (x *Exposures) question(list []Report, o Options) *question {
	x.build()
	q := &question{x: x, ids: map[sallyport.Subject]bool{}, hits: map[uint32][]hit{}, none: o.None, unweighed: map[uint32]bool{}, aside: map[int]bool{}}
	for _, who := range o.Without {
		if n, ok := x.no[x.one(who)]; ok {
			q.unweighed[n] = true
		}
	}
	if q.none <= 0 || q.none >= 1 {
		q.none = 0.3
	}
	first, open := q.told(list, o.From)
	unseen := 0
	for _, o := range first {
		q.reports = append(q.reports, *o)
		if o.customer == noCustomer {
			unseen++
		}
	}
	slices.SortFunc(q.reports, func(a, b once) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.key, b.key)) }) // sums of floats depend on the order
	q.customers = float64(max(o.Customers, int64(len(x.back)+unseen)))
	q.compare(o.From, waiting(open, first))
	q.find()
	return q
}

// told is whose report counts, and when else one came that weighs nothing: a customer counts once in calm, and once since.
type told struct {
	customer sallyport.Subject
	since    bool
}

func (q *question) told(list []Report, from time.Time) (first map[told]*once, open map[told]uint32) {
	first, open = map[told]*once{}, map[told]uint32{}
	for _, r := range list {
		q.ids[r.Customer] = true
		if r.Customer == "" {
			continue
		}
		at := seconds(r.At)
		key := told{r.Customer, from.IsZero() || at >= seconds(from)}
		if r.Unconfirmed {
			if old, ok := open[key]; !ok || at < old {
				open[key] = at
			}
			continue
		}
		if o := first[key]; o != nil {
			o.at, o.quoted = min(o.at, at), o.quoted|r.Quoted
			if o.taker != q.x.took(r.Taker) {
				o.taker = nobodyTook // else a thief would write down himself that who is to be called was
			}
			continue
		}
		number, ok := q.x.known(r.Customer)
		if !ok {
			number = noCustomer
		}
		first[key] = &once{key: r.Customer, customer: number, at: at, quoted: r.Quoted, taker: q.x.took(r.Taker)}
	}
	return first, open
}

// find fills what each report is worth under the background, and whose hits it is.
func (q *question) find() {
	s := &q.x.sum
	q.ground = make([][mixtures]float64, len(q.reports))
	last, all := q.last(), 0
	for p := range q.x.byNo {
		all += upTo(s.times[viewerOf(uint32(p), whole)], last) //nolint:gosec // an index
	}
	anyone := upTo(s.anyone, last)
	sizes, hits, seenByThen := make([]cursor, len(s.times)), make([][]hit, len(s.times)), cursor{times: s.anyone}
	q.by = make([]int, len(q.reports))
	for v, times := range s.times {
		sizes[v].times = times
	}
	for i := range q.reports {
		r := &q.reports[i]
		var seenBy, spread float64 // the densities of the customers in touch: one as the other, and by how many saw them
		if by := q.lookers(r, last); by > 0 {
			seenBy, spread = 1/float64(anyone), float64(by)/float64(all)
		}
		for m, w := range mixture {
			q.ground[i][m] = w[0]/q.customers + w[1]*seenBy + w[2]*spread
			q.base[m] += math.Log(q.ground[i][m])
		}
		q.by[i] = seenByThen.upTo(r.at)
		if r.customer != noCustomer && i >= q.calm {
			q.hit(i, sizes, hits)
		}
	}
	for v, list := range hits {
		if len(list) > 0 {
			q.hits[uint32(v)] = list //nolint:gosec // an index
		}
	}
}

// hit gives one report to everybody who had seen its customer before.
func (q *question) hit(i int, sizes []cursor, hits [][]hit) {
	r := &q.reports[i]
	for _, row := range q.x.of(r.customer) {
		if row.at <= r.at && r.forIt(row) {
			q.aside[i] = true
		}
		if !r.counts(row) {
			continue
		}
		r.seen = r.seen || row.viewer%uint32(views) == uint32(whole)
		if q.unweighed[row.viewer/uint32(views)] {
			continue
		}
		size := sizes[row.viewer].upTo(r.at)
		hits[row.viewer] = append(hits[row.viewer], hit{uint32(i), quoting(r.quoted, row.fields) / float64(size)}) //nolint:gosec // an index
	}
}

// took is the number of who took a report.
func (x *Exposures) took(who sallyport.Staff) uint32 {
	if n, ok := x.no[x.one(who)]; ok && who != "" {
		return n
	}
	return nobodyTook
}

// forIt says whether somebody saw a customer first as he took his report: within the hour before, or after.
func (r *once) forIt(row seen) bool {
	return r.taker == row.viewer/uint32(views) && uint64(row.at)+takenWithin > uint64(r.at)
}

// counts says whether what somebody saw may be why a customer reports.
func (r *once) counts(row seen) bool { return row.at <= r.at && !r.forIt(row) }

// lookers counts the people who had seen the customer of a report by then, but for who took it.
func (q *question) lookers(r *once, by uint32) (n int) {
	if r.customer == noCustomer {
		return 0
	}
	for _, row := range q.x.of(r.customer) {
		if row.at <= by && !r.forIt(row) && row.viewer%uint32(views) == uint32(whole) {
			n++
		}
	}
	return n
}

// What callers know: how probable it is that one who bought the data quotes a field, and that one who calls at random does. Any caller has a
// number, and many a name; hardly anybody guesses a ticket, but customers mistake what they heard. They are round on purpose, and nearer to each other
// than they may be: nobody has counted them, they only need to be right in order, and a name must not hang on one of them.
var quotes = [...]struct { //nolint:gochecknoglobals // a table
	field          Fields
	source, random float64
	unseen         float64 // quoted by one who sold what he was not shown, in times as probable: names are known to many, a ticket to nobody else
}{{NameField, 0.6, 0.5, 0.5}, {PhoneField, 0.6, 0.6, 0.5}, {EmailField, 0.3, 0.2, 0.3}, {TicketField, 0.3, 0.02, 0.02}}

// quoting is how many times more probable it is that this is quoted by who saw these fields than by a caller at random. A report that says something and
// not this speaks a little against him, so that callers at random come to 1 in the mean and many of them accuse nobody; one that says nothing speaks
// neither way, since customers forget. What he never saw he cannot have left out.
func quoting(quoted, saw Fields) float64 {
	w := 1.0
	if quoted == 0 {
		return w
	}
	for _, f := range quotes {
		said, knew := quoted&f.field != 0, saw&f.field != 0
		switch {
		case said && knew:
			w *= f.source / f.random
		case said:
			w *= f.unseen
		case knew:
			w *= (1 - f.source) / (1 - f.random)
		}
	}
	return w
}
