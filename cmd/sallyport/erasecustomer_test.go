package main

import (
	"bytes"
	"encoding/json"
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
	"sallyport/control"
)

// erasureFort is a fort with an own file of messages, a ledger that is seen elsewhere, and a clock that can be set.
func erasureFort(t *testing.T) (f *fort, own, elsewhere string, ahead *atomic.Int64) {
	t.Helper()
	ahead = &atomic.Int64{}
	folder := t.TempDir()
	own, elsewhere = filepath.Join(folder, "own.jsonl"), filepath.Join(folder, "checkpoint")
	f = newFort(t, "detect: {off: true}\nledger: {checkpoints: ["+elsewhere+"]}\nexport:\n  - {name: own, file: {path: "+own+"}}\n", func(o *ServerOptions) {
		o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	return f, own, elsewhere, ahead
}

// speaksOf lists the entries of the access stream that speak of a customer, and those of them that speak of nobody else.
func (f *fort) speaksOf(customer sallyport.Subject) (all, alone []uint64) {
	for _, e := range f.events() {
		if of := spokenOf(e); of[customer] {
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
	if err != nil || len(young.Proposals) != 0 || young.Owed.Young == 0 || young.Owed.Until.Before(time.Now().AddDate(0, 0, fewestDays-1)) {
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
		return len(f.server.state.Erasures()) == 0 && !slices.ContainsFunc(f.events(), func(e *sallyport.Event) bool { return e.Seq == lastOld })
	})
	_, left := f.speaksOf(subject)
	for _, e := range f.events() {
		if slices.Contains(left, e.Seq) && e.Time.Before(f.server.o.Clock().AddDate(0, 0, -fewestDays)) {
			t.Errorf("entry %d (%s) speaks of him alone and is there", e.Seq, e.Kind)
		}
	}
	text, err := os.ReadFile(own)
	fatal(t, err)
	if id := f.server.access.ID()[:16] + fmt.Sprintf("-%d", lastOld); bytes.Contains(text, []byte(`"metadata":{"uid":"`+id+`"`)) {
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
		if s.Time.Before(f.server.o.Clock().AddDate(0, 0, -fewestDays)) {
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
	id := f.server.access.ID()
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
	fatal(t, f.config.recordOffline(f.ctx, keyring{data: f.options.Data, keyFile: f.options.KeyFile}, false, func(_ *control.State, give func(*sallyport.Event) error) error {
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
			_, err := os.Stat(filepath.Join(f.options.Data, socketName))
			return err == nil
		})
		select {
		case <-time.After(time.Duration(mathrand.IntN(400)) * time.Millisecond): // the random moment
		case <-t.Context().Done():
		}
		fatal(t, serve.Process.Kill())
		_ = serve.Wait()
		_ = os.Remove(filepath.Join(f.options.Data, socketName))
		if inFile(own, id, runs) == 0 {
			ended++
		}
	}
	f.start()
	within(t, 30*time.Second, "it is carried out", func() bool { return len(f.server.state.Erasures()) == 0 })
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
