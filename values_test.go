package sallyport

import (
	"bytes"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestValues packs lists of any customers, columns and digests, and reads them again.
func TestValues(t *testing.T) {
	one := rapid.Custom(func(t *rapid.T) (v RevealedValue) {
		number := rapid.OneOf(rapid.Uint64Max(200), rapid.Uint64())
		v.Subject = rapid.OneOf(
			rapid.Custom(func(t *rapid.T) Subject { return Subject(strconv.FormatUint(number.Draw(t, "number"), 10)) }),
			rapid.SampledFrom([]Subject{"", "0", "00", "-1", "9999999999999999999", "18446744073709551616", "0190b5e0-0000-7000-8000-000000000001"}),
			rapid.Custom(func(t *rapid.T) Subject { return Subject(rapid.StringN(0, 200, -1).Draw(t, "text")) }),
		).Draw(t, "customer")
		v.Column = rapid.OneOf(rapid.Uint16Max(2), rapid.Uint16()).Draw(t, "column")
		copy(v.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))
		return v
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(one, 0, 50).Draw(t, "values")
		made := ValuesOf(want...)
		var read Values
		if err := read.UnmarshalBinary(made.Packed()); err != nil {
			t.Fatal(err)
		}
		if got := slices.Collect(read.All()); !slices.Equal(got, want) || read.Len() != len(want) || made.Len() != len(want) {
			t.Fatalf("got %v, %d\nwant %v", got, read.Len(), want)
		}
		i := 0
		for v := range read.Numbered() {
			n, is := WholeNumber(want[i].Subject)
			switch {
			case v.Column != want[i].Column, v.Digest != want[i].Digest:
				t.Fatalf("numbered: %v, want %v", v, want[i])
			case v.Key == nil && strconv.FormatUint(v.Number, 10) != string(want[i].Subject), v.Key != nil && (is && n == v.Number || string(v.Key) != string(want[i].Subject)):
				t.Fatalf("numbered: customer %d, %q, want %q", v.Number, v.Key, want[i].Subject)
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("numbered: %d values, want %d", i, len(want))
		}
		before := rapid.SliceOfNDistinct(rapid.Map(one, func(v RevealedValue) Subject { return v.Subject }), 0, 3, rapid.ID).Draw(t, "before")
		distinct := slices.Clone(before)
		for _, v := range want {
			if v.Subject != "" && !slices.Contains(distinct, v.Subject) {
				distinct = append(distinct, v.Subject)
			}
		}
		if got := read.Distinct(slices.Clone(before)); !slices.Equal(got, distinct) {
			t.Fatalf("got %q once each, want %q", got, distinct)
		}
		more := one.Draw(t, "one more")
		read.Add(more)
		made.Add(more)
		if !read.Equal(made) || read.Len() != made.Len() {
			t.Fatal("what was read goes on otherwise")
		}
		for n := range made.Packed() { // cut off
			var cut Values
			if err := cut.UnmarshalBinary(made.Packed()[:n]); err == nil && slices.Equal(slices.Collect(cut.All()), append(want, more)) {
				t.Fatalf("the first %d bytes of %d are all of it", n, len(made.Packed()))
			}
		}
	})
}

// TestValuesInOrder holds customers in the order of their keys to a byte each.
func TestValuesInOrder(t *testing.T) {
	var v Values
	for n := range uint64(1000) {
		v.AddNumber(1_000_000+3*n, 0, Digest{byte(n)})
	}
	if n := len(v.Packed()); n > 1000*17+3 {
		t.Errorf("%d bytes", n)
	}
	room := v.Packed()
	if v.Reset(); v.Len() != 0 || len(v.Packed()) != 0 {
		t.Error("not empty after Reset")
	}
	if v.AddNumber(7, 3, Digest{1}); !bytes.Equal(room[:len(v.Packed())], v.Packed()) {
		t.Error("Reset gives the room away")
	}
	if got := slices.Collect(v.All()); len(got) != 1 || got[0] != (RevealedValue{"7", 3, Digest{1}}) {
		t.Errorf("%v after Reset", got)
	}
}

func FuzzValues(f *testing.F) {
	list := ValuesOf(RevealedValue{"17", 0, Digest{1}}, RevealedValue{"x", 300, Digest{2}}, RevealedValue{"9999999999999999999", 300, Digest{}})
	f.Add(list.Packed())
	f.Add([]byte{255, 255})
	f.Fuzz(func(t *testing.T, packed []byte) {
		var v Values
		if v.UnmarshalBinary(packed) != nil {
			return
		}
		if n := len(slices.Collect(v.All())); n != v.Len() {
			t.Fatalf("%d values of %d", n, v.Len())
		}
	})
}

// BenchmarkDistinct is a batch of a wide result whose rows come as they lie in a table that was written over and over: in stretches.
func BenchmarkDistinct(b *testing.B) {
	var v Values
	for n := range uint64(9000) {
		v.AddNumber(n%300+(n/300*7919%30)*1000, 0, Digest{byte(n)})
	}
	b.ReportAllocs()
	for b.Loop() {
		if got := v.Distinct(nil); len(got) != 9000 {
			b.Fatalf("%d customers", len(got))
		}
	}
}
