package gateway

import (
	"testing"

	"sallyport/catalog"
	"sallyport/query"
	"sallyport/wire/pg"
)

func TestVeilValue(t *testing.T) {
	for _, c := range []struct {
		show        catalog.Show
		value, want string
	}{
		{catalog.ShowNone, "anything", "***"},
		{catalog.ShowNone, "", "***"},
		{catalog.ShowFirst, "Ann", "A***"},
		{catalog.ShowFirst, "Élodie", "É***"},
		{catalog.ShowFirst, "X", "***"},
		{catalog.ShowFirst, "X   ", "***"},
		{catalog.ShowFirst, "", "***"},
		{catalog.ShowLast4, "+15550001234", "***1234"},
		{catalog.ShowLast4, "1234567", "***"},
		{catalog.ShowLast4, "12345678", "***5678"},
		{catalog.ShowLast4, "12345678    ", "***5678"},
		{catalog.ShowLast4, "ääääöööü", "***öööü"},
		{catalog.ShowLast4, "äöü4", "***"},
		{catalog.ShowDomain, "a@b.example", "***@b.example"},
		{catalog.ShowDomain, `"a@x"@b.example`, "***@b.example"},
		{catalog.ShowDomain, "no address", "***"},
		{catalog.ShowDomain, "@", "***@"},
	} {
		scratch, got := veilValue([]byte("before"), &column{text: true, show: c.show}, []byte(c.value))
		if string(got) != c.want || string(scratch[:6]) != "before" {
			t.Errorf("%s of %q: %q, want %q", c.show, c.value, got, c.want)
		}
	}
	if _, got := veilValue(nil, &column{show: catalog.ShowNone}, []byte{0, 0, 0, 1}); got != nil {
		t.Errorf("a number becomes %q, want NULL", got)
	}
}

// TestHush holds what is left of an error to what cannot quote a value.
func TestHush(t *testing.T) {
	notice := func(code, message string, more ...pg.NoticeField) pg.Notice {
		return append(pg.NewNotice("ERROR", code, message, "a detail", "a hint"), more...)
	}
	inside := pg.NoticeField{Code: pg.Where, Value: []byte("PL/pgSQL function f()")}
	const left = "sallyport: what the server says here may hold a masked value, and is left out"
	for _, c := range []struct {
		name                  string
		st                    *query.Statement
		n                     pg.Notice
		message, detail, hint string
		where                 bool
	}{
		{"a cast", &query.Statement{Masks: true}, notice("22P02", `invalid input: "x"`), left, "", "", false},
		{"a constraint", &query.Statement{Masks: true}, notice("23505", "duplicate key"), "duplicate key", "", "", false},
		{"a column", &query.Statement{Masks: true}, notice("42703", "no column"), "no column", "", "a hint", false},
		{"a trigger", &query.Statement{Masks: true}, notice("23505", "said by a trigger", inside), left, "", "", false},
		{"COMMIT", &query.Statement{Tx: &query.TxChange{}}, notice("P0001", "said by a trigger"), left, "", "", false},
		{"nobody knows", nil, notice("P0001", "said"), left, "", "", false},
		{"a write elsewhere", &query.Statement{Writes: true}, notice("22P02", `invalid input: "x"`, inside), `invalid input: "x"`, "", "a hint", true},
		{"a read elsewhere", &query.Statement{}, notice("22P02", `invalid input: "x"`, inside), `invalid input: "x"`, "a detail", "a hint", true},
	} {
		s := &session{gw: &Gateway{}, masked: true}
		got := s.hush(&run{stmt: c.st}, c.n)
		if got.Get(pg.Message) != c.message || got.Get(pg.Detail) != c.detail || got.Get(pg.Hint) != c.hint || (got.Get(pg.Where) != "") != c.where || got.Get(pg.SQLState) != c.n.Get(pg.SQLState) {
			t.Errorf("%s: %q", c.name, got)
		}
		s.masked = false
		if got := s.hush(&run{stmt: c.st}, c.n); len(got) != len(c.n) {
			t.Errorf("%s: shortened where nothing is masked", c.name)
		}
	}
}
