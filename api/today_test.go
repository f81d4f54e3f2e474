package api

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/history"
)

// counting is a history that answers with how often it was asked for the day, and can be held while it answers.
type counting struct {
	history.Store
	held  sync.Mutex
	mu    sync.Mutex
	asked int
	fails error
}

func (c *counting) Position(context.Context) (history.Position, error) {
	c.held.Lock()
	defer c.held.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails != nil {
		return history.Position{}, c.fails
	}
	c.asked++
	return history.Position{Entry: uint64(c.asked)}, nil //nolint:gosec // a few
}

func (c *counting) Select(_ context.Context, sql string, _ history.Bounds) (*history.Rows, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if strings.Contains(sql, "DISTINCT customer) FROM reveals WHERE day =") {
		return &history.Rows{Rows: [][]any{{int64(c.asked)}}}, nil
	}
	return &history.Rows{}, nil
}

// Whoever opens the page takes the figures of at most a minute ago, and does not wait for history, which is asked behind him.
func TestTodayDoesNotWait(t *testing.T) {
	store := &counting{}
	r := start(t, func(c *Config) {
		c.History = &History{Lend: func() (history.Store, func()) { return store, func() {} }}
	})
	now := func() Today {
		t.Helper()
		figures, err := r.as("s060").Now(t.Context())
		want(t, err, "")
		return figures
	}
	first := now() // nothing is known: he waits
	if first.Customers == 0 || first.Entry == 0 {
		t.Fatalf("no figures: %+v", first)
	}
	if again := now(); again.Customers != first.Customers {
		t.Errorf("asked anew at once: %d", again.Customers)
	}

	store.held.Lock() // history takes long
	r.clock.add(30 * time.Second)
	if late := now(); late.Customers != first.Customers {
		t.Errorf("others than those of half a minute ago: %d", late.Customers)
	}
	store.held.Unlock()
	for deadline := time.Now().Add(10 * time.Second); now().Customers == first.Customers; { // it was asked behind him
		if time.Now().After(deadline) {
			t.Fatal("nobody asked history behind the one who looked")
		}
	}

	store.mu.Lock()
	store.fails = errors.New("the disk is gone")
	store.mu.Unlock()
	r.clock.add(todayOld) // too old to be shown
	if _, err := r.as("s060").Now(t.Context()); err == nil {
		t.Error("figures of a minute ago were shown as today's")
	}
	store.mu.Lock()
	store.fails = nil
	store.mu.Unlock()
	before := now()
	r.clock.add(14 * time.Hour) // nearly midnight
	before = now()
	r.clock.add(time.Hour)
	if after := now(); after.Day == before.Day || after.Customers == before.Customers {
		t.Errorf("yesterday's figures: %s, %d customers", after.Day, after.Customers)
	}
}

// What history said while it was being filled stands for two seconds, not for a minute.
func TestTodayWhileHistoryIsBehind(t *testing.T) {
	store := &counting{}
	r := start(t, func(c *Config) {
		c.History = &History{Lend: func() (history.Store, func()) { return store, func() {} }}
	})
	for range manyBehind + 100 {
		if _, err := r.access.Enqueue(&sallyport.Event{Time: r.clock.Now(), Kind: sallyport.StatementKind, Who: sallyport.Who{Staff: "s001"}, Statement: &sallyport.Statement{ID: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	want(t, r.access.Sync(), "")
	before, err := r.as("s060").Now(t.Context())
	want(t, err, "")
	r.clock.add(todayKept)
	after, err := r.as("s060").Now(t.Context())
	want(t, err, "")
	if after.Customers == before.Customers {
		t.Error("figures of a history that is behind are kept")
	}
}
