package duck

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport"
	"sallyport/history"
)

// actor is somebody in one session.
type actor struct {
	staff, via                           sallyport.Staff
	claimed                              bool
	session, login, application, address string
}

// actors fills in who they are. Their names are sealed.
func (q *question) actors(of map[int32]*actor) error {
	ids := slices.Sorted(maps.Keys(of))
	if len(ids) == 0 {
		return nil
	}
	err := q.each("SELECT id, person, via, claimed FROM actors WHERE id IN ("+list(ids)+")", func(scan func(...any) error) error {
		var id, person, via int32
		a := &actor{}
		if err := scan(&id, &person, &via, &a.claimed); err != nil {
			return err
		}
		a.staff, a.via = q.person(person), q.person(via)
		of[id] = a
		return nil
	})
	if err != nil {
		return err
	}
	return q.unbox(boxActors, ids, func(id int32, texts []string) {
		if a := of[id]; a != nil && len(texts) == 4 {
			a.session, a.login, a.application, a.address = texts[0], texts[1], texts[2], texts[3]
		}
	})
}

func (q *question) person(id int32) sallyport.Staff {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return q.s.dict.byID[id]
}

// reasons fills in grant and purposes.
func (q *question) reasons(of map[int32][]string) error {
	delete(of, 0)
	ids := slices.Sorted(maps.Keys(of))
	if len(ids) == 0 {
		return nil
	}
	return q.unbox(boxReasons, ids, func(id int32, texts []string) {
		if _, asked := of[id]; asked && len(texts) == 1 {
			of[id] = strings.Split(texts[0], "\n")
		}
	})
}

// unbox opens the boxes in which names lie.
func (q *question) unbox(kind int8, ids []int32, fn func(id int32, texts []string)) error {
	for some := range slices.Chunk(ids, 250) {
		in := make([]string, len(some))
		for i, id := range some {
			in[i] = fmt.Sprintf("first <= %d AND last >= %d", id, id)
		}
		if err := q.open(kind, strings.Join(in, " OR "), fn); err != nil {
			return err
		}
	}
	return nil
}

// open opens the boxes of a kind that a condition is true of.
func (q *question) open(kind int8, condition string, fn func(id int32, texts []string)) error {
	where := fmt.Sprintf(" WHERE kind = %d AND (%s)", kind, condition)
	return q.each("SELECT first, box FROM boxes"+where+" UNION ALL SELECT first, box FROM fresh_boxes"+where, func(scan func(...any) error) error {
		var first int32
		var box []byte
		if err := scan(&first, &box); err != nil {
			return err
		}
		names, err := openBox(q.s.o.Names, box, boxPlace(kind, first))
		if err != nil {
			return err
		}
		for i, id := range names.IDs {
			fn(id, names.Texts[i])
		}
		return nil
	})
}

// describe looks up statements where the batch did not know them: their results came after a restart.
func (q *question) describe(list []*history.Sighting) error {
	var places []history.Place
	for _, s := range list {
		if s.Verb == "" || s.Observed {
			places = append(places, s.Place())
		}
	}
	statements, err := q.statements(places)
	if err != nil {
		return err
	}
	for _, s := range list {
		if of, known := statements[s.Place()]; known {
			s.Describe(of)
		}
	}
	return nil
}

// statements are what statements' own entries say.
func (q *question) statements(places []history.Place) (map[history.Place]history.Statement, error) {
	found := map[history.Place]history.Statement{}
	sessions := map[string]string{} // by pseudonym
	for _, p := range places {
		sessions[q.s.o.Names.Session(p.Session)] = p.Session
	}
	asked := map[history.Place]bool{}
	for _, p := range places {
		asked[p] = true
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(sessions)), 1000) {
		err := q.each("SELECT a.session, c.statement, c.verb, c.fields FROM actors a JOIN acts c ON c.actor = a.id WHERE a.session IN ('"+strings.Join(some, "','")+"') AND c.kind = "+literal(q.kind(sallyport.StatementKind)),
			func(scan func(...any) error) error {
				var session string
				var statement int64
				var verb, fields int32
				if err := scan(&session, &statement, &verb, &fields); err != nil {
					return err
				}
				at := history.Place{Session: sessions[session], Statement: uint64(statement)} //nolint:gosec // there and back
				if !asked[at] {
					return nil
				}
				of := history.Statement{Verb: q.word(verb)}
				if columns := q.word(fields); columns != "" {
					of.Columns = strings.Split(columns, ", ")
				}
				found[at] = of
				return nil
			})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// kind is the number of a kind of entry.
func (q *question) kind(k sallyport.EventKind) int32 {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	return q.s.dict.words[string(k)]
}
