package gateway

import (
	"strings"
	"testing"

	"sallyport/query"
)

// TestSetting plays what PostgreSQL does with a custom setting. A step is what the server
// confirmed; want is what holds at the end.
func TestSetting(t *testing.T) {
	tests := []struct{ name, steps, want string }{
		{"set", "set:a Z:I", "a"},
		{"set twice", "set:a Z:I set:b Z:I", "b"},
		{"reset returns to the start-up value", "set:a Z:I reset Z:I", "startup"},
		{"committed", "begin Z:T set:a Z:T commit Z:I", "a"},
		{"rolled back", "set:x Z:I begin Z:T set:a Z:T rollback Z:I", "x"},
		{"commit of a failed transaction", "set:x Z:I begin Z:T set:a Z:T error Z:E commit=ROLLBACK Z:I", "x"},
		{"local ends with its transaction", "set:x Z:I begin Z:T local:a Z:T commit Z:I", "x"},
		{"local holds within", "set:x Z:I begin Z:T local:a Z:T", "a"},
		{"local without a transaction ends with the statement", "set:x Z:I local:a Z:I", "x"},
		{"set after local wins", "begin Z:T local:a set:b Z:T commit Z:I", "b"},
		{"local ends at COMMIT AND CHAIN", "set:x Z:I begin Z:T local:a commit Z:T", "x"},
		{"back to a savepoint", "begin Z:T set:a savepoint:s set:b to:s Z:T commit Z:I", "a"},
		{"savepoint released", "begin Z:T set:a savepoint:s set:b release:s Z:T commit Z:I", "b"},
		{"back to a savepoint after an error", "begin Z:T set:a savepoint:s set:b error Z:E to:s Z:T commit Z:I", "a"},
		{"nested savepoints of one name", "begin Z:T savepoint:s set:a savepoint:s set:b to:s to:s Z:T commit Z:I", "a"},
		{"error in an implicit transaction", "set:x Z:I set:a error Z:I", "x"},
		{"BEGIN makes what was before it part of the transaction", "set:x Z:I set:a begin Z:T rollback Z:I", "x"},
		{"prepared transaction", "begin Z:T set:a prepare Z:I", "a"},
	}
	for _, tt := range tests {
		s := newSetting("startup")
		for step := range strings.FieldsSeq(tt.steps) {
			play(&s, step)
		}
		if got := s.value(); got != tt.want {
			t.Errorf("%s (%s): %q, want %q", tt.name, tt.steps, got, tt.want)
		}
	}
}

func play(s *setting, step string) {
	word, arg, _ := strings.Cut(step, ":")
	word, tag, _ := strings.Cut(word, "=")
	switch word {
	case "set":
		s.change(&query.PurposeChange{Value: arg})
	case "local":
		s.change(&query.PurposeChange{Local: true, Value: arg})
	case "reset":
		s.change(&query.PurposeChange{Reset: true})
	case "Z":
		s.ready(arg[0])
	case "error":
		s.fail()
	default:
		kinds := map[string]query.TxKind{
			"begin": query.Begin, "commit": query.Commit, "rollback": query.Rollback, "savepoint": query.Savepoint,
			"to": query.RollbackTo, "release": query.Release, "prepare": query.PrepareTransaction,
		}
		if tag == "" {
			tag = strings.ToUpper(word)
		}
		s.transaction(&query.TxChange{Kind: kinds[word], Name: arg}, tag)
	}
}
