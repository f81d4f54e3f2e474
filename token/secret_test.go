package token

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretRedacts prints a secret in every way that somebody might, alone and inside other things.
func TestSecretRedacts(t *testing.T) {
	raw := []byte("0123456789abcdefghijklmnopqrstuv")
	s, err := NewSecret(raw)
	if err != nil {
		t.Fatal(err)
	}
	type open struct{ Key Secret }
	type closed struct{ key Secret }
	values := []any{
		s, &s, open{s}, &open{s}, closed{s}, &closed{s}, []Secret{s}, [1]Secret{s}, map[string]Secret{"k": s}, []any{s}, struct{ a any }{s},
	}
	var out bytes.Buffer
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%e", "%T", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprint(&out, v)
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		if b, err := xml.Marshal(v); err == nil {
			out.Write(b)
		}
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", slog.Any("v", v), slog.Group("g", slog.Any("v", v)))
		}
	}
	fmt.Fprintln(&out, fmt.Errorf("open: %v", s), s.String(), s.GoString())
	text := out.String()
	for _, leak := range []string{
		string(raw), string(raw[:6]), fmt.Sprintf("%x", raw[:4]), fmt.Sprintf("%X", raw[:4]), "48 49 50", "0x30, 0x31", "MDEyMzQ1", "48,49,50", "110000 110001", "60 61 62",
	} {
		if strings.Contains(text, leak) {
			t.Errorf("%q is in what was printed", leak)
		}
	}
	if got := fmt.Sprint(s); got != redacted {
		t.Errorf("it prints as %q", got)
	}
}

func TestSecret(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 16), make([]byte, 32), make([]byte, 33), bytes.Repeat([]byte{1}, 31)} {
		if _, err := NewSecret(b); err == nil {
			t.Errorf("%d bytes: accepted", len(b))
		}
	}
	b := bytes.Repeat([]byte{1}, SecretSize)
	s, err := NewSecret(b)
	if err != nil {
		t.Fatal(err)
	}
	b[0] = 2
	if (*s.key)[0] != 1 {
		t.Error("it shares the caller's bytes")
	}
	again := s
	s.Wipe()
	if **again.key != [SecretSize]byte{} {
		t.Error("wiped, and bytes are left")
	}
	Secret{}.Wipe()
}
