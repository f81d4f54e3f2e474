package durable

import (
	"testing"
	"time"
)

// TestFaultBehindASync has the writing appender meet a fault in the entry behind a Sync that was answered: that answer stays the only one,
// or who gets the Sync's entry out of the pool would be told something of another's.
func TestFaultBehindASync(t *testing.T) {
	l := mustOpen(t, "sim", Options{Disk: newSimDisk(1), Linger: time.Hour, Link: func(_ uint64, _, payload []byte) {
		if string(payload) == "fault" {
			panic("a fault")
		}
	}})
	sync := &entry{waited: true, done: make(chan error, 2)}
	fault := &entry{payload: []byte("fault"), waited: true, done: make(chan error, 2)}
	l.mu.Lock()
	l.queue = append(l.queue, sync, fault)
	l.queued++
	batch := l.grab()
	l.mu.Unlock()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the fault is hidden")
			}
		}()
		l.lead(batch)
	}()
	if err := <-sync.done; err != nil || len(sync.done) > 0 {
		t.Errorf("the Sync was answered with %v, and %d times more", err, len(sync.done))
	}
	if err := <-fault.done; err == nil || len(fault.done) > 0 {
		t.Errorf("the faulty entry was answered with %v, and %d times more", err, len(fault.done))
	}
	if seq := mustAppend(t, l, "after"); seq != 1 {
		t.Errorf("the next one got %d", seq)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
