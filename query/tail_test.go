package query

import (
	"fmt"
	"testing"
)

// TestTailParsesOnce: statements that differ in their last comment alone are parsed once, and an assertion is kept in no cache.
func TestTailParsesOnce(t *testing.T) {
	a := New(refSchema(), Options{})
	for i := range 50 {
		for _, sql := range []string{
			"SELECT email FROM customers WHERE id = $1 /*sallyport_actor='a.%d.c',sallyport_purpose='ticket%%3A%[1]d'*/",
			"SELECT email FROM customers WHERE id = $1 /*sallyport.purpose='ticket%%3A%d'*/;",
			"SET LOCAL sallyport.actor = 'a.%d.c'",
		} {
			plan, err := a.Analyze(fmt.Sprintf(sql, i), true)
			if err != nil {
				t.Fatal(err)
			}
			st := plan.Statements[0]
			if st.Actor != nil && *st.Actor != fmt.Sprintf("a.%d.c", i) || st.Comment != nil && *st.Comment != fmt.Sprintf("ticket:%d", i) {
				t.Fatalf("%s: actor %v, purpose %v", sql, st.Actor, st.Comment)
			}
		}
	}
	if n := len(a.cache.byText) + len(a.shapes.inert); n != 1 {
		t.Errorf("%d texts are kept, not the one that they have in common", n)
	}
}

// BenchmarkAnalyzeTail is a statement that was seen before under another comment, beside one without.
func BenchmarkAnalyzeTail(b *testing.B) {
	a := New(refSchema(), Options{})
	for _, sql := range []string{"SELECT email FROM customers WHERE id = $1", "SELECT email FROM customers WHERE id = $1 /*sallyport_actor='a.b.c'*/"} {
		b.Run(fmt.Sprint(len(sql)), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.Analyze(sql, true); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// FuzzTail holds the end of texts to what must be whatever stands there: what is left is the front of the text, and an assertion that stands
// anywhere in a comment that counts is found, or the text is refused.
func FuzzTail(f *testing.F) {
	for _, sql := range []string{"SELECT 1 /*sallyport_actor='a'*/", "SELECT '/*' /*sallyport.actor='a',x='y'*/ ;", "/*sallyport_actor=*/", "/*/", "*/", "/*sallyport*/*/"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		rest, tail, refused := cutTail(sql)
		if len(rest) > len(sql) || sql[:len(rest)] != rest {
			t.Fatalf("%q is not the front of %q", rest, sql)
		}
		if refused != nil && (tail.actor != nil || refused.Code == "") {
			t.Fatalf("refused %v, and %v all the same", refused, tail)
		}
		if rest == sql && tail.actor != nil {
			t.Fatal("an assertion that stays in the text")
		}
	})
}
