//go:build clouds

package keys

import (
	"path/filepath"
	"strings"
	"testing"

	_ "gocloud.dev/secrets/localsecrets" // base64key://, a stand-in for a cloud
)

// TestCloudSeam makes and opens a ring through gocloud.dev/secrets. No cloud is asked: its localsecrets stands in for one, so that this
// shows that our side of the seam works and says nothing about AWS, Google or Azure.
func TestCloudSeam(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first := ""
	for range 2 {
		p, err := openCloud(t.Context(), "base64key://smGbjm71Nxd1Ig5FS0wj9SlbzAIrnolCz9bQQ6uAhl4=")
		must(t, err)
		k, err := Open(t.Context(), Options{Dir: dir, Provider: p, Groups: []string{"phone"}, Make: first == ""})
		must(t, err)
		if token := print(t, k); first != "" && token != first {
			t.Error("another key was found")
		} else {
			first = token
		}
	}
	other, err := openCloud(t.Context(), "base64key://")
	must(t, err)
	if _, err := Open(t.Context(), Options{Dir: dir, Provider: other}); err == nil {
		t.Error("another key service opened the ring")
	}
	for _, scheme := range cloudSchemes() {
		if err := CheckProvider(scheme + "://x"); err != nil {
			t.Errorf("%s: %v", scheme, err)
		}
	}
	if err := CheckProvider("base64key://"); err == nil || !strings.Contains(err.Error(), "no such provider") {
		t.Errorf("a key that stands in the configuration: %v", err)
	}
}
