package main

import (
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"sallyport"
	"sallyport/api"
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
	shown := map[sallyport.Subject]bool{}
	var both sync.WaitGroup
	for _, backwards := range []bool{false, true} {
		both.Go(func() {
			c := s.officer("o1")
			for from := 0; from < tokens; from += 5 {
				q := api.ValuesRequest{Purpose: "grant:G1"}
				at := make([]int, 0, 5)
				for i := from; i < min(from+5, tokens); i++ {
					n := i
					if backwards {
						n = tokens - 1 - i
					}
					q.Items, at = append(q.Items, item(n)), append(at, n)
				}
				a, err := c.Reveal(t.Context(), q)
				for i, x := range a.Items {
					customer := s.org.Customer(int64(at[i] + 1))
					if x.Value == "" {
						continue
					}
					if x.Value != customer.Email {
						t.Errorf("customer %d is shown as another one", customer.ID)
					}
					mu.Lock()
					shown[sallyport.Subject(fmt.Sprint(customer.ID))] = true
					mu.Unlock()
				}
				if err != nil || a.Stopped != nil {
					return
				}
			}
		})
	}
	both.Wait()
	for _, name := range severalNames {
		s.kill(name)
	}
	revealed, _ := s.onRecord("o1")
	t.Logf("%d shown, %d on record", len(shown), len(revealed))
	if len(shown) == 0 || len(revealed) > granted || len(shown) < granted-10 {
		t.Errorf("%d customers were shown and %d are on record, under a grant for %d", len(shown), len(revealed), granted)
	}
	for customer := range shown {
		if !revealed[customer] {
			t.Errorf("customer %s was shown without a record", customer)
		}
	}
}
