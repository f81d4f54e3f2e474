package record_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"sallyport"
	"sallyport/record"
)

// errEnough ends a follower.
var errEnough = errors.New("enough")

// TestPaced: who follows at a pace sees each entry once and in order, rests while more is written, and does not while nothing is.
func TestPaced(t *testing.T) {
	s, err := record.Open(t.TempDir(), record.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // somebody who writes all the time
		for ctx.Err() == nil {
			if _, err := s.Append(&sallyport.Event{Kind: sallyport.StatementKind}); err != nil {
				t.Error(err)
			}
		}
	})
	const pieces, piece = 10, 10 * time.Millisecond
	follow := func(pace record.Pace) time.Duration {
		began, next := time.Now(), uint64(1)
		err := s.Paced(pace).Follow(t.Context(), 1, func(e *sallyport.Event) error {
			if e.Seq != next {
				t.Fatalf("entry %d; want %d", e.Seq, next)
			}
			if next++; next > pieces {
				return errEnough
			}
			for end := time.Now().Add(piece); time.Now().Before(end); { //nolint:revive // work
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	slow := follow(record.Pace{Part: 4, Behind: time.Hour})
	if least := 3 * (pieces - 2) * piece; slow < least {
		t.Errorf("a quarter of the time for %d pieces of %s took %s; want at least %s", pieces, piece, slow, least)
	}
	late := follow(record.Pace{Part: 1000, Behind: 50 * time.Millisecond})
	t.Logf("paced %s; behind for long %s", slow, late)
	if late > 5*time.Second {
		t.Errorf("behind for longer than it may be it took %s", late)
	}
	if quiet := follow(record.Pace{Rush: 1 << 40, Part: 1000, Behind: time.Hour}); quiet > 5*time.Second {
		t.Errorf("with no rush it took %s", quiet)
	}
	cancel()
	wg.Wait()
	if idle := follow(record.Pace{Part: 1000, Behind: time.Hour}); idle > 10*time.Second {
		t.Errorf("with nobody writing it took %s", idle)
	}
}
