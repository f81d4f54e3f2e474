package detect

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unsafe"

	"sallyport"
)

// The code of a detector's state. Integers are varints, floats eight bytes, lists and maps their length and their elements, structs their fields in
// order. A pointer is 0 for nil, or the number of what it points to; what is met for the first time follows its number. Staff are told by id.

func typeOf(pointer any) reflect.Type { return reflect.TypeOf(pointer).Elem() }

// Types that are not told field by field.
func isEmployee(t reflect.Type) bool { return t == reflect.TypeFor[*sallyport.Employee]() }
func isZone(t reflect.Type) bool     { return t == reflect.TypeFor[*time.Location]() }
func isTime(t reflect.Type) bool     { return t == reflect.TypeFor[time.Time]() }

// describe writes a type with all that it is made of.
func describe(to *strings.Builder, t reflect.Type, seen map[string]bool) {
	to.WriteString(t.String() + " " + t.Kind().String() + ";")
	if seen[t.String()] || isEmployee(t) || isZone(t) || isTime(t) {
		return
	}
	seen[t.String()] = true
	switch t.Kind() { //nolint:exhaustive // the others are made of nothing
	case reflect.Struct:
		for field := range t.Fields() {
			to.WriteString(field.Name + ":")
			describe(to, field.Type, seen)
		}
	case reflect.Map:
		describe(to, t.Key(), seen)
		describe(to, t.Elem(), seen)
	case reflect.Array:
		fmt.Fprint(to, t.Len())
		describe(to, t.Elem(), seen)
	case reflect.Slice, reflect.Pointer:
		describe(to, t.Elem(), seen)
	}
}

// thing is what a pointer points to: a struct and its first field have the same address.
type thing struct {
	at unsafe.Pointer
	of reflect.Type
}

type stateWriter struct {
	out   []byte
	known map[thing]uint64
	err   error
}

func (w *stateWriter) any(pointer any) { w.value(reflect.ValueOf(pointer).Elem()) }

func (w *stateWriter) length(n int) { w.out = binary.AppendUvarint(w.out, uint64(n)) } //nolint:gosec // a length

func (w *stateWriter) text(s string) {
	w.length(len(s))
	w.out = append(w.out, s...)
}

func (w *stateWriter) value(v reflect.Value) {
	switch v.Kind() { //nolint:exhaustive // there are no others
	case reflect.Bool:
		n := 0
		if v.Bool() {
			n = 1
		}
		w.length(n)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.out = binary.AppendVarint(w.out, v.Int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.out = binary.AppendUvarint(w.out, v.Uint())
	case reflect.Float32, reflect.Float64:
		w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(v.Float()))
	case reflect.String:
		w.text(v.String())
	case reflect.Struct:
		w.fields(v)
	case reflect.Array:
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	case reflect.Slice:
		w.length(v.Len())
		for i := range v.Len() {
			w.value(v.Index(i))
		}
	case reflect.Map:
		w.length(v.Len())
		for each := v.MapRange(); each.Next(); {
			w.value(each.Key())
			w.value(each.Value())
		}
	case reflect.Pointer:
		w.pointer(v)
	default:
		w.err = fmt.Errorf("keep what detection has learnt: a field is a %s, which cannot be kept", v.Type())
	}
}

func (w *stateWriter) fields(v reflect.Value) {
	if isTime(v.Type()) {
		if !v.CanAddr() {
			w.err = fmt.Errorf("keep what detection has learnt: a time in a map")
			return
		}
		at := open(v).Interface().(time.Time) //nolint:forcetypeassert // it is
		w.out = binary.AppendVarint(w.out, at.Unix())
		w.length(at.Nanosecond())
		return
	}
	for _, field := range v.Fields() {
		w.value(field)
	}
}

func (w *stateWriter) pointer(v reflect.Value) {
	switch {
	case isZone(v.Type()): // it comes from the staff
		return
	case v.IsNil():
		w.length(0)
		return
	case isEmployee(v.Type()):
		w.length(1)
		w.text(string((*sallyport.Employee)(v.UnsafePointer()).ID))
		return
	}
	it := thing{v.UnsafePointer(), v.Type()}
	if n, ok := w.known[it]; ok {
		w.out = binary.AppendUvarint(w.out, n)
		return
	}
	n := uint64(len(w.known)) + 1
	w.known[it] = n
	w.out = binary.AppendUvarint(w.out, n)
	w.value(v.Elem())
}

// open lets a field be read and set that is not exported.
func open(v reflect.Value) reflect.Value {
	if v.CanAddr() {
		return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() //nolint:gosec // a field of our own
	}
	return v
}

type stateReader struct {
	in    []byte
	known []reflect.Value
	staff map[sallyport.Staff]*sallyport.Employee
	err   error
}

func (r *stateReader) any(pointer any) { r.value(reflect.ValueOf(pointer).Elem()) }

func (r *stateReader) fail() {
	if r.err == nil {
		r.err = ErrState
	}
	r.in = nil
}

func (r *stateReader) uint() uint64 {
	n, size := binary.Uvarint(r.in)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.in = r.in[size:]
	return n
}

func (r *stateReader) int() int64 {
	n, size := binary.Varint(r.in)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.in = r.in[size:]
	return n
}

// length is how many elements follow: each takes at least a byte, but for structs without fields.
func (r *stateReader) length() int {
	n := r.uint()
	if n > uint64(len(r.in)) {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // bounded
}

func (r *stateReader) text() string {
	n := r.length()
	if r.err != nil {
		return ""
	}
	s := string(r.in[:n])
	r.in = r.in[n:]
	return s
}

func (r *stateReader) value(v reflect.Value) {
	if r.err != nil {
		return
	}
	v = open(v)
	switch v.Kind() { //nolint:exhaustive // there are no others
	case reflect.Bool:
		v.SetBool(r.uint() == 1)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.uint())
	case reflect.Float32, reflect.Float64:
		if len(r.in) < 8 {
			r.fail()
			return
		}
		v.SetFloat(math.Float64frombits(binary.LittleEndian.Uint64(r.in)))
		r.in = r.in[8:]
	case reflect.String:
		v.SetString(r.text())
	case reflect.Struct:
		r.fields(v)
	case reflect.Array:
		for i := range v.Len() {
			r.value(v.Index(i))
		}
	case reflect.Slice:
		r.list(v)
	case reflect.Map:
		r.entries(v)
	case reflect.Pointer:
		r.pointer(v)
	default:
		r.fail()
	}
}

func (r *stateReader) fields(v reflect.Value) {
	if isTime(v.Type()) {
		seconds, nanos := r.int(), r.uint()
		v.Set(reflect.ValueOf(time.Unix(seconds, int64(min(nanos, 999_999_999))).UTC())) //nolint:gosec // bounded
		return
	}
	for _, field := range v.Fields() {
		r.value(field)
	}
}

func (r *stateReader) list(v reflect.Value) {
	n := r.length()
	if n == 0 {
		v.SetZero()
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), n, n))
	for i := range n {
		r.value(v.Index(i))
	}
}

func (r *stateReader) entries(v reflect.Value) {
	n := r.length()
	v.Set(reflect.MakeMapWithSize(v.Type(), n))
	for range n {
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		r.value(key)
		r.value(value)
		if r.err != nil {
			return
		}
		v.SetMapIndex(key, value)
	}
}

func (r *stateReader) pointer(v reflect.Value) {
	if isZone(v.Type()) {
		return
	}
	n := r.uint()
	switch {
	case r.err != nil || n == 0:
		return
	case isEmployee(v.Type()):
		e := r.staff[sallyport.Staff(r.text())]
		if e == nil {
			r.fail()
			return
		}
		v.Set(reflect.ValueOf(e))
	case n <= uint64(len(r.known)):
		if it := r.known[n-1]; it.Type() == v.Type() {
			v.Set(it)
			return
		}
		r.fail()
	case n == uint64(len(r.known))+1:
		it := reflect.New(v.Type().Elem())
		r.known = append(r.known, it)
		v.Set(it)
		r.value(it.Elem())
	default:
		r.fail()
	}
}
