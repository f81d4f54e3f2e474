package sources

import (
	"cmp"
	"slices"
	"time"

	"sallyport"
)

// Fold puts the parts of each statement together: one access a statement. It goes through a stream of any length in bounded memory and is a
// pure function of it: what is handed out, and when, hangs on the entries alone.
//
// A statement is complete when its result is on record, when its session's next one yields something, when its session or its gateway ends,
// or Longest of the stream's own time after its first part: a gateway that is killed leaves no end. What comes later of it (rows that are
// fetched in parts), or beyond MostFolded customers, is a further access with the same Session and Statement: nothing is lost and
// nothing counted twice.
type Fold struct {
	Parts Parts
	// Emit is given each access as it is complete. An error of it ends Event and is returned as it is.
	Emit func(*sallyport.Access) error

	open   map[string][]*folding // by session, in the order in which they began
	last   map[string]ended      // by session: what is known of the statement that was handed out last
	queue  []*folding            // all, likewise; those that were handed out stay until they are in front
	count  int                   // open ones
	now    time.Time             // the latest of the stream
	parts  []sallyport.Access
	failed error
}

// Bounds of what a Fold keeps.
const (
	Longest    = 10 * time.Second
	MostFolded = 10_000 // customers of one access
	mostOpen   = 4_096  // statements at a time
)

// ended is what a further access of the same statement says, too.
type ended struct {
	statement                    uint64
	shape, verb, database        string
	application, address, device string
	purpose                      sallyport.Purpose
}

// folding is a statement of which parts may still come.
type folding struct {
	a       sallyport.Access
	session string // with where it comes from
	began   time.Time
	seen    map[sallyport.Subject]struct{}
	reached map[sallyport.Subject]struct{}
	done    bool
}

// Event adds an entry of the access stream.
func (f *Fold) Event(e *sallyport.Event) error {
	f.pass(e.Time)
	switch e.Kind {
	case sallyport.SessionEnd:
		f.endSession(e.Who.Session)
	case sallyport.GatewayStarted, sallyport.GatewayStopped:
		f.all()
	default:
	}
	f.parts = f.Parts.Append(f.parts[:0], e)
	origin := ""
	if e.Imported != nil {
		origin = e.Imported.Source + "\x00" // another system's session is none of ours, whatever it calls it
	}
	for i := range f.parts {
		f.part(origin, &f.parts[i])
	}
	if e.Kind == sallyport.ResultKind && len(f.parts) > 0 {
		f.endStatement(origin+f.parts[0].Session, f.parts[0].Statement)
	}
	return f.err()
}

// Part adds a part that comes from elsewhere, such as a line of a file that Sallyport wrote.
func (f *Fold) Part(a *sallyport.Access) error {
	f.pass(a.Time)
	f.part("", a)
	return f.err()
}

// End hands out what is left, where the stream has ended.
func (f *Fold) End() error {
	f.all()
	return f.err()
}

func (f *Fold) err() error {
	err := f.failed
	f.failed = nil
	return err
}

// pass lets the stream's time go on.
func (f *Fold) pass(to time.Time) {
	if to.After(f.now) {
		f.now = to
	}
	for len(f.queue) > 0 && (f.queue[0].done || f.count > mostOpen || f.now.Sub(f.queue[0].began) > Longest) {
		f.close(f.queue[0])
		f.queue[0] = nil
		f.queue = f.queue[1:]
	}
}

func (f *Fold) part(origin string, a *sallyport.Access) {
	if a.Statement == 0 || a.Session == "" {
		f.emit(a)
		return
	}
	if f.open == nil {
		f.open = map[string][]*folding{}
	}
	// Results come in order: where this one yields something, those before it have ended.
	if yields := len(a.Subjects)+len(a.Reached) > 0 || a.Reach > 0; yields {
		f.endBefore(origin+a.Session, a.Statement)
	}
	for _, o := range f.open[origin+a.Session] {
		if o.a.Statement == a.Statement {
			o.add(a)
			f.full(o)
			return
		}
	}
	o := &folding{a: *a, session: origin + a.Session, began: f.now, seen: map[sallyport.Subject]struct{}{}, reached: map[sallyport.Subject]struct{}{}}
	o.a.Columns, o.a.Powers = slices.Clone(a.Columns), slices.Clone(a.Powers) // a reader uses its lists again
	o.a.Subjects = mergeSubjects(nil, o.seen, a.Subjects)
	o.a.Reached = mergeSubjects(nil, o.reached, a.Reached)
	o.goOn(f.last[o.session])
	f.open[o.session] = append(f.open[o.session], o)
	f.queue = append(f.queue, o)
	f.count++
	f.full(o)
}

// goOn fills in what an access before said of the same statement.
func (o *folding) goOn(e ended) {
	a := &o.a
	if e.statement != a.Statement {
		return
	}
	a.Shape, a.Verb, a.Database = cmp.Or(a.Shape, e.shape), cmp.Or(a.Verb, e.verb), cmp.Or(a.Database, e.database)
	a.Application, a.Address, a.Device = cmp.Or(a.Application, e.application), cmp.Or(a.Address, e.address), cmp.Or(a.Device, e.device)
	a.Purpose = cmp.Or(a.Purpose, e.purpose)
}

// add puts one more part in. The first keeps its UID and its time.
func (o *folding) add(b *sallyport.Access) {
	a := &o.a
	a.Arrived = b.Arrived
	if b.Activity == sallyport.RevealActivity || a.Verb == "" && b.Verb != "" && a.Activity != sallyport.RevealActivity {
		a.Activity = b.Activity
	}
	a.Application, a.Address, a.Device, a.Database = cmp.Or(a.Application, b.Application), cmp.Or(a.Address, b.Address), cmp.Or(a.Device, b.Device), cmp.Or(a.Database, b.Database)
	a.Shape, a.Verb, a.Table = cmp.Or(a.Shape, b.Shape), cmp.Or(a.Verb, b.Verb), cmp.Or(a.Table, b.Table)
	a.Purpose, a.Policy, a.Trust = cmp.Or(a.Purpose, b.Purpose), cmp.Or(a.Policy, b.Policy), cmp.Or(a.Trust, b.Trust)
	if opener(b.Verdict, a.Verdict) {
		a.Verdict = b.Verdict
	}
	a.Columns, a.Powers = mergeTexts(a.Columns, b.Columns), mergeTexts(a.Powers, b.Powers)
	a.Rows, a.Bytes, a.Count = a.Rows+b.Rows, a.Bytes+b.Bytes, a.Count+b.Count
	a.Reach, a.Probes, a.Refused = a.Reach+b.Reach, a.Probes+b.Probes, a.Refused || b.Refused
	a.Subjects = mergeSubjects(a.Subjects, o.seen, b.Subjects)
	a.Reached = mergeSubjects(a.Reached, o.reached, b.Reached)
}

// opener says whether of two verdicts the first one lets out more.
func opener(a, b string) bool { return openness(a) > openness(b) }

func openness(verdict string) int {
	for i, v := range [...]sallyport.Verdict{sallyport.Deny, sallyport.Token, sallyport.Mask, sallyport.Wait, sallyport.Reveal} {
		if v.String() == verdict {
			return i
		}
	}
	return -1
}

// full hands out what has become large, or can have no more parts.
func (f *Fold) full(o *folding) {
	refused := o.a.Refused && o.a.Activity != sallyport.RevealActivity
	if len(o.a.Subjects) >= MostFolded || len(o.a.Reached) >= MostFolded || refused {
		f.close(o)
	}
}

// endBefore hands out the statements of a session before this one.
func (f *Fold) endBefore(session string, statement uint64) {
	for {
		list := f.open[session]
		at := -1
		for i, o := range list {
			if o.a.Statement < statement {
				at = i
				break
			}
		}
		if at < 0 {
			return
		}
		f.close(list[at])
	}
}

// endStatement hands out one statement.
func (f *Fold) endStatement(session string, statement uint64) {
	for _, o := range f.open[session] {
		if o.a.Statement == statement {
			f.close(o)
			return
		}
	}
}

func (f *Fold) endSession(session string) {
	for len(f.open[session]) > 0 {
		f.close(f.open[session][0])
	}
	delete(f.last, session)
}

func (f *Fold) all() {
	for _, o := range f.queue {
		f.close(o)
	}
	f.queue = nil
}

// close hands out one statement, once.
func (f *Fold) close(o *folding) {
	if o.done {
		return
	}
	o.done, o.seen, o.reached = true, nil, nil
	f.count--
	list := f.open[o.session]
	kept := list[:0]
	for _, other := range list {
		if other != o {
			kept = append(kept, other)
		}
	}
	clear(list[len(kept):])
	if f.open[o.session] = kept; len(kept) == 0 {
		delete(f.open, o.session)
	}
	f.remember(o)
	f.emit(&o.a)
}

// remember keeps what a further access of the statement would say. Of very many sessions that never end it forgets: then it says less.
func (f *Fold) remember(o *folding) {
	if f.last == nil || len(f.last) >= mostOpen {
		f.last = map[string]ended{}
	}
	a := &o.a
	if f.last[o.session].statement > a.Statement {
		return
	}
	f.last[o.session] = ended{a.Statement, a.Shape, a.Verb, a.Database, a.Application, a.Address, a.Device, a.Purpose}
}

func (f *Fold) emit(a *sallyport.Access) {
	if f.failed == nil && f.Emit != nil {
		f.failed = f.Emit(a)
	}
}
