package record

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"sallyport"
)

func mustCodec(t testing.TB) codec {
	t.Helper()
	c, err := newCodec()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustEncode(t testing.TB, c codec, e *sallyport.Event) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := c.append(&buf, e, e.Time); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestNoFieldIsForgotten walks through the event of the round trip: a field that it leaves empty would not be tested, and one that
// the codec does not know would not come back.
func TestNoFieldIsForgotten(t *testing.T) {
	full := fullEvent()
	full.Seq = 1
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		if v.IsZero() && v.Kind() != reflect.Uint16 { // the first column's index is 0
			t.Errorf("%s is empty", path)
		}
		switch v.Kind() {
		case reflect.Pointer:
			walk(v.Elem(), path)
		case reflect.Slice:
			if v.Len() > 0 {
				walk(v.Index(0), path+"[0]")
			}
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[time.Time]() {
				return
			}
			for i := range v.NumField() {
				if f := v.Type().Field(i); f.Name != "_" && f.Tag.Get("cbor") != "-" {
					walk(v.Field(i), path+"."+f.Name)
				}
			}
		}
	}
	walk(reflect.ValueOf(full), "event")

	c := mustCodec(t)
	got, err := c.decode(mustEncode(t, c, full))
	if err != nil {
		t.Fatal(err)
	}
	full.Seq = 0
	if diff := cmp.Diff(full, got); diff != "" {
		t.Error(diff)
	}
}

// TestEncoding holds what is written by hand to what the library writes, save for the sequence.
func TestEncoding(t *testing.T) {
	c := mustCodec(t)
	rapid.Check(t, func(t *rapid.T) {
		e := fullEvent()
		text := rapid.StringN(0, 300, -1)
		values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sallyport.RevealedValue {
			v := sallyport.RevealedValue{Subject: sallyport.Subject(text.Draw(t, "subject")), Column: rapid.Uint16().Draw(t, "column")}
			copy(v.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))
			return v
		}), 0, 300).Draw(t, "values")
		e.Reveal = &sallyport.Revealed{
			Statement: rapid.Uint64().Draw(t, "statement"), Values: sallyport.ValuesOf(values...), Grant: text.Draw(t, "grant"),
			Columns: make([]sallyport.Column, rapid.IntRange(0, 3).Draw(t, "columns")), Purposes: make([]sallyport.Purpose, rapid.IntRange(0, 2).Draw(t, "purposes")),
		}
		digests := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) (d sallyport.Digest) {
			copy(d[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))
			return d
		}), 0, 30)
		e.Touch = &sallyport.Touched{
			Statement: rapid.Uint64().Draw(t, "touching"), Values: digests.Draw(t, "tokens"), Probes: digests.Draw(t, "probes"), Dates: digests.Draw(t, "dates"),
			Reached: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) sallyport.Subject { return sallyport.Subject(text.Draw(t, "reached")) }), 0, 30).Draw(t, "customers"),
		}
		if rapid.Bool().Draw(t, "sparse") {
			e.Statement, e.Facts, e.Touch, e.Note, e.Order = nil, nil, nil, "", nil
		}
		var got, want bytes.Buffer
		if err := c.append(&got, e, e.Time); err != nil {
			t.Fatal(err)
		}
		if err := c.enc.MarshalToBuffer(e, &want); err != nil {
			t.Fatal(err)
		}
		// The library writes 1: 0 as the first pair of a map that is larger by one.
		b := want.Bytes()
		if wanted := append([]byte{b[0] - 1}, b[3:]...); !bytes.Equal(got.Bytes(), wanted) {
			t.Fatalf("got  %x\nwant %x", got.Bytes(), wanted)
		}
	})
}

// TestUnknownKeysAreIgnored reads what a later version may write.
func TestUnknownKeysAreIgnored(t *testing.T) {
	c := mustCodec(t)
	later := map[int]any{
		2: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 3: "a kind of tomorrow", 4: map[int]any{1: "s001", 99: []any{1, "x"}}, 11: "note",
		77: map[string]any{"a": []byte{1}},
	}
	opts := cbor.CoreDetEncOptions()
	opts.Time = cbor.TimeRFC3339NanoUTC
	mode, err := opts.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(later)
	if err != nil {
		t.Fatal(err)
	}
	e, err := c.decode(b)
	if err != nil || e.Kind != "a kind of tomorrow" || e.Who.Staff != "s001" || e.Note != "note" {
		t.Errorf("%+v, %v", e, err)
	}
}

func FuzzDecodeEvent(f *testing.F) {
	c := mustCodec(f)
	f.Add(mustEncode(f, c, fullEvent()))
	f.Add(mustEncode(f, c, bigReveal(3)))
	f.Add([]byte{majorMap})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := c.decode(b)
		if err != nil {
			return
		}
		var buf bytes.Buffer
		if err := c.append(&buf, e, e.Time); err != nil {
			return // a time that has no text form
		}
		again, err := c.decode(buf.Bytes())
		if err != nil {
			t.Fatalf("%+v does not decode again: %v", e, err)
		}
		again.Seq = e.Seq
		sameTime := cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })
		if diff := cmp.Diff(e, again, sameTime, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzParseEntry(f *testing.F) {
	f.Add(make([]byte, bodyAt+1))
	f.Add(append(make([]byte, formAt), append([]byte{formErased}, make([]byte, 32)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err == nil && (e.body == nil) != (b[formAt] == formErased) {
			t.Errorf("%x: %+v", b, e)
		}
	})
}
