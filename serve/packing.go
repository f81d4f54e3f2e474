package serve

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/blast"
	"sallyport/cases"
	"sallyport/config"
	"sallyport/control"
	"sallyport/docs"
	"sallyport/evidence"
	"sallyport/history"
	"sallyport/ledger"
)

// What bounds a pack.
const (
	mostPackEvents = 2000
	mostPackBytes  = 64 << 20
	packPatience   = 30 * time.Second // until the entry that seals it is under a checkpoint
)

// packing gathers one evidence pack.
type packing struct {
	s         *Server
	c         *cases.Case
	p         control.Proposal
	me        sallyport.Staff
	whole     bool
	customers map[sallyport.Subject]bool
	people    map[sallyport.Staff]bool // with all their accounts
	told      evidence.Told
	radius    []*RadiusLine
	others    map[string]bool // pseudonyms of other customers
	chosen    map[ledger.Stream]map[uint64]chosen
	files     map[string][]byte
	bytes     int
}

// chosen is an entry that goes into a pack.
type chosen struct {
	event  evidence.Event
	others int  // customers of no concern to the case of whom it speaks
	closed bool // it speaks of people of no concern, too
}

// evidencePack makes an archive for one of the two who agreed on it. That it leaves is on record first, and its seal is that entry.
func (s *Server) evidencePack(ctx context.Context, c *cases.Case, p control.Proposal, me sallyport.Staff) ([]byte, error) {
	if s.ledger == nil {
		return nil, errors.New("make a pack: there is no ledger that would prove it")
	}
	k := &packing{
		s: s, c: c, p: p, me: me, whole: p.Case != nil && p.Case.State == api.WholeEntries, customers: map[sallyport.Subject]bool{}, people: map[sallyport.Staff]bool{}, others: map[string]bool{},
		chosen: map[ledger.Stream]map[uint64]chosen{ledger.Access: {}, ledger.Control: {}}, files: map[string][]byte{},
	}
	for _, step := range []func(context.Context) error{k.reach, k.accessEvents, k.controlEvents, k.prove, k.tell} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return k.seal(ctx)
}

// reach finds the customers of the case, and what its people's access came to.
func (k *packing) reach(ctx context.Context) error {
	for _, who := range k.c.People {
		for _, account := range k.s.O.Config.AccountsOf(who) {
			k.people[account] = true
		}
	}
	for _, customer := range k.c.Customers {
		k.customers[customer] = true
	}
	given := len(k.customers) > 0
	for _, who := range k.c.People {
		line, err := k.s.blastRadius(ctx, who, time.Time{})
		if err != nil {
			return err
		}
		line.Staff = who
		k.radius = append(k.radius, line)
		for _, x := range line.List {
			if !given && (x.Unexplained || x.Certainty == blast.Certain.String()) {
				k.customers[x.Customer] = true
			}
		}
	}
	return nil
}

// accessEvents chooses what the record says of the people involved and the customers of the case: results, then the statements that they are of.
func (k *packing) accessEvents(ctx context.Context) error {
	places := map[history.Place]bool{}
	list := k.chosen[ledger.Access]
	err := k.s.AccessStream.Read(1, func(e *sallyport.Event) error {
		if !k.people[e.Who.Staff] && (e.Imported == nil || !k.people[e.Imported.Access.Staff]) {
			return ctx.Err()
		}
		mine, others := k.part(e)
		if len(mine) == 0 || e.Kind == sallyport.StatementKind || len(list) >= mostPackEvents {
			return ctx.Err()
		}
		list[e.Seq] = k.choose(ledger.Access, e, others)
		switch {
		case e.Reveal != nil:
			places[history.Place{Session: e.Who.Session, Statement: e.Reveal.Statement}] = true
		case e.Touch != nil:
			places[history.Place{Session: e.Who.Session, Statement: e.Touch.Statement}] = true
		}
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the access stream: %w", err)
	}
	err = k.s.AccessStream.Read(1, func(e *sallyport.Event) error {
		if e.Kind != sallyport.StatementKind || e.Statement == nil || !places[history.Place{Session: e.Who.Session, Statement: e.Statement.ID}] {
			return ctx.Err()
		}
		_, others := k.part(e)
		list[e.Seq] = k.choose(ledger.Access, e, others)
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the access stream: %w", err)
	}
	return nil
}

func (k *packing) choose(stream ledger.Stream, e *sallyport.Event, others []sallyport.Subject) chosen {
	who := e.Who.Staff
	if who == "" && e.Order != nil {
		who = e.Order.By
	}
	return chosen{event: evidence.Event{Name: fmt.Sprintf("%s:%d", stream, e.Seq), At: e.Time, Kind: string(e.Kind), By: string(who), Says: k.says(e), Others: k.pseudonyms(others), MoreOthers: max(0, len(others)-mostOthers)}, others: len(others)}
}

// mostOthers is how many other customers an entry names by pseudonym; of a large result the rest is counted.
const mostOthers = 1000

// pseudonyms are of customers of no concern to the case: the same customer has the same one in the whole pack, and another one in another pack.
func (k *packing) pseudonyms(others []sallyport.Subject) []string {
	slices.Sort(others)
	list := make([]string, min(len(others), mostOthers))
	for i := range list {
		list[i] = k.s.Names.Customer("pack "+k.p.ID, others[i])
	}
	slices.Sort(list)
	return list
}

// says is an entry in words, without customers of no concern to the case.
func (k *packing) says(e *sallyport.Event) string {
	var parts []string
	if st := e.Statement; st != nil {
		parts = append(parts, st.Verb, strings.Join(st.Tables, ", "))
		for _, p := range st.Purposes {
			parts = append(parts, "by "+p.Kind+":"+p.Ref)
		}
	}
	var mine []string
	if e.Kind != sallyport.StatementKind {
		ours, _ := k.part(e)
		slices.Sort(ours)
		for _, c := range ours {
			mine = append(mine, string(c))
		}
	}
	if r := e.Reveal; r != nil {
		for _, c := range r.Columns {
			parts = append(parts, c.String())
		}
	}
	if n := len(mine); n > 0 {
		parts = append(parts, "of customers "+strings.Join(mine[:min(n, 10)], ", "))
		if n > 10 {
			parts = append(parts, fmt.Sprintf("and %d more of this case", n-10))
		}
	}
	return strings.TrimSpace(strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " "))
}

// part is which of the customers of whom an entry speaks are the case's, and which are others.
func (k *packing) part(e *sallyport.Event) (mine, others []sallyport.Subject) {
	all := config.CustomersOf(e)
	if e.Imported != nil {
		for _, c := range e.Imported.Access.Subjects {
			all[c] = true
		}
	}
	for c := range all {
		if k.customers[c] {
			mine = append(mine, c)
		} else {
			others = append(others, c)
		}
	}
	return mine, others
}

// controlEvents chooses what the control stream says about the case, and the reports of its customers.
func (k *packing) controlEvents(ctx context.Context) error {
	lines, err := api.Timeline(k.s.ControlStream, k.c)
	if err != nil {
		return err
	}
	texts := map[uint64]string{}
	for _, l := range lines {
		texts[l.Entry] = l.Text
		line := evidence.Line{At: l.At, Entry: fmt.Sprintf("control:%d", l.Entry), By: l.By, What: l.What, Text: l.Text}
		k.told.Timeline = append(k.told.Timeline, line)
		for _, word := range []string{"hold", "release", "export"} {
			if strings.Contains(l.Text, word) {
				k.told.Custody = append(k.told.Custody, line)
				break
			}
		}
	}
	err = k.s.ControlStream.Read(1, func(e *sallyport.Event) error {
		text, ours := texts[e.Seq]
		reports, others := k.reported(e)
		if reports != "" {
			ours, text = true, strings.TrimSpace(text+reports)
		}
		if !ours || len(k.chosen[ledger.Control]) >= mostPackEvents {
			return ctx.Err()
		}
		x := k.choose(ledger.Control, e, others)
		x.event.Says, x.closed = text, k.namesOthers(e)
		k.chosen[ledger.Control][e.Seq] = x
		return ctx.Err()
	})
	if err != nil {
		return fmt.Errorf("read the control stream: %w", err)
	}
	return nil
}

// reported is what an entry says of reports by the case's customers, and of which others there are some.
func (k *packing) reported(e *sallyport.Event) (text string, others []sallyport.Subject) {
	if e.Kind != sallyport.InputKind || e.Order == nil || e.Order.Input == nil || e.Order.Input.Format != config.FeedReports {
		return "", nil
	}
	for _, in := range fed(e) {
		switch {
		case in.Report == nil:
		case k.customers[in.Report.Customer]:
			text += " report of customer " + string(in.Report.Customer)
		case !slices.Contains(others, in.Report.Customer):
			others = append(others, in.Report.Customer)
		}
	}
	return text, others
}

// namesOthers tells whether an entry suspects people who are not involved, or says that they took a report: of evidence as it arrives most are innocent.
func (k *packing) namesOthers(e *sallyport.Event) bool {
	if e.Order == nil {
		return false
	}
	if e.Order.Input != nil && slices.ContainsFunc(fed(e), func(in sallyport.Input) bool {
		return in.Report != nil && in.Report.Taker != "" && !k.people[in.Report.Taker]
	}) {
		return true
	}
	if e.Order.Case == nil {
		return false
	}
	for _, h := range e.Order.Case.Weighed {
		for _, who := range h.Staff {
			if !k.people[who] {
				return true
			}
		}
	}
	return false
}

// prove makes the proofs, with the keys of the entries that are shown.
func (k *packing) prove(ctx context.Context) error {
	data := os.DirFS(k.s.O.Data)
	for _, stream := range []ledger.Stream{ledger.Access, ledger.Control} {
		list := k.chosen[stream]
		each := func(p *ledger.Proof) error { return k.take(stream, p, list[p.Sequence]) }
		if len(list) >= mostPackEvents {
			k.told.Left = append(k.told.Left, fmt.Sprintf("entries of the %s stream beyond the first %d", stream, mostPackEvents))
		}
		err := ledger.ProveMany(ctx, data, stream, slices.Collect(maps.Keys(list)), each, func(seq uint64, why string) {
			k.told.Left = append(k.told.Left, fmt.Sprintf("%s:%d: %s", stream, seq, why))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// take puts the proof of an entry into the pack.
func (k *packing) take(stream ledger.Stream, p *ledger.Proof, x chosen) error {
	x.event.Shown = (x.others == 0 && !x.closed || k.whole) && k.show(p) == nil
	if !x.event.Shown && x.others > 0 {
		k.told.WithOthers++
	}
	for _, who := range x.event.Others {
		k.others[who] = true
	}
	b, err := evidence.JSON(p)
	if err != nil {
		return err
	}
	if k.bytes += len(b); k.bytes > mostPackBytes {
		k.told.Left = append(k.told.Left, x.event.Name+": the pack would be longer than 64 MiB")
		return nil
	}
	k.files[fmt.Sprintf("%s%s-%d.json", evidence.Events, stream, p.Sequence)] = b
	k.told.Events = append(k.told.Events, x.event)
	return nil
}

// show adds the key of an entry, where it has one of its own.
func (k *packing) show(p *ledger.Proof) error {
	if !p.Sealed {
		return nil
	}
	if k.s.key == nil {
		return ledger.ErrNotShown
	}
	stream, _, err := ledger.ParseEvent(p.Event)
	if err != nil {
		return err
	}
	id := k.s.AccessStream.RawID()
	if stream == ledger.Control {
		id = k.s.ControlStream.RawID()
	}
	key, err := k.s.key.Disclose(id, byte(p.Form), p.Body) //nolint:gosec // a form
	if err != nil {
		return err
	}
	defer clear(key)
	return p.Show(key)
}

// tell writes what people read.
func (k *packing) tell(context.Context) error {
	c, t, now := k.c, &k.told, k.s.O.Clock()
	t.Number, t.Title, t.State, t.Outcome, t.Opened, t.Made, t.By = c.Number, c.Title, c.State, c.Outcome, c.Opened, now, string(k.me)
	t.Agreed, t.Why, t.Record, t.LedgerKey, t.Whole = [2]string{string(k.p.By), string(k.p.Decider)}, k.p.Reason, k.s.AccessStream.ID(), k.s.ledger.Status().Key, k.whole
	for _, line := range k.radius {
		t.People = append(t.People, evidence.Person{
			Name: string(line.Staff), Guilty: slices.Contains(c.Guilty, line.Staff), Probability: c.Probability(line.Staff), Since: Day(line.Since),
			Counts: fmt.Sprintf("%d certain, %d likely, %d possible; %d unexplained", line.Customers.Certain, line.Customers.Likely, line.Customers.Possible, line.Customers.Unexplained),
		})
		for _, x := range line.List {
			if k.customers[x.Customer] {
				t.Customers = append(t.Customers, evidence.Customer{ID: string(x.Customer), Certainty: x.Certainty, Fields: strings.Join(x.Fields, ", "), Country: x.Country, Unexplained: x.Unexplained, First: x.First, Last: x.Last})
			}
		}
		t.Untouched = append(t.Untouched, line.Untouched.Columns...)
		t.Limits = append(t.Limits, line.Limits...)
	}
	if len(k.radius) != 1 { // what one of several did not touch says nothing of the others
		t.Untouched = nil
	}
	for _, e := range t.Events {
		if e.Shown {
			t.Shown++
		} else {
			t.NotShown++
		}
	}
	t.OtherCustomers = len(k.others)
	t.Custody = append(t.Custody, evidence.Line{At: now, Entry: "seal.json", By: string(k.me), What: "fetched", Text: "this pack, agreed on by " + string(k.p.By) + " and " + string(k.p.Decider)})
	return k.write()
}

// write makes the files.
func (k *packing) write() error {
	var err error
	if k.files[evidence.Report], err = k.told.HTML(); err != nil {
		return err
	}
	if k.files[evidence.Case], err = evidence.JSON(k.caseFile()); err != nil {
		return err
	}
	if k.files[evidence.Custody], err = evidence.JSON(k.told.Custody); err != nil {
		return err
	}
	var b bytes.Buffer
	table := csv.NewWriter(&b)
	_ = table.Write([]string{"event", "time", "kind", "by", "says", "shown", "other_customers", "others"}) // a buffer takes all
	for _, e := range k.told.Events {
		_ = table.Write([]string{e.Name, e.At.UTC().Format(time.RFC3339Nano), e.Kind, e.By, e.Says, fmt.Sprint(e.Shown), fmt.Sprint(len(e.Others) + e.MoreOthers), strings.Join(e.Others, " ")}) // likewise
	}
	table.Flush()
	k.files[evidence.Index] = b.Bytes()
	k.files[evidence.Program], k.files[evidence.Reader], k.files[evidence.Checker] = docs.Verify, docs.VerifyEvent, docs.VerifyPack
	k.files["spec/record.md"], k.files["spec/ledger.md"], k.files["spec/evidence.md"] = docs.Record, docs.Ledger, docs.Evidence
	return nil
}

// caseFile is the case without people who are not involved.
func (k *packing) caseFile() any {
	c := *k.c
	c.Weighed = nil
	for _, w := range k.c.Weighed {
		list := make([]sallyport.Hypothesis, 0, len(w.List))
		for _, h := range w.List {
			if slices.ContainsFunc(h.Staff, func(who sallyport.Staff) bool { return !k.people[who] }) {
				h.Staff = []sallyport.Staff{"(somebody who is not involved)"}
			}
			list = append(list, h)
		}
		c.Weighed = append(c.Weighed, cases.Weighing{At: w.At, Source: w.Source, List: list})
	}
	return c
}

// seal puts the digest on record, waits until that is under a checkpoint, and closes the archive.
func (k *packing) seal(ctx context.Context) ([]byte, error) {
	sums, digest := evidence.SumsOf(k.files)
	k.files[evidence.Sums] = sums
	before := k.s.ControlStream.Last()
	step := &sallyport.CaseStep{Case: k.c.Number, Do: cases.DoExported, Text: "to " + string(k.me) + ", by proposal " + k.p.ID}
	e := &sallyport.Event{Time: k.s.O.Clock(), Kind: sallyport.CaseKind, Order: &sallyport.Order{Action: "case", Details: digest, Case: step}}
	if err := k.s.orders.Give(func() error { return k.s.casing.book.Check(step, "") }, e); err != nil {
		return nil, err
	}
	at := uint64(0)
	err := k.s.ControlStream.Read(before+1, func(e *sallyport.Event) error {
		if e.Order != nil && e.Kind == sallyport.CaseKind && e.Order.Details == digest {
			at = e.Seq
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the control stream: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, packPatience)
	defer cancel()
	for k.files[evidence.Seal] == nil {
		err := ledger.ProveMany(ctx, os.DirFS(k.s.O.Data), ledger.Control, []uint64{at}, func(p *ledger.Proof) error {
			if err := k.show(p); err != nil {
				return err
			}
			var err error
			k.files[evidence.Seal], err = evidence.JSON(p)
			return err
		}, func(uint64, string) {})
		if err != nil {
			return nil, fmt.Errorf("seal the pack: %w", err)
		}
		if k.files[evidence.Seal] != nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil, errors.New("seal the pack: the ledger is behind; see 'sallyport status', and fetch it again")
		case <-time.After(200 * time.Millisecond):
		}
	}
	var out bytes.Buffer
	err = evidence.Write(&out, k.files, k.told.Made)
	return out.Bytes(), err
}
