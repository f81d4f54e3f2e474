package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport"
	"sallyport/api"
	"sallyport/config"
	"sallyport/control"
	"sallyport/export"
	"sallyport/record"
	logs "sallyport/sources"
)

// erasureFort is a fort with an own file of messages, a ledger that is seen elsewhere, and a clock that can be set.
func erasureFort(t *testing.T) (f *fort, own, elsewhere string, ahead *atomic.Int64) {
	t.Helper()
	ahead = &atomic.Int64{}
	folder := t.TempDir()
	own, elsewhere = filepath.Join(folder, "own.jsonl"), filepath.Join(folder, "checkpoint")
	f = newFort(t, "detect: {off: true}\nledger: {checkpoints: ["+elsewhere+"]}\nexport:\n  - {name: own, file: {path: "+own+"}}\n", func(o *Options) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	return f, own, elsewhere, ahead
}

// speaksOf lists the entries of the access stream that speak of a customer, and those of them that speak of nobody else.
func (f *fort) speaksOf(customer sallyport.Subject) (all, alone []uint64) {
	for _, e := range f.events() {
		if of := config.SpokenOf(e); of[customer] {
			all = append(all, e.Seq)
			if len(of) == 1 && e.Kind != sallyport.FactKind && e.Kind != sallyport.TieKind {
				alone = append(alone, e.Seq)
			}
		}
	}
	return all, alone
}

// TestEraseCustomer: what the record says of one customer alone goes, by two people, out of the record, history and the files that outputs keep here;
// what speaks of others, too, and what is needed stays and is named; the ledger verifies, and the notice says which messages are to go elsewhere.
func TestEraseCustomer(t *testing.T) {
	f, own, elsewhere, ahead := erasureFort(t)
	who, ticket, customer := f.hasTicket(0)
	subject := sallyport.Subject(fmt.Sprint(customer.ID))
	c := f.connect(who)
	c.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID))
	c.must(fmt.Sprintf("SELECT email, phone FROM support.customers WHERE id = %d", customer.ID))
	if len(f.whoSaw(subject)) == 0 {
		t.Fatal("nobody saw him")
	}
	f.settled()
	young, err := f.officer("o1").EraseCustomer(f.ctx, subject, "asked for erasure")
	if err != nil || len(young.Proposals) != 0 || young.Owed.Young == 0 || young.Owed.Until.Before(time.Now().AddDate(0, 0, config.FewestDays-1)) {
		t.Errorf("what is young: %+v, %v", young, err)
	}
	ahead.Store(int64(60 * 24 * time.Hour))
	other := f.connect(who)
	other.must(fmt.Sprintf("SET sallyport.purpose = 'ticket:%d'", ticket.ID)) // and something that is young still
	other.must(fmt.Sprintf("SELECT phone FROM support.customers WHERE id = %d", customer.ID))
	_, before := f.speaksOf(subject)
	lastOld := before[0]
	within(t, 20*time.Second, "the output has what is to go", func() bool {
		text, err := os.ReadFile(own)
		return err == nil && bytes.Contains(text, []byte(`"subjects":["`+string(subject)+`"]`))
	})
	out, err := f.command("o1", "ledger", "erase", "--customer", string(subject), "--reason", "asked for erasure", "--json")
	fatal(t, err)
	var answer api.CustomerErasure
	fatal(t, json.Unmarshal([]byte(out), &answer))
	if len(answer.Proposals) == 0 || answer.Entries == 0 || answer.Owed.Young == 0 {
		t.Fatalf("%s", out)
	}
	for _, id := range answer.Proposals {
		_, err := f.officer("o2").Approve(f.ctx, id)
		fatal(t, err)
	}
	within(t, 30*time.Second, "it is carried out", func() bool {
		return len(f.server.State.Erasures()) == 0 && !slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == lastOld })
	})
	_, left := f.speaksOf(subject)
	for _, e := range f.events() {
		if slices.Contains(left, e.Seq) && e.Time.Before(f.server.O.Clock().AddDate(0, 0, -config.FewestDays)) {
			t.Errorf("entry %d (%s) speaks of him alone and is there", e.Seq, e.Kind)
		}
	}
	text, err := os.ReadFile(own)
	fatal(t, err)
	if id := f.server.AccessStream.ID()[:16] + fmt.Sprintf("-%d", lastOld); bytes.Contains(text, []byte(`"metadata":{"uid":"`+id+`"`)) {
		t.Errorf("%s stands in the output's file", id)
	}
	within(t, 20*time.Second, "the notice is in the output", func() bool {
		text, err := os.ReadFile(own)
		return err == nil && bytes.Contains(text, []byte(`"operation":"erasing:erase"`)) && bytes.Contains(text, []byte(`"erased":["`))
	})
	if note := lastOf(t, f, sallyport.Erased); note == nil || !strings.Contains(note.Note, "of files that outputs keep here") {
		t.Errorf("on record: %+v", note)
	}
	for _, s := range f.whoSaw(subject) {
		if s.Time.Before(f.server.O.Clock().AddDate(0, 0, -config.FewestDays)) {
			t.Errorf("history has it: %+v", s)
		}
	}
	f.settled()
	f.stop()
	if out, err := runMainOf(t, "ledger", "verify", f.options.Data, "--checkpoint", elsewhere); err != nil { // the sessions ended behind the last checkpoint
		t.Errorf("%v: %s", err, out)
	}
}

// TestEraseServeKilled kills serve (kill -9) while it carries out what is listed: the next one ends it, in the record, in history and in the files of
// outputs, and the ledger verifies.
func TestEraseServeKilled(t *testing.T) {
	t.Parallel() // it waits more than it works
	kills := 3
	if large() {
		kills = 50
	}
	f, own, elsewhere, _ := erasureFort(t)
	for range 3 {
		f.reveal()
	}
	f.settled()
	id := f.server.AccessStream.ID()
	var runs []uint64
	for _, e := range f.events() {
		if e.Kind == sallyport.RevealKind || e.Kind == sallyport.ResultKind {
			runs = append(runs, e.Seq, e.Seq)
		}
	}
	within(t, 20*time.Second, "the output has what is to go", func() bool { return inFile(own, id, runs) == len(runs)/2 })
	f.stop()
	access := f.openStream(t, "access")
	list, err := access.Erasure(runs)
	fatal(t, err)
	fatal(t, access.Close())
	fatal(t, RecordOffline(f.config, f.ctx, Keyring{Data: f.options.Data, KeyFile: f.options.KeyFile}, false, func(_ *control.State, give func(*sallyport.Event) error) error {
		return give(&sallyport.Event{Kind: sallyport.Erasing, Order: &sallyport.Order{ID: "k3x7q2mzpa", Action: control.Erase, Erased: list}})
	}))
	name := filepath.Join(t.TempDir(), "sallyport")
	self, err := os.Executable()
	fatal(t, err)
	fatal(t, os.Symlink(self, name))
	ended := 0
	for range kills {
		serve := exec.Command(name, "serve", "--config", filepath.Join(f.folder, "sallyport.yaml"), "--data", f.options.Data, //nolint:gosec // this very test binary
			"--key-file", f.options.KeyFile, "--listen", freeAddress(t))
		serve.Stderr = f.log
		fatal(t, serve.Start())
		awaitCondition(t, "serve takes orders", func() bool {
			_, err := os.Stat(filepath.Join(f.options.Data, SocketName))
			return err == nil
		})
		select {
		case <-time.After(time.Duration(mathrand.IntN(400)) * time.Millisecond): // the random moment
		case <-t.Context().Done():
		}
		fatal(t, serve.Process.Kill())
		_ = serve.Wait()
		_ = os.Remove(filepath.Join(f.options.Data, SocketName))
		if inFile(own, id, runs) == 0 {
			ended++
		}
	}
	f.start()
	within(t, 30*time.Second, "it is carried out", func() bool { return len(f.server.State.Erasures()) == 0 })
	for _, e := range f.events() {
		if slices.Contains(runs, e.Seq) {
			t.Errorf("entry %d is there", e.Seq)
		}
	}
	if n := inFile(own, id, runs); n != 0 {
		t.Errorf("%d messages stand in the output's file", n)
	}
	f.settled()
	f.stop()
	if out, err := runMainOf(t, "ledger", "verify", f.options.Data, "--complete", "--checkpoint", elsewhere); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("after %d of %d kills the files were done", ended, kills)
}

// inFile counts which entries of a record have a message in an output's file.
func inFile(name, id string, runs []uint64) (n int) {
	text, err := os.ReadFile(name)
	if err != nil {
		return -1
	}
	for i := 0; i < len(runs); i += 2 {
		if bytes.Contains(text, fmt.Appendf(nil, `"metadata":{"uid":"%s-%d"`, id[:16], runs[i])) {
			n++
		}
	}
	return n
}

// TestEraseCustomerOfSharedBatches: an entry that speaks of two customers goes with the one who asked; what it said of the other one is said again before,
// once, also where that had been begun before, and stands in who-saw, blast and the outputs as it did, at its time.
func TestEraseCustomerOfSharedBatches(t *testing.T) {
	f, own, elsewhere, ahead := erasureFort(t)
	agent := f.org.Agents()[0].ID
	who := sallyport.Who{Staff: agent, Login: string(agent), Session: "shared-1", Application: "desk", Address: "10.4.0.17:5001"}
	columns := []sallyport.Column{{Schema: "support", Table: "customers", Name: "email"}}
	at := time.Now().UTC().Truncate(time.Second)
	shared, err := f.server.AccessStream.Append(&sallyport.Event{Time: at, Kind: sallyport.RevealKind, Who: who, Reveal: &sallyport.Revealed{
		Statement: 1, Columns: columns, Purposes: []sallyport.Purpose{{Kind: "grant", Ref: "g1"}}, Grant: "g1",
		Values: sallyport.ValuesOf(sallyport.RevealedValue{Subject: "6000001", Digest: sallyport.Digest{1}}, sallyport.RevealedValue{Subject: "6000002", Digest: sallyport.Digest{2}}),
	}})
	fatal(t, err)
	ahead.Store(int64(60 * 24 * time.Hour))
	before := f.whoSaw("6000002")
	if len(before) != 1 {
		t.Fatalf("%+v", before)
	}
	answer, err := f.officer("o1").EraseCustomer(f.ctx, "6000001", "asked for erasure")
	fatal(t, err)
	if len(answer.Proposals) != 1 || answer.Entries != 1 || answer.Owed.Shared != 0 {
		t.Fatalf("%+v", answer)
	}
	for _, p := range f.server.State.Proposals() {
		if p.ID == answer.Proposals[0] {
			fatal(t, f.server.restate(&p)) // as a serve that was killed then
		}
	}
	_, err = f.officer("o2").Approve(f.ctx, answer.Proposals[0])
	fatal(t, err)
	within(t, 30*time.Second, "it is carried out", func() bool {
		return len(f.server.State.Erasures()) == 0 && !slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == shared })
	})
	again := 0
	for _, e := range f.events() {
		if config.SpokenOf(e)["6000001"] {
			t.Errorf("entry %d (%s) speaks of him", e.Seq, e.Kind)
		}
		if e.Restates != nil {
			again++
		}
	}
	if again != 1 {
		t.Errorf("it was said again %d times", again)
	}
	last := f.server.AccessStream.Last()
	within(t, 20*time.Second, "history has the record", func() bool { return f.inHistory() >= last })
	if list := f.whoSaw("6000001"); len(list) != 0 {
		t.Errorf("who saw him: %+v", list)
	}
	if after := f.whoSaw("6000002"); len(after) != 1 || !after[0].Time.Equal(before[0].Time) || after[0].Session != before[0].Session || !slices.Equal(after[0].Columns, before[0].Columns) {
		t.Errorf("who saw the other one: %+v, before %+v", after, before)
	}
	r, err := f.server.searchRadius(f.ctx, f.server.past(), agent, time.Time{})
	fatal(t, err)
	if len(r.Customers) != 1 || r.Customers[0].Subject != "6000002" || !r.Customers[0].First.Equal(at) {
		t.Errorf("what his access came to: %+v", r.Customers)
	}
	within(t, 20*time.Second, "the output says it of the other one alone", func() bool {
		text, err := os.ReadFile(own)
		return err == nil && !bytes.Contains(text, []byte("6000001")) && bytes.Count(text, []byte(`"subjects":["6000002"]`)) == 1
	})
	f.settled()
	f.stop()
	if out, err := runMainOf(t, "ledger", "verify", f.options.Data, "--checkpoint", elsewhere); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// awayAtTimes is a receiver that says what it was given, and takes nothing while it is away.
type awayAtTimes struct {
	away bool
	got  []string
}

func (r *awayAtTimes) Deliver(_ context.Context, batch []export.Message) (int, error) {
	if r.away {
		return 0, errors.New("away")
	}
	for _, m := range batch {
		r.got = append(r.got, m.UID)
	}
	return len(batch), nil
}

func (r *awayAtTimes) Keep(batch []export.Message) error {
	_, err := r.Deliver(context.Background(), batch)
	return err
}

// TestErasedStaysInMemory: what an output holds and could not deliver yet does not leave any more once it was erased, whether to the receiver or to
// its dead letters; everything else does, in order, and the older lists are kept until the output has come by them.
func TestErasedStaysInMemory(t *testing.T) {
	f, _, _, _ := erasureFort(t)
	id := f.server.AccessStream.ID()
	batch := make([]export.Message, 6)
	for i := range batch {
		batch[i].UID = logs.UID(id, uint64(i+1), 0) //nolint:gosec // positive
	}
	receiver, letters := &awayAtTimes{away: true}, &awayAtTimes{}
	door := &oneAtATime{sink: receiver, dead: letters}
	if n, err := door.Deliver(t.Context(), batch); n != 0 || err == nil {
		t.Fatalf("%d taken, %v", n, err)
	}
	x := &outputs{doors: []*oneAtATime{door}, watched: map[string]*record.Stream{config.StreamAccess: f.server.AccessStream}, pumps: []*export.Pump{{Name: config.StreamAccess, Cursor: standing(0)}}}
	x.forget([]control.Erasure{{ID: "a", List: sallyport.Erasure{Record: id, Runs: []uint64{1, 1, 4, 5}}}})
	x.forget([]control.Erasure{{ID: "b", List: sallyport.Erasure{Record: id, Runs: []uint64{2, 2}}}}) // both hold
	receiver.away = false
	n, err := door.Deliver(t.Context(), batch)
	if want := []string{batch[2].UID, batch[5].UID}; n != len(batch) || err != nil || !slices.Equal(receiver.got, want) {
		t.Errorf("%d taken, %v: %v, expected %v", n, err, receiver.got, want)
	}
	fatal(t, door.Keep(batch[:3]))
	if !slices.Equal(letters.got, []string{batch[2].UID}) {
		t.Errorf("dead letters: %v", letters.got)
	}
	x.pumps[0].Cursor = standing(5)
	x.forget(nil)
	if len(x.lists) != 0 {
		t.Errorf("lists that the output is behind of are kept: %v", x.lists)
	}
}

// standing is a cursor that stands.
type standing uint64

func (a standing) Position() uint64     { return uint64(a) }
func (a standing) Advance(uint64) error { return nil }
