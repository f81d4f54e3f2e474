package protect_test

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"

	"sallyport/protect"
)

// TestRolesAtOnce: the reader is the whole server's, so that runs on two databases may change it at the same moment; the server refuses one of them, which is
// done once more.
func TestRolesAtOnce(t *testing.T) {
	dsns := []string{cluster.SuperDSN(emptyDatabase(t)), cluster.SuperDSN(emptyDatabase(t))}
	reader := protect.Reader{User: "reader_at_once", Password: protect.NewPassword("secret")}
	if err := protect.PrepareReader(t.Context(), dsns[0], reader, rand.Reader); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		wg.Go(func() {
			for range 10 {
				errs[i] = errors.Join(errs[i], protect.PrepareReader(t.Context(), dsns[i%2], reader, rand.Reader))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
}
