package serve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"sallyport"
	"sallyport/control"
	"sallyport/lease"
	"sallyport/record"
)

// streamsOfGateways are those that gateways write, and from where on in the access stream copies are of them: a gateway whose disk was lost writes
// another one since. A serve that is alone reads them from its record.
func (s *Server) streamsOfGateways() (map[string]lease.Begun, error) {
	switch {
	case s.Hub != nil:
		return s.Hub.Streams(), nil
	case s.O.Config.Gateways.Controller == "":
		return nil, nil
	}
	all := map[string]lease.Begun{}
	err := s.AccessStream.Read(1, func(e *sallyport.Event) error {
		lease.Begins(all, e)
		return nil
	})
	return all, err
}

// copiesOf are where entries of the access stream that are to be erased stand in gateways' own streams.
func (s *Server) copiesOf(list *sallyport.Erasure) (all []sallyport.Copied, err error) {
	if list.Record != s.AccessStream.ID() {
		return nil, nil // orders have the same place everywhere
	}
	streams, err := s.streamsOfGateways()
	if err != nil || len(streams) == 0 {
		return nil, err
	}
	for i := 0; i+1 < len(list.Runs); i += 2 {
		err := s.AccessStream.Read(list.Runs[i], func(e *sallyport.Event) error {
			if e.Seq > list.Runs[i+1] {
				return record.ErrEnough
			}
			if e.Origin == nil || streams[e.Origin.Gateway].Record == "" || e.Seq < streams[e.Origin.Gateway].From {
				return nil
			}
			at := slices.IndexFunc(all, func(c sallyport.Copied) bool { return c.Gateway == e.Origin.Gateway })
			if at < 0 {
				at, all = len(all), append(all, sallyport.Copied{Gateway: e.Origin.Gateway, Record: streams[e.Origin.Gateway].Record})
			}
			all[at].Runs = runsWith(all[at].Runs, e.Origin.Seq)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// runsWith are runs with one sequence more, which is behind them.
func runsWith(runs []uint64, seq uint64) []uint64 {
	if n := len(runs); n > 0 && runs[n-1]+1 == seq {
		runs[n-1] = seq
		return runs
	}
	return append(runs, seq, seq)
}

// mirrors are the erasures of the record that gateways have to make in their own streams too. At a gateway they are its own; at the
// controller those of all, until the last one has made them.
type mirrors struct {
	of      string   // the gateway; empty: this is the controller
	names   []string // of all gateways
	control string   // id of the controller's control stream
	access  string   // and of its access stream; empty: this is a gateway

	mu    sync.Mutex // guards what follows
	open  map[string]*mirror
	order []string // of open, oldest first
}

// mirror is one erasure: what its orders list, what gateways listed of it, and who is done.
type mirror struct {
	lists []*sallyport.Order // the controller's
	own   []*sallyport.Order // of this gateway
	done  map[string]bool
}

// openMirrors folds the orders, and follows them.
func (s *Server) openMirrors(of string) error {
	m := &mirrors{of: of, names: s.O.Config.Gateways.Names, control: s.ControlStream.ID(), open: map[string]*mirror{}}
	if s.Hub == nil && s.link == nil {
		m.access = s.AccessStream.ID()
	}
	if s.link != nil {
		s.mu.Lock()
		m.control = s.link.orders
		s.mu.Unlock()
	}
	s.mirrors = m
	return s.orders.Fold(m.note)
}

// note folds an order.
func (m *mirrors) note(e *sallyport.Event) {
	o := e.Order
	if o == nil || e.Kind != sallyport.Erasing && e.Kind != sallyport.Erased {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.open[o.ID]
	switch {
	case e.Kind == sallyport.Erasing && o.Of == "" && o.Erased != nil:
		if at == nil {
			at = &mirror{done: map[string]bool{}}
			m.open[o.ID], m.order = at, append(m.order, o.ID)
		}
		at.lists, at.done = append(at.lists, o), map[string]bool{}
	case at == nil:
	case e.Kind == sallyport.Erasing && o.Of != "" && o.Of == m.of && o.Erased != nil:
		at.own = append(at.own, o)
	case e.Kind == sallyport.Erased && o.Of != "":
		at.done[o.Of] = true
		if m.of == o.Of || m.of == "" && !slices.ContainsFunc(m.names, func(name string) bool { return !at.done[name] }) {
			delete(m.open, o.ID)
			m.order = slices.DeleteFunc(m.order, func(id string) bool { return id == o.ID })
		}
	}
}

// runsFor are what an order has a gateway erase: in its access stream, or in its copy of the orders.
func (m *mirrors) runsFor(o *sallyport.Order, gateway string) (access *sallyport.Copied, orders []uint64) {
	if o.Erased.Record == m.control {
		orders = o.Erased.Runs
	}
	for i := range o.Copies {
		if o.Copies[i].Gateway == gateway {
			access = &o.Copies[i]
		}
	}
	return access, orders
}

// may holds a gateway to erasing what the record's own erasure is of, and nothing else.
func (m *mirrors) may(gateway string, kind sallyport.EventKind, o *sallyport.Order) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.open[o.ID]
	switch {
	case at == nil || o.Of != gateway || o.By != "" || o.Action != control.Erase || len(o.Copies) > 0:
		return errors.New("nothing is erased here by that name")
	case kind == sallyport.Erased:
		return nil
	case o.Erased == nil || o.Erased.Record == m.access || o.Erased.Record == m.control:
		return errors.New("it lists nothing of the gateway's own")
	}
	for _, list := range at.lists {
		access, orders := m.runsFor(list, gateway)
		if access != nil && o.Erased.Record == access.Record && slices.Equal(o.Erased.Runs, access.Runs) || orders != nil && slices.Equal(o.Erased.Runs, orders) {
			return nil
		}
	}
	return errors.New("the record's own erasure is not of these entries")
}

// tendMirrors erases in this gateway's streams what is erased in its controller's, until ctx ends.
func (s *Server) tendMirrors(ctx context.Context) {
	ticker := time.NewTicker(erasePause)
	defer ticker.Stop()
	told := ""
	for {
		for id, at := range s.mirrors.waiting() {
			err := s.mirror(id, at)
			if err != nil && ctx.Err() == nil && err.Error() != told {
				told = err.Error()
				s.log.Error("entries that the controller erased could not be erased here; trying again", "why", told)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// waiting are the erasures that this gateway has to make.
func (m *mirrors) waiting() map[string]mirror {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := map[string]mirror{}
	for _, id := range m.order {
		at := m.open[id]
		all[id] = mirror{lists: slices.Clone(at.lists), own: slices.Clone(at.own)}
	}
	return all
}

// mirror makes one erasure here: first the controller puts on record what goes, with the digest of the very entries.
func (s *Server) mirror(id string, at mirror) error {
	waits := false
	for _, list := range at.lists {
		access, orders := s.mirrors.runsFor(list, s.link.name)
		if access != nil && access.Record == s.AccessStream.ID() {
			listed, err := s.mirrorRuns(id, at, s.AccessStream, access.Runs)
			if err != nil {
				return err
			}
			waits = waits || !listed
		}
		if orders != nil {
			listed, err := s.mirrorRuns(id, at, s.ControlStream, orders)
			if err != nil {
				return err
			}
			waits = waits || !listed
		}
	}
	if waits {
		return nil // until they come back among the orders
	}
	return s.give(&sallyport.Event{Kind: sallyport.Erased, Order: &sallyport.Order{ID: id, Action: control.Erase, Of: s.link.name}})
}

// mirrorRuns erases entries, if the record lists them; else it has them listed.
func (s *Server) mirrorRuns(id string, at mirror, stream *record.Stream, runs []uint64) (listed bool, err error) {
	for _, o := range at.own {
		if o.Erased.Record == stream.ID() && slices.Equal(o.Erased.Runs, runs) {
			return true, stream.Erase(runs)
		}
	}
	if runs[len(runs)-1] > stream.Last() {
		return false, fmt.Errorf("entries up to %d are to be erased, and there are %d", runs[len(runs)-1], stream.Last())
	}
	list, err := stream.Erasure(runs)
	if err != nil {
		return false, err
	}
	return false, s.give(&sallyport.Event{Kind: sallyport.Erasing, Order: &sallyport.Order{ID: id, Action: control.Erase, Of: s.link.name, Erased: list}})
}
