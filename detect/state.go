package detect

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport"
)

// What a detector has learnt can be kept and taken up again, so that a start need not read the whole record (serve, detectkeep.go).
// It is written field by field of what there is, not by a list: a field that somebody adds is in it. Another shape of the fields is another
// digest at its head, and what was kept under the old one is not read.

// learnt are the fields that hold what was learnt; the others come from the options.
func (d *Detector) learnt() []any {
	return []any{&d.people, &d.order, &d.groups, &d.crowd, &d.roles, &d.facts, &d.pairs, &d.now, &d.hour, &d.days, &d.began, &d.counts}
}

// State is what the detector has learnt, as bytes. They say whom customers were looked at by: whoever keeps them keeps them as he keeps the record.
func (d *Detector) State() ([]byte, error) {
	w := &stateWriter{known: map[thing]uint64{}}
	digest := shapeOf(d.learnt())
	w.out = append(w.out, digest[:]...)
	for _, part := range d.learnt() {
		w.any(part)
	}
	return w.out, w.err
}

// ErrState says that bytes are no state of a detector of this version.
var ErrState = errors.New("it was kept by another version, or is no state of a detector")

// Restore makes a detector that has learnt what State gave. The options and the staff MUST be those of the detector that gave it.
func Restore(o Options, staff []sallyport.Employee, state []byte) (*Detector, error) {
	d, err := New(o)
	if err != nil {
		return nil, err
	}
	digest := shapeOf(d.learnt())
	if len(state) < len(digest) || !slices.Equal(state[:len(digest)], digest[:]) {
		return nil, ErrState
	}
	r := &stateReader{in: state[len(digest):], staff: map[sallyport.Staff]*sallyport.Employee{}}
	for i := range staff {
		r.staff[staff[i].ID] = &staff[i]
	}
	for _, part := range d.learnt() {
		r.any(part)
	}
	if r.err == nil && len(r.in) > 0 {
		r.err = ErrState
	}
	if r.err != nil {
		return nil, fmt.Errorf("take up what detection had learnt: %w", r.err)
	}
	for _, p := range d.order {
		if p.employee != nil {
			p.zone = p.employee.Zone
		}
	}
	return d, nil
}

// shapeOf is a digest of the types of all fields, with their names.
func shapeOf(parts []any) [sha256.Size]byte {
	var text strings.Builder
	seen := map[string]bool{}
	for _, part := range parts {
		describe(&text, typeOf(part), seen)
	}
	return sha256.Sum256([]byte(text.String()))
}
