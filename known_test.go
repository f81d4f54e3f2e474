package sallyport_test

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport"
)

// TestKnow keeps every fact of a reason, each in a bit of its own.
func TestKnow(t *testing.T) {
	full := sallyport.Reason{Kind: "ticket"}
	for i := range reflect.TypeFor[sallyport.Reason]().NumField() {
		switch f := reflect.ValueOf(&full).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("text " + reflect.TypeFor[sallyport.Reason]().Field(i).Name)
		case reflect.Int64:
			f.SetInt(int64(i + 1))
		default:
		}
	}
	full.Kind = "ticket"
	for i := range reflect.TypeFor[sallyport.Reason]().NumField() {
		if f := reflect.ValueOf(&full).Elem().Field(i); f.Kind() == reflect.Bool {
			one := full
			reflect.ValueOf(&one).Elem().Field(i).SetBool(true)
			k := sallyport.Know(&one)
			if diff := cmp.Diff(one, k.Reason("ticket")); diff != "" {
				t.Errorf("%s: %s", reflect.TypeFor[sallyport.Reason]().Field(i).Name, diff)
			}
		}
	}
	for _, c := range []struct {
		is   sallyport.Facts
		want uint8
	}{{sallyport.FactCovers, 1}, {sallyport.FactOpen, 2}, {sallyport.FactMine, 4}, {sallyport.FactOpenedBySelf, 8}, {sallyport.FactAssignedBySelf, 16}, {sallyport.FactContacted, 32}} {
		if uint8(c.is) != c.want {
			t.Errorf("%d, want %d: it is on record", c.is, c.want)
		}
	}
}
