package ledger

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/fxamacker/cbor/v2"

	"sallyport"
)

// A listing is an entry of the control stream that says which entries of a record are erased. It is never sealed.
type listing struct {
	seq    uint64 // of the entry itself
	stream Stream
	span   [2]uint64 // first and last of one run
	of     *listed
}

// listed is what a listing says of all its runs together.
type listed struct {
	where  string
	count  uint64
	digest []byte
	sum    *sallyport.ErasureSum // of those that are
	stays  uint64
}

// listings are all runs of all listings.
type listings struct {
	runs []listing // by stream and first
	all  []*listed
}

// lists reads the control stream for listings, before anything is compared with them.
func (v *verifier) lists() error {
	r, err := openRecord(v.fs, Control, func(string, string) {}) // the second reading tells
	if err != nil {
		return err
	}
	a, err := openRecord(v.fs, Access, func(string, string) {})
	if err != nil {
		return err
	}
	ids := map[string]Stream{fmt.Sprintf("%x", a.id): Access, fmt.Sprintf("%x", r.id): Control}
	v.erased = &listings{}
	for {
		it, err := r.read()
		if err != nil {
			return err
		}
		if it == nil {
			break
		}
		if it.lost || it.form != formPlain {
			continue
		}
		v.erased.read(it, ids, v.r)
	}
	sort.Slice(v.erased.runs, func(i, j int) bool {
		x, y := v.erased.runs[i], v.erased.runs[j]
		return x.stream < y.stream || x.stream == y.stream && x.span[0] < y.span[0]
	})
	for i, run := range v.erased.runs {
		if i > 0 && v.erased.runs[i-1].stream == run.stream && v.erased.runs[i-1].span[1] >= run.span[0] {
			v.r.find(run.of.where, "it lists entries that another one lists as well")
		}
	}
	return nil
}

// read takes an entry's event where it is a listing.
func (l *listings) read(it *item, ids map[string]Stream, report *Report) {
	var e struct {
		Kind  sallyport.EventKind `cbor:"3,keyasint"`
		Order struct {
			Erased *sallyport.Erasure `cbor:"85,keyasint"`
		} `cbor:"10,keyasint"`
	}
	if cbor.Unmarshal(it.body, &e) != nil || e.Kind != sallyport.Erasing || e.Order.Erased == nil {
		return
	}
	where := fmt.Sprintf("control entry %d", it.seq)
	stream, known := ids[e.Order.Erased.Record]
	if !known { // of a gateway's streams, or of its controller's: it excuses nothing here
		return
	}
	if len(e.Order.Erased.Runs)%2 != 0 {
		report.find(where, "a list of erased entries that makes no sense")
		return
	}
	of := &listed{where: where, count: e.Order.Erased.Count, digest: e.Order.Erased.Digest, sum: sallyport.NewErasureSum()}
	l.all = append(l.all, of)
	for i := 0; i < len(e.Order.Erased.Runs); i += 2 {
		span := [2]uint64{e.Order.Erased.Runs[i], e.Order.Erased.Runs[i+1]}
		if span[0] == 0 || span[0] > span[1] {
			report.find(where, "a list of erased entries that makes no sense")
			return
		}
		l.runs = append(l.runs, listing{it.seq, stream, span, of})
	}
}

// entry holds one entry to the lists, and tells whether it was erased lawfully.
func (l *listings) entry(stream Stream, it *item, report *Report) bool {
	i := sort.Search(len(l.runs), func(i int) bool {
		return l.runs[i].stream > stream || l.runs[i].stream == stream && l.runs[i].span[0] > it.seq
	}) - 1
	in := i >= 0 && l.runs[i].stream == stream && it.seq <= l.runs[i].span[1]
	switch {
	case in && it.form == formErased:
		l.runs[i].of.sum.Add(it.seq, it.commitment)
		return true
	case in:
		l.runs[i].of.stays++
	case it.form == formErased:
		report.find(fmt.Sprintf("%s entry %d", stream, it.seq), "erased, and no entry of the control stream lists that")
	}
	return false
}

// end compares what each list says in sum.
func (l *listings) end(report *Report) {
	for _, of := range l.all {
		switch {
		case of.stays > 0:
			report.find(of.where, "it lists as erased what is there still, %d entries: serve goes on with it at its next start, or an older copy of a segment was put back", of.stays)
		case of.sum.Count() != of.count || !bytes.Equal(of.sum.Digest(), of.digest):
			report.find(of.where, "what it lists as erased are other entries than those that are")
		}
	}
}
