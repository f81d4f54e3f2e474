package api

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport"
)

func TestPasswordHash(t *testing.T) {
	h, err := HashPassword([]byte(password), strings.NewReader("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Check(); err != nil {
		t.Error(err)
	}
	if !h.Verify([]byte(password)) || h.Verify([]byte("correct horsf")) || h.Verify(nil) {
		t.Error("Verify does not tell right from wrong")
	}
	// From the test vectors of the reference implementation (phc-winner-argon2, src/test.c).
	reference := PasswordHash("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if !reference.Verify([]byte("password")) {
		t.Error("a hash of the reference implementation is not understood")
	}
	for _, text := range []string{fmt.Sprint(h), fmt.Sprintf("%v %+v %#v %s %q %x", h, h, h, h, h, h), fmt.Sprintf("%+v", Person{Password: h})} {
		if strings.Contains(text, "argon2") || strings.Contains(text, fmt.Sprintf("%x", "argon2")) {
			t.Errorf("a hash shows: %s", text)
		}
	}
	for _, bad := range []PasswordHash{
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$AAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=256$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA", "$argon2id$v=19$m=64,t=1,p=1,x=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$$AAAAAAAAAAAAAAAAAAAAAA",
	} {
		if !errors.Is(bad.Check(), ErrPasswordHash) || bad.Verify([]byte(password)) {
			t.Errorf("%q passes as a hash", string(bad))
		}
	}
}

func TestLogIn(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	for _, c := range []struct {
		name     sallyport.Staff
		password string
		code     string
	}{
		{"s050", password, ""},
		{"s050", "wrong", "log_in"},
		{"s050", "", "log_in"},
		{"s002", password, "log_in"}, // has none
		{"s002", "", "log_in"},
		{"nobody", password, "log_in"},
		{"", password, "log_in"},
	} {
		client := NewClient(r.path, c.name, c.password)
		_, err := client.Status(ctx)
		want(t, err, c.code)
		client.Close()
	}
	var lines []string
	err := r.control.Read(1, func(e *sallyport.Event) error {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Kind, e.Who.Staff, e.Note)))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(lines, "\n")
	// A name that nobody has may be a password in the wrong field: it is not written down.
	if got != `login s050
login_failed s050
login_failed s050
login_failed s002
login_failed s002
login_failed  a name that nobody has
login_failed  a name that nobody has` {
		t.Error(got)
	}
}

func TestLogInDelay(t *testing.T) {
	r := start(t)
	ctx := t.Context()
	try := func(name sallyport.Staff, password string) error {
		client := NewClient(r.path, name, password)
		defer client.Close()
		_, err := client.Status(ctx)
		return err
	}
	for range freeFailures {
		want(t, try("s050", "wrong"), "log_in")
	}
	want(t, try("s050", password), "too_many_failures") // right or wrong: nothing is checked
	want(t, try("s051", password), "")                  // others do not notice
	r.clock.add(firstDelay)
	want(t, try("s050", "wrong"), "log_in")
	r.clock.add(firstDelay)
	want(t, try("s050", password), "too_many_failures") // the delay has doubled
	r.clock.add(firstDelay)
	want(t, try("s050", password), "")
	want(t, try("s050", "wrong"), "log_in") // and begins anew

	for range 40 { // it stops growing
		r.clock.add(longestDelay)
		want(t, try("s060", "wrong"), "log_in")
	}
	r.clock.add(longestDelay)
	want(t, try("s060", password), "")
}

// TestLogInAtOnce tries many passwords at the same moment: no more are checked than one after the other.
func TestLogInAtOnce(t *testing.T) {
	d := newDoor(map[sallyport.Staff]Person{"s050": {Password: cheap(password)}}, func() time.Time { return time.Unix(0, 0) })
	var wg sync.WaitGroup
	results := make([]outcome, 50)
	for i := range results {
		wg.Go(func() { results[i], _ = d.try("s050", []byte("wrong")) })
	}
	wg.Wait()
	checked := 0
	for _, o := range results {
		if o != shut {
			checked++
		}
	}
	if checked != freeFailures {
		t.Errorf("%d passwords were checked, want %d", checked, freeFailures)
	}
}

// TestDoorForgets bounds what names that nobody has can make the door remember.
func TestDoorForgets(t *testing.T) {
	d := newDoor(nil, func() time.Time { return time.Unix(0, 0) })
	for i := range maxNames + 10 {
		d.charge(fmt.Sprint(i))
	}
	if len(d.tries) > maxNames {
		t.Errorf("%d names remembered", len(d.tries))
	}
}
