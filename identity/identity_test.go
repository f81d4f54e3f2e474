package identity

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xdg-go/scram"
	"pgregory.net/rapid"
)

// stored is a verifier as pg_authid keeps it, and the client's key that it is of.
func stored(t testing.TB, password string) (Verifier, Key) {
	t.Helper()
	salt := []byte("0123456789abcdef")
	client, err := scram.SHA256.NewClient("", password, "")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: 4096})
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	v, err := ParseVerifier(fmt.Sprintf("SCRAM-SHA-256$4096:%s$%s:%s", b64(salt), b64(keys.StoredKey), b64(keys.ServerKey)))
	if err != nil {
		t.Fatal(err)
	}
	return v, clientKey(t, password, salt)
}

func clientKey(t testing.TB, password string, salt []byte) (k Key) {
	t.Helper()
	u := hmac.New(sha256.New, []byte(password))
	u.Write(append(bytes.Clone(salt), 0, 0, 0, 1))
	last := u.Sum(nil)
	salted := bytes.Clone(last)
	for range 4095 {
		u.Reset()
		u.Write(last)
		last = u.Sum(nil)
		for i := range salted {
			salted[i] ^= last[i]
		}
	}
	m := hmac.New(sha256.New, salted)
	m.Write([]byte("Client Key"))
	m.Sum(k[:0])
	return k
}

// TestAgainstLibrary lets another implementation of SCRAM log in to ours, bound and not, and ours to it.
func TestAgainstLibrary(t *testing.T) {
	v, key := stored(t, "secret")
	binding := []byte("the hash of a certificate")
	for _, bound := range []bool{false, true} {
		for password, fits := range map[string]bool{"secret": true, "wrong": false} {
			client, err := scram.SHA256.NewClient("ada", password, "")
			if err != nil {
				t.Fatal(err)
			}
			ours := NewServer(v, nil, rand.Reader)
			talk, mechanism := client.NewConversation(), SCRAM
			if bound {
				ours = NewServer(v, binding, rand.Reader)
				talk, mechanism = client.NewConversationWithChannelBinding(scram.ChannelBinding{Type: "tls-server-end-point", Data: binding}), SCRAMPlus
			}
			first, _ := talk.Step("")
			challenge, err := ours.First(mechanism, first)
			if err != nil {
				t.Fatal(err)
			}
			final, err := talk.Step(challenge)
			if err != nil {
				t.Fatal(err)
			}
			var got Key
			ok, err := ours.Final(final, &got)
			if err != nil || ok != fits || fits != (got == key) || !fits && got != (Key{}) {
				t.Errorf("bound %v, password %q: fits %v, %v", bound, password, ok, err)
			}
			if _, err := talk.Step(ours.Signature()); (err == nil) != fits {
				t.Errorf("bound %v, password %q: the library says %v", bound, password, err)
			}
		}
	}

	server, err := scram.SHA256.NewServer(func(string) (scram.StoredCredentials, error) {
		salt, _ := base64.StdEncoding.DecodeString(v.Salt)
		return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(salt), Iters: v.Iterations}, StoredKey: v.Stored[:], ServerKey: v.Server[:]}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, bound := range []bool{false, true} {
		talk, hash := server.NewConversation(), []byte(nil)
		if bound {
			talk, hash = server.NewConversationWithChannelBinding(scram.ChannelBinding{Type: "tls-server-end-point", Data: binding}), binding
		}
		c, err := NewClient([]string{SCRAMPlus, SCRAM}, hash, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		mechanism, first := c.Begin()
		if bound != (mechanism == SCRAMPlus) {
			t.Errorf("chose %s", mechanism)
		}
		challenge, err := talk.Step(first)
		if err != nil {
			t.Fatal(err)
		}
		salt, iterations, err := c.Challenge(challenge)
		if err != nil || !v.Like(salt, iterations) {
			t.Errorf("%v", err)
		}
		final, err := talk.Step(c.Prove(&key))
		if err != nil || !talk.Valid() {
			t.Fatalf("the library does not let the key in: %v", err)
		}
		if err := c.Verify(&v.Server, final); err != nil {
			t.Error(err)
		}
		if err := c.Verify(&v.Stored, final); !errors.Is(err, ErrServer) {
			t.Errorf("another server's signature: %v", err)
		}
	}
}

// TestServerRefuses holds the server's side to what PostgreSQL refuses.
func TestServerRefuses(t *testing.T) {
	v, _ := stored(t, "secret")
	binding := []byte("certificate")
	for _, c := range []struct {
		mechanism, first string
		binding          []byte
		want             error
	}{
		{SCRAM, "n,,n=,r=abc", binding, nil},
		{SCRAM, "y,,n=,r=abc", nil, nil},
		{SCRAM, "y,,n=,r=abc", binding, ErrDowngrade},
		{SCRAM, "p=tls-server-end-point,,n=,r=abc", binding, ErrMalformed},
		{SCRAMPlus, "p=tls-server-end-point,,n=,r=abc", binding, nil},
		{SCRAMPlus, "p=tls-server-end-point,,n=,r=abc", nil, ErrMalformed},
		{SCRAMPlus, "p=tls-unique,,n=,r=abc", binding, ErrMalformed},
		{SCRAMPlus, "n,,n=,r=abc", binding, ErrMalformed},
		{SCRAM, "n,a=postgres,n=,r=abc", nil, ErrMalformed},
		{SCRAM, "n,,m=x,n=,r=abc", nil, ErrMalformed},
		{SCRAM, "n,,n=,r=", nil, ErrMalformed},
		{SCRAM, "n,,n=,r=a\x00b", nil, ErrMalformed},
		{SCRAM, "n,,", nil, ErrMalformed},
		{SCRAM, "x,,n=,r=abc", nil, ErrMalformed},
		{SCRAM, "", nil, ErrMalformed},
		{"SCRAM-SHA-1", "n,,n=,r=abc", nil, ErrMalformed},
	} {
		_, err := NewServer(v, c.binding, rand.Reader).First(c.mechanism, c.first)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s %q: %v", c.mechanism, c.first, err)
		}
	}
	proof := base64.StdEncoding.EncodeToString(make([]byte, 32))
	for _, c := range []struct {
		final string
		want  error
	}{
		{"c=biws,r=%s,p=" + proof, nil},
		{"c=biws,r=%s,x=extension,p=" + proof, nil},
		{"c=eSws,r=%s,p=" + proof, ErrBinding}, // y,, after n,,
		{"c=biws,r=%sx,p=" + proof, ErrMalformed},
		{"c=biws,r=%s,p=short", ErrMalformed},
		{"c=biws,r=%s", ErrMalformed},
		{"r=%s,p=" + proof, ErrMalformed},
	} {
		s := NewServer(v, nil, rand.Reader)
		first, err := s.First(SCRAM, "n,,n=,r=abc")
		if err != nil {
			t.Fatal(err)
		}
		nonce, _, _ := strings.Cut(strings.TrimPrefix(first, "r="), ",")
		var key Key
		ok, err := s.Final(fmt.Sprintf(c.final, nonce), &key)
		if ok || !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || key != (Key{}) {
			t.Errorf("%q: %v %v", c.final, ok, err)
		}
	}
}

func TestClientRefuses(t *testing.T) {
	c, err := NewClient([]string{SCRAM}, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "r=other,s=AAAA,i=4096", "r=" + c.nonce + ",s=AAAA,i=4096", "r=" + c.nonce + "x,s=??,i=4096", "r=" + c.nonce + "x,s=AAAA,i=0", "m=x,r=" + c.nonce + "x,s=AAAA,i=1"} {
		if _, _, err := c.Challenge(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewClient([]string{"OAUTHBEARER"}, nil, rand.Reader); !errors.Is(err, ErrMalformed) {
		t.Errorf("%v", err)
	}
	// The offer of PLUS was cut out by somebody between: the server is to hear that we could have.
	if c, err = NewClient([]string{SCRAM}, []byte("hash"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, first := c.Begin(); !strings.HasPrefix(first, "y,,") {
		t.Errorf("begins with %q", first[:3])
	}
}

// TestBlurtsNothing prints keys and verifiers in every way.
func TestBlurtsNothing(t *testing.T) {
	v, key := stored(t, "secret")
	text, err := key.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{fmt.Sprint(key), fmt.Sprintf("%v %+v %#v %x %s %d", v, v, v, v.Stored, key, key), string(text)} {
		if strings.Contains(shown, fmt.Sprintf("%x", key[:4])) || strings.Contains(shown, fmt.Sprint(key[0], " ", key[1])) || !strings.Contains(shown, redacted) {
			t.Errorf("shows %q", shown)
		}
	}
	key.Wipe()
	v.Wipe()
	if key != (Key{}) || v.Stored != (Key{}) || v.Server != (Key{}) {
		t.Error("something is left")
	}
	for _, bad := range []string{"", "md5abc", "SCRAM-SHA-256$4096:AAAA$x:y", "SCRAM-SHA-256$0:AAAA$" + text64() + ":" + text64(), "SCRAM-SHA-256$1:$" + text64() + ":" + text64()} {
		if _, err := ParseVerifier(bad); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func text64() string { return base64.StdEncoding.EncodeToString(make([]byte, 32)) }

// TestPassedOn is the whole of it: whatever the password, a client's proof to us becomes a proof to the server.
func TestPassedOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stored, server Key
		key := Key(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		copy(server[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "server"))
		stored = key.hash()
		v := Verifier{Salt: "AAAA", Iterations: 4096, Stored: stored, Server: server}
		pass := func(k *Key, s *Server, binding []byte) (Key, *Client) {
			c, err := NewClient(s.Mechanisms(), binding, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			challenge, err := s.First(c.Begin())
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Challenge(challenge); err != nil {
				t.Fatal(err)
			}
			var got Key
			if ok, err := s.Final(c.Prove(k), &got); err != nil || !ok {
				t.Fatalf("%v %v", ok, err)
			}
			return got, c
		}
		ours, theirs := NewServer(v, []byte("ours"), rand.Reader), NewServer(v, []byte("theirs"), rand.Reader)
		got, c := pass(&key, ours, []byte("ours"))
		if err := c.Verify(&server, ours.Signature()); err != nil {
			t.Fatal(err)
		}
		if _, c = pass(&got, theirs, []byte("theirs")); c.Verify(&server, theirs.Signature()) != nil {
			t.Fatal("the server's signature is not accepted")
		}
	})
}

// FuzzServerSide throws bytes at the side that faces whoever connects.
func FuzzServerSide(f *testing.F) {
	f.Add("n,,n=,r=abc", "c=biws,r=abc,p=AAAA")
	v, _ := stored(f, "secret")
	f.Fuzz(func(t *testing.T, first, final string) {
		for _, mechanism := range []string{SCRAM, SCRAMPlus} {
			s := NewServer(v, []byte("x"), rand.Reader)
			if _, err := s.First(mechanism, first); err != nil {
				continue
			}
			var key Key
			if ok, _ := s.Final(final, &key); ok {
				t.Error("let in")
			}
		}
	})
}
