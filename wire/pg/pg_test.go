package pg

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgproto3"
)

// TestAgainstPgproto3 holds our encoding to that of a library that many clients use.
func TestAgainstPgproto3(t *testing.T) {
	bind := &BindMessage{
		Portal: []byte("p"), Statement: []byte("s"), Formats: []byte{0, 0, 0, 1},
		Params: [][]byte{[]byte("x"), nil, {}}, Results: []byte{0, 1},
	}
	fields := []Field{{Name: []byte("email"), Table: 16400, Attr: 3, Type: 25, TypeSize: 0xffff, TypeMod: 0xffffffff}}
	tests := []struct {
		name string
		ours []byte
		lib  interface {
			Encode(dst []byte) ([]byte, error)
		}
	}{
		{"query", AppendQuery(nil, "SELECT 1"), &pgproto3.Query{String: "SELECT 1"}},
		{"parse", AppendParse(nil, "s", "SELECT $1", []byte{0, 0, 0, 25}), &pgproto3.Parse{Name: "s", Query: "SELECT $1", ParameterOIDs: []uint32{25}}},
		{"bind", AppendBind(nil, bind), &pgproto3.Bind{
			DestinationPortal: "p", PreparedStatement: "s", ParameterFormatCodes: []int16{0, 1},
			Parameters: [][]byte{[]byte("x"), nil, {}}, ResultFormatCodes: []int16{1},
		}},
		{"describe", AppendTarget(nil, Describe, 'P', "p"), &pgproto3.Describe{ObjectType: 'P', Name: "p"}},
		{"execute", AppendExecute(nil, "p", 7), &pgproto3.Execute{Portal: "p", MaxRows: 7}},
		{"row", AppendDataRow(nil, [][]byte{[]byte("a"), nil, {}}), &pgproto3.DataRow{Values: [][]byte{[]byte("a"), nil, {}}}},
		{"columns", AppendRowDescription(nil, fields), &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{
			{Name: []byte("email"), TableOID: 16400, TableAttributeNumber: 3, DataTypeOID: 25, DataTypeSize: -1, TypeModifier: -1},
		}}},
	}
	for _, tt := range tests {
		want, err := tt.lib.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, tt.ours); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
	got, err := ParseBind(AppendBind(nil, bind))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*bind, got); diff != "" {
		t.Errorf("bind does not come back: %s", diff)
	}
}

func TestMalformed(t *testing.T) {
	tests := map[string]func() error{
		"length below 4":      func() error { _, _, _, err := Header([]byte{'Q', 0, 0, 0, 3}); return err },
		"length over 1 GiB":   func() error { _, _, _, err := Header([]byte{'Q', 0x7f, 0, 0, 0}); return err },
		"query without end":   func() error { _, err := ParseQuery([]byte("Q\x00\x00\x00\x05x")); return err },
		"query with a tail":   func() error { _, err := ParseQuery([]byte("Q\x00\x00\x00\x07x\x00y")); return err },
		"bind promising much": func() error { _, err := ParseBind([]byte("B....\x00\x00\x00\x00\xff\xff")); return err },
		"row too short":       func() error { _, err := ParseDataRow(nil, []byte("D....\x00\x01\x00\x00\x00\x09x")); return err },
		"describe of nothing": func() error { _, _, err := ParseTarget([]byte("D....Xp\x00")); return err },
		"startup too long":    func() error { _, _, err := StartupCode([]byte{0, 1, 0, 0, 0, 3, 0, 0}); return err },
		"key too long":        func() error { _, _, err := ParseCancel(make([]byte, 12+257)); return err },
		"key too short":       func() error { _, _, err := ParseCancel(make([]byte, 15)); return err },
		"mechanisms unended":  func() error { _, err := ParseMechanisms([]byte("SCRAM-SHA-256\x00")); return err },
		"SASL too short":      func() error { _, _, err := ParseSASLInitial([]byte("p....x\x00\x00\x00\x00\x09y")); return err },
		"status":              func() error { _, err := TxStatus([]byte("Z....Q")); return err },
	}
	for name, parse := range tests {
		if err := parse(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzServer decodes arbitrary bytes as each message of the server: no panic, and what decodes encodes to the same bytes.
func FuzzServer(f *testing.F) {
	f.Add(AppendDataRow(nil, [][]byte{[]byte("a"), nil}))
	f.Add(AppendRowDescription(nil, []Field{{Name: []byte("a")}}))
	f.Add(AppendNotice(nil, ErrorResponse, NewNotice("ERROR", "42601", "m", "d", "h")))
	f.Fuzz(func(t *testing.T, m []byte) {
		_, size, ok, err := Header(m)
		if err != nil || !ok || size > len(m) {
			return
		}
		m = m[:size]
		if fields, err := ParseDataRow(nil, m); err == nil && m[0] == DataRow && !bytes.Equal(AppendDataRow(nil, fields), m) {
			t.Error("DataRow does not come back")
		}
		if fields, err := ParseRowDescription(nil, m); err == nil && m[0] == RowDescription && !bytes.Equal(AppendRowDescription(nil, fields), m) {
			t.Error("RowDescription does not come back")
		}
		if n, err := ParseNotice(m); err == nil && m[0] == ErrorResponse && !bytes.Equal(AppendNotice(nil, m[0], n), m) {
			t.Error("notice does not come back")
		}
		_, _ = CommandTag(m)
		_, _, _ = ParseParameterStatus(m)
		if process, channel, payload, err := ParseNotification(m); err == nil && m[0] == Notification && !bytes.Equal(AppendNotification(nil, process, channel, payload), m) {
			t.Error("NotificationResponse does not come back")
		}
		_, _ = TxStatus(m)
		if code, rest, err := AuthCode(m); err == nil && m[0] == Authentication && !bytes.Equal(AppendAuth(nil, code, string(rest)), m) {
			t.Error("Authentication does not come back")
		} else if names, err := ParseMechanisms(rest); err == nil && code == AuthSASL && m[0] == Authentication && !bytes.Equal(AppendMechanisms(nil, names), m) && len(names) > 0 {
			t.Error("AuthenticationSASL does not come back")
		}
		_, _, _ = KeyData(m)
		_, _ = ParseFunctionResult(m)
		_, _, _ = CopyFormat(m)
	})
}

// FuzzClient does the same for the client's messages.
func FuzzClient(f *testing.F) {
	f.Add(AppendQuery(nil, "SELECT 1"))
	f.Add(AppendBind(nil, &BindMessage{Params: [][]byte{nil, {}}}))
	f.Add(AppendParse(nil, "s", "SELECT", nil))
	f.Add(AppendExecute(nil, "", 0))
	f.Add([]byte("F\x00\x00\x00\x16\x00\x00\x03\xb8\x00\x01\x00\x01\x00\x01\x00\x00\x00\x00\x00\x01"))
	f.Add(AppendSASLInitial(nil, "SCRAM-SHA-256", "n,,n=,r=x"))
	f.Add(AppendCancel(nil, 1, []byte{1, 2, 3, 4}))
	f.Fuzz(func(t *testing.T, m []byte) {
		if len(m) >= 8 {
			if size, _, err := StartupCode(m); err == nil && size <= len(m) {
				_, _ = ParseStartup(m[:size])
				if pid, key, err := ParseCancel(m[:size]); err == nil && !bytes.Equal(AppendCancel(nil, pid, key)[8:], m[8:size]) {
					t.Error("a cancel request does not come back")
				}
			}
		}
		_, size, ok, err := Header(m)
		if err != nil || !ok || size > len(m) {
			return
		}
		m = m[:size]
		if b, err := ParseBind(m); err == nil && m[0] == Bind && !bytes.Equal(AppendBind(nil, &b), m) {
			t.Error("Bind does not come back")
		}
		if p, err := ParseParse(m); err == nil && m[0] == Parse && !bytes.Equal(AppendParse(nil, string(p.Name), string(p.SQL), p.Types), m) {
			t.Error("Parse does not come back")
		}
		if mechanism, data, err := ParseSASLInitial(m); err == nil && m[0] == Password && data != nil && !bytes.Equal(AppendSASLInitial(nil, mechanism, string(data)), m) {
			t.Error("SASLInitialResponse does not come back")
		}
		_, _ = ParseQuery(m)
		_, _, _ = ParseTarget(m)
		_, _, _ = ParseExecute(m)
		if function, err := ParseFunctionCall(m); err == nil {
			if again, err := ParseFunctionCall(AppendFunctionCall(nil, function)); err != nil || again != function {
				t.Error("FunctionCall does not come back")
			}
		}
	})
}
