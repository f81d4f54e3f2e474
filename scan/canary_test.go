package scan

import (
	"strings"
	"testing"

	"sallyport/token"
)

// TestCanaries: details of customers who do not exist are told among other plain values, wherever the stream is cut.
func TestCanaries(t *testing.T) {
	secret, err := token.NewSecret([]byte(strings.Repeat("k", token.SecretSize)))
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(secret, token.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{Ring: ring, Canary: func(v []byte, what string) bool {
		return what == "email" && strings.HasSuffix(strings.ToLower(string(v)), "@post.example.net")
	}})
	if err != nil {
		t.Fatal(err)
	}
	text := "7,ada@example.org,+4915112345678\n8,Tarivo.masenolidukabo84@POST.example.net,x\n" + strings.Repeat("n,nobody@post.example.com\n", 3)
	canaries, plain := 0, 0
	err = s.Scan(strings.NewReader(text), func(f Finding) error {
		if f.Kind == Plain {
			plain++
		}
		if f.Canary {
			if canaries++; f.Line != 2 {
				t.Errorf("in line %d", f.Line)
			}
		}
		return nil
	})
	if err != nil || canaries != 1 || plain < 5 {
		t.Errorf("%d of %d: %v", canaries, plain, err)
	}
}
