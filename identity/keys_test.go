package identity

import "testing"

// TestKeys derives what another implementation stored for the same password.
func TestKeys(t *testing.T) {
	v, want := stored(t, "secret")
	client, server, err := Keys("secret", v.Salt, v.Iterations)
	if err != nil || client != want || server != v.Server || client.hash() != v.Stored {
		t.Errorf("the keys differ: %v", err)
	}
	if other, _, err := Keys("Secret", v.Salt, v.Iterations); err != nil || other == want {
		t.Errorf("another password has the same keys: %v", err)
	}
	for _, bad := range []struct{ password, salt string }{{"pässword", v.Salt}, {"tab\t", v.Salt}, {"secret", "no base64"}} {
		if _, _, err := Keys(bad.password, bad.salt, 4096); err == nil {
			t.Errorf("%q, %q: taken", bad.password, bad.salt)
		}
	}
}
