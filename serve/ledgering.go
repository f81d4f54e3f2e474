package serve

import (
	"context"
	"fmt"
	"time"

	"sallyport/api"
	"sallyport/ledger"
	"sallyport/record"
)

// openLedger opens the ledger over both streams, and holds it to what was seen of it elsewhere.
func (s *Server) openLedger(ctx context.Context) error {
	c := &s.O.Config.Ledger
	o := ledger.Options{Data: s.O.Data, Origin: c.Origin, Log: s.log, Sources: []ledger.Source{
		ledgerSource(ledger.Control, s.ControlStream), ledgerSource(ledger.Access, s.AccessStream), // orders are few, and do not wait behind reveals
	}}
	for _, w := range c.Witnesses {
		o.Witnesses = append(o.Witnesses, ledger.Witness{URL: w.URL, Key: w.Key})
	}
	for _, path := range c.Checkpoints {
		o.Copies = append(o.Copies, s.O.Config.Path(path))
	}
	var err error
	s.ledger, err = ledger.Open(ctx, o)
	return err
}

// runLedger follows the record until its result is called, which brings in what is on record by then.
func (s *Server) runLedger(ctx context.Context) (end func()) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ledger.Run(ctx)
	}()
	return func() {
		stop()
		<-done
	}
}

func ledgerSource(stream ledger.Stream, r *record.Stream) ledger.Source {
	return ledger.Source{
		Stream: stream, ID: r.RawID(), Last: r.Last, Wait: r.Wait,
		Open: func(from uint64) ledger.Tap { return r.Tap(from) },
	}
}

// ledgerStatus is a line about the ledger, and one for each witness and file elsewhere that is not up to date.
func (s *Server) ledgerStatus() []api.Standby {
	if s.ledger == nil {
		return nil
	}
	st := s.ledger.Status()
	how := fmt.Sprintf("%d leaves, %d under the last checkpoint", st.Size, st.Signed)
	if !st.SignedAt.IsZero() {
		how += " of " + st.SignedAt.UTC().Format(time.RFC3339)
	}
	how += fmt.Sprintf("; %d entries wait", st.Lag)
	if st.Alarm {
		how += ", FOR TOO LONG"
	}
	if st.Trouble != "" {
		how += "; it does not go on: " + st.Trouble
	}
	if len(st.Witnesses)+len(st.Copies) == 0 {
		how += "; nobody else sees it (ledger.witnesses, ledger.checkpoints)"
	}
	lines := []api.Standby{{What: "ledger", How: how}}
	for _, w := range st.Witnesses {
		how := fmt.Sprintf("%s cosigned %d leaves", w.URL, w.Size)
		if w.Why != "" {
			how += "; not the newest: " + w.Why
		}
		lines = append(lines, api.Standby{What: "witness", How: how})
	}
	for _, c := range st.Copies {
		how := fmt.Sprintf("%s has the one of %d leaves", c.Path, c.Size)
		if c.Why != "" {
			how += "; not the newest: " + c.Why
		}
		lines = append(lines, api.Standby{What: "checkpoint", How: how})
	}
	return lines
}
