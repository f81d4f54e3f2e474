package gateway

import (
	"context"
	"encoding/binary"
	"slices"

	"sallyport"
	"sallyport/policy"
	"sallyport/purpose"
	"sallyport/query"
)

// Copying is an action of its own: a token is written that did not stand in that row, or a row is made another customer's.
// It is denied unless a policy permits it, and the record says which policy decided.

// mayCopy refuses a statement that copies what no policy lets its person copy.
func (s *session) mayCopy(as *acting, st *query.Statement) *query.Refusal {
	if len(st.Copies) == 0 {
		return nil
	}
	d := s.gw.Protection.Policies().Copy(as.person.Staff, as.person.Service, st.Copies)
	if d.Permitted && slices.ContainsFunc(st.Copies, func(c sallyport.Column) bool { p := s.gw.protectedColumn(c); return p != nil && p.Whole }) {
		return refusal(codeBusy, "this statement moves tokens to other rows while their keys are rotated", "Write the values themselves, or wait until the rotation is done.")
	}
	if d.Permitted {
		return nil
	}
	code, sentence := codeRelink, "this statement changes through which customer a row is found"
	if slices.ContainsFunc(st.Copies, func(c sallyport.Column) bool { return s.gw.protectedColumn(c) != nil }) {
		code, sentence = codeTokenWrite, "this statement moves tokens to other rows"
	}
	return denied(code, sentence, &d)
}

func denied(code, sentence string, d *sallyport.Decision) *query.Refusal {
	r := refusal(code, sentence, "Only services that the configuration names under `copy` may do that, and its routers and writers for their own tables. A value itself may be written as usual.")
	r.Decision = d
	return r
}

// recordCopies puts what a statement copies on disk before it is forwarded.
func (s *session) recordCopies(r *run) *query.Refusal {
	if r.stmt == nil || len(r.stmt.Copies) == 0 {
		return nil
	}
	as := s.whose(r)
	d := s.gw.Protection.Policies().Copy(as.person.Staff, as.person.Service, r.stmt.Copies)
	return s.recordCopy(r, &d)
}

func (s *session) recordCopy(r *run, d *sallyport.Decision) *query.Refusal {
	e := s.statementEvent(r, nil)
	e.Kind, e.Decision = sallyport.CopyKind, d
	return s.recordFirst(e, "nothing is copied")
}

// noteDenial puts into the entry of a refusal which policy decided; a denied copy has a kind of its own.
func (s *session) noteDenial(e *sallyport.Event, d *sallyport.Decision) {
	e.Decision = d
	if d.Action == policy.ActionCopy {
		e.Kind = sallyport.CopyKind
	}
	s.noteDurably(e)
}

// tokenWritten decides about a token that stands where a value should: it may stay where it is, and else only be copied.
func (s *session) tokenWritten(r *run, slot *query.Slot, stored []byte) *query.Refusal {
	if slot.Row != nil && r.pinned != nil && (r.pinned(slot, stored) || s.standsPlain(r, slot, stored)) {
		return nil
	}
	columns, as := []sallyport.Column{slot.Column}, s.whose(r)
	d := s.gw.Protection.Policies().Copy(as.person.Staff, as.person.Service, columns)
	if !d.Permitted {
		return denied(codeTokenWrite, "a token cannot be written into "+slot.Column.String(), &d)
	}
	if slices.Contains(r.copied, slot.Column) {
		return nil
	}
	r.copied = append(r.copied, slot.Column)
	return s.recordCopy(r, &d)
}

// pinning looks whether a row that a statement pins by its key holds a token already: then writing it changes nothing. A program
// that saves whole rows does so. Committed state is asked, over Sallyport's own connection.
func (s *session) pinning(ctx context.Context, r *run) func(slot *query.Slot, stored []byte) bool {
	return func(slot *query.Slot, stored []byte) bool {
		value, ok := r.keyValue(slot.Row)
		if !ok {
			return false
		}
		return s.gw.Protection.Resolver.Holds(ctx, slot.Row.Schema+"."+slot.Row.Table, slot.Row.Column, value, slot.Column.Name, string(stored))
	}
}

// holding reads what a row that a statement pins by its key holds.
func (s *session) holding(ctx context.Context, r *run) func(slot *query.Slot) (string, bool) {
	return func(slot *query.Slot) (string, bool) {
		value, ok := r.keyValue(slot.Row)
		if !ok {
			return "", false
		}
		return s.gw.Protection.Resolver.Held(ctx, slot.Row.Schema+"."+slot.Row.Table, slot.Row.Column, value, slot.Column.Name)
	}
}

// holdingApart is holding of an integer or a uuid on its way.
func (s *session) holdingApart(ctx context.Context, r *run) func(slot *query.Slot) (purpose.Apart, bool) {
	return func(slot *query.Slot) (purpose.Apart, bool) {
		value, ok := r.keyValue(slot.Row)
		if !ok {
			return purpose.Apart{}, false
		}
		return s.gw.Protection.Resolver.HeldApart(ctx, slot.Row.Schema+"."+slot.Row.Table, slot.Row.Column, value, slot.Column.Name)
	}
}

// keyValue is the text of the key that a statement pins a row by.
func (r *run) keyValue(k *query.RowKey) (string, bool) {
	i := k.Param - 1
	switch {
	case k.Param == 0:
		return k.Value, true
	case r.bound != nil && i < len(r.bound.Params) && r.bound.Params[i] != nil:
		typ, ok := keyType(k.TypeOID, declared(r.types, i))
		return string(keyText(&column{typ: typ, binary: r.bound.Format(i) == 1}, r.bound.Params[i])), ok
	case r.outer != nil && r.outer.Execute != nil && i < len(r.outer.Execute.Args):
		arg := r.outer.Execute.Args[i]
		return arg.Value, arg.Literal && !arg.Null
	}
	return "", false
}

// keyType is the type of the parameter that a key is compared with. Of another kind than the key it could stand for another row than the one
// that is looked at, or for many: a float8 rounds.
func keyType(key, declared uint32) (typ uint32, ok bool) {
	switch {
	case declared == 0, declared == key:
		return key, true
	case wholeType(key) && wholeType(declared), textType(key) && (declared == typeText || declared == typeVarchar):
		return declared, true
	}
	return 0, false
}

func wholeType(oid uint32) bool { return oid == typeInt8 || oid == typeInt4 || oid == typeInt2 }

// declared is the type that Parse declared for a parameter; 0: none.
func declared(types []byte, i int) uint32 {
	if len(types) < 4*(i+1) {
		return 0
	}
	return binary.BigEndian.Uint32(types[4*i:])
}
