package serve

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
	"sallyport/record"
)

// TestGatewaysValues asks a controller for values, which it has from its gateways: what they are, under a grant never more customers than it says, however many
// ask at once, each of them on a gateway's record; and where no gateway is, what to do.
func TestGatewaysValues(t *testing.T) {
	t.Parallel()
	const granted, tokens = 60, 100
	s := newCampus(t, fmt.Sprintf("detect: {off: true}\ngrants:\n  standing:\n    - {id: G1, for: o1, columns: [support.customers.email], customers: %d, until: 2099-01-01T00:00:00Z, approved_by: [o2, o3]}\n", granted))
	s.controls(Controller)
	rows, err := s.direct().Query(t.Context(), fmt.Sprintf("SELECT email FROM support.customers WHERE id <= %d ORDER BY id", tokens))
	fatal(t, err)
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	fatal(t, err)
	item := func(i int) api.ValueItem {
		return api.ValueItem{Column: "support.customers.email", Token: stored[i]}
	}
	o := s.officer("o1")
	if _, err := o.Reveal(t.Context(), api.ValuesRequest{Purpose: "grant:G1", ValueItem: item(0)}); refusedAs(err) != "not_ready" {
		t.Errorf("without a gateway: %v", err)
	}
	s.awaits(severalNames...)
	own := s.org.Customer(1)
	made, err := o.Tokenise(t.Context(), api.ValuesRequest{Purpose: "grant:G1", ValueItem: api.ValueItem{Column: "support.customers.email", Value: own.Email}})
	fatal(t, err)
	if len(made.Items) != 1 || made.Items[0].Token != stored[0] {
		t.Errorf("the token of a value is another one than the rows': %+v", made)
	}
	var mu sync.Mutex // guards shown
	shown := map[int]bool{}
	var both sync.WaitGroup
	for _, backwards := range []bool{false, true} {
		both.Go(func() {
			c := s.officer("o1")
			for from := 0; from < tokens; from += 5 {
				q := api.ValuesRequest{Purpose: "grant:G1"}
				at := make([]int, 5)
				for i := range at {
					if at[i] = from + i; backwards {
						at[i] = tokens - 1 - at[i]
					}
					q.Items = append(q.Items, item(at[i]))
				}
				a, over := s.asksAgain(t, c, q)
				for i, x := range a.Items {
					if x.Value == "" {
						continue
					}
					if x.Value != s.org.Customer(int64(at[i]+1)).Email {
						t.Errorf("customer %d is shown as another one", at[i]+1)
					}
					mu.Lock()
					shown[at[i]] = true
					mu.Unlock()
				}
				if over {
					return
				}
			}
		})
	}
	both.Wait()
	for _, name := range severalNames {
		s.kill(name)
	}
	onRecord := s.digestsOf(t, "o1")
	t.Logf("%d shown, %d on record", len(shown), onRecord)
	if len(shown) == 0 || onRecord > granted || len(shown) > onRecord {
		t.Errorf("%d customers were shown and %d are on record, under a grant for %d", len(shown), onRecord, granted)
	}
}

// asksAgain asks until it is answered: a machine that is busy may have gateways lose their controller for a moment. over: there is no more.
func (s *campus) asksAgain(t *testing.T, c *api.Client, q api.ValuesRequest) (a api.ValuesAnswer, over bool) {
	var err error
	for end := time.Now().Add(stretched(30 * time.Second)); time.Now().Before(end); {
		a, err = c.Reveal(t.Context(), q)
		switch {
		case err == nil && a.Stopped == nil:
			return a, false
		case err == nil && a.Stopped.Code != "try_again", err != nil && refusedAs(err) != "try_again" && refusedAs(err) != "not_ready":
			return a, true
		}
	}
	t.Errorf("nobody answers: %v", err)
	return a, true
}

// digestsOf counts the distinct values that the records of both gateways say were shown to somebody: a token alone does not say whose it is.
func (s *campus) digestsOf(t *testing.T, who sallyport.Staff) int {
	t.Helper()
	seen := map[sallyport.Digest]bool{}
	for _, name := range severalNames {
		folder := s.folderOf(name)
		server := newServer(Options{Config: s.config, Data: filepath.Join(folder, "data"), KeyFile: filepath.Join(folder, "key.txt")})
		key, err := server.recordKey(s.ctx)
		fatal(t, err)
		stream, err := record.Open(filepath.Join(folder, "data", "access"), record.Options{Key: key})
		fatal(t, err)
		err = stream.Read(1, func(e *sallyport.Event) error {
			if e.Who.Staff == who && e.Reveal != nil {
				for v := range e.Reveal.Values.All() {
					seen[v.Digest] = true
				}
			}
			return nil
		})
		fatal(t, errors.Join(err, stream.Close()))
	}
	return len(seen)
}
