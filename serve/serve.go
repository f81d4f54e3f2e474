package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"sallyport/protect"
)

// PrepareReader makes the reader's role in front of plain values, which protect does otherwise.
func PrepareReader(ctx context.Context, o Options, owner string) error {
	server, err := upstreamOf(o.Config, o.Upstream)
	if err != nil {
		return err
	}
	_, marked, err := protect.Sense(ctx, server)
	switch {
	case err != nil:
		return err
	case marked && o.MovingIn: // by this database, or by another one of the server
		if ours, err := isMarked(o.Config, ctx, owner); err != nil || ours { // then its reader is there
			return err
		}
		if err := ownReader(o.Config, ctx, owner); err != nil {
			return err
		}
	case marked:
		return errors.New("observe: the server holds a protected database, and observing is for plain values; run serve without --observe")
	}
	reader, err := readerRole(o.Config)
	if err != nil {
		return err
	}
	return protect.PrepareReader(ctx, o.Config.OwnerDSN(owner), reader, rand.Reader)
}

// OnHangup calls renew on each SIGHUP until its result is called.
func OnHangup(renew func()) (stop func()) {
	heard, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(heard, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-heard:
				renew()
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(heard)
		close(done)
		wg.Wait()
	}
}
