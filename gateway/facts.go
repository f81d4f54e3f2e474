package gateway

import (
	"slices"

	"sallyport"
	"sallyport/query"
)

// facts are the writes to tickets and contacts of the present transaction. They count once it is committed, so they
// follow savepoints and roll-backs as the purpose does.
type facts struct {
	pending []learnt
	saves   []savedFacts
	done    []learnt // committed by a COMMIT since the last ReadyForQuery
	failed  bool
}

// learnt is a fact and who made it.
type learnt struct {
	fact sallyport.Fact
	by   sallyport.Who
}

type savedFacts struct {
	name string
	n    int
}

func (f *facts) add(fact learnt) { f.pending = append(f.pending, fact) }
func (f *facts) fail()           { f.failed = true }

func (f *facts) transaction(t *query.TxChange, tag string) {
	switch t.Kind {
	case query.Begin, query.CommitPrepared, query.RollbackPrepared: // the last two end a transaction that is not this one
	case query.Commit:
		f.end(tag != "ROLLBACK")
	case query.Rollback, query.PrepareTransaction: // what another session may commit is not seen
		f.end(false)
	case query.Savepoint:
		f.saves = append(f.saves, savedFacts{t.Name, len(f.pending)})
	case query.Release:
		if i := f.find(t.Name); i >= 0 {
			f.saves = f.saves[:i]
		}
	case query.RollbackTo:
		if i := f.find(t.Name); i >= 0 {
			f.pending = f.pending[:f.saves[i].n]
			f.saves = f.saves[:i+1]
			f.failed = false
		}
	}
}

// ready returns what is committed. An idle server has committed what did not fail.
func (f *facts) ready(status byte) []learnt {
	if status == 'I' {
		f.end(!f.failed)
	}
	done := f.done
	f.done = nil
	return done
}

func (f *facts) end(committed bool) {
	if committed {
		f.done = append(f.done, f.pending...)
	}
	f.pending, f.saves, f.failed = nil, f.saves[:0], false
}

func (f *facts) find(name string) int {
	for i, save := range slices.Backward(f.saves) {
		if save.name == name {
			return i
		}
	}
	return -1
}

// learn takes the columns that the gateway had returned to itself.
func (s *session) learn(r *run, l *layout, fields [][]byte) {
	c := r.capture
	texts := make([]string, 0, len(fields)-l.visible)
	for i := l.visible; i < len(fields); i++ {
		texts = append(texts, string(keyText(&l.columns[i], fields[i])))
	}
	fact, ok := s.gw.Protection.Resolver.Fact(c.Contact, texts, c.Wrote)
	if !ok {
		return
	}
	by := s.whose(r).who
	s.mu.Lock()
	s.facts.add(learnt{fact, by})
	s.mu.Unlock()
}

// publish makes committed facts durable before anybody builds on them.
func (s *session) publish(committed []learnt) error {
	for len(committed) > 0 {
		e := &sallyport.Event{Kind: sallyport.FactKind, Time: s.gw.Clock(), Who: committed[0].by}
		for len(committed) > 0 && committed[0].by == e.Who {
			e.Facts = append(e.Facts, committed[0].fact)
			committed = committed[1:]
		}
		if _, err := s.gw.Access.Append(e); err != nil {
			return nil // the facts are lost, which narrows a reason and never widens one
		}
		s.gw.Protection.Facts.Apply(e)
	}
	return nil
}
